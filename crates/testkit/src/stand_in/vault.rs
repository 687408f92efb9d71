//! HashiCorp Vault's HTTP API, as far as leases need it.
//!
//! Checked against HashiCorp's pages: "HTTP API" (headers, methods, status codes, the form of errors), "AppRole", "JWT/OIDC",
//! "Kubernetes", "Userpass" and "Token auth method (API)", "/sys/leases", "/sys/wrapping/lookup", "/sys/wrapping/unwrap", "/sys/internal/ui/mounts",
//! "KV secrets engine" versions 1 and 2, "Database secrets engine (API)", "AWS secrets engine (API)", "PKI secrets engine (API)", "Lease, renew,
//! and revoke" (a lease ends with its token), "Response wrapping". What those pages do not have is refused; Vault ignores it.

mod auth;
mod lease;
mod secret;
mod wrapping;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use self::lease::Lease;
pub use self::lease::Token;
use self::wrapping::Wrapped;
use super::issuer::{Reply, Request, Service};

/// Somebody between Vault and its client who reads answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thief {
    /// Unwraps every answer at once.
    Reads,
    /// Unwraps every answer at once and sends a wrapped answer of their own.
    Replaces,
}

/// The server.
#[derive(Debug)]
pub struct Vault {
    /// The namespace in which everything is; none: the root.
    pub namespace: Option<String>,
    /// How long leases live unless something else is asked for, in seconds.
    pub default_ttl: i64,
    /// How long leases live at most, in seconds, renewals included.
    pub max_ttl: i64,
    /// How long tokens of logins live, in seconds.
    pub token_ttl: i64,
    /// How long they live at most, renewals included.
    pub token_max_ttl: i64,
    /// What logins' tokens begin with: `hvs.`, or `hvb.` for batch tokens.
    pub token_prefix: &'static str,
    /// Paths that no policy allows.
    pub denied: BTreeSet<String>,
    /// Paths at which something is wrong: the status and what is said.
    pub faults: BTreeMap<String, (u16, String)>,
    /// Somebody who reads answers on their way.
    pub thief: Option<Thief>,
    tokens: BTreeMap<String, Token>,
    leases: BTreeMap<String, Lease>,
    wrapped: BTreeMap<String, Wrapped>,
    count: u64,
}

impl Default for Vault {
    fn default() -> Self {
        Self::new()
    }
}

impl Vault {
    /// A token that somebody was given. It does not end.
    pub const GIVEN: &str = "hvs.CAESIGiven0123456789abcdefghijklmnopqrstuvwxyz";
    /// Role id of the AppRole.
    pub const ROLE_ID: &str = "59d6d1ca-47bb-4e7e-a40b-8be3bc5a0ba8";
    /// Its secret id.
    pub const SECRET_ID: &str = "84896a0c-1347-aa90-a4f6-aca8b7558780";
    /// Role of the logins with tokens.
    pub const ROLE: &str = "ci";
    /// Issuer of their tokens, which the first key pair signs.
    pub const ISSUER: &str = "https://ci.example.com";
    /// Subject that the role is bound to.
    pub const SUBJECT: &str = "repo:org/app";
    /// Audience that the role is bound to.
    pub const AUDIENCE: &str = "vault";
    /// A user.
    pub const USER: &str = "mitchellh";
    /// The user's password.
    pub const PASSWORD: &str = "superSecretPassw0rd";

    /// A server with one of everything.
    #[must_use]
    pub fn new() -> Self {
        let given = Token::endless();
        Self {
            namespace: None,
            default_ttl: 3600,
            max_ttl: 86400,
            token_ttl: 1800,
            token_max_ttl: 14400,
            token_prefix: "hvs.",
            denied: BTreeSet::new(),
            faults: BTreeMap::new(),
            thief: None,
            tokens: BTreeMap::from([(Self::GIVEN.to_owned(), given)]),
            leases: BTreeMap::new(),
            wrapped: BTreeMap::new(),
            count: 0,
        }
    }

    /// The leases that live, and the token of each.
    #[must_use]
    pub fn leases(&self) -> Vec<(String, String)> {
        self.leases
            .iter()
            .map(|(id, lease)| (id.clone(), lease.token.clone()))
            .collect()
    }

    /// What the children of tokens were made with as `meta`.
    #[must_use]
    pub fn metadata(&self) -> Vec<Value> {
        let children = self.tokens.values().filter(|token| token.parent.is_some());
        children.map(|token| token.metadata.clone()).collect()
    }

    /// The tokens that work besides the given one.
    #[must_use]
    pub fn logins(&self) -> Vec<String> {
        let others = self.tokens.keys().filter(|token| *token != Self::GIVEN);
        others.cloned().collect()
    }

    /// A token that works.
    pub fn token(&mut self, token: &str) -> Option<&mut Token> {
        self.tokens.get_mut(token)
    }

    /// Ends a token, and what hangs from it.
    pub fn end_token(&mut self, token: &str) {
        self.tokens.remove(token);
        self.leases.retain(|_, lease| lease.token != token);
        let children: Vec<String> = self
            .tokens
            .iter()
            .filter(|(_, child)| child.parent.as_deref() == Some(token))
            .map(|(value, _)| value.clone())
            .collect();
        for child in children {
            self.end_token(&child);
        }
    }

    /// Ends a lease.
    pub fn end_lease(&mut self, id: &str) {
        self.leases.remove(id);
    }

    fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// What has ended by itself is gone, and leases with their tokens.
    fn sweep(&mut self, now: Timestamp) {
        let is_over = |end: Option<Timestamp>| end.is_some_and(|end| end <= now);
        let ended: Vec<String> = self
            .tokens
            .iter()
            .filter(|(_, token)| is_over(token.expires_at))
            .map(|(value, _)| value.clone())
            .collect();
        for token in ended {
            self.end_token(&token);
        }
        self.leases
            .retain(|_, lease| !is_over(Some(lease.expires_at)));
        self.wrapped
            .retain(|_, wrapped| !is_over(Some(wrapped.expires_at)));
    }

    fn authenticated(
        &mut self,
        path: &str,
        token: &str,
        request: &Request,
        now: Timestamp,
        is_expired: bool,
    ) -> Reply {
        if !self.tokens.contains_key(token) {
            return errors(
                403,
                "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n",
            );
        }
        if self.denied.contains(path) {
            return errors(403, "1 error occurred:\n\t* permission denied\n\n");
        }
        match path {
            "sys/internal/ui/mounts/kv" | "sys/internal/ui/mounts/secret" => mounted(path, request),
            "auth/token/create" => self.create_token(token, request, now),
            "auth/token/lookup-self" => self.lookup_self(token, request, now),
            "auth/token/renew-self" => self.renew_self(token, request, now),
            "auth/token/revoke-self" => self.revoke_self(token, request),
            "sys/leases/renew" => self.renew_lease(request, now),
            "sys/leases/revoke" => self.revoke_lease(request),
            _ => self.secret(path, token, request, now, is_expired),
        }
    }
}

impl Service for Vault {
    fn answer(&mut self, request: &Request, now: Timestamp, is_expired: bool) -> Reply {
        self.sweep(now);
        if let Err(reply) = headers_are_known(request) {
            return reply;
        }
        let Some(path) = request.path.strip_prefix("/v1/") else {
            return Reply::undocumented("every path begins with /v1/");
        };
        let namespace = request
            .header("x-vault-namespace")
            .map(|name| name.trim_matches('/'));
        if namespace != self.namespace.as_deref() {
            return errors(403, "1 error occurred:\n\t* permission denied\n\n");
        }
        if let Some((status, said)) = self.faults.get(path) {
            return errors(*status, said);
        }
        let token = request.header("x-vault-token");
        match (path, token) {
            ("sys/wrapping/lookup", None) => self.wrapping_lookup(request),
            ("sys/wrapping/unwrap", Some(token)) => {
                let token = token.to_owned();
                self.unwrap(&token, request)
            }
            (path, None) if path.starts_with("auth/") => self.login(path, request, now),
            (path, Some(_)) if path.starts_with("auth/") && path.contains("/login") => {
                Reply::undocumented("a login needs no token")
            }
            (path, Some(token)) => {
                let token = token.to_owned();
                self.authenticated(path, &token, request, now, is_expired)
            }
            (_, None) => Reply::undocumented("there is no X-Vault-Token"),
        }
    }
}

/// "/sys/internal/ui/mounts/:path": which engine is mounted there.
fn mounted(path: &str, request: &Request) -> Reply {
    if request.method != "GET" || !request.query.is_empty() || !request.body.is_empty() {
        return Reply::undocumented("a mount is told to a GET without query and body");
    }
    let (mount, version) = if path.ends_with("/kv") {
        ("kv/", "1")
    } else {
        ("secret/", "2")
    };
    let data = json!({"path": mount, "type": "kv", "options": {"version": version}});
    Reply::json(200, &envelope(&json!({ "data": data })))
}

/// "X-Vault-Request: true … is included by all standard clients".
fn headers_are_known(request: &Request) -> Result<(), Reply> {
    let known = [
        "x-vault-token",
        "x-vault-namespace",
        "x-vault-request",
        "x-vault-wrap-ttl",
    ];
    for (name, _) in &request.headers {
        if name.starts_with("x-vault-") && !known.contains(&name.as_str()) {
            return Err(Reply::undocumented(format!("there is no header {name}")));
        }
        if name == "authorization" || name == "cookie" {
            return Err(Reply::undocumented(format!("{name} is not for Vault")));
        }
    }
    if request.header("x-vault-request") == Some("true") {
        Ok(())
    } else {
        Err(Reply::undocumented("X-Vault-Request: true is missing"))
    }
}

/// The fields of a body of a `POST` or `PUT`, which Vault takes for the same; no others than these.
fn fields(request: &Request, known: &[&str]) -> Result<Map<String, Value>, Reply> {
    if !matches!(request.method.as_str(), "POST" | "PUT") {
        return Err(errors(405, "unsupported operation"));
    }
    if !request.query.is_empty() {
        return Err(Reply::undocumented("there is a query"));
    }
    if request.body.is_empty() {
        return Ok(Map::new());
    }
    let Some(Value::Object(fields)) = request.json() else {
        return Err(Reply::undocumented("the body is no JSON object"));
    };
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Reply::undocumented(format!("the body has {name}"))),
        None => Ok(fields),
    }
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

/// Seconds, as a number, a text of digits, or a Go duration in one unit.
fn seconds(value: &Value) -> Option<i64> {
    if let Some(number) = value.as_i64() {
        return Some(number);
    }
    let text = value.as_str()?;
    let (number, factor) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) if text.ends_with('s') => (number, 1),
        Some(number) if text.ends_with('m') => (number, 60),
        Some(number) => (number, 3600),
        None => (text, 1),
    };
    Some(number.parse::<i64>().ok()? * factor)
}

/// "{"errors": ["message", "another message"]}".
fn errors(status: u16, said: &str) -> Reply {
    let said: Vec<&str> = if said.is_empty() {
        Vec::new()
    } else {
        vec![said]
    };
    Reply::json(status, &json!({ "errors": said }))
}

/// What every answer with content has.
fn envelope(parts: &Value) -> Value {
    let mut body = json!({
        "request_id": "3c4c9a5e-35a6-9cf5-7c5d-6e0b4d6ff6a7",
        "lease_id": "",
        "renewable": false,
        "lease_duration": 0,
        "data": null,
        "wrap_info": null,
        "warnings": null,
        "auth": null,
    });
    for (name, value) in parts.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

fn later(now: Timestamp, seconds: i64) -> Timestamp {
    now + SignedDuration::from_secs(seconds)
}
