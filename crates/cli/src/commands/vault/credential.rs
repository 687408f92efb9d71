//! `fnox vault credential-fill`
//!
//! git goes on using a credential after the helper has ended, and one that a mint made is dead when its lease is. So the
//! lease runs to its own end, and the next question is answered from the same lease. `erase` gives it back: git says so
//! when the credential was refused.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use fnox_core::{Clock as _, Host, SecretBytes, VaultName};
use fnox_leases::delivery::helper::git::{self, Question};
use fnox_vault_wire::Client;
use fnox_vault_wire::methods::{AccessSecret, Delivery, LeaseInfo, LeaseStatus, ListLeases};
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::app::{App, block_on};
use crate::args::vault::{CredentialArgs, GitOperation};
use crate::error::CliError;
use crate::vault::connect::{agent, call, client};
use crate::vault::error::VaultFailure;
use crate::vault::loan::{Terms, borrow_value, give_back};
use crate::vault::target::Target;

pub(super) fn run(app: &App, args: &CredentialArgs) -> Result<(), CliError> {
    let question = read()?;
    // What worked is in the vault already.
    if args.operation == GitOperation::Store {
        return Ok(());
    }
    let Some(target) = target(app, args, &question)? else {
        return Ok(());
    };
    let username = question.username.as_deref().unwrap_or(&args.username);
    let borrowed = block_on(async {
        let client = client(app, &args.connection).await?;
        let agent = agent(app, &client, args.agent.as_deref()).await?;
        if args.operation == GitOperation::Erase {
            let held = held(&client, &agent, &target).await?;
            give_back(&client, held.iter().map(|lease| lease.lease_id)).await;
            return Ok(None);
        }
        borrow(app, &client, agent, &target).await.map(Some)
    })??;
    let Some((value, expires_at)) = borrowed else {
        return Ok(());
    };
    let unfit = |reason: &str| CliError::Input {
        what: format!("the secret `{}`", target.secret),
        reason: reason.to_owned(),
        help: None,
    };
    let password = value
        .into_string()
        .map_err(|_| unfit("it is not text, so git cannot use it"))?;
    let answer = git::answer_until(
        username,
        password.expose_secret(),
        Some(expires_at.as_second()),
    )
    .ok_or_else(|| unfit("it has several lines, and git's protocol has no way to say that"))?;
    app.printer.raw(&answer)
}

/// The value, of a lease that this agent has already if that one lasts, and when the lease ends.
async fn borrow(
    app: &App,
    client: &Client,
    agent: String,
    target: &Target,
) -> Result<(SecretBytes, Timestamp), CliError> {
    let now = app.clock.now();
    let lasting = held(client, &agent, target).await.unwrap_or_default();
    let lasting = lasting.into_iter().find(|lease| {
        let life = lease.expires_at.duration_since(lease.issued_at);
        lease.expires_at.duration_since(now) > life / 2
    });
    if let Some(lease) = lasting {
        let access = AccessSecret::new(lease.lease_id, target.host.to_string());
        // It may have ended, or its uses may be spent, since it was listed.
        if let Ok(accessed) = client.call(&access).await {
            return Ok((accessed.secret.0, lease.expires_at));
        }
    }
    let terms = Terms {
        agent,
        ttl_secs: None,
        tool: Some("git".to_owned()),
    };
    let loan = borrow_value(client, target, &terms).await?;
    Ok((loan.value, loan.grant.expires_at))
}

/// The live leases of this agent for what git asks.
async fn held(client: &Client, agent: &str, target: &Target) -> Result<Vec<LeaseInfo>, CliError> {
    let host = target.host.to_string();
    let mut params = ListLeases {
        agent: Some(agent.to_owned()),
        secret: Some(target.secret.as_str().to_owned()),
        ..ListLeases::default()
    };
    let mut leases = Vec::new();
    loop {
        let page = call(client, &params).await?;
        leases.extend(page.leases.into_iter().filter(|lease| {
            lease.status == LeaseStatus::Active
                && lease.domain == host
                && lease.agent == agent
                && lease.delivery == Delivery::Value
        }));
        params.after = page.next;
        if params.after.is_none() {
            return Ok(leases);
        }
    }
}

fn read() -> Result<Question, CliError> {
    let mut input = Zeroizing::new(Vec::new());
    std::io::stdin()
        .lock()
        .take(git::INPUT_LIMIT as u64 + 1)
        .read_to_end(&mut input)
        .map_err(|source| CliError::File {
            action: "read",
            path: "/dev/stdin".into(),
            source,
        })?;
    git::parse(&input).map_err(|error| CliError::Input {
        what: "git's question".to_owned(),
        reason: error.to_string(),
        help: None,
    })
}

/// Which secret answers, if one does.
fn target(
    app: &App,
    args: &CredentialArgs,
    question: &Question,
) -> Result<Option<Target>, CliError> {
    let Some(host) = &question.host else {
        return Ok(None);
    };
    let secret = match (&args.secret, &args.map) {
        (Some(secret), _) => Some(secret.clone()),
        (None, Some(file)) => mapped(&app.cwd.join(file), host)?,
        (None, None) => None,
    };
    let Some(secret) = secret else {
        return Ok(None);
    };
    match question.protocol.as_str() {
        "https" => {}
        "http" if args.allow_http && is_loopback(host) => {}
        "http" => {
            return Err(VaultFailure::Insecure {
                host: host.to_string(),
            }
            .into());
        }
        _ => return Ok(None),
    }
    let secret = VaultName::parse(&secret).map_err(|error| CliError::usage(error.to_string()))?;
    Ok(Some(Target {
        secret,
        host: host.clone(),
    }))
}

fn is_loopback(host: &Host) -> bool {
    host.ip().is_some_and(|ip| ip.is_loopback()) || host.name() == "localhost"
}

/// The secret of a host in the file of `--map`.
fn mapped(path: &Path, host: &Host) -> Result<Option<String>, CliError> {
    let wrong = |reason: String| CliError::Input {
        what: path.display().to_string(),
        reason,
        help: Some("write a line like \"github.com\" = \"github-token\" for each host".to_owned()),
    };
    let text = fnox_config::trust::read(path)?;
    let map: BTreeMap<String, String> =
        toml_edit::de::from_str(&text).map_err(|error| wrong(error.message().to_owned()))?;
    for (name, secret) in map {
        let known = Host::parse(&name).map_err(|error| wrong(error.to_string()))?;
        if known == *host {
            return Ok(Some(secret));
        }
    }
    Ok(None)
}
