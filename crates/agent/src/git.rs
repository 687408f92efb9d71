//! Answering git (gitcredentials(7)).
//!
//! The lease is for the host that git names, never for one that the manifest names in its place: whoever makes git
//! talk to another host gets a credential for that host, if the policy has one, and not this one. git goes on using
//! the credential after the helper has ended, and one that a mint made is dead when its lease is; so the lease runs
//! to its end, and the next question is answered from the same lease.

use std::io::{Read, Write};

use fnox_core::git_credential::{self, Question};
use fnox_core::{Host, SecretBytes};
use fnox_vault_wire::methods::AccessSecret;
use zeroize::Zeroizing;

use crate::error::AgentError;
use crate::lease::Borrower;
use crate::manifest::{Entry, GitHost, Manifest};

/// Reads what git asks.
///
/// # Errors
/// `Question` if git does not ask like this.
pub fn question(input: impl Read) -> Result<Question, AgentError> {
    let mut bytes = Zeroizing::new(Vec::new());
    input
        .take(git_credential::INPUT_LIMIT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| AgentError::Question(error.to_string()))?;
    git_credential::parse(&bytes).map_err(|error| AgentError::Question(error.to_string()))
}

/// What of a manifest answers a question, if anything does.
///
/// # Errors
/// `Insecure` for plain http.
pub fn answering<'a>(
    manifest: &'a Manifest,
    question: &Question,
    allow_http: bool,
) -> Result<Option<(&'a Entry, &'a GitHost)>, AgentError> {
    let Some(host) = &question.host else {
        return Ok(None);
    };
    let Some(found) = manifest.for_git(host) else {
        return Ok(None);
    };
    match question.protocol.as_str() {
        "https" => Ok(Some(found)),
        "http" if allow_http && is_this_guest(host) => Ok(Some(found)),
        "http" => Err(AgentError::Insecure(host.to_string())),
        _ => Ok(None),
    }
}

fn is_this_guest(host: &Host) -> bool {
    host.ip().is_some_and(|ip| ip.is_loopback()) || host.name() == "localhost"
}

/// Leases the credential and tells it to git.
///
/// # Errors
/// `Lease`, `Unfit`.
pub async fn answer(
    borrower: &Borrower,
    entry: &Entry,
    git: &GitHost,
    question: &Question,
    mut out: impl Write,
) -> Result<(), AgentError> {
    let (value, expires_at) = value(borrower, entry, &git.host).await?;
    let unfit = |reason: &str| AgentError::Unfit {
        secret: entry.secret.to_string(),
        place: "git's protocol".to_owned(),
        reason: reason.to_owned(),
    };
    let password = value.into_string().map_err(|_| unfit("it is not text"))?;
    let username = question.username.as_deref().unwrap_or(&git.username);
    let lines = git_credential::answer_until(username, password.expose_secret(), Some(expires_at))
        .ok_or_else(|| unfit("it has several lines"))?;
    out.write_all(lines.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|source| AgentError::System {
            what: "answer git",
            source,
        })
}

/// The value, and the second at which its lease ends.
async fn value(
    borrower: &Borrower,
    entry: &Entry,
    host: &Host,
) -> Result<(SecretBytes, i64), AgentError> {
    if let Some(lease) = borrower.reusable(&entry.secret, host).await {
        let access = AccessSecret::new(lease.lease_id, host.to_string());
        // It may have ended, or its uses may be spent, since it was listed.
        if let Ok(accessed) = borrower.client().call(&access).await {
            return Ok((accessed.secret.0, lease.expires_at.as_second()));
        }
    }
    let loan = borrower.lend(&entry.secret, host, entry.ttl_secs).await?;
    let expires_at = loan.lease.grant().expires_at.as_second();
    loan.lease.leave();
    Ok((loan.value, expires_at))
}
