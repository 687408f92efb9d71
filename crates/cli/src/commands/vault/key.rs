//! `fnox vault key`

use std::time::Duration;

use fnox_vault_wire::methods::{Call, KeyRewrap, KeyRotate, KeyRotated, KeyStatus};

use super::secret::algorithm;
use crate::app::{App, block_on};
use crate::args::vault::{KeyCommand, KeyGroup};
use crate::error::CliError;
use crate::output::Table;
use crate::vault::connect::{ask, client};
use crate::vault::error::VaultFailure;
use crate::vault::values::{count, shown};

/// Sealing every value anew takes as long as it takes; the vault goes on serving.
const REWRAP_LIMIT: Duration = Duration::from_hours(1);

pub(super) fn run(app: &App, group: &KeyGroup) -> Result<(), CliError> {
    match &group.command {
        KeyCommand::Status => status(app, group),
        KeyCommand::Rotate { source } => {
            let what = if *source {
                "The key source has a new key"
            } else {
                "The data key was replaced"
            };
            rewrap(app, group, &KeyRotate { source: *source }, what)
        }
        KeyCommand::Rewrap { algorithm: word } => {
            let params = KeyRewrap {
                algorithm: word.map(algorithm),
            };
            rewrap(app, group, &params, "Values were sealed anew")
        }
    }
}

fn rewrap<P: Call<Result = KeyRotated>>(
    app: &App,
    group: &KeyGroup,
    params: &P,
    what: &str,
) -> Result<(), CliError> {
    let rotated = block_on(async {
        let client = client(app, &group.client.connection).await?;
        let outcome = client.call_with_limit(params, REWRAP_LIMIT).await;
        Ok::<_, CliError>(outcome.map_err(VaultFailure::from)?)
    })??;
    if group.client.json {
        return app.printer.json(&rotated);
    }
    app.printer.done(&format!(
        "{what}: {} ({})",
        rotated.key_id,
        count(rotated.rewrapped, "value")
    ));
    Ok(())
}

fn status(app: &App, group: &KeyGroup) -> Result<(), CliError> {
    let report = ask(app, &group.client.connection, &KeyStatus {})?;
    if group.client.json {
        return app.printer.json(&report);
    }
    let rotates = if report.source_can_rotate {
        "can be replaced with `key rotate --source`"
    } else {
        "cannot hold a second key, so it cannot be replaced while the vault serves"
    };
    app.printer.line(&format!(
        "{} holds {}; it {rotates}",
        report.source, report.wrapping_key
    ))?;
    if let Some(rotation) = &report.rotation {
        app.printer.warn(rotation);
    }
    let mut table = Table::new(&["KEY", "PURPOSE", "STATE", "CREATED", "VALUES"], false);
    for key in &report.keys {
        table.row(vec![
            key.id.clone(),
            key.purpose.clone(),
            key.state.clone(),
            shown(key.created_at),
            key.values
                .map(|count| count.to_string())
                .unwrap_or_default(),
        ]);
    }
    app.printer.line(&table.render())
}
