//! `fnox set --file`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use fnox_config::edit::{Change, Editor};
use fnox_config::fields::resolve_path;
use fnox_config::spec::Capability;
use fnox_config::{Config, FileKind, ProviderConfig};
use fnox_core::{ProviderName, SecretBytes, SecretString};

use super::entry::{self, Entry, LARGEST};
use super::stored::{Stored, store};
use super::{entries, global};
use crate::app::App;
use crate::args::SetArgs;
use crate::audit::{self, Changed};
use crate::commands::definition::Definition;
use crate::commands::{chain, set};
use crate::error::CliError;

/// One `fnox set --file`.
struct Setting<'a> {
    app: &'a App,
    args: &'a SetArgs,
    config: &'a Config,
    existing: Option<&'a Entry<'a>>,
    /// As the entry is or will be written.
    key: String,
    provider: &'a ProviderConfig,
}

pub(in crate::commands) fn run(app: &App, args: &SetArgs, path: &Path) -> Result<(), CliError> {
    let config = global(app)?;
    let all = entries(app, &config)?;
    let existing = all.iter().find(|entry| entry::is(app, entry, path));
    let key = match existing {
        Some(entry) => entry.key.to_owned(),
        None => new_key(app, path)?,
    };
    let setting = Setting {
        app,
        args,
        config: &config,
        existing,
        key,
        provider: provider(&config, args, existing)?,
    };
    let content = setting.content(path)?;
    setting.check(content.as_ref())?;
    if args.dry_run {
        return setting.dry_run(content.as_ref());
    }
    let changed = [Changed::file(
        setting.path().display(),
        Some(&setting.provider.name),
    )];
    let change = audit::Change::FileSet;
    audit::changing(app, Some(&config), change, changed, || {
        setting.write(content)
    })?;
    app.printer.done(&format!("Set {} (global)", setting.key));
    Ok(())
}

/// How a path is written: with `~` below the home folder, so that the file means the same to all of a person's machines.
fn new_key(app: &App, path: &Path) -> Result<String, CliError> {
    let text = |path: &Path| {
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| CliError::usage(format!("the path {} is not UTF-8", path.display())))
    };
    if path.starts_with("~") {
        return text(path);
    }
    let path = app.cwd.join(path);
    let home = app.folders.home().filter(|home| home.is_absolute());
    match home.and_then(|home| path.strip_prefix(home).ok()) {
        Some(below) => Ok(format!("~/{}", text(below)?)),
        None => text(&path),
    }
}

fn provider<'c>(
    config: &'c Config,
    args: &SetArgs,
    existing: Option<&Entry<'_>>,
) -> Result<&'c ProviderConfig, CliError> {
    let provider = match (&args.provider, existing) {
        (Some(name), _) => config.provider(name, None)?,
        (None, Some(entry)) => return entry.provider(config),
        (None, None) => {
            let default = config.default_provider().map(ProviderName::as_str);
            let name = default.ok_or_else(|| CliError::Usage {
                message: "nothing says which provider keeps the file".to_owned(),
                help: Some(
                    "name one of the global file with `-p` (`fnox provider add -g NAME age` makes one)"
                        .to_owned(),
                ),
            })?;
            config.provider(name, None)?
        }
    };
    if provider.spec.name == "plain" {
        let name = &provider.name;
        return Err(CliError::usage(format!(
            "the provider `{name}` keeps values in clear, and a file may hold a key"
        )));
    }
    Ok(provider)
}

impl Setting<'_> {
    /// The file itself.
    fn path(&self) -> PathBuf {
        resolve_path(&self.key, &self.app.cwd, self.app.folders.home())
    }

    /// From `--from-file`, from a pipe, or what stands in the file's place now. `None`: only the description is to change.
    fn content(&self, path: &Path) -> Result<Option<SecretString>, CliError> {
        if let Some(file) = &self.args.from_file {
            return read_file(file).map(Some);
        }
        if self.provider.capability == Capability::ReadsOnly {
            return Ok(None);
        }
        let piped = set::piped_exactly()?;
        if let Some(piped) = piped.filter(|piped| !piped.is_empty()) {
            return Ok(Some(piped));
        }
        let args = self.args;
        let changes_more = args.provider.is_some() || args.source.is_some();
        if self.existing.is_some() && args.description.is_some() && !changes_more {
            return Ok(None);
        }
        let place = match self.existing {
            Some(entry) => entry.path.clone(),
            None => resolve_path(
                &path.to_string_lossy(),
                &self.app.cwd,
                self.app.folders.home(),
            ),
        };
        if !place.is_file() {
            return Err(CliError::Usage {
                message: format!("there is no content for `{}`", self.key),
                help: Some(
                    "give it with --from-file or through a pipe, or put the file in its place first"
                        .to_owned(),
                ),
            });
        }
        read_file(&place).map(Some)
    }

    /// What cannot be meant.
    fn check(&self, content: Option<&SecretString>) -> Result<(), CliError> {
        let Self { args, provider, .. } = self;
        let (name, label) = (&provider.name, provider.spec.label);
        let refuse = |message: String, help: &str| {
            Err(CliError::Usage {
                message,
                help: Some(help.to_owned()),
            })
        };
        let is_only_described =
            content.is_none() && args.description.is_some() && args.provider.is_none();
        match provider.capability {
            Capability::EncryptsInConfig if args.key_name.is_some() => refuse(
                format!("`{name}` ({label}) keeps the content in the configuration, under no name"),
                "leave `--key-name` out",
            ),
            Capability::EncryptsInConfig => Ok(()),
            _ if args.source.is_some() => refuse(
                format!("`{name}` ({label}) keeps the content itself, so that no file holds it"),
                "leave `--source` out",
            ),
            Capability::StoresRemotely if self.reference().is_none() => refuse(
                format!(
                    "nothing says what `{}` is called in `{name}` ({label})",
                    self.key
                ),
                "name it with `--key-name`",
            ),
            Capability::ReadsOnly if content.is_some() => refuse(
                format!("`{name}` ({label}) only reads"),
                "name what is there with `--key-name`, or another provider with `-p`",
            ),
            Capability::ReadsOnly if args.key_name.is_none() && !is_only_described => refuse(
                format!("nothing says which value of `{name}` ({label}) the file is"),
                "name it with `--key-name`",
            ),
            _ => Ok(()),
        }
    }

    /// What the provider knows the content by, or will.
    fn reference(&self) -> Option<String> {
        let own = self.args.key_name.clone();
        own.or_else(|| {
            let entry = self.existing?;
            let same = entry.provider(self.config).ok()?.name == self.provider.name;
            let value = entry.fields.text("value").filter(|_| same)?;
            Some(value.to_owned())
        })
    }

    /// `--source`, else where the ciphertext stands now.
    fn source(&self) -> Option<String> {
        if self.provider.capability != Capability::EncryptsInConfig {
            return None;
        }
        let present = || self.existing?.fields.text("source").map(str::to_owned);
        self.args.source.clone().or_else(present)
    }

    fn stored(&self, content: Option<SecretString>) -> Result<Option<Stored>, CliError> {
        let value = match content {
            Some(content) => {
                let reference = self.reference().unwrap_or_default();
                store(
                    self.app,
                    self.config,
                    self.provider,
                    &self.key,
                    &reference,
                    content,
                )?
            }
            None => match &self.args.key_name {
                Some(reference) => reference.clone(),
                None => return Ok(None),
            },
        };
        let source = self.source();
        Ok(Some(Stored { value, source }))
    }

    fn write(&self, content: Option<SecretString>) -> Result<(), CliError> {
        let definition = match self.existing {
            Some(entry) => entry.definition()?,
            None => Definition {
                file: self.app.folders.global_file(),
                kind: FileKind::Global,
                table: vec!["files".to_owned()],
                profile: None,
            },
        };
        // Refused before anything is stored.
        let place = Stored {
            value: String::new(),
            source: self.source(),
        };
        place.place(self.app)?;
        let stored = self.stored(content)?;
        let mut editor = Editor::open(definition.path(), definition.kind.clone())?;
        let mut changes = Vec::new();
        if self.args.provider.is_some() || self.existing.is_none() {
            changes.push(("provider", Change::text(self.provider.name.as_str())));
        }
        if let Some(stored) = &stored {
            changes.extend(stored.changes());
        }
        if let Some(text) = &self.args.description {
            changes.push(("description", Change::text(text)));
        }
        if self.existing.is_none() {
            // A new entry has nothing that could be taken out.
            changes.retain(|(_, change)| matches!(change, Change::Set(_)));
        }
        editor.set(&definition.table(), &self.key, &changes)?;
        if let Some(stored) = &stored {
            stored.write_source(self.app)?;
        }
        Ok(editor.save(&self.app.folders)?)
    }

    fn dry_run(&self, content: Option<&SecretString>) -> Result<(), CliError> {
        let file = self.app.folders.global_file();
        let mut text = format!("[dry-run] would set {} in {}", self.key, file.display());
        let mut add = |key: &str, value: &str| text.push_str(&["\n  ", key, ": ", value].concat());
        add("provider", self.provider.name.as_str());
        let source = self.source();
        match (content, chain::encrypts(self.provider)) {
            (Some(_), true) if source.is_none() => add("value", "<encrypted>"),
            (Some(_), true) => {}
            (Some(_), false) => add("value", &self.reference().unwrap_or_default()),
            (None, _) => {
                if let Some(reference) = &self.args.key_name {
                    add("value", reference);
                }
            }
        }
        if let Some(source) = &source {
            add("source", source);
        }
        if let Some(description) = &self.args.description {
            add("description", description);
        }
        self.app.printer.line(&text)
    }
}

/// A content, exactly.
fn read_file(path: &Path) -> Result<SecretString, CliError> {
    let failed = |source| CliError::File {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let unfit = |reason: &str| CliError::Input {
        what: path.display().to_string(),
        reason: reason.to_owned(),
        help: Some("a file that a provider keeps is text, of up to 4 MiB".to_owned()),
    };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if size > LARGEST {
        return Err(unfit("is larger than 4 MiB"));
    }
    // With room for all of it, so that no part is left behind by a buffer that grew.
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0)));
    file.by_ref()
        .take(LARGEST)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    SecretBytes::new(std::mem::take(&mut *bytes))
        .into_string()
        .map_err(|_| unfit("is not UTF-8 text"))
}
