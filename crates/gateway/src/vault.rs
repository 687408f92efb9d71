//! Clients that a vault knows, and leases that are spent for them request by request.
//!
//! A client presents its vault token as the password of the proxy. The gateway asks the vault for leases over a connection of
//! that token, so they are the agent's: its policy, its limits, its end. It spends them over its own connection, whose token
//! has the role `gateway`. Each request is one use, which the vault counts and puts on record before it answers.

mod leases;
mod left;
mod recorder;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fnox_core::{AgentId, Clock, SecretString};
use fnox_vault_wire::methods::{LeaseEvent, Role, Whoami};
use fnox_vault_wire::{Client as Vault, ClientError, ClientOptions, Code, Connector, LeaseEvents};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use tokio::time::MissedTickBehavior;

use self::leases::{Leases, Live};
pub use self::recorder::Recorder;
use crate::placeholder::{PlaceholderBook, Shape};
use crate::policy::Policy;
use crate::proxy::{Client, Clients, Observer};
use crate::refusal::{Reason, Refusal};
use crate::rule::CredentialRef;

/// How often it is looked whether the vault is there, and how long it may take to say so.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// How many agents' connections to the vault are kept.
const AGENTS: usize = 4096;

/// A variable in which programs look for a credential.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What its placeholder stands for.
    pub credential: CredentialRef,
    /// The kind of text that programs expect.
    pub shape: Shape,
    /// A variable that programs need as well, with any text of this kind.
    pub beside: Option<(&'static str, Shape)>,
}

/// A vault's agents as clients of a gateway.
pub struct VaultClients {
    connector: Connector,
    gateway: Vault,
    live: Arc<Live>,
    clock: Arc<dyn Clock>,
    placeholders: PlaceholderBook,
    variables: Vec<Variable>,
    /// By the digest of the token.
    known: Mutex<HashMap<[u8; 32], Known>>,
}

struct Known {
    client: Arc<Client>,
    vault: Vault,
}

/// The vault does not take this process for a gateway.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultClientsError {
    /// The vault did not answer, or refused.
    #[error(transparent)]
    Vault(#[from] ClientError),
    /// The token is not a gateway's.
    #[error(
        "the token has the role `{0}`, and a gateway's is needed: fnox vault token create --role gateway"
    )]
    Role(Role),
}

impl VaultClients {
    /// Connects with the gateway's own token and hears of leases from then on.
    ///
    /// # Errors
    /// [`VaultClientsError`]
    pub async fn connect(
        connector: Connector,
        token: SecretString,
        clock: Arc<dyn Clock>,
        placeholders: PlaceholderBook,
        variables: Vec<Variable>,
    ) -> Result<Self, VaultClientsError> {
        let options = ClientOptions::new(connector.clone()).with_token(token);
        let gateway = Vault::connect(options).await?;
        let identity = gateway.call(&Whoami {}).await?;
        if identity.role != Role::Gateway {
            return Err(VaultClientsError::Role(identity.role));
        }
        let live = Arc::new(Live::default());
        let events = gateway.subscribe().await?;
        tokio::spawn(listen(gateway.clone(), events, Arc::clone(&live)));
        Ok(Self {
            connector,
            gateway,
            live,
            clock,
            placeholders,
            variables,
            known: Mutex::default(),
        })
    }

    /// Puts requests on record in the vault, and hands them on to `next`.
    #[must_use]
    pub fn recorder(&self, next: Arc<dyn Observer>) -> Recorder {
        Recorder::new(self.gateway.clone(), next)
    }

    /// Which secrets the rules name: each is a variable of the same name in capitals unless the rule says otherwise. Where
    /// requests are signed, they are those of AWS keys.
    #[must_use]
    pub fn variables_of(policy: &Policy, names: &[Option<String>]) -> Vec<Variable> {
        let rules = policy.rules.iter().zip(names);
        let mut variables: Vec<Variable> = Vec::new();
        for (rule, name) in rules {
            let is_signature = rule.injection.is_signature();
            let usual = || {
                if is_signature {
                    return "AWS_ACCESS_KEY_ID".to_owned();
                }
                let upper = rule.credential.to_string().to_ascii_uppercase();
                upper.replace(|character: char| !character.is_ascii_alphanumeric(), "_")
            };
            let name = name.clone().unwrap_or_else(usual);
            if variables.iter().all(|variable| variable.name != name) {
                variables.push(Variable {
                    name,
                    credential: rule.credential.clone(),
                    shape: if is_signature {
                        Shape::token("AKIA", 16)
                    } else {
                        Shape::token("", 40)
                    },
                    beside: is_signature.then(|| ("AWS_SECRET_ACCESS_KEY", Shape::token("", 40))),
                });
            }
        }
        variables
    }

    async fn meet(&self, token: SecretString) -> Result<Known, Refusal> {
        let options = ClientOptions::new(self.connector.clone()).with_token(token);
        let vault = Vault::connect(options)
            .await
            .map_err(|error| unknown(&error))?;
        let identity = vault
            .call(&Whoami {})
            .await
            .map_err(|error| unknown(&error))?;
        let (Role::Agent, Some(name)) = (identity.role, identity.agent) else {
            return Err(unauthenticated("the token is no agent's"));
        };
        let agent = AgentId::parse(&name).map_err(|_| unauthenticated("the agent has no name"))?;
        let variables = self.placeholders.change(|placeholders| {
            let mut rng = rand::rng();
            let mut issued = Vec::new();
            for variable in &self.variables {
                let Variable {
                    credential, shape, ..
                } = variable;
                let placeholder = placeholders.issue(&agent, credential, shape, None, &mut rng);
                issued.push((variable.name.clone(), placeholder.text().to_owned()));
                if let Some((name, shape)) = &variable.beside {
                    issued.push(((*name).to_owned(), shape.random(&mut rng)));
                }
            }
            issued
        });
        let leases = Leases {
            agent: agent.clone(),
            asking: vault.clone(),
            spending: self.gateway.clone(),
            live: Arc::clone(&self.live),
            clock: Arc::clone(&self.clock),
            slots: std::sync::Mutex::default(),
        };
        Ok(Known {
            client: Arc::new(Client::new(agent, Arc::new(leases), variables)),
            vault,
        })
    }
}

#[async_trait]
impl Clients for VaultClients {
    async fn identify(&self, password: Option<SecretString>) -> Result<Arc<Client>, Refusal> {
        let token =
            password.ok_or_else(|| unauthenticated("the gateway needs the agent's vault token"))?;
        let digest: [u8; 32] = Sha256::digest(token.expose_secret().as_bytes()).into();
        let known = {
            let known = self.known.lock().await;
            let it = known.get(&digest);
            it.map(|it| (Arc::clone(&it.client), it.vault.clone()))
        };
        if let Some((client, vault)) = known {
            // Whether the token is good still, the vault alone can say.
            return match vault.call(&Whoami {}).await {
                Ok(_) => Ok(client),
                Err(error) => {
                    self.known.lock().await.remove(&digest);
                    Err(unknown(&error))
                }
            };
        }
        let met = self.meet(token).await?;
        let client = Arc::clone(&met.client);
        let mut known = self.known.lock().await;
        if known.len() >= AGENTS {
            known.clear();
        }
        // Whoever came first at the same time stays, with the leases that it has.
        let kept = known.entry(digest).or_insert(met);
        debug_assert_eq!(kept.client.agent, client.agent, "one token is one agent's");
        Ok(Arc::clone(&kept.client))
    }
}

impl fmt::Debug for VaultClients {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("VaultClients")
            .field("gateway", &self.gateway)
            .finish_non_exhaustive()
    }
}

/// Hears what ends, and looks whether it could be heard: from a vault that is away, or hangs, no end comes.
async fn listen(vault: Vault, mut events: LeaseEvents, live: Arc<Live>) {
    let mut look = tokio::time::interval(BETWEEN_LOOKS);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => hear(&live, &event),
                None => break,
            },
            _ = look.tick() => {
                if vault.call_with_limit(&Whoami {}, LONGEST_LOOK).await.is_err() {
                    live.doubt_all();
                }
            }
        }
    }
    live.doubt_all();
}

fn hear(live: &Live, event: &LeaseEvent) {
    match event {
        LeaseEvent::LeaseRevoked {
            lease_id, reason, ..
        } => live.revoked(*lease_id, *reason),
        LeaseEvent::LeaseExpired { lease_id, .. } => live.expired(*lease_id),
        LeaseEvent::LeaseRenewed { .. } => {}
        // What was missed may have been an end.
        LeaseEvent::Lagged { .. } => live.doubt_all(),
    }
}

fn unauthenticated(message: &str) -> Refusal {
    Refusal::new(Reason::Unauthenticated, message)
        .with_remedy("Give it as the password of the proxy: http://agent:TOKEN@…")
}

/// Why the vault does not know a token, or cannot say.
fn unknown(error: &ClientError) -> Refusal {
    match error.known_code() {
        Some(Code::AuthenticationFailed | Code::AccessDenied) => {
            unauthenticated("the vault does not know this token")
        }
        _ => Refusal::new(
            Reason::Credential,
            format!("the vault cannot be asked: {error}"),
        ),
    }
}
