//! `fnox vault status`

use fnox_vault_wire::methods::{Health, HealthDetails, Whoami};

use crate::app::{App, block_on};
use crate::args::vault::ClientArgs;
use crate::error::CliError;
use crate::vault::connect::{call, client};
use crate::vault::documents::VaultStatus;
use crate::vault::values::{count, shown};

pub(super) fn run(app: &App, args: &ClientArgs) -> Result<(), CliError> {
    let status = block_on(async {
        let client = client(app, &args.connection).await?;
        Ok::<_, CliError>(VaultStatus {
            place: client.place().to_owned(),
            identity: call(&client, &Whoami {}).await?,
            health: call(&client, &Health {}).await?,
        })
    })??;
    if args.json {
        return app.printer.json(&status);
    }
    let line = |name: &str, value: &str| app.printer.line(&format!("{name:<12} {value}"));
    let identity = &status.identity;
    line("vault", &status.place)?;
    line(
        "status",
        &format!("{} (fnox {})", status.health.status, status.health.version),
    )?;
    let agent = identity.agent.as_ref();
    let agent = agent.map_or_else(String::new, |agent| format!(" {agent}"));
    line(
        "you are",
        &format!("{}{agent} ({})", identity.role, identity.peer),
    )?;
    if let Some(expires_at) = identity.expires_at {
        line("until", &shown(expires_at))?;
    }
    match &status.health.details {
        Some(details) => print_details(app, details),
        None => Ok(()),
    }
}

fn print_details(app: &App, details: &HealthDetails) -> Result<(), CliError> {
    let audit = match details.audit_records {
        Some(records) => count(records, "record"),
        None => "off: nothing is recorded".to_owned(),
    };
    let locked = if details.memory_locked {
        "locked in memory"
    } else {
        "not locked in memory"
    };
    let rows = [
        ("store", details.store.clone()),
        ("key", format!("{}, {locked}", details.key_source)),
        (
            "policy",
            format!("{}, {}", details.policy, count(details.rules, "rule")),
        ),
        ("audit", audit),
        ("leases", details.live_leases.to_string()),
        ("connections", details.connections.to_string()),
        (
            "running for",
            fnox_core::Lifetime::from_secs(details.uptime_secs).to_string(),
        ),
        ("id", details.vault_id.clone()),
    ];
    for (name, value) in rows {
        app.printer.line(&format!("{name:<12} {value}"))?;
    }
    for problem in &details.problems {
        app.printer.warn(problem);
    }
    Ok(())
}
