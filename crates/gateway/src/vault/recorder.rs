//! The vault's log of what agents' requests came to.
//!
//! That a value was used is on record before it is used: the vault writes it when it lends it. What became of the request, and
//! that one was refused, comes after, in batches; while the vault is out of reach it waits here.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fnox_core::Host;
use fnox_vault_wire::Client as Vault;
use fnox_vault_wire::methods::{MOST_RECORDED, RecordRequests, RecordedRequest, RequestOutcome};
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

use crate::proxy::{Exchange, Observer};
use crate::refusal::Reason;
use crate::rule::CredentialRef;

/// How many requests wait for the vault. More are only counted.
const WAITING: usize = 16 * 1024;

/// Most bytes of a path that are recorded.
const PATH: usize = 1024;

/// For how long requests are collected.
const GATHERING: Duration = Duration::from_millis(100);

/// Between two attempts to reach the vault.
const PAUSE: Duration = Duration::from_secs(1);

/// Puts on record what is observed, and hands it on.
pub struct Recorder {
    requests: mpsc::Sender<RecordedRequest>,
    lost: Arc<AtomicU64>,
    writer: Mutex<Option<Writer>>,
    ending: Notify,
    next: Arc<dyn Observer>,
}

/// What [`Recorder::write`] works with.
struct Writer {
    vault: Vault,
    requests: mpsc::Receiver<RecordedRequest>,
}

impl Recorder {
    /// `vault` is the gateway's own connection.
    pub(super) fn new(vault: Vault, next: Arc<dyn Observer>) -> Self {
        let (sender, requests) = mpsc::channel(WAITING);
        Self {
            requests: sender,
            lost: Arc::default(),
            writer: Mutex::new(Some(Writer { vault, requests })),
            ending: Notify::new(),
            next,
        }
    }

    /// Writes what there is until [`Self::finish`] is called, and then what is left; once.
    pub async fn write(&self) {
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut writer) = writer else { return };
        let mut batch = Vec::new();
        let mut is_ending = false;
        loop {
            tokio::select! {
                biased;
                _ = writer.requests.recv_many(&mut batch, MOST_RECORDED - 1) => {}
                () = self.ending.notified(), if !is_ending => {
                    is_ending = true;
                    // Nobody sends any more once it is empty.
                    writer.requests.close();
                }
            }
            if !batch.is_empty() {
                self.send(&writer.vault, std::mem::take(&mut batch)).await;
            } else if is_ending && writer.requests.is_empty() {
                return;
            }
            if !is_ending {
                sleep(GATHERING).await;
            }
        }
    }

    /// Lets [`Self::write`] come to an end. What is observed from then on is lost.
    pub fn finish(&self) {
        self.ending.notify_one();
    }

    async fn send(&self, vault: &Vault, mut requests: Vec<RecordedRequest>) {
        let lost = self.lost.swap(0, Ordering::AcqRel);
        if lost > 0 {
            requests.push(RecordedRequest {
                agent: "gateway".to_owned(),
                host: String::new(),
                method: String::new(),
                path: String::new(),
                rule: None,
                outcome: RequestOutcome::Lost(lost),
            });
        }
        let call = RecordRequests { requests };
        while let Err(error) = vault.call(&call).await {
            tracing::warn!("requests are not on record yet: {error}");
            sleep(PAUSE).await;
        }
    }

    fn record(&self, exchange: &Exchange<'_>) {
        let (outcome, rule) = match &exchange.outcome {
            // The first question of every client that waits to be asked for its password.
            Err(refusal) if refusal.reason == Reason::Unauthenticated => return,
            Err(refusal) => (
                RequestOutcome::Refused(refusal.reason.code().to_owned()),
                refusal.rule.clone(),
            ),
            Ok(status) => {
                let rules = exchange.rules.join(", ");
                let rules = (!rules.is_empty()).then_some(rules);
                (RequestOutcome::Answered(status.as_u16()), rules)
            }
        };
        let path = &exchange.path[..exchange.path.floor_char_boundary(PATH)];
        let request = RecordedRequest {
            agent: exchange.agent.to_string(),
            host: exchange.host.to_string(),
            method: exchange.method.to_string(),
            path: path.to_owned(),
            rule,
            outcome,
        };
        if self.requests.try_send(request).is_err() {
            self.lost.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Observer for Recorder {
    fn exchanged(&self, exchange: &Exchange<'_>) {
        self.next.exchanged(exchange);
        self.record(exchange);
    }

    /// A record of its own: that of the answer has left.
    fn broken_off(&self, exchange: &Exchange<'_>) {
        self.next.broken_off(exchange);
        self.record(exchange);
    }

    fn broken(&self, host: &Host, problem: &str) {
        self.next.broken(host, problem);
    }

    fn too_short(&self, credential: &CredentialRef) {
        self.next.too_short(credential);
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Recorder")
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}
