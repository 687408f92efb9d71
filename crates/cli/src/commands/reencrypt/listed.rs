//! What would be encrypted anew (`-n`), and what needs it (`--check`). Nothing is changed.

use fnox_config::{Config, Location};
use fnox_core::ProviderName;

use super::{what_of_files, what_of_secrets};
use crate::app::{App, block_on};
use crate::args::ReencryptArgs;
use crate::commands::chain;
use crate::error::CliError;
use crate::output::documents::StoredValue;

pub(super) const NOTHING: &str = "There is nothing to encrypt anew.";

/// A value that can be encrypted anew, of a secret or of a whole file.
pub(super) struct Listed<'a> {
    /// The configuration whose providers open and encrypt it.
    pub(super) config: &'a Config,
    /// The secret's name, or the file's path as `[files]` has it.
    pub(super) name: &'a str,
    pub(super) is_file: bool,
    /// Those of its providers that encrypt.
    pub(super) providers: &'a [ProviderName],
    /// The ciphertext.
    pub(super) stored: &'a str,
    /// Whether it may be what a provider that does not encrypt knows the value by.
    pub(super) may_be_reference: bool,
    /// The place of its key.
    pub(super) location: &'a Location,
}

pub(super) fn run(app: &App, args: &ReencryptArgs, all: &[Listed<'_>]) -> Result<(), CliError> {
    if all.is_empty() {
        if args.json {
            return app.printer.json(&Vec::<StoredValue>::new());
        }
        app.printer.note(NOTHING);
        return Ok(());
    }
    if args.check {
        return check(app, all, args.json);
    }
    if args.json {
        let documents: Vec<StoredValue> = all.iter().map(|it| it.document(None)).collect();
        return app.printer.json(&documents);
    }
    let what = what(all);
    app.printer
        .line(&format!("[dry-run] would encrypt {what} anew"))?;
    all.iter().try_for_each(|it| {
        let path = it.location.file.path.display();
        app.printer.line(&format!("  {} in {path}", it.shown()))
    })
}

/// How many secrets and files.
fn what(all: &[Listed<'_>]) -> String {
    let files = all.iter().filter(|it| it.is_file).count();
    match (all.len() - files, files) {
        (secrets, 0) => what_of_secrets(secrets),
        (0, files) => what_of_files(files),
        (secrets, files) => format!("{} and {}", what_of_secrets(secrets), what_of_files(files)),
    }
}

/// Lists the values that are not encrypted to what the configuration says today.
fn check(app: &App, all: &[Listed<'_>], json: bool) -> Result<(), CliError> {
    let current = block_on(are_current(app, all))??;
    let told = || all.iter().zip(&current);
    for (unknown, _) in told().filter(|(_, current)| current.is_none()) {
        app.printer.warn(&format!(
            "`{}`: the provider `{}` cannot tell to whom a value is encrypted",
            unknown.name,
            chain::shown(unknown.providers)
        ));
    }
    let drifted = told().filter(|(_, current)| **current == Some(false));
    let found = drifted.clone().count();
    if json {
        let documents = told().map(|(it, current)| it.document(*current));
        app.printer.json(&documents.collect::<Vec<StoredValue>>())?;
    } else {
        for (it, _) in drifted {
            let (file, line) = (it.location.file.path.display(), it.location.line());
            app.printer.line(&format!("{} {file}:{line}", it.shown()))?;
        }
    }
    if found == 0 {
        app.printer.done(&format!(
            "{}{} value{} encrypted as the configuration says",
            if all.len() == 1 { "" } else { "All " },
            all.len(),
            are(all.len())
        ));
        return Ok(());
    }
    Err(CliError::failed(format!(
        "{found} of {} value{} not encrypted as the configuration says: run `fnox reencrypt`",
        all.len(),
        are(all.len())
    )))
}

/// Of each whether it is encrypted as the configuration says; `None` if its providers cannot tell.
async fn are_current(app: &App, all: &[Listed<'_>]) -> Result<Vec<Option<bool>>, CliError> {
    let mut current = Vec::with_capacity(all.len());
    for it in all {
        let resolver = app.resolver(it.config);
        let mut told = Vec::new();
        for provider in it.providers {
            let opened = resolver.open(provider.as_str()).await?;
            told.push(opened.provider.is_current(it.stored));
        }
        current.push(if told.contains(&Some(true)) {
            Some(true)
        } else if told.contains(&None) || it.may_be_reference {
            None
        } else {
            Some(false)
        });
    }
    Ok(current)
}

fn are(count: usize) -> &'static str {
    if count == 1 { " is" } else { "s are" }
}

impl Listed<'_> {
    /// `NAME (PROVIDER)`
    fn shown(&self) -> String {
        let file = if self.is_file { "file, " } else { "" };
        format!("{} ({file}{})", self.name, chain::shown(self.providers))
    }

    fn document(&self, current: Option<bool>) -> StoredValue {
        StoredValue {
            name: self.name.to_owned(),
            kind: if self.is_file { "file" } else { "secret" },
            providers: self.providers.iter().map(ToString::to_string).collect(),
            source: self.location.file.path.display().to_string(),
            line: self.location.line(),
            current,
        }
    }
}
