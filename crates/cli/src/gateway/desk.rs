//! The desk at which a gateway's requests wait for the leases of a run: each lease is minted once for all who wait.
//!
//! What it lends ends: when its time is over, and when somebody withdraws it by `fnox lease revoke`, of which the ledger
//! tells. What was withdrawn is not minted again before its time is over.

mod single;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
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

use self::single::Singles;
use crate::exec::redact::Redaction;

/// How many requests may queue.
const QUEUE: usize = 1024;

/// How often the ledger's file is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How old a credential is at least that is replaced because a destination did not want it: whoever asks for what is
/// forbidden must not have one made for each request.
const REJECTED_AT_LEAST: Duration = Duration::from_mins(1);

/// What is lent: the same for all requests until it is renewed.
#[derive(Debug)]
pub(crate) struct Loan {
    pub(crate) credential: Credential,
    /// When it ends, whatever is on its way with it ends too.
    pub(crate) ended: Ended,
}

pub(crate) type Answer = Result<Arc<Loan>, Refusal>;

/// What a request wants.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A credential of this lease.
    Loan(LeaseName, oneshot::Sender<Answer>),
    /// Another one next time: a destination did not accept the credential of this id.
    Rejected(String),
}

/// Where requests are answered.
#[derive(Debug)]
pub(crate) struct Desk {
    asked: mpsc::Receiver<Asked>,
    clock: Arc<dyn Clock>,
    counters: HashMap<LeaseName, Counter>,
    /// The leases of which each request gets a credential of its own.
    per_operation: HashSet<LeaseName>,
    singles: Singles,
    /// What was replaced and not withdrawn: something may be on its way with it.
    replaced: Vec<(LeaseName, LentOut)>,
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
    /// A destination did not accept it.
    is_rejected: bool,
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
    /// Nobody has asked yet. Of the leases in `per_operation` each request gets a credential of its own.
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        per_operation: HashSet<LeaseName>,
    ) -> (Self, mpsc::Sender<Asked>) {
        let (asking, asked) = mpsc::channel(QUEUE);
        let desk = Self {
            asked,
            clock,
            counters: HashMap::new(),
            per_operation,
            singles: Singles::default(),
            replaced: Vec::new(),
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
        let singles = self.singles.clone();
        let mut minting = FuturesUnordered::new();
        let mut single = FuturesUnordered::new();
        let mut endings: FuturesUnordered<Ending> = FuturesUnordered::new();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                asked = self.asked.recv() => {
                    match asked {
                        None => return,
                        Some(Asked::Rejected(id)) => self.reject(&id),
                        Some(Asked::Loan(name, answer)) if self.per_operation.contains(&name) => {
                            let (redaction, clock) = (self.redaction.clone(), Arc::clone(&self.clock));
                            single.push(singles.lend(manager, (name, answer), redaction, clock));
                        }
                        Some(Asked::Loan(name, answer)) => {
                            minting.extend(self.wait(name, answer).map(|name| mint(manager, name)));
                        }
                    }
                }
                Some((name, outcome)) = minting.next(), if !minting.is_empty() => {
                    endings.extend(self.answer(&name, outcome));
                }
                Some(()) = endings.next(), if !endings.is_empty() => {}
                Some(()) = single.next(), if !single.is_empty() => {}
                _ = looks.tick() => self.look(manager).await,
            }
        }
    }

    /// What was minted for this run alone, and is not withdrawn.
    pub(crate) fn minted(&self) -> Vec<String> {
        let now = self.clock.now();
        let replaced = self.replaced.iter().map(|(_, lent)| lent);
        let lent = self.counters.values();
        lent.filter_map(|counter| counter.lent.as_ref())
            .chain(replaced.filter(|lent| lent.lasts(now)))
            .map(|lent| lent.loan.credential.id.clone())
            .chain(self.singles.ids())
            .collect()
    }

    /// The next request gets another one, if this is the one that is lent.
    fn reject(&mut self, id: &str) {
        let now = self.clock.now();
        let mut lent = self.counters.values_mut();
        let lent = lent.find_map(|counter| {
            let lent = counter.lent.as_mut();
            lent.filter(|lent| lent.loan.credential.id == id)
        });
        if let Some(lent) = lent {
            lent.reject(now);
        }
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
                redacted(self.redaction.as_ref(), &held.credential);
                let (ender, over) = Ender::new();
                ending = held
                    .credential
                    .expires_at
                    .map(|end| ends_at(end, now, ender.clone(), name));
                let loan = Arc::new(Loan {
                    credential: held.credential,
                    ended: over,
                });
                let before = counter.lent.replace(LentOut {
                    created_at: held.created_at,
                    loan: Arc::clone(&loan),
                    ender,
                    is_rejected: false,
                });
                self.replaced.retain(|(_, lent)| lent.lasts(now));
                self.replaced
                    .extend(before.map(|before| (name.clone(), before)));
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
        let is_idle = self.counters.values().all(|counter| counter.lent.is_none());
        if is_idle && self.singles.is_empty() {
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
        let is_withdrawn = |id: &str| {
            // An issuer that did not take it back changes nothing about what somebody wanted.
            records.iter().any(|it| {
                it.lease_id == id
                    && (it.state == LeaseState::Revoked || it.revocation_failure.is_some())
            })
        };
        self.end_withdrawn(is_withdrawn);
    }

    /// Breaks off what is on its way with those that were withdrawn, also with what was replaced since.
    fn end_withdrawn(&mut self, is_withdrawn: impl Fn(&str) -> bool) {
        self.singles.end(&is_withdrawn);
        for (name, lent) in &self.replaced {
            if is_withdrawn(&lent.loan.credential.id) {
                lent.ender.end(over(name, "was withdrawn"));
            }
        }
        for (name, counter) in &mut self.counters {
            let lent = counter.lent.as_ref();
            if lent.is_some_and(|lent| is_withdrawn(&lent.loan.credential.id)) {
                counter.withdraw(name);
            }
        }
    }
}

impl LentOut {
    fn reject(&mut self, now: Timestamp) {
        let age = Duration::try_from(now.duration_since(self.created_at)).unwrap_or_default();
        self.is_rejected |= age >= REJECTED_AT_LEAST;
    }

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
        let lent = self.lent.as_ref()?;
        if lent.is_rejected || !lent.lasts(now) {
            return None;
        }
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

/// Before anybody gets it.
fn redacted(redaction: Option<&Arc<Redaction>>, credential: &Credential) {
    if let Some(redaction) = redaction {
        let values = credential.variables.iter();
        redaction.add(values.map(|(_, value)| value.clone()).collect());
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
