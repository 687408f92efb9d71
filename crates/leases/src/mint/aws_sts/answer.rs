//! From an answer of STS to a credential.
//!
//! A session in an account that the lease does not allow is not handed out: a profile, a variable or another
//! lease may have led to somebody else's masters.

use aws_sdk_sts::types::Credentials as Issued;
use fnox_core::{Credential, SecretString};
use jiff::Timestamp;

use super::PRODUCES;
use super::settings::{Settings, account_of};
use crate::ledger::random_hex;
use crate::mint::{CreateRequest, MintContext, MintError, MintErrorKind};

/// Whose session it is, as far as the answer tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder<'a> {
    /// `AssumedRoleId` or `FederatedUserId`.
    pub(super) id: &'a str,
    /// Its ARN.
    pub(super) arn: &'a str,
}

/// The credential of an answer.
pub(super) fn credential(
    context: &MintContext,
    request: &CreateRequest,
    issued: Option<&Issued>,
    holder: Option<Holder<'_>>,
) -> Result<Credential, MintError> {
    let issued = issued.ok_or_else(without_credential)?;
    let expires_at =
        Timestamp::from_second(issued.expiration().secs()).map_err(|_| without_credential())?;
    let now = context.clock.now();
    if expires_at <= now {
        return Err(MintError::unavailable(format!(
            "STS answered with a session that expired at {expires_at}, and it is {now}"
        ))
        .with_remedy("is this machine's clock right?"));
    }
    let values = [
        issued.access_key_id(),
        issued.secret_access_key(),
        issued.session_token(),
    ];
    if values.iter().any(|value| value.is_empty()) {
        return Err(without_credential());
    }
    let id = match holder.map(|holder| holder.id) {
        Some(id) if !id.is_empty() => format!("{id}-{}", random_hex()),
        _ => request.provisional_id.clone(),
    };
    Ok(Credential {
        variables: PRODUCES
            .into_iter()
            .zip(values)
            .map(|(name, value)| (name.to_owned(), SecretString::from(value)))
            .collect(),
        expires_at: Some(expires_at),
        id,
        private: Vec::new(),
    })
}

/// Whether the session may be in its account. `account` is what STS said, an ARN's or its own word.
pub(super) fn check_account(settings: &Settings, account: Option<&str>) -> Result<(), MintError> {
    let allowed = &settings.allowed_accounts;
    if allowed.is_empty() || account.is_some_and(|own| allowed.iter().any(|one| one == own)) {
        return Ok(());
    }
    let found = match account {
        Some(account) => format!("is in account {account}"),
        None => "is in an account that STS does not name".to_owned(),
    };
    Err(MintError {
        key: Some("allowed_accounts"),
        ..MintError::new(
            MintErrorKind::Denied,
            format!(
                "the session {found}, and the lease allows {}",
                allowed.join(", ")
            ),
        )
    }
    .with_remedy("use masters of an allowed account, or add the account to `allowed_accounts`")
    // The session exists until it expires; nobody has it.
    .maybe_issued())
}

/// The account in a holder's ARN.
pub(super) fn account(holder: Option<Holder<'_>>) -> Option<&str> {
    account_of(holder?.arn)
}

pub(super) fn without_credential() -> MintError {
    MintError::unavailable("STS answered without a complete credential").maybe_issued()
}
