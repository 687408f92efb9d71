//! GitHub's API of app installations.
//!
//! Checked against GitHub's OpenAPI description (2022-11-28): `apps/create-installation-access-token`,
//! `apps/get-user-installation`, `apps/get-org-installation`, `apps/revoke-installation-access-token`; and, for the JWT, its
//! page "Generating a JSON Web Token (JWT) for a GitHub App". The texts of refusals are those that users of GitHub's and
//! others' libraries report (octokit/auth-app.js, actions/create-github-app-token, PyGithub).

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
    /// How many withdrawals are answered by a server that has not heard of the token yet.
    pub lag: u32,
    /// Whether the app has used up its calls.
    pub is_limited: bool,
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
    /// The organisation that has installed it.
    pub const ACCOUNT: &str = "octo-org";
    /// The user that has installed it.
    pub const USER: &str = "octocat";

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
            lag: 0,
            is_limited: false,
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
    fn refuse_app(request: &Request, now: Timestamp) -> Result<(), Reply> {
        let Some(token) = request.bearer() else {
            return Err(Reply::undocumented("there is no bearer token"));
        };
        let Some((header, claims)) = jwt::verified(token, jwt::FIRST.public, Algorithm::RS256)
        else {
            return Err(refusal(401, "A JSON web token could not be decoded"));
        };
        if header.get("typ").is_some_and(|kind| kind != "JWT") {
            return Err(Reply::undocumented("the header has another `typ`"));
        }
        let known = ["iat", "exp", "iss"];
        if let Some(other) = claims.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(Reply::undocumented(format!(
                "the JWT has the claim {other}"
            )));
        }
        let number = |name: &str| claims.get(name).and_then(Value::as_i64);
        let (Some(iat), Some(exp)) = (number("iat"), number("exp")) else {
            return Err(Reply::undocumented("the times of the JWT are no integers"));
        };
        if exp - iat > 600 {
            return Err(Reply::undocumented(
                "the JWT lives for more than 10 minutes",
            ));
        }
        let now = now.as_second();
        let said = if exp <= now {
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
        } else if exp > now + 600 {
            "'Expiration time' claim ('exp') is too far in the future"
        } else if iat > now {
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
        } else if claims.get("iss") != Some(&json!(Self::APP)) {
            return Err(refusal(404, "Integration not found"));
        } else {
            return Ok(());
        };
        Err(refusal(401, said))
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
        if self.is_limited {
            return refusal(403, "API rate limit exceeded for installation ID 678.")
                .with("x-ratelimit-remaining", "0")
                .with("x-ratelimit-reset", (now.as_second() + 1800).to_string());
        }
        if self.is_suspended {
            return refusal(403, "This installation has been suspended");
        }
        let names = fields.get("repositories").and_then(Value::as_array);
        let mut names = names.into_iter().flatten().filter_map(Value::as_str);
        if !names.all(|name| self.repositories.contains(name)) {
            return refusal(
                422,
                "There is at least one repository that does not exist or is not accessible to the parent installation.",
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
        // The old form of 40 characters, and the one of 2026: `ghs_APPID_JWT`.
        let token = if self.issued.is_multiple_of(2) {
            format!("ghs_{:036}", self.issued)
        } else {
            let part = "eyJ".repeat(150);
            format!("ghs_{}_{part}.{part}.{:043}", Self::APP, self.issued)
        };
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
        if !request.body.is_empty() {
            return Reply::undocumented("a withdrawal has no body");
        }
        if self.lag > 0 {
            self.lag -= 1;
            return refusal(401, "Bad credentials");
        }
        // "In most cases, you can use `Authorization: Bearer` or `Authorization: token`".
        let value = request.header("authorization").unwrap_or_default();
        let token = value
            .strip_prefix("Bearer ")
            .or_else(|| value.strip_prefix("token "));
        match token.and_then(|token| self.tokens.remove(token)) {
            Some(_) => Reply::empty(204),
            None => refusal(401, "Bad credentials"),
        }
    }
}

impl Service for GitHub {
    fn answer(&mut self, request: &Request, now: Timestamp, is_expired: bool) -> Reply {
        // "Requests without a User-Agent will be rejected"; the other two are recommended, and fnox sends them always.
        let agent = request.header("user-agent").unwrap_or_default();
        let is_other = agent.starts_with("PyGithub/");
        let is_usual = request.header("accept") == Some("application/vnd.github+json")
            && request.header("x-github-api-version") == Some("2022-11-28");
        if agent.is_empty() || !(is_usual || is_other) {
            return Reply::undocumented("a header that every call has is missing");
        }
        let create = format!("/app/installations/{}/access_tokens", Self::INSTALLATION);
        let of_organisation = format!("/orgs/{}/installation", Self::ACCOUNT);
        let of_user = format!("/users/{}/installation", Self::USER);
        if (request.method.as_str(), request.path.as_str()) == ("DELETE", "/installation/token") {
            return self.revoke(request);
        }
        if let Err(reply) = Self::refuse_app(request, now) {
            return reply;
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", path) if path == create => self.create(request, now, is_expired),
            ("GET", path) if path == of_organisation => installation(Self::ACCOUNT, "Organization"),
            ("GET", path) if path == of_user => installation(Self::USER, "User"),
            ("POST", path) if path.starts_with("/app/installations/") => refusal(404, "Not Found"),
            ("GET", path) if path.starts_with("/users/") || path.starts_with("/orgs/") => {
                refusal(404, "Not Found")
            }
            _ => Reply::undocumented("there is no such operation"),
        }
    }
}

/// What the description requires of an `installation`, as far as clients read it.
fn installation(account: &str, kind: &str) -> Reply {
    let id: u64 = GitHub::INSTALLATION.parse().unwrap_or_default();
    let app: u64 = GitHub::APP.parse().unwrap_or_default();
    Reply::json(
        200,
        &json!({
            "id": id, "app_id": app, "app_slug": "app", "target_type": kind, "target_id": 1,
            "account": {"login": account, "id": 1, "type": kind}, "repository_selection": "selected",
            "permissions": {}, "events": [], "suspended_at": null,
        }),
    )
}

fn refusal(status: u16, message: &str) -> Reply {
    let documentation = "https://docs.github.com/rest";
    Reply::json(
        status,
        &json!({"message": message, "documentation_url": documentation}),
    )
}
