//! `GET /v1/audit`

use fnox_core::audit::Record;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Answer of `GET /v1/audit` (administrators): in the order of their numbers.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// This page: number, time, event, actor, outcome, what it was about, key id and MAC.
    #[schema(value_type = Vec<Object>)]
    pub records: Vec<Record>,
    /// Give this as `after` for the next page. Absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}
