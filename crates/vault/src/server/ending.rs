//! Why a connection ends although its client does not end it.
//!
//! All reasons are one future that lives as long as the connection. Waiting for each of them anew with every
//! request would cost more than the request.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fnox_vault_wire::TokenId;
use tokio::sync::broadcast;

use super::Shared;
use super::connection::Caller;

/// When a connection was last used, and whether its silence is no sign of anything.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Milliseconds on the vault's monotonic clock.
    last: AtomicU64,
    /// It waits for an answer, or for events.
    waits: AtomicBool,
}

impl Activity {
    /// A request came.
    pub(super) fn touch(&self, now: Duration) {
        self.last.store(millis(now), Ordering::Relaxed);
    }

    pub(super) fn set_waiting(&self, waits: bool) {
        self.waits.store(waits, Ordering::Relaxed);
    }

    /// How long the connection has been silent for no good reason.
    fn silence(&self, now: Duration) -> Duration {
        if self.waits.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        Duration::from_millis(millis(now).saturating_sub(self.last.load(Ordering::Relaxed)))
    }
}

/// Done when the connection has to end: the vault ends, its token was withdrawn or has expired, or nobody has
/// used it for too long.
pub(super) async fn ending(
    shared: &Shared,
    caller: &Caller,
    withdrawn: broadcast::Receiver<TokenId>,
) {
    let mut stopping = shared.stopping.clone();
    tokio::select! {
        _ = stopping.changed() => {}
        () = own_token_withdrawn(caller, withdrawn) => {}
        () = own_token_expired(shared, caller) => {}
        () = silent_for_too_long(shared, caller) => {}
    }
}

async fn own_token_withdrawn(caller: &Caller, mut withdrawn: broadcast::Receiver<TokenId>) {
    let Some(own) = caller.identity.token() else {
        return std::future::pending().await;
    };
    // Where some were missed, its own may be among them.
    while let Ok(token) = withdrawn.recv().await {
        if token == own {
            return;
        }
    }
}

async fn own_token_expired(shared: &Shared, caller: &Caller) {
    let Some(end) = caller.identity.expires_at else {
        return std::future::pending().await;
    };
    loop {
        let left = end.duration_since(shared.engine.wall_clock());
        match Duration::try_from(left) {
            // Somebody may set the clock meanwhile.
            Ok(left) if !left.is_zero() => {
                tokio::time::sleep(left.min(Duration::from_mins(1))).await;
            }
            _ => return,
        }
    }
}

async fn silent_for_too_long(shared: &Shared, caller: &Caller) {
    loop {
        let silence = caller.activity.silence(shared.engine.monotonic());
        match shared.limits.idle.checked_sub(silence) {
            Some(left) if !left.is_zero() => {
                tokio::time::sleep(left.max(Duration::from_millis(10))).await;
            }
            _ => return,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
