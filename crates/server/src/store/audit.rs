//! Questions to the audit log.

use fnox_core::audit::{Outcome, Record};
use jiff::Timestamp;
use uuid::Uuid;

/// Which records are wanted. What is absent does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only records after this number.
    pub after: Option<u64>,
    /// Only this event.
    pub event: Option<String>,
    /// Only this actor.
    pub actor: Option<String>,
    /// Only this project.
    pub project: Option<String>,
    /// Only this approval.
    pub approval: Option<Uuid>,
    /// Only this outcome.
    pub outcome: Option<Outcome>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Newest first instead of oldest first; then `after` means before.
    pub newest_first: bool,
}

/// A record as it was found.
#[derive(Debug)]
pub struct ScannedRecord {
    /// Where it stands: scanning goes on after this.
    pub position: u64,
    /// The record, or why it cannot be read.
    pub record: Result<Record, String>,
}
