//! `fnox vault audit`

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use fnox_core::Clock as _;
use fnox_core::audit::{Outcome, Record};
use fnox_vault_wire::Client;
use fnox_vault_wire::methods::{AUDIT_EVENTS, AuditCheckpoint, AuditPage, AuditQuery, AuditVerify};

use crate::app::{App, block_on};
use crate::args::vault::{AuditCommand, AuditFilter, AuditGroup};
use crate::error::CliError;
use crate::output::Table;
use crate::terminal::harmless;
use crate::vault::connect::{ask, call, client};
use crate::vault::error::VaultFailure;
use crate::vault::values::{self, append_note, create_private, id, moment, shown};

/// How often `tail --follow` looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A log of millions of records takes a while to verify.
const VERIFY_LIMIT: Duration = Duration::from_mins(30);

/// Records that are asked for at once.
const PAGE: u32 = 1000;

pub(super) fn run(app: &App, group: &AuditGroup) -> Result<(), CliError> {
    match &group.command {
        AuditCommand::Tail {
            filter,
            lines,
            follow,
        } => tail(app, group, query(app, filter)?, *lines, *follow),
        AuditCommand::Query { filter, limit } => {
            let query = query(app, filter)?;
            let mut records = Vec::new();
            let limit = limit.unwrap_or(u64::MAX);
            each(app, group, query, limit, |record| {
                records.push(record);
                Ok(())
            })?;
            print(app, group, records)
        }
        AuditCommand::Verify { checkpoints } => verify(app, group, checkpoints.as_deref()),
        AuditCommand::Export { filter, output } => {
            export(app, group, query(app, filter)?, output.as_deref())
        }
        AuditCommand::Checkpoint { append } => checkpoint(app, group, append.as_deref()),
    }
}

fn query(app: &App, filter: &AuditFilter) -> Result<AuditQuery, CliError> {
    let now = app.clock.now();
    let time = |text: &Option<String>, flag| {
        text.as_deref()
            .map(|text| moment(text, flag, now))
            .transpose()
    };
    let outcome = match &filter.outcome {
        None => None,
        Some(word) => Some(Outcome::parse(word).ok_or_else(|| {
            CliError::usage(format!(
                "--outcome: `{}` is none of begun, ok, denied, error",
                word.escape_debug()
            ))
        })?),
    };
    if let Some(event) = &filter.event
        && !AUDIT_EVENTS.contains(&event.as_str())
    {
        return Err(no_event(event));
    }
    Ok(AuditQuery {
        agent: filter.agent.clone(),
        secret: filter.secret.clone(),
        lease: filter
            .lease
            .as_deref()
            .map(|text| id(text, "lease"))
            .transpose()?,
        event: filter.event.clone(),
        outcome,
        since: time(&filter.since, "--since")?,
        until: time(&filter.until, "--until")?,
        ..AuditQuery::default()
    })
}

/// A word that no record has would find nothing, which looks like an answer.
fn no_event(word: &str) -> CliError {
    let nearest = fnox_config::suggest::nearest(word, AUDIT_EVENTS.iter().copied());
    let known = AUDIT_EVENTS.join(", ");
    CliError::Usage {
        message: format!("--event: there is no event `{}`", word.escape_debug()),
        help: Some(match nearest {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("the events are {known}"),
        }),
    }
}

/// Hands every record that fits over, oldest first.
fn each(
    app: &App,
    group: &AuditGroup,
    mut query: AuditQuery,
    limit: u64,
    mut take: impl FnMut(Record) -> Result<(), CliError>,
) -> Result<(), CliError> {
    block_on(async {
        let client = client(app, &group.client.connection).await?;
        let mut left = limit;
        while left > 0 {
            query.limit = Some(u32::try_from(left).unwrap_or(PAGE).min(PAGE));
            let page: AuditPage = call(&client, &query).await?;
            for record in page.records {
                left = left.saturating_sub(1);
                take(record)?;
            }
            match page.next {
                Some(next) => query.from_sequence = Some(next),
                None => break,
            }
        }
        Ok(())
    })?
}

fn tail(
    app: &App,
    group: &AuditGroup,
    mut query: AuditQuery,
    lines: u32,
    follow: bool,
) -> Result<(), CliError> {
    block_on(async {
        let client = client(app, &group.client.connection).await?;
        let mut records = newest(&client, &query, lines).await?;
        let mut last = records.last().map(|record| record.sequence);
        if last.is_none() && follow {
            let any = newest(&client, &AuditQuery::default(), 1).await?;
            last = any.last().map(|record| record.sequence);
        }
        if !follow {
            return print(app, group, records);
        }
        loop {
            for record in records.drain(..) {
                last = Some(record.sequence);
                print_line(app, group, &record)?;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
            query.from_sequence = last;
            records = call(&client, &query).await?.records;
        }
    })?
}

async fn newest(client: &Client, query: &AuditQuery, lines: u32) -> Result<Vec<Record>, CliError> {
    if lines == 0 {
        return Ok(Vec::new());
    }
    let query = AuditQuery {
        newest_first: true,
        limit: Some(lines.min(PAGE)),
        ..query.clone()
    };
    let mut records = call(client, &query).await?.records;
    records.reverse();
    Ok(records)
}

fn print_line(app: &App, group: &AuditGroup, record: &Record) -> Result<(), CliError> {
    if group.client.json {
        let line = serde_json::to_string(record).map_err(std::io::Error::from)?;
        return app.printer.line(&line);
    }
    app.printer
        .line(&row(record).map(|cell| harmless(&cell)).join("  "))
}

fn print(app: &App, group: &AuditGroup, records: Vec<Record>) -> Result<(), CliError> {
    if group.client.json {
        let next = None;
        return app.printer.json(&AuditPage { records, next });
    }
    if records.is_empty() {
        app.printer.note("No records.");
        return Ok(());
    }
    let mut table = Table::new(
        &[
            "NO", "TIME", "EVENT", "OUTCOME", "ACTOR", "AGENT", "SECRET", "HOST", "REASON",
        ],
        false,
    );
    for record in &records {
        table.row(row(record).to_vec());
    }
    app.printer.line(&table.render())
}

fn row(record: &Record) -> [String; 9] {
    let entry = &record.entry;
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        record.sequence.to_string(),
        shown(record.time),
        entry.event.clone(),
        entry.outcome.to_string(),
        entry.actor.clone(),
        or_empty(&entry.agent),
        or_empty(&entry.secret),
        or_empty(&entry.host),
        or_empty(&entry.reason),
    ]
}

fn verify(app: &App, group: &AuditGroup, file: Option<&Path>) -> Result<(), CliError> {
    let checkpoints = match file {
        None => Vec::new(),
        Some(path) => notes(&fnox_config::trust::read(&app.cwd.join(path))?),
    };
    let params = AuditVerify { checkpoints };
    let report = block_on(async {
        let client = client(app, &group.client.connection).await?;
        let outcome = client.call_with_limit(&params, VERIFY_LIMIT).await;
        Ok::<_, CliError>(outcome.map_err(VaultFailure::from)?)
    })??;
    if group.client.json {
        app.printer.json(&report)?;
    } else {
        for flaw in &report.flaws {
            app.printer.line(flaw)?;
        }
    }
    if report.intact {
        app.printer.done(&format!(
            "As written: {}",
            values::count(report.records, "record")
        ));
        return Ok(());
    }
    Err(VaultFailure::Tampered {
        message: format!(
            "the audit log was changed: {} of {} records fit the chain",
            report.verified, report.records
        ),
    }
    .into())
}

/// Signed notes that stand one after the other in a file. Each is a text, an empty line, and lines that begin
/// with a dash (C2SP signed-note).
fn notes(text: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = String::new();
    let mut signed = false;
    for line in text.lines() {
        let is_signature = line.starts_with('—');
        if signed && !is_signature {
            notes.push(std::mem::take(&mut note));
            signed = false;
            if line.is_empty() {
                continue;
            }
        }
        signed |= is_signature;
        note.push_str(line);
        note.push('\n');
    }
    if signed || !note.trim().is_empty() {
        notes.push(note);
    }
    notes
}

fn export(
    app: &App,
    group: &AuditGroup,
    query: AuditQuery,
    output: Option<&Path>,
) -> Result<(), CliError> {
    let mut file = match output {
        Some(path) => Some((app.cwd.join(path), create_private(&app.cwd.join(path))?)),
        None => None,
    };
    let mut count = 0_u64;
    each(app, group, query, u64::MAX, |record| {
        let line = serde_json::to_string(&record).map_err(std::io::Error::from)?;
        count += 1;
        match &mut file {
            None => app.printer.line(&line),
            Some((path, file)) => writeln!(file, "{line}").map_err(|source| CliError::File {
                action: "write",
                path: path.clone(),
                source,
            }),
        }
    })?;
    if let Some((path, file)) = file {
        file.sync_all().map_err(|source| CliError::File {
            action: "write",
            path,
            source,
        })?;
    }
    app.printer
        .done(&format!("Exported {}", values::count(count, "record")));
    Ok(())
}

fn checkpoint(app: &App, group: &AuditGroup, append: Option<&Path>) -> Result<(), CliError> {
    let signed = ask(app, &group.client.connection, &AuditCheckpoint {})?;
    if let Some(path) = append {
        append_note(&app.cwd.join(path), &signed.note)?;
        app.printer.done("Added a checkpoint");
    }
    if group.client.json {
        return app.printer.json(&signed);
    }
    if append.is_none() {
        app.printer.raw(&signed.note)?;
        app.printer.note(&format!("key: {}", signed.public_key));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_of_a_file_are_told_apart() {
        let one = "fnox-vault/1\n3\nAAAA\n\n— key1 BBBB\n";
        let two = "fnox-vault/1\n4\nCCCC\n\n— key1 DDDD\n— key2 EEEE\n";
        assert_eq!(notes(&format!("{one}\n{two}\n")), [one, two]);
        assert_eq!(notes(&format!("{one}{two}")), [one, two]);
        assert_eq!(notes(""), [] as [&str; 0]);
        assert_eq!(notes("no note"), ["no note\n"]);
    }
}
