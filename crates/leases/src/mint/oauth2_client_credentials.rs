//! `oauth2-client-credentials`: an access token by the client credentials grant (RFC 6749 section 4.4), or by a refresh
//! token that a person got once (section 6).
//!
//! The client authenticates with its secret by Basic, both parts form-encoded (RFC 6749 section 2.3.1), or in the body. A
//! server with a revocation endpoint (RFC 7009) withdraws the token. A token has no name, so one whose answer was lost
//! cannot be found: it ends by itself.

mod rotation;

use std::path::Path;

use async_trait::async_trait;
use fnox_config::LeaseConfig;
use fnox_core::name::is_variable_name;
use fnox_core::{Credential, Lifetime, SecretString};
use jiff::SignedDuration;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use self::rotation::Login;
use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, MintErrorKind, PlannedCall,
    Prerequisite, PromptField, RevocationKind, RevokeRequest,
};
use crate::error::LeaseError;
use crate::issuer::{self, Answer, Call, Issuer, parse};
use crate::wiped::Wiped;

const SECRET: &str = "OAUTH2_CLIENT_SECRET";
const REFRESH_TOKEN: &str = "OAUTH2_REFRESH_TOKEN";

/// Parameters that the lease sets itself, and those of other ways of client authentication (RFC 7521 section 4.2). None may
/// come twice (RFC 6749 section 3.2).
const RESERVED: [&str; 8] = [
    "grant_type",
    "refresh_token",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "scope",
    "audience",
];

/// A life that nobody means: ten years.
const LONGEST: i64 = 10 * 365 * 24 * 3600;

#[derive(Debug)]
struct ClientCredentials {
    token_url: Url,
    revocation_url: Option<Url>,
    client_id: String,
    secret_variable: String,
    /// Where the first refresh token is, for the grant of that name.
    refresh_variable: Option<String>,
    in_body: bool,
    scope: Option<String>,
    audience: Option<String>,
    parameters: Vec<(String, String)>,
    env_var: String,
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for an address that is not safe or a parameter that is not the configuration's to set.
pub(crate) fn open(lease: &LeaseConfig, _: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    let fields = &lease.fields;
    let text = |key: &str| fields.text(key).map(str::to_owned);
    let url = |key: &'static str| match fields.text(key) {
        None => Ok(None),
        Some(text) => parse(text)
            .map(Some)
            .map_err(|reason| fields.invalid(key, reason)),
    };
    let token_url = url("token_url")?
        .ok_or_else(|| fields.invalid("token_url", "must be the token endpoint"))?;
    let client_id = text("client_id").unwrap_or_default();
    // RFC 6749 appendix A.1: printable ASCII.
    if client_id.is_empty() || !client_id.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Err(fields
            .invalid("client_id", "must be the id of a client")
            .into());
    }
    let secret_variable = text("client_secret_variable").unwrap_or_else(|| SECRET.to_owned());
    let refresh_variable = match (fields.text("grant"), text("refresh_token_variable")) {
        (Some("refresh_token"), variable) => {
            Some(variable.unwrap_or_else(|| REFRESH_TOKEN.to_owned()))
        }
        (_, None) => None,
        (_, Some(_)) => {
            let reason = "is for `grant = \"refresh_token\"`";
            return Err(fields.invalid("refresh_token_variable", reason).into());
        }
    };
    let env_var = text("env_var").unwrap_or_else(|| "OAUTH2_ACCESS_TOKEN".to_owned());
    for (key, name) in [
        ("client_secret_variable", &secret_variable),
        (
            "refresh_token_variable",
            refresh_variable.as_ref().unwrap_or(&env_var),
        ),
        ("env_var", &env_var),
    ] {
        if !is_variable_name(name) {
            return Err(fields.invalid(key, "must be the name of a variable").into());
        }
    }
    let mut parameters = Vec::new();
    for (name, value) in fields.map("params").into_iter().flatten() {
        if RESERVED.contains(&name.as_str()) {
            let reason = format!("has `{name}`, which the lease sets itself");
            return Err(fields.invalid("params", reason).into());
        }
        parameters.push((name.clone(), value.clone()));
    }
    Ok(Box::new(ClientCredentials {
        token_url,
        revocation_url: url("revocation_url")?,
        client_id,
        secret_variable,
        refresh_variable,
        in_body: fields.text("auth_method") == Some("post"),
        scope: text("scope"),
        audience: text("audience"),
        parameters,
        env_var,
    }))
}

/// RFC 6749 section 5.1.
#[derive(Deserialize)]
struct Issued {
    access_token: Wiped,
    token_type: Option<String>,
    expires_in: Option<Value>,
    refresh_token: Option<Wiped>,
}

#[async_trait]
impl Mint for ClientCredentials {
    fn limits(&self) -> Limits {
        Limits {
            minimum: Lifetime::from_secs(1),
            maximum: Lifetime::from_secs(24 * 3600),
        }
    }

    fn produces(&self) -> Vec<String> {
        vec![self.env_var.clone()]
    }

    fn consumes(&self) -> Consumes {
        Consumes::Names(self.masters())
    }

    fn withholds(&self, _: &dyn Fn(&str) -> bool) -> Vec<String> {
        self.masters()
    }

    fn revocation(&self) -> RevocationKind {
        match self.revocation_url {
            Some(_) => RevocationKind::Supported,
            None => RevocationKind::ExpiresOnly,
        }
    }

    /// Nothing is known of a token whose answer was lost but that no lease of this type lives longer.
    fn unfindable(&self) -> Option<Lifetime> {
        Some(self.limits().maximum)
    }

    fn prerequisites(&self, context: &MintContext) -> Prerequisite {
        let (variable, what) = match &self.refresh_variable {
            Some(variable) => (variable, "OAuth refresh token"),
            None => (&self.secret_variable, "OAuth client secret"),
        };
        if context.env.var(variable).is_some() {
            return Prerequisite::Present;
        }
        Prerequisite::Missing {
            message: format!("{what} not found. Set {variable}."),
            prompts: vec![PromptField {
                variable: variable.clone(),
                description: what.to_owned(),
                secret: true,
                optional: false,
            }],
        }
    }

    fn explain(&self, _: &MintContext, _: &CreateRequest) -> Vec<PlannedCall> {
        let details = self.fields().into_iter();
        vec![PlannedCall {
            action: "POST".to_owned(),
            target: shown(&self.token_url),
            purpose: "get an access token".to_owned(),
            master: match &self.refresh_variable {
                Some(variable) => format!("client {} (refresh token {variable})", self.client_id),
                None => format!(
                    "client {} (secret {})",
                    self.client_id, self.secret_variable
                ),
            },
            details: details
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }]
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        let mut issuer = issuer::open("the token server", context, None)?;
        let secret = self.secret(context)?;
        if let Some(secret) = &secret {
            issuer.hide(secret);
        }
        let login = self.login(context).await?;
        let mut fields = self.fields();
        if let Some(login) = &login {
            issuer.hide(login.current());
            fields.push(("refresh_token", login.current().expose_secret()));
        }
        // The clock is read before the call, so that the end of the token is not told later than it is.
        let asked_at = context.clock.now();
        let call = self.authenticated(self.token_url.clone(), fields, secret.as_ref())?;
        let answer = issuer.send(call.changes()).await?;
        // Some servers refuse with status 200.
        if !answer.is_success() || code(&answer).is_some() {
            return Err(self.refused(&answer, &issuer));
        }
        let answered: Issued = answer.json(&issuer)?;
        let next = answered.refresh_token.as_ref().map(|token| &token.0);
        if let (Some(login), Some(next)) = (&login, next.filter(|next| !next.is_empty())) {
            login.replace(next)?;
        }
        check(&answered, &issuer)?;
        let seconds = seconds(&answered, request.duration);
        if !(1..=LONGEST).contains(&seconds) {
            return Err(MintError::unavailable(
                "the token server answered with a token that has expired already, or with a life that is none",
            )
            .maybe_issued());
        }
        Ok(Credential {
            variables: vec![(self.env_var.clone(), answered.access_token.0)],
            expires_at: asked_at
                .checked_add(SignedDuration::from_secs(seconds))
                .ok(),
            id: request
                .provisional_id
                .replacen("oauth2-client-credentials", "oauth2", 1),
            private: Vec::new(),
        })
    }

    async fn revoke(
        &self,
        context: &MintContext,
        request: &RevokeRequest,
    ) -> Result<(), MintError> {
        let Some(url) = &self.revocation_url else {
            return Err(MintError::misconfigured(
                "revocation_url",
                "there is no `revocation_url`, so the token only expires",
            ));
        };
        // The lease's `env_var` may have been another one when the token was made.
        let credential = request.credential.as_ref();
        let Some((_, token)) = credential.and_then(|credential| credential.variables.first())
        else {
            return Err(MintError::misconfigured(
                "type",
                "a token is withdrawn with the token itself, which is not on record: it only expires",
            ));
        };
        let mut issuer = issuer::open("the token server", context, None)?;
        issuer.hide(token);
        let secret = self.secret(context)?;
        if let Some(secret) = &secret {
            issuer.hide(secret);
        }
        let fields = vec![
            ("token", token.expose_secret()),
            ("token_type_hint", "access_token"),
        ];
        let answer = issuer
            .send(self.authenticated(url.clone(), fields, secret.as_ref())?)
            .await?;
        // RFC 7009 section 2.2: 200 also for a token that the server does not know.
        if answer.status() == 200 {
            return Ok(());
        }
        Err(self.refused(&answer, &issuer))
    }
}

impl ClientCredentials {
    fn fields(&self) -> Vec<(&str, &str)> {
        let grant = match self.refresh_variable {
            Some(_) => "refresh_token",
            None => "client_credentials",
        };
        let mut fields = vec![("grant_type", grant)];
        fields.extend(self.scope.as_deref().map(|scope| ("scope", scope)));
        fields.extend(
            self.audience
                .as_deref()
                .map(|audience| ("audience", audience)),
        );
        let own = self.parameters.iter();
        fields.extend(own.map(|(name, value)| (name.as_str(), value.as_str())));
        fields
    }

    /// Where its masters are.
    fn masters(&self) -> Vec<String> {
        let secret = [self.secret_variable.clone()].into_iter();
        secret.chain(self.refresh_variable.clone()).collect()
    }

    /// The client's secret. A public client has none (RFC 6749 section 2.1), and only people's logins are for those.
    fn secret(&self, context: &MintContext) -> Result<Option<SecretString>, MintError> {
        match context.env.secret(&self.secret_variable) {
            None if self.refresh_variable.is_none() => Err(MintError::authentication(format!(
                "{} is not set",
                self.secret_variable
            ))),
            secret => Ok(secret),
        }
    }

    /// The login that a refresh token continues, if the lease has one.
    async fn login(&self, context: &MintContext) -> Result<Option<Login>, MintError> {
        let Some(variable) = &self.refresh_variable else {
            return Ok(None);
        };
        let first = context
            .env
            .secret(variable)
            .ok_or_else(|| MintError::authentication(format!("{variable} is not set")))?;
        let login = Login::open(context, self.token_url.as_str(), &self.client_id, &first);
        login.await.map(Some)
    }

    fn authenticated<'f>(
        &'f self,
        url: Url,
        mut fields: Vec<(&'f str, &'f str)>,
        secret: Option<&'f SecretString>,
    ) -> Result<Call, MintError> {
        let call = Call::post(url);
        let Some(secret) = secret else {
            fields.push(("client_id", &self.client_id));
            return Ok(call.form(&fields));
        };
        if self.in_body {
            fields.push(("client_id", &self.client_id));
            fields.push(("client_secret", secret.expose_secret()));
            return Ok(call.form(&fields));
        }
        let encode = |text: &str| -> String {
            url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
        };
        let password = SecretString::new(encode(secret.expose_secret()));
        Ok(call
            .form(&fields)
            .basic(&encode(&self.client_id), &password)?)
    }

    /// RFC 6749 section 5.2.
    fn refused(&self, answer: &Answer, issuer: &Issuer) -> MintError {
        let mut error = answer.refusal(issuer);
        let code = code(answer);
        if error.kind == MintErrorKind::Unavailable {
            if code.is_none() {
                return error.maybe_issued();
            }
            let said = issuer.cleaned(&answer.said().unwrap_or_default());
            error = MintError::new(
                MintErrorKind::Misconfigured,
                format!("the token server refused the request: {said}"),
            );
        }
        error.message = format!("{}; as client {}", error.message, self.client_id);
        match code.as_deref().unwrap_or_default() {
            "invalid_client" => {
                error.kind = MintErrorKind::AuthenticationNeeded;
                error.with_remedy(format!(
                    "is {} the secret of client {}, and does the server want `auth_method = \"{}\"`?",
                    self.secret_variable,
                    self.client_id,
                    if self.in_body { "basic" } else { "post" }
                ))
            }
            "server_error" | "temporarily_unavailable" => {
                error.kind = MintErrorKind::Unavailable;
                error.with_remedy("wait a little and try again")
            }
            "unauthorized_client" | "access_denied" => {
                error.kind = MintErrorKind::Denied;
                error.with_remedy(format!(
                    "the server does not let client {} use the client credentials grant, or not for this `audience`",
                    self.client_id
                ))
            }
            "invalid_grant" => {
                error.kind = MintErrorKind::AuthenticationNeeded;
                error.with_remedy(match &self.refresh_variable {
                    Some(variable) => format!(
                        "the login is over, or somebody else has used its refresh token: log in again, and set {variable}"
                    ),
                    None => "the server wants another grant".to_owned(),
                })
            }
            "invalid_scope" => {
                error.kind = MintErrorKind::Misconfigured;
                error.key = Some("scope");
                error.with_remedy("ask for scopes that the client was given")
            }
            "invalid_request" | "unsupported_grant_type" | "invalid_target" => {
                error.kind = MintErrorKind::Misconfigured;
                error.with_remedy("does the server want `audience`, `scope` or one of `params`?")
            }
            _ => error,
        }
    }
}

/// Whether an answer has a token that can be handed out.
fn check(answered: &Issued, issuer: &Issuer) -> Result<(), MintError> {
    if answered.access_token.0.is_empty() {
        let error = MintError::unavailable("the token server answered without a token");
        return Err(error.maybe_issued());
    }
    // "The client MUST NOT use an access token if it does not understand the token type" (section 7.1).
    match &answered.token_type {
        Some(kind) if !kind.eq_ignore_ascii_case("bearer") => Err(MintError::unavailable(format!(
            "the token server answered with a token of the type `{}`, and only bearer tokens can be handed out",
            issuer.cleaned(kind)
        ))
        .maybe_issued()),
        _ => Ok(()),
    }
}

/// How long a token lives; 0 for what is no life.
fn seconds(answered: &Issued, duration: Lifetime) -> i64 {
    match &answered.expires_in {
        // "RECOMMENDED. If omitted, the authorization server SHOULD provide the expiration time via other means".
        None | Some(Value::Null) => i64::try_from(duration.as_secs()).unwrap_or(LONGEST),
        Some(Value::Number(number)) => whole(number).unwrap_or(0),
        Some(Value::String(text)) => text.trim().parse().unwrap_or(0),
        Some(_) => 0,
    }
}

/// Seconds, also where a server writes them with a fraction, such as `3600.0`.
fn whole(number: &serde_json::Number) -> Option<i64> {
    number
        .as_i64()
        .or_else(|| format!("{:.0}", number.as_f64()?.floor()).parse().ok())
}

/// The `error` of a refusal (section 5.2).
fn code(answer: &Answer) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let refusal: Refusal = serde_json::from_slice(&answer.body).ok()?;
    Some(refusal.error)
}

/// An address without its query, which may hold a key.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}
