//! `fnox doctor`: whether everything that fnox depends on here really works.
//!
//! Nothing is changed and nobody is asked anything. Providers are tested at the same time, each with a time
//! limit. What does not work comes with what to do about it.

mod stores;
mod surroundings;

use fnox_config::{Config, ConfigError};

use super::export::plural;
use super::version::VERSION;
use crate::app::{App, block_on};
use crate::args::DoctorArgs;
use crate::error::CliError;
use crate::output::documents::{DoctorReport, Examination, Outcome};

/// What was looked at so far.
#[derive(Debug, Default)]
pub(super) struct Examinations(Vec<Examination>);

impl Examinations {
    fn add(
        &mut self,
        group: &'static str,
        name: impl Into<String>,
        outcome: Outcome,
        detail: impl Into<String>,
    ) {
        self.0.push(Examination {
            group,
            name: name.into(),
            outcome,
            detail: detail.into(),
            remedy: None,
        });
    }

    /// Says what to do about the last one.
    fn remedy(&mut self, remedy: Option<String>) {
        if let Some(last) = self.0.last_mut() {
            last.remedy = remedy;
        }
    }

    fn fault(&mut self, group: &'static str, name: impl Into<String>, error: &CliError) {
        let place = match error.location() {
            Some(location) if !location.file.text.is_empty() => {
                format!(" ({}:{})", location.file.path.display(), location.line())
            }
            _ => String::new(),
        };
        self.add(group, name, Outcome::Failure, format!("{error}{place}"));
        self.remedy(error.help());
    }
}

pub(crate) fn run(app: &App, args: &DoctorArgs) -> Result<(), CliError> {
    let mut found = Examinations::default();
    let config = configuration(app, &mut found);
    surroundings::examine(app, config.as_ref(), &mut found);
    block_on(stores::examine(app, config.as_ref(), &mut found))?;
    let failures = found
        .0
        .iter()
        .filter(|one| one.outcome == Outcome::Failure)
        .count();
    let report = DoctorReport {
        healthy: failures == 0,
        version: VERSION,
        examinations: found.0,
    };
    if args.json {
        app.printer.json(&report)?;
    } else {
        print(app, &report)?;
    }
    if failures > 0 {
        return Err(CliError::failed(format!(
            "{failures} thing{} not work here",
            do_not(failures)
        )));
    }
    Ok(())
}

fn do_not(count: usize) -> &'static str {
    if count == 1 { " does" } else { "s do" }
}

fn configuration(app: &App, found: &mut Examinations) -> Option<Config> {
    const GROUP: &str = "configuration";
    let config = match app.load() {
        Ok(config) => config,
        Err(CliError::Config(error @ ConfigError::NotFound { .. })) => {
            found.add(GROUP, "files", Outcome::Warning, error.to_string());
            found.remedy(error.help());
            return None;
        }
        Err(error) => {
            found.fault(GROUP, "files", &error);
            return None;
        }
    };
    let files: Vec<String> = config
        .files
        .iter()
        .map(|file| file.path.display().to_string())
        .collect();
    found.add(GROUP, "files", Outcome::Ok, files.join(", "));
    found.add(
        GROUP,
        "profile",
        Outcome::Information,
        config.profile_label(),
    );
    let count = |count: usize, what: &str| format!("{count} {what}{}", plural(count));
    let content = [
        count(config.secrets.len(), "secret"),
        count(config.providers.len(), "provider"),
        count(config.leases.len(), "lease"),
    ];
    found.add(GROUP, "content", Outcome::Information, content.join(", "));
    Some(config)
}

fn print(app: &App, report: &DoctorReport) -> Result<(), CliError> {
    app.printer.line(&format!("fnox {}", report.version))?;
    let mut group = "";
    for one in &report.examinations {
        if one.group != group {
            group = one.group;
            app.printer.line(&format!("\n{group}"))?;
        }
        let mark = match one.outcome {
            Outcome::Ok => "✓",
            Outcome::Warning => "!",
            Outcome::Failure => "✗",
            Outcome::Information => "-",
        };
        let detail = one.detail.replace('\n', "\n      ");
        app.printer
            .line(&format!("  {mark} {}: {detail}", one.name))?;
        if let Some(remedy) = &one.remedy {
            app.printer
                .line(&format!("      help: {}", remedy.replace('\n', "\n      ")))?;
        }
    }
    let warnings = report
        .examinations
        .iter()
        .filter(|one| one.outcome == Outcome::Warning)
        .count();
    match (report.healthy, warnings) {
        (false, _) => {}
        (true, 0) => app.printer.done("Everything works"),
        (true, warnings) => {
            app.printer.done(&format!(
                "What is needed works, with {warnings} warning{}",
                plural(warnings)
            ));
        }
    }
    Ok(())
}
