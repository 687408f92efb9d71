//! Does what the screen asks for, with the code of the commands.

use std::path::Path;
use std::sync::mpsc::Sender;

use fnox_config::spec::Capability;
use fnox_config::{Config, SecretConfig};
use fnox_core::{ProfileName, SecretString};
use fnox_leases::LeaseSummary;

use super::model::{Answer, Chosen, Failure, Lease, Origin, Project, Provider, Secret, Task};
use super::update::Event;
use crate::app::{App, block_on};
use crate::commands::{forgetting, get, lease, profiles, provider, remove, set};
use crate::error::CliError;

/// Starts work on a thread of its own. Its answer comes through `answers`, whatever becomes of it.
pub(super) fn start(
    app: &App,
    id: u64,
    task: Task,
    value: Option<SecretString>,
    answers: Sender<Event>,
) {
    // The terminal is taken: nobody can be asked, and nothing may be printed.
    let app = app.for_helper(None);
    let reply = Reply {
        id,
        answers: Some(answers),
    };
    // If there is no thread, the reply is dropped with the closure and says so.
    let _ = std::thread::Builder::new()
        .name("tui work".to_owned())
        .spawn(move || {
            let outcome = run(&app, task, value);
            reply.send(outcome.map_err(|error| Failure::from(&error)));
        });
}

/// Where an answer goes. One that was never given says that.
struct Reply {
    id: u64,
    answers: Option<Sender<Event>>,
}

impl Reply {
    fn send(mut self, outcome: Result<Answer, Failure>) {
        self.give(outcome);
    }

    fn give(&mut self, outcome: Result<Answer, Failure>) {
        if let Some(answers) = self.answers.take() {
            // Nobody listens any more if the screen is gone.
            let _ = answers.send(Event::Answer {
                id: self.id,
                outcome,
            });
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let error = CliError::failed("the work ended without an answer, which is a fault of fnox");
        self.give(Err(Failure::from(&error)));
    }
}

/// The same command line with the profile that was chosen.
pub(super) fn choose(app: &App, chosen: &Chosen) -> App {
    match chosen {
        Chosen::AsStarted => app.clone(),
        Chosen::Profile(name) if name == "default" => app.for_profile(None),
        Chosen::Profile(name) => app.for_profile(ProfileName::parse(name).ok().as_ref()),
    }
}

fn run(app: &App, task: Task, value: Option<SecretString>) -> Result<Answer, CliError> {
    match task {
        Task::Project(_) => project(app).map(|project| Answer::Project(Box::new(project))),
        Task::Leases => {
            let records = lease::records(app, &app.load()?)?;
            Ok(Answer::Leases(records.into_iter().map(lease_of).collect()))
        }
        Task::Test(name) => {
            let config = app.load()?;
            let name = config.provider(&name, None)?.name.clone();
            let resolver = app.resolver(&config);
            let tests = block_on(provider::tested(app, &resolver, &[name]))?;
            for (_, outcome) in tests {
                outcome?;
            }
            Ok(Answer::Done(String::new()))
        }
        Task::Value { name, .. } => {
            let config = app.load()?;
            get::value(app, &config, &name, false).map(Answer::Value)
        }
        Task::Store(name) => {
            let value = value.ok_or_else(|| CliError::failed("there is no value to store"))?;
            let stored = set::typed(app, &name, value);
            forgetting(app, Some(&[&name]), stored)?;
            Ok(Answer::Done(String::new()))
        }
        Task::Remove(name) => {
            let removed = remove::run(app, &crate::args::RemoveArgs::of(&name));
            forgetting(app, Some(&[&name]), removed)?;
            Ok(Answer::Done(String::new()))
        }
        Task::Revoke { id, .. } => lease::withdraw_one(app, &app.load()?, &id).map(Answer::Done),
    }
}

/// Reads the configuration and what can be said of it without asking anybody.
pub(super) fn project(app: &App) -> Result<Project, CliError> {
    let config = app.load()?;
    let target = app.write_target()?;
    let (path, _) = app.file_to_write(false, target.as_ref());
    let shown = short(app, &path);
    let target = match target {
        Some(profile) => format!("{shown}, profile {profile}"),
        None => shown,
    };
    let mut providers: Vec<Provider> = config
        .providers
        .values()
        .map(|provider| Provider {
            name: provider.name.to_string(),
            kind: provider.spec.name.to_owned(),
            is_default: config.default_provider() == Some(&provider.name),
            source: short(app, &provider.fields.location().file.path),
        })
        .collect();
    providers.sort_by(|one, two| one.name.cmp(&two.name));
    Ok(Project {
        profile: config.profile_label(),
        folder: config.project_dir.display().to_string(),
        profiles: profiles::profiles(app)?
            .into_iter()
            .map(|profile| (profile.name, profile.secrets))
            .collect(),
        secrets: config
            .secrets
            .values()
            .map(|secret| secret_of(app, &config, secret))
            .collect(),
        providers,
        leases: config.leases.keys().map(ToString::to_string).collect(),
        target,
        keeping: keeping(&config, None),
    })
}

fn secret_of(app: &App, config: &Config, secret: &SecretConfig) -> Secret {
    let provider = config.provider_of(secret);
    let is_on_server = provider.is_some() && provider.as_ref() == config.server();
    let origin = if secret.value.is_some() || is_on_server {
        Origin::Set
    } else if app.env.var(secret.name.as_str()).is_some() {
        Origin::Environment
    } else if secret.default.is_some() {
        Origin::Default
    } else {
        Origin::Nowhere
    };
    Secret {
        name: secret.name.to_string(),
        provider: provider
            .filter(|_| origin == Origin::Set)
            .map(|name| name.to_string())
            .unwrap_or_default(),
        origin,
        description: secret.description.clone().unwrap_or_default(),
        source: short(app, &secret.location.file.path),
        keeping: keeping(config, Some(secret)),
    }
}

/// How `fnox set` would keep a value.
fn keeping(config: &Config, secret: Option<&SecretConfig>) -> String {
    let own = secret.and_then(SecretConfig::provider);
    let provider = own
        .or_else(|| config.default_provider())
        .and_then(|name| config.providers.get(name));
    let Some(provider) = provider else {
        return if config.providers.is_empty() {
            "as plain text, for there is no provider".to_owned()
        } else {
            "nowhere yet: say to which provider with `fnox set -p`, or with `default_provider`"
                .to_owned()
        };
    };
    let name = &provider.name;
    match provider.capability {
        Capability::EncryptsInConfig => format!("encrypted by {name}"),
        Capability::StoresRemotely => format!("in {name}"),
        Capability::ReadsOnly => format!("as it is, as what {name} is asked for"),
    }
}

fn lease_of(record: LeaseSummary) -> Lease {
    Lease {
        id: record.lease_id,
        name: record.lease,
        label: record.label,
        state: record.state,
        expires_at: record.expires_at,
    }
}

/// A path from the working folder, if it is in it.
fn short(app: &App, path: &Path) -> String {
    path.strip_prefix(&app.cwd)
        .unwrap_or(path)
        .display()
        .to_string()
}
