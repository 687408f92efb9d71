//! Ctrl-C and the like on Windows.
//!
//! The console tells every program that it shows of Ctrl-C, Ctrl-Break and its own end, so nothing has to be passed on:
//! fnox itself only stays until the program has ended. There are no other signals. A program that has to end for an
//! order is ended as a job, with what it has started, without being asked.

use std::io;
use std::process::Child;
use std::task::{Context, Waker};
use std::time::Duration;

use fnox_core::SecretString;
use fnox_system::Job;
use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};

use super::end::{Ended, Then};
use super::orders::{Order, Orders};

/// Pause between two looks at the program.
const PAUSE: Duration = Duration::from_millis(10);

/// The numbers of Unix that shells give to Ctrl-C and to the end of a terminal.
const INTERRUPTED: i32 = 2;
const HUNG_UP: i32 = 1;

/// There are none.
#[derive(Debug)]
pub(crate) enum Signal {}

/// Receives what the console tells, in the place of its usual effects.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: CtrlC,
    stop: CtrlBreak,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

impl Signals {
    /// Starts to receive.
    ///
    /// # Errors
    /// If the handler cannot be installed.
    pub(super) fn receive() -> io::Result<Self> {
        Ok(Self {
            interrupt: ctrl_c()?,
            stop: ctrl_break()?,
            close: ctrl_close()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// What asked fnox to end since the last call.
    pub(crate) fn asked_to_end(&mut self) -> Option<i32> {
        let mut context = Context::from_waker(Waker::noop());
        let is_hung_up = self.close.poll_recv(&mut context).is_ready()
            || self.shutdown.poll_recv(&mut context).is_ready();
        let is_interrupted = self.interrupt.poll_recv(&mut context).is_ready()
            || self.stop.poll_recv(&mut context).is_ready();
        if is_hung_up {
            Some(HUNG_UP)
        } else {
            is_interrupted.then_some(INTERRUPTED)
        }
    }

    /// Waits for the program's end, and until then carries orders out.
    ///
    /// # Errors
    /// If the system does not tell the program's status.
    pub(super) fn wait_for(
        &mut self,
        child: &mut Child,
        orders: &Orders,
        redact: &mut dyn FnMut(Vec<SecretString>),
    ) -> io::Result<Ended> {
        let job = Job::new()?;
        // One that has ended already needs none.
        let is_in_job = job.take(child.id()).is_ok();
        let mut then = Then::Nothing;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Ended { status, then });
            }
            for order in orders.take() {
                then = match order {
                    Order::Signal(signal) => match signal {},
                    Order::Redact(values) => {
                        redact(values);
                        continue;
                    }
                    Order::Restart(plan) => Then::StartAgain(plan),
                    Order::AnotherRun => Then::AnotherRun,
                    Order::End => Then::FailAsUnavailable,
                };
                if is_in_job {
                    job.end()?;
                } else {
                    child.kill()?;
                }
            }
            if self.asked_to_end().is_some() {
                then.is_asked_to_end();
            }
            std::thread::park_timeout(PAUSE);
        }
    }
}

/// The signal that the configuration names so: there is none.
pub(crate) fn named(_: &str) -> Option<Signal> {
    None
}

/// The thread that waits looks around by itself.
pub(super) fn wake() {}

/// How fnox ends because it was asked to before there was a program.
pub(crate) fn status_of(signal: i32) -> fnox_core::ExitStatus {
    fnox_core::ExitStatus::Child(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

/// As long as this lives, Ctrl-C is for another program alone.
#[derive(Debug)]
pub(crate) struct LeftToAnother {
    _caught: io::Result<CtrlC>,
}

impl LeftToAnother {
    /// If Ctrl-C cannot be caught, it ends fnox too.
    pub(crate) fn begin() -> Self {
        Self { _caught: ctrl_c() }
    }
}
