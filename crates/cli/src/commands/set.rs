//! `fnox set`

mod generate;
mod report;

use std::io::{IsTerminal as _, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fnox_config::edit::{Change, Editor};
use fnox_config::spec::Capability;
use fnox_config::{Config, ProviderConfig, SecretConfig};
use fnox_core::{ProfileName, SecretBytes, SecretName, SecretString};

use super::sync::apart;
use super::{chain, files};
use crate::app::{App, block_on};
use crate::args::SetArgs;
use crate::audit::{self, Changed};
use crate::error::CliError;

/// Where a new value ended up.
struct Stored {
    provider: Option<String>,
    value: String,
}

/// One `fnox set`.
struct Setting<'a> {
    app: &'a App,
    args: &'a SetArgs,
    name: SecretName,
    /// `None`: the first `set` in a folder makes the file.
    config: Option<&'a Config>,
    profile: Option<&'a ProfileName>,
    existing: Option<&'a SecretConfig>,
    provider: Option<&'a ProviderConfig>,
}

pub(crate) fn run(app: &App, args: &SetArgs) -> Result<(), CliError> {
    if let Some(path) = &args.file {
        return files::set::run(app, args, path);
    }
    set(app, args, |name, provider| value(app, args, name, provider))
}

/// Stores a value that somebody typed elsewhere, as `fnox set KEY` would.
pub(crate) fn typed(app: &App, key: &str, value: SecretString) -> Result<(), CliError> {
    set(app, &SetArgs::of(key), |_, _| Ok(Some(value)))
}

fn set(
    app: &App,
    args: &SetArgs,
    value: impl FnOnce(&SecretName, Option<&ProviderConfig>) -> Result<Option<SecretString>, CliError>,
) -> Result<(), CliError> {
    // Without a file there is a name.
    let key = args.key.as_deref().unwrap_or_default();
    let name = SecretName::parse(key).map_err(|error| CliError::usage(error.to_string()))?;
    let (config, profile) = match app.load_for_adding() {
        Ok((config, profile)) => (Some(config), profile),
        Err(CliError::Config(fnox_config::ConfigError::NotFound { .. })) => {
            (None, app.write_target()?)
        }
        Err(error) => return Err(error),
    };
    let existing = config.as_ref().and_then(|config| config.secrets.get(&name));
    let provider = provider(config.as_ref(), args, existing)?;
    if args.generate && !args.force && existing.is_some_and(|secret| secret.value.is_some()) {
        return Err(CliError::Usage {
            message: format!("`{name}` has a value, which would be lost"),
            help: Some("add `--force` to replace it by a generated one".to_owned()),
        });
    }
    if let Some(provider) =
        provider.filter(|it| it.capability == Capability::ReadsOnly && args.generate)
    {
        return Err(CliError::Usage {
            message: format!(
                "the provider `{}` ({}) only reads, so a generated value would reach nobody",
                provider.name, provider.spec.label
            ),
            help: Some("name one that stores values with `-p`".to_owned()),
        });
    }
    let is_chosen = |is_set: bool| match config.as_ref().filter(|_| is_set && provider.is_none()) {
        Some(config) => must_be_chosen(config, &name, existing),
        None => Ok(()),
    };
    is_chosen(!only_metadata(app, args))?;
    let value = value(&name, provider)?;
    is_chosen(value.is_some())?;
    let setting = Setting {
        app,
        args,
        name,
        config: config.as_ref(),
        profile: profile.as_ref(),
        existing,
        provider,
    };
    if args.dry_run {
        return setting.dry_run(value.as_ref());
    }
    let changed = Changed::secret(
        &setting.name,
        setting.provider.map(|provider| &provider.name),
        setting.profile,
    );
    let (file, _) = app.file_to_write(args.global, setting.profile);
    let is_first = !file.exists();
    let stored = audit::changing(app, setting.config, audit::Change::Set, [changed], || {
        let stored = value.as_ref().map(|value| setting.store(value));
        let stored = stored.transpose()?;
        setting.write(stored.as_ref())?;
        Ok(stored)
    })?;
    app.printer.done(&format!(
        "Set {}{}{}{}",
        setting.name,
        suffix(setting.profile, args.global),
        report::in_new_file(&file, is_first),
        setting.kept_as(stored.as_ref())
    ));
    setting.tell_others(stored.as_ref());
    setting.tell_who_wins(&file);
    match value.filter(|_| args.generate && args.show) {
        Some(value) => app.printer.line(value.expose_secret()),
        None => Ok(()),
    }
}

/// ` (profile p) (global)`, as far as it applies.
pub(crate) fn suffix(profile: Option<&ProfileName>, global: bool) -> String {
    let profile = profile
        .map(|profile| format!(" (profile {profile})"))
        .unwrap_or_default();
    let global = if global { " (global)" } else { "" };
    profile + global
}

/// Whether nothing but other keys are to change, unless a value comes all the same.
fn only_metadata(app: &App, args: &SetArgs) -> bool {
    args.key_name.is_none()
        && (args.description.is_some() || args.default.is_some() || app.if_missing.is_some())
        && args.value.is_none()
        && args.from_file.is_none()
        && !args.generate
}

/// Of several providers one must be named: a value that was meant for one of them must not end in clear.
fn must_be_chosen(
    config: &Config,
    name: &SecretName,
    existing: Option<&SecretConfig>,
) -> Result<(), CliError> {
    let is_plain = existing.is_some_and(|secret| secret.value.is_some());
    if config.providers.is_empty() || is_plain {
        return Ok(());
    }
    let names: Vec<String> = config
        .providers
        .keys()
        .map(|name| format!("`{name}`"))
        .collect();
    Err(CliError::Usage {
        message: format!(
            "`{name}` can go to {}, and nothing says to which",
            names.join(" or ")
        ),
        help: Some(
            "name one with `-p`, or the usual one with `default_provider` in fnox.toml".to_owned(),
        ),
    })
}

/// The value, `None` if only other keys are to change.
fn value(
    app: &App,
    args: &SetArgs,
    name: &SecretName,
    provider: Option<&ProviderConfig>,
) -> Result<Option<SecretString>, CliError> {
    let only_metadata = only_metadata(app, args);
    let only_reads = provider.filter(|it| it.capability == Capability::ReadsOnly);
    let is_piped = args.value.is_none() && !args.generate && !std::io::stdin().is_terminal();
    let is_brought = args.from_file.is_some() || is_piped && !only_metadata;
    if let Some(provider) = only_reads.filter(|_| is_brought) {
        return Err(would_stand_in_clear(name, provider));
    }
    let value = if args.generate {
        Some(generate::value(args.generate_type, args.length))
    } else if let Some(path) = &args.from_file {
        let bytes = std::fs::read(path).map_err(|source| CliError::File {
            action: "read",
            path: path.clone(),
            source,
        })?;
        Some(text(SecretBytes::new(bytes), &path.display().to_string())?)
    } else if let Some(value) = &args.value {
        Some(SecretString::from(value.as_str()))
    } else if !std::io::stdin().is_terminal() {
        piped()?.filter(|value| !(only_metadata && value.is_empty()))
    } else if only_metadata {
        None
    } else {
        // What is typed stands in the configuration, so it need not be hidden, and must not look as if it were.
        let typed = match only_reads {
            Some(provider) => {
                let question = format!("Where {name} is in {} (no value)", provider.name);
                app.prompt.text(&question).map(SecretString::from)
            }
            None => app.prompt.secret(&format!("Value of {name}")),
        };
        Some(typed.ok_or_else(|| CliError::Usage {
            message: format!("there is no value for `{name}`"),
            help: Some("give it as an argument, with --from-file, or through a pipe".to_owned()),
        })?)
    };
    let value = match value {
        Some(value) if value.is_empty() && !only_metadata && args.value.is_none() => {
            return Err(CliError::Usage {
                message: format!("the value for `{name}` is empty"),
                help: Some(
                    "to store an empty text on purpose, give `\"\"` as the argument".to_owned(),
                ),
            });
        }
        value => value,
    };
    Ok(value.map(|value| {
        if args.base64_encode {
            SecretString::new(BASE64.encode(value.expose_secret()))
        } else {
            value
        }
    }))
}

/// Pipes and files bring values, and a provider that only reads is told a place.
fn would_stand_in_clear(name: &SecretName, provider: &ProviderConfig) -> CliError {
    CliError::Usage {
        message: format!(
            "the provider `{}` ({}) only reads: what is given for `{name}` would stand in clear in fnox.toml, as the place of the \
             value",
            provider.name, provider.spec.label
        ),
        help: Some(
            "store the value there by its own program, and give its place as the argument"
                .to_owned(),
        ),
    }
}

/// What a pipe brings, without the end of its only line: `echo x |` means `x`. A text of several lines, such as a key, is
/// kept as it is, and so are spaces. `--from-file /dev/stdin` takes all of it exactly.
fn piped() -> Result<Option<SecretString>, CliError> {
    let value = piped_exactly()?;
    Ok(value.map(|value| SecretString::from(only_line(value.expose_secret()))))
}

fn only_line(text: &str) -> &str {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains('\n') { text } else { line }
}

/// Whether there is no stdin at all.
fn is_closed(error: &std::io::Error) -> bool {
    // EBADF. On Windows a standard stream that is missing reads as empty.
    cfg!(unix) && error.raw_os_error() == Some(9)
}

/// What a pipe brings. `None`: there is none, but a terminal, or nothing at all.
pub(super) fn piped_exactly() -> Result<Option<SecretString>, CliError> {
    if std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    match std::io::stdin().lock().read_to_end(&mut bytes) {
        Ok(_) => {}
        // A closed stdin brings nothing.
        Err(error) if is_closed(&error) => {
            return Ok(None);
        }
        Err(source) => {
            return Err(CliError::File {
                action: "read",
                path: "/dev/stdin".into(),
                source,
            });
        }
    }
    text(SecretBytes::new(std::mem::take(&mut *bytes)), "stdin").map(Some)
}

fn text(bytes: SecretBytes, what: &str) -> Result<SecretString, CliError> {
    bytes.into_string().map_err(|error| CliError::Input {
        what: what.to_owned(),
        reason: error.to_string(),
        help: Some("encode binary data first, for example with `base64`, and read it with `fnox get --base64-decode`".to_owned()),
    })
}

/// `--provider`, the secret's present one, the default one, none.
fn provider<'a>(
    config: Option<&'a Config>,
    args: &SetArgs,
    existing: Option<&SecretConfig>,
) -> Result<Option<&'a ProviderConfig>, CliError> {
    let Some(config) = config else {
        return match &args.provider {
            None => Ok(None),
            Some(name) => Err(CliError::usage(format!(
                "there is no provider `{name}`, because there is no configuration yet"
            ))),
        };
    };
    let name = match (&args.provider, existing.and_then(SecretConfig::provider)) {
        (Some(name), _) => Some(name.as_str()),
        (None, Some(name)) => Some(name.as_str()),
        (None, None) => config.default_provider().map(AsRef::as_ref),
    };
    match name {
        Some(name) => Ok(Some(config.provider(name, None)?)),
        None => Ok(None),
    }
}

impl Setting<'_> {
    fn store(&self, value: &SecretString) -> Result<Stored, CliError> {
        let (Some(config), Some(provider)) = (self.config, self.provider) else {
            self.app.printer.warn(&format!(
            "`{}` is stored as plain text, because there is no provider; add one with `fnox provider add`",
            self.name
        ));
            return Ok(Stored {
                provider: None,
                value: value.expose_secret().to_owned(),
            });
        };
        let stored = match provider.capability {
            // The value that was given is the reference.
            Capability::ReadsOnly => value.expose_secret().to_owned(),
            Capability::EncryptsInConfig => {
                if self.args.key_name.is_some() {
                    self.app.printer.warn(&format!(
                        "--key-name means nothing here: `{}` keeps no value anywhere else, but encrypts it into the file",
                        provider.name
                    ));
                }
                let failed = |error| CliError::Provider {
                    provider: provider.name.to_string(),
                    action: "encrypt the value",
                    error,
                };
                let work = async {
                    let opened = self
                        .app
                        .resolver(config)
                        .open(provider.name.as_str())
                        .await?;
                    let mut stored = opened
                        .provider
                        .encrypt(&[(self.name.clone(), value.clone())])
                        .await
                        .map_err(failed)?;
                    stored.pop().ok_or_else(|| {
                        failed(fnox_providers::ProviderError::unavailable(
                            "it answered nothing",
                        ))
                    })
                };
                block_on(work)??
            }
            Capability::StoresRemotely => {
                let same = self
                    .existing
                    .filter(|secret| config.provider_of(secret).as_ref() == Some(&provider.name));
                let reference = self
                    .args
                    .key_name
                    .clone()
                    .or_else(|| same.and_then(|secret| secret.value.clone()))
                    .unwrap_or_else(|| self.name.to_string());
                let failed = |error| CliError::Provider {
                    provider: provider.name.to_string(),
                    action: "store the value",
                    error,
                };
                let work = async {
                    let opened = self
                        .app
                        .resolver(config)
                        .open(provider.name.as_str())
                        .await?;
                    opened.provider.put(&reference, value).await.map_err(failed)
                };
                block_on(work)??
            }
        };
        Ok(Stored {
            provider: Some(provider.name.to_string()),
            value: stored,
        })
    }

    fn write(&self, stored: Option<&Stored>) -> Result<(), CliError> {
        let (path, kind) = self.app.file_to_write(self.args.global, self.profile);
        let mut editor = Editor::open(&path, kind)?;
        let table = editor.secrets_table(self.profile, self.name.as_str());
        let table: Vec<&str> = table.iter().map(String::as_str).collect();
        let mut changes: Vec<(&str, Change)> = Vec::new();
        let is_new_here = !editor.has(&table, self.name.as_str());
        if let Some(stored) = stored {
            if let Some(provider) = &stored.provider {
                changes.push(("provider", self.named(provider)));
            }
            // An entry that says `ref` keeps saying it.
            let uses_ref = !is_new_here
                && self
                    .existing
                    .is_some_and(|secret| secret.location_of("ref") != &secret.location);
            changes.push((
                if uses_ref { "ref" } else { "value" },
                Change::text(&stored.value),
            ));
            if stored.provider.is_none() {
                changes.push(("default", Change::text(&stored.value)));
            }
        }
        if is_new_here {
            changes.extend(inherited(self.existing));
        } else if stored.is_some_and(|stored| stored.provider.is_some())
            && self.existing.is_some_and(is_in_clear)
        {
            // It is the value from before, which somebody does not want to stand there any more.
            changes.push(("default", Change::Remove));
        }
        if let Some(text) = &self.args.description {
            changes.push(("description", Change::text(text)));
        }
        if let Some(text) = &self.args.default {
            changes.push(("default", Change::text(text)));
        }
        if let Some(action) = self.app.if_missing {
            changes.push(("if_missing", Change::text(&action.to_string())));
        }
        if stored.is_some()
            && self.existing.is_some_and(|secret| secret.sync.is_some())
            && !is_new_here
        {
            // The copy is of the old value.
            changes.push(("sync", Change::Remove));
        }
        editor.set(&table, self.name.as_str(), &last_of_each(changes))?;
        editor.save(&self.app.folders)?;
        match self.existing {
            Some(existing) if stored.is_some() => apart::forget(self.app, existing),
            _ => Ok(()),
        }
    }

    /// The provider as the entry names it. The rest of a chain stays as long as its first provider does.
    fn named(&self, provider: &str) -> Change {
        let chain = self.existing.filter(|secret| {
            secret
                .provider()
                .is_some_and(|name| name.as_str() == provider)
        });
        chain
            .and_then(|secret| chain::named(&secret.providers))
            .unwrap_or_else(|| Change::text(provider))
    }
}

/// Whether `set` without a provider wrote it: the value twice, once as its own default.
fn is_in_clear(secret: &SecretConfig) -> bool {
    secret.provider().is_none() && secret.value.is_some() && secret.value == secret.default
}

/// Of several changes to one key the last counts.
fn last_of_each(changes: Vec<(&str, Change)>) -> Vec<(&str, Change)> {
    let by_key: indexmap::IndexMap<&str, Change> = changes.into_iter().collect();
    by_key.into_iter().collect()
}

/// What an override of an inherited secret takes over from it, beside its value.
pub(crate) fn inherited(existing: Option<&SecretConfig>) -> Vec<(&'static str, Change)> {
    let Some(secret) = existing else {
        return Vec::new();
    };
    let mut out = Vec::new();
    let mut text = |key: &'static str, value: Option<&str>| {
        if let Some(value) = value {
            out.push((key, Change::text(value)));
        }
    };
    text("json_path", secret.json_path.as_deref());
    text("description", secret.description.as_deref());
    text(
        "if_missing",
        secret
            .if_missing
            .map(|action| action.to_string())
            .as_deref(),
    );
    if secret.as_file {
        out.push(("as_file", Change::Set(true.into())));
    }
    match secret.env {
        fnox_config::EnvMode::Always => {}
        fnox_config::EnvMode::Exec => out.push(("env", Change::text("exec"))),
        fnox_config::EnvMode::Never => out.push(("env", Change::Set(false.into()))),
    }
    out
}

#[cfg(test)]
mod tests {
    use super::only_line;

    #[test]
    fn the_end_of_an_only_line_is_no_part_of_a_value() {
        for (text, expected) in [
            ("x\n", "x"),
            ("x\r\n", "x"),
            ("  two spaces  ", "  two spaces  "),
            ("x\n\n", "x\n\n"),
            (
                "-----BEGIN-----\na\n-----END-----\n",
                "-----BEGIN-----\na\n-----END-----\n",
            ),
            ("\n", ""),
            ("", ""),
        ] {
            assert_eq!(only_line(text), expected, "{text:?}");
        }
    }
}
