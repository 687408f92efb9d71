//! What a vault does besides answering: it hears signals, reads a changed policy, signs checkpoints.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fnox_vault::{Engine, Identity};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::settings::AuditSettings;
use super::values::append_note;
use crate::error::CliError;

/// How often the policy file is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a signal asks of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To end.
    End,
    /// To read its files again.
    Reload,
}

/// The signals of a server.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Receives them from now on.
    pub(crate) fn receive() -> Result<Self, CliError> {
        let of = |kind| signal(kind).map_err(CliError::Output);
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            interrupt: of(SignalKind::interrupt())?,
            hangup: of(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::End,
            _ = self.interrupt.recv() => Asked::End,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    /// Waits for the one that ends the vault. A hang-up, and a change of the policy file, reload the policy.
    pub(crate) async fn end(&mut self, engine: &Engine, policy: &Path) {
        let mut seen = Seen::look(policy);
        let mut look = tokio::time::interval(LOOK_AGAIN);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                asked = self.next() => match asked {
                    Asked::End => return,
                    Asked::Reload => {
                        seen = Seen::look(policy);
                        reload(engine).await;
                    }
                },
                _ = look.tick() => {
                    let now = Seen::look(policy);
                    if now != seen {
                        seen = now;
                        reload(engine).await;
                    }
                }
            }
        }
    }
}

/// Reads the policy again. A file that is wrong, or that others could have written, changes nothing, and the refusal is on record.
async fn reload(engine: &Engine) {
    match engine.policy_reload(&Identity::local()).await {
        Ok(done) => {
            for warning in &done.warnings {
                tracing::warn!("policy: {warning}");
            }
            tracing::info!(
                "{} rules are in force; {} leases withdrawn, {} shortened",
                done.rules,
                done.leases_revoked,
                done.leases_shortened
            );
        }
        Err(error) => tracing::warn!("the old policy stays in force: {error}"),
    }
}

/// What a look at a file tells. The time of its last change of any kind is that of its owner and mode too: a file that
/// was refused because of them is read as soon as they are mended.
#[derive(Debug, PartialEq, Eq)]
struct Seen(Option<(u64, u64, i64, i64)>);

impl Seen {
    fn look(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = path.metadata().ok();
        Self(metadata.map(|file| (file.ino(), file.len(), file.ctime(), file.ctime_nsec())))
    }
}

/// Adds a signed checkpoint to the file at each interval, until it is dropped.
pub(crate) async fn sign_checkpoints(engine: Engine, settings: AuditSettings) {
    let Some(path) = settings.checkpoints.filter(|_| settings.on) else {
        return std::future::pending().await;
    };
    let mut tick = tokio::time::interval(settings.checkpoint_interval);
    loop {
        tick.tick().await;
        sign_checkpoint(&engine, path.clone()).await;
    }
}

/// Adds one.
pub(crate) async fn sign_checkpoint(engine: &Engine, path: PathBuf) {
    let failed = match engine.audit_checkpoint().await {
        Ok(signed) => {
            let work = move || append_note(&path, &signed.note).map_err(|error| error.to_string());
            tokio::task::spawn_blocking(work)
                .await
                .unwrap_or_else(|error| Err(error.to_string()))
                .err()
        }
        Err(error) => Some(error.to_string()),
    };
    if let Some(reason) = failed {
        tracing::warn!("no checkpoint was kept: {reason}");
    }
}
