//! Logins.

use jiff::Timestamp;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::lease::Token;
use super::{Vault, envelope, errors, fields, later, seconds, text};
use crate::stand_in::issuer::{Reply, Request};
use crate::stand_in::jwt;

impl Vault {
    /// Mounts are called as their methods; `github` is another one of JWT.
    pub(super) fn login(&mut self, path: &str, request: &Request, now: Timestamp) -> Reply {
        let user = format!("auth/userpass/login/{}", Self::USER);
        let outcome = match path {
            "auth/approle/login" => by_role(request),
            "auth/jwt/login" | "auth/github/login" => by_token(request, now, true),
            "auth/kubernetes/login" => by_token(request, now, false),
            path if path == user => by_password(request),
            path if path.starts_with("auth/userpass/login/") => {
                Err(errors(400, "invalid username or password"))
            }
            path if path.contains("/login") => Err(errors(
                404,
                &format!("no handler for route \"{path}\". route entry not found."),
            )),
            _ => Err(Reply::undocumented("there is no X-Vault-Token")),
        };
        match outcome {
            Ok(metadata) => self.logged_in(&metadata, now),
            Err(reply) => reply,
        }
    }

    /// "Token auth method (API)", "Create token": a child has its parent's policies unless it asks for others.
    pub(super) fn create_token(
        &mut self,
        parent: &str,
        request: &Request,
        now: Timestamp,
    ) -> Reply {
        let fields = match fields(request, &["ttl", "display_name", "meta"]) {
            Ok(fields) => fields,
            Err(reply) => return reply,
        };
        if self.tokens.get(parent).is_some_and(|token| token.is_batch) {
            return errors(400, "batch tokens cannot create more tokens");
        }
        let metadata = fields.get("meta").cloned().unwrap_or(Value::Null);
        let is_map = |value: &Value| {
            value
                .as_object()
                .is_some_and(|map| map.values().all(Value::is_string))
        };
        if !metadata.is_null() && !is_map(&metadata) {
            return Reply::undocumented("`meta` is a map of string to string values");
        }
        let wanted = fields.get("ttl").and_then(seconds);
        let ttl = wanted.unwrap_or(self.token_ttl).min(self.token_max_ttl);
        self.new_token(Some(parent), &metadata, ttl, now)
    }

    fn logged_in(&mut self, metadata: &Value, now: Timestamp) -> Reply {
        let ttl = self.token_ttl.min(self.token_max_ttl);
        self.new_token(None, metadata, ttl, now)
    }

    fn new_token(
        &mut self,
        parent: Option<&str>,
        metadata: &Value,
        ttl: i64,
        now: Timestamp,
    ) -> Reply {
        let number = self.number();
        let value = format!("{}CAESILogin{number}x{}", self.token_prefix, "y".repeat(60));
        let is_batch = self.token_prefix == "hvb.";
        let token = Token {
            expires_at: Some(later(now, ttl)),
            latest_end: Some(later(now, self.token_max_ttl)),
            is_renewable: !is_batch,
            is_batch,
            parent: parent.map(str::to_owned),
            metadata: metadata.clone(),
        };
        self.tokens.insert(value.clone(), token);
        let auth = json!({
            "client_token": value,
            "accessor": if is_batch { String::new() } else { format!("accessor{number}") },
            "policies": ["app", "default"],
            "token_policies": ["app", "default"],
            "metadata": metadata,
            "lease_duration": ttl,
            "renewable": !is_batch,
            "entity_id": "7d2e3179-f69b-450c-7179-ac8ee8bd8ca9",
            "token_type": if is_batch { "batch" } else { "service" },
            "orphan": parent.is_none(),
            "mfa_requirement": null,
            "num_uses": 0,
        });
        Reply::json(200, &envelope(&json!({ "auth": auth })))
    }
}

/// "AppRole auth method (API)", "Login with AppRole".
fn by_role(request: &Request) -> Result<Value, Reply> {
    let fields = fields(request, &["role_id", "secret_id"])?;
    let is_it = text(&fields, "role_id") == Some(Vault::ROLE_ID)
        && text(&fields, "secret_id") == Some(Vault::SECRET_ID);
    if is_it {
        Ok(json!({"role_name": "app"}))
    } else {
        Err(errors(400, "invalid role or secret ID"))
    }
}

/// "Userpass auth method (API)", "Login".
fn by_password(request: &Request) -> Result<Value, Reply> {
    let fields = fields(request, &["password"])?;
    if text(&fields, "password") == Some(Vault::PASSWORD) {
        Ok(json!({"username": Vault::USER}))
    } else {
        Err(errors(400, "invalid username or password"))
    }
}

/// "JWT/OIDC auth method (API)", "JWT login", where the role may be the mount's default; "Kubernetes auth method (API)",
/// "Login", where it may not. Here too the first key pair signs the service account's token.
fn by_token(request: &Request, now: Timestamp, has_default: bool) -> Result<Value, Reply> {
    let fields = fields(request, &["role", "jwt"])?;
    match text(&fields, "role") {
        None if !has_default => return Err(errors(400, "missing role")),
        Some(role) if role != Vault::ROLE => {
            return Err(errors(400, &format!("role \"{role}\" could not be found")));
        }
        _ => {}
    }
    let token = text(&fields, "jwt").unwrap_or_default();
    let refused = |reason: &str| errors(400, &format!("error validating token: {reason}"));
    let Some((_, claims)) = jwt::verified(token, jwt::FIRST.public, Algorithm::RS256) else {
        return Err(refused("error verifying token signature"));
    };
    let is = |name: &str, wanted: &str| claims.get(name).and_then(Value::as_str) == Some(wanted);
    let end = claims.get("exp").and_then(Value::as_i64).unwrap_or(0);
    // "clock_skew_leeway: 60 seconds"
    if end + 60 < now.as_second() {
        return Err(refused(
            "invalid expiration time (exp) claim: token is expired",
        ));
    }
    if !is("aud", Vault::AUDIENCE) {
        return Err(refused("invalid audience (aud) claim"));
    }
    if !is("iss", Vault::ISSUER) {
        return Err(refused("invalid issuer (iss) claim"));
    }
    if !is("sub", Vault::SUBJECT) {
        return Err(errors(
            400,
            "error validating claims: claim \"sub\" does not match",
        ));
    }
    Ok(json!({"role": Vault::ROLE}))
}
