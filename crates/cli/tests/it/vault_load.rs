//! A mixed load on a vault, and what its clients know: what they asked, and what they were answered.
//!
//! Before anything is sent it is noted as asked; after the answer as answered. What was asked and never
//! answered may have happened or not. Everything else is a promise.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use fnox_core::SecretString;
use fnox_vault_wire::methods::{
    LeaseGrant, RenewLease, RevocationReason, RevokeAllForAgent, RevokeLease, RevokeToken,
    UpdateSecret,
};
use fnox_vault_wire::{Client, ClientError, Code, LeaseId, TokenId};
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::vault_process::{SECRET, access, connect, request, secret_value, token};

/// What is known of a withdrawal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Withdrawal {
    Not,
    Asked,
    Answered,
}

/// What its holder knows of a lease.
#[derive(Debug)]
pub(crate) struct Held {
    pub token: TokenId,
    pub max_uses: u32,
    /// Values that came.
    pub delivered: u32,
    /// Uses asked for that were neither delivered nor refused.
    pub open: u32,
    pub expires_at: Timestamp,
    pub withdrawal: Withdrawal,
    pub round: u64,
}

/// A token.
#[derive(Debug)]
pub(crate) struct Known {
    pub token: SecretString,
    pub agent: String,
    pub withdrawal: Withdrawal,
}

/// What all clients know, over all rounds.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub leases: BTreeMap<LeaseId, Held>,
    pub tokens: BTreeMap<TokenId, Known>,
    /// Leases asked for without an answer.
    pub lost_requests: usize,
    /// The number in the newest value that was stored for certain, and in the newest that may have been.
    pub stored: u64,
    pub asked: u64,
}

impl History {
    /// A value that came must be no older than what was certain when it was asked for.
    pub(crate) fn judge(&self, value: &str, certain: u64) {
        let number = value.strip_prefix("value ").and_then(|it| it.parse().ok());
        let number: u64 = number.unwrap_or_else(|| panic!("a value that nobody stored: {value}"));
        assert!(
            (certain..=self.asked).contains(&number),
            "value {number} came, {certain} was stored and {} asked for",
            self.asked
        );
    }

    /// Notes how a use ended.
    pub(crate) fn used(
        &mut self,
        id: LeaseId,
        certain: u64,
        outcome: &Result<String, ClientError>,
    ) {
        match outcome {
            Ok(value) => {
                self.judge(value, certain);
                let held = self.leases.get_mut(&id).unwrap();
                held.open -= 1;
                held.delivered += 1;
                assert!(
                    held.delivered <= held.max_uses,
                    "{id} delivered its value more often than it may: {held:?}"
                );
                assert_ne!(held.withdrawal, Withdrawal::Answered, "{id} was withdrawn");
            }
            Err(ClientError::Remote(error)) => {
                let held = self.leases.get_mut(&id).unwrap();
                held.open -= 1;
                match error.known_code() {
                    Some(Code::LeaseRevoked) => {
                        assert_ne!(held.withdrawal, Withdrawal::Not, "{id}: {held:?}");
                    }
                    // With all that were asked for, there is none left.
                    Some(Code::LeaseExpired) => {
                        let most = held.delivered + held.open + 1;
                        assert!(most > held.max_uses, "{id} lost a use: {held:?}: {error}");
                    }
                    _ => panic!("{id}: {error:?}"),
                }
            }
            Err(_) => {}
        }
    }
}

/// A source of numbers that can be had again: xorshift64 (Marsaglia).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        // Seeds that differ little must not begin alike.
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            dice.below(2);
        }
        dice
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let count = u64::try_from(all.len()).unwrap().max(1);
        let index = usize::try_from(self.below(count)).unwrap();
        all.get(index).copied()
    }
}

/// What the clients of one round share.
#[derive(Debug)]
pub(crate) struct Load {
    pub history: Arc<Mutex<History>>,
    pub round: u64,
    agents: PathBuf,
    answers: AtomicU64,
    enough: u64,
    reached: Notify,
}

/// The vault does not answer any more.
#[derive(Debug)]
pub(crate) struct Gone;

impl Load {
    pub(crate) fn new(
        history: &Arc<Mutex<History>>,
        round: u64,
        agents: PathBuf,
        enough: u64,
    ) -> Self {
        Self {
            history: Arc::clone(history),
            round,
            agents,
            answers: AtomicU64::new(0),
            enough,
            reached: Notify::new(),
        }
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }

    /// Waits until so many answers came as were asked for.
    pub(crate) async fn enough(&self) {
        self.reached.notified().await;
    }

    /// Counts an answer; errors of the vault stay, everything else means that it is gone.
    fn answered<T>(&self, outcome: Result<T, ClientError>) -> Result<Result<T, ClientError>, Gone> {
        match outcome {
            Ok(_) | Err(ClientError::Remote(_)) => {
                if self.answers.fetch_add(1, Ordering::Relaxed) + 1 == self.enough {
                    self.reached.notify_one();
                }
                Ok(outcome)
            }
            Err(ClientError::TimedOut) => panic!("the vault did not answer in time"),
            Err(_) => Err(Gone),
        }
    }

    /// An agent: requests, uses, renews and withdraws until the vault is gone.
    pub(crate) async fn agent(&self, client: Client, token: TokenId, agent: String, seed: u64) {
        let mut dice = Dice::new(seed);
        let mut own: Vec<LeaseId> = Vec::new();
        loop {
            let step = match (dice.below(10), dice.pick(&own)) {
                (0..=2, _) | (_, None) => {
                    let uses = u32::try_from(1 + dice.below(4)).unwrap();
                    self.request(&client, token, &agent, uses)
                        .await
                        .map(|grant| own.push(grant.lease_id))
                }
                (3..=6, Some(lease)) => self.access(&client, lease).await,
                // Two at once, of which perhaps one is too many.
                (7, Some(lease)) => {
                    let both =
                        tokio::join!(self.access(&client, lease), self.access(&client, lease));
                    both.0.and(both.1)
                }
                (8, Some(lease)) => self.renew(&client, lease).await,
                (_, Some(lease)) => self.revoke(&client, lease).await,
            };
            if step.is_err() {
                return;
            }
        }
    }

    async fn request(
        &self,
        client: &Client,
        token: TokenId,
        agent: &str,
        uses: u32,
    ) -> Result<LeaseGrant, Gone> {
        self.history().lost_requests += 1;
        let outcome = request(client, agent, Some(uses)).await;
        let grant = self.answered(outcome)?.unwrap();
        let mut history = self.history();
        history.lost_requests -= 1;
        let held = Held {
            token,
            max_uses: uses,
            delivered: 0,
            open: 0,
            expires_at: grant.expires_at,
            withdrawal: Withdrawal::Not,
            round: self.round,
        };
        let before = history.leases.insert(grant.lease_id, held);
        assert!(before.is_none(), "an id came twice");
        Ok(grant)
    }

    async fn access(&self, client: &Client, lease: LeaseId) -> Result<(), Gone> {
        let certain = {
            let mut history = self.history();
            history.leases.get_mut(&lease).unwrap().open += 1;
            history.stored
        };
        let outcome = self.answered(access(client, lease).await)?;
        self.history().used(lease, certain, &outcome);
        Ok(())
    }

    async fn renew(&self, client: &Client, lease: LeaseId) -> Result<(), Gone> {
        let params = RenewLease {
            lease_id: lease,
            extension_secs: 7200,
        };
        // An error means that it is over, which the next use shows.
        if let Ok(grant) = self.answered(client.call(&params).await)? {
            let mut history = self.history();
            let held = history.leases.get_mut(&lease).unwrap();
            assert!(grant.expires_at >= held.expires_at, "a renewal shortened");
            held.expires_at = grant.expires_at;
        }
        Ok(())
    }

    async fn revoke(&self, client: &Client, lease: LeaseId) -> Result<(), Gone> {
        self.withdraw(|id, _| id == lease, Withdrawal::Asked);
        let params = RevokeLease {
            lease_id: lease,
            reason: RevocationReason::Released,
        };
        self.answered(client.call(&params).await)?.unwrap();
        self.withdraw(|id, _| id == lease, Withdrawal::Answered);
        Ok(())
    }

    fn withdraw(&self, fits: impl Fn(LeaseId, &Held) -> bool, to: Withdrawal) {
        for (id, held) in &mut self.history().leases {
            if fits(*id, held) {
                held.withdrawal = held.withdrawal.max(to);
            }
        }
    }

    /// An administrator: makes tokens, has them used, and withdraws some of them. The first also stores new
    /// values: of two who do, neither could tell which value is the newer one.
    pub(crate) async fn administrator(&self, client: Client, which: u32, seed: u64) {
        let mut dice = Dice::new(seed);
        for number in 0_u64.. {
            let step = match dice.below(5) {
                0..=2 if which == 0 => self.update(&client).await,
                _ => {
                    let agent = format!("agent-{}-{which}-{number}", self.round);
                    self.short_life(&client, &agent, dice.below(3)).await
                }
            };
            if step.is_err() {
                return;
            }
        }
    }

    async fn update(&self, client: &Client) -> Result<(), Gone> {
        let number = {
            let mut history = self.history();
            history.asked += 1;
            history.asked
        };
        let params = UpdateSecret {
            name: SECRET.to_owned(),
            plaintext: Some(secret_value(&format!("value {number}"))),
            kind: None,
            description: None,
            tags: None,
            algorithm: None,
            if_version: None,
        };
        self.answered(client.call(&params).await)?.unwrap();
        self.history().stored = number;
        Ok(())
    }

    /// A token, a lease by it, and perhaps the end of either.
    async fn short_life(&self, client: &Client, agent: &str, end: u64) -> Result<(), Gone> {
        let created = self.answered(token(client, agent).await)?.unwrap();
        let id = created.id;
        let known = Known {
            token: created.token.clone(),
            agent: agent.to_owned(),
            withdrawal: Withdrawal::Not,
        };
        self.history().tokens.insert(id, known);
        let own = connect(&self.agents, &created.token)
            .await
            .map_err(|error| gone(&error))?;
        let grant = self.request(&own, id, agent, 3).await?;
        self.access(&own, grant.lease_id).await?;
        match end {
            0 => {
                self.withdraw(|_, held| held.token == id, Withdrawal::Asked);
                let params = RevokeAllForAgent {
                    agent: agent.to_owned(),
                };
                self.answered(client.call(&params).await)?.unwrap();
                self.withdraw(|_, held| held.token == id, Withdrawal::Answered);
            }
            1 => {
                self.withdraw_token(id, Withdrawal::Asked);
                self.answered(client.call(&RevokeToken { id }).await)?
                    .unwrap();
                self.withdraw_token(id, Withdrawal::Answered);
                let refused = connect(&self.agents, &created.token).await.unwrap_err();
                assert!(!matches!(refused, ClientError::Remote(_)), "{refused}");
            }
            _ => {}
        }
        Ok(())
    }

    fn withdraw_token(&self, id: TokenId, to: Withdrawal) {
        self.withdraw(|_, held| held.token == id, to);
        let mut history = self.history();
        let known = history.tokens.get_mut(&id).unwrap();
        known.withdrawal = known.withdrawal.max(to);
    }
}

/// A connection that cannot be had because nobody is there; a refusal would be a broken promise.
fn gone(error: &ClientError) -> Gone {
    assert!(
        !matches!(error, ClientError::Refused { .. } | ClientError::Remote(_)),
        "a token that was just made: {error}"
    );
    Gone
}
