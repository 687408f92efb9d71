//! A strict stand-in for AWS IAM Identity Center: the OIDC service and the access portal, at one address.
//!
//! Checked against the service models `sso-oidc` and `sso` of 2019-06-10 that AWS ships with its SDKs (paths, members,
//! required members, statuses of errors, no signature), and for the order of things against RFC 8628 (device grant),
//! RFC 7636 (PKCE) and RFC 6749 section 6 (refresh). `GET /authorize` is not in the models; its parameters are those that
//! the AWS CLI sends. A member that an operation does not have is undocumented, and so is a value where it has no
//! effect.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::issuer::{Reply, Request, Service};

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What a person did with a device code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing for so many polls, then yes.
    YesAfter(u32),
    /// No.
    No,
    /// Nothing until the code is over.
    Never,
}

/// A client.
#[derive(Debug, Clone)]
pub struct Registration {
    /// `clientId`
    pub id: String,
    /// `clientSecret`
    pub secret: String,
    /// `clientSecretExpiresAt`
    pub expires_at: Timestamp,
    /// `grantTypes`
    pub grants: Vec<String>,
    redirect_uri: Option<String>,
}

/// A login.
#[derive(Debug, Clone)]
pub struct Login {
    /// The token of the portal.
    pub access: String,
    /// The refresh token, good until it is exchanged.
    pub refresh: String,
    /// When the token is over.
    pub expires_at: Timestamp,
    client: String,
}

#[derive(Debug)]
struct DeviceCode {
    code: String,
    client: String,
    polls: u32,
}

#[derive(Debug)]
struct AuthorizationCode {
    code: String,
    client: String,
    redirect_uri: String,
    challenge: String,
}

/// An instance of IAM Identity Center.
#[derive(Debug)]
pub struct IdentityCenter {
    /// The portal's start URL.
    pub start_url: String,
    /// Permission sets: account, name, seconds of a session.
    pub roles: Vec<(String, String, i64)>,
    /// What people do.
    pub decision: Decision,
    /// Seconds that a token lives.
    pub token_life: i64,
    /// Whether a refresh gives a new refresh token, and the old one is over.
    pub rotates: bool,
    /// Whether the portal's session is over, so that nothing can be refreshed.
    pub session_is_over: bool,
    /// Clients.
    pub registrations: Vec<Registration>,
    /// Logins that are good.
    pub logins: Vec<Login>,
    /// Access keys that were given out.
    pub issued: Vec<String>,
    devices: Vec<DeviceCode>,
    codes: Vec<AuthorizationCode>,
    serial: u32,
}

impl IdentityCenter {
    /// The account of [`IdentityCenter::example`].
    pub const ACCOUNT: &'static str = "123456789012";
    /// A permission set of it, with sessions of one hour.
    pub const ROLE: &'static str = "Developer";
    /// Its start URL.
    pub const START_URL: &'static str = "https://d-1234567890.awsapps.com/start";

    /// An instance with one permission set, where people say yes at once.
    #[must_use]
    pub fn example() -> Self {
        Self {
            start_url: Self::START_URL.to_owned(),
            roles: vec![(Self::ACCOUNT.to_owned(), Self::ROLE.to_owned(), 3600)],
            decision: Decision::YesAfter(0),
            token_life: 3600,
            rotates: false,
            session_is_over: false,
            registrations: Vec::new(),
            logins: Vec::new(),
            issued: Vec::new(),
            devices: Vec::new(),
            codes: Vec::new(),
            serial: 0,
        }
    }

    /// A client that somebody registered before.
    pub fn registered(&mut self, now: Timestamp) -> Registration {
        let registration = self.new_registration(now);
        self.registrations.push(registration.clone());
        registration
    }

    fn new_registration(&mut self, now: Timestamp) -> Registration {
        Registration {
            id: self.unique("client"),
            secret: self.unique("client-secret"),
            // 90 days.
            expires_at: now + SignedDuration::from_hours(90 * 24),
            grants: vec![DEVICE.to_owned(), "refresh_token".to_owned()],
            redirect_uri: None,
        }
    }

    /// A login that somebody made before with a client.
    pub fn logged_in(&mut self, client: &Registration, now: Timestamp) -> Login {
        let login = self.new_login(client, now);
        self.logins.push(login.clone());
        login
    }

    fn new_login(&mut self, client: &Registration, now: Timestamp) -> Login {
        Login {
            access: self.unique("access-token"),
            refresh: self.unique("refresh-token"),
            expires_at: now + SignedDuration::from_secs(self.token_life),
            client: client.id.clone(),
        }
    }

    /// Something that turns up nowhere by chance.
    fn unique(&mut self, what: &str) -> String {
        self.serial += 1;
        format!("{what}-{}-{:032x}", self.serial, rand::random::<u128>())
    }

    fn register(&mut self, request: &Request, now: Timestamp) -> Reply {
        let body = match members(
            request,
            &["clientName", "clientType"],
            &["scopes", "redirectUris", "grantTypes", "issuerUrl"],
        ) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        if body["clientType"] != "public" {
            return Reply::undocumented("the only client type is `public`");
        }
        let list = |name: &str| -> Vec<String> {
            let values = body.get(name).and_then(Value::as_array);
            values
                .into_iter()
                .flatten()
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect()
        };
        let grants = list("grantTypes");
        let known = [DEVICE, "authorization_code", "refresh_token"];
        if let Some(other) = grants.iter().find(|grant| !known.contains(&grant.as_str())) {
            return Reply::undocumented(format!("there is no grant {other}"));
        }
        let redirects = list("redirectUris");
        let by_code = grants.iter().any(|grant| grant == "authorization_code");
        if by_code != (redirects.len() == 1) {
            return Reply::undocumented("redirectUris is for authorization_code, which needs it");
        }
        if by_code && body.get("issuerUrl").and_then(Value::as_str) != Some(&self.start_url) {
            return Reply::undocumented("issuerUrl is the start URL");
        }
        if !list("scopes").contains(&"sso:account:access".to_owned()) {
            return error("InvalidScopeException", "invalid_scope", 400);
        }
        let mut registration = self.new_registration(now);
        registration.grants = grants;
        registration.redirect_uri = redirects.into_iter().next();
        self.registrations.push(registration.clone());
        Reply::json(
            200,
            &json!({
                "clientId": registration.id,
                "clientSecret": registration.secret,
                "clientIdIssuedAt": now.as_second(),
                "clientSecretExpiresAt": registration.expires_at.as_second(),
            }),
        )
    }

    /// The registration that a body names, if it is good.
    fn client(&self, body: &Map<String, Value>, now: Timestamp) -> Result<Registration, Reply> {
        let found = self.registrations.iter().find(|registration| {
            body["clientId"] == registration.id.as_str()
                && body["clientSecret"] == registration.secret.as_str()
                && registration.expires_at > now
        });
        found
            .cloned()
            .ok_or_else(|| error("InvalidClientException", "invalid_client", 401))
    }

    fn authorize_device(&mut self, request: &Request, now: Timestamp) -> Reply {
        let body = match members(request, &["clientId", "clientSecret", "startUrl"], &[]) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        let client = match self.client(&body, now) {
            Ok(client) => client,
            Err(reply) => return reply,
        };
        if body["startUrl"] != self.start_url.as_str() {
            return error("InvalidRequestException", "invalid_request", 400);
        }
        if !client.grants.iter().any(|grant| grant == DEVICE) {
            return error("UnauthorizedClientException", "unauthorized_client", 400);
        }
        let code = self.unique("device-code");
        self.devices.push(DeviceCode {
            code: code.clone(),
            client: client.id,
            polls: 0,
        });
        Reply::json(
            200,
            &json!({
                "deviceCode": code,
                "userCode": "ABCD-EFGH",
                "verificationUri": "https://device.sso.us-east-1.amazonaws.com/",
                "verificationUriComplete": "https://device.sso.us-east-1.amazonaws.com/?user_code=ABCD-EFGH",
                "expiresIn": 600,
                "interval": 1,
            }),
        )
    }

    /// The portal's page for people. They say yes.
    fn authorize(&mut self, request: &Request) -> Reply {
        let names = [
            "response_type",
            "client_id",
            "redirect_uri",
            "state",
            "code_challenge_method",
            "scopes",
            "code_challenge",
        ];
        let query = request.query();
        let mut given: Vec<&str> = query.iter().map(|(name, _)| name.as_str()).collect();
        given.sort_unstable();
        let mut wanted = names.to_vec();
        wanted.sort_unstable();
        if given != wanted {
            return Reply::undocumented(format!("the parameters are {given:?}"));
        }
        let value = |name: &str| {
            let found = query.iter().find(|(own, _)| own == name);
            found.map_or("", |(_, value)| value.as_str()).to_owned()
        };
        let redirect_uri = value("redirect_uri");
        let client = self
            .registrations
            .iter()
            .find(|client| client.id == value("client_id"));
        let registered = client.and_then(|client| client.redirect_uri.clone());
        // RFC 8252 section 7.3: any port of the loopback address.
        let without_port = redirect_uri.rsplit_once(':').and_then(|(begin, rest)| {
            let (port, path) = rest.split_once('/')?;
            port.parse::<u16>().ok()?;
            Some(format!("{begin}/{path}"))
        });
        if value("response_type") != "code"
            || value("code_challenge_method") != "S256"
            || registered.is_none()
            || without_port != registered
            || value("code_challenge").len() != 43
            || value("state").len() < 16
            || value("scopes") != "sso:account:access"
        {
            return Reply::undocumented("a parameter has a value that it cannot have");
        }
        let code = self.unique("code");
        self.codes.push(AuthorizationCode {
            code: code.clone(),
            client: value("client_id"),
            redirect_uri: redirect_uri.clone(),
            challenge: value("code_challenge"),
        });
        let state = percent_encoding::utf8_percent_encode(
            &value("state"),
            percent_encoding::NON_ALPHANUMERIC,
        )
        .to_string();
        Reply::empty(302).with(
            "location",
            format!("{redirect_uri}?code={code}&state={state}"),
        )
    }

    fn token(&mut self, request: &Request, now: Timestamp) -> Reply {
        let kind = request.json().unwrap_or_default()["grantType"].clone();
        let own: &[&str] = match kind.as_str() {
            Some(DEVICE) => &["deviceCode"],
            Some("authorization_code") => &["code", "redirectUri", "codeVerifier"],
            Some("refresh_token") => &["refreshToken"],
            _ => {
                return error(
                    "UnsupportedGrantTypeException",
                    "unsupported_grant_type",
                    400,
                );
            }
        };
        let required: Vec<&str> = ["clientId", "clientSecret", "grantType"]
            .into_iter()
            .chain(own.iter().copied())
            .collect();
        let body = match members(request, &required, &[]) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        let client = match self.client(&body, now) {
            Ok(client) => client,
            Err(reply) => return reply,
        };
        if !client.grants.iter().any(|grant| kind == grant.as_str()) {
            return error("UnauthorizedClientException", "unauthorized_client", 400);
        }
        match kind.as_str() {
            Some(DEVICE) => self.by_device(&body, &client, now),
            Some("authorization_code") => self.by_code(&body, &client, now),
            _ => self.by_refresh(&body, &client, now),
        }
    }

    fn by_device(
        &mut self,
        body: &Map<String, Value>,
        client: &Registration,
        now: Timestamp,
    ) -> Reply {
        let at = self
            .devices
            .iter()
            .position(|one| body["deviceCode"] == one.code.as_str() && one.client == client.id);
        let Some(at) = at else {
            return error("InvalidGrantException", "invalid_grant", 400);
        };
        self.devices[at].polls += 1;
        match self.decision {
            Decision::YesAfter(polls) if self.devices[at].polls > polls => {
                self.devices.remove(at);
                let login = self.logged_in(client, now);
                granted(&login, self.token_life, true)
            }
            Decision::YesAfter(_) => error(
                "AuthorizationPendingException",
                "authorization_pending",
                400,
            ),
            Decision::No => error("AccessDeniedException", "access_denied", 400),
            Decision::Never => error("ExpiredTokenException", "expired_token", 400),
        }
    }

    fn by_code(
        &mut self,
        body: &Map<String, Value>,
        client: &Registration,
        now: Timestamp,
    ) -> Reply {
        use base64::Engine as _;
        let at = self
            .codes
            .iter()
            .position(|one| body["code"] == one.code.as_str());
        let Some(code) = at.map(|at| self.codes.remove(at)) else {
            return error("InvalidGrantException", "invalid_grant", 400);
        };
        let verifier = body["codeVerifier"].as_str().unwrap_or_default();
        let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .encode(Sha256::digest(verifier.as_bytes()));
        // RFC 7636 section 4.1: 43 to 128 characters.
        let is_good = (43..=128).contains(&verifier.len())
            && challenge == code.challenge
            && code.client == client.id
            && body["redirectUri"] == code.redirect_uri.as_str();
        if !is_good {
            return error("InvalidGrantException", "invalid_grant", 400);
        }
        let login = self.logged_in(client, now);
        granted(&login, self.token_life, true)
    }

    fn by_refresh(
        &mut self,
        body: &Map<String, Value>,
        client: &Registration,
        now: Timestamp,
    ) -> Reply {
        let at = self.logins.iter().position(|login| {
            body["refreshToken"] == login.refresh.as_str() && login.client == client.id
        });
        let Some(at) = at.filter(|_| !self.session_is_over) else {
            return error("InvalidGrantException", "invalid_grant", 400);
        };
        let old = self.logins.remove(at);
        let mut login = self.new_login(client, now);
        if !self.rotates {
            login.refresh = old.refresh;
        }
        self.logins.push(login.clone());
        granted(&login, self.token_life, self.rotates)
    }

    fn credentials(&mut self, request: &Request, now: Timestamp, is_expired: bool) -> Reply {
        let query = request.query();
        let [(first, one), (second, other)] = &query[..] else {
            return Reply::undocumented("role_name and account_id are the parameters");
        };
        let (role, account) = match (first.as_str(), second.as_str()) {
            ("role_name", "account_id") => (one, other),
            ("account_id", "role_name") => (other, one),
            _ => return Reply::undocumented("role_name and account_id are the parameters"),
        };
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Reply::undocumented("an account has 12 digits");
        }
        let Some(token) = request.header("x-amz-sso_bearer_token") else {
            return Reply::undocumented("the token is missing");
        };
        let is_good = |login: &Login| login.access == token && login.expires_at > now;
        if !self.logins.iter().any(is_good) {
            return portal_error(
                "UnauthorizedException",
                401,
                "Session token not found or invalid",
            );
        }
        let found = self
            .roles
            .iter()
            .find(|(own, name, _)| own == account && name == role);
        let Some((_, _, seconds)) = found else {
            return portal_error("ForbiddenException", 403, "No access");
        };
        let life = SignedDuration::from_secs(if is_expired { -3600 } else { *seconds });
        let key = format!("ASIA{:016X}", rand::random::<u64>());
        self.issued.push(key.clone());
        Reply::json(
            200,
            &json!({"roleCredentials": {
                "accessKeyId": key,
                "secretAccessKey": self.unique("secret"),
                "sessionToken": self.unique("session"),
                "expiration": (now + life).as_millisecond(),
            }}),
        )
    }
}

impl Service for IdentityCenter {
    fn answer(&mut self, request: &Request, now: Timestamp, is_expired: bool) -> Reply {
        if request.header("authorization").is_some() {
            return Reply::undocumented("these operations have no signature");
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/client/register") => self.register(request, now),
            ("POST", "/device_authorization") => self.authorize_device(request, now),
            ("POST", "/token") => self.token(request, now),
            ("GET", "/authorize") => self.authorize(request),
            ("GET", "/federation/credentials") => self.credentials(request, now, is_expired),
            _ => Reply::undocumented("there is no such operation"),
        }
    }
}

/// The members of a JSON body: all that are required, and no others than these.
fn members(
    request: &Request,
    required: &[&str],
    optional: &[&str],
) -> Result<Map<String, Value>, Reply> {
    if !request.query.is_empty() {
        return Err(Reply::undocumented("there is no query"));
    }
    let Some(Value::Object(body)) = request.json() else {
        return Err(Reply::undocumented("the body is not a JSON object"));
    };
    let mut names = body.keys().map(String::as_str);
    if let Some(name) = names.find(|name| !required.contains(name) && !optional.contains(name)) {
        return Err(Reply::undocumented(format!("there is no member {name}")));
    }
    match required.iter().find(|name| !body.contains_key(**name)) {
        Some(name) => Err(Reply::undocumented(format!("{name} is missing"))),
        None => Ok(body),
    }
}

fn granted(login: &Login, seconds: i64, with_refresh: bool) -> Reply {
    let mut body = json!({
        "accessToken": login.access,
        "tokenType": "Bearer",
        "expiresIn": seconds,
    });
    if with_refresh {
        body["refreshToken"] = json!(login.refresh);
    }
    Reply::json(200, &body)
}

/// An error of the OIDC service.
fn error(class: &str, code: &str, status: u16) -> Reply {
    let body = json!({"error": code, "error_description": format!("told by {class}")});
    Reply::json(status, &body).with("x-amzn-errortype", class)
}

/// An error of the portal.
fn portal_error(class: &str, status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"message": message, "__type": class}))
        .with("x-amzn-errortype", class)
}
