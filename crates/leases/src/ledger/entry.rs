//! One record of the ledger.
//!
//! A record is written before the issuer is called (`pending`) and completed after it. Its state changes
//! only by the moves of [`LeaseState`], so a credential that was used up or withdrawn is never handed
//! out again.

use fnox_core::lease::{IllegalMove, LeaseState, is_fresh};
use fnox_core::{Credential, SecretString};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How far in the future a record's creation may lie before the clock is taken to have been set back.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// Whether the issuer can withdraw a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationKind {
    /// It cannot: the credential works until it expires.
    ExpiresOnly,
    /// It can.
    Supported,
}

/// What names the credential that a record is about: same values, same credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Keyed digest of the effective lease table.
    pub configuration: String,
    /// Keyed digest of what names the masters.
    pub principal: String,
}

/// One record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Id of the record itself.
    pub record: String,
    /// The issuer's handle; a provisional one while the record is pending.
    pub lease_id: String,
    /// Name of the lease in the configuration.
    pub lease: String,
    /// Its type; empty in records taken over from a plain ledger.
    pub kind: String,
    /// Label under which it was asked for.
    pub label: String,
    /// Where it is in its life. Expiry is computed from the time, see [`Entry::state_at`].
    pub state: LeaseState,
    /// When it was issued, or the intent written.
    pub created_at: Timestamp,
    /// When it stops working: the issuer's word, or while pending the latest possible moment.
    pub expires_at: Option<Timestamp>,
    /// When it was withdrawn.
    pub revoked_at: Option<Timestamp>,
    /// Whether the issuer can withdraw it.
    pub revocation: RevocationKind,
    /// A withdrawal that began and has not succeeded: the reason, empty if it is not known.
    pub revocation_failure: Option<String>,
    /// What names the credential. `None` in records taken over from a plain ledger: never reused.
    pub identity: Option<Identity>,
    /// The credential's variables.
    #[serde(with = "secret_variables")]
    pub variables: Vec<(String, SecretString)>,
    /// The run that nobody else shares it with, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What only the mint needs again; of an intent, what it could withdraw the lost answer by.
    #[serde(
        default,
        with = "secret_variables",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub private: Vec<(String, SecretString)>,
}

impl Entry {
    /// Where the lease is in its life at a moment.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> LeaseState {
        match (self.state, self.expires_at) {
            (LeaseState::Active, Some(expires_at)) if expires_at <= now => LeaseState::Expired,
            (state, _) => state,
        }
    }

    /// Whether the credential may be handed out again at a moment to somebody with this identity.
    #[must_use]
    pub fn is_reusable(&self, lease: &str, identity: &Identity, now: Timestamp) -> bool {
        self.is_usable(lease, identity, now) && is_fresh(self.created_at, self.expires_at, now)
    }

    /// Whether the credential still works, and is too near its end to be handed out again.
    #[must_use]
    pub fn is_ending(&self, lease: &str, identity: &Identity, now: Timestamp) -> bool {
        self.is_usable(lease, identity, now) && !is_fresh(self.created_at, self.expires_at, now)
    }

    fn is_usable(&self, lease: &str, identity: &Identity, now: Timestamp) -> bool {
        self.lease == lease
            && self.state_at(now) == LeaseState::Active
            && self.identity.as_ref() == Some(identity)
            && self.revocation_failure.is_none()
            && !self.variables.is_empty()
            // A clock that was set back would make an expired credential look fresh.
            && self.created_at.duration_since(now) <= CLOCK_TOLERANCE
    }

    /// Completes an intent with what the issuer answered.
    ///
    /// # Errors
    /// [`IllegalMove`] if the record is not an intent any more.
    pub fn complete(&mut self, credential: &Credential, now: Timestamp) -> Result<(), IllegalMove> {
        self.state.become_state(LeaseState::Active)?;
        self.lease_id.clone_from(&credential.id);
        self.created_at = now;
        self.expires_at = credential.expires_at;
        self.variables.clone_from(&credential.variables);
        self.private.clone_from(&credential.private);
        Ok(())
    }

    /// Notes that the issuer prolonged the credential, which is still the same one.
    ///
    /// # Errors
    /// [`IllegalMove`] if the lease is over: what was withdrawn or has ended is not revived.
    pub fn prolong(&mut self, credential: &Credential, now: Timestamp) -> Result<(), IllegalMove> {
        let state = self.state_at(now);
        if state != LeaseState::Active || self.revocation_failure.is_some() {
            return Err(IllegalMove {
                from: state,
                to: LeaseState::Active,
            });
        }
        self.created_at = now;
        self.expires_at = credential.expires_at;
        self.variables.clone_from(&credential.variables);
        self.private.clone_from(&credential.private);
        Ok(())
    }

    /// Notes that the lease is withdrawn and forgets its credential. Doing it twice changes nothing.
    pub fn revoke(&mut self, now: Timestamp) {
        if self.state_at(now) == LeaseState::Expired && self.state == LeaseState::Active {
            // The life of a lease goes through every state; active to expired is always legal.
            let _ = self.state.become_state(LeaseState::Expired);
        }
        if self.state.become_state(LeaseState::Revoked).is_ok() {
            self.revoked_at = Some(now);
        }
        self.revocation_failure = None;
        self.variables.clear();
        self.private.clear();
    }

    /// The credential, if the record has one.
    #[must_use]
    pub fn credential(&self) -> Option<Credential> {
        (!self.variables.is_empty()).then(|| Credential {
            variables: self.variables.clone(),
            expires_at: self.expires_at,
            id: self.lease_id.clone(),
            private: self.private.clone(),
        })
    }
}

/// The credential among `entries` that may be handed out again and lives longest.
#[must_use]
pub fn reusable<'a>(
    entries: &'a [Entry],
    lease: &str,
    identity: &Identity,
    now: Timestamp,
) -> Option<&'a Entry> {
    entries
        .iter()
        .filter(|entry| entry.is_reusable(lease, identity, now))
        .max_by_key(|entry| entry.expires_at.unwrap_or(Timestamp::MAX))
}

/// Values leave their type only inside the bytes that are sealed next.
mod secret_variables {
    use fnox_core::SecretString;
    use serde::de::{Deserialize as _, Deserializer};
    use serde::ser::{SerializeSeq as _, Serializer};

    use crate::wiped::Wiped;

    pub(super) fn serialize<S: Serializer>(
        variables: &[(String, SecretString)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(variables.len()))?;
        for (name, value) in variables {
            list.serialize_element(&(name, value.expose_secret()))?;
        }
        list.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, SecretString)>, D::Error> {
        let list = Vec::<(String, Wiped)>::deserialize(deserializer)?;
        Ok(list
            .into_iter()
            .map(|(name, value)| (name, value.0))
            .collect())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    pub(crate) fn identity() -> Identity {
        Identity {
            configuration: "c".to_owned(),
            principal: "p".to_owned(),
        }
    }

    pub(crate) fn pending(record: &str) -> Entry {
        Entry {
            record: record.to_owned(),
            lease_id: format!("intent-{record}"),
            lease: "aws".to_owned(),
            kind: "aws-sts".to_owned(),
            label: "fnox-exec-aws".to_owned(),
            state: LeaseState::Pending,
            created_at: at(0),
            expires_at: Some(at(3600)),
            revoked_at: None,
            revocation: RevocationKind::ExpiresOnly,
            revocation_failure: None,
            identity: Some(identity()),
            run: None,
            variables: Vec::new(),
            private: Vec::new(),
        }
    }

    pub(crate) fn credential(expires_at: Option<Timestamp>) -> Credential {
        Credential {
            variables: vec![("TOKEN".to_owned(), SecretString::from("s3cret-value"))],
            expires_at,
            id: "issued".to_owned(),
            private: Vec::new(),
        }
    }

    #[test]
    fn an_intent_is_never_handed_out() {
        assert!(reusable(&[pending("a")], "aws", &identity(), at(1)).is_none());
    }

    #[test]
    fn a_completed_record_is_reused_by_the_same_principal_and_configuration_only() {
        let mut entry = pending("a");
        entry.complete(&credential(Some(at(3600))), at(0)).unwrap();
        assert!(entry.is_reusable("aws", &identity(), at(3299)));
        assert!(!entry.is_reusable("aws", &identity(), at(3300)));
        assert!(!entry.is_reusable("other", &identity(), at(1)));
        for changed in ["configuration", "principal"] {
            let mut identity = identity();
            match changed {
                "principal" => identity.principal.push('x'),
                _ => identity.configuration.push('x'),
            }
            assert!(!entry.is_reusable("aws", &identity, at(1)), "{changed}");
        }
        entry.identity = None;
        assert!(!entry.is_reusable("aws", &identity(), at(1)));
    }

    #[test]
    fn a_clock_that_was_set_back_reuses_nothing() {
        let mut entry = pending("a");
        entry
            .complete(&credential(Some(at(7200))), at(3600))
            .unwrap();
        assert!(entry.is_reusable("aws", &identity(), at(3400)));
        assert!(!entry.is_reusable("aws", &identity(), at(3200)));
    }

    #[test]
    fn the_longest_life_wins_and_no_expiry_is_the_longest() {
        let entries: Vec<Entry> = [Some(at(3600)), None, Some(at(7200))]
            .into_iter()
            .map(|expires_at| {
                let mut entry = pending("x");
                entry.complete(&credential(expires_at), at(0)).unwrap();
                entry
            })
            .collect();
        let best = reusable(&entries, "aws", &identity(), at(1)).unwrap();
        assert_eq!(best.expires_at, None);
        let best = reusable(&entries[..1], "aws", &identity(), at(1)).unwrap();
        assert_eq!(best.expires_at, Some(at(3600)));
    }

    #[test]
    fn revoking_forgets_the_credential_and_is_final() {
        let mut entry = pending("a");
        entry.complete(&credential(None), at(0)).unwrap();
        entry.revoke(at(5));
        entry.revoke(at(9));
        assert_eq!(
            (entry.state, entry.revoked_at),
            (LeaseState::Revoked, Some(at(5)))
        );
        assert!(entry.credential().is_none());
        assert!(entry.complete(&credential(None), at(6)).is_err());
    }

    #[test]
    fn a_record_survives_its_stored_form() {
        let mut entry = pending("a");
        entry.complete(&credential(Some(at(60))), at(0)).unwrap();
        let text = serde_json::to_string(&entry).unwrap();
        let copy: Entry = serde_json::from_str(&text).unwrap();
        assert_eq!(copy.variables, entry.variables);
        assert_eq!(copy.expires_at, entry.expires_at);
        assert!(!format!("{entry:?}").contains("s3cret"));
    }
}
