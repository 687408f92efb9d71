//! Tokens and leases: how long they live, and how they end.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Vault, envelope, errors, fields, later, seconds, text};
use crate::stand_in::issuer::{Reply, Request};

/// A token.
#[derive(Debug, Clone)]
pub struct Token {
    /// When it ends; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// Until when it can be prolonged.
    pub latest_end: Option<Timestamp>,
    /// Whether it can be prolonged.
    pub is_renewable: bool,
    /// Whether it is a batch token, which cannot be revoked.
    pub is_batch: bool,
    /// The token that made it, with which it ends.
    pub parent: Option<String>,
    /// What it was made with as `meta`.
    pub metadata: Value,
}

impl Token {
    pub(super) fn endless() -> Self {
        Self {
            expires_at: None,
            latest_end: None,
            is_renewable: false,
            is_batch: false,
            parent: None,
            metadata: Value::Null,
        }
    }
}

/// A lease.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) token: String,
    pub(super) expires_at: Timestamp,
    pub(super) latest_end: Timestamp,
    pub(super) is_renewable: bool,
}

fn left(now: Timestamp, end: Timestamp) -> i64 {
    end.duration_since(now).as_secs()
}

impl Vault {
    /// "Lookup a token (self)".
    pub(super) fn lookup_self(&self, value: &str, request: &Request, now: Timestamp) -> Reply {
        if request.method != "GET" || !request.query.is_empty() {
            return Reply::undocumented("lookup-self is GET without a query");
        }
        let Some(token) = self.tokens.get(value) else {
            return errors(403, "permission denied");
        };
        let data = json!({
            "accessor": "8609694a-cdbc-db9b-d345-e782dbb562ed",
            "creation_time": now.as_second(),
            "display_name": "token",
            "expire_time": token.expires_at.map(|end| end.to_string()),
            "id": value,
            "orphan": true,
            "path": "auth/token/create",
            "policies": ["default"],
            "renewable": token.is_renewable,
            "ttl": token.expires_at.map_or(0, |end| left(now, end)),
            "type": if token.is_batch { "batch" } else { "service" },
        });
        Reply::json(200, &envelope(&json!({ "data": data })))
    }

    /// "Renew a token (self)". At the longest life it is a success with less than was asked for.
    pub(super) fn renew_self(&mut self, value: &str, request: &Request, now: Timestamp) -> Reply {
        let fields = match fields(request, &["increment"]) {
            Ok(fields) => fields,
            Err(reply) => return reply,
        };
        let wanted = fields.get("increment").and_then(seconds);
        let default = self.token_ttl;
        let Some(token) = self.tokens.get_mut(value) else {
            return errors(403, "permission denied");
        };
        if token.is_batch {
            return errors(400, "batch tokens cannot be renewed");
        }
        if !token.is_renewable {
            return errors(400, "lease is not renewable");
        }
        let end = later(now, wanted.unwrap_or(default));
        let end = token.latest_end.map_or(end, |latest| end.min(latest));
        token.expires_at = Some(end);
        let auth = json!({
            "client_token": value,
            "accessor": "accessor",
            "policies": ["app", "default"],
            "lease_duration": left(now, end),
            "renewable": true,
        });
        Reply::json(200, &envelope(&json!({ "auth": auth })))
    }

    /// "Revoke a token (self)".
    pub(super) fn revoke_self(&mut self, value: &str, request: &Request) -> Reply {
        if let Err(reply) = fields(request, &[]) {
            return reply;
        }
        if self.tokens.get(value).is_some_and(|token| token.is_batch) {
            return errors(400, "batch tokens cannot be revoked");
        }
        self.end_token(value);
        Reply::empty(204)
    }

    /// "Renew lease".
    pub(super) fn renew_lease(&mut self, request: &Request, now: Timestamp) -> Reply {
        let fields = match fields(request, &["lease_id", "increment"]) {
            Ok(fields) => fields,
            Err(reply) => return reply,
        };
        // "increment (int: 0)", in seconds.
        let wanted = match fields.get("increment") {
            None => 0,
            Some(value) => match value.as_i64() {
                Some(number) => number,
                None => return Reply::undocumented("`increment` of a lease is an integer"),
            },
        };
        let default = self.default_ttl;
        let id = text(&fields, "lease_id").unwrap_or_default();
        let Some(lease) = self.leases.get_mut(id) else {
            return errors(400, "lease not found");
        };
        if !lease.is_renewable {
            return errors(400, "lease is not renewable");
        }
        let wanted = if wanted > 0 { wanted } else { default };
        lease.expires_at = later(now, wanted).min(lease.latest_end);
        let body = json!({
            "lease_id": id,
            "renewable": true,
            "lease_duration": left(now, lease.expires_at),
        });
        Reply::json(200, &envelope(&body))
    }

    /// "Revoke lease": "sync (bool: false)".
    pub(super) fn revoke_lease(&mut self, request: &Request) -> Reply {
        let fields = match fields(request, &["lease_id", "sync"]) {
            Ok(fields) => fields,
            Err(reply) => return reply,
        };
        if fields.get("sync").is_some_and(|sync| !sync.is_boolean()) {
            return Reply::undocumented("`sync` is a boolean");
        }
        match text(&fields, "lease_id") {
            Some(id) if !id.is_empty() => {
                self.leases.remove(id);
                Reply::empty(204)
            }
            _ => errors(400, "lease_id must be specified"),
        }
    }
}
