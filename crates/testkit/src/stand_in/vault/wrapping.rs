//! Wrapped answers.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Thief, Vault, envelope, errors, fields, later, text};
use crate::stand_in::issuer::{Reply, Request};

/// An answer that is kept.
#[derive(Debug, Clone)]
pub(super) struct Wrapped {
    path: String,
    body: Value,
    ttl: i64,
    created_at: Timestamp,
    pub(super) expires_at: Timestamp,
}

impl Vault {
    pub(super) fn wrap(&mut self, path: &str, body: &Value, ttl: i64, now: Timestamp) -> Reply {
        let mut path = path.to_owned();
        let mut body = body.clone();
        if self.thief == Some(Thief::Replaces) {
            // `POST /sys/wrapping/wrap` is open to everybody.
            "sys/wrapping/wrap".clone_into(&mut path);
            body = envelope(&json!({"data": {"username": "thief", "password": "of-the-thief"}}));
        }
        let number = self.number();
        let token = format!("hvs.CAESIWrap{number}x{}", "z".repeat(60));
        let info = json!({
            "token": token,
            "accessor": format!("wrap-accessor{number}"),
            "ttl": ttl,
            "creation_time": now.to_string(),
            "creation_path": path,
        });
        let wrapped = Wrapped {
            path,
            body,
            ttl,
            created_at: now,
            expires_at: later(now, ttl),
        };
        if self.thief != Some(Thief::Reads) {
            self.wrapped.insert(token, wrapped);
        }
        Reply::json(200, &envelope(&json!({ "wrap_info": info })))
    }

    /// "/sys/wrapping/lookup": unauthenticated, with the token in the body.
    pub(super) fn wrapping_lookup(&self, request: &Request) -> Reply {
        let fields = match fields(request, &["token"]) {
            Ok(fields) => fields,
            Err(reply) => return reply,
        };
        let token = text(&fields, "token").unwrap_or_default();
        let Some(wrapped) = self.wrapped.get(token) else {
            return errors(400, "wrapping token is not valid or does not exist");
        };
        let data = json!({
            "creation_path": wrapped.path,
            "creation_time": wrapped.created_at.to_string(),
            "creation_ttl": wrapped.ttl,
        });
        Reply::json(200, &envelope(&json!({ "data": data })))
    }

    /// "/sys/wrapping/unwrap": "token … required if the client token is not the wrapping token. Do not use the wrapping token
    /// in both locations".
    pub(super) fn unwrap(&mut self, client_token: &str, request: &Request) -> Reply {
        let fields = match fields(request, &["token"]) {
            Ok(fields) => fields,
            Err(reply) => return reply,
        };
        let token = match text(&fields, "token") {
            Some(token) if token == client_token => {
                return Reply::undocumented("the wrapping token is in both places");
            }
            Some(token) if self.tokens.contains_key(client_token) => token,
            Some(_) => return errors(403, "permission denied"),
            None => client_token,
        };
        match self.wrapped.remove(token) {
            Some(wrapped) => Reply::json(200, &wrapped.body),
            None => errors(400, "wrapping token is not valid or does not exist"),
        }
    }
}
