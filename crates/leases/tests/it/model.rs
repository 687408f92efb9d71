//! The life of records under random histories, against a model that is too simple to be wrong.

use fnox_core::lease::LeaseState;
use fnox_core::{Credential, SecretString};
use fnox_leases::ledger::entry::{Entry, Identity, RevocationKind, reusable};
use fnox_leases::ledger::prune::prune;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::child::intent;

#[derive(Debug, Clone)]
enum Step {
    Intend { supported: bool },
    Complete { of: usize, life: Option<i64> },
    Refuse { of: usize },
    Revoke { of: usize },
    Advance { seconds: i64 },
    Save,
}

/// What is true of one credential, without any states.
#[derive(Debug, Clone)]
struct Fact {
    record: String,
    issued: bool,
    revoked_at: Option<Timestamp>,
    created: Timestamp,
    ends: Option<Timestamp>,
    supported: bool,
    refused: bool,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<bool>().prop_map(|supported| Step::Intend { supported }),
        (any::<usize>(), prop::option::of(1i64..200_000))
            .prop_map(|(of, life)| Step::Complete { of, life }),
        any::<usize>().prop_map(|of| Step::Refuse { of }),
        any::<usize>().prop_map(|of| Step::Revoke { of }),
        (1i64..100_000).prop_map(|seconds| Step::Advance { seconds }),
        Just(Step::Save),
    ]
}

fn identity() -> Identity {
    Identity {
        configuration: "c".to_owned(),
        principal: "p".to_owned(),
    }
}

/// More than five minutes and a fifth of its life left, whichever is less.
fn is_fresh(fact: &Fact, now: Timestamp) -> bool {
    fact.ends.is_none_or(|ends| {
        let (life, left) = (ends.duration_since(fact.created), ends.duration_since(now));
        left > SignedDuration::from_mins(5).min(life / 5)
    })
}

fn forgettable(fact: &Fact, now: Timestamp) -> bool {
    let day = SignedDuration::from_hours(24);
    let ended = [fact.ends, fact.revoked_at].into_iter().flatten().min();
    let open = fact.revoked_at.is_none() && fact.supported && (!fact.issued || fact.refused);
    !open && ended.is_some_and(|moment| now.duration_since(moment) >= day)
}

fn apply(
    step: &Step,
    entries: &mut Vec<Entry>,
    facts: &mut Vec<Fact>,
    now: &mut Timestamp,
    number: usize,
) {
    let pick = |of: usize, count: usize| (count > 0).then(|| of % count);
    match step {
        Step::Intend { supported } => {
            let mut entry = intent(&number.to_string());
            entry.identity = Some(identity());
            entry.created_at = *now;
            entry.expires_at = Some(*now + SignedDuration::from_hours(1));
            if *supported {
                entry.revocation = RevocationKind::Supported;
            }
            facts.push(Fact {
                record: entry.record.clone(),
                issued: false,
                revoked_at: None,
                created: *now,
                ends: entry.expires_at,
                supported: *supported,
                refused: false,
            });
            entries.push(entry);
        }
        Step::Complete { of, life } => {
            let Some(at) = pick(*of, entries.len()) else {
                return;
            };
            let credential = Credential {
                variables: vec![("T".to_owned(), SecretString::from("v"))],
                expires_at: life.map(|life| *now + SignedDuration::from_secs(life)),
                id: format!("id-{number}"),
            };
            let fact = facts
                .iter_mut()
                .find(|fact| fact.record == entries[at].record)
                .unwrap();
            let allowed = !fact.issued && fact.revoked_at.is_none();
            assert_eq!(entries[at].complete(&credential, *now).is_ok(), allowed);
            if allowed {
                fact.issued = true;
                (fact.created, fact.ends) = (*now, credential.expires_at);
            }
        }
        Step::Refuse { of } => {
            let Some(at) = pick(*of, entries.len()) else {
                return;
            };
            let fact = facts
                .iter_mut()
                .find(|fact| fact.record == entries[at].record)
                .unwrap();
            if fact.revoked_at.is_none() {
                entries[at].revocation_failure = Some("no".to_owned());
                fact.refused = true;
            }
        }
        Step::Revoke { of } => {
            let Some(at) = pick(*of, entries.len()) else {
                return;
            };
            entries[at].revoke(*now);
            let fact = facts
                .iter_mut()
                .find(|fact| fact.record == entries[at].record)
                .unwrap();
            fact.revoked_at.get_or_insert(*now);
        }
        Step::Advance { seconds } => *now += SignedDuration::from_secs(*seconds),
        Step::Save => {
            prune(entries, *now);
            facts.retain(|fact| !forgettable(fact, *now));
        }
    }
}

proptest! {
    #[test]
    fn records_do_what_the_model_says(steps in prop::collection::vec(step(), 1..60)) {
        let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let (mut entries, mut facts) = (Vec::new(), Vec::new());
        for (number, step) in steps.iter().enumerate() {
            apply(step, &mut entries, &mut facts, &mut now, number);
            let known: Vec<&str> = entries.iter().map(|entry| entry.record.as_str()).collect();
            let wanted: Vec<&str> = facts.iter().map(|fact| fact.record.as_str()).collect();
            prop_assert_eq!(known, wanted);

            let best = facts
                .iter()
                .filter(|fact| fact.issued && !fact.refused && fact.revoked_at.is_none())
                .filter(|fact| fact.ends.is_none_or(|ends| ends > now) && is_fresh(fact, now))
                .map(|fact| fact.ends.unwrap_or(Timestamp::MAX))
                .max();
            let found = reusable(&entries, "aws", &identity(), now);
            prop_assert_eq!(found.map(|entry| entry.expires_at.unwrap_or(Timestamp::MAX)), best);

            for (entry, fact) in entries.iter().zip(&facts) {
                let state = match (fact.revoked_at, fact.issued, fact.ends) {
                    (Some(_), _, _) => LeaseState::Revoked,
                    (None, false, _) => LeaseState::Pending,
                    (None, true, Some(ends)) if ends <= now => LeaseState::Expired,
                    _ => LeaseState::Active,
                };
                prop_assert_eq!(entry.state_at(now), state);
                prop_assert!(state != LeaseState::Revoked || entry.credential().is_none());
            }
        }
    }
}
