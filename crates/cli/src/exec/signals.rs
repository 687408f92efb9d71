//! Passing signals on to the program.
//!
//! A signal that a process sent to fnox is meant for the program. One that the terminal sent (Ctrl-C,
//! Ctrl-\, a new window size) has reached the program already, as it is in the same foreground process
//! group; sending it again would make programs believe in a second Ctrl-C and give up their clean-up.

use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::backend::Handle;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;

const PASSED_ON: [i32; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH];
/// Those that a terminal sends to the whole foreground process group.
const FROM_TERMINALS: [i32; 3] = [SIGINT, SIGQUIT, SIGWINCH];

/// Catches signals from now on and keeps them until there is a program to pass them to.
#[derive(Debug)]
pub(super) struct Catcher(SignalsInfo<WithOrigin>);

/// Passes signals on until it is stopped.
#[derive(Debug)]
pub(super) struct Forwarder {
    handle: Handle,
    target: Arc<Mutex<Option<Pid>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Catcher {
    /// Install it before the program starts, so that no signal falls between.
    pub(super) fn install() -> std::io::Result<Self> {
        let ignored = ignored_signals();
        // Somebody who had a signal ignored (nohup) wants it ignored in the program too; a handler here
        // would end that.
        let caught = PASSED_ON
            .into_iter()
            .filter(|signal| ignored >> (signal - 1) & 1 == 0);
        SignalsInfo::<WithOrigin>::new(caught).map(Self)
    }

    /// Passes everything caught so far, and what comes, to a process.
    pub(super) fn forward_to(mut self, pid: Pid) -> std::io::Result<Forwarder> {
        let target = Arc::new(Mutex::new(Some(pid)));
        let handle = self.0.handle();
        let shared = Arc::clone(&target);
        let thread = thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for origin in &mut self.0 {
                    let from_terminal =
                        origin.cause == Cause::Kernel && FROM_TERMINALS.contains(&origin.signal);
                    let Some(signal) =
                        Signal::from_named_raw(origin.signal).filter(|_| !from_terminal)
                    else {
                        continue;
                    };
                    // Held while sending: the process is not reaped, so its number is not another's.
                    let Ok(target) = shared.lock() else { return };
                    if let Some(pid) = *target {
                        let _ = kill_process(pid, signal);
                    }
                }
            })?;
        Ok(Forwarder {
            handle,
            target,
            thread: Some(thread),
        })
    }
}

impl Forwarder {
    /// Sends nothing any more. Call it when the process has ended and before it is reaped.
    pub(super) fn stop(&mut self) {
        if let Ok(mut target) = self.target.lock() {
            *target = None;
        }
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The signals that this process was started with as ignored: bit n-1 is signal n (proc(5), `SigIgn`).
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
