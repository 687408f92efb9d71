//! The JSON document that `fnox daemon status` prints.

use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

use super::protocol::Status;

/// `fnox daemon status --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct DaemonStatus {
    /// Whether a daemon is running. If not, nothing else is told but the socket.
    pub running: bool,
    /// Where its socket is or would be.
    pub socket: String,
    /// Its process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The version of fnox that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fnox_version: Option<String>,
    /// How many values it keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<usize>,
    /// After how many seconds without a request it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_seconds: Option<u64>,
    /// Whether the key of its memory lies in a page that is not written to disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_locked: Option<bool>,
    /// Whether it is told when the machine sleeps or the screen is locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watches_session: Option<bool>,
}

impl DaemonStatus {
    pub(crate) fn new(socket: String, status: Option<Status>) -> Self {
        let running = status.is_some();
        let (pid, fnox_version, values, idle, locked, watches) = match status {
            Some(status) => (
                Some(status.pid),
                Some(status.fnox_version),
                Some(status.values),
                Some(status.idle_timeout_seconds),
                Some(status.memory_locked),
                Some(status.watches_session),
            ),
            None => (None, None, None, None, None, None),
        };
        Self {
            running,
            socket,
            pid,
            fnox_version,
            values,
            idle_timeout_seconds: idle,
            memory_locked: locked,
            watches_session: watches,
        }
    }
}

/// The schema of the document, by the name of its file.
#[must_use]
pub fn schemas() -> Vec<(&'static str, Schema)> {
    vec![("daemon-status", schema_for!(DaemonStatus))]
}
