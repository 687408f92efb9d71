//! `fnox age`: new identities, and whom values are encrypted to.

mod list;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fnox_config::{Config, FileKind, ProviderConfig, trust};
use fnox_core::age::{self, Identities, Recipient};
use fnox_core::prompt::{NoPrompt, Prompt};
use fnox_core::{Clock as _, SecretString};
use fnox_system::Rights;
use zeroize::Zeroizing;

pub(crate) use self::list::List;

use crate::app::App;
use crate::args::AgeCommand;
use crate::commands::definition::{Definition, Section};
use crate::error::CliError;
use crate::output::documents::AgeKey;
use crate::team::writer;

pub(crate) fn run(app: &App, command: AgeCommand) -> Result<(), CliError> {
    match command {
        AgeCommand::Keygen { output, json } => keygen(app, output, json),
        AgeCommand::AddRecipient {
            recipient,
            provider,
            global,
        } => add_recipient(app, &recipient, provider.as_deref(), global),
    }
}

fn keygen(app: &App, output: Option<PathBuf>, json: bool) -> Result<(), CliError> {
    let path = output.map_or_else(|| usual_file(app), |path| app.cwd.join(path));
    let recipient = create_identity(app, &path)?;
    app.printer
        .done(&format!("Wrote a new age identity to {}", path.display()));
    let writer = writer_key(app);
    if json {
        return app.printer.json(&AgeKey {
            path: path.display().to_string(),
            recipient,
            writer,
        });
    }
    app.printer.line(&recipient)
}

/// The key that signs values for a team server, made if there is none. An identity is worth having without it, so that
/// it cannot be made is only told. `None`: it was there, or there is none.
fn writer_key(app: &App) -> Option<String> {
    let path = writer::path(app);
    match writer::create(app, &path) {
        Ok(Some(public)) => {
            app.printer.done(&format!(
                "Wrote a new writer key to {}; its public key is {public}",
                path.display()
            ));
            Some(public)
        }
        Ok(None) => None,
        Err(error) => {
            app.printer
                .warn(&format!("there is no writer key: {error}"));
            None
        }
    }
}

/// Where a person's identity usually is.
pub(super) fn usual_file(app: &App) -> PathBuf {
    app.folders.config.join("age.txt")
}

/// The public halves of the identities in a file, as far as they can be told without asking anybody.
pub(super) fn recipients_of(path: &Path) -> Vec<String> {
    let nobody: Arc<dyn Prompt> = Arc::new(NoPrompt);
    let text = std::fs::read_to_string(path).ok().map(SecretString::new);
    text.and_then(|text| Identities::parse(&text, &nobody).ok())
        .map(|identities| identities.public_recipients().to_vec())
        .unwrap_or_default()
}

/// Writes a new identity in the form of `age-keygen` and returns its recipient. An existing file is never
/// replaced: values may be encrypted to what is in it.
pub(super) fn create_identity(app: &App, path: &Path) -> Result<String, CliError> {
    let failed = |source| CliError::File {
        action: "create",
        path: path.to_owned(),
        source,
    };
    let exists = || {
        let own = match recipients_of(path).as_slice() {
            [] => String::new(),
            recipients => format!("use it, it is {}, or ", recipients.join(" and ")),
        };
        let hint =
            format!(", and an identity is never replaced: {own}choose another file with `-o`");
        exists_already(path, &hint)
    };
    if path.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let (identity, recipient) = age::generate();
    let created = app.clock.now();
    let created = created.round(jiff::Unit::Second).unwrap_or(created);
    let mut text = Zeroizing::new(String::with_capacity(256));
    for part in [
        "# created: ",
        &created.to_string(),
        "\n# public key: ",
        &recipient,
        "\n",
    ] {
        text.push_str(part);
    }
    text.push_str(identity.expose_secret());
    text.push('\n');
    let folder = path.parent().unwrap_or(Path::new("/"));
    let write = || -> std::io::Result<()> {
        trust::create_private_folder(folder)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".fnox-");
        let mut temporary = fnox_system::create_temporary(&mut builder, folder, Rights::Private)?;
        temporary.write_all(text.as_bytes())?;
        temporary.as_file().sync_all()?;
        temporary.persist_noclobber(path)?;
        fnox_system::sync_folder(folder)
    };
    write().map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            exists()
        } else {
            failed(error)
        }
    })?;
    Ok(recipient)
}

fn add_recipient(
    app: &App,
    text: &str,
    provider: Option<&str>,
    global: bool,
) -> Result<(), CliError> {
    let recipient = Recipient::parse(text).map_err(|error| CliError::usage(error.to_string()))?;
    if global && provider.is_some() {
        return Err(CliError::usage(
            "`--global` means the list that providers share: leave `--provider` away",
        ));
    }
    let (target, list) = if global {
        global_list(app)?
    } else {
        provider_list(app, provider)?
    };
    let added = list.add(app, &recipient)?;
    if !added {
        app.printer
            .note(&format!("{target} encrypts to this recipient already."));
        return Ok(());
    }
    app.printer
        .done(&format!("Added the recipient to {target}"));
    app.printer
        .note("Values that are stored already do not open with it yet: run `fnox reencrypt`.");
    Ok(())
}

fn global_list(app: &App) -> Result<(String, List), CliError> {
    let path = app.folders.global_file();
    trust::create_private_folder(&app.folders.config).map_err(|source| CliError::File {
        action: "create",
        path: app.folders.config.clone(),
        source,
    })?;
    let target = format!("`[age] recipients` of {}", path.display());
    Ok((
        target,
        List {
            path,
            kind: FileKind::Global,
            table: Vec::new(),
            entry: "age".to_owned(),
        },
    ))
}

fn provider_list(app: &App, name: Option<&str>) -> Result<(String, List), CliError> {
    let config = app.load()?;
    let provider = age_provider(&config, name)?;
    let inherits = provider.fields.list("recipients").is_empty();
    if inherits && !config.settings.age_recipients.is_empty() {
        return Err(CliError::Usage {
            message: format!(
                "the provider `{}` lists no recipients: it uses those of the global file",
                provider.name
            ),
            help: Some(
                "add it there with `--global`, or list recipients in the provider itself"
                    .to_owned(),
            ),
        });
    }
    let place = Definition::find(
        provider.fields.location(),
        Section::Providers,
        provider.name.as_str(),
    )
    .ok_or_else(|| CliError::usage(format!("the provider `{}` is in no file", provider.name)))?;
    let list = List {
        path: place.file,
        kind: place.kind,
        table: place.table,
        entry: provider.name.to_string(),
    };
    Ok((format!("the provider `{}`", provider.name), list))
}

/// The named provider, or the only one of type `age`.
fn age_provider<'a>(
    config: &'a Config,
    name: Option<&str>,
) -> Result<&'a ProviderConfig, CliError> {
    if let Some(name) = name {
        let provider = config.provider(name, None)?;
        if provider.spec.name != "age" {
            let kind = provider.spec.name;
            return Err(CliError::usage(format!(
                "the provider `{name}` is of type `{kind}` and has no recipients"
            )));
        }
        return Ok(provider);
    }
    let all: Vec<&ProviderConfig> = config
        .providers
        .values()
        .filter(|provider| provider.spec.name == "age")
        .collect();
    match all.as_slice() {
        [only] => Ok(only),
        [] => Err(CliError::Usage {
            message: "there is no provider of type `age`".to_owned(),
            help: Some("add one with `fnox provider add age age --field recipients=age1…`, or use `--global`".to_owned()),
        }),
        several => {
            let names: Vec<&str> = several.iter().map(|provider| provider.name.as_str()).collect();
            Err(CliError::Usage {
                message: format!("there are several providers of type `age`: {}", names.join(", ")),
                help: Some("name one with `--provider`".to_owned()),
            })
        }
    }
}

/// The error for a file that must not be replaced.
pub(super) fn exists_already(path: &Path, hint: &str) -> CliError {
    let reason = format!("it exists already{hint}");
    CliError::File {
        action: "create",
        path: path.to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::AlreadyExists, reason),
    }
}
