//! Random walks of one approval through everything that can happen to it, beside a model that says what must.
//!
//! The model is written from the rules, not from the statements: it knows states, people and times, and no rows.

use std::collections::BTreeMap;

use fnox_api::{ApprovalStatus, Decision};
use fnox_core::TokenHash;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use uuid::Uuid;

use super::world::{
    World, answer, entry, moment, new_approval, new_decision, new_grant, new_secret, subject,
};
use super::{Place, rounds};
use crate::store::{Refusal, SessionRecord};

/// How many things happen to one approval.
const STEPS: usize = 24;

/// The secret, as the model calls it.
const KEY: &str = "KEY";

/// Runs all of them.
pub async fn run(place: &dyn Place) {
    let world = World::fresh(place).await;
    for seed in 0..rounds() {
        let mut walk = Walk::begin(&world, seed).await;
        for _ in 0..STEPS {
            walk.step().await;
        }
    }
    world.log_is_whole().await;
}

/// What can happen.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Somebody decides; 0 is whoever asked.
    Decide(usize, Decision),
    WrongCode,
    /// Whoever asked, or somebody else, takes it back.
    Cancel {
        own: bool,
    },
    /// Whoever asked, or somebody else, wants the grant.
    Grant {
        own: bool,
    },
    Redeem,
    /// What is over by time is swept.
    Expire,
    Wait(i64),
    /// Another version of the secret is stored.
    Change,
    EndSession,
    Freeze(bool),
    RevokeAll,
}

/// What must be, without any rows.
#[derive(Debug)]
struct Model {
    now: i64,
    status: ApprovalStatus,
    ends: i64,
    needed: usize,
    said: BTreeMap<usize, Decision>,
    wrong_codes: u32,
    /// When the grant ends.
    grant_ends: Option<i64>,
    changed: bool,
    session_ended: bool,
    frozen: bool,
}

struct Walk<'a> {
    world: &'a World,
    seed: u64,
    random: StdRng,
    model: Model,
    id: Uuid,
    key: String,
    session: SessionRecord,
    grant: TokenHash,
    taken: Vec<Step>,
}

impl<'a> Walk<'a> {
    async fn begin(world: &'a World, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let thaw = world.store(0).set_frozen(false, entry("unfreeze"));
        thaw.await.unwrap();
        let session = world.session(seed + 1).await;
        let key = format!("KEY_{seed}");
        let secret = world.put(&key, "one").await;
        let mut new = new_approval(&session, &[secret]);
        new.approval.approvals_needed = random.random_range(1..=2);
        let needed = new.approval.approvals_needed as usize;
        let id = world.ask(new).await.unwrap().id;
        Self {
            world,
            seed,
            random,
            model: Model {
                now: 1,
                status: ApprovalStatus::Pending,
                ends: 600,
                needed,
                said: BTreeMap::new(),
                wrong_codes: 0,
                grant_ends: None,
                changed: false,
                session_ended: false,
                frozen: false,
            },
            id,
            key,
            // Nobody has this one until there is a grant.
            grant: new_grant(id, &session, moment(0)).grant.hash,
            session,
            taken: Vec::new(),
        }
    }

    async fn step(&mut self) {
        let step = self.choose();
        self.taken.push(step);
        let expected = self.model.take(step);
        let found = self
            .take(step)
            .await
            .map_err(|refusal| self.nameless(refusal));
        let place = (self.seed, &self.taken);
        assert_eq!(found, expected, "{place:?}");
        let status = self.world.status(self.id).await;
        assert_eq!(status, self.model.status, "{place:?}");
    }

    /// The model knows neither the key nor the id.
    fn nameless(&self, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::Changed { key } if key == self.key => Refusal::Changed {
                key: KEY.to_owned(),
            },
            Refusal::GrantUsed { approval } if approval == self.id => Refusal::GrantUsed {
                approval: Uuid::nil(),
            },
            other => other,
        }
    }

    /// Things that end a walk are rare, those that lead on are frequent.
    fn choose(&mut self) -> Step {
        let random = &mut self.random;
        let own = random.random_bool(0.8);
        match random.random_range(0..40) {
            0..12 => Step::Decide(random.random_range(0..4), Decision::Approve),
            12 | 13 => Step::Decide(random.random_range(0..4), Decision::Deny),
            14 => Step::WrongCode,
            15 => Step::Cancel { own },
            16..24 => Step::Grant { own },
            24..30 => Step::Redeem,
            30 | 31 => Step::Expire,
            32..35 => Step::Wait([1, 20, 60, 300][random.random_range(0..4)]),
            35 => Step::Change,
            36 => Step::EndSession,
            37 => Step::RevokeAll,
            _ => Step::Freeze(random.random_bool(0.3)),
        }
    }

    fn now(&self) -> Timestamp {
        moment(self.model.now)
    }

    fn person(&self, number: usize) -> String {
        match number {
            0 => self.session.subject.principal(),
            other => format!("person {other}"),
        }
    }

    /// Does it, and tells why not.
    async fn take(&mut self, step: Step) -> Result<(), Refusal> {
        let now = self.now();
        let store = self.world.store(self.taken.len());
        let other = subject(0).binding();
        match step {
            Step::Decide(person, decision) => {
                let new = new_decision(self.id, &self.person(person), decision, now);
                answer(store.decide(new, entry("decide")).await).map(|_| ())
            }
            Step::WrongCode => {
                answer(store.wrong_code(self.id, now, entry("wrong")).await).map(|_| ())
            }
            Step::Cancel { own } => {
                let own = own.then(|| self.session.subject.binding());
                let cancelled = store.cancel(self.id, own.unwrap_or(other), now, entry("cancel"));
                answer(cancelled.await).map(|_| ())
            }
            Step::Grant { own } => {
                let mut new = new_grant(self.id, &self.session, now);
                if !own {
                    new.binding = other;
                }
                let hash = new.grant.hash;
                answer(store.grant(new, entry("grant")).await).map(|_| self.grant = hash)
            }
            Step::Redeem => {
                answer(store.redeem(self.grant, now, entry("redeem")).await).map(|_| ())
            }
            Step::Expire => answer(store.expire(now, 1_000_000).await).map(|_| ()),
            Step::Change => {
                let new = new_secret(&self.key, "another");
                answer(store.put_secret(new, entry("put")).await).map(|_| ())
            }
            Step::EndSession => answer(store.end_session(self.session.id, entry("end")).await),
            Step::Freeze(frozen) => answer(store.set_frozen(frozen, entry("freeze")).await),
            Step::RevokeAll => {
                let but = Some(self.session.id);
                answer(store.revoke_all(but, now, entry("revoke")).await).map(|_| ())
            }
            Step::Wait(_) => Ok(()),
        }
    }
}

impl Model {
    fn take(&mut self, step: Step) -> Result<(), Refusal> {
        match step {
            Step::Decide(person, decision) => self.decide(person, decision),
            Step::WrongCode => {
                self.must_be_pending()?;
                self.wrong_codes += 1;
                if self.wrong_codes == 2 {
                    self.status = ApprovalStatus::Denied;
                }
                Ok(())
            }
            Step::Cancel { own: false } | Step::Grant { own: false } => Err(Refusal::NotTheirs),
            Step::Cancel { own: true } => {
                self.must_be_open()?;
                self.status = ApprovalStatus::Cancelled;
                Ok(())
            }
            Step::Grant { own: true } => self.grant(),
            Step::Redeem => self.redeem(),
            Step::Expire => {
                self.status = self.seen();
                if self.status == ApprovalStatus::Granted
                    && self.grant_ends.is_some_and(|ends| ends <= self.now)
                {
                    self.status = ApprovalStatus::Expired;
                }
                Ok(())
            }
            Step::Wait(seconds) => {
                self.now += seconds;
                Ok(())
            }
            Step::Change => {
                self.changed = true;
                Ok(())
            }
            Step::EndSession => {
                if std::mem::replace(&mut self.session_ended, true) {
                    return Err(Refusal::Missing);
                }
                Ok(())
            }
            Step::Freeze(frozen) => {
                self.frozen = frozen;
                Ok(())
            }
            Step::RevokeAll => {
                if [ApprovalStatus::Pending, ApprovalStatus::Approved].contains(&self.status) {
                    self.status = ApprovalStatus::Cancelled;
                }
                self.grant_ends = self.grant_ends.map(|ends| ends.min(self.now));
                Ok(())
            }
        }
    }

    /// As whoever looks at it now sees it.
    fn seen(&self) -> ApprovalStatus {
        let is_open = [ApprovalStatus::Pending, ApprovalStatus::Approved].contains(&self.status);
        if is_open && self.now >= self.ends {
            ApprovalStatus::Expired
        } else {
            self.status
        }
    }

    fn must_be_pending(&self) -> Result<(), Refusal> {
        match self.seen() {
            ApprovalStatus::Pending => Ok(()),
            other => Err(Refusal::Status(other)),
        }
    }

    fn must_be_open(&self) -> Result<(), Refusal> {
        match self.seen() {
            ApprovalStatus::Pending | ApprovalStatus::Approved => Ok(()),
            other => Err(Refusal::Status(other)),
        }
    }

    fn decide(&mut self, person: usize, decision: Decision) -> Result<(), Refusal> {
        if person == 0 {
            return Err(Refusal::SelfApproval);
        }
        if self.said.get(&person) == Some(&decision) {
            return Ok(());
        }
        if decision == Decision::Deny {
            self.must_be_open()?;
            self.status = ApprovalStatus::Denied;
        } else {
            self.must_be_pending()?;
        }
        self.said.insert(person, decision);
        let yes = self.said.values().filter(|it| **it == Decision::Approve);
        if decision == Decision::Approve && yes.count() >= self.needed {
            self.status = ApprovalStatus::Approved;
            self.ends = self.now + 600;
        }
        Ok(())
    }

    fn may_release(&self) -> Result<(), Refusal> {
        if self.frozen {
            return Err(Refusal::Frozen);
        }
        if self.session_ended || self.now >= 900 {
            return Err(Refusal::SessionEnded);
        }
        Ok(())
    }

    fn must_be_unchanged(&self) -> Result<(), Refusal> {
        if self.changed {
            return Err(Refusal::Changed {
                key: KEY.to_owned(),
            });
        }
        Ok(())
    }

    fn grant(&mut self) -> Result<(), Refusal> {
        self.may_release()?;
        self.must_be_unchanged()?;
        match self.seen() {
            ApprovalStatus::Approved => {
                self.status = ApprovalStatus::Granted;
                self.grant_ends = Some(self.now + 60);
                Ok(())
            }
            other => Err(Refusal::Status(other)),
        }
    }

    fn redeem(&mut self) -> Result<(), Refusal> {
        let Some(ends) = self.grant_ends else {
            return Err(Refusal::Missing);
        };
        if self.status == ApprovalStatus::Fetched {
            let approval = Uuid::nil();
            return Err(Refusal::GrantUsed { approval });
        }
        if ends <= self.now || self.status == ApprovalStatus::Expired {
            return Err(Refusal::GrantExpired);
        }
        self.may_release()?;
        self.must_be_unchanged()?;
        self.status = ApprovalStatus::Fetched;
        Ok(())
    }
}
