//! `[proxy]` of `fnox.toml` as a policy of the gateway.

use std::path::Path;
use std::time::Duration;

use fnox_config::{Config, ConfigError, Fields};
use fnox_core::name::is_variable_name;
use fnox_core::{LeaseName, Lifetime, Rate, SecretName, VaultName};
use fnox_gateway::destination::AddressPolicy;
use fnox_gateway::injection::jwt::JwtTerms;
use fnox_gateway::injection::{HeaderFormat, Injection};
use fnox_gateway::policy::{Egress, Policy};
use fnox_gateway::reflection::{ScanPolicy, Unscannable};
use fnox_gateway::rule::{
    Approve, Capture, Condition, ConditionPlace, CredentialRef, Hosts, Mode, PathGlob, Rule,
    Wildcard,
};
use http::{HeaderName, Method};

use super::approvals::Place;
use crate::error::CliError;

/// For how long a request is held for a person's answer if nothing else is said: most clients wait longer.
const APPROVAL_WAIT: Duration = Duration::from_secs(55);

/// What `[proxy]` says.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) policy: Policy,
    pub(crate) addresses: AddressPolicy,
    /// What the policy's rules do not say, in their order.
    pub(crate) rules: Vec<ProxyRule>,
    /// How answers are searched for values.
    pub(crate) scan: ScanPolicy,
    /// For how long a request is held for a person's answer.
    pub(crate) approval_wait: Duration,
    /// Where people are asked.
    pub(crate) approve_at: Vec<Place>,
    /// Whether requests and refusals are told.
    pub(crate) tells: bool,
    /// As they are written.
    pub(crate) allow_domains: Vec<String>,
    /// As they are written.
    pub(crate) allow_private: Vec<String>,
}

/// What of a rule is not the gateway's business.
#[derive(Debug)]
pub(crate) struct ProxyRule {
    pub(crate) credential: CredentialRef,
    /// The project's name of the secret, if it is one.
    pub(crate) secret: Option<SecretName>,
    /// The variable that holds the placeholder, if the rule names it.
    pub(crate) variable: Option<String>,
    /// The rule as it is written, for messages that point at it.
    pub(crate) fields: Fields,
}

impl Proxy {
    /// Leaves out the rules for which `keep` says no.
    pub(crate) fn retain(&mut self, keep: impl Fn(&CredentialRef) -> bool) {
        self.policy.rules.retain(|rule| keep(&rule.credential));
        self.rules.retain(|rule| keep(&rule.credential));
    }
}

/// Reads `[proxy]`.
///
/// # Errors
/// [`ConfigError`] with the place of the first thing that is wrong; a usage error if there is none.
pub(crate) fn read(config: &Config, home: Option<&Path>) -> Result<Proxy, CliError> {
    let Some(proxy) = config.settings.sections.get("proxy") else {
        return Err(CliError::Usage {
            message: "fnox.toml has no `[proxy]`: nothing says which credential may go where".to_owned(),
            help: Some(
                "add a rule:\n[[proxy.rules]]\nsecret = \"GITHUB_TOKEN\"\ndomain = \"api.github.com\"".to_owned(),
            ),
        });
    };
    Ok(read_fields(proxy, home, |fields| {
        let used = credential(config, fields)?;
        let place = fields.text("inject").unwrap_or_default();
        if place.starts_with("aws-sigv4") && matches!(used.0, CredentialRef::Secret(_)) {
            let reason = "signs with AWS keys, which a `lease` makes; a secret has none";
            return Err(fields.invalid("inject", reason));
        }
        Ok(used)
    })?)
}

/// The same from other places that have these keys. `credential` says what a rule uses; of a project's secret also its name.
///
/// # Errors
/// [`ConfigError`] with the place of the first thing that is wrong.
pub(crate) fn read_fields(
    proxy: &Fields,
    home: Option<&Path>,
    credential: impl Fn(&Fields) -> Result<(CredentialRef, Option<SecretName>), ConfigError>,
) -> Result<Proxy, ConfigError> {
    let mut policies = Vec::new();
    let mut rules = Vec::new();
    for fields in proxy.tables("rules") {
        let number = rules.len() + 1;
        let (policy, own) = rule(credential(fields)?, fields, number, home)?;
        policies.push(policy);
        rules.push(own);
    }
    let mut allow_domains = Vec::new();
    for text in proxy.list("allow_domains") {
        let hosts = Hosts::parse(text)
            .map_err(|error| proxy.invalid("allow_domains", format!("names no host: {error}")))?;
        allow_domains.push(hosts);
    }
    let addresses = AddressPolicy::parse(proxy.list("allow_private"))
        .map_err(|error| proxy.invalid("allow_private", error.to_string()))?;
    Ok(Proxy {
        policy: Policy {
            egress: match proxy.text("egress") {
                Some("permissive") => Egress::Permissive,
                _ => Egress::Strict,
            },
            rules: policies,
            allow_domains,
        },
        addresses,
        rules,
        scan: ScanPolicy {
            unscannable: match proxy.text("unscannable") {
                Some("tag") => Unscannable::Tag,
                Some("pass") => Unscannable::Pass,
                _ => Unscannable::Block,
            },
            ..ScanPolicy::default()
        },
        approval_wait: proxy
            .lifetime("approval_wait")
            .map_or(APPROVAL_WAIT, |wait| Duration::from_secs(wait.as_secs())),
        approve_at: places(proxy)?,
        tells: proxy.flag("audit").unwrap_or(true),
        allow_domains: proxy.list("allow_domains").to_vec(),
        allow_private: proxy.list("allow_private").to_vec(),
    })
}

fn places(proxy: &Fields) -> Result<Vec<Place>, ConfigError> {
    let mut places = Vec::new();
    for text in proxy.list("approve_at") {
        let place = Place::parse(text).ok_or_else(|| {
            let reason = format!(
                "has `{}`; people are asked at `terminal`, `vault` or `server`",
                text.escape_debug()
            );
            proxy.invalid("approve_at", reason)
        })?;
        if !places.contains(&place) {
            places.push(place);
        }
    }
    // An empty list is said: nobody is asked.
    if !proxy.contains("approve_at") {
        places.push(Place::Terminal);
    }
    Ok(places)
}

fn rule(
    (credential, secret): (CredentialRef, Option<SecretName>),
    fields: &Fields,
    number: usize,
    home: Option<&Path>,
) -> Result<(Rule, ProxyRule), ConfigError> {
    let domain = fields.text("domain").unwrap_or_default();
    let wrong = |error: fnox_core::host::InvalidHost| fields.invalid("domain", error.to_string());
    let hosts = match fields.count("port") {
        None => Hosts::parse(domain).map_err(wrong)?,
        Some(port) => {
            let port = u16::try_from(port).ok().filter(|port| *port > 0);
            let port = port.ok_or_else(|| fields.invalid("port", "is a number from 1 to 65535"))?;
            Hosts::with_port(domain, port).map_err(wrong)?
        }
    };
    if hosts.is_below_public_suffix() {
        let reason = "means hosts of unrelated people: name one host, or all below a name of yours";
        return Err(fields.invalid("domain", reason));
    }
    let name = format!("{number}: {credential} -> {domain}");
    let mut rule = Rule::new(name, hosts, credential.clone());
    rule.injection = jwt(fields, signed(fields, injection(fields)?)?)?;
    if fields.text("inject") == Some("set") {
        if !rule.injection.can_be_set() {
            return Err(fields.invalid("inject", "cannot be `set` in this place"));
        }
        rule.mode = Mode::Set;
    }
    for text in fields.list("methods") {
        let method = Method::from_bytes(text.to_ascii_uppercase().as_bytes()).map_err(|_| {
            fields.invalid(
                "methods",
                format!("has `{}`, which is none", text.escape_debug()),
            )
        })?;
        rule.methods.push(method);
    }
    for text in fields.list("paths") {
        let glob =
            PathGlob::parse(text).map_err(|error| fields.invalid("paths", error.to_string()))?;
        rule.paths.push(glob);
    }
    rule.conditions = conditions(fields)?;
    rule.placeholder = fields.text("placeholder").map(str::to_owned);
    rule.ca_file = fields.path("ca_file", home);
    rule.body_limit = fields.count("body_limit");
    if let Some(limit) = fields.count("max_uses") {
        let limit = u32::try_from(limit).map_err(|_| fields.invalid("max_uses", "is too large"))?;
        rule.max_uses = Some(limit);
    }
    if let Some(text) = fields.text("rate") {
        let rate = Rate::parse(text).map_err(|error| fields.invalid("rate", error.to_string()))?;
        rule.rate = Some(rate);
    }
    if fields.text("approve") == Some("ask") {
        rule.approve = Approve::Ask;
    }
    rule.capture = capture(fields)?;
    let variable = fields.text("env").map(str::to_owned);
    if let Some(name) = variable.as_deref().filter(|name| !is_variable_name(name)) {
        let reason = format!("names `{}`, which is no variable", name.escape_debug());
        return Err(fields.invalid("env", reason));
    }
    let own = ProxyRule {
        credential,
        secret,
        variable,
        fields: fields.clone(),
    };
    Ok((rule, own))
}

/// What of answers the program gets placeholders for.
fn capture(fields: &Fields) -> Result<Option<Capture>, ConfigError> {
    let mut capture = Capture {
        members: fields.list("capture").to_vec(),
        hosts: Vec::new(),
    };
    if capture.members.iter().any(String::is_empty) {
        return Err(fields.invalid("capture", "has a name that is empty"));
    }
    for text in fields.list("capture_hosts") {
        let hosts = Hosts::parse(text)
            .map_err(|error| fields.invalid("capture_hosts", format!("names no host: {error}")))?;
        if hosts.is_below_public_suffix() {
            let reason =
                "has hosts of unrelated people: name one host, or all below a name of yours";
            return Err(fields.invalid("capture_hosts", reason));
        }
        capture.hosts.push(hosts);
    }
    match (capture.members.is_empty(), capture.hosts.is_empty()) {
        (false, _) => Ok(Some(capture)),
        (true, true) => Ok(None),
        (true, false) => {
            let reason = "is for what `capture` names, which is missing";
            Err(fields.invalid("capture_hosts", reason))
        }
    }
}

fn conditions(fields: &Fields) -> Result<Vec<Condition>, ConfigError> {
    let mut conditions = Vec::new();
    for (name, value) in fields.map("when_query").into_iter().flatten() {
        conditions.push(Condition {
            place: ConditionPlace::Query(name.clone()),
            value: Wildcard::new(value),
        });
    }
    for (name, value) in fields.map("when_headers").into_iter().flatten() {
        let name = HeaderName::try_from(name).map_err(|_| {
            let name = name.escape_debug();
            fields.invalid("when_headers", format!("has `{name}`, which is no header"))
        })?;
        conditions.push(Condition {
            place: ConditionPlace::Header(name),
            value: Wildcard::new(value),
        });
    }
    Ok(conditions)
}

/// What is used; of a secret also the project's name.
fn credential(
    config: &Config,
    fields: &Fields,
) -> Result<(CredentialRef, Option<SecretName>), ConfigError> {
    let place = |key: &str| fields.location_of(key);
    match (fields.text("secret"), fields.text("lease")) {
        (Some(secret), None) => {
            let secret = config.secret(secret);
            let secret = secret.map_err(|error| error.at(place("secret")))?;
            let name = VaultName::parse(secret.name.as_str())
                .map_err(|error| fields.invalid("secret", error.to_string()))?;
            Ok((CredentialRef::Secret(name), Some(secret.name.clone())))
        }
        (None, Some(lease)) => {
            let lease = config.lease(lease);
            let lease = lease.map_err(|error| error.at(place("lease")))?;
            let name: LeaseName = lease.name.clone();
            let variable = match fields.text("credential") {
                None => None,
                Some(text) => Some(
                    SecretName::parse(text)
                        .map_err(|error| fields.invalid("credential", error.to_string()))?,
                ),
            };
            Ok((CredentialRef::Lease { name, variable }, None))
        }
        (Some(_), Some(_)) => {
            Err(fields.invalid("lease", "stands beside `secret`: a rule has one of them"))
        }
        (None, None) => {
            Err(fields.invalid("secret", "is missing: a rule uses a `secret` or a `lease`"))
        }
    }
}

/// What a signature is over, where the rule says it.
fn signed(fields: &Fields, injection: Injection) -> Result<Injection, ConfigError> {
    let (text, timestamp) = (fields.text("signed"), fields.text("timestamp"));
    let key = match (text, timestamp) {
        (None, None) => return Ok(injection),
        (Some(_), _) => "signed",
        (None, Some(_)) => "timestamp",
    };
    let Injection::Hmac(signing) = injection else {
        let reason = "is for a signature: `inject = \"hmac-sha256:NAME\"`";
        return Err(fields.invalid(key, reason));
    };
    let timestamp = timestamp
        .map(HeaderName::try_from)
        .transpose()
        .map_err(|_| fields.invalid("timestamp", "is not the name of a header"))?;
    signing
        .over(text.unwrap_or("{body}"), timestamp)
        .map(Injection::Hmac)
        .map_err(|error| fields.invalid(key, error.to_string()))
}

/// What tokens claim, where the rule makes some.
fn jwt(fields: &Fields, injection: Injection) -> Result<Injection, ConfigError> {
    match (injection, fields.table("jwt")) {
        (Injection::Jwt(signing), Some(table)) => {
            let text = |key: &str| table.text(key).map(str::to_owned);
            let terms = JwtTerms {
                algorithm: text("algorithm").unwrap_or_default(),
                issuer: text("issuer"),
                subject: text("subject"),
                audience: table.list("audience").to_vec(),
                key_id: text("key_id"),
                lifetime: table.lifetime("lifetime").map(Lifetime::as_duration),
                claims: table.json("claims").cloned().unwrap_or_default(),
            };
            let signing = signing.on(terms);
            signing
                .map(|signing| Injection::Jwt(Box::new(signing)))
                .map_err(|error| table.invalid(error.key(), error.to_string()))
        }
        (Injection::Jwt(_), None) => {
            let reason = "makes tokens, and `jwt = { algorithm = … }` must say what they are like";
            Err(fields.invalid("inject", reason))
        }
        (_, Some(_)) => Err(fields.invalid("jwt", "is for `inject = \"jwt\"`")),
        (injection, None) => Ok(injection),
    }
}

fn injection(fields: &Fields) -> Result<Injection, ConfigError> {
    let header = fields.text("header");
    if let Some(place) = fields
        .text("inject")
        .filter(|text| !["swap", "set"].contains(text))
    {
        for key in ["header", "query", "username", "format"] {
            if fields.contains(key) {
                let reason = "stands beside `inject`, which says the place";
                return Err(fields.invalid(key, reason));
            }
        }
        return Injection::parse(place)
            .map_err(|error| fields.invalid("inject", error.to_string()));
    }
    match (header, fields.text("query"), fields.text("username")) {
        (None, Some(name), None) => Ok(Injection::Query {
            name: name.to_owned(),
        }),
        (None, None, Some(username)) => Ok(Injection::Basic {
            username: Some(username.to_owned()),
        }),
        (_, None, None) => {
            let name = header.unwrap_or("authorization");
            let name = HeaderName::try_from(name)
                .map_err(|_| fields.invalid("header", "is not the name of a header"))?;
            let format = match fields.text("format") {
                None => None,
                Some(text) => Some(
                    HeaderFormat::parse(text)
                        .map_err(|error| fields.invalid("format", error.to_string()))?,
                ),
            };
            Ok(Injection::Header { name, format })
        }
        _ => {
            let reason = "stands beside another place: a credential goes into `header`, `query` or the password of `username`";
            let key = if fields.contains("query") {
                "query"
            } else {
                "username"
            };
            Err(fields.invalid(key, reason))
        }
    }
}
