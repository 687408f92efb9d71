//! Keeping credentials fresh while somebody uses them.
//!
//! A [`Keeper`] renews each credential some time before its end: in the last five minutes, or the last fifth of its life
//! where that is less, and a random part sooner, so that many programs do not come at once. The old credential stays
//! good until the new one is there. When an issuer fails, it is asked again, later each time, for as long as the
//! program runs; nothing else is ever handed out in the meantime.
//!
//! The wall clock counts, looked at twice a minute at least: a timer alone would sleep through a suspended laptop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fnox_core::lease::renewal_margin;
use fnox_core::{Clock, LeaseName};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use rand::Rng as _;
use tokio::sync::{Notify, watch};

use crate::delivery::{Current, Unavailable};
use crate::error::LeaseError;
use crate::manager::{Acquire, Held, Manager};

/// How long to sleep without looking at the clock.
const LOOK: Duration = Duration::from_secs(20);

/// The first pause after a failure, and the longest one; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How long whoever asks for a credential that has ended waits for the renewal.
const WAIT: Duration = Duration::from_secs(30);

/// What becomes of the credentials, for whoever delivers them. Called from the task that renews.
pub trait Observer: Send + Sync {
    /// There is a new credential, or the same one with a later end.
    fn renewed(&self, held: &Held);

    /// A renewal failed. The old credential works until `ends_at`; it is tried again.
    fn failed(&self, lease: &LeaseName, error: &LeaseError, ends_at: Option<Timestamp>);

    /// A credential has ended and there is no new one. Told once for each credential.
    fn ended(&self, lease: &LeaseName, ended_at: Timestamp);
}

/// One credential that is kept fresh. Copies are the same one.
#[derive(Debug)]
pub struct Kept {
    lease: LeaseName,
    kind: String,
    clock: Arc<dyn Clock>,
    state: watch::Sender<State>,
    wanted: Notify,
    is_renewed: AtomicBool,
}

#[derive(Debug, Clone)]
struct State {
    held: Held,
    /// Why the last try to renew it failed.
    failure: Option<String>,
}

impl Kept {
    /// The credential as it is, whether it has ended or not.
    #[must_use]
    pub fn held(&self) -> Held {
        self.state.borrow().held.clone()
    }

    fn has_ended(&self, held: &Held) -> bool {
        let now = self.clock.now();
        held.credential.expires_at.is_some_and(|end| end <= now)
    }
}

#[async_trait]
impl Current for Kept {
    fn lease(&self) -> &LeaseName {
        &self.lease
    }

    fn kind(&self) -> &str {
        &self.kind
    }

    async fn current(&self) -> Result<Held, Unavailable> {
        let mut changes = self.state.subscribe();
        let deadline = tokio::time::Instant::now() + WAIT;
        loop {
            let state = changes.borrow_and_update().clone();
            if !self.has_ended(&state.held) {
                return Ok(state.held);
            }
            let unavailable = |reason: String| Unavailable {
                lease: self.lease.clone(),
                ended_at: state.held.credential.expires_at,
                reason,
            };
            if let Some(failure) = &state.failure {
                return Err(unavailable(failure.clone()));
            }
            if !self.is_renewed.load(Ordering::Acquire) {
                return Err(unavailable("it has ended and is not renewed".to_owned()));
            }
            self.wanted.notify_one();
            if tokio::time::timeout_at(deadline, changes.changed())
                .await
                .is_err()
            {
                return Err(unavailable("its renewal takes too long".to_owned()));
            }
        }
    }
}

/// Renews credentials until it is dropped.
pub struct Keeper<'a> {
    manager: &'a Manager<'a>,
    clock: Arc<dyn Clock>,
    observer: &'a dyn Observer,
    kept: Vec<(Arc<Kept>, Acquire)>,
}

impl<'a> Keeper<'a> {
    /// One that looks after nothing yet.
    #[must_use]
    pub fn new(
        manager: &'a Manager<'a>,
        clock: Arc<dyn Clock>,
        observer: &'a dyn Observer,
    ) -> Self {
        Self {
            manager,
            clock,
            observer,
            kept: Vec::new(),
        }
    }

    /// Looks after a credential, which is renewed as it was asked for.
    pub fn keep(&mut self, held: Held, kind: &str, request: Acquire) -> Arc<Kept> {
        let kept = Arc::new(Kept {
            lease: held.lease.clone(),
            kind: kind.to_owned(),
            clock: Arc::clone(&self.clock),
            state: watch::Sender::new(State {
                held,
                failure: None,
            }),
            wanted: Notify::new(),
            is_renewed: AtomicBool::new(false),
        });
        self.kept.push((Arc::clone(&kept), request));
        kept
    }

    /// Renews for as long as it is polled. Never ends while there is something to renew.
    pub async fn run(&self) {
        join_all(
            self.kept
                .iter()
                .map(|(kept, request)| self.look_after(kept, request)),
        )
        .await;
    }

    async fn look_after(&self, kept: &Kept, request: &Acquire) {
        kept.is_renewed.store(true, Ordering::Release);
        let mut pause = FIRST_PAUSE;
        let mut is_end_told = false;
        loop {
            let held = kept.held();
            let Some(end) = held.credential.expires_at else {
                return;
            };
            self.until(kept, due(held.created_at, end)).await;
            match self.manager.renew(&held, request.clone()).await {
                Ok(new) => {
                    (pause, is_end_told) = (FIRST_PAUSE, false);
                    // Whoever asks from now on gets the new one, before anybody is told to ask.
                    kept.state.send_replace(State {
                        held: new.clone(),
                        failure: None,
                    });
                    self.observer.renewed(&new);
                }
                Err(error) => {
                    let failure = error.to_string();
                    kept.state
                        .send_modify(|state| state.failure = Some(failure));
                    self.observer.failed(&kept.lease, &error, Some(end));
                    let again = self.clock.now() + signed(jittered(pause));
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    // The end is told when it comes, not at the next try.
                    self.until(kept, again.min(end)).await;
                    if !is_end_told && self.clock.now() >= end {
                        is_end_told = true;
                        self.observer.ended(&kept.lease, end);
                    }
                    self.until(kept, again).await;
                }
            }
        }
    }

    /// Waits for a moment by the wall clock, or until somebody asks for a credential that has ended.
    async fn until(&self, kept: &Kept, moment: Timestamp) {
        loop {
            let left = moment.duration_since(self.clock.now());
            let Ok(left) = Duration::try_from(left) else {
                return;
            };
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left.min(LOOK)) => {}
                () = kept.wanted.notified() => if kept.has_ended(&kept.held()) { return },
            }
        }
    }
}

impl std::fmt::Debug for Keeper<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Keeper")
            .field("kept", &self.kept.len())
            .finish_non_exhaustive()
    }
}

/// When to renew: before the margin in which the credential is not handed out any more, by a random part of it.
fn due(created_at: Timestamp, end: Timestamp) -> Timestamp {
    let margin = renewal_margin(created_at, end);
    let spread = i64::try_from(margin.as_millis() / 4).unwrap_or(0);
    let sooner = SignedDuration::from_millis(rand::rng().random_range(0..=spread));
    end.checked_sub(margin + sooner).unwrap_or(created_at)
}

/// Half of a pause, and a random part of the other half.
fn jittered(pause: Duration) -> Duration {
    pause / 2 + pause.mul_f64(rand::rng().random_range(0.0..=0.5))
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_renewed_in_the_last_quarter_of_its_life_and_before_it_stops_being_reused() {
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap();
        for life in [1, 15, 60, 900, 3600, 43_200] {
            for _ in 0..50 {
                let due = due(at(0), at(life));
                let margin = renewal_margin(at(0), at(life));
                assert!(due <= at(life) - margin, "{life}");
                let left = at(life).duration_since(due);
                assert!(
                    left <= SignedDuration::from_secs(life) / 4,
                    "{life}: {left}"
                );
                assert!(left <= SignedDuration::from_secs(375), "{life}: {left}");
            }
        }
    }

    #[test]
    fn pauses_are_spread_over_their_second_half() {
        let pause = Duration::from_secs(8);
        for _ in 0..50 {
            let one = jittered(pause);
            assert!(one >= pause / 2 && one <= pause);
        }
    }
}
