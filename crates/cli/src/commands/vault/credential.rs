//! `fnox vault credential-fill`

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use fnox_core::{Host, VaultName};
use zeroize::Zeroizing;

use crate::app::{App, block_on};
use crate::args::vault::{CredentialArgs, GitOperation};
use crate::error::CliError;
use crate::vault::connect::{agent, client};
use crate::vault::error::VaultFailure;
use crate::vault::git::{self, Question};
use crate::vault::loan::{Terms, borrow_value, give_back};
use crate::vault::target::Target;

pub(super) fn run(app: &App, args: &CredentialArgs) -> Result<(), CliError> {
    let question = read()?;
    // The vault keeps what it has, whatever git thinks of it.
    if args.operation != GitOperation::Get {
        return Ok(());
    }
    let Some(target) = target(app, args, &question)? else {
        return Ok(());
    };
    let username = question.username.as_deref().unwrap_or(&args.username);
    let loan = block_on(async {
        let client = client(app, &args.connection).await?;
        let terms = Terms {
            agent: agent(app, &client, args.agent.as_deref()).await?,
            ttl_secs: None,
            tool: Some("git".to_owned()),
        };
        let loan = borrow_value(&client, &target, &terms).await?;
        give_back(&client, std::slice::from_ref(&loan.grant)).await;
        Ok::<_, CliError>(loan)
    })??;
    let unfit = |reason: &str| CliError::Input {
        what: format!("the secret `{}`", target.secret),
        reason: reason.to_owned(),
        help: None,
    };
    let password = loan
        .value
        .into_string()
        .map_err(|_| unfit("it is not text, so git cannot use it"))?;
    let answer = git::answer(username, password.expose_secret())
        .ok_or_else(|| unfit("it has several lines, and git's protocol has no way to say that"))?;
    app.printer.raw(&answer)
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
