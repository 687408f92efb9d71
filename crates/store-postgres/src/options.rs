//! How a store is opened.

use std::sync::Arc;
use std::time::Duration;

use fnox_core::clock::Clock;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Whether to make the schema where there is none, and to bring an older one up to date. Needs the right
    /// to create a schema in the database; without it a role that has none is enough.
    pub migrate: bool,
    /// Gives the audit records their times.
    pub clock: Arc<dyn Clock>,
    /// How many connections read at once. Writing and listening have one each besides, and a team server's audit
    /// log two.
    pub readers: usize,
    /// How long making a connection, or waiting for a free one, may take.
    pub connect_limit: Duration,
    /// How long the server may work at one statement, waiting for another process's transaction included.
    pub statement_limit: Duration,
}

impl PostgresOptions {
    /// The usual settings: no migration, 8 readers, 5 seconds each.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            migrate: false,
            clock,
            readers: 8,
            connect_limit: Duration::from_secs(5),
            statement_limit: Duration::from_secs(5),
        }
    }

    /// The same, with the right to make and change the schema.
    #[must_use]
    pub fn migrating(mut self) -> Self {
        self.migrate = true;
        self
    }

    /// How long one call may take in all: a connection, and a few statements.
    pub(crate) fn call_limit(&self) -> Duration {
        self.connect_limit + 2 * self.statement_limit
    }
}
