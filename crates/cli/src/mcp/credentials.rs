//! What the agent is told of credentials: names, hosts and placeholders.

use fnox_core::Host;
use fnox_gateway::rule::{Approve, Hosts, Mode, Rule};
use http::Method;
use serde::Serialize;

use crate::commands::agent::preparation::Given;
use crate::gateway::granting::Grant;
use crate::gateway::rules::Proxy;

/// One rule, as the agent sees it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Listed {
    /// The secret or lease.
    pub(crate) name: String,
    /// The host.
    pub(crate) host: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) methods: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) paths: Vec<String>,
    /// Where in a request it goes.
    pub(crate) place: String,
    /// Whether it goes into every request, also one without the placeholder.
    pub(crate) is_automatic: bool,
    /// The variable that holds the placeholder in the programs of `exec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) variable: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) placeholder: Option<String>,
    /// Whether a person must agree to each request.
    pub(crate) asks: bool,
    /// Until when, if a person allowed it for a while (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
    #[serde(skip)]
    hosts: Hosts,
}

impl Listed {
    /// The rules, in the order in which they are tried.
    pub(crate) fn all(proxy: &Proxy) -> Vec<Self> {
        let rules = proxy.policy.rules.iter();
        rules.map(Self::of).collect()
    }

    fn of(rule: &Rule) -> Self {
        Self {
            name: rule.credential.to_string(),
            host: rule.hosts.to_string(),
            methods: rule.methods.iter().map(ToString::to_string).collect(),
            paths: rule.paths.iter().map(ToString::to_string).collect(),
            place: rule.injection.describe(),
            is_automatic: rule.mode == Mode::Set,
            variable: None,
            placeholder: None,
            asks: rule.approve == Approve::Ask,
            until: None,
            hosts: rule.hosts.clone(),
        }
    }

    /// What a person allowed for a while.
    pub(crate) fn granted(grant: &Grant, variable: Option<String>) -> Self {
        Self {
            variable,
            placeholder: Some(grant.placeholder.clone()),
            until: Some(grant.until.to_string()),
            ..Self::of(&grant.rule)
        }
    }

    /// What programs hold in the credential's place.
    pub(crate) fn give(&mut self, given: &Given) {
        self.variable.clone_from(&given.variable);
        self.placeholder = Some(given.placeholder.clone());
    }

    /// Whether it is for requests with this method.
    pub(crate) fn allows(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|it| it == method.as_str())
    }

    /// Whether it is for requests to this host.
    pub(crate) fn is_for(&self, host: &Host) -> bool {
        self.hosts.matches(host)
    }
}
