//! What the renewal of credentials wants done with the running program.
//!
//! The thread that waits for the program also waits for signals, and only it may send the program one (its number is
//! free once that thread has reaped it). So others leave an order here and wake it.

use std::collections::VecDeque;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fnox_core::SecretString;

use super::plan::EnvironmentPlan;
use super::signals::{Signal, wake};

/// How long a program has to end by itself after it was asked to.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Send the program a signal.
    Signal(Signal),
    /// End the program and start it again with this environment.
    Restart(Box<EnvironmentPlan>),
    /// End the program: there is to be another run in its place.
    AnotherRun,
    /// End the program.
    End,
    /// Keep these out of its output from now on.
    Redact(Vec<SecretString>),
}

/// The orders that nobody has carried out yet.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    queue: Mutex<VecDeque<Order>>,
}

impl Orders {
    /// Leaves an order.
    pub(crate) fn push(&self, order: Order) {
        self.lock().push_back(order);
        wake();
    }

    pub(super) fn take(&self) -> VecDeque<Order> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Order>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the thread that waits once, after a time, unless it is dropped before.
#[derive(Debug)]
pub(super) struct Alarm {
    _cancel: mpsc::Sender<()>,
}

impl Alarm {
    pub(super) fn after(time: Duration) -> std::io::Result<Self> {
        let (cancel, cancelled) = mpsc::channel::<()>();
        let alarm = std::thread::Builder::new().name("alarm".to_owned());
        alarm.spawn(move || {
            if cancelled.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
                wake();
            }
        })?;
        Ok(Self { _cancel: cancel })
    }
}

/// Orders that several threads share.
pub(crate) type SharedOrders = Arc<Orders>;
