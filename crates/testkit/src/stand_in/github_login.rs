//! GitHub's OAuth device flow, refreshing, and the call that shows whose token one is.
//!
//! Where its checks come from: GitHub's pages "Authorizing OAuth apps" (device flow: fields, answers, errors), "Generating a
//! user access token for a GitHub App" (tokens that expire), "Refreshing user access tokens" (rotation; no secret for tokens
//! of the device flow) and "Troubleshooting OAuth app access token request errors" (status 200 with `error`); RFC 8628
//! section 3.5 for the pace; `users/get-authenticated` of the OpenAPI description. Addresses are those of a GitHub Enterprise
//! Server: `/login/…` and `/api/v3/…`.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::issuer::{Reply, Request, Service};

/// What a question for a token is answered with before the person confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The person has done nothing yet.
    Pending,
    /// It was asked too often.
    SlowDown,
    /// The person said no.
    Denied,
    /// The code is over.
    Expired,
    /// The person has no verified address.
    Unverified,
}

#[derive(Debug)]
struct Code {
    interval: u64,
    next: Timestamp,
}

#[derive(Debug)]
struct Issued {
    ends: Option<Timestamp>,
    refresh: Option<String>,
}

/// An app and its person.
#[derive(Debug)]
pub struct GitHubLogin {
    /// Whether the app's settings allow the device flow.
    pub device_flow: bool,
    /// Whether tokens expire: user tokens of a GitHub App do, unless it opts out; those of an OAuth app do not.
    pub expires: bool,
    /// Seconds between two questions.
    pub interval: u64,
    /// What happens before the person confirms.
    pub steps: VecDeque<Step>,
    codes: BTreeMap<String, Code>,
    tokens: BTreeMap<String, Issued>,
    issued: u64,
}

impl Default for GitHubLogin {
    fn default() -> Self {
        Self::new()
    }
}

impl GitHubLogin {
    /// The app's client id.
    pub const CLIENT: &str = "Iv23li0123456789abcd";
    /// How each refresh token begins.
    pub const REFRESH: &str = "ghr_00000000000000000000";
    /// What its leases ask for.
    pub const SCOPE: &str = "repo read:org";

    /// A GitHub App whose person confirms at once.
    #[must_use]
    pub fn new() -> Self {
        Self {
            device_flow: true,
            expires: true,
            interval: 0,
            steps: VecDeque::new(),
            codes: BTreeMap::new(),
            tokens: BTreeMap::new(),
            issued: 0,
        }
    }

    /// Whether a token works.
    #[must_use]
    pub fn works(&self, token: &str) -> bool {
        self.tokens.contains_key(token)
    }

    /// The person, or an administrator, ends every token.
    pub fn end_tokens(&mut self) {
        for issued in self.tokens.values_mut() {
            issued.refresh = None;
        }
        self.tokens.clear();
    }

    /// The person's access tokens end, and can be refreshed.
    pub fn end_access(&mut self) {
        for issued in self.tokens.values_mut() {
            issued.ends = Some(Timestamp::UNIX_EPOCH);
        }
    }

    fn begin(&mut self, form: &Form, now: Timestamp) -> Reply {
        if let Err(reply) = form.has_exactly(&["client_id", "scope"]) {
            return reply;
        }
        if form.value("client_id") != Self::CLIENT {
            return Reply::json(404, &json!({"error": "Not Found"}));
        }
        if !self.device_flow {
            return refusal(
                "device_flow_disabled",
                "Device Flow must be explicitly enabled",
            );
        }
        if form.value("scope") != Self::SCOPE {
            return Reply::undocumented("a scope that nobody has asked for");
        }
        let device_code = hex::encode(rand::random::<[u8; 20]>());
        let code = Code {
            interval: self.interval,
            next: now + seconds(self.interval),
        };
        self.codes.insert(device_code.clone(), code);
        Reply::json(
            200,
            &json!({
                "device_code": device_code, "user_code": "WDJB-MJHT", "expires_in": 900,
                "verification_uri": "https://github.com/login/device", "interval": self.interval,
            }),
        )
    }

    fn exchange(&mut self, form: &Form, now: Timestamp, is_expired: bool) -> Reply {
        if form.value("client_id") != Self::CLIENT {
            return refusal(
                "incorrect_client_credentials",
                "The client_id and/or client_secret passed are incorrect.",
            );
        }
        match form.value("grant_type") {
            "urn:ietf:params:oauth:grant-type:device_code" => {
                match form.has_exactly(&["client_id", "device_code", "grant_type"]) {
                    Ok(()) => self.by_code(form.value("device_code"), now, is_expired),
                    Err(reply) => reply,
                }
            }
            "refresh_token" => {
                match form.has_exactly(&["client_id", "grant_type", "refresh_token"]) {
                    Ok(()) => self.by_refresh(form.value("refresh_token"), now, is_expired),
                    Err(reply) => reply,
                }
            }
            _ => Reply::undocumented("a grant type that is not documented"),
        }
    }

    fn by_code(&mut self, device_code: &str, now: Timestamp, is_expired: bool) -> Reply {
        let Some(code) = self.codes.get_mut(device_code) else {
            return refusal(
                "incorrect_device_code",
                "The device_code provided is not valid.",
            );
        };
        if now < code.next {
            return Reply::undocumented("it was asked sooner than its answer allows");
        }
        let step = self.steps.pop_front();
        if step == Some(Step::SlowDown) {
            code.interval += 5;
        }
        code.next = now + seconds(code.interval);
        let interval = code.interval;
        match step {
            None => {
                self.codes.remove(device_code);
                self.issue(now, is_expired)
            }
            Some(Step::Pending) => refusal(
                "authorization_pending",
                "The authorization request is still pending.",
            ),
            Some(Step::SlowDown) => Reply::json(
                200,
                &json!({"error": "slow_down", "error_description": "Too many requests", "interval": interval}),
            ),
            Some(Step::Denied) => {
                self.codes.remove(device_code);
                refusal("access_denied", "The authorization request was denied.")
            }
            Some(Step::Expired) => {
                self.codes.remove(device_code);
                refusal("expired_token", "This 'device_code' has expired.")
            }
            Some(Step::Unverified) => refusal(
                "unverified_user_email",
                "The primary email of the user must be verified.",
            ),
        }
    }

    /// "Once you use a refresh token, that refresh token and the old user access token will no longer work."
    fn by_refresh(&mut self, refresh: &str, now: Timestamp, is_expired: bool) -> Reply {
        let old = self
            .tokens
            .iter()
            .find(|(_, issued)| issued.refresh.as_deref() == Some(refresh))
            .map(|(token, _)| token.clone());
        let Some(old) = old else {
            return refusal(
                "bad_refresh_token",
                "The refresh token passed is incorrect or expired.",
            );
        };
        self.tokens.remove(&old);
        self.issue(now, is_expired)
    }

    fn issue(&mut self, now: Timestamp, is_expired: bool) -> Reply {
        self.issued += 1;
        let number = self.issued;
        if !self.expires {
            let token = format!("gho_{number:036}");
            let issued = Issued {
                ends: None,
                refresh: None,
            };
            self.tokens.insert(token.clone(), issued);
            return Reply::json(
                200,
                &json!({"access_token": token, "token_type": "bearer", "scope": "repo,read:org"}),
            );
        }
        let (token, refresh) = (format!("ghu_{number:036}"), format!("ghr_{number:076}"));
        let life = if is_expired { -60 } else { 28800 };
        let issued = Issued {
            ends: Some(now + SignedDuration::from_secs(life)),
            refresh: Some(refresh.clone()),
        };
        self.tokens.insert(token.clone(), issued);
        Reply::json(
            200,
            &json!({
                "access_token": token, "token_type": "bearer", "scope": "", "expires_in": life,
                "refresh_token": refresh, "refresh_token_expires_in": 15_897_600,
            }),
        )
    }

    fn user(&self, request: &Request, now: Timestamp) -> Reply {
        if request.header("accept") != Some("application/vnd.github+json")
            || request.header("x-github-api-version") != Some("2022-11-28")
        {
            return Reply::undocumented("a header that every call of the API has is missing");
        }
        let token = request.bearer().and_then(|token| self.tokens.get(token));
        match token {
            Some(issued) if issued.ends.is_none_or(|end| end > now) => {
                Reply::json(200, &json!({"login": "octocat", "id": 1}))
            }
            _ => Reply::json(
                401,
                &json!({"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest"}),
            ),
        }
    }
}

impl Service for GitHubLogin {
    fn answer(&mut self, request: &Request, now: Timestamp, is_expired: bool) -> Reply {
        if !request.query.is_empty() || request.header("user-agent").is_none_or(str::is_empty) {
            return Reply::undocumented("a query, or no User-Agent");
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/api/v3/user") => self.user(request, now),
            ("POST", path @ ("/login/device/code" | "/login/oauth/access_token")) => {
                // Without it the answer is a form.
                if request.header("accept") != Some("application/json")
                    || request.header("authorization").is_some()
                {
                    return Reply::undocumented("the wrong Accept, or an Authorization");
                }
                let Some(fields) = request.form() else {
                    return Reply::undocumented("the body is no form");
                };
                let form = Form(fields);
                if path == "/login/device/code" {
                    self.begin(&form, now)
                } else {
                    self.exchange(&form, now, is_expired)
                }
            }
            _ => Reply::undocumented("there is no such operation"),
        }
    }
}

struct Form(Vec<(String, String)>);

impl Form {
    fn value(&self, name: &str) -> &str {
        let field = self.0.iter().find(|(own, _)| own == name);
        field.map_or("", |(_, value)| value)
    }

    fn has_exactly(&self, wanted: &[&str]) -> Result<(), Reply> {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if names == wanted {
            return Ok(());
        }
        Err(Reply::undocumented(format!("the fields are {names:?}")))
    }
}

fn seconds(seconds: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}

fn refusal(code: &str, description: &str) -> Reply {
    let about = "https://docs.github.com/apps/oauth-apps";
    let body: Value = json!({"error": code, "error_description": description, "error_uri": about});
    Reply::json(200, &body)
}
