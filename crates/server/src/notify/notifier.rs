//! The queues and tasks of all channels.

use std::sync::Arc;
use std::time::Duration;

use fnox_core::Clock;
use rand::Rng as _;
use tokio::sync::watch;

use super::channel::Channel;
use super::email::Email;
use super::error::Again;
use super::ntfy::Ntfy;
use super::queue::Queue;
use super::slack::Slack;
use super::webhook::Webhook;
use super::{Notice, NotifyError, NotifySetupError};
use crate::settings::NotifySettings;

/// Tells approvers, by every configured channel. Copies share the queues.
///
/// Tasks end when the last copy is dropped, after one attempt at what still waits.
#[derive(Debug, Clone)]
pub struct Notifier {
    lines: Arc<Lines>,
}

#[derive(Debug)]
struct Lines(Vec<Line>);

/// A channel with its queue.
#[derive(Debug)]
struct Line {
    name: String,
    channel: Arc<dyn Channel>,
    position: u8,
    queue: Arc<Queue>,
    state: Arc<watch::Sender<State>>,
}

/// How a channel does.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Requests that were not tried yet.
    untried: usize,
    /// Whether the last attempt failed.
    is_failing: bool,
}

impl Notifier {
    /// Checks the settings and starts a task for each channel. `public_url` is where alarms lead to.
    ///
    /// # Errors
    /// [`NotifySetupError`]; also outside of an asynchronous runtime.
    pub fn new(
        settings: &[NotifySettings],
        public_url: &str,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, NotifySetupError> {
        let channels = settings
            .iter()
            .map(|settings| open(settings, public_url, clock))
            .collect::<Result<Vec<_>, _>>()?;
        Self::of(channels, clock)
    }

    /// The same with channels that exist already.
    ///
    /// # Errors
    /// [`NotifySetupError::TooMany`], [`NotifySetupError::NoRuntime`].
    pub fn of(
        channels: Vec<Arc<dyn Channel>>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, NotifySetupError> {
        let runtime =
            tokio::runtime::Handle::try_current().map_err(|_| NotifySetupError::NoRuntime)?;
        let mut lines: Vec<Line> = Vec::new();
        for (index, channel) in channels.into_iter().enumerate() {
            let position = u8::try_from(index).map_err(|_| NotifySetupError::TooMany)?;
            let alike = lines
                .iter()
                .filter(|line| line.channel.name() == channel.name())
                .count();
            let name = match alike {
                0 => channel.name().to_owned(),
                alike => format!("{} {}", channel.name(), alike + 1),
            };
            let queue = Arc::new(Queue::new());
            let state = Arc::new(watch::Sender::new(State::default()));
            let worker = Worker {
                name: name.clone(),
                state: Arc::clone(&state),
                channel: Arc::clone(&channel),
                position,
                queue: Finishing(Arc::clone(&queue)),
                clock: Arc::clone(clock),
            };
            runtime.spawn(worker.run());
            lines.push(Line {
                name,
                channel,
                position,
                queue,
                state,
            });
        }
        Ok(Self {
            lines: Arc::new(Lines(lines)),
        })
    }

    /// The names of the channels that get through, in their order: what whoever asks may know about who was asked.
    ///
    /// Waits a moment for what was sent just now. What is still on its way then counts, and what failed does not, though it
    /// is tried again.
    pub async fn reached(&self) -> Vec<String> {
        let until = tokio::time::Instant::now() + FIRST_ATTEMPT;
        let mut names = Vec::new();
        for line in &self.lines.0 {
            let mut state = line.state.subscribe();
            let tried = state.wait_for(|state| state.untried == 0);
            // The sender lives as long as the line.
            drop(tokio::time::timeout_at(until, tried).await);
            if !state.borrow().is_failing {
                names.push(line.name.clone());
            }
        }
        names
    }

    /// Where the channels lead, for the operator.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let describe = |line: &Line| format!("{}: {}", line.name, line.channel.describe());
        self.lines.0.iter().map(describe).collect()
    }

    /// Puts a notice on every queue and returns at once.
    pub fn send(&self, notice: Notice) {
        let is_request = matches!(notice, Notice::Asked { .. });
        let notice = Arc::new(notice);
        for line in &self.lines.0 {
            // Before the worker can have it.
            line.state
                .send_modify(|state| state.untried += usize::from(is_request));
            if !line.queue.push(&notice) {
                line.state
                    .send_modify(|state| state.untried -= usize::from(is_request));
                count(&line.name, "dropped");
                tracing::error!(
                    channel = line.name,
                    "a notice was dropped: too many wait for this channel"
                );
            }
        }
    }

    /// Ends the queues: what waits is tried once more, then the tasks end. Nothing is taken afterwards. The caller
    /// limits the time.
    pub async fn drain(&self) {
        for line in &self.lines.0 {
            line.queue.close();
        }
        for line in &self.lines.0 {
            line.queue.finished().await;
        }
    }

    /// Sends a test by every channel, once, and says how it went, in the order of the channels.
    pub async fn test(&self) -> Vec<(String, Result<(), NotifyError>)> {
        let notice = Notice::Alarm {
            title: "fnox: this is a test".to_owned(),
            text: "Requests for secrets will arrive here.".to_owned(),
            approval: None,
        };
        let attempts = self.lines.0.iter().map(|line| async {
            let result = line.channel.send(&notice, line.position).await;
            (line.name.clone(), result)
        });
        futures_util::future::join_all(attempts).await
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        for line in &self.0 {
            line.queue.close();
        }
    }
}

fn open(
    settings: &NotifySettings,
    public_url: &str,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Channel>, NotifySetupError> {
    Ok(match settings {
        NotifySettings::Ntfy(ntfy) => Arc::new(Ntfy::new(ntfy, public_url)?),
        NotifySettings::Webhook { url, secret } => {
            Arc::new(Webhook::new(url, secret, Arc::clone(clock))?)
        }
        NotifySettings::Slack { url } => Arc::new(Slack::new(url, public_url)?),
        NotifySettings::Email(email) => Arc::new(Email::new(email, public_url, Arc::clone(clock))?),
    })
}

/// Says that the queue has no taker any more, however the task ends.
#[derive(Debug)]
struct Finishing(Arc<Queue>);

impl Drop for Finishing {
    fn drop(&mut self) {
        self.0.close();
        self.0.finish();
    }
}

/// The task of one channel.
struct Worker {
    name: String,
    channel: Arc<dyn Channel>,
    position: u8,
    queue: Finishing,
    state: Arc<watch::Sender<State>>,
    clock: Arc<dyn Clock>,
}

impl Worker {
    async fn run(self) {
        while let Some(notice) = self.queue.0.next().await {
            let outcome = self.deliver(&notice).await;
            count(&self.name, outcome);
        }
    }

    /// Tries until it worked, or until it makes no sense any more.
    async fn deliver(&self, notice: &Notice) -> &'static str {
        let mut attempt = 0;
        loop {
            if self.left(notice).is_some_and(|left| left.is_zero()) {
                tracing::warn!(channel = self.name, "a request ended before it was sent");
                self.tried(notice, attempt, None);
                return "expired";
            }
            let sent = self.channel.send(notice, self.position).await;
            self.tried(notice, attempt, Some(sent.is_ok()));
            let Err(error) = sent else {
                return "sent";
            };
            attempt += 1;
            let pause = pause(error.again(), self.left(notice), attempt);
            let Some(pause) = pause.filter(|_| !self.queue.0.is_closed()) else {
                tracing::error!(channel = self.name, %error, attempt, "a notice was not sent");
                return "failed";
            };
            tracing::warn!(channel = self.name, %error, attempt, ?pause, "will try again");
            self.queue.0.pause(pause).await;
        }
    }

    /// Notes how an attempt went, if there was one.
    fn tried(&self, notice: &Notice, before: u32, went_well: Option<bool>) {
        let is_first = before == 0 && matches!(notice, Notice::Asked { .. });
        self.state.send_modify(|state| {
            state.untried = state.untried.saturating_sub(usize::from(is_first));
            if let Some(well) = went_well {
                state.is_failing = !well;
            }
        });
    }

    /// How long a request still stands; `None` for what does not end.
    fn left(&self, notice: &Notice) -> Option<Duration> {
        match notice {
            Notice::Asked { links, .. } => {
                let left = self.clock.now().duration_until(links.expires_at);
                Some(Duration::try_from(left).unwrap_or_default())
            }
            Notice::Alarm { .. } => None,
        }
    }
}

/// How long to wait before another attempt; `None` if there should be none. `left` is how long a request still stands.
fn pause(again: Again, left: Option<Duration>, attempt: u32) -> Option<Duration> {
    let own = backoff(attempt);
    let pause = match again {
        Again::Never => return None,
        Again::Soon => own,
        // Not all waiting callers at the same moment.
        Again::After(least) => least.saturating_add(own.min(JITTER)),
    };
    let sense = match left {
        Some(left) => pause < left,
        None => attempt < ALARM_ATTEMPTS && pause <= LONGEST_AFTER,
    };
    sense.then_some(pause)
}

/// Doubles up to a minute; between half of it and all of it, so that servers that failed together do not come back
/// together.
fn backoff(attempt: u32) -> Duration {
    let full = FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)))
        .min(LONGEST_PAUSE);
    full.mul_f64(rand::rng().random_range(0.5..=1.0))
}

fn count(channel: &str, outcome: &'static str) {
    metrics::counter!("fnox_notices_total", "channel" => channel.to_owned(), "outcome" => outcome)
        .increment(1);
}

/// How long whoever asks waits for the first attempts.
const FIRST_ATTEMPT: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
const LONGEST_AFTER: Duration = Duration::from_mins(10);
const JITTER: Duration = Duration::from_secs(1);
const ALARM_ATTEMPTS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn pauses_grow_to_a_minute_and_differ() {
        for attempt in 1..200 {
            let full = 2_u64.saturating_pow(attempt - 1).min(60);
            let pause = backoff(attempt);
            assert!(pause <= Duration::from_secs(full), "{attempt}");
            assert!(pause * 2 >= Duration::from_secs(full), "{attempt}");
        }
        let pauses: std::collections::BTreeSet<Duration> = (0..32).map(|_| backoff(9)).collect();
        assert!(pauses.len() > 1);
    }

    #[test]
    fn there_is_no_attempt_after_the_end() {
        assert_eq!(pause(Again::Never, Some(MINUTE), 1), None);
        assert!(pause(Again::Soon, Some(MINUTE), 1).is_some());
        assert_eq!(
            pause(Again::Soon, Some(Duration::from_millis(400)), 1),
            None
        );
        assert_eq!(pause(Again::After(MINUTE), Some(MINUTE), 1), None);
        assert!(pause(Again::After(MINUTE), Some(2 * MINUTE), 1).unwrap() >= MINUTE);
        assert_eq!(pause(Again::After(Duration::MAX), Some(MINUTE), 1), None);
    }

    #[test]
    fn an_alarm_is_given_up_after_some_attempts() {
        assert!(pause(Again::Soon, None, 1).is_some());
        assert_eq!(pause(Again::Soon, None, ALARM_ATTEMPTS), None);
        assert_eq!(pause(Again::After(60 * MINUTE), None, 1), None);
    }
}
