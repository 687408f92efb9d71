//! The task that owns the connection.

use tokio::sync::{broadcast, mpsc, oneshot};

use super::connection::Connection;
use super::job::Job;
use super::{ClientError, ClientOptions};
use crate::methods::LeaseEvent;

/// What handles tell the task.
pub(super) enum Command {
    /// Send this.
    Job(Job),
    /// Say when everything that was fired is answered.
    Settle(oneshot::Sender<()>),
}

/// The task.
pub(super) struct Driver {
    options: ClientOptions,
    commands: mpsc::UnboundedReceiver<Command>,
    events: broadcast::Sender<LeaseEvent>,
}

impl Driver {
    pub(super) fn new(
        options: ClientOptions,
        commands: mpsc::UnboundedReceiver<Command>,
        events: broadcast::Sender<LeaseEvent>,
    ) -> Self {
        Self {
            options,
            commands,
            events,
        }
    }

    pub(super) async fn run(mut self, _connection: Connection) {
        while let Some(command) = self.commands.recv().await {
            match command {
                Command::Job(job) => job.finish(Err(ClientError::Closed)),
                Command::Settle(done) => drop(done),
            }
        }
        drop((self.options, self.events));
    }
}
