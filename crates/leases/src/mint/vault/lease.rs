//! What is done with a lease that was issued: it is prolonged and withdrawn ("/sys/leases", "Token auth method (API)").
//!
//! A lease dies with the token that asked for it. So its end here is never later than that token's, the token of our own
//! login is prolonged first, and it is revoked with the lease.

use fnox_core::{Credential, SecretString};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::answer::Envelope;
use super::login::{Token, after};
use super::server::{Server, is_bad_token};
use crate::mint::{MintContext, MintError, Prepared, RenewRequest};

/// The names of what the record of a lease keeps.
pub(super) const TOKEN: &str = "token";
const TOKEN_END: &str = "token_expires_at";
const KIND: &str = "kind";

/// What Vault lets be done with what it answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// No lease: a value that somebody wrote.
    Stored,
    /// A lease that ends when it ends.
    Fixed,
    /// A lease that can be prolonged.
    Renewable,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Stored, Self::Fixed, Self::Renewable];

    fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Fixed => "fixed",
            Self::Renewable => "renewable",
        }
    }

    pub(super) fn of_answer(is_renewable: bool) -> Self {
        if is_renewable {
            Self::Renewable
        } else {
            Self::Fixed
        }
    }

    pub(super) fn of(credential: &Credential) -> Option<Self> {
        let kept = credential.private(KIND)?;
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == kept.expose_secret())
    }
}

/// What the record of a lease keeps.
pub(super) fn kept(kind: Kind, token: &Token) -> Vec<(String, SecretString)> {
    let mut out = vec![(KIND.to_owned(), SecretString::from(kind.name()))];
    if token.is_own {
        out.extend(kept_token(token));
    }
    out
}

/// What a record keeps of a token of our own.
pub(super) fn kept_token(token: &Token) -> Prepared {
    let end = token
        .expires_at
        .map(|end| (TOKEN_END.to_owned(), SecretString::new(end.to_string())));
    [(TOKEN.to_owned(), token.value.clone())]
        .into_iter()
        .chain(end)
        .collect()
}

/// The token of our own of which a record keeps this.
pub(super) fn own_token(kept: &[(String, SecretString)]) -> Option<Token> {
    let find = |wanted: &str| {
        kept.iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value)
    };
    Some(Token {
        value: find(TOKEN)?.clone(),
        is_own: true,
        expires_at: find(TOKEN_END).and_then(|text| text.expose_secret().parse().ok()),
    })
}

/// When a lease ends. One that has no time left has ended: only tokens can be without an end.
pub(super) fn end(asked_at: Timestamp, seconds: i64) -> Option<Timestamp> {
    asked_at
        .checked_add(SignedDuration::from_secs(seconds.max(0)))
        .ok()
}

/// The sooner one of two ends.
pub(super) fn sooner(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Prolongs a lease, after the token that it hangs from.
pub(super) async fn renew(
    server: &Server,
    context: &MintContext,
    request: &RenewRequest,
    mut token: Token,
) -> Result<Credential, MintError> {
    let credential = &request.credential;
    let seconds = i64::try_from(request.duration.as_secs()).unwrap_or(i64::MAX);
    let now = context.clock.now();
    let wanted = now.checked_add(SignedDuration::from_secs(seconds)).ok();
    if token.is_own && token.expires_at.is_some_and(|end| Some(end) < wanted) {
        let body = json!({"increment": format!("{seconds}s")});
        let answer = server
            .post("auth/token/renew-self", Some(&token.value), &body)
            .await?;
        if answer.is_success() {
            let envelope: Envelope = answer.json(&server.issuer)?;
            if let Some(login) = envelope.auth {
                token.expires_at = after(now, login.lease_duration);
            }
        } else {
            // It keeps its end, and the lease's is not later.
            tracing::debug!("Vault does not prolong the login: {}", server.said(&answer));
        }
    }
    let asked_at = context.clock.now();
    let body = json!({"lease_id": credential.id, "increment": seconds});
    let answer = server
        .post("sys/leases/renew", Some(&token.value), &body)
        .await?;
    if !answer.is_success() {
        return Err(server.refusal(&answer, "sys/leases/renew", "update"));
    }
    let envelope: Envelope = answer.json(&server.issuer)?;
    if envelope.lease_id != credential.id {
        return Err(MintError::unavailable(
            "Vault answered the renewal with another lease",
        ));
    }
    let kind = Kind::of_answer(envelope.renewable);
    Ok(Credential {
        // Vault may answer with success and less than was asked for: at the end of the longest life.
        expires_at: sooner(end(asked_at, envelope.lease_duration), token.expires_at),
        private: kept(kind, &token),
        ..credential.clone()
    })
}

/// Withdraws a lease, and the token of our own login with it.
pub(super) async fn revoke(
    server: &Server,
    lease_id: Option<&str>,
    token: &Token,
    now: Timestamp,
) -> Result<(), MintError> {
    let refused = match lease_id {
        Some(id) => revoke_lease(server, id, token).await,
        None => Ok(()),
    };
    if !token.is_own || is_batch(&token.value) {
        return refused;
    }
    // Revoking the token withdraws what hangs from it, also where a policy has no `sys/leases/revoke`.
    match revoke_token(server, token, now).await {
        Ok(()) => Ok(()),
        Err(error) => Err(refused.err().unwrap_or(error)),
    }
}

/// Batch tokens cannot be revoked ("Tokens": "hvb."; older servers and OpenBao: "b.").
pub(super) fn is_batch(token: &SecretString) -> bool {
    let token = token.expose_secret();
    token.starts_with("hvb.") || token.starts_with("b.")
}

async fn revoke_lease(server: &Server, lease_id: &str, token: &Token) -> Result<(), MintError> {
    let body = json!({"lease_id": lease_id, "sync": true});
    let answer = server
        .post("sys/leases/revoke", Some(&token.value), &body)
        .await?;
    if Server::is_done(&answer) || answer.status() == 404 {
        return Ok(());
    }
    let said = server.said(&answer);
    if answer.status() == 400 && (said.contains("not found") || said.contains("invalid lease")) {
        return Ok(());
    }
    Err(match answer.status() {
        200..=299 => not_vault(),
        400 => MintError::unavailable(format!("Vault did not withdraw the lease: {said}")),
        _ => server.refusal(&answer, "sys/leases/revoke", "update"),
    })
}

async fn revoke_token(server: &Server, token: &Token, now: Timestamp) -> Result<(), MintError> {
    let call = server.call(
        reqwest::Method::POST,
        "auth/token/revoke-self",
        Some(&token.value),
    )?;
    let answer = server.issuer.send(call).await?;
    let is_over = token.expires_at.is_some_and(|end| end <= now);
    let is_gone = || answer.status() == 403 && (is_over || is_bad_token(&server.said(&answer)));
    if Server::is_done(&answer) || is_gone() {
        return Ok(());
    }
    Err(match answer.status() {
        200..=299 => not_vault(),
        _ => server.refusal(&answer, "auth/token/revoke-self", "update"),
    })
}

fn not_vault() -> MintError {
    MintError::unavailable("what answered the withdrawal is not Vault")
        .with_remedy("is the configured address really its API?")
}
