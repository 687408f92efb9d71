//! Time as a parameter.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Tells the time. Everything in fnox that needs the time takes one of these.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present moment in UTC. A person or a time server can set it.
    fn now(&self) -> Timestamp;

    /// How long ago some fixed moment of this process was. Nobody can set it; it may stand still while the
    /// machine sleeps.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        START.elapsed()
    }
}
