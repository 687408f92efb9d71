//! An OAuth 2.0 server with one client: a token endpoint (RFC 6749), revocation (RFC 7009), and a resource (RFC 6750).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::Rng as _;
use serde_json::{Value, json};

use super::{Prepared, Received};

/// The client and its tokens.
#[derive(Debug)]
pub(super) struct OAuth {
    client: String,
    secret: String,
    access: BTreeSet<String>,
    refresh: BTreeSet<String>,
    issued: Vec<String>,
}

impl OAuth {
    pub(super) fn new(client: &str, secret: &str) -> Self {
        Self {
            client: client.to_owned(),
            secret: secret.to_owned(),
            access: BTreeSet::new(),
            refresh: BTreeSet::new(),
            issued: Vec::new(),
        }
    }

    /// Every token that it ever handed out.
    pub(super) fn issued(&self) -> Vec<String> {
        self.issued.clone()
    }

    /// What it answers at its own paths.
    pub(super) fn answer(&mut self, path: &str, received: &Received) -> Option<Prepared> {
        match path {
            "/oauth/token" => Some(self.token(received)),
            "/oauth/revoke" => Some(self.revoke(received)),
            "/oauth/resource" => Some(self.resource(received)),
            _ => None,
        }
    }

    fn token(&mut self, received: &Received) -> Prepared {
        let form = match self.authenticated(received) {
            Ok(form) => form,
            Err(refusal) => return refusal,
        };
        let has_refresh = match form.one("grant_type") {
            // "A refresh token SHOULD NOT be included" (RFC 6749, section 4.4.3).
            Some("client_credentials") => false,
            Some("authorization_code") if form.one("code") == Some("the-code") => true,
            Some("refresh_token") => {
                let token = form.one("refresh_token").unwrap_or_default();
                // Each is good once (RFC 9700, section 4.14.2).
                if !self.refresh.remove(token) {
                    return error(400, "invalid_grant");
                }
                true
            }
            Some("authorization_code") => return error(400, "invalid_grant"),
            _ => return error(400, "unsupported_grant_type"),
        };
        let access = self.new_token("access");
        self.access.insert(access.clone());
        let mut body = json!({"access_token": access, "token_type": "Bearer", "expires_in": 3600});
        if has_refresh {
            let refresh = self.new_token("refresh");
            self.refresh.insert(refresh.clone());
            body["refresh_token"] = json!(refresh);
        }
        // Section 5.1.
        Prepared::json(200, &body)
            .with("cache-control", "no-store")
            .with("x-token-reflected", &access)
    }

    fn revoke(&mut self, received: &Received) -> Prepared {
        let form = match self.authenticated(received) {
            Ok(form) => form,
            Err(refusal) => return refusal,
        };
        let Some(token) = form.one("token") else {
            return error(400, "invalid_request");
        };
        // A token that is none is answered in the same way (section 2.2).
        self.access.remove(token);
        self.refresh.remove(token);
        Prepared::new(200, "")
    }

    /// Says which token it was asked with.
    fn resource(&self, received: &Received) -> Prepared {
        let token = received
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        match token {
            Some(token) if self.access.contains(token) => {
                Prepared::json(200, &json!({"resource": "yes", "asked_with": token}))
            }
            // Section 3.1.
            _ => Prepared::json(401, &json!({"resource": "no"}))
                .with("www-authenticate", "Bearer error=\"invalid_token\""),
        }
    }

    fn authenticated(&self, received: &Received) -> Result<Form, Prepared> {
        let form = Form::read(received).ok_or_else(|| error(400, "invalid_request"))?;
        let basic = received
            .header("authorization")
            .and_then(|value| value.strip_prefix("Basic "))
            .and_then(|text| STANDARD.decode(text).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let in_body = form.one("client_id").zip(form.one("client_secret"));
        // One way at a time (section 2.3).
        let is_the_client = match (basic, in_body) {
            (Some(pair), None) => pair == format!("{}:{}", self.client, self.secret),
            (None, Some(pair)) => pair == (self.client.as_str(), self.secret.as_str()),
            _ => false,
        };
        if is_the_client {
            Ok(form)
        } else {
            // Section 5.2.
            Err(error(401, "invalid_client").with("www-authenticate", "Basic realm=\"oauth\""))
        }
    }

    fn new_token(&mut self, kind: &str) -> String {
        let token = format!("{kind}-{:032x}", rand::rng().random::<u128>());
        self.issued.push(token.clone());
        token
    }
}

/// The parameters of a request, each of which is there once (section 3.2).
struct Form(Vec<(String, String)>);

impl Form {
    fn read(received: &Received) -> Option<Self> {
        let is_form = received.header("content-type") == Some("application/x-www-form-urlencoded");
        if received.method != "POST" || !is_form || received.target.contains('?') {
            return None;
        }
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8();
            decoded.ok().map(std::borrow::Cow::into_owned)
        };
        let text = std::str::from_utf8(&received.body).ok()?;
        let fields: Vec<(String, String)> = text
            .split('&')
            .map(|field| {
                let (name, value) = field.split_once('=')?;
                Some((decode(name)?, decode(value)?))
            })
            .collect::<Option<_>>()?;
        let names: BTreeSet<&String> = fields.iter().map(|(name, _)| name).collect();
        (names.len() == fields.len()).then_some(Self(fields))
    }

    fn one(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        let field = fields.find(|(other, _)| other == name);
        field.map(|(_, value)| value.as_str())
    }
}

fn error(status: u16, code: &str) -> Prepared {
    let body: Value = json!({"error": code});
    Prepared::json(status, &body).with("cache-control", "no-store")
}
