//! What is said of a value that was set, or would be.

use std::path::Path;

use fnox_config::spec::Capability;
use fnox_core::SecretString;

use super::{Setting, Stored, suffix};
use crate::commands::chain;
use crate::error::CliError;

/// A file that was made may be another one than was meant: files of folders above are read, but not written to.
pub(super) fn in_new_file(file: &Path, is_first: bool) -> String {
    if is_first {
        format!(" in {}, a new file", file.display())
    } else {
        String::new()
    }
}

impl Setting<'_> {
    /// What became of the value, where that may surprise.
    pub(super) fn kept_as(&self, stored: Option<&Stored>) -> String {
        match self.provider {
            Some(provider) if stored.is_some() && provider.capability == Capability::ReadsOnly => {
                format!(
                    ": what was given stands in the file, as the place of the value in {}",
                    provider.name
                )
            }
            _ => String::new(),
        }
    }

    /// Tells which providers are not asked any more, because another one than the first was named.
    pub(super) fn tell_others(&self, stored: Option<&Stored>) {
        let (Some(new), Some(secret)) = (
            stored.and_then(|stored| stored.provider.as_deref()),
            self.existing,
        ) else {
            return;
        };
        let is_first = secret.provider().is_some_and(|name| name.as_str() == new);
        if !is_first && !secret.fallbacks().is_empty() {
            let before = chain::shown(&secret.providers);
            self.app.printer.warn(&format!(
                "`{}` comes from `{new}` alone now; it came from {before}",
                self.name
            ));
        }
    }

    /// Tells of another file that comes after the one that was written to.
    pub(super) fn tell_who_wins(&self, written: &Path) {
        // What is wrong in a file was told when it was read before.
        let Ok((config, _)) = self.app.load_for_writing() else {
            return;
        };
        let Some(secret) = config.secrets.get(&self.name) else {
            return;
        };
        let winner = &secret.location.file.path;
        let same = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if same(winner) != same(written) {
            self.app.printer.warn(&format!(
                "programs still get what {} says of `{}` in line {}: it counts more than {}",
                winner.display(),
                self.name,
                secret.location.line(),
                written.display()
            ));
        }
    }

    pub(super) fn dry_run(&self, value: Option<&SecretString>) -> Result<(), CliError> {
        let (path, _) = self.app.file_to_write(self.args.global, self.profile);
        let mut text = format!(
            "[dry-run] would set {}{} in {}",
            self.name,
            suffix(self.profile, self.args.global),
            path.display()
        );
        let mut add = |key: &str, value: &str| text.push_str(&["\n  ", key, ": ", value].concat());
        if let Some(provider) = self.provider {
            add("provider", provider.name.as_str());
        }
        if let Some(value) = value {
            match self.provider.map(|provider| provider.capability) {
                Some(Capability::ReadsOnly) => add(
                    "value",
                    &value.expose_secret().chars().take(50).collect::<String>(),
                ),
                Some(Capability::StoresRemotely) => add("value", "<stored by the provider>"),
                Some(Capability::EncryptsInConfig) => add("value", "<encrypted>"),
                None => add("value", "<plain text>"),
            }
        }
        for (key, value) in [
            ("description", &self.args.description),
            ("default", &self.args.default),
        ] {
            if let Some(value) = value {
                add(key, value);
            }
        }
        if let Some(action) = self.app.if_missing {
            add("if_missing", &action.to_string());
        }
        self.app.printer.line(&text)
    }
}
