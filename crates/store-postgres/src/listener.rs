//! Hears what other vaults changed, and passes it on to the engine.
//!
//! While the connection is down nothing is heard, so after every reconnection the engine is told to read everything
//! anew.

use fnox_vault::store::Foreign;
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

use crate::connection::Connections;
use crate::ears::{Channel, Ears, Owned};
use crate::notice::Notices;
use crate::problem::Failure;
use crate::rows::{self, LEASE};

/// Listens.
#[derive(Debug)]
pub(crate) struct Listener {
    /// To what.
    pub(crate) channel: Channel,
    /// Reads what changed.
    pub(crate) connections: Connections,
    /// How this vault names itself in notices.
    pub(crate) origin: watch::Receiver<Uuid>,
    /// Where the engine hears of it.
    pub(crate) foreign: broadcast::Sender<Foreign>,
}

impl Listener {
    /// Connects, so that nothing is missed from now on, and goes on listening.
    pub(crate) async fn start(self) -> Result<Owned, Failure> {
        let ears = Ears::open(self.channel.clone()).await?;
        Ok(Owned::spawn(self.run(ears)))
    }

    async fn run(self, mut ears: Ears) {
        loop {
            while let Some(payloads) = ears.payloads().await {
                let own = *self.origin.borrow();
                let mut notices = Notices::default();
                for payload in payloads {
                    notices.hear(&payload, own);
                }
                self.pass_on(notices).await;
            }
            ears = ears.again().await;
            let _ = self.foreign.send(Foreign::Unknown);
        }
    }

    async fn pass_on(&self, mut notices: Notices) {
        let mut changes = Vec::new();
        if !notices.leases.is_empty() && !notices.unknown {
            notices.leases.sort_unstable();
            notices.leases.dedup();
            let ids: Vec<Uuid> = notices.leases.iter().map(|id| id.0).collect();
            let sql = format!("SELECT {LEASE} FROM fnox_vault.lease WHERE id = ANY($1)");
            match self.connections.query(&sql, &[&ids]).await {
                Ok(found) => match rows::leases(&found) {
                    Ok(leases) => changes.push(Foreign::Leases(leases)),
                    Err(_) => notices.unknown = true,
                },
                Err(_) => notices.unknown = true,
            }
        }
        if notices.unknown {
            changes = vec![Foreign::Unknown];
        }
        changes.extend(notices.tokens.into_iter().map(Foreign::TokenRevoked));
        changes.extend(notices.sessions.into_iter().map(Foreign::SessionClosed));
        changes.extend(notices.secrets.into_iter().map(Foreign::SecretChanged));
        if notices.ring {
            changes.push(Foreign::RingChanged);
        }
        if notices.questions {
            changes.push(Foreign::QuestionsChanged);
        }
        for change in changes {
            // Nobody may be listening yet.
            let _ = self.foreign.send(change);
        }
    }
}
