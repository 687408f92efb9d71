//! Which records are forgotten.

use fnox_core::lease::LeaseState;
use jiff::{SignedDuration, Timestamp};

use super::entry::{Entry, RevocationKind};

/// How long a record of something dead is kept.
const KEPT_AFTER_DEATH: SignedDuration = SignedDuration::from_hours(24);

/// Removes records of leases that have been dead for 24 hours.
///
/// What still needs work is never removed: an intent whose issuer could withdraw what it may have
/// issued, and a withdrawal that failed.
pub fn prune(entries: &mut Vec<Entry>, now: Timestamp) {
    entries.retain(|entry| {
        needs_work(entry)
            || died_at(entry).is_none_or(|moment| now.duration_since(moment) < KEPT_AFTER_DEATH)
    });
}

fn needs_work(entry: &Entry) -> bool {
    entry.state != LeaseState::Revoked
        && entry.revocation == RevocationKind::Supported
        && (entry.state == LeaseState::Pending || entry.revocation_failure.is_some())
}

/// When the lease stopped being worth anything. `None`: it has not.
fn died_at(entry: &Entry) -> Option<Timestamp> {
    match (entry.revoked_at, entry.expires_at) {
        (Some(revoked_at), Some(expires_at)) => Some(revoked_at.min(expires_at)),
        (revoked_at, expires_at) => revoked_at.or(expires_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::entry::tests::{at, credential, pending};

    const DAY: i64 = 86_400;

    fn survives(entry: Entry, second: i64) -> bool {
        let mut entries = vec![entry];
        prune(&mut entries, at(second));
        !entries.is_empty()
    }

    #[test]
    fn a_lease_is_forgotten_a_day_after_its_expiry() {
        let mut entry = pending("a");
        entry.complete(&credential(Some(at(60))), at(0)).unwrap();
        assert!(survives(entry.clone(), 60 + DAY - 1));
        assert!(!survives(entry, 60 + DAY));
    }

    #[test]
    fn a_revoked_lease_without_expiry_is_forgotten_a_day_later_and_a_live_one_never() {
        let mut entry = pending("a");
        entry.complete(&credential(None), at(0)).unwrap();
        assert!(survives(entry.clone(), 400 * DAY));
        entry.revoke(at(100));
        assert!(survives(entry.clone(), 100 + DAY - 1));
        assert!(!survives(entry, 100 + DAY));
    }

    #[test]
    fn what_still_needs_work_is_kept() {
        let mut intent = pending("a");
        assert!(!survives(intent.clone(), 400 * DAY));
        intent.revocation = RevocationKind::Supported;
        assert!(survives(intent.clone(), 400 * DAY));

        intent.complete(&credential(Some(at(60))), at(0)).unwrap();
        assert!(!survives(intent.clone(), 400 * DAY));
        intent.revocation_failure = Some("403".to_owned());
        assert!(survives(intent.clone(), 400 * DAY));
        intent.revoke(at(70));
        assert!(!survives(intent, 400 * DAY));
    }
}
