//! `fnox push`

use std::collections::{BTreeMap, BTreeSet};

use fnox_config::{Config, IfMissing, SecretConfig};
use fnox_core::SecretName;
use fnox_http::CallError;
use fnox_providers::ProviderError;
use fnox_providers::resolve::Options;

use crate::app::{App, block_on};
use crate::args::PushArgs;
use crate::audit::{self, Changed};
use crate::error::CliError;
use crate::output::documents::{PushResult, PushedSecret};
use crate::push::{self, NoTarget, Sent, Surroundings, Target};
use crate::team::reading::Reading;
use crate::terminal::harmless;

/// One value to send.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Errand {
    target: String,
    secret: SecretName,
}

pub(crate) fn run(app: &App, args: &PushArgs) -> Result<(), CliError> {
    let config = app.load()?;
    let errands = errands(&config, args)?;
    if errands.is_empty() {
        app.printer
            .note("Nothing to push: no secret names a target in `push`.");
        if args.json {
            return app.printer.json(&Vec::<PushedSecret>::new());
        }
        return Ok(());
    }
    if args.dry_run && args.json {
        let planned = errands
            .iter()
            .map(|errand| errand.told(PushResult::Planned, None));
        return app.printer.json(&planned.collect::<Vec<_>>());
    }
    if args.dry_run {
        return errands.iter().try_for_each(|errand| {
            let Errand { target, secret } = errand;
            app.printer.line(&format!("[dry-run] {secret} → {target}"))
        });
    }
    if !args.force && !confirmed(app, &config, &errands)? {
        app.printer.note("Push cancelled.");
        return Ok(());
    }
    let needed = needed(app, &config, &errands)?;
    let sent = needed.reading.guard(send(app, &config, &errands, &needed));
    let Pushed { told, recorded } = block_on(sent)??;
    let done = told.iter().filter(|one| one.error.is_none()).count();
    if args.json {
        app.printer.json(&told)?;
    }
    recorded?;
    let message = format!("{done} of {} pushed", errands.len());
    if done < errands.len() {
        let code = "cli::push_failed";
        return Err(CliError::Failed { message, code });
    }
    app.printer.note(&message);
    Ok(())
}

impl Errand {
    fn told(&self, result: PushResult, error: Option<String>) -> PushedSecret {
        PushedSecret {
            secret: self.secret.to_string(),
            target: self.target.clone(),
            result,
            error,
        }
    }
}

/// What goes where, in the order of the configuration.
fn errands(config: &Config, args: &PushArgs) -> Result<Vec<Errand>, CliError> {
    for target in &args.target {
        if !config.settings.targets.contains_key(target) {
            return Err(push::unknown(config, target).into());
        }
    }
    for key in &args.keys {
        config.secret(key)?;
    }
    let mut out = Vec::new();
    for secret in config.secrets.values() {
        let is_named = args.keys.iter().any(|key| key == secret.name.as_str());
        if !args.keys.is_empty() && !is_named {
            continue;
        }
        for target in targets_of(config, secret, args, is_named)? {
            out.push(Errand {
                target,
                secret: secret.name.clone(),
            });
        }
        if is_named && !out.iter().any(|errand| errand.secret == secret.name) {
            return Err(CliError::Usage {
                message: format!("the secret `{}` names no target", secret.name),
                help: Some(
                    "add `push = [\"TARGET\"]` to it, or name one with `--target`".to_owned(),
                ),
            });
        }
    }
    Ok(out)
}

/// Those that the secret names; of these only the wanted ones. A secret and a target that are both named on the command
/// line belong together.
fn targets_of(
    config: &Config,
    secret: &SecretConfig,
    args: &PushArgs,
    is_named: bool,
) -> Result<BTreeSet<String>, CliError> {
    for target in &secret.push {
        if !config.settings.targets.contains_key(target) {
            let reason = format!(
                "names the target `{}`, which is not there",
                target.escape_debug()
            );
            return Err(fnox_config::ConfigError::InvalidValue {
                location: secret.location_of("push").clone(),
                key: "push".to_owned(),
                reason,
            }
            .into());
        }
    }
    if is_named && !args.target.is_empty() {
        return Ok(args.target.iter().cloned().collect());
    }
    let wanted = |target: &&String| args.target.is_empty() || args.target.contains(target);
    Ok(secret.push.iter().filter(wanted).cloned().collect())
}

fn confirmed(app: &App, config: &Config, errands: &[Errand]) -> Result<bool, CliError> {
    if !app.prompt.is_interactive() {
        return Err(CliError::Usage {
            message: "nobody can be asked whether to push".to_owned(),
            help: Some(
                "add `--force` to push without asking; `-n` shows what would be sent".to_owned(),
            ),
        });
    }
    for errand in errands {
        let fields = config.settings.targets.get(&errand.target);
        let to = fields.and_then(|fields| fields.text("url").or_else(|| fields.text("type")));
        app.prompt.message(&harmless(&format!(
            "  {} → {} ({})",
            errand.secret,
            errand.target,
            to.unwrap_or_default()
        )));
    }
    let question = format!("Send {} values?", errands.len());
    Ok(app.prompt.confirm(&question, "yes", Some("no")) == Some(true))
}

/// What became of all.
struct Pushed {
    told: Vec<PushedSecret>,
    /// Whether that is on record. It is told also if it is not: the values are where they are.
    recorded: Result<(), CliError>,
}

/// Sends all of them.
async fn send(
    app: &App,
    config: &Config,
    errands: &[Errand],
    needed: &Needed<'_>,
) -> Result<Pushed, CliError> {
    let names: BTreeSet<&str> = errands
        .iter()
        .map(|errand| errand.target.as_str())
        .collect();
    let values = needed.reading.resolver.resolve(&needed.names).await?;
    let around = Surroundings {
        env: app.env.clone(),
        secrets: values
            .values
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect(),
        cwd: app.cwd.clone(),
        home: app.folders.home.clone(),
        limit: app.lease_time_limits().call,
    };
    // Every target is there before the first value leaves.
    let mut targets: BTreeMap<&str, Box<dyn Target>> = BTreeMap::new();
    for name in &names {
        let target = push::open(config, name, &around);
        targets.insert(name, target.map_err(|error| not_there(name, error))?);
    }
    let changed = errands.iter().map(|errand| {
        let changed = Changed {
            secret: Some(errand.secret.to_string()),
            provider: values.giver(&errand.secret).map(ToString::to_string),
            ..Changed::default()
        };
        changed.to(&errand.target)
    });
    let begun = audit::begin(app, Some(config), audit::Change::Push, changed).await?;
    let mut failures = vec![Some("cli::push_failed"); errands.len()];
    let mut told = Vec::with_capacity(errands.len());
    for (errand, failure) in errands.iter().zip(&mut failures) {
        let Errand {
            target: name,
            secret,
        } = errand;
        let (Some(target), Some(value)) = (targets.get(name.as_str()), values.values.get(secret))
        else {
            // A wanted value that is missing has ended the command already, and so has a target that is not there.
            continue;
        };
        told.push(match target.push(secret, value).await {
            Ok(sent) => {
                *failure = None;
                app.printer.done(&format!("{secret} → {name}"));
                errand.told(PushResult::from(sent), None)
            }
            Err(error) => {
                tell_failure(app, secret, name, &error);
                errand.told(PushResult::Failed, Some(harmless(&error.to_string())))
            }
        });
    }
    let recorded = begun
        .end_each(|index| failures.get(index).copied().flatten())
        .await;
    for (name, target) in &targets {
        let is_changed = |one: &PushedSecret| one.target == *name && one.error.is_none();
        if let Some(note) = target.afterwards().filter(|_| told.iter().any(is_changed)) {
            app.printer.note(&note);
        }
    }
    Ok(Pushed { told, recorded })
}

impl From<Sent> for PushResult {
    fn from(sent: Sent) -> Self {
        match sent {
            Sent::Created => Self::Created,
            Sent::Updated => Self::Updated,
            Sent::Taken => Self::Sent,
        }
    }
}

/// What is read for all errands.
#[derive(Debug)]
struct Needed<'a> {
    reading: Reading<'a>,
    names: Vec<SecretName>,
}

/// The values, and the tokens that are secrets. A value that is missing ends the command: half of what belongs together
/// is worse than nothing.
fn needed<'a>(app: &App, config: &'a Config, errands: &[Errand]) -> Result<Needed<'a>, CliError> {
    let wanted: BTreeSet<SecretName> = errands.iter().map(|errand| errand.secret.clone()).collect();
    let targets: BTreeSet<&str> = errands
        .iter()
        .map(|errand| errand.target.as_str())
        .collect();
    let fields = targets
        .iter()
        .filter_map(|name| config.settings.targets.get(*name));
    let tokens: BTreeSet<SecretName> = fields
        .flat_map(push::token_names)
        .filter_map(|name| Some(config.secrets.get(name.as_str())?.name.clone()))
        .collect();
    let names: Vec<SecretName> = wanted.union(&tokens).cloned().collect();
    let options = Options {
        required: wanted,
        if_missing: Some(IfMissing::Error),
        ..app.reading_options(config, &[])?
    };
    Ok(Needed {
        reading: Reading::new(app, config, options, &names),
        names,
    })
}

fn tell_failure(app: &App, secret: &SecretName, target: &str, error: &CallError) {
    let remedy = error
        .remedy
        .as_ref()
        .map(|remedy| format!(" ({remedy})"))
        .unwrap_or_default();
    app.printer
        .say(&format!("✗ {secret} → {target}: {error}{remedy}"));
}

fn not_there(name: &str, error: NoTarget) -> CliError {
    match error {
        NoTarget::Configuration(error) => error.into(),
        NoTarget::Call(error) => CliError::Target {
            target: name.to_owned(),
            error: ProviderError::from(error),
        },
    }
}
