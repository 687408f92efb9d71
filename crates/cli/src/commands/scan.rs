//! `fnox scan`: values that stand where everybody can read them.
//!
//! Patterns need no configuration; `--values` searches for the project's own secrets. A finding names its place and what it
//! looks like, never the value.

mod detectors;
mod files;
mod hook;

use std::path::Path;

use aho_corasick::AhoCorasick;
use fnox_core::{SecretName, SecretString};

use self::detectors::Detectors;
use self::files::Source;
use super::difference::readable;
use super::export::plural;
use crate::app::App;
use crate::args::ScanArgs;
use crate::error::CliError;
use crate::output::documents::{ScanFinding, ScanReport, ScanSummary};
use crate::terminal::harmless;

/// A line that holds this is not looked at.
const ALLOWED: &str = "fnox:allow";

/// Shorter values stand in many files by chance.
const SHORTEST_VALUE: usize = 8;

pub(crate) fn run(app: &App, args: &ScanArgs) -> Result<(), CliError> {
    if args.install_hook {
        return hook::install(app, args.append);
    }
    let detectors = Detectors::new()?;
    let values = if args.values {
        Some(Values::of(app)?)
    } else {
        None
    };
    let source = Source::new(app, args)?;
    let mut report = ScanReport::default();
    source.each(|path, bytes| {
        let before = report.findings.len();
        detectors.search(bytes, |finding| report.findings.push(finding.at(path)));
        if let Some(values) = &values {
            values.search(path, bytes, &mut report.findings);
        }
        report.summary.files_scanned += 1;
        report.summary.files_with_findings += usize::from(report.findings.len() > before);
    })?;
    report.summary.findings = report.findings.len();
    tell(app, args, &report)
}

fn tell(app: &App, args: &ScanArgs, report: &ScanReport) -> Result<(), CliError> {
    print(app, args, report)?;
    let ScanSummary {
        files_scanned,
        files_with_findings,
        findings,
    } = report.summary;
    if findings == 0 {
        app.printer.done(&format!(
            "Found nothing in {files_scanned} file{}",
            plural(files_scanned)
        ));
        return Ok(());
    }
    app.printer.note(&format!(
        "Give each secret a new value where it comes from. `{ALLOWED}` in a line says that it holds none."
    ));
    Err(CliError::failed(format!(
        "found {findings} possible secret{} in {files_with_findings} file{}",
        plural(findings),
        plural(files_with_findings)
    )))
}

/// `--format json -q` is the established way to ask for the paths alone; `--json` always prints its whole document.
fn print(app: &App, args: &ScanArgs, report: &ScanReport) -> Result<(), CliError> {
    let is_quiet = app.printer.is_quiet();
    match args.format.as_deref() {
        Some("json") if is_quiet => app.printer.json(&report.paths()),
        format if args.json || format == Some("json") => app.printer.json(report),
        _ if is_quiet => {
            let mut paths = report.paths().into_iter();
            paths.try_for_each(|path| app.printer.line(&shown(path)))
        }
        _ => {
            let mut findings = report.findings.iter();
            findings.try_for_each(|finding| app.printer.line(&finding.to_line()))
        }
    }
}

/// Whoever names a file may not write to the terminal, nor lines of his own.
fn shown(path: &str) -> String {
    harmless(path).replace('\n', "\u{fffd}")
}

/// The values of the project's secrets.
struct Values {
    names: Vec<SecretName>,
    search: AhoCorasick,
}

impl Values {
    /// Of all that a provider keeps or encrypts. What stands in the configuration in clear is no secret.
    fn of(app: &App) -> Result<Self, CliError> {
        let config = app.load()?;
        let is_secret = |name: &SecretName| {
            let secret = config.secrets.get(name)?;
            secret.value.as_ref()?;
            let mut providers = config.providers_of(secret);
            // With `file` the reference stands there, and the value in that file.
            let is_kept = providers
                .any(|provider| provider.spec.name != "plain" || provider.fields.contains("file"));
            is_kept.then(|| name.clone())
        };
        let names: Vec<SecretName> = config.secrets.keys().filter_map(is_secret).collect();
        let values = readable(app, &config, &names)?;
        let unread: Vec<&str> = names
            .iter()
            .filter(|name| !values.contains_key(*name))
            .map(SecretName::as_str)
            .collect();
        if !unread.is_empty() {
            app.printer.warn(&format!(
                "not searched for, because they cannot be read: {}",
                unread.join(", ")
            ));
        }
        let trimmed = |value: &SecretString| value.expose_secret().trim().len();
        let (names, values): (Vec<SecretName>, Vec<SecretString>) = values
            .into_iter()
            .filter(|(name, value)| names.contains(name) && trimmed(value) >= SHORTEST_VALUE)
            .unzip();
        let patterns = values.iter().map(|value| value.expose_secret().trim());
        let search = AhoCorasick::new(patterns)
            .map_err(|_| CliError::usage("there are too many values to search for"))?;
        Ok(Self { names, search })
    }

    fn search(&self, path: &Path, bytes: &[u8], findings: &mut Vec<ScanFinding>) {
        for found in self.search.find_iter(bytes) {
            let Some(name) = self.names.get(found.pattern().as_usize()) else {
                continue;
            };
            let place = detectors::Place::of(bytes, found.start());
            if place.is_allowed {
                continue;
            }
            findings.push(ScanFinding {
                path: path.display().to_string(),
                line: place.line,
                column: place.column,
                detector: "resolved-secret",
                severity: "high",
                redacted: "****".to_owned(),
                secret: Some(name.to_string()),
            });
        }
    }
}

impl ScanFinding {
    /// `path:line:column [detector severity] redacted`, and the secret's name where it is known.
    fn to_line(&self) -> String {
        let what = self.secret.as_deref().unwrap_or(&self.redacted);
        let path = shown(&self.path);
        format!(
            "{path}:{}:{} [{} {}] {what}",
            self.line, self.column, self.detector, self.severity
        )
    }
}

impl ScanReport {
    /// The files with findings, each once.
    fn paths(&self) -> indexmap::IndexSet<&str> {
        self.findings
            .iter()
            .map(|finding| finding.path.as_str())
            .collect()
    }
}
