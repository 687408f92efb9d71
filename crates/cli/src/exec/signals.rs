//! Signals for fnox go to the program.
//!
//! The handlers are there before the program is, so none is lost, and fnox outlives the program whatever
//! it is sent. One thread waits for the program and passes signals on, so a signal can never reach another
//! process that got the program's number: the number is free only after that same thread has reaped it.
//!
//! A Ctrl-C at the terminal goes to the whole foreground group, the program included; passing it on would
//! make it two, and many programs take the second as "at once". Signals that were ignored when fnox
//! started (`nohup`, background jobs of scripts) stay ignored, for the program too. Stopping and
//! continuing are left to the system, which does them to the whole group.

use std::ffi::c_int;
use std::io;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use fnox_core::SecretString;
pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, getpid, kill_process};
use signal_hook::SigId;
use signal_hook::consts::signal::{
    SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::exfiltrator::origin::Origin;
use signal_hook::low_level::siginfo::Cause;

use super::end::{Ended, Then};
use super::orders::{Alarm, GRACE, Order, Orders};
use super::processes::{self, Process};
use super::tree::Tree;

/// The signals that are passed on.
pub(super) const FORWARDED: [c_int; 7] =
    [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH];

/// Receives signals from now on, in the place of their usual effects.
pub(crate) struct Signals {
    queue: SignalsInfo<WithOrigin>,
}

impl Signals {
    /// Starts to receive.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub(super) fn receive() -> io::Result<Self> {
        let ignored = ignored_signals();
        let wanted = FORWARDED
            .into_iter()
            .filter(|signal| ignored & mask(*signal) == 0)
            .chain([SIGCHLD]);
        Ok(Self {
            queue: SignalsInfo::new(wanted)?,
        })
    }

    /// A signal that asked fnox to end and came before there was a program to pass it to.
    pub(crate) fn asked_to_end(&mut self) -> Option<c_int> {
        self.queue
            .pending()
            .map(|origin| origin.signal)
            .find(|signal| [SIGINT, SIGTERM, SIGHUP, SIGQUIT].contains(signal))
    }

    /// Waits for the program's end, and until then passes signals on and carries orders out.
    ///
    /// # Errors
    /// If the system does not tell the program's status.
    pub(super) fn wait_for(
        &mut self,
        child: &mut Child,
        orders: &Orders,
        redact: &mut dyn FnMut(Vec<SecretString>),
    ) -> io::Result<Ended> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // It may end in the meantime. Nobody else waits for it, so the number is still its own.
        let send = |signal: Signal| {
            if let Some(pid) = pid {
                let _ = rustix::process::kill_process(pid, signal);
            }
        };
        let mut ending: Option<Ending> = None;
        loop {
            if let Some(status) = child.try_wait()? {
                let then = ending.map_or(Then::Nothing, Ending::finish);
                return Ok(Ended { status, then });
            }
            for order in orders.take() {
                match order {
                    Order::Signal(signal) => send(signal),
                    Order::Redact(values) => redact(values),
                    Order::Restart(plan) => {
                        Ending::begin(&mut ending, pid, Then::StartAgain(plan))?;
                    }
                    Order::AnotherRun => Ending::begin(&mut ending, pid, Then::AnotherRun)?,
                    Order::End => Ending::begin(&mut ending, pid, Then::FailAsUnavailable)?,
                }
            }
            if let Some(ending) = ending.as_mut().filter(|ending| ending.is_overdue()) {
                ending.kill(pid);
            }
            for origin in self.queue.wait() {
                let Some(pid) = pid else { continue };
                let situation = Situation::of(&origin, pid);
                if let Some(ending) = &mut ending
                    && situation.asks_to_end()
                {
                    ending.then.is_asked_to_end();
                }
                let signal = Signal::from_named_raw(origin.signal);
                if let Some(signal) = signal.filter(|_| situation.is_news()) {
                    send(signal);
                }
            }
        }
    }
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Signals").finish_non_exhaustive()
    }
}

/// A program that was asked to end, with all that it has started.
#[derive(Debug)]
struct Ending {
    then: Then,
    asked_at: Instant,
    below: Tree,
    _alarm: Alarm,
}

impl Ending {
    /// Asks the program to end, once. The last order decides what comes next, but nothing undoes its end.
    fn begin(ending: &mut Option<Self>, pid: Option<Pid>, then: Then) -> io::Result<()> {
        if let Some(ending) = ending {
            if !matches!(ending.then, Then::Nothing | Then::FailAsUnavailable) {
                ending.then = then;
            }
            return Ok(());
        }
        let below = pid.map_or_else(Tree::default, |pid| Tree::below(pid.as_raw_nonzero().get()));
        // One that is stopped would never see the first.
        for signal in [Signal::TERM, Signal::CONT] {
            if let Some(pid) = pid {
                let _ = rustix::process::kill_process(pid, signal);
            }
            below.send(signal);
        }
        *ending = Some(Self {
            then,
            asked_at: Instant::now(),
            below,
            _alarm: Alarm::after(GRACE)?,
        });
        Ok(())
    }

    fn is_overdue(&self) -> bool {
        self.asked_at.elapsed() >= GRACE
    }

    /// Ends what did not end when it was asked to, and what it started since.
    fn kill(&mut self, pid: Option<Pid>) {
        let Some(pid) = pid else { return };
        self.below.and(Tree::below(pid.as_raw_nonzero().get()));
        let _ = rustix::process::kill_process(pid, Signal::KILL);
        self.below.send(Signal::KILL);
    }

    /// Waits for the rest after the program itself has ended.
    fn finish(self) -> Then {
        self.below.end_by(self.asked_at + GRACE);
        self.then
    }
}

/// Who sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    /// The system, for example because of a key at the terminal.
    Kernel,
    /// The program that fnox waits for.
    Program,
    /// Another process.
    Other,
}

/// What decides whether the program has to be told of a signal.
#[derive(Debug, Clone, Copy)]
struct Situation {
    signal: c_int,
    sender: Sender,
    /// Whether the program is still in fnox's process group.
    same_group: bool,
    /// Whether fnox leads its session, as it does for `ssh host fnox exec …` with a terminal.
    session_leader: bool,
}

impl Situation {
    fn of(origin: &Origin, child: Pid) -> Self {
        let own = processes::of_this_process();
        let leader = own.map(|own| own.session);
        let group = |process: Option<Process>| process.map(|process| process.group);
        let process = origin.process.map(|process| process.pid);
        let sender = if process == Some(child.as_raw_nonzero().get()) {
            Sender::Program
        } else if is_of_the_system(origin) {
            Sender::Kernel
        } else {
            Sender::Other
        };
        Self {
            signal: origin.signal,
            sender,
            same_group: group(own).is_some()
                && group(own) == group(processes::of(child.as_raw_nonzero().get())),
            session_leader: leader == Some(rustix::process::getpid().as_raw_nonzero().get()),
        }
    }

    /// Whether somebody wants the program to end.
    fn asks_to_end(self) -> bool {
        [SIGINT, SIGTERM, SIGHUP, SIGQUIT].contains(&self.signal) && self.sender != Sender::Program
    }

    /// Whether the program does not know yet.
    fn is_news(self) -> bool {
        if self.signal == SIGCHLD || self.sender == Sender::Program {
            // A program that signals its own group, fnox included, has had its share.
            return false;
        }
        if self.sender == Sender::Other || !self.same_group {
            return true;
        }
        // When a terminal goes away, only the session's leader is told at first; the others are told
        // when the leader ends (setsid(2)), but fnox does not end before the program.
        self.signal == SIGHUP && self.session_leader
    }
}

/// Whether no process sent a signal. macOS gives no causes, and a sender only where there is one.
fn is_of_the_system(origin: &Origin) -> bool {
    if cfg!(target_os = "macos") {
        origin.process.is_none()
    } else {
        origin.cause == Cause::Kernel
    }
}

/// The signal that the configuration names so.
pub(crate) fn named(name: &str) -> Option<Signal> {
    Some(match name {
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "TERM" => Signal::TERM,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        "WINCH" => Signal::WINCH,
        _ => return None,
    })
}

/// Makes the thread that waits look around, by a SIGCHLD to this very process, which is never passed on.
pub(super) fn wake() {
    let _ = kill_process(getpid(), Signal::CHILD);
}

/// As long as this lives, Ctrl-C at the terminal is for another program alone.
#[derive(Debug)]
pub(crate) struct LeftToAnother(Vec<SigId>);

impl LeftToAnother {
    /// If the signals cannot be caught, Ctrl-C ends fnox too.
    pub(crate) fn begin() -> Self {
        let nobody = Arc::new(AtomicBool::new(false));
        let caught = [SIGINT, SIGQUIT]
            .map(|signal| signal_hook::flag::register(signal, Arc::clone(&nobody)));
        Self(caught.into_iter().flatten().collect())
    }
}

impl Drop for LeftToAnother {
    fn drop(&mut self) {
        for id in &self.0 {
            signal_hook::low_level::unregister(*id);
        }
    }
}

/// How fnox ends because of a signal that came before there was a program.
pub(crate) fn status_of(signal: c_int) -> fnox_core::ExitStatus {
    fnox_core::ExitStatus::Child(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

fn mask(signal: c_int) -> u64 {
    u32::try_from(signal - 1)
        .ok()
        .and_then(|shift| 1_u64.checked_shl(shift))
        .unwrap_or_default()
}

/// Whether this process ignores a signal.
pub(super) fn is_ignored(signal: c_int) -> bool {
    ignored_signals() & mask(signal) != 0
}

/// The signals that this process ignores, as the bits of `SigIgn` in `/proc/PID/status`. Where there is no
/// such file, none.
fn ignored_signals() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| parse_ignored(&status))
        .unwrap_or_default()
}

fn parse_ignored(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Situation = Situation {
        signal: SIGINT,
        sender: Sender::Other,
        same_group: true,
        session_leader: false,
    };

    #[test]
    fn what_another_process_sends_is_passed_on() {
        for signal in FORWARDED {
            assert!(Situation { signal, ..SENT }.is_news());
        }
    }

    #[test]
    fn what_the_terminal_sends_to_the_group_is_not_sent_twice() {
        let typed = Situation {
            sender: Sender::Kernel,
            ..SENT
        };
        assert!(!typed.is_news());
        let apart = Situation {
            same_group: false,
            ..typed
        };
        assert!(apart.is_news());
    }

    #[test]
    fn a_hangup_that_only_the_session_leader_hears_of_is_passed_on() {
        let hangup = Situation {
            signal: SIGHUP,
            sender: Sender::Kernel,
            session_leader: true,
            ..SENT
        };
        assert!(hangup.is_news());
        let typed = Situation {
            signal: SIGINT,
            ..hangup
        };
        assert!(!typed.is_news());
    }

    #[test]
    fn the_programs_own_signals_do_not_come_back_to_it() {
        let own = Situation {
            sender: Sender::Program,
            ..SENT
        };
        assert!(!own.is_news());
    }

    #[test]
    fn ignored_signals_are_read_from_the_status_file() {
        let status = "Name:\tfnox\nSigIgn:\t0000000000001003\nSigCgt:\t0\n";
        let ignored = parse_ignored(status).unwrap();
        assert!(ignored & mask(SIGHUP) != 0 && ignored & mask(SIGINT) != 0);
        assert_eq!(ignored & mask(SIGTERM), 0);
    }
}
