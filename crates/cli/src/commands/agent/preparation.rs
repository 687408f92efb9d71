//! Before the program starts: the secrets of the rules, what the program holds instead of them, and what it may not inherit.

use std::collections::{BTreeSet, HashMap};

use fnox_config::{Config, ConfigError, LeaseConfig};
use fnox_core::{AgentId, SecretName, SecretString, VaultName};
use fnox_gateway::placeholder::{Placeholders, Shape};
use fnox_gateway::rule::CredentialRef;
use fnox_leases::Manager;
use fnox_providers::resolve::Resolver;

use crate::app::{App, block_on};
use crate::error::CliError;
use crate::gateway::rules::{Proxy, ProxyRule};

/// What the program holds.
pub(super) struct Prepared {
    pub(super) placeholders: Placeholders,
    /// The placeholders' variables.
    pub(super) variables: Vec<(String, SecretString)>,
    /// The same by rule, in their order.
    pub(super) given: Vec<Given>,
}

/// What the program holds for one rule.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    /// The variable that holds the placeholder, if one does.
    pub(crate) variable: Option<String>,
    /// Not the credential.
    pub(crate) placeholder: String,
}

/// The values of the rules' secrets. One without a value is left out: the requests that need it are refused.
pub(super) fn secrets(
    app: &App,
    proxy: &Proxy,
    resolver: &Resolver<'_>,
) -> Result<HashMap<VaultName, SecretString>, CliError> {
    let wanted: BTreeSet<SecretName> = proxy
        .rules
        .iter()
        .filter_map(|rule| rule.secret.clone())
        .collect();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let wanted: Vec<SecretName> = wanted.into_iter().collect();
    let resolution = block_on(resolver.resolve(&wanted))??;
    app.tell(&resolution.notices);
    let mut secrets = HashMap::new();
    for rule in &proxy.rules {
        if let (Some(secret), CredentialRef::Secret(name)) = (&rule.secret, &rule.credential)
            && let Some(value) = resolution.values.get(secret)
        {
            secrets.insert(name.clone(), value.clone());
        }
    }
    Ok(secrets)
}

/// A placeholder for each credential.
pub(super) fn placeholders(
    config: &Config,
    manager: &Manager<'_>,
    proxy: &Proxy,
    agent: &AgentId,
    secrets: &HashMap<VaultName, SecretString>,
) -> Result<Prepared, CliError> {
    let mut placeholders = Placeholders::default();
    let mut variables: Vec<(String, SecretString)> = Vec::new();
    let mut given = Vec::new();
    for (rule, policy) in proxy.rules.iter().zip(&proxy.policy.rules) {
        let (shape, value, usual) = match &rule.credential {
            CredentialRef::Secret(name) => {
                let value = secrets.get(name);
                let shape = value.map_or_else(|| Shape::token("", 40), Shape::of);
                (shape, value, rule.secret.as_ref().map(ToString::to_string))
            }
            // Its placeholder comes with it.
            CredentialRef::Captured { .. } => continue,
            CredentialRef::Lease { name, variable } => {
                let lease = config.lease(name.as_str())?;
                let produced = manager.produced(lease)?;
                let variable = variable.as_ref().map(ToString::to_string);
                if policy.injection.is_signature() {
                    variables.extend(for_aws(lease));
                    let shape = Shape::token("AKIA", 16);
                    (shape, None, Some("AWS_ACCESS_KEY_ID".to_owned()))
                } else {
                    let usual = the_variable(rule, variable, &produced)?;
                    (shape_of(lease), None, Some(usual))
                }
            }
        };
        let placeholder = match &policy.placeholder {
            Some(text) => placeholders
                .issue_fixed(agent, &rule.credential, text, value)
                .map_err(|error| rule.fields.invalid("placeholder", error.to_string()))?,
            None => placeholders.issue(agent, &rule.credential, &shape, value, &mut rand::rng()),
        };
        let text = placeholder.text();
        let variable = rule.variable.clone().or(usual);
        given.push(Given {
            variable: variable.clone(),
            placeholder: text.to_owned(),
        });
        let Some(name) = variable else {
            continue;
        };
        match variables.iter().find(|(other, _)| *other == name) {
            Some((_, other)) if other.expose_secret() != text => {
                let reason =
                    format!("names `{name}`, which holds the placeholder of another credential");
                return Err(rule.fields.invalid("env", reason).into());
            }
            Some(_) => {}
            None => variables.push((name, SecretString::from(text))),
        }
    }
    Ok(Prepared {
        placeholders,
        variables,
        given,
    })
}

/// What AWS tools need beside the placeholder of a key in order to sign: any secret, and the lease's region.
fn for_aws(lease: &LeaseConfig) -> Vec<(String, SecretString)> {
    let secret = Shape::token("", 40).random(&mut rand::rng());
    let mut variables = vec![(
        "AWS_SECRET_ACCESS_KEY".to_owned(),
        SecretString::from(secret),
    )];
    if let Some(region) = lease.fields.text("region") {
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            variables.push((name.to_owned(), SecretString::from(region)));
        }
    }
    variables
}

/// Which variable of a lease a rule means.
fn the_variable(
    rule: &ProxyRule,
    named: Option<String>,
    produced: &[String],
) -> Result<String, ConfigError> {
    let list = produced.join(", ");
    match (named, produced) {
        (Some(name), produced) if produced.is_empty() || produced.contains(&name) => Ok(name),
        (Some(_), _) => {
            let reason = format!("is no variable of the lease, which has {list}");
            Err(rule.fields.invalid("credential", reason))
        }
        (None, [one]) => Ok(one.clone()),
        (None, _) => {
            let reason = format!("makes several variables ({list}): `credential` must name one");
            Err(rule.fields.invalid("lease", reason))
        }
    }
}

/// What the tokens of a kind of lease look like: programs check it before they send one.
pub(crate) fn shape_of(lease: &LeaseConfig) -> Shape {
    match lease.spec.name {
        "github-app" => Shape::token("ghs_", 36),
        "github-oauth" => Shape::token("ghu_", 36),
        "gitlab" => Shape::token("glpat-", 20),
        "gcp-iam" => Shape::token("ya29.", 160),
        "vault" => Shape::token("hvs.", 90),
        _ => Shape::token("", 40),
    }
}
