//! GitHub's API of app installations.
//!
//! Checked against GitHub's OpenAPI description (2022-11-28): `apps/create-installation-access-token`,
//! `apps/get-user-installation`, `apps/revoke-installation-access-token`; and, for the JWT, its page "Generating a JSON Web Token
//! (JWT) for a GitHub App".

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::issuer::{Reply, Request, Service};
use super::jwt;

/// The app, its installation and its tokens.
#[derive(Debug)]
pub struct GitHub {
    /// Permissions of the installation.
    pub granted: BTreeMap<String, String>,
    /// Repositories of the installation.
    pub repositories: BTreeSet<String>,
    /// Whether the installation is suspended.
    pub is_suspended: bool,
    tokens: BTreeMap<String, Value>,
    issued: u64,
}

impl Default for GitHub {
    fn default() -> Self {
        Self::new()
    }
}

impl GitHub {
    /// Id of the app.
    pub const APP: &str = "12345";
    /// Its only installation.
    pub const INSTALLATION: &str = "678";
    /// The account that has installed it.
    pub const ACCOUNT: &str = "octo-org";

    /// An app with the first key pair, installed once.
    #[must_use]
    pub fn new() -> Self {
        let granted = [("contents", "write"), ("metadata", "read")];
        Self {
            granted: granted
                .map(|(name, level)| (name.to_owned(), level.to_owned()))
                .into(),
            repositories: ["hello", "world"].map(str::to_owned).into(),
            is_suspended: false,
            tokens: BTreeMap::new(),
            issued: 0,
        }
    }

    /// What a token that works was asked for; `None` for one that does not.
    #[must_use]
    pub fn token(&self, token: &str) -> Option<&Value> {
        self.tokens.get(token)
    }

    /// How many tokens work.
    #[must_use]
    pub fn live_tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Whether a request has the app's JWT. "exp … no more than 10 minutes into the future".
    fn is_the_app(request: &Request, now: Timestamp) -> Result<bool, Reply> {
        let Some(token) = request.bearer() else {
            return Err(Reply::undocumented("there is no bearer token"));
        };
        let Some((_, claims)) = jwt::verified(token, jwt::FIRST.public, Algorithm::RS256) else {
            return Ok(false);
        };
        let number = |name: &str| claims.get(name).and_then(Value::as_i64).unwrap_or(0);
        let now = now.as_second();
        let known = ["iat", "exp", "iss"];
        if let Some(other) = claims.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(Reply::undocumented(format!(
                "the JWT has the claim {other}"
            )));
        }
        Ok(claims.get("iss") == Some(&json!(Self::APP))
            && number("iat") <= now
            && number("exp") > now
            && number("exp") <= now + 600)
    }

    fn create(&mut self, request: &Request, now: Timestamp, is_expired: bool) -> Reply {
        let Some(body) = request.json() else {
            return Reply::undocumented("the body is not JSON");
        };
        let Value::Object(fields) = &body else {
            return Reply::undocumented("the body is no object");
        };
        for name in fields.keys() {
            if !["repositories", "repository_ids", "permissions"].contains(&name.as_str()) {
                return Reply::undocumented(format!("the body has {name}"));
            }
        }
        if self.is_suspended {
            return refusal(403, "This installation has been suspended");
        }
        let names = fields.get("repositories").and_then(Value::as_array);
        let mut names = names.into_iter().flatten().filter_map(Value::as_str);
        if !names.all(|name| self.repositories.contains(name)) {
            return refusal(
                422,
                "There is at least one repository that does not exist or is not accessible",
            );
        }
        let wanted = fields.get("permissions").and_then(Value::as_object);
        let is_granted = |(name, level): (&String, &Value)| {
            let rank = |level: &str| {
                ["read", "write", "admin"]
                    .iter()
                    .position(|one| *one == level)
            };
            match (level.as_str(), self.granted.get(name)) {
                (Some(level), Some(granted)) => {
                    rank(level).is_some() && rank(level) <= rank(granted)
                }
                _ => false,
            }
        };
        if !wanted.into_iter().flatten().all(is_granted) {
            return refusal(
                422,
                "The permissions requested are not granted to this installation.",
            );
        }
        self.issued += 1;
        let token = format!("ghs_{}_{}", self.issued, "x".repeat(400));
        self.tokens.insert(token.clone(), body);
        let life = SignedDuration::from_secs(if is_expired { -60 } else { 3600 });
        let expires_at = (now + life).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Reply::json(
            201,
            &json!({
                "token": token,
                "expires_at": expires_at,
                "permissions": self.granted,
                "repository_selection": "selected",
            }),
        )
    }

    fn revoke(&mut self, request: &Request) -> Reply {
        match request.bearer().and_then(|token| self.tokens.remove(token)) {
            Some(_) => Reply::empty(204),
            None => refusal(401, "Bad credentials"),
        }
    }
}

impl Service for GitHub {
    fn answer(&mut self, request: &Request, now: Timestamp, is_expired: bool) -> Reply {
        if request.header("accept") != Some("application/vnd.github+json")
            || request.header("x-github-api-version") != Some("2022-11-28")
            || request.header("user-agent").is_none_or(str::is_empty)
        {
            return Reply::undocumented("a header that every call has is missing");
        }
        let create = format!("/app/installations/{}/access_tokens", Self::INSTALLATION);
        let find = format!("/users/{}/installation", Self::ACCOUNT);
        if (request.method.as_str(), request.path.as_str()) == ("DELETE", "/installation/token") {
            return self.revoke(request);
        }
        match Self::is_the_app(request, now) {
            Err(reply) => return reply,
            Ok(false) => return refusal(401, "A JSON web token could not be decoded"),
            Ok(true) => {}
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", path) if path == create => self.create(request, now, is_expired),
            ("GET", path) if path == find => {
                let id: u64 = Self::INSTALLATION.parse().unwrap_or_default();
                Reply::json(200, &json!({"id": id, "account": {"login": Self::ACCOUNT}}))
            }
            ("POST", path) if path.starts_with("/app/installations/") => refusal(404, "Not Found"),
            ("GET", path) if path.starts_with("/users/") => refusal(404, "Not Found"),
            _ => Reply::undocumented("there is no such operation"),
        }
    }
}

fn refusal(status: u16, message: &str) -> Reply {
    let documentation = "https://docs.github.com/rest";
    Reply::json(
        status,
        &json!({"message": message, "documentation_url": documentation}),
    )
}
