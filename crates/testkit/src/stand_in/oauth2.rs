//! An OAuth 2.0 token server: client credentials (RFC 6749 section 4.4), refresh tokens (section 6) that change with each
//! use, and revocation (RFC 7009).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::issuer::{Reply, Request, Service};

/// The server, its one client and its tokens.
#[derive(Debug)]
pub struct OAuth2 {
    /// How a client may authenticate.
    pub in_body: bool,
    /// What `expires_in` is in answers.
    pub expires_in: Value,
    /// What `token_type` is in answers.
    pub token_type: &'static str,
    /// A refusal (status and code) in the place of each answer.
    pub refuses: Option<(u16, &'static str)>,
    /// Scopes of the client.
    pub scopes: Vec<String>,
    /// The refresh token of the one login; a use of another one ends it, as RFC 9700 section 4.14.2 has it.
    pub refresh: Option<String>,
    /// Whether it changes with each use.
    pub rotates: bool,
    tokens: BTreeMap<String, Vec<(String, String)>>,
    issued: u64,
}

impl OAuth2 {
    /// The client. It has characters that must be encoded before Basic (RFC 6749 section 2.3.1).
    pub const CLIENT: &str = "client:1";
    /// Its secret.
    pub const SECRET: &str = "s3cr%t+of/the client";

    /// A server that wants Basic.
    #[must_use]
    pub fn new() -> Self {
        Self {
            in_body: false,
            expires_in: json!(600),
            token_type: "Bearer",
            refuses: None,
            scopes: ["read", "write"].map(str::to_owned).to_vec(),
            refresh: None,
            rotates: true,
            tokens: BTreeMap::new(),
            issued: 0,
        }
    }

    /// What a token that works was asked for.
    #[must_use]
    pub fn token(&self, token: &str) -> Option<&[(String, String)]> {
        self.tokens.get(token).map(Vec::as_slice)
    }

    /// How many tokens work.
    #[must_use]
    pub fn live_tokens(&self) -> usize {
        self.tokens.len()
    }

    fn is_the_client(&self, request: &Request, form: &[(String, String)]) -> bool {
        let field = |name: &str| {
            let mut values = form.iter().filter(|(own, _)| own == name);
            values.next().map(|(_, value)| value.as_str())
        };
        if self.in_body {
            return field("client_id") == Some(Self::CLIENT)
                && field("client_secret") == Some(Self::SECRET)
                && request.header("authorization").is_none();
        }
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_encoding::percent_decode_str(&spaced)
                .decode_utf8_lossy()
                .into_owned()
        };
        request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Basic "))
            .and_then(|text| STANDARD.decode(text).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|pair| {
                pair.split_once(':')
                    .map(|(id, secret)| (decode(id), decode(secret)))
            })
            .is_some_and(|(id, secret)| id == Self::CLIENT && secret == Self::SECRET)
            && field("client_secret").is_none()
    }

    fn issue(&mut self, form: Vec<(String, String)>, is_expired: bool) -> Reply {
        let field = |name: &str| {
            form.iter()
                .find(|(own, _)| own == name)
                .map(|(_, value)| value.clone())
        };
        match field("grant_type").as_deref() {
            Some("client_credentials") => {}
            Some("refresh_token") if self.refresh.is_some() => {
                if field("refresh_token") != self.refresh {
                    self.refresh = None;
                    return refusal(400, "invalid_grant");
                }
            }
            Some("refresh_token") => return refusal(400, "invalid_grant"),
            _ => return refusal(400, "unsupported_grant_type"),
        }
        let is_login = field("refresh_token").is_some();
        let scope = field("scope").unwrap_or_default();
        if !scope
            .split(' ')
            .filter(|scope| !scope.is_empty())
            .all(|scope| self.scopes.iter().any(|own| own == scope))
        {
            return refusal(400, "invalid_scope");
        }
        self.issued += 1;
        let token = format!("token-{}-of-the-server", self.issued);
        self.tokens.insert(token.clone(), form);
        let mut body = json!({"access_token": token, "token_type": self.token_type});
        let expires_in = if is_expired {
            json!(-5)
        } else {
            self.expires_in.clone()
        };
        if !expires_in.is_null() {
            body["expires_in"] = expires_in;
        }
        if is_login && self.rotates {
            let next = format!("refresh-{}-of-the-server", self.issued);
            body["refresh_token"] = json!(next);
            self.refresh = Some(next);
        }
        Reply::json(200, &body).with("cache-control", "no-store")
    }
}

impl Default for OAuth2 {
    fn default() -> Self {
        Self::new()
    }
}

impl Service for OAuth2 {
    fn answer(&mut self, request: &Request, _: Timestamp, is_expired: bool) -> Reply {
        let Some(form) = request.form() else {
            return Reply::undocumented("the body is no form");
        };
        let mut names: Vec<&String> = form.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        if request.method != "POST" || !request.query.is_empty() || names.len() != form.len() {
            // "Parameters … MUST NOT be included more than once" (section 3.2).
            return Reply::undocumented("it is no POST with each parameter once");
        }
        if !self.is_the_client(request, &form) {
            return refusal(401, "invalid_client")
                .with("www-authenticate", "Basic realm=\"token\"");
        }
        // Credentials in the query are forbidden (section 2.3.1), and so are the parameters of another way.
        let known = |allowed: &[&str]| {
            let own = ["client_id", "client_secret"].map(str::to_owned);
            let is_own = |name: &String| self.in_body && own.contains(name);
            names
                .iter()
                .all(|name| is_own(name) || allowed.contains(&name.as_str()))
        };
        if let Some((status, code)) = self.refuses {
            return refusal(status, code);
        }
        match request.path.as_str() {
            "/token"
                if known(&[
                    "grant_type",
                    "refresh_token",
                    "scope",
                    "audience",
                    "resource",
                ]) =>
            {
                self.issue(form, is_expired)
            }
            "/revoke" if known(&["token", "token_type_hint"]) => {
                let Some((_, token)) = form.iter().find(|(name, _)| name == "token") else {
                    return refusal(400, "invalid_request");
                };
                self.tokens.remove(token);
                Reply::empty(200)
            }
            _ => Reply::undocumented("there is no such endpoint"),
        }
    }
}

fn refusal(status: u16, code: &str) -> Reply {
    Reply::json(
        status,
        &json!({"error": code, "error_description": "told in a test"}),
    )
}
