//! The desk at which a gateway's requests wait for the leases of a run: each lease is minted once for all who wait.
//!
//! What it lends ends: when its time is over, and when somebody withdraws it by `fnox lease revoke`, of which the ledger
//! tells. What was withdrawn is not minted again before its time is over.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fnox_core::lease::{LeaseState, is_fresh};
use fnox_core::{Clock, Credential, LeaseName};
use fnox_gateway::proxy::{Ended, Ender};
use fnox_gateway::{Reason, Refusal};
use fnox_leases::{Acquire, Acquired, Held, LeaseError, Manager, Sharing};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::exec::redact::Redaction;

/// How many requests may queue.
const QUEUE: usize = 1024;

/// How often the ledger's file is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What is lent: the same for all requests until it is renewed.
#[derive(Debug)]
pub(crate) struct Loan {
    pub(crate) credential: Credential,
    /// When it ends, whatever is on its way with it ends too.
    pub(crate) ended: Ended,
}

pub(crate) type Answer = Result<Arc<Loan>, Refusal>;

/// A request for a lease.
pub(crate) type Asked = (LeaseName, oneshot::Sender<Answer>);

/// Where requests are answered.
#[derive(Debug)]
pub(crate) struct Desk {
    asked: mpsc::Receiver<Asked>,
    clock: Arc<dyn Clock>,
    counters: HashMap<LeaseName, Counter>,
    redaction: Option<Arc<Redaction>>,
    /// When the ledger was last changed, as far as is known.
    ledger: Option<SystemTime>,
}

/// One lease at the desk.
#[derive(Debug, Default)]
struct Counter {
    lent: Option<LentOut>,
    withdrawn: Option<Withdrawn>,
    waiting: Vec<oneshot::Sender<Answer>>,
}

#[derive(Debug)]
struct LentOut {
    created_at: Timestamp,
    loan: Arc<Loan>,
    ender: Ender,
}

/// A lease that somebody withdrew.
#[derive(Debug)]
struct Withdrawn {
    refusal: Refusal,
    /// `None`: for the rest of the run.
    until: Option<Timestamp>,
}

/// Waits until a loan's time is over, and ends it.
type Ending = Pin<Box<dyn Future<Output = ()>>>;

impl Desk {
    /// Nobody has asked yet.
    pub(super) fn new(clock: Arc<dyn Clock>) -> (Self, mpsc::Sender<Asked>) {
        let (asking, asked) = mpsc::channel(QUEUE);
        let desk = Self {
            asked,
            clock,
            counters: HashMap::new(),
            redaction: None,
            ledger: None,
        };
        (desk, asking)
    }

    /// From now on `redaction` looks for what is minted, before anybody gets it.
    pub(crate) fn redact_with(&mut self, redaction: Arc<Redaction>) {
        self.redaction = Some(redaction);
    }

    /// Answers for as long as it is polled. It ends when nobody can ask any more.
    pub(crate) async fn serve(&mut self, manager: &Manager<'_>) {
        let mut minting = FuturesUnordered::new();
        let mut endings: FuturesUnordered<Ending> = FuturesUnordered::new();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                asked = self.asked.recv() => {
                    let Some((name, answer)) = asked else { return };
                    if let Some(name) = self.wait(name, answer) {
                        minting.push(mint(manager, name));
                    }
                }
                Some((name, outcome)) = minting.next(), if !minting.is_empty() => {
                    endings.extend(self.answer(&name, outcome));
                }
                Some(()) = endings.next(), if !endings.is_empty() => {}
                _ = looks.tick() => self.look(manager).await,
            }
        }
    }

    /// What was minted for this run alone.
    pub(crate) fn minted(&self) -> Vec<String> {
        let lent = self.counters.values();
        lent.filter_map(|counter| counter.lent.as_ref())
            .map(|lent| lent.loan.credential.id.clone())
            .collect()
    }

    /// Answers at once, or lets somebody wait. Who is the first to wait has it minted.
    fn wait(&mut self, name: LeaseName, answer: oneshot::Sender<Answer>) -> Option<LeaseName> {
        let now = self.clock.now();
        let counter = self.counters.entry(name.clone()).or_default();
        if let Some(answered) = counter.answer_at(now) {
            // Whoever does not wait for the answer any more needs none.
            let _ = answer.send(answered);
            return None;
        }
        counter.waiting.push(answer);
        (counter.waiting.len() == 1).then_some(name)
    }

    /// Answers those who wait. What was minted has an end.
    fn answer(&mut self, name: &LeaseName, outcome: Result<Held, Refusal>) -> Option<Ending> {
        let now = self.clock.now();
        let counter = self.counters.entry(name.clone()).or_default();
        let mut ending = None;
        let answer = match outcome {
            Ok(held) => {
                if let Some(redaction) = &self.redaction {
                    let values = held.credential.variables.iter();
                    redaction.add(values.map(|(_, value)| value.clone()).collect());
                }
                let (ender, over) = Ender::new();
                ending = held
                    .credential
                    .expires_at
                    .map(|end| ends_at(end, now, ender.clone(), name));
                let loan = Arc::new(Loan {
                    credential: held.credential,
                    ended: over,
                });
                counter.lent = Some(LentOut {
                    created_at: held.created_at,
                    loan: Arc::clone(&loan),
                    ender,
                });
                Ok(loan)
            }
            // What has not ended works still.
            Err(refusal) => match &counter.lent {
                Some(lent) if lent.lasts(now) => Ok(Arc::clone(&lent.loan)),
                _ => Err(refusal),
            },
        };
        for waiting in counter.waiting.drain(..) {
            let _ = waiting.send(answer.clone());
        }
        ending
    }

    /// Ends what somebody has withdrawn since the last look.
    async fn look(&mut self, manager: &Manager<'_>) {
        if self.counters.values().all(|counter| counter.lent.is_none()) {
            return;
        }
        let changed = std::fs::metadata(manager.ledger().path()).and_then(|file| file.modified());
        let changed = changed.ok();
        if changed == self.ledger {
            return;
        }
        // A ledger that cannot be read says nothing. It is looked at again.
        let Ok(records) = manager.list().await else {
            return;
        };
        self.ledger = changed;
        for (name, counter) in &mut self.counters {
            let is_withdrawn = counter.lent.as_ref().is_some_and(|lent| {
                let id = &lent.loan.credential.id;
                let mut records = records.iter();
                // An issuer that did not take it back changes nothing about what somebody wanted.
                records.any(|it| {
                    it.lease_id == *id
                        && (it.state == LeaseState::Revoked || it.revocation_failure.is_some())
                })
            });
            if is_withdrawn {
                counter.withdraw(name);
            }
        }
    }
}

impl LentOut {
    /// Whether its time goes on: by the wall clock, and by the one that nobody can set back.
    fn lasts(&self, now: Timestamp) -> bool {
        let credential = &self.loan.credential;
        self.loan.ended.refusal().is_none() && credential.expires_at.is_none_or(|end| end > now)
    }
}

impl Counter {
    /// What there is to say without the issuer.
    fn answer_at(&mut self, now: Timestamp) -> Option<Answer> {
        let is_over = |it: &Withdrawn| it.until.is_some_and(|until| until <= now);
        self.withdrawn.take_if(|withdrawn| is_over(withdrawn));
        if let Some(withdrawn) = &self.withdrawn {
            return Some(Err(withdrawn.refusal.clone()));
        }
        let lent = self.lent.as_ref().filter(|lent| lent.lasts(now))?;
        let expires_at = lent.loan.credential.expires_at;
        is_fresh(lent.created_at, expires_at, now).then(|| Ok(Arc::clone(&lent.loan)))
    }

    fn withdraw(&mut self, name: &LeaseName) {
        if let Some(lent) = self.lent.take() {
            let refusal = over(name, "was withdrawn");
            lent.ender.end(refusal.clone());
            self.withdrawn = Some(Withdrawn {
                refusal,
                until: lent.loan.credential.expires_at,
            });
        }
    }
}

fn ends_at(end: Timestamp, now: Timestamp, ender: Ender, name: &LeaseName) -> Ending {
    let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
    let refusal = over(name, "is over");
    Box::pin(async move {
        sleep(left).await;
        ender.end(refusal);
    })
}

fn over(name: &LeaseName, how: &str) -> Refusal {
    Refusal::new(Reason::Exhausted, format!("the lease {how}"))
        .of_lease(name.as_str())
        .with_remedy("Send the request again when its time is over: then another one is made.")
}

async fn mint(manager: &Manager<'_>, name: LeaseName) -> (LeaseName, Result<Held, Refusal>) {
    let request = Acquire {
        label: format!("fnox-agent-{name}"),
        reuse: false,
        require: true,
        sharing: Sharing::ThisRun,
        ..Acquire::for_exec(&name)
    };
    let outcome = match manager.acquire(&name, request).await {
        Ok(Acquired::Minted(held) | Acquired::Cached(held)) => Ok(held),
        Ok(Acquired::Skipped(skip)) => Err(refused(&name, &skip.message, Some(skip.hint))),
        Err(error) => Err(refused_by(&name, &error)),
    };
    (name, outcome)
}

fn refused_by(name: &LeaseName, error: &LeaseError) -> Refusal {
    refused(name, &error.to_string(), error.help())
}

fn refused(name: &LeaseName, message: &str, help: Option<String>) -> Refusal {
    let refusal = Refusal::new(Reason::Credential, message).of_lease(name.as_str());
    match help {
        Some(help) => refusal.with_remedy(help),
        None => refusal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A counter with a lease of an hour that was minted at 0, and what ends it.
    fn counter() -> (Counter, Ender) {
        let (ender, over) = Ender::new();
        let credential = Credential {
            variables: Vec::new(),
            expires_at: Some(at(3600)),
            id: "1".to_owned(),
            private: Vec::new(),
        };
        let lent = LentOut {
            created_at: at(0),
            loan: Arc::new(Loan {
                credential,
                ended: over,
            }),
            ender: ender.clone(),
        };
        let counter = Counter {
            lent: Some(lent),
            ..Counter::default()
        };
        (counter, ender)
    }

    #[test]
    fn a_clock_that_is_set_forward_has_another_lease_made() {
        let (mut counter, _) = counter();
        assert!(matches!(counter.answer_at(at(60)), Some(Ok(_))));
        assert!(counter.answer_at(at(3601)).is_none());
    }

    #[test]
    fn a_clock_that_is_set_back_lends_nothing_whose_time_was_over() {
        let (mut counter, ender) = counter();
        let name = LeaseName::parse("api").unwrap();
        // As the clock that nobody sets has it.
        ender.end(over(&name, "is over"));
        assert!(counter.answer_at(at(-3600)).is_none());
        assert!(!counter.lent.as_ref().unwrap().lasts(at(-3600)));
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_again_that_was_withdrawn() {
        let (mut counter, _) = counter();
        let name = LeaseName::parse("api").unwrap();
        counter.withdraw(&name);
        for second in [60, -3600] {
            let answer = counter.answer_at(at(second));
            let refusal = answer.unwrap().unwrap_err();
            assert_eq!(refusal.reason, Reason::Exhausted);
        }
        assert!(counter.answer_at(at(3600)).is_none());
    }
}
