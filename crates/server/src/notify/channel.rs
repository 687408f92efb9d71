//! What a way to reach approvers has to do.

use async_trait::async_trait;

use super::{Notice, NotifyError};

/// One way to reach approvers. [`super::Notifier`] owns queues and repetitions; a channel makes one attempt.
#[async_trait]
pub trait Channel: Send + Sync + std::fmt::Debug {
    /// The word in configuration, for example `ntfy`.
    fn name(&self) -> &'static str;

    /// Where it leads, for the operator; without anything secret.
    fn describe(&self) -> String;

    /// Tells once. `position` is the channel's place in the list of channels; links carry it.
    ///
    /// # Errors
    /// [`NotifyError`]; it says whether another attempt makes sense.
    async fn send(&self, notice: &Notice, position: u8) -> Result<(), NotifyError>;
}
