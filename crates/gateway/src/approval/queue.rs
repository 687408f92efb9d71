//! Questions that wait for a person, and what people said.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fnox_core::Clock;
use jiff::{SignedDuration, Timestamp};
use rand::Rng as _;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Approver, Question};
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
    /// The request that was asked about, to the byte.
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

/// Nothing of this name waits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no request `{0}` waits for an answer")]
pub struct UnknownQuestion(pub String);

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
    /// [`UnknownQuestion`], also if somebody was faster or the question is too old.
    pub fn answer(&self, id: &str, answer: Answer) -> Result<Question, UnknownQuestion> {
        let mut state = self.current();
        let waiting = state.pending.iter().position(|it| it.id == id);
        let waiting = waiting.ok_or_else(|| UnknownQuestion(id.to_owned()))?;
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

    /// What was said of it, if anything was. Otherwise it waits from now on, under this name.
    fn look(&self, question: &Question) -> Result<Result<(), String>, Refusal> {
        let mut state = self.current();
        if let Some(at) = state.said.iter().position(|said| said.is_of(question)) {
            return match state.said[at].answer {
                Answer::Deny => Err(refused(question, "a person refused this request")),
                Answer::Allow { lasting, .. } => {
                    if lasting == Lasting::Once {
                        state.said.remove(at);
                    }
                    Ok(Ok(()))
                }
            };
        }
        if let Some(waiting) = state.pending.iter().find(|it| it.question == *question) {
            return Ok(Err(waiting.id.clone()));
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
            } => self.question.agent == question.agent && self.question.rule == question.rule,
            _ => self.question == *question,
        }
    }
}

#[async_trait]
impl Approver for Approvals {
    async fn ask(&self, question: &Question) -> Result<(), Refusal> {
        let end = Instant::now() + self.patience;
        loop {
            let mut answered = std::pin::pin!(self.answered.notified());
            // Before the look, so that no answer is missed between the two.
            answered.as_mut().enable();
            let id = match self.look(question)? {
                Ok(()) => return Ok(()),
                Err(id) => id,
            };
            if timeout_at(end, answered).await.is_err() {
                let message = "a person must agree to this request, and nobody has yet";
                return Err(refused(question, message).with_remedy(format!(
                    "Ask one to {}, and send the same request again within ten minutes.",
                    (self.how)(&id)
                )));
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

impl fmt::Display for Question {
    /// `POST https://api.github.com/repos/acme/app/pulls with 120 bytes`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{} {}{}", self.method, self.host, self.target);
        if self.body_length > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, " with {} bytes", self.body_length);
        }
        formatter.write_str(&text)
    }
}

fn refused(question: &Question, message: &str) -> Refusal {
    Refusal::new(Reason::Approval, message).by_rule(&question.rule)
}

#[cfg(test)]
mod tests;
