//! The leases of one agent, as the gateway spends them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fnox_core::{AgentId, Clock, Host, SecretString};
use fnox_vault_wire::methods::{
    AccessSecret, LeaseStatus, RequestLease, ReturnUse, RevocationReason,
};
use fnox_vault_wire::{Client as Vault, ClientError, Code, LeaseId};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::Mutex as AsyncMutex;

use super::left;
use crate::injection::aws::AwsKeys;
use crate::proxy::{Credentials, Ended, Ender, Lent};
use crate::refusal::{Reason, Refusal};
use crate::rule::{CredentialRef, Rule};

const WITHDRAWN: &str = "was withdrawn";
const NO_USES: &str = "has no uses left";

/// The ends of all leases that the gateway spends.
#[derive(Debug, Default)]
pub(super) struct Live(Mutex<HashMap<LeaseId, Ender>>);

impl Live {
    fn begin(&self, id: LeaseId, ender: Ender) {
        self.lock().insert(id, ender);
    }

    /// The last use has been spent, and may be on its way: that is no reason to break it off.
    pub(super) fn revoked(&self, id: LeaseId, reason: RevocationReason) {
        if reason != RevocationReason::UseLimitReached {
            self.end(id, WITHDRAWN);
        }
    }

    pub(super) fn expired(&self, id: LeaseId) {
        self.end(id, "is over");
    }

    /// Nobody knows any more which of them have ended. What is on its way breaks off; what comes next asks the vault.
    pub(super) fn doubt_all(&self) {
        for (id, ender) in self.lock().drain() {
            let message = "the lease may have ended: the vault was out of reach";
            let refusal = Refusal::new(Reason::Credential, message).of_lease(id.to_string());
            ender.end(refusal.with_remedy("Send the request again."));
        }
    }

    fn end(&self, id: LeaseId, how: &str) {
        if let Some(ender) = self.lock().remove(&id) {
            ender.end(over(id, how));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<LeaseId, Ender>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks for leases in an agent's name, and spends them.
#[derive(Debug)]
pub(super) struct Leases {
    pub(super) agent: AgentId,
    /// The agent's own connection.
    pub(super) asking: Vault,
    /// The gateway's.
    pub(super) spending: Vault,
    pub(super) live: Arc<Live>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) slots: Mutex<HashMap<(String, String), Slot>>,
}

/// The lease of one secret at one host.
pub(super) type Slot = Arc<AsyncMutex<Seat>>;

/// What is held of it.
#[derive(Debug, Default)]
pub(super) struct Seat {
    held: Option<Held>,
    /// Whether a gateway that ran before was asked after.
    is_known: bool,
}

/// A lease that was granted.
#[derive(Debug, Clone)]
pub(super) struct Held {
    id: LeaseId,
    /// When its time is over, by the clock that nobody can set.
    ends: Duration,
    ended: Ended,
    /// It cannot be spent any more, and its time is not over: another one would undo that.
    spent: Option<Refusal>,
}

#[async_trait]
impl Credentials for Leases {
    async fn value(&self, rule: &Rule, host: &Host) -> Result<Lent, Refusal> {
        self.lend(rule, host).await
    }

    async fn unsent(&self, lease: &str) {
        let Ok(lease_id) = lease.parse() else {
            return;
        };
        match self.spending.call(&ReturnUse { lease_id }).await {
            Ok(_) => self.goes_on(lease_id).await,
            // As spent as if it had been sent.
            Err(error) => tracing::warn!(
                "a use of lease {lease_id} was not sent, and could not be given back: {error}"
            ),
        }
    }

    /// The vault lends a credential of several variables as a JSON object.
    async fn aws_keys(&self, rule: &Rule, host: &Host) -> Result<Lent<AwsKeys>, Refusal> {
        let lent = self.lend(rule, host).await?;
        let keys: LentKeys = serde_json::from_str(lent.value.expose_secret()).map_err(|_| {
            let message = "the secret has no AWS keys: a JSON object of their variables";
            Refusal::new(Reason::Credential, message)
                .by_rule(&rule.name)
                .with_remedy(
                    "A mint of the vault (`[mint.NAME]`) of a type that makes AWS keys does.",
                )
        })?;
        Ok(Lent {
            value: AwsKeys {
                access_key_id: keys.access_key_id.into(),
                secret_access_key: keys.secret_access_key.into(),
                session_token: keys.session_token.map(SecretString::from),
            },
            ended: lent.ended,
            lease: lent.lease,
        })
    }
}

/// AWS keys as programs get them in variables.
#[derive(Deserialize)]
struct LentKeys {
    #[serde(rename = "AWS_ACCESS_KEY_ID")]
    access_key_id: String,
    #[serde(rename = "AWS_SECRET_ACCESS_KEY")]
    secret_access_key: String,
    #[serde(rename = "AWS_SESSION_TOKEN")]
    session_token: Option<String>,
}

impl Leases {
    async fn lend(&self, rule: &Rule, host: &Host) -> Result<Lent, Refusal> {
        let CredentialRef::Secret(secret) = &rule.credential else {
            let message = "a vault's rules name secrets";
            return Err(Refusal::new(Reason::Credential, message).by_rule(&rule.name));
        };
        let (secret, host) = (secret.to_string(), host.to_string());
        let slot = self.slot(&secret, &host);
        // A lease may end between the look at it and its use; the next one is new.
        for _ in 0..2 {
            let held = self.held(&slot, &secret, &host).await?;
            match self.spend(&held, &host).await {
                Ok(value) => {
                    return Ok(Lent {
                        value,
                        ended: Some(held.ended),
                        lease: Some(held.id.to_string()),
                    });
                }
                Err(Failed::Over) => {
                    slot.lock().await.held.take_if(|other| other.id == held.id);
                }
                Err(Failed::Spent(refusal)) => {
                    let mut seat = slot.lock().await;
                    if let Some(other) = seat.held.as_mut().filter(|it| it.id == held.id) {
                        other.spent = Some(refusal.clone());
                    }
                    return Err(refusal.by_rule(&rule.name));
                }
                Err(Failed::Other(refusal)) => return Err(refusal.by_rule(&rule.name)),
            }
        }
        Err(Refusal::new(Reason::Exhausted, "its leases end at once").by_rule(&rule.name))
    }
}

enum Failed {
    /// Its time is over.
    Over,
    /// Its uses are, or it was withdrawn.
    Spent(Refusal),
    Other(Refusal),
}

impl Leases {
    fn slot(&self, secret: &str, host: &str) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (secret.to_owned(), host.to_owned());
        Arc::clone(slots.entry(key).or_default())
    }

    /// The lease that is there, or a new one; whoever comes meanwhile waits for it.
    async fn held(&self, slot: &Slot, secret: &str, host: &str) -> Result<Held, Refusal> {
        let mut seat = slot.lock().await;
        if !seat.is_known {
            seat.held = self.left(secret, host).await?;
            seat.is_known = true;
        }
        if let Some(held) = seat.held.as_mut().filter(|held| !self.is_over(held)) {
            if let Some(refusal) = &held.spent {
                return Err(refusal.clone());
            }
            return match held.ended.refusal() {
                None => Ok(held.clone()),
                // Only doubtful: the vault says at the next use whether it lasts, and when it ends.
                Some(refusal) if refusal.reason == Reason::Credential => {
                    let (end, ended) = Ender::new();
                    self.live.begin(held.id, end);
                    held.ended = ended;
                    Ok(held.clone())
                }
                // Withdrawn leases are not replaced before their time is over.
                Some(refusal) => Err(refusal),
            };
        }
        let request = RequestLease::new(self.agent.as_str(), secret, host);
        let granted = self.asking.call(&request).await;
        let granted = granted.map_err(|error| refused(&error))?;
        let held = self.hold(granted.lease_id, granted.expires_at, None);
        seat.held = Some(held.clone());
        Ok(held)
    }

    /// The lease that a gateway before this one had.
    async fn left(&self, secret: &str, host: &str) -> Result<Option<Held>, Refusal> {
        let left = left::behind(&self.asking, secret, host, self.clock.now()).await;
        let left = left.map_err(|error| refused(&error))?;
        Ok(left.map(|lease| {
            let spent = match lease.status {
                LeaseStatus::Active => None,
                LeaseStatus::Exhausted => Some(over(lease.lease_id, NO_USES)),
                LeaseStatus::Revoked | LeaseStatus::Expired => {
                    Some(over(lease.lease_id, WITHDRAWN))
                }
            };
            self.hold(lease.lease_id, lease.expires_at, spent)
        }))
    }

    fn hold(&self, id: LeaseId, expires_at: Timestamp, spent: Option<Refusal>) -> Held {
        let (end, ended) = Ender::new();
        self.live.begin(id, end);
        Held {
            id,
            ends: self.end_of(expires_at),
            ended,
            spent,
        }
    }

    /// The lease has a use again: whether it can be spent, the vault is asked.
    async fn goes_on(&self, id: LeaseId) {
        let slots: Vec<Slot> = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.values().cloned().collect()
        };
        for slot in slots {
            let mut seat = slot.lock().await;
            if let Some(held) = seat.held.as_mut().filter(|held| held.id == id) {
                held.spent = None;
            }
        }
    }

    async fn spend(&self, held: &Held, host: &str) -> Result<SecretString, Failed> {
        let access = AccessSecret::new(held.id, host);
        match self.spending.call(&access).await {
            Ok(accessed) => accessed.secret.0.into_string().map_err(|_| {
                let message = "the value is no text, and no request can carry it";
                Failed::Other(Refusal::new(Reason::Credential, message))
            }),
            Err(error) => Err(match error.known_code() {
                Some(Code::LeaseExpired) if self.is_over(held) => Failed::Over,
                Some(Code::LeaseExpired) => Failed::Spent(over(held.id, NO_USES)),
                Some(Code::LeaseRevoked) => Failed::Spent(over(held.id, WITHDRAWN)),
                Some(Code::LeaseNotFound) => Failed::Over,
                _ => Failed::Other(refused(&error).of_lease(held.id.to_string())),
            }),
        }
    }
}

impl Leases {
    /// A lease that was withdrawn must not be replaced because somebody set the wall clock, and none be taken for good
    /// that the vault has ended.
    fn is_over(&self, held: &Held) -> bool {
        self.clock.monotonic() >= held.ends
    }

    fn end_of(&self, expires_at: Timestamp) -> Duration {
        let left = expires_at.duration_since(self.clock.now());
        self.clock.monotonic() + Duration::try_from(left).unwrap_or_default()
    }
}

fn over(id: LeaseId, how: &str) -> Refusal {
    Refusal::new(Reason::Exhausted, format!("the lease {how}"))
        .of_lease(id.to_string())
        .with_remedy("The gateway asks for another when this one's time is over; `fnox vault lease list` shows it.")
}

/// What the vault said.
fn refused(error: &ClientError) -> Refusal {
    let reason = match error.known_code() {
        Some(Code::AccessDenied) => Reason::NotAllowed,
        Some(Code::RateLimited) => Reason::Exhausted,
        _ => Reason::Credential,
    };
    Refusal::new(reason, format!("the vault says: {error}"))
}
