//! What a run tells providers that may have to ask a person about it.
//!
//! Most providers need none of this. A team server is told which command asks and why, somebody may have to wait for
//! its answer, and its values belong to a project.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use fnox_core::SecretName;
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

/// One run that asks for secrets.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// Why, for whoever decides.
    pub reason: Option<String>,
    /// Whether to wait for a person.
    pub wait: Wait,
    /// Use this approval of an earlier run instead of asking for another.
    pub resume: Option<Uuid>,
    /// Whom to tell while a person is waited for.
    pub progress: Arc<dyn ApprovalProgress>,
    /// Becomes `true` when nobody wants the answer any more. The approval is then taken back.
    pub cancelled: Option<watch::Receiver<bool>>,
}

/// Whether to wait for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until somebody decides or the request expires.
    UntilDecided,
    /// Not at all: the request stays pending, and a later run resumes it.
    No,
}

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The request's id.
    pub id: Uuid,
    /// The match code: show it where the person who decides can see it.
    pub code: String,
    /// Who was asked: names of channels.
    pub asked: Vec<String>,
    /// When it ends if nobody decides.
    pub expires_at: Timestamp,
    /// The server.
    pub server: String,
    /// The keys.
    pub keys: Vec<String>,
}

/// Is told how asking a person goes on.
pub trait ApprovalProgress: Send + Sync + Debug {
    /// Somebody was asked.
    fn asked(&self, asked: &Asked);

    /// Nobody has decided yet. Told at least every 30 seconds.
    fn waiting(&self, asked: &Asked, elapsed: Duration);

    /// The server cannot be asked whether somebody has decided: why. Told at each attempt.
    fn away(&self, asked: &Asked, problem: &str) {
        let _ = (asked, problem);
    }

    /// Somebody said yes.
    fn approved(&self, id: Uuid) {
        let _ = id;
    }

    /// The request stays pending, since nobody wants to wait.
    fn pending_left(&self, id: Uuid);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl ApprovalProgress for NoProgress {
    fn asked(&self, _: &Asked) {}

    fn waiting(&self, _: &Asked, _: Duration) {}

    fn pending_left(&self, _: Uuid) {}
}

/// What `[project]` says.
#[derive(Debug, Clone)]
pub struct ProjectContext {
    /// The project's name on the team server.
    pub name: String,
    /// Public keys of accepted writers, as written.
    pub writers: Vec<String>,
    /// Lowest accepted version of each key, or why the table cannot be read.
    pub min_versions: Result<BTreeMap<String, u64>, String>,
}

/// Secrets that need not come: a batch goes on without them.
#[derive(Debug, Clone, Default)]
pub struct Tolerated {
    /// The run goes on if these do not exist.
    pub missing: BTreeSet<SecretName>,
    /// The run goes on whatever happens to these.
    pub failing: BTreeSet<SecretName>,
}
