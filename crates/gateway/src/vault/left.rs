//! What a gateway that ran before left behind: leases of the vault that are not over.
//!
//! A gateway that starts again, after a crash too, goes on with them. Otherwise each start would give every agent new uses,
//! and undo what somebody withdrew.

use fnox_vault_wire::methods::{Delivery, LeaseInfo, LeaseStatus, ListLeases};
use fnox_vault_wire::{Client as Vault, ClientError};
use jiff::Timestamp;

/// Most leases of a page (`list_leases`).
const PAGE: u32 = 1000;

/// The lease of one secret at one host that counts: one that was withdrawn or used up before its time before one that is live,
/// and of these the one that ends last.
///
/// # Errors
/// If the vault does not say.
pub(super) async fn behind(
    asking: &Vault,
    secret: &str,
    host: &str,
    now: Timestamp,
) -> Result<Option<LeaseInfo>, ClientError> {
    let mut found: Option<LeaseInfo> = None;
    let mut after = None;
    loop {
        let page = ListLeases {
            secret: Some(secret.to_owned()),
            all: true,
            after,
            limit: Some(PAGE),
            ..ListLeases::default()
        };
        let page = asking.call(&page).await?;
        for lease in page.leases {
            if counts(&lease, secret, host, now)
                && found
                    .as_ref()
                    .is_none_or(|other| weight(other) < weight(&lease))
            {
                found = Some(lease);
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(found),
        }
    }
}

/// Whether it is in the hands of a gateway, and its time is not over.
fn counts(lease: &LeaseInfo, secret: &str, host: &str, now: Timestamp) -> bool {
    lease.secret_name == secret
        && lease.domain == host
        && lease.delivery == Delivery::Inject
        && lease.status != LeaseStatus::Expired
        && lease.expires_at > now
}

fn weight(lease: &LeaseInfo) -> (bool, Timestamp) {
    (lease.status != LeaseStatus::Active, lease.expires_at)
}

#[cfg(test)]
mod tests {
    use fnox_vault_wire::LeaseId;

    use super::*;

    fn lease(status: LeaseStatus, ends: i64) -> LeaseInfo {
        LeaseInfo {
            lease_id: LeaseId::generate(),
            agent: "coder".to_owned(),
            peer: "token:1".to_owned(),
            secret_name: "api".to_owned(),
            domain: "api.example.com:443".to_owned(),
            rule: "rule".to_owned(),
            status,
            reason: None,
            issued_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::from_second(ends).unwrap(),
            uses: 0,
            max_uses: None,
            renewable: false,
            renewals: 0,
            session_id: None,
            delivery: Delivery::Inject,
        }
    }

    #[test]
    fn only_what_a_gateway_may_spend_here_and_now_counts() {
        let now = Timestamp::from_second(100).unwrap();
        let is_it = |lease: &LeaseInfo| counts(lease, "api", "api.example.com:443", now);
        let live = lease(LeaseStatus::Active, 101);
        assert!(is_it(&live));
        assert!(is_it(&lease(LeaseStatus::Revoked, 101)));
        assert!(!is_it(&lease(LeaseStatus::Active, 100)));
        assert!(!is_it(&lease(LeaseStatus::Expired, 101)));
        for change in [
            |lease: &mut LeaseInfo| lease.delivery = Delivery::Value,
            |lease: &mut LeaseInfo| lease.domain = "api.example.com:8443".to_owned(),
            |lease: &mut LeaseInfo| lease.secret_name = "other".to_owned(),
        ] {
            let mut other = live.clone();
            change(&mut other);
            assert!(!is_it(&other), "{other:?}");
        }
    }

    #[test]
    fn what_was_withdrawn_or_used_up_counts_before_what_is_live() {
        let live = lease(LeaseStatus::Active, 900);
        for status in [LeaseStatus::Revoked, LeaseStatus::Exhausted] {
            assert!(weight(&lease(status, 800)) > weight(&live));
            assert!(weight(&lease(status, 801)) > weight(&lease(status, 800)));
        }
    }
}
