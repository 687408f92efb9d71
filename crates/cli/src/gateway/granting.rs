//! The use of credentials that a person allows for a while, in a gateway that runs.
//!
//! A yes is a rule of the gateway: one credential at one host and port, with the methods that were asked for, until its time is
//! over or the gateway ends. What is on its way by it ends with it. It gives nothing to hold: programs get a placeholder.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fnox_core::{AgentId, Clock, Host, SecretString, VaultName};
use fnox_gateway::approval::{AccessRequest, Approvals, Decided};
use fnox_gateway::injection::Injection;
use fnox_gateway::placeholder::{PlaceholderBook, Shape};
use fnox_gateway::proxy::{Gateway, TemporaryRule};
use fnox_gateway::rule::{CredentialRef, Hosts, Rule};
use fnox_gateway::{Reason, Refusal};
use http::Method;
use jiff::Timestamp;

use super::values::Secrets;
use crate::audit::{AccessStep, OfRun};
use crate::output::Printer;

/// What an agent wants to use.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) credential: CredentialRef,
    /// Its port is known.
    pub(crate) host: Host,
    pub(crate) methods: Vec<Method>,
    /// Visible.
    pub(crate) reason: String,
    /// The variable in which programs look for it.
    pub(crate) variable: String,
}

/// What it got.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) rule: Rule,
    pub(crate) until: Timestamp,
    pub(crate) placeholder: String,
    /// In which programs look for it.
    pub(crate) variable: String,
}

/// Asks people, and does what they say.
#[derive(Debug)]
pub(crate) struct Granting {
    agent: AgentId,
    gateway: Gateway,
    approvals: Arc<Approvals>,
    placeholders: PlaceholderBook,
    secrets: Secrets,
    /// The gateway's lasting rules.
    rules: Vec<Rule>,
    uses: Option<Arc<OfRun>>,
    clock: Arc<dyn Clock>,
    printer: Printer,
    count: AtomicUsize,
    given: Mutex<Vec<Given>>,
}

/// What it is made of.
pub(crate) struct Parts {
    pub(crate) agent: AgentId,
    pub(crate) gateway: Gateway,
    pub(crate) approvals: Arc<Approvals>,
    pub(crate) placeholders: PlaceholderBook,
    pub(crate) secrets: Secrets,
    pub(crate) rules: Vec<Rule>,
    pub(crate) uses: Option<Arc<OfRun>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) printer: Printer,
}

/// A grant that lasts.
#[derive(Debug)]
struct Given {
    wish: Wish,
    grant: Grant,
    /// In the gateway.
    rule: TemporaryRule,
    /// The secret, if it came with this grant.
    brought: Option<VaultName>,
}

impl Granting {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts {
            agent,
            gateway,
            approvals,
            placeholders,
            secrets,
            rules,
            uses,
            clock,
            printer,
        } = parts;
        Arc::new(Self {
            agent,
            gateway,
            approvals,
            placeholders,
            secrets,
            rules,
            uses,
            clock,
            printer,
            count: AtomicUsize::new(0),
            given: Mutex::default(),
        })
    }

    /// Whether a yes could become a rule: not for what is put into requests by more than a placeholder's place.
    pub(crate) fn can_give(&self, credential: &CredentialRef) -> bool {
        let injection = self.injection(credential);
        !injection.is_made_of_the_request()
            && !injection.is_of_connection()
            && injection.as_jwt().is_none()
    }

    /// What lasts now.
    pub(crate) fn grants(&self) -> Vec<Grant> {
        self.given().iter().map(|it| it.grant.clone()).collect()
    }

    /// What covers the wish already.
    pub(crate) fn covering(&self, wish: &Wish) -> Option<Grant> {
        let given = self.given();
        let covers = |it: &&Given| {
            it.wish.credential == wish.credential
                && it.wish.host == wish.host
                && wish
                    .methods
                    .iter()
                    .all(|method| it.wish.methods.contains(method))
        };
        given.iter().find(covers).map(|it| it.grant.clone())
    }

    /// Asks a person, and waits for as long as requests are held.
    ///
    /// # Errors
    /// Why nobody can be asked, for the agent.
    pub(crate) async fn ask(&self, wish: &Wish) -> Result<Decided, String> {
        let question = self.question(wish);
        self.record(AccessStep::Asked, wish, &wish.reason).await?;
        let decided = self.approvals.decided(&question.into()).await;
        let decided = decided.map_err(|refusal| match refusal.remedy {
            Some(remedy) => format!("{}. {remedy}", refusal.message),
            None => refusal.message,
        })?;
        if decided == Decided::Denied {
            self.record(AccessStep::Denied, wish, &wish.reason).await?;
        }
        Ok(decided)
    }

    /// How people answer, to go after "Ask one to".
    pub(crate) fn how(&self, id: &str) -> String {
        self.approvals.how(id)
    }

    /// Whether requests get the credential's value without more.
    pub(crate) fn has_value(&self, credential: &CredentialRef) -> bool {
        match credential {
            CredentialRef::Secret(name) => self.secrets.has(name),
            CredentialRef::Lease { .. } | CredentialRef::Captured { .. } => true,
        }
    }

    /// Lets the agent use it until then. A secret whose value requests do not get yet comes with its value.
    ///
    /// # Errors
    /// Why it cannot, for the agent; then nothing has changed.
    pub(crate) async fn give(
        self: &Arc<Self>,
        wish: Wish,
        (value, shape): (Option<SecretString>, Shape),
        until: Timestamp,
    ) -> Result<Grant, String> {
        let now = self.clock.now();
        let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        if left.is_zero() {
            return Err("the time that was allowed is over".to_owned());
        }
        let placeholder = self.placeholders.change(|placeholders| {
            let rng = &mut rand::rng();
            placeholders.issue(&self.agent, &wish.credential, &shape, value.as_ref(), rng)
        });
        let rule = self.rule(&wish)?;
        let until_words = format!("until {}", moment(until));
        // First of all: what cannot be put on record is not given.
        self.record(AccessStep::Allowed, &wish, &until_words)
            .await?;
        let brought = match (&wish.credential, value) {
            (CredentialRef::Secret(name), Some(value)) => {
                self.secrets.put(name.clone(), value);
                Some(name.clone())
            }
            _ => None,
        };
        let name = rule.name.clone();
        let grant = Grant {
            rule: rule.clone(),
            until,
            placeholder: placeholder.text().to_owned(),
            variable: wish.variable.clone(),
        };
        let added = self.gateway.add(rule).map_err(|error| error.to_string())?;
        self.printer.say(&format!(
            "The agent `{}` may use {} at {} {until_words}",
            self.agent, wish.credential, wish.host
        ));
        self.given().push(Given {
            wish,
            grant: grant.clone(),
            rule: added,
            brought,
        });
        let granting = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(left).await;
            if let Some(granting) = granting.upgrade() {
                granting.end(&name, "its time is over").await;
            }
        });
        Ok(grant)
    }

    /// Ends all of it, because the gateway does.
    pub(crate) async fn close(&self) {
        let names: Vec<String> = self
            .given()
            .iter()
            .map(|it| it.grant.rule.name.clone())
            .collect();
        for name in names {
            self.end(&name, "the session is over").await;
        }
    }

    async fn end(&self, name: &str, why: &str) {
        let ended = {
            let mut given = self.given();
            let place = given.iter().position(|it| it.grant.rule.name == name);
            place.map(|place| given.remove(place))
        };
        let Some(Given {
            wish,
            rule,
            brought,
            ..
        }) = ended
        else {
            return;
        };
        let refusal = Refusal::new(
            Reason::Exhausted,
            format!("a person allowed this for a while, and {why}"),
        );
        rule.end(refusal.with_remedy("Ask for it again with `request_access`."));
        if let Some(secret) = brought {
            let mut given = self.given();
            let uses_it = |it: &&mut Given| it.wish.credential == wish.credential;
            match given.iter_mut().find(uses_it) {
                // It goes with the last that uses it.
                Some(other) => other.brought = Some(secret),
                None => self.secrets.remove(&secret),
            }
        }
        self.printer.note(&format!(
            "The agent `{}` may use {} at {} no more: {why}",
            self.agent, wish.credential, wish.host
        ));
        if let Err(error) = self.record(AccessStep::Ended, &wish, why).await {
            self.printer.warn(&error);
        }
    }

    fn question(&self, wish: &Wish) -> AccessRequest {
        AccessRequest {
            agent: self.agent.clone(),
            credential: wish.credential.to_string(),
            host: wish.host.clone(),
            methods: wish.methods.clone(),
            reason: wish.reason.clone(),
        }
    }

    fn rule(&self, wish: &Wish) -> Result<Rule, String> {
        let host = wish.host.authority(Hosts::DEFAULT_PORT);
        let hosts = Hosts::parse(&host).map_err(|error| format!("`host`: {error}"))?;
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("for a while {number}: {} -> {host}", wish.credential);
        let mut rule = Rule::new(name, hosts, wish.credential.clone());
        rule.methods.clone_from(&wish.methods);
        rule.injection = self.injection(&wish.credential);
        // Whom to believe about a host is a matter of the host.
        rule.ca_file = self.authorities(&wish.host);
        Ok(rule)
    }

    /// Where a credential goes: as where it is allowed already.
    fn injection(&self, credential: &CredentialRef) -> Injection {
        let known = self.rules.iter().find(|it| it.credential == *credential);
        known.map(|rule| rule.injection.clone()).unwrap_or_default()
    }

    fn authorities(&self, host: &Host) -> Option<PathBuf> {
        let mut rules = self.rules.iter().filter(|rule| rule.hosts.matches(host));
        rules.find_map(|rule| rule.ca_file.clone())
    }

    async fn record(&self, step: AccessStep, wish: &Wish, words: &str) -> Result<(), String> {
        match &self.uses {
            Some(uses) => uses
                .access(step, &self.question(wish), &wish.credential, words)
                .await
                .map_err(|reason| format!("it cannot be recorded: {reason}")),
            None => Ok(()),
        }
    }

    fn given(&self) -> MutexGuard<'_, Vec<Given>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// To the second, in UTC.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
