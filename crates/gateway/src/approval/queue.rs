//! Questions that wait for a person, and what people said.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fnox_core::Clock;
use fnox_core::question::LONGEST_ACCESS;
use jiff::{SignedDuration, Timestamp};
use rand::Rng as _;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Approver, HeldRequest, Question};
use crate::refusal::{Reason, Refusal};

/// How many questions wait at most. More would only bury the person.
const MOST: usize = 32;

/// How long a question, and an answer that nobody has used, is kept: for a client that gave up and comes again.
const KEPT: SignedDuration = SignedDuration::from_mins(10);

/// How often it is looked whether a question has grown too old.
const AGEING: Duration = Duration::from_secs(5);

/// A question that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// By which people name it: six hexadecimal digits.
    pub id: String,
    /// What is asked.
    pub question: Question,
    /// Since when.
    pub asked_at: Timestamp,
}

/// What a person says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Allow {
        /// To what.
        breadth: Breadth,
        /// For how long.
        lasting: Lasting,
    },
    /// No; the same question is not asked again for ten minutes.
    Deny,
}

/// How much a yes covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breadth {
    /// What was asked about, to the byte.
    Request,
    /// Whatever the rule allows the agent.
    Rule,
}

/// How long a yes lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// For one request, which may come within ten minutes.
    Once,
    /// For so long.
    For(SignedDuration),
    /// For as long as the gateway runs.
    Session,
}

/// Why nothing was answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnswered {
    /// Nothing of this name waits.
    #[error("no request `{0}` waits for an answer")]
    Unknown(String),
    /// The use of a credential is allowed for a time, and for no longer than [`LONGEST_ACCESS`] seconds. It waits on.
    #[error("the use of a credential is allowed for a time, {LONGEST_ACCESS} seconds at the most")]
    Unfit,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// A person said yes.
    Allowed {
        /// Until when it counts; `None`: for as long as the gateway runs.
        until: Option<Timestamp>,
    },
    /// A person said no, a moment ago or in the last ten minutes.
    Denied,
    /// Nobody has said anything within the time that one waits here. It goes on waiting under this name.
    NobodyYet {
        /// The name.
        id: String,
    },
}

/// The questions of one gateway.
pub struct Approvals {
    clock: Arc<dyn Clock>,
    /// For how long a request is held.
    patience: Duration,
    /// Is told of each new question.
    asked: Box<dyn Fn(&Pending) + Send + Sync>,
    /// Says how people answer the question of this name.
    how: Box<dyn Fn(&str) -> String + Send + Sync>,
    state: Mutex<State>,
    answered: Notify,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<Pending>,
    said: Vec<Said>,
    /// Nothing is asked any more.
    is_closed: bool,
}

/// What was said of a question.
#[derive(Debug)]
struct Said {
    question: Question,
    answer: Answer,
    /// Until when it counts.
    until: Option<Timestamp>,
}

impl Approvals {
    /// Nothing is asked yet. `asked` is called for each new question and must not wait; `how` completes "Ask one to …" for
    /// the program whose question has this name.
    #[must_use]
    pub fn new(
        clock: Arc<dyn Clock>,
        patience: Duration,
        asked: impl Fn(&Pending) + Send + Sync + 'static,
        how: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            clock,
            patience,
            asked: Box::new(asked),
            how: Box::new(how),
            state: Mutex::default(),
            answered: Notify::new(),
        }
    }

    /// What waits, the oldest first.
    #[must_use]
    pub fn pending(&self) -> Vec<Pending> {
        self.current().pending.clone()
    }

    /// Answers a question.
    ///
    /// # Errors
    /// [`NotAnswered`], also if somebody was faster or the question is too old.
    pub fn answer(&self, id: &str, answer: Answer) -> Result<Question, NotAnswered> {
        let mut state = self.current();
        let waiting = state.pending.iter().position(|it| it.id == id);
        let waiting = waiting.ok_or_else(|| NotAnswered::Unknown(id.to_owned()))?;
        if !answer.fits(&state.pending[waiting].question) {
            return Err(NotAnswered::Unfit);
        }
        let question = state.pending.remove(waiting).question;
        let lasting = match answer {
            Answer::Allow { lasting, .. } => lasting,
            Answer::Deny => Lasting::For(KEPT),
        };
        let until = match lasting {
            Lasting::Once => Some(KEPT),
            Lasting::For(time) => Some(time),
            Lasting::Session => None,
        };
        state.said.push(Said {
            question: question.clone(),
            answer,
            until: until.map(|time| {
                self.clock
                    .now()
                    .saturating_add(time)
                    .unwrap_or(Timestamp::MAX)
            }),
        });
        drop(state);
        self.answered.notify_waiters();
        Ok(question)
    }

    /// Nothing is asked any more: what waits ends, and whoever waits for its end is told.
    pub fn close(&self) {
        let mut state = self.current();
        state.is_closed = true;
        state.pending.clear();
        drop(state);
        self.answered.notify_waiters();
    }

    /// Returns when nothing is asked any more.
    pub async fn closed(&self) {
        loop {
            let mut answered = std::pin::pin!(self.answered.notified());
            // Before the look, so that no end is missed between the two.
            answered.as_mut().enable();
            if self.current().is_closed {
                return;
            }
            answered.await;
        }
    }

    /// Returns when no question of this name waits any more: somebody answered, or it grew too old.
    pub async fn over(&self, id: &str) {
        loop {
            let mut answered = std::pin::pin!(self.answered.notified());
            // Before the look, so that no answer is missed between the two.
            answered.as_mut().enable();
            if self.current().pending.iter().all(|it| it.id != id) {
                return;
            }
            // Age is told by the clock alone; nobody announces it.
            let _ = timeout(AGEING, answered).await;
        }
    }

    /// What counts now.
    fn current(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        state
            .said
            .retain(|said| said.until.is_none_or(|until| until > now));
        let is_kept = |it: &Pending| now.duration_since(it.asked_at) < KEPT;
        state.pending.retain(is_kept);
        state
    }

    /// Waits for a person's word, for as long as requests wait here. A yes to the use of a credential counts for whoever
    /// hears it here, once.
    ///
    /// # Errors
    /// [`Reason::Approval`] if it cannot be asked.
    pub async fn decided(&self, question: &Question) -> Result<Decided, Refusal> {
        let end = Instant::now() + self.patience;
        loop {
            let mut answered = std::pin::pin!(self.answered.notified());
            // Before the look, so that no answer is missed between the two.
            answered.as_mut().enable();
            let id = match self.look(question)? {
                Ok(decided) => return Ok(decided),
                Err(id) => id,
            };
            if timeout_at(end, answered).await.is_err() {
                return Ok(Decided::NobodyYet { id });
            }
        }
    }

    /// How people answer the question of this name, to go after "Ask one to".
    #[must_use]
    pub fn how(&self, id: &str) -> String {
        (self.how)(id)
    }

    /// What was said of it, if anything was. Otherwise it waits from now on, under this name.
    fn look(&self, question: &Question) -> Result<Result<Decided, String>, Refusal> {
        let mut state = self.current();
        if let Some(at) = state.said.iter().position(|said| said.is_of(question)) {
            let until = state.said[at].until;
            return Ok(Ok(match state.said[at].answer {
                Answer::Deny => Decided::Denied,
                Answer::Allow { lasting, .. } => {
                    if lasting == Lasting::Once || question.as_access().is_some() {
                        state.said.remove(at);
                    }
                    Decided::Allowed { until }
                }
            }));
        }
        if state.is_closed {
            return Err(refused(question, "the gateway is ending"));
        }
        if let Some(waiting) = state.pending.iter().find(|it| it.question == *question) {
            return Ok(Err(waiting.id.clone()));
        }
        let is_same = |it: &&Pending| it.question.is_same_wish(question);
        if state.pending.iter().find(is_same).is_some() {
            let message = "the same is being asked with another reason";
            return Err(refused(question, message)
                .with_remedy("Wait for the answer, or ask with the same reason."));
        }
        if state.pending.len() >= MOST {
            let message = format!("{MOST} requests wait for a person already");
            return Err(refused(question, &message).with_remedy("Wait for their answers."));
        }
        let pending = Pending {
            id: state.new_id(),
            question: question.clone(),
            asked_at: self.clock.now(),
        };
        state.pending.push(pending.clone());
        drop(state);
        (self.asked)(&pending);
        Ok(Err(pending.id))
    }
}

impl Answer {
    /// Whether it is an answer to this: a yes to the use of a credential is for a time, and for no rule.
    fn fits(self, question: &Question) -> bool {
        let longest = SignedDuration::from_secs(LONGEST_ACCESS.into());
        match (question, self) {
            (Question::Request(_), _) | (_, Self::Deny) => true,
            (
                Question::Access(_),
                Self::Allow {
                    breadth: Breadth::Request,
                    lasting: Lasting::For(time),
                },
            ) => time.is_positive() && time <= longest,
            (Question::Access(_), Self::Allow { .. }) => false,
        }
    }
}

impl State {
    fn new_id(&self) -> String {
        loop {
            let bytes: [u8; 3] = rand::rng().random();
            let id = hex::encode(bytes);
            if self.pending.iter().all(|it| it.id != id) {
                return id;
            }
        }
    }
}

impl Said {
    fn is_of(&self, question: &Question) -> bool {
        match self.answer {
            Answer::Allow {
                breadth: Breadth::Rule,
                ..
            } => self.question.is_of_same_rule(question),
            Answer::Allow { .. } => self.question == *question,
            Answer::Deny => self.question.is_same_wish(question),
        }
    }
}

#[async_trait]
impl Approver for Approvals {
    async fn ask(&self, request: &HeldRequest) -> Result<(), Refusal> {
        let question = Question::Request(request.clone());
        match self.decided(&question).await? {
            Decided::Allowed { .. } => Ok(()),
            Decided::Denied => Err(refused(&question, "a person refused this request")),
            Decided::NobodyYet { id } => {
                let message = "a person must agree to this request, and nobody has yet";
                Err(refused(&question, message).with_remedy(format!(
                    "Ask one to {}, and send the same request again within ten minutes.",
                    self.how(&id)
                )))
            }
        }
    }
}

impl fmt::Debug for Approvals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Approvals")
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

fn refused(question: &Question, message: &str) -> Refusal {
    let refusal = Refusal::new(Reason::Approval, message);
    match question.as_request() {
        Some(request) => refusal.by_rule(&request.rule),
        None => refusal,
    }
}

#[cfg(test)]
mod tests;
