//! A strict stand-in for an ntfy server: publishing as JSON, and nothing else of it.
//!
//! It checks a message as docs.ntfy.sh says (`message`), tokens and topics by an access list, and a limit on
//! requests where a test asks for one. What ntfy would ignore, shorten or turn into something else is refused
//! here: unknown fields, texts of more than 4096 bytes (attachments), empty texts (shown as "triggered").

mod message;
mod server;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::serving::Serving;

pub use message::{Action, Message};

/// What the stand-in does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Checks them and answers.
    Answer,
    /// 429 with code 42901 and this `Retry-After`, in seconds.
    Limited(u64),
    /// 500 with code 50001.
    InternalError,
    /// 302 to a place where tokens must not be sent.
    Redirect,
    /// 200, and then bytes without an end.
    Endless,
    /// Keeps the connection open and says nothing.
    Silence,
    /// Closes the connection.
    HangUp,
}

/// What a token, or nobody's, may do with a topic (docs.ntfy.sh, "Access control").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// `write-only` or `read-write`.
    Write,
    /// `read-only` or `deny-all`.
    Deny,
}

/// A request that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP's number.
    pub status: u16,
    /// ntfy's number, which begins with HTTP's.
    pub code: u32,
    /// What was wrong.
    pub error: String,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    /// What those without a token may do (`auth-default-access`).
    anonymous: Access,
    /// (token, topic, access)
    tokens: Vec<(String, String, Access)>,
    /// How many requests are still let through (docs.ntfy.sh, "Limitations": a burst of 60).
    left: Option<u32>,
    requests: usize,
    messages: Vec<Message>,
    refusals: Vec<Refusal>,
    /// How many messages [`Ntfy::next_message`] has given out.
    read: usize,
}

/// A running stand-in; it ends when this is dropped.
#[derive(Debug)]
pub struct Ntfy {
    url: String,
    state: Arc<Mutex<State>>,
    changed: watch::Receiver<usize>,
    _server: Serving,
}

impl Ntfy {
    /// Starts one on a free port of 127.0.0.1, on which everybody may publish, as on a public server.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            behaviour: Behaviour::Answer,
            anonymous: Access::Write,
            tokens: Vec::new(),
            left: None,
            requests: 0,
            messages: Vec::new(),
            refusals: Vec::new(),
            read: 0,
        }));
        let (sender, changed) = watch::channel(0);
        let server = server::start(Arc::clone(&state), sender);
        Self {
            url: format!("http://{}", server.address()),
            state,
            changed,
            _server: server,
        }
    }

    /// Its URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on it does this.
    pub fn behave(&self, behaviour: Behaviour) {
        lock(&self.state).behaviour = behaviour;
    }

    /// From now on nobody publishes without a token (`auth-default-access: deny-all`).
    pub fn deny_anonymous(&self) {
        lock(&self.state).anonymous = Access::Deny;
    }

    /// Adds a token for one topic. Every other topic is denied to it.
    pub fn allow(&self, token: &str, topic: &str, access: Access) {
        let entry = (token.to_owned(), topic.to_owned(), access);
        lock(&self.state).tokens.push(entry);
    }

    /// From now on so many requests are let through, and then none: ntfy's burst is 60.
    pub fn limit(&self, requests: u32) {
        lock(&self.state).left = Some(requests);
    }

    /// How many requests arrived, good and bad.
    #[must_use]
    pub fn requests(&self) -> usize {
        lock(&self.state).requests
    }

    /// All messages so far.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        lock(&self.state).messages.clone()
    }

    /// All refusals so far.
    #[must_use]
    pub fn refusals(&self) -> Vec<Refusal> {
        lock(&self.state).refusals.clone()
    }

    /// The next message that was not given out yet; waits for it.
    ///
    /// # Panics
    /// If none arrives within half a minute.
    pub async fn next_message(&self) -> Message {
        let mut changed = self.changed.clone();
        let waiting = async {
            loop {
                changed.borrow_and_update();
                if let Some(message) = self.unread() {
                    return message;
                }
                changed.changed().await.expect("the stand-in runs");
            }
        };
        let arrived = tokio::time::timeout(WAIT_LIMIT, waiting).await;
        arrived.unwrap_or_else(|_| panic!("no message; refused: {:?}", self.refusals()))
    }

    /// The same for tests without a runtime.
    ///
    /// # Panics
    /// If none arrives within half a minute.
    #[must_use]
    pub fn wait_for_message(&self) -> Message {
        crate::wait::until_some("a message at ntfy", WAIT_LIMIT, || self.unread())
    }

    /// Waits until so many requests arrived, good and bad.
    ///
    /// # Panics
    /// If they do not arrive within half a minute.
    pub async fn wait_for_requests(&self, count: usize) {
        let mut changed = self.changed.clone();
        let arrived = changed.wait_for(|requests| *requests >= count);
        let arrived = tokio::time::timeout(WAIT_LIMIT, arrived).await;
        let arrived = arrived.unwrap_or_else(|_| panic!("{} requests of {count}", self.requests()));
        drop(arrived.expect("the stand-in runs"));
    }

    fn unread(&self) -> Option<Message> {
        let mut state = lock(&self.state);
        let message = state.messages.get(state.read).cloned()?;
        state.read += 1;
        Some(message)
    }
}

/// A test that panicked while it held the lock has failed already; others may go on.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

const WAIT_LIMIT: Duration = Duration::from_secs(30);
