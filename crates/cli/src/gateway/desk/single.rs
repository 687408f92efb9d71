//! Credentials that are made for one request alone (`per_operation`), and are withdrawn when nothing is on its way with
//! them any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fnox_core::{Clock, LeaseName};
use fnox_gateway::proxy::Ender;
use fnox_leases::{Manager, RevocationOutcome};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::{Answer, Loan, mint, over, redacted};
use crate::exec::redact::Redaction;

/// Those that are lent, by their ids.
#[derive(Debug, Clone, Default)]
pub(super) struct Singles(Arc<Mutex<HashMap<String, (LeaseName, Ender)>>>);

impl Singles {
    /// What is not withdrawn yet.
    pub(super) fn ids(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Breaks off what is on its way with those that somebody has withdrawn.
    pub(super) fn end(&self, is_withdrawn: impl Fn(&str) -> bool) {
        for (id, (name, ender)) in self.lock().iter() {
            if is_withdrawn(id) {
                ender.end(over(name, "was withdrawn"));
            }
        }
    }

    /// Makes one for whoever asks, and ends when it is withdrawn.
    pub(super) async fn lend(
        &self,
        manager: &Manager<'_>,
        (name, answer): (LeaseName, oneshot::Sender<Answer>),
        redaction: Option<Arc<Redaction>>,
        clock: Arc<dyn Clock>,
    ) {
        let (name, minted) = mint(manager, name).await;
        let credential = match minted {
            Ok(held) => held.credential,
            Err(refusal) => {
                let _ = answer.send(Err(refusal));
                return;
            }
        };
        redacted(redaction.as_ref(), &credential);
        let id = credential.id.clone();
        let left = credential.expires_at.map(|end| {
            let left = end.duration_since(clock.now());
            Duration::try_from(left).unwrap_or_default()
        });
        let (ender, until) = Ender::new();
        self.lock()
            .insert(id.clone(), (name.clone(), ender.clone()));
        // Whoever does not wait for it any more has it withdrawn at once.
        let _ = answer.send(Ok(Arc::new(Loan {
            credential,
            ended: until,
        })));
        tokio::select! {
            () = ender.unused() => {}
            () = time_is_over(left) => ender.end(over(&name, "is over")),
        }
        if is_withdrawn(manager, &id).await {
            self.lock().remove(&id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (LeaseName, Ender)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn time_is_over(left: Option<Duration>) {
    match left {
        Some(left) => sleep(left).await,
        None => std::future::pending().await,
    }
}

/// Withdraws it. What fails is tried again, and told, when the run ends.
async fn is_withdrawn(manager: &Manager<'_>, id: &str) -> bool {
    match manager.revoke_where(|lease| lease.lease_id == id).await {
        Ok(revocations) => !revocations
            .iter()
            .any(|one| matches!(one.outcome, RevocationOutcome::Failed(_))),
        Err(_) => false,
    }
}
