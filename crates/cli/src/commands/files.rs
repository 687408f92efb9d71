//! `fnox files`: whole files that a provider keeps, written where they belong.
//!
//! Only the global configuration may declare them, and only its providers are asked: a project must not decide what
//! stands in the home folder. Every value is there before the first file is written, each file is replaced in one step,
//! and one that has its content already is left alone.

use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fnox_config::fields::resolve_path;
use fnox_config::{Config, ConfigError, Fields, edit, suggest};
use fnox_core::{SecretName, SecretString};
use fnox_providers::provider::{Request, get};
use fnox_providers::resolve::Resolver;

use crate::app::{App, block_on};
use crate::args::{FilesArgs, FilesCommand};
use crate::error::CliError;
use crate::output::Table;
use crate::output::documents::ListedFile;

/// A `source` with more than this is none: age files in base64 of what a variable or a file of keys may hold.
const LARGEST: u64 = 4 * 1024 * 1024;

/// The name under which providers are asked; `[files]` has none of its own.
const REQUEST_NAME: &str = "FNOX_FILE";

pub(crate) fn run(app: &App, args: FilesArgs) -> Result<(), CliError> {
    let config = app.loader().load_global()?;
    match args.command {
        None => list(app, &config, false),
        Some(FilesCommand::List { json }) => list(app, &config, json),
        Some(FilesCommand::Write { paths, dry_run }) => write(app, &config, &paths, dry_run),
    }
}

/// An entry of `[files]`.
#[derive(Debug)]
struct Entry<'c> {
    /// As it is written.
    key: &'c str,
    path: PathBuf,
    fields: &'c Fields,
}

impl Entry<'_> {
    /// The provider that keeps it.
    fn provider<'c>(&self, config: &'c Config) -> Result<&'c str, CliError> {
        let named = self.fields.text("provider");
        let default = || {
            config
                .default_provider()
                .map(|name| name.as_str().to_owned())
        };
        let Some(name) = named.map(str::to_owned).or_else(default) else {
            return Err(self
                .fields
                .invalid("provider", "is missing, and there is no default provider")
                .into());
        };
        let place = self.fields.location_of("provider");
        let provider = config.provider(&name, Some(place))?;
        if provider.spec.name == "plain" {
            let reason =
                "is of the type `plain`, which keeps values in clear; a file may hold a key";
            return Err(self.fields.invalid("provider", reason).into());
        }
        Ok(provider.name.as_str())
    }

    /// What the provider knows it by, and that provider: those of the encrypted copy, if there is one.
    fn source<'c>(&self, app: &App, config: &'c Config) -> Result<(&'c str, String), CliError> {
        let provider = self.provider(config)?;
        if let Some(copy) = self.fields.table("sync") {
            let (Some(name), Some(value)) = (copy.text("provider"), copy.text("value")) else {
                return Err(copy
                    .invalid("provider", "needs `provider` and `value`")
                    .into());
            };
            let place = copy.location_of("provider");
            let provider = config.provider(name, Some(place))?;
            return Ok((provider.name.as_str(), value.to_owned()));
        }
        if let Some(value) = self.fields.text("value") {
            return Ok((provider, value.to_owned()));
        }
        let source = self.fields.text("source").unwrap_or_default();
        Ok((provider, read_source(app, self.fields, source)?))
    }
}

/// A file of the configuration folder. Links that lead out of it are not followed.
fn read_source(app: &App, fields: &Fields, source: &str) -> Result<String, CliError> {
    let path = fields.location_of("source").file.folder().join(source);
    let failed = |error| CliError::File {
        action: "read",
        path: path.clone(),
        source: error,
    };
    let real = path.canonicalize().map_err(failed)?;
    let folder = app.folders.config.canonicalize().map_err(failed)?;
    if !real.starts_with(&folder) {
        let reason = "leads out of the configuration folder";
        return Err(fields.invalid("source", reason).into());
    }
    if real.metadata().map_err(failed)?.len() > LARGEST {
        return Err(fields.invalid("source", "is larger than 4 MiB").into());
    }
    let text = std::fs::read_to_string(&real).map_err(failed)?;
    Ok(text.trim().to_owned())
}

fn entries<'c>(app: &App, config: &'c Config) -> Result<Vec<Entry<'c>>, CliError> {
    let mut out: Vec<Entry<'c>> = Vec::new();
    for (key, fields) in &config.settings.files {
        let path = resolve_path(key, Path::new("/"), app.folders.home());
        if !path.is_absolute() || path.starts_with("/~") {
            let reason = "begins with `~`, and the environment names no home folder";
            return Err(fields.invalid(key, reason).into());
        }
        if let Some(other) = out.iter().find(|other| other.path == path) {
            let reason = format!("is the same file as `{}`", other.key);
            return Err(fields.invalid(key, reason).into());
        }
        out.push(Entry { key, path, fields });
    }
    Ok(out)
}

fn list(app: &App, config: &Config, json: bool) -> Result<(), CliError> {
    let entries = entries(app, config)?;
    let mut files = Vec::with_capacity(entries.len());
    for entry in &entries {
        files.push(ListedFile {
            path: entry.path.display().to_string(),
            provider: entry.provider(config)?.to_owned(),
            source: entry.fields.text("source").map(str::to_owned),
            description: entry.fields.text("description").map(str::to_owned),
            exists: entry.path.symlink_metadata().is_ok(),
        });
    }
    if json {
        return app.printer.json(&files);
    }
    if files.is_empty() {
        app.printer
            .note("No files are configured: `[files]` of the global file declares them.");
        return Ok(());
    }
    let mut table = Table::new(&["Path", "Provider", "Description", "There"], false);
    for file in files {
        table.row(vec![
            file.path,
            file.provider,
            file.description.unwrap_or_default(),
            if file.exists { "yes" } else { "no" }.to_owned(),
        ]);
    }
    app.printer.line(&table.render())
}

fn write(app: &App, config: &Config, paths: &[PathBuf], dry_run: bool) -> Result<(), CliError> {
    let entries = chosen(app, entries(app, config)?, paths)?;
    if entries.is_empty() {
        app.printer
            .note("No files are configured: `[files]` of the global file declares them.");
        return Ok(());
    }
    let contents = resolve(app, config, &entries)?;
    for (entry, content) in entries.iter().zip(&contents) {
        let state = State::of(&entry.path, content);
        let path = entry.path.display();
        match (state, dry_run) {
            (State::Folder, _) => {
                return Err(CliError::File {
                    action: "write",
                    path: entry.path.clone(),
                    source: std::io::Error::other("it is a folder"),
                });
            }
            (State::Same, true) => app.printer.line(&format!("[dry-run] {path} stays"))?,
            (State::Other, true) => app.printer.line(&format!("[dry-run] would write {path}"))?,
            (State::Same, false) => app.printer.note(&format!("{path} is as it should be")),
            (State::Other, false) => {
                replace(&entry.path, content).map_err(|source| CliError::File {
                    action: "write",
                    path: entry.path.clone(),
                    source,
                })?;
                app.printer.done(&format!("Wrote {path}"));
            }
        }
    }
    Ok(())
}

/// Those whose paths are named, in the order of the configuration; all without a name.
fn chosen<'c>(
    app: &App,
    entries: Vec<Entry<'c>>,
    paths: &[PathBuf],
) -> Result<Vec<Entry<'c>>, CliError> {
    if paths.is_empty() {
        return Ok(entries);
    }
    let is = |entry: &Entry<'_>, path: &Path| {
        Path::new(entry.key) == path || entry.path == app.cwd.join(path)
    };
    for path in paths {
        if !entries.iter().any(|entry| is(entry, path)) {
            let known: Vec<String> = entries.iter().map(|entry| entry.key.to_owned()).collect();
            let name = path.to_string_lossy();
            let near = suggest::nearest(&name, known.iter().map(String::as_str));
            return Err(CliError::Config(ConfigError::UnknownName {
                location: None,
                kind: "file",
                name: name.escape_debug().to_string(),
                suggestion: near.map(str::to_owned),
                known,
            }));
        }
    }
    let named = entries
        .into_iter()
        .filter(|entry| paths.iter().any(|path| is(entry, path)));
    Ok(named.collect())
}

/// The contents of all of them, or the first failure.
fn resolve(
    app: &App,
    config: &Config,
    entries: &[Entry<'_>],
) -> Result<Vec<SecretString>, CliError> {
    let resolver = Resolver::new(config, app.resolver_options(config));
    let name =
        SecretName::parse(REQUEST_NAME).map_err(|error| CliError::usage(error.to_string()))?;
    let mut sources = Vec::with_capacity(entries.len());
    for entry in entries {
        sources.push(entry.source(app, config)?);
    }
    block_on(async {
        let mut out = Vec::with_capacity(sources.len());
        for (entry, (provider, reference)) in entries.iter().zip(sources) {
            let opened = resolver.open(provider).await?;
            let request = Request {
                name: name.clone(),
                reference,
            };
            let content = get(opened.provider.as_ref(), request).await;
            out.push(content.map_err(|mut error| {
                error.message = format!("{}: {}", entry.path.display(), error.message);
                CliError::Provider {
                    provider: provider.to_owned(),
                    action: "give a file",
                    error,
                }
            })?);
        }
        Ok(out)
    })?
}

/// What stands at a file's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Exactly this file, private.
    Same,
    /// Nothing, another file, or a link.
    Other,
    Folder,
}

impl State {
    fn of(path: &Path, content: &SecretString) -> Self {
        let Ok(metadata) = path.symlink_metadata() else {
            return Self::Other;
        };
        if metadata.is_dir() {
            return Self::Folder;
        }
        let is_private = metadata.is_file() && metadata.permissions().mode() & 0o7777 == 0o600;
        let length = u64::try_from(content.expose_secret().len()).ok();
        if !is_private || Some(metadata.len()) != length {
            return Self::Other;
        }
        let before = std::fs::read(path).map(zeroize::Zeroizing::new);
        match before {
            Ok(before) if *before == content.expose_secret().as_bytes() => Self::Same,
            _ => Self::Other,
        }
    }
}

/// Replaces whatever stands there, a link included.
fn replace(path: &Path, content: &SecretString) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let private = std::fs::Permissions::from_mode(0o600);
    edit::write_atomically(path, content.expose_secret().as_bytes(), Some(private))
}
