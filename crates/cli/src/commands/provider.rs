//! `fnox provider`

mod add;
mod given;
mod keys;
mod plugin;
mod test;

use fnox_config::edit::Editor;
use fnox_config::spec::Capability;
use fnox_config::{Config, ConfigError, FileKind, ProviderConfig, suggest};
use fnox_core::ProfileName;
use fnox_providers::Registry;

pub(super) use self::add::ask_required;
pub(super) use self::test::probe;
pub(crate) use self::test::tested;
use crate::app::App;
use crate::args::{ProviderArgs, ProviderCommand};
use crate::audit::{self, Changed};
use crate::error::CliError;
use crate::output::documents::ListedProvider;

pub(crate) fn run(app: &App, args: ProviderArgs) -> Result<(), CliError> {
    match args.command {
        Some(ProviderCommand::Add(args)) => add::run(app, &args),
        Some(ProviderCommand::List { json, complete: _ }) => list(app, json),
        Some(ProviderCommand::Remove { name, global }) => remove(app, &name, global),
        Some(ProviderCommand::Test(args)) => test::run(app, &args),
        Some(ProviderCommand::Keys { command }) => keys::run(app, &command),
        None => list(app, args.json),
    }
}

fn list(app: &App, json: bool) -> Result<(), CliError> {
    let config = app.load()?;
    let mut providers: Vec<&ProviderConfig> = config.providers.values().collect();
    providers.sort_by(|one, two| one.name.cmp(&two.name));
    if json {
        let documents: Vec<ListedProvider> = providers
            .into_iter()
            .map(|provider| document(&config, provider))
            .collect();
        return app.printer.json(&documents);
    }
    providers
        .into_iter()
        .try_for_each(|provider| app.printer.line(provider.name.as_str()))
}

fn document(config: &Config, provider: &ProviderConfig) -> ListedProvider {
    ListedProvider {
        name: provider.name.to_string(),
        kind: provider.spec.name,
        label: provider.spec.label,
        capability: match provider.capability {
            Capability::EncryptsInConfig => "encrypts",
            Capability::StoresRemotely => "stores",
            Capability::ReadsOnly => "reads",
        },
        built: Registry.has(provider.spec),
        default: config.default_provider() == Some(&provider.name),
        source: provider.fields.location().file.path.display().to_string(),
    }
}

fn remove(app: &App, name: &str, global: bool) -> Result<(), CliError> {
    let profile = app.write_target_for_provider()?;
    let (path, kind) = app.file_to_write(global, profile.as_ref());
    if !path.is_file() {
        return Err(ConfigError::NotFound {
            start: app.cwd.clone(),
        }
        .into());
    }
    let table = table_of(&kind, profile.as_ref());
    let table: Vec<&str> = table.iter().map(String::as_str).collect();
    let mut editor = Editor::open(&path, kind.clone())?;
    if !editor.remove(&table, name)? {
        return Err(not_there(app, name, &path)?);
    }
    let changed = [Changed::provider(name, &path, profile.as_ref())];
    let change = audit::Change::ProviderRemove;
    audit::changing(
        app,
        None,
        change,
        changed,
        || Ok(editor.save(&app.folders)?),
    )?;
    app.printer.done(&format!(
        "Removed the provider {name}{}",
        super::set::suffix(profile.as_ref(), global)
    ));
    warn_of_users(app, name);
    Ok(())
}

/// The provider does not exist, or stands in another file.
fn not_there(app: &App, name: &str, path: &std::path::Path) -> Result<CliError, CliError> {
    let config = app.load()?;
    let provider = config.provider(name, None)?;
    let elsewhere = provider.fields.location().file.path.display();
    Ok(CliError::Usage {
        message: format!(
            "the provider `{name}` is not defined there in {}",
            path.display()
        ),
        help: Some(format!(
            "it stands in {elsewhere}: name that file with `-c`, or its profile with `-P`"
        )),
    })
}

/// What still names the provider will fail.
fn warn_of_users(app: &App, name: &str) {
    let Ok(config) = app.load() else {
        app.printer.warn(&format!(
            "the configuration still needs a provider `{name}`: see `fnox check`"
        ));
        return;
    };
    if config.providers.contains_key(name) {
        return;
    }
    let users: Vec<&str> = config
        .secrets
        .values()
        .filter(|secret| {
            let mut names = secret.providers.iter();
            names.any(|provider| provider.as_str() == name)
        })
        .map(|secret| secret.name.as_str())
        .collect();
    if !users.is_empty() {
        app.printer.warn(&format!(
            "these secrets still name it: {}",
            users.join(", ")
        ));
    }
}

/// Where a profile's providers stand in a file of this kind.
fn table_of(kind: &FileKind, profile: Option<&ProfileName>) -> Vec<String> {
    let parts = match profile {
        Some(profile) if *kind != FileKind::Profile(profile.clone()) => {
            vec!["profiles", profile.as_str(), "providers"]
        }
        _ => vec!["providers"],
    };
    parts.into_iter().map(str::to_owned).collect()
}

/// The error for a type of provider that does not exist.
fn unknown_type(kind: &str) -> ConfigError {
    let known: Vec<String> = fnox_config::spec::PROVIDERS
        .iter()
        .map(|spec| spec.name.to_owned())
        .collect();
    ConfigError::UnknownName {
        location: None,
        kind: "provider type",
        name: kind.escape_debug().to_string(),
        place: String::new(),
        suggestion: suggest::nearest(kind, known.iter().map(String::as_str)).map(str::to_owned),
        known,
    }
}
