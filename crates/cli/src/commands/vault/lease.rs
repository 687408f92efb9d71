//! `fnox vault lease`

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fnox_vault_wire::methods::{
    AccessSecret, LeaseGrant, LeaseInfo, LeaseStatus, ListLeases, RenewLease, RequestLease,
    RevocationReason, RevokeLease, RevokeLeases, RevokedCount,
};
use zeroize::Zeroizing;

use crate::app::{App, block_on};
use crate::args::vault::{LeaseAsk, LeaseCommand, LeaseGroup, LeaseRevokeArgs};
use crate::durations::seconds;
use crate::error::CliError;
use crate::output::Table;
use crate::vault::connect::{agent, ask, call, client};
use crate::vault::documents::AccessedValue;
use crate::vault::target::Target;
use crate::vault::values::{self, count, id, shown};

pub(super) fn run(app: &App, group: &LeaseGroup) -> Result<(), CliError> {
    match &group.command {
        LeaseCommand::Request(args) => request(app, group, args),
        LeaseCommand::Access { id, host, variable } => {
            access(app, group, id, host, variable.clone())
        }
        LeaseCommand::Renew { id, duration } => renew(app, group, id, duration),
        LeaseCommand::Revoke(args) => revoke(app, group, args),
        LeaseCommand::List { agent, secret, all } => {
            let params = ListLeases {
                agent: agent.clone(),
                secret: secret.clone(),
                all: *all,
                after: None,
                limit: None,
            };
            list(app, group, params)
        }
    }
}

fn request(app: &App, group: &LeaseGroup, args: &LeaseAsk) -> Result<(), CliError> {
    let target = match (&args.target, &args.secret, &args.host) {
        (Some(target), _, _) => Target::parse(target)?,
        (None, Some(secret), Some(host)) => Target::of(secret, host)?,
        _ => return Err(CliError::usage("name a secret and a host: NAME@HOST")),
    };
    let ttl = args
        .ttl
        .as_deref()
        .map(|text| seconds(text, "--ttl"))
        .transpose()?;
    let grant = block_on(async {
        let client = client(app, &group.client.connection).await?;
        let agent = agent(app, &client, args.agent.as_deref()).await?;
        let request = RequestLease {
            ttl_secs: ttl,
            max_uses: args.uses,
            tool_name: args.tool.clone(),
            ..RequestLease::new(&agent, target.secret.as_str(), &target.host.to_string())
        };
        call(&client, &request).await
    })??;
    show(app, group, &grant, "Granted")
}

fn renew(app: &App, group: &LeaseGroup, lease: &str, duration: &str) -> Result<(), CliError> {
    let extension = seconds(duration, "--for")?;
    let params = RenewLease {
        lease_id: id(lease, "lease")?,
        extension_secs: i64::try_from(extension)
            .map_err(|_| CliError::usage("--for: that is too long"))?,
    };
    let grant = ask(app, &group.client.connection, &params)?;
    show(app, group, &grant, "Renewed")
}

/// The id alone on stdout, so that a script can take it.
fn show(app: &App, group: &LeaseGroup, grant: &LeaseGrant, verb: &str) -> Result<(), CliError> {
    if group.client.json {
        return app.printer.json(grant);
    }
    app.printer.line(&grant.lease_id.to_string())?;
    let uses = match grant.remaining_uses {
        Some(uses) => format!(", for {}", count(uses.into(), "use")),
        None => String::new(),
    };
    app.printer.done(&format!(
        "{verb}: {} at {} until {}{uses}",
        grant.secret_name,
        grant.allowed_domains.join(", "),
        shown(grant.expires_at)
    ));
    Ok(())
}

fn access(
    app: &App,
    group: &LeaseGroup,
    lease: &str,
    host: &str,
    variable: Option<String>,
) -> Result<(), CliError> {
    let params = AccessSecret {
        variable,
        ..AccessSecret::new(id(lease, "lease")?, host)
    };
    let value = ask(app, &group.client.connection, &params)?.secret.0;
    if group.client.json {
        let text = Zeroizing::new(BASE64.encode(value.expose_secret()));
        return app.printer.json(&AccessedValue {
            value_base64: &text,
        });
    }
    values::print(value.expose_secret())
}

fn revoke(app: &App, group: &LeaseGroup, args: &LeaseRevokeArgs) -> Result<(), CliError> {
    let ids = args
        .ids
        .iter()
        .map(|text| id(text, "lease"))
        .collect::<Result<Vec<_>, _>>()?;
    let many = RevokeLeases {
        agent: args.agent.clone(),
        secret: args.secret.clone(),
        token_id: args
            .token
            .as_deref()
            .map(|text| id(text, "token"))
            .transpose()?,
        session_id: args
            .session
            .as_deref()
            .map(|text| id(text, "session"))
            .transpose()?,
        all: args.all,
    };
    let revoked = block_on(async {
        let client = client(app, &group.client.connection).await?;
        if args.ids.is_empty() {
            return call(&client, &many).await;
        }
        let mut revoked_count = 0;
        for lease_id in ids {
            let reason = RevocationReason::AdminRevoked;
            call(&client, &RevokeLease { lease_id, reason }).await?;
            revoked_count += 1;
        }
        Ok(RevokedCount { revoked_count })
    })??;
    if group.client.json {
        return app.printer.json(&revoked);
    }
    app.printer.done(&format!(
        "Withdrew {}",
        count(revoked.revoked_count, "lease")
    ));
    Ok(())
}

fn list(app: &App, group: &LeaseGroup, mut params: ListLeases) -> Result<(), CliError> {
    let leases = block_on(async {
        let client = client(app, &group.client.connection).await?;
        let mut all: Vec<LeaseInfo> = Vec::new();
        loop {
            let page = call(&client, &params).await?;
            all.extend(page.leases);
            params.after = page.next;
            if params.after.is_none() {
                return Ok::<_, CliError>(all);
            }
        }
    })??;
    if group.client.json {
        return app.printer.json(&leases);
    }
    if leases.is_empty() {
        app.printer.note("No leases.");
        return Ok(());
    }
    let mut table = Table::new(
        &[
            "ID", "AGENT", "SECRET", "HOST", "RULE", "STATUS", "EXPIRES", "USES",
        ],
        false,
    );
    for lease in &leases {
        let limit = lease.max_uses.map(|uses| format!("/{uses}"));
        table.row(vec![
            lease.lease_id.to_string(),
            lease.agent.clone(),
            lease.secret_name.clone(),
            lease.domain.clone(),
            lease.rule.clone(),
            status(lease),
            shown(lease.expires_at),
            format!("{}{}", lease.uses, limit.unwrap_or_default()),
        ]);
    }
    app.printer.line(&table.render())
}

fn status(lease: &LeaseInfo) -> String {
    let word = match lease.status {
        LeaseStatus::Active => "active",
        LeaseStatus::Expired => "expired",
        LeaseStatus::Exhausted => "exhausted",
        LeaseStatus::Revoked => "revoked",
    };
    match lease.reason {
        Some(reason) if lease.status == LeaseStatus::Revoked => {
            format!("{word} ({})", reason.as_str())
        }
        _ => word.to_owned(),
    }
}
