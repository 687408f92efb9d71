//! What creating a lease would do.

use fnox_core::{LeaseName, Lifetime};
use jiff::Timestamp;
use serde::Serialize;

use super::Manager;
use super::acquire::{Acquire, Plan, Sharing};
use crate::error::LeaseError;
use crate::ledger::entry::RevocationKind;
use crate::mint::{Consumes, CreateRequest, PlannedCall, Prepared, Prerequisite, RenewalKind};

/// What creating a lease would do, found out without calling anybody and without reading a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The lease.
    pub lease: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// How long the credential should live, in seconds.
    pub duration_seconds: u64,
    /// The lease whose credential is the master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The masters that are there, by name, and where each comes from.
    pub masters: Vec<Master>,
    /// What is missing, if anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// The calls, in their order.
    pub calls: Vec<PlannedCall>,
    /// The variables that the program gets, as far as they are known.
    pub produces: Vec<String>,
    /// The variables that it does not get.
    pub withholds: Vec<String>,
    /// Whether the credential can be withdrawn.
    pub revocable: bool,
    /// Whether the issuer prolongs it.
    pub prolongable: bool,
    /// When a credential that would be reused ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_until: Option<Timestamp>,
}

/// A master, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Master {
    /// The variable or secret.
    pub name: String,
    /// `environment`, or the provider that keeps the secret.
    pub source: String,
}

impl Manager<'_> {
    /// What creating a lease would do.
    ///
    /// # Errors
    /// [`LeaseError`] if the lease's keys are wrong or the ledger cannot be read.
    pub async fn explain(
        &self,
        name: &LeaseName,
        duration: Option<Lifetime>,
        label: &str,
    ) -> Result<Explanation, LeaseError> {
        let request = Acquire {
            label: label.to_owned(),
            duration,
            reuse: true,
            interactive: false,
            require: true,
            sharing: Sharing::Everybody,
        };
        let plan = self.plan(self.options.config.lease(name.as_str())?, &request)?;
        let opened = self.ledger.open().await?;
        let context = self.context_with(Vec::new());
        let create = CreateRequest {
            duration: plan.duration,
            label: plan.label.clone(),
            provisional_id: format!("{}-…", plan.lease.spec.name),
            prepared: Prepared::new(),
        };
        let masters = self.masters_of(&plan);
        let from_secrets = masters.iter().any(|master| master.source != "environment");
        let missing = match plan.mint.prerequisites(&context) {
            Prerequisite::Missing { message, .. } if !from_secrets && plan.mint.via().is_none() => {
                Some(message)
            }
            _ => None,
        };
        Ok(Explanation {
            lease: name.to_string(),
            kind: plan.lease.spec.name.to_owned(),
            duration_seconds: plan.duration.as_secs(),
            via: plan.mint.via().map(ToString::to_string),
            masters,
            missing,
            calls: plan.mint.explain(&context, &create),
            produces: plan.mint.produces(),
            withholds: self.withheld_in(&plan)?,
            revocable: plan.mint.revocation() == RevocationKind::Supported,
            prolongable: plan.mint.renewal() == RenewalKind::Prolonged,
            cached_until: self
                .cached(&plan, &opened)
                .and_then(|held| held.credential.expires_at),
        })
    }

    fn masters_of(&self, plan: &Plan<'_>) -> Vec<Master> {
        let secrets = &self.options.config.secrets;
        let names: Vec<String> = match plan.mint.consumes() {
            Consumes::Names(names) => names,
            Consumes::Everything => secrets.keys().map(ToString::to_string).collect(),
        };
        names
            .into_iter()
            .filter_map(|name| {
                let source = match secrets.get(name.as_str()) {
                    Some(secret) => match self.options.config.provider_of(secret) {
                        Some(provider) => format!("provider `{provider}`"),
                        None => "fnox.toml".to_owned(),
                    },
                    None if self.options.env.var(&name).is_some() => "environment".to_owned(),
                    None => return None,
                };
                Some(Master { name, source })
            })
            .collect()
    }
}
