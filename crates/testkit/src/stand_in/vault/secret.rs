//! What paths issue: KV in both versions, and engines with and without leases.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::lease::Lease;
use super::{Vault, envelope, errors, fields, later, seconds};
use crate::stand_in::issuer::{Reply, Request};

/// What a path gives.
struct Issued {
    data: Value,
    /// Whether there is a lease, and whether it can be prolonged.
    lease: Option<bool>,
    ttl: Option<i64>,
}

impl Vault {
    pub(super) fn secret(
        &mut self,
        path: &str,
        token: &str,
        request: &Request,
        now: Timestamp,
        is_expired: bool,
    ) -> Reply {
        let issued = match self.issue(path, request, now, is_expired) {
            Ok(issued) => issued,
            Err(reply) => return reply,
        };
        let mut body = json!({ "data": issued.data });
        if let Some(is_renewable) = issued.lease {
            let latest_end = later(now, self.max_ttl);
            let ttl = issued.ttl.unwrap_or(self.default_ttl).min(self.max_ttl);
            let id = format!("{path}/lease{}", self.number());
            let lease = Lease {
                token: token.to_owned(),
                expires_at: later(now, ttl),
                latest_end,
                is_renewable,
            };
            self.leases.insert(id.clone(), lease);
            body["lease_id"] = id.into();
            body["renewable"] = is_renewable.into();
            body["lease_duration"] = if is_expired { 0 } else { ttl }.into();
        } else {
            // The system's default is told for what has no end of its own (KV version 1).
            body["lease_duration"] = issued.ttl.unwrap_or(0).into();
        }
        let body = envelope(&body);
        match request.header("x-vault-wrap-ttl") {
            None => Reply::json(200, &body),
            Some(ttl) => match seconds(&json!(ttl)) {
                Some(ttl) => self.wrap(path, &body, ttl, now),
                None => errors(400, "error parsing wrap ttl"),
            },
        }
    }

    fn issue(
        &mut self,
        path: &str,
        request: &Request,
        now: Timestamp,
        is_expired: bool,
    ) -> Result<Issued, Reply> {
        match path {
            // `GET /secret/:path`. Vault gives `ttl`, which engines for reading do not have, no meaning.
            "kv/app" => {
                query(request, &["ttl"])?;
                Ok(Issued {
                    data: json!({"password": "kv-one-password", "db": {"url": "kv-one-url"}, "data": {"x": "y"}}),
                    lease: None,
                    ttl: Some(2_764_800),
                })
            }
            "kv/short" => {
                query(request, &["ttl"])?;
                Ok(Issued {
                    data: json!({"password": "kv-short-password", "ttl": "60s"}),
                    lease: None,
                    ttl: Some(60),
                })
            }
            // `GET /:secret-mount-path/data/:path`, "version (int: 0)".
            "secret/data/app" => {
                query(request, &["ttl", "version"])?;
                let metadata = json!({
                    "created_time": "2018-03-22T02:24:06.945319214Z",
                    "custom_metadata": null,
                    "deletion_time": "",
                    "destroyed": false,
                    "version": 2,
                });
                Ok(Issued {
                    data: json!({"data": {"password": "kv-two-password", "db": {"url": "kv-two-url"}}, "metadata": metadata}),
                    lease: None,
                    ttl: None,
                })
            }
            // `GET /database/creds/:name`: the role's time to live.
            "database/creds/app" => {
                query(request, &["ttl"])?;
                let number = self.number();
                Ok(Issued {
                    data: json!({"username": format!("v-app-{number}"), "password": format!("db-password-{number}")}),
                    lease: Some(true),
                    ttl: None,
                })
            }
            // `POST /aws/sts/:name`.
            "aws/sts/deploy" => {
                let fields = fields(request, &["ttl", "role_arn", "role_session_name"])?;
                let ttl = fields.get("ttl").and_then(seconds);
                Ok(Issued {
                    data: json!({
                        "access_key": "ASIAEXAMPLE",
                        "secret_key": "aws-secret-key-value",
                        "session_token": "aws-session-token-value",
                    }),
                    lease: Some(false),
                    ttl,
                })
            }
            // `POST /pki/issue/:name`: no lease unless the role has `generate_lease`.
            "pki/issue/web" => {
                let fields = fields(request, &["common_name", "alt_names", "ttl", "format"])?;
                if !fields.get("common_name").is_some_and(Value::is_string) {
                    return Err(errors(400, "the common_name field is required"));
                }
                let ttl = fields.get("ttl").and_then(seconds).unwrap_or(3600).min(600);
                let end = later(now, if is_expired { -60 } else { ttl });
                Ok(Issued {
                    data: json!({
                        "certificate": "-----BEGIN CERTIFICATE-----",
                        "private_key": "pki-private-key-value",
                        "serial_number": "39:dd:2e",
                        "expiration": end.as_second(),
                    }),
                    lease: None,
                    ttl: None,
                })
            }
            path if path.starts_with("kv/") || path.starts_with("secret/") => Err(errors(404, "")),
            path => Err(errors(
                404,
                &format!("no handler for route \"{path}\". route entry not found."),
            )),
        }
    }
}

/// The parameters of a `GET`; no others than these.
fn query(request: &Request, known: &[&str]) -> Result<Map<String, Value>, Reply> {
    if request.method != "GET" {
        return Err(errors(
            405,
            "1 error occurred:\n\t* unsupported operation\n\n",
        ));
    }
    if !request.body.is_empty() {
        return Err(Reply::undocumented("a GET has a body"));
    }
    let pairs = request.query();
    match pairs
        .iter()
        .find(|(name, _)| !known.contains(&name.as_str()))
    {
        Some((name, _)) => Err(Reply::undocumented(format!("the query has {name}"))),
        None => Ok(pairs
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect()),
    }
}
