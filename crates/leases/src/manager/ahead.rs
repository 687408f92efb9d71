//! Minting before somebody needs it.

use fnox_core::LeaseName;

use super::Manager;
use super::acquire::{Acquire, Acquired, Held};
use crate::error::LeaseError;

impl Manager<'_> {
    /// A new credential in the place of one that is about to end, so that whoever asks next need not wait. `None`: there
    /// is nothing to do, because one has enough of its life left, because none is active, or because those that are
    /// were issued to somebody else or by another configuration. So it mints only what the next one who asks would,
    /// and only for who asked before. Nobody is asked anything.
    ///
    /// # Errors
    /// [`LeaseError`]; missing masters are one.
    pub async fn renew_ahead(&self, name: &LeaseName) -> Result<Option<Held>, LeaseError> {
        let request = Acquire {
            require: true,
            ..Acquire::for_exec(name)
        };
        let lease = self.options.config.lease(name.as_str())?;
        let plan = self.plan(lease, &request)?;
        let opened = self.ledger.open().await?;
        let Some(identity) = self.identity(&plan, &opened) else {
            return Ok(None);
        };
        let now = self.options.clock.now();
        let is_ending = opened
            .entries
            .iter()
            .any(|entry| entry.is_ending(name.as_str(), &identity, now));
        if !is_ending || self.cached(&plan, &opened).is_some() {
            return Ok(None);
        }
        match self.acquire(name, request).await? {
            Acquired::Minted(held) | Acquired::Cached(held) => Ok(Some(held)),
            Acquired::Skipped(_) => Ok(None),
        }
    }
}
