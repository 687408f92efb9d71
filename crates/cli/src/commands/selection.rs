//! Which secrets a command is about: `--only`, `--except`, names on the command line.

use fnox_config::Config;
use fnox_core::SecretName;
use globset::{Glob, GlobMatcher};

use crate::error::CliError;

/// `--only` and `--except`.
#[derive(Debug)]
pub(crate) struct Selection {
    only: Vec<Pattern>,
    except: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    text: String,
    matcher: GlobMatcher,
}

impl Selection {
    /// Reads the patterns: exact names or globs (`*`, `?`, `[…]`).
    pub(crate) fn new(only: &[String], except: &[String]) -> Result<Self, CliError> {
        Ok(Self {
            only: patterns(only)?,
            except: patterns(except)?,
        })
    }

    /// Whether anything is selected at all; then leases whose variables are not known beforehand are out.
    pub(crate) fn is_filtered(&self) -> bool {
        !self.only.is_empty() || !self.except.is_empty()
    }

    pub(crate) fn selects(&self, name: &str) -> bool {
        let matches = |patterns: &[Pattern]| {
            patterns
                .iter()
                .any(|pattern| pattern.matcher.is_match(name))
        };
        (self.only.is_empty() || matches(&self.only)) && !matches(&self.except)
    }

    /// Refuses `--only` patterns that nothing among `available` can satisfy, before anything is resolved.
    pub(crate) fn require<'a, I>(&self, available: I, config: &Config) -> Result<(), CliError>
    where
        I: IntoIterator<Item = &'a str>,
    {
        let available: Vec<&str> = available.into_iter().collect();
        let unmet: Vec<&str> = self
            .only
            .iter()
            .filter(|pattern| !available.iter().any(|name| pattern.matcher.is_match(name)))
            .map(|pattern| pattern.text.as_str())
            .collect();
        if unmet.is_empty() {
            return Ok(());
        }
        let hidden = unmet.iter().find_map(|name| config.secrets.get(*name));
        let help = match hidden {
            Some(secret) => format!(
                "`{}` has `env = false`, which keeps it from programs",
                secret.name
            ),
            None => unmet
                .iter()
                .find_map(|name| fnox_config::suggest::nearest(name, available.iter().copied()))
                .map_or_else(
                    || "`fnox list` shows what there is".to_owned(),
                    |name| format!("did you mean `{name}`?"),
                ),
        };
        Err(CliError::Usage {
            message: format!("`--only` cannot provide: {}", unmet.join(", ")),
            help: Some(help),
        })
    }
}

/// The names on a command line as secrets of the configuration.
pub(crate) fn named(config: &Config, keys: &[String]) -> Result<Vec<SecretName>, CliError> {
    keys.iter()
        .map(|key| Ok(config.secret(key)?.name.clone()))
        .collect()
}

fn patterns(texts: &[String]) -> Result<Vec<Pattern>, CliError> {
    texts
        .iter()
        .map(|text| {
            let glob = Glob::new(text).map_err(|error| {
                CliError::usage(format!("`{text}` is not a name or glob: {error}"))
            })?;
            Ok(Pattern {
                text: text.clone(),
                matcher: glob.compile_matcher(),
            })
        })
        .collect()
}
