//! What the server does, without HTTP: each method takes what a request said and who said it, and answers with data or a
//! [`Problem`].

mod admin;
mod approvals;
mod decisions;
mod grants;
mod login;
mod names;
mod pages;
mod pending_login;
mod people;
mod problem;
mod questions;
mod secrets;
mod tasks;
mod terms;
mod tokens;
mod web_login;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use fnox_api::{Problem, ProblemCode, Role};
use fnox_core::audit::{Entry, Outcome};
use fnox_core::clock::Clock;
use jiff::Timestamp;
use tokio::sync::watch;

pub use self::decisions::LinkView;
pub(crate) use self::decisions::may_decide;
pub(crate) use self::pending_login::LIFETIME as LOGIN_LIFETIME;
pub use self::people::NewUser;
pub(crate) use self::people::must_provision;
pub use self::tokens::{BOOTSTRAP, GATEWAY, is_gateway_name, token_lifetimes, token_view};
pub(crate) use self::web_login::{CALLBACK_PATH, Returned};
use crate::keys::ServerKeys;
use crate::notify::Notifier;
use crate::oidc::Verifier;
use crate::policy::WatchedPolicy;
use crate::settings::Settings;
use crate::store::{SessionRecord, Store, StoreError};

/// A team server's work. Copies share it.
#[derive(Debug, Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

/// What a service is made of.
#[derive(Debug)]
pub struct Parts {
    /// Settings.
    pub settings: Settings,
    /// Its database, unlocked.
    pub store: Store,
    /// Its keys.
    pub keys: ServerKeys,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who believes which tokens.
    pub verifier: Verifier,
    /// Who may ask for what.
    pub policy: WatchedPolicy,
    /// Who is told.
    pub notifier: Notifier,
}

#[derive(Debug)]
struct Inner {
    parts: Parts,
    /// When writing was last seen to work, in seconds of the monotonic clock; long ago once something failed since.
    proved_at: AtomicI64,
    /// Whether the server is about to end.
    closing: watch::Sender<bool>,
}

/// Whoever sends a request, when it is known.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its session.
    pub session: SessionRecord,
    /// From where.
    pub address: IpAddr,
}

impl Caller {
    /// Fails unless the caller has one of the roles.
    pub(crate) fn must_be(&self, roles: &[Role]) -> Result<(), Problem> {
        if roles.iter().any(|role| self.session.subject.has(*role)) {
            return Ok(());
        }
        let words: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        Err(Problem::new(ProblemCode::RoleMissing).with_detail(format!(
            "this needs a session with the role {}; log in as such a person with `fnox login`",
            words.join(" or ")
        )))
    }

    /// Whether the caller has one of the roles.
    pub(crate) fn is(&self, roles: &[Role]) -> bool {
        self.must_be(roles).is_ok()
    }

    /// An entry of what the caller does.
    pub(crate) fn entry(&self, event: &str) -> Entry {
        let mut entry = Entry::new(event, &self.session.subject.principal(), Outcome::Ok);
        entry.peer = Some(self.address.to_string());
        entry
    }
}

impl Service {
    /// Puts a service together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            inner: Arc::new(Inner {
                parts,
                proved_at: AtomicI64::new(NEVER),
                closing: watch::Sender::new(false),
            }),
        }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.parts.settings
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.parts.store
    }

    pub(crate) fn keys(&self) -> &ServerKeys {
        &self.inner.parts.keys
    }

    pub(crate) fn notifier(&self) -> &Notifier {
        &self.inner.parts.notifier
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.inner.parts.verifier
    }

    /// The policy, which may be replaced while the server runs.
    #[must_use]
    pub fn policy(&self) -> &WatchedPolicy {
        &self.inner.parts.policy
    }

    /// Ends all waiting: long polls are answered with what is so now. Whoever asks again finds another server, or this
    /// one after its start.
    pub(crate) fn close(&self) {
        self.inner.closing.send_replace(true);
    }

    /// Waits until the server is about to end.
    pub(crate) async fn closing(&self) {
        let mut closing = self.inner.closing.subscribe();
        // The sender lives as long as this.
        let _ = closing.wait_for(|closing| *closing).await;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.parts.clock.now()
    }

    /// Takes the result of a call of the store: notes if it failed, and makes a problem of what did not work.
    pub(crate) fn stored<T>(&self, result: Result<T, StoreError>) -> Result<T, Problem> {
        match &result {
            // That something was read, or was small enough, does not show that the next change finds room.
            Ok(_) | Err(StoreError::Refused(_) | StoreError::Unfit { .. }) => {}
            Err(error) => {
                self.inner.proved_at.store(NEVER, Ordering::Relaxed);
                tracing::error!(%error, "the database failed");
            }
        }
        result.map_err(|error| problem::of_store(error, self.now()))
    }

    /// Whether decisions and fetches would work. Asks the database at most every few seconds, and always while
    /// something is wrong.
    pub async fn is_well(&self) -> bool {
        let seconds = i64::try_from(self.inner.parts.clock.monotonic().as_secs()).unwrap_or(0);
        let proved = self.inner.proved_at.load(Ordering::Relaxed);
        if seconds.saturating_sub(proved) < PROOF_LASTS {
            return true;
        }
        let proof = self.store().probe().await;
        let works = self.stored(proof).is_ok();
        if works {
            self.inner.proved_at.store(seconds, Ordering::Relaxed);
        }
        works
    }
}

/// For how many seconds a write that worked shows that the next one will.
const PROOF_LASTS: i64 = 5;
const NEVER: i64 = i64::MIN;
