//! The values of rules: secrets as they were when the program started, leases minted by the first request that needs them.
//!
//! A mint's manager works with what `fnox` was started with and lives as long as the run; requests come from the gateway's own
//! tasks. Between them is a desk: requests queue at it, and each lease is minted once for all who wait.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use fnox_core::lease::is_fresh;
use fnox_core::{Clock, Credential, Host, LeaseName, SecretName, SecretString, VaultName};
use fnox_gateway::injection::aws::AwsKeys;
use fnox_gateway::proxy::{Credentials, Lent};
use fnox_gateway::rule::{CredentialRef, Rule};
use fnox_gateway::{Reason, Refusal};
use fnox_leases::{Acquire, Acquired, Held, LeaseError, Manager};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use crate::exec::redact::Redaction;

/// How many requests may queue.
const QUEUE: usize = 1024;

type Answer = Result<Arc<Credential>, Refusal>;

/// Where the gateway's tasks ask.
#[derive(Debug)]
pub(crate) struct Values {
    secrets: HashMap<VaultName, SecretString>,
    desk: mpsc::Sender<(LeaseName, oneshot::Sender<Answer>)>,
}

/// Where they are answered.
#[derive(Debug)]
pub(crate) struct Desk {
    asked: mpsc::Receiver<(LeaseName, oneshot::Sender<Answer>)>,
    clock: Arc<dyn Clock>,
    counters: HashMap<LeaseName, Counter>,
    redaction: Option<Arc<Redaction>>,
}

/// One lease at the desk.
#[derive(Debug, Default)]
struct Counter {
    held: Option<Held>,
    waiting: Vec<oneshot::Sender<Answer>>,
}

impl Values {
    /// With these secrets, and a desk for leases.
    pub(crate) fn new(
        secrets: HashMap<VaultName, SecretString>,
        clock: Arc<dyn Clock>,
    ) -> (Self, Desk) {
        let (desk, asked) = mpsc::channel(QUEUE);
        let values = Self { secrets, desk };
        let desk = Desk {
            asked,
            clock,
            counters: HashMap::new(),
            redaction: None,
        };
        (values, desk)
    }

    async fn lease(&self, name: &LeaseName) -> Answer {
        let ended =
            || Refusal::new(Reason::Credential, "the run is ending").of_lease(name.as_str());
        let (answer, answered) = oneshot::channel();
        let asked = self.desk.send((name.clone(), answer)).await;
        asked.map_err(|_| ended())?;
        answered.await.unwrap_or_else(|_| Err(ended()))
    }
}

#[async_trait]
impl Credentials for Values {
    async fn value(&self, rule: &Rule, _: &Host) -> Result<Lent, Refusal> {
        let value = match &rule.credential {
            CredentialRef::Secret(name) => self.secrets.get(name).cloned().ok_or_else(|| {
                Refusal::new(
                    Reason::Credential,
                    format!("the secret `{name}` has no value"),
                )
                .by_rule(&rule.name)
                .with_remedy(format!("Set it: fnox set {name}"))
            }),
            // The gateway keeps it itself.
            CredentialRef::Captured { .. } => Err(Refusal::new(
                Reason::Credential,
                format!("{} is nowhere else", rule.credential),
            )),
            CredentialRef::Lease { name, variable } => {
                let credential = self.lease(name).await?;
                let variable = variable.as_ref().map(SecretName::as_str);
                one(&credential, variable).ok_or_else(|| {
                    let names: Vec<&str> = credential
                        .variables
                        .iter()
                        .map(|(name, _)| name.as_str())
                        .collect();
                    let message = format!("the lease has the variables {}", names.join(", "));
                    Refusal::new(Reason::Credential, message)
                        .by_rule(&rule.name)
                        .of_lease(name.as_str())
                        .with_remedy("The rule must name one of them: `credential = \"…\"`.")
                })
            }
        };
        value.map(Lent::from)
    }

    async fn aws_keys(&self, rule: &Rule, _: &Host) -> Result<AwsKeys, Refusal> {
        let missing = |what: &str| {
            let message = format!("the lease makes no {what}, and the rule signs with it");
            Refusal::new(Reason::Credential, message).by_rule(&rule.name)
        };
        let CredentialRef::Lease { name, .. } = &rule.credential else {
            let remedy = "Name a lease of AWS keys in the rule: `lease = \"…\"`.";
            return Err(missing("AWS keys").with_remedy(remedy));
        };
        let credential = self.lease(name).await?;
        let variable = |name: &str| credential.variable(name).cloned();
        Ok(AwsKeys {
            access_key_id: variable("AWS_ACCESS_KEY_ID")
                .ok_or_else(|| missing("AWS_ACCESS_KEY_ID"))?,
            secret_access_key: variable("AWS_SECRET_ACCESS_KEY")
                .ok_or_else(|| missing("AWS_SECRET_ACCESS_KEY"))?,
            session_token: variable("AWS_SESSION_TOKEN"),
        })
    }
}

/// The variable that is wanted, or the only one.
fn one(credential: &Credential, variable: Option<&str>) -> Option<SecretString> {
    match (variable, credential.variables.as_slice()) {
        (Some(name), _) => credential.variable(name).cloned(),
        (None, [(_, value)]) => Some(value.clone()),
        (None, _) => None,
    }
}

impl Desk {
    /// From now on `redaction` looks for what is minted, before anybody gets it.
    pub(crate) fn redact_with(&mut self, redaction: Arc<Redaction>) {
        self.redaction = Some(redaction);
    }

    /// Answers for as long as it is polled. It ends when nobody can ask any more.
    pub(crate) async fn serve(&mut self, manager: &Manager<'_>) {
        let mut minting = FuturesUnordered::new();
        loop {
            tokio::select! {
                asked = self.asked.recv() => {
                    let Some((name, answer)) = asked else { return };
                    if let Some(name) = self.wait(name, answer) {
                        minting.push(mint(manager, name));
                    }
                }
                Some((name, outcome)) = minting.next(), if !minting.is_empty() => {
                    self.answer(&name, outcome);
                }
            }
        }
    }

    /// What was minted for this run alone.
    pub(crate) fn minted(&self) -> Vec<String> {
        let held = self
            .counters
            .values()
            .filter_map(|counter| counter.held.as_ref());
        held.map(|held| held.credential.id.clone()).collect()
    }

    /// Answers at once, or lets somebody wait. Who is the first to wait has it minted.
    fn wait(&mut self, name: LeaseName, answer: oneshot::Sender<Answer>) -> Option<LeaseName> {
        let now = self.clock.now();
        let counter = self.counters.entry(name.clone()).or_default();
        if let Some(held) = &counter.held
            && is_fresh(held.created_at, held.credential.expires_at, now)
        {
            // Whoever does not wait for the answer any more needs none.
            let _ = answer.send(Ok(Arc::new(held.credential.clone())));
            return None;
        }
        counter.waiting.push(answer);
        (counter.waiting.len() == 1).then_some(name)
    }

    fn answer(&mut self, name: &LeaseName, outcome: Result<Held, Refusal>) {
        let now = self.clock.now();
        let counter = self.counters.entry(name.clone()).or_default();
        let answer = match outcome {
            Ok(held) => {
                if let Some(redaction) = &self.redaction {
                    let values = held.credential.variables.iter();
                    redaction.add(values.map(|(_, value)| value.clone()).collect());
                }
                let credential = Arc::new(held.credential.clone());
                counter.held = Some(held);
                Ok(credential)
            }
            // What has not ended works still.
            Err(refusal) => match &counter.held {
                Some(held) if held.credential.expires_at.is_none_or(|end| end > now) => {
                    Ok(Arc::new(held.credential.clone()))
                }
                _ => Err(refusal),
            },
        };
        for waiting in counter.waiting.drain(..) {
            let _ = waiting.send(answer.clone());
        }
    }
}

async fn mint(manager: &Manager<'_>, name: LeaseName) -> (LeaseName, Result<Held, Refusal>) {
    let request = Acquire {
        label: format!("fnox-agent-{name}"),
        reuse: false,
        require: true,
        exclusive: true,
        ..Acquire::for_exec(&name)
    };
    let outcome = match manager.acquire(&name, request).await {
        Ok(Acquired::Minted(held) | Acquired::Cached(held)) => Ok(held),
        Ok(Acquired::Skipped(skip)) => Err(refused(&name, &skip.message, Some(skip.hint))),
        Err(error) => Err(refused_by(&name, &error)),
    };
    (name, outcome)
}

fn refused_by(name: &LeaseName, error: &LeaseError) -> Refusal {
    refused(name, &error.to_string(), error.help())
}

fn refused(name: &LeaseName, message: &str, help: Option<String>) -> Refusal {
    let refusal = Refusal::new(Reason::Credential, message).of_lease(name.as_str());
    match help {
        Some(help) => refusal.with_remedy(help),
        None => refusal,
    }
}
