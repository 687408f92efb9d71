//! `fnox audit`

use std::collections::HashMap;

use fnox_config::ConfigError;
use fnox_core::audit::{Entry, Outcome, Record};
use jiff::Unit;

use crate::app::{App, block_on};
use crate::args::AuditArgs;
use crate::audit::log::{CONTINUED, Log, LogError};
use crate::audit::{self, Detail, LEASE_USED, SECRET_USED};
use crate::error::CliError;
use crate::output::documents::{AuditVerification, AuditedUse};
use crate::terminal::harmless;

pub(crate) fn run(app: &App, args: &AuditArgs) -> Result<(), CliError> {
    // As in the established CLI, `-c` is the command here.
    let (word, app) = &app.without_config_word();
    let by = args.by.as_ref().or(word.as_ref());
    let config = match app.load() {
        Ok(config) => Some(config),
        // The log is there wherever one is.
        Err(CliError::Config(ConfigError::NotFound { .. })) => None,
        Err(error) => return Err(error),
    };
    let (path, log) = audit::log(app, config.as_ref());
    if args.path {
        return app.printer.line(&path.display().to_string());
    }
    if args.verify {
        return verify(app, args, &log);
    }
    let records = block_on(log.records())?.map_err(|error| unreadable(&error))?;
    let mut uses: Vec<AuditedUse> = without_begun(records)
        .into_iter()
        .map(used)
        .filter(|one| is_wanted(one, args, by))
        .collect();
    uses.drain(..uses.len().saturating_sub(args.limit));
    if args.json {
        return app.printer.json(&uses);
    }
    if uses.is_empty() {
        app.printer.note("No uses are on record.");
    }
    uses.iter().try_for_each(|one| app.printer.line(&line(one)))
}

fn verify(app: &App, args: &AuditArgs, log: &Log) -> Result<(), CliError> {
    let report = block_on(log.verify())?.map_err(|error| unreadable(&error))?;
    let flaws: Vec<String> = report.flaws.iter().map(ToString::to_string).collect();
    if args.json {
        app.printer.json(&AuditVerification {
            records: report.records,
            verified: report.verified,
            flaws: flaws.clone(),
        })?;
    }
    if report.is_intact() {
        let records = report.records;
        if records == 0 {
            app.printer.warn(
                "the log has no record: it was not begun yet, or was removed as a whole, which looks the same",
            );
        }
        app.printer
            .done(&format!("The log is as it was written: {records} records"));
        return Ok(());
    }
    if !args.json {
        flaws.iter().try_for_each(|flaw| app.printer.line(flaw))?;
    }
    Err(CliError::Failed {
        message: format!("the log is not as it was written: {} flaws", flaws.len()),
        code: "cli::audit_broken",
    })
}

fn is_wanted(one: &AuditedUse, args: &AuditArgs, by: Option<&String>) -> bool {
    let is = |wanted: Option<&String>, found: Option<&String>| wanted.is_none() || wanted == found;
    is(by, Some(&one.command))
        && is(args.provider.as_ref(), one.provider.as_ref())
        && is(args.secret.as_ref(), one.secret.as_ref())
}

/// Without the records of changes as begun whose ends are there, and those that only join two files.
fn without_begun(mut records: Vec<Record>) -> Vec<Record> {
    let mut ended: HashMap<Entry, usize> = HashMap::new();
    records.reverse();
    records.retain(|record| {
        let change = Entry {
            outcome: Outcome::Begun,
            reason: None,
            ..record.entry.clone()
        };
        if record.entry.outcome != Outcome::Begun {
            *ended.entry(change).or_default() += 1;
            return record.entry.event != CONTINUED;
        }
        match ended.get_mut(&change) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        }
    });
    records.reverse();
    records
}

fn used(record: Record) -> AuditedUse {
    let detail = record.entry.detail.as_deref();
    let detail: Detail = detail
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    AuditedUse {
        sequence: record.sequence,
        time: record
            .time
            .round(Unit::Second)
            .unwrap_or(record.time)
            .to_string(),
        event: record.entry.event,
        command: record.entry.actor,
        secret: record.entry.secret,
        provider: detail.provider,
        lease: detail.lease,
        to: detail.to,
        way: detail.way,
        host: record.entry.host,
        rule: record.entry.rule,
        outcome: record.entry.outcome.as_str(),
        profile: detail.profile,
        daemon: detail.daemon,
        folder: detail.folder,
        process: record.entry.peer,
    }
}

/// `TIME  COMMAND   SECRET  provider=X  profile=Y`
fn line(one: &AuditedUse) -> String {
    let what = match (&one.secret, &one.lease) {
        (Some(secret), _) => secret.clone(),
        (None, Some(lease)) => format!("lease:{lease}"),
        (None, None) => "-".to_owned(),
    };
    let event = match one.event.as_str() {
        SECRET_USED | LEASE_USED => String::new(),
        event => format!("  event={event}"),
    };
    let to = told("to", one.to.as_ref());
    let host = told("host", one.host.as_ref());
    let way = told("way", one.way.as_ref());
    let provider = one
        .provider
        .as_ref()
        .map(|provider| format!("  provider={provider}"))
        .unwrap_or_default();
    let daemon = if one.daemon { "  (daemon cache)" } else { "" };
    let outcome = match one.outcome {
        "ok" => "",
        "begun" => "  (no end is on record)",
        _ => "  (failed)",
    };
    harmless(&format!(
        "{}  {:<8}  {what}{provider}{host}{way}{event}{to}  profile={}{daemon}{outcome}",
        one.time, one.command, one.profile
    ))
}

/// `  WORD=VALUE`, if there is one.
fn told(word: &str, value: Option<&String>) -> String {
    value.map_or_else(String::new, |value| format!("  {word}={value}"))
}

fn unreadable(error: &LogError) -> CliError {
    let code = match error {
        LogError::Broken { .. } => "cli::audit_broken",
        LogError::Io { .. } | LogError::Stored(_) => "cli::audit_log",
    };
    CliError::Failed {
        message: error.to_string(),
        code,
    }
}
