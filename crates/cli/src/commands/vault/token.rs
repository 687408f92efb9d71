//! `fnox vault token`

use std::io::Write as _;

use fnox_vault_wire::methods::{
    CreateToken, ListTokens, RevokeToken, Role, TokenCreated, TokenRevoked,
};

use crate::app::{App, block_on};
use crate::args::vault::{TokenCommand, TokenCreateArgs, TokenGroup, VaultRole};
use crate::durations::seconds;
use crate::error::CliError;
use crate::output::Table;
use crate::vault::connect::{ask, call, client};
use crate::vault::documents::TokenWritten;
use crate::vault::values::{count, create_private, id, shown};

pub(super) fn run(app: &App, group: &TokenGroup) -> Result<(), CliError> {
    match &group.command {
        TokenCommand::Create(args) => create(app, group, args),
        TokenCommand::List => list(app, group),
        TokenCommand::Revoke { ids } => revoke(app, group, ids),
    }
}

fn create(app: &App, group: &TokenGroup, args: &TokenCreateArgs) -> Result<(), CliError> {
    let params = CreateToken {
        agent: args.agent.clone(),
        role: match args.role {
            VaultRole::Agent => Role::Agent,
            VaultRole::Gateway => Role::Gateway,
            VaultRole::Orchestrator => Role::Orchestrator,
            VaultRole::Admin => Role::Admin,
        },
        ttl_secs: seconds(&args.ttl, "--ttl")?,
        max_uses: args.uses,
        peer: args.peer.clone(),
    };
    let connection = &group.client.connection;
    let Some(path) = &args.output else {
        let created = ask(app, connection, &params)?;
        if group.client.json {
            return app.printer.json(&created);
        }
        app.printer.line(created.token.expose_secret())?;
        tell(app, &created);
        return Ok(());
    };
    // The file first: a token that cannot be written down should not be made.
    let path = app.cwd.join(path);
    let mut file = create_private(&path)?;
    let created = ask(app, connection, &params).inspect_err(|_| {
        let _empty = std::fs::remove_file(&path);
    })?;
    writeln!(file, "{}", created.token.expose_secret())
        .and_then(|()| file.sync_all())
        .map_err(|source| CliError::File {
            action: "write",
            path: path.clone(),
            source,
        })?;
    if group.client.json {
        return app.printer.json(&TokenWritten {
            token_file: path.display().to_string(),
            id: created.id.to_string(),
            agent: created.agent.clone(),
            role: created.role.to_string(),
            expires_at: created.expires_at.to_string(),
        });
    }
    tell(app, &created);
    app.printer.note(&format!("It is in {}", path.display()));
    Ok(())
}

fn tell(app: &App, created: &TokenCreated) {
    app.printer.done(&format!(
        "Made token {} for {} {}, until {}",
        created.id,
        created.role,
        created.agent.escape_debug(),
        shown(created.expires_at)
    ));
}

fn list(app: &App, group: &TokenGroup) -> Result<(), CliError> {
    let tokens = ask(app, &group.client.connection, &ListTokens {})?.tokens;
    if group.client.json {
        return app.printer.json(&tokens);
    }
    if tokens.is_empty() {
        app.printer.note("No tokens.");
        return Ok(());
    }
    let now = fnox_core::Clock::now(&app.clock);
    let mut table = Table::new(
        &["ID", "ROLE", "AGENT", "EXPIRES", "USES", "PEER", "STATUS"],
        false,
    );
    for token in &tokens {
        let status = match (token.revoked, token.expires_at <= now) {
            (true, _) => "revoked",
            (_, true) => "expired",
            _ => "active",
        };
        let limit = token.max_uses.map(|uses| format!("/{uses}"));
        table.row(vec![
            token.id.to_string(),
            token.role.to_string(),
            token.agent.clone(),
            shown(token.expires_at),
            format!("{}{}", token.uses, limit.unwrap_or_default()),
            token.peer.clone().unwrap_or_default(),
            status.to_owned(),
        ]);
    }
    app.printer.line(&table.render())
}

fn revoke(app: &App, group: &TokenGroup, ids: &[String]) -> Result<(), CliError> {
    let ids = ids
        .iter()
        .map(|text| id(text, "token"))
        .collect::<Result<Vec<_>, _>>()?;
    let mut all = TokenRevoked {
        leases_revoked: 0,
        connections_closed: 0,
    };
    let outcome = block_on(async {
        let client = client(app, &group.client.connection).await?;
        for id in ids {
            let one = call(&client, &RevokeToken { id }).await?;
            all.leases_revoked += one.leases_revoked;
            all.connections_closed += one.connections_closed;
        }
        Ok::<_, CliError>(())
    })?;
    outcome?;
    if group.client.json {
        return app.printer.json(&all);
    }
    app.printer.done(&format!(
        "Revoked, with {} and {}",
        count(all.leases_revoked, "lease"),
        count(all.connections_closed, "connection")
    ));
    Ok(())
}
