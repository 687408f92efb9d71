//! Taking over a plain ledger of the established CLI.
//!
//! Its records say nothing about the masters behind a credential, so none of them is ever reused; they
//! stay for `list`, `revoke` and `cleanup`. The first write seals them. Credentials that were encrypted
//! with a provider are not taken over: only that provider could open them.

use std::collections::BTreeMap;

use fnox_core::lease::LeaseState;
use jiff::Timestamp;
use serde::Deserialize;

use super::entry::{Entry, RevocationKind};
use crate::wiped::Wiped;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainLedger {
    #[serde(default)]
    leases: Vec<PlainEntry>,
}

#[derive(Deserialize)]
struct PlainEntry {
    lease_id: String,
    backend_name: String,
    #[serde(default)]
    label: String,
    created_at: String,
    expires_at: Option<String>,
    #[serde(default)]
    revoked: bool,
    cached_credentials: Option<BTreeMap<String, Wiped>>,
    encryption_provider: Option<String>,
}

/// The records of a plain ledger. `None`: the text is not one.
pub(super) fn parse(text: &str) -> Option<Vec<Entry>> {
    let plain: PlainLedger = toml_edit::de::from_str(text).ok()?;
    plain.leases.into_iter().map(take_over).collect()
}

fn take_over(plain: PlainEntry) -> Option<Entry> {
    let created_at: Timestamp = plain.created_at.parse().ok()?;
    let expires_at: Option<Timestamp> = match plain.expires_at {
        Some(text) => Some(text.parse().ok()?),
        None => None,
    };
    let variables = match (plain.encryption_provider, plain.cached_credentials) {
        (None, Some(credentials)) if !plain.revoked => credentials
            .into_iter()
            .map(|(name, value)| (name, value.0))
            .collect(),
        _ => Vec::new(),
    };
    Some(Entry {
        record: format!("plain-{}", plain.lease_id),
        lease_id: plain.lease_id,
        lease: plain.backend_name,
        kind: String::new(),
        label: plain.label,
        state: if plain.revoked {
            LeaseState::Revoked
        } else {
            LeaseState::Active
        },
        created_at,
        expires_at,
        revoked_at: plain.revoked.then_some(created_at),
        // Whether the issuer can withdraw it is for the lease's type to say, if it is still configured.
        revocation: RevocationKind::Supported,
        revocation_failure: None,
        identity: None,
        run: None,
        variables,
        private: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_over_the_records_and_only_readable_credentials() {
        let entries = parse(
            r#"
            [[leases]]
            lease_id = "AROA:x-1"
            backend_name = "aws"
            label = "fnox-exec-aws"
            created_at = "2026-01-01T00:00:00Z"
            expires_at = "2026-01-01T01:00:00+00:00"
            revoked = false
            config_hash = "0123456789abcdef"
            [leases.cached_credentials]
            AWS_ACCESS_KEY_ID = "ASIA"

            [[leases]]
            lease_id = "b"
            backend_name = "gh"
            label = ""
            created_at = "2026-01-01T00:00:00Z"
            revoked = true
            encryption_provider = "age"
            cached_credentials = { GITHUB_TOKEN = "Y2lwaGVy" }
            "#,
        )
        .unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].variables.len(), 1);
        assert_eq!(entries[0].identity, None);
        assert_eq!(entries[1].state, LeaseState::Revoked);
        assert!(entries[1].variables.is_empty());
    }

    #[test]
    fn an_empty_file_is_an_empty_ledger_and_anything_else_is_none() {
        assert_eq!(parse("").unwrap().len(), 0);
        assert!(parse("version = 2").is_none());
        assert!(parse("[[leases]]\nlease_id = 1").is_none());
        assert!(parse("not toml").is_none());
    }
}
