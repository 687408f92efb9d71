//! One operation at a server: its time, and the words for what goes wrong.

use std::time::Duration;

use fnox_core::SecretString;
use tokio::time::Instant;

use super::settings::Settings;
use crate::issuer::cleaned;
use crate::mint::{MintContext, MintError, MintErrorKind};

/// How often it is looked whether a session has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// One operation at a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort<'a> {
    pub(super) settings: &'a Settings,
    pub(super) password: Option<&'a SecretString>,
    pub(super) context: &'a MintContext,
    deadline: Instant,
}

/// What was being done.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Something of fnox's own, as a sentence part: `create a user`.
    Own(&'static str),
    /// A statement of the configuration: its key and its number.
    Statement(&'static str, usize),
}

impl<'a> Effort<'a> {
    /// The clock of the operation starts here.
    pub(super) fn new(
        settings: &'a Settings,
        password: Option<&'a SecretString>,
        context: &'a MintContext,
    ) -> Self {
        Self {
            settings,
            password,
            context,
            deadline: Instant::now() + context.call_limit,
        }
    }

    /// # Errors
    /// [`MintError`] of the kind `Unavailable` if the time is over before the work is done.
    pub(super) async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, MintError> {
        tokio::time::timeout_at(self.deadline, work)
            .await
            .map_err(|_| self.silent(self.context.call_limit))
    }

    /// The same for the way to the server.
    pub(super) async fn within_connect_limit<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, MintError> {
        let deadline = self
            .deadline
            .min(Instant::now() + self.context.connect_limit);
        tokio::time::timeout_at(deadline, work)
            .await
            .map_err(|_| self.silent(self.context.connect_limit))
    }

    /// Waits a moment before a look at something that ends by itself.
    ///
    /// # Errors
    /// [`MintError`] if the time is over.
    pub(super) async fn pause(&self, still: &str) -> Result<(), MintError> {
        if Instant::now() + LOOK_AGAIN >= self.deadline {
            return Err(MintError::unavailable(format!(
                "{} is still there after {} s",
                still,
                self.context.call_limit.as_secs()
            ))
            .with_remedy("try again with `fnox lease cleanup`"));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        Ok(())
    }

    /// Text from the server for people. The password may come from the environment, and is no resolved master then.
    pub(super) fn cleaned(&self, text: &str) -> String {
        let masters = self.context.masters.iter().chain(self.password);
        cleaned(text, &masters.cloned().collect::<Vec<_>>())
    }

    fn silent(&self, limit: Duration) -> MintError {
        MintError::unavailable(format!(
            "{} did not answer within {} s",
            self.settings.address(),
            limit.as_secs()
        ))
    }

    /// No connection came about, or it broke.
    pub(super) fn lost(&self, reason: &str) -> MintError {
        MintError::unavailable(format!(
            "{} cannot be reached: {}",
            self.settings.address(),
            self.cleaned(reason)
        ))
    }

    /// The server does not let the administrator in.
    pub(super) fn not_let_in(&self, said: &str) -> MintError {
        MintError::authentication(format!(
            "{} does not let `{}` in: {}",
            self.settings.address(),
            self.settings.username,
            self.cleaned(said)
        ))
        .with_remedy(format!(
            "check `username`, and the password in {}",
            self.settings.password_variable
        ))
    }

    /// The database to connect to does not exist.
    pub(super) fn no_database(&self, said: &str) -> MintError {
        MintError::misconfigured(
            "database",
            format!(
                "{} has no such database: {}",
                self.settings.address(),
                self.cleaned(said)
            ),
        )
        .with_remedy("create it, or set `database` to one that exists")
    }

    /// The server cannot do it now.
    pub(super) fn later(&self, step: Step, said: &str) -> MintError {
        MintError::unavailable(self.sentence(step, said)).with_remedy("wait a little and try again")
    }

    /// The administrator may not do it.
    pub(super) fn denied(&self, step: Step, said: &str, remedy: &str) -> MintError {
        MintError::new(MintErrorKind::Denied, self.sentence(step, said)).with_remedy(remedy)
    }

    /// The server takes no such statement.
    pub(super) fn refused(&self, step: Step, said: &str) -> MintError {
        let sentence = self.sentence(step, said);
        match step {
            Step::Own(_) => MintError::unavailable(sentence),
            Step::Statement(key, _) => MintError::misconfigured(key, sentence).with_remedy(
                "try the statement by hand as this administrator, then correct it here",
            ),
        }
    }

    fn sentence(&self, step: Step, said: &str) -> String {
        let who = &self.settings.username;
        let address = self.settings.address();
        let said = self.cleaned(said);
        match step {
            Step::Own(what) => format!("`{who}` could not {what} at {address}: {said}"),
            Step::Statement(key, number) => {
                format!("statement {number} of `{key}` failed for `{who}` at {address}: {said}")
            }
        }
    }
}
