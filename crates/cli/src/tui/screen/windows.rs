//! Keys of the console.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use ratatui::crossterm::event;

use super::Keyboard;

/// Ctrl-C is a key here, and a console that is closed ends its programs.
#[expect(clippy::unnecessary_wraps, reason = "other systems may refuse")]
pub(super) fn note_signals(_: &Arc<AtomicUsize>) -> std::io::Result<()> {
    Ok(())
}

/// Waits for keys.
pub(super) fn keyboard(patience: Duration) -> std::io::Result<Keyboard> {
    Ok(if event::poll(patience)? {
        Keyboard::Ready
    } else {
        Keyboard::Silent
    })
}
