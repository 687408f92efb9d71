//! The credential of a lease as it is now.

use std::fmt;

use async_trait::async_trait;
use fnox_core::LeaseName;
use jiff::Timestamp;

use crate::manager::Held;

/// Something that keeps one lease's credential fresh.
#[async_trait]
pub trait Current: Send + Sync + fmt::Debug {
    /// The lease.
    fn lease(&self) -> &LeaseName;

    /// The lease's type, such as `aws-sts`.
    fn kind(&self) -> &str;

    /// A credential that works now. Waits for a renewal that is under way where the old one has ended; never answers with
    /// one that has ended.
    ///
    /// # Errors
    /// [`Unavailable`]
    async fn current(&self) -> Result<Held, Unavailable>;
}

/// There is no credential that works: it ended and could not be renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// The lease.
    pub lease: LeaseName,
    /// When the last one ended.
    pub ended_at: Option<Timestamp>,
    /// Why there is no new one, without a secret.
    pub reason: String,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "lease `{}` has no credential that works: {}",
            self.lease, self.reason
        )
    }
}

impl std::error::Error for Unavailable {}
