//! Signals, and whether the terminal is still there.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::Keyboard;

/// Leaves the number of a signal that asks to end.
pub(super) fn note_signals(signal: &Arc<AtomicUsize>) -> std::io::Result<()> {
    for kind in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        let number = usize::try_from(kind).unwrap_or_default();
        signal_hook::flag::register_usize(kind, Arc::clone(signal), number)?;
    }
    Ok(())
}

/// Waits for keys. Asked before crossterm is, which reads a terminal that has hung up for ever.
pub(super) fn keyboard(patience: Duration) -> std::io::Result<Keyboard> {
    let stdin = std::io::stdin();
    let mut waiting = [PollFd::new(&stdin, PollFlags::IN)];
    let limit = Timespec {
        tv_sec: 0,
        tv_nsec: patience.subsec_nanos().into(),
    };
    match rustix::event::poll(&mut waiting, Some(&limit)) {
        Ok(0) | Err(Errno::INTR) => return Ok(Keyboard::Silent),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    Ok(if waiting[0].revents().intersects(gone) {
        Keyboard::Gone
    } else {
        Keyboard::Ready
    })
}
