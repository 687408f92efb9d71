//! A strict stand-in for the AWS Security Token Service.
//!
//! It speaks the AWS Query protocol as the AWS STS API Reference (version 2011-06-15) describes it, for
//! `AssumeRole`, `AssumeRoleWithWebIdentity`, `AssumeRoleWithSAML`, `GetSessionToken`, `GetFederationToken` and
//! `GetCallerIdentity`: method, path, content type, version,
//! parameter names, lengths and characters ([`parameters`]), Signature Version 4 in full ([`sigv4`]) against
//! the access keys that it knows, roles with their trust and limits ([`account`]). Credentials that it issued
//! work until they expire. A parameter that the action does not have is refused, where AWS would ignore it.

pub mod account;
mod answer;
mod misbehaving;
pub mod parameters;
mod server;
pub mod sigv4;
mod users;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fnox_core::{Clock, SystemClock};

use super::serving::Serving;

pub use account::{AccessKey, Account, Assertion, Principal, Role};

/// What the stand-in does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Checks them and answers.
    Answer,
    /// Answers after a while.
    AnswerAfter(Duration),
    /// Answers with credentials that live only so many seconds, whatever was asked for; 0: that have ended.
    AnswerWithLifetime(u32),
    /// 403 `AccessDenied`.
    AccessDenied,
    /// 500 `InternalFailure`.
    InternalFailure,
    /// This status, with the code that goes with it.
    Refusal(u16),
    /// 429 `Throttling` with so many seconds of `Retry-After`: to this many requests, or, without a number, to all.
    Throttling {
        /// How many are left.
        requests: Option<u32>,
        /// `Retry-After`
        seconds: u32,
    },
    /// 200 and something that is no XML.
    Garbage,
    /// 200 and well-formed XML without credentials.
    EmptyAnswer,
    /// 302 to a place where credentials must not be sent.
    Redirect,
    /// Keeps the connection open and says nothing.
    Silence,
    /// Closes the connection.
    HangUp,
}

/// One request that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its `Action`.
    pub action: String,
    /// Its parameters but for `Action`, `Version`, `WebIdentityToken` and `SAMLAssertion`, in the order of arrival.
    pub parameters: Vec<(String, String)>,
    /// The access key that signed it, if one did.
    pub access_key_id: Option<String>,
    /// The HTTP status it was answered with; `None` without an answer.
    pub status: Option<u16>,
    /// The error code it was answered with.
    pub error: Option<String>,
}

impl Call {
    /// One parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Debug)]
struct State {
    account: Account,
    behaviour: Behaviour,
    calls: Vec<Call>,
}

/// A running stand-in; it ends when this is dropped.
#[derive(Debug)]
pub struct Sts {
    url: String,
    state: Arc<Mutex<State>>,
    _server: Serving,
}

impl Sts {
    /// Starts one on a free port of 127.0.0.1, with the machine's clock and an [`Account::example`].
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Account::example(), Arc::new(SystemClock))
    }

    /// Starts one with an account and a clock.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn start_with(account: Account, clock: Arc<dyn Clock>) -> Self {
        let state = Arc::new(Mutex::new(State {
            account,
            behaviour: Behaviour::Answer,
            calls: Vec::new(),
        }));
        let server = server::start(Arc::clone(&state), clock);
        Self {
            url: format!("http://{}", server.address()),
            state,
            _server: server,
        }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on it does this.
    pub fn behave(&self, behaviour: Behaviour) {
        lock(&self.state).behaviour = behaviour;
    }

    /// Changes the account: adds keys, roles, tokens, or removes what was issued.
    pub fn change<T>(&self, change: impl FnOnce(&mut Account) -> T) -> T {
        change(&mut lock(&self.state).account)
    }

    /// All requests so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state).calls.clone()
    }

    /// How many requests of an action there were so far.
    #[must_use]
    pub fn count(&self, action: &str) -> usize {
        let state = lock(&self.state);
        state
            .calls
            .iter()
            .filter(|call| call.action == action)
            .count()
    }
}

/// A test that panicked while it held the lock has failed already; others may go on.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
