//! From a master to an access token with which the lease's service account is impersonated.

use std::path::Path;

use fnox_core::SecretString;
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use reqwest::header::HeaderName;
use serde::Deserialize;

use super::file::{self, AuthorizedUser, Credentials, ExternalAccount, ServiceAccountKey};
use super::generate::{self, Impersonation};
use super::settings::{DEFAULT_UNIVERSE, Settings, is_account, is_domain};
use super::source::Source;
use super::{CLOUD_PLATFORM, KEY, assertion, external, refusal};
use crate::issuer::{self, Answer, Call, Issuer};
use crate::jwt;
use crate::mint::{MintContext, MintError, PlannedCall};
use crate::wiped::Wiped;

/// "Using OAuth 2.0 for Server to Server Applications": the audience is "always <https://oauth2.googleapis.com/token>".
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

const TOKEN_CREATOR: &str = "roles/iam.serviceAccountTokenCreator";

/// A master that has logged in.
pub(super) struct Login {
    pub(super) token: SecretString,
    /// When the token stops working, as far as that is told.
    pub(super) expires_at: Option<Timestamp>,
    /// Whose token it is, for people.
    pub(super) principal: String,
    /// What the OIDC token said that was exchanged for it.
    pub(super) claims: Option<String>,
    /// The role that lets this kind of principal impersonate.
    pub(super) role: &'static str,
    /// The IAM Service Account Credentials API.
    pub(super) endpoint: Url,
    /// The domain of the cloud.
    pub(super) universe: String,
    /// The project that the master names for quotas.
    pub(super) quota_project: Option<String>,
}

/// Logs in.
pub(super) async fn log_in(
    settings: &Settings,
    source: &Source,
    context: &MintContext,
    issuer: &mut Issuer,
) -> Result<Login, MintError> {
    let name = source.name();
    let mut attempt = Attempt {
        settings,
        context,
        issuer,
    };
    let login = match source {
        Source::Federation => attempt.federate().await,
        Source::Instance { host } => attempt.ask_machine(host).await,
        Source::Key => {
            let text = context.env.secret(KEY).unwrap_or_else(|| "".into());
            let credentials = file::parse(&text, &name)?;
            attempt.with_file(&credentials, &name, Path::new("/")).await
        }
        Source::File { path, .. } => {
            let credentials = file::parse(&file::read(path)?, &name)?;
            let folder = path.parent().unwrap_or(Path::new("/"));
            attempt.with_file(&credentials, &name, folder).await
        }
    }?;
    issuer.hide(&login.token);
    Ok(login)
}

/// The call that [`log_in`] would make.
pub(super) fn explain(settings: &Settings, source: Option<&Source>) -> Vec<PlannedCall> {
    let configured = |url: &Option<Url>| url.as_ref().map(Url::to_string);
    let (action, target, purpose) = match source {
        Some(Source::Federation) => (
            "POST",
            configured(&settings.sts_endpoint).unwrap_or_else(|| sts_url(settings.universe(None))),
            "exchange the OIDC token for an access token of the pool's principal",
        ),
        Some(Source::Instance { host }) => (
            "GET",
            metadata_url(host),
            "get an access token of the machine's service account",
        ),
        // What kind of master a file holds, only reading it could tell.
        _ => (
            "POST",
            configured(&settings.token_endpoint)
                .unwrap_or_else(|| "the token endpoint that the master names".to_owned()),
            "log in as the master",
        ),
    };
    vec![PlannedCall {
        action: action.to_owned(),
        target,
        purpose: purpose.to_owned(),
        master: source.map_or_else(|| "nothing that is there".to_owned(), Source::name),
        details: match &settings.federation {
            Some(federation) => vec![
                ("audience".to_owned(), federation.provider.clone()),
                (
                    "token's audience".to_owned(),
                    federation.token.audience().to_owned(),
                ),
            ],
            None => vec![("scope".to_owned(), CLOUD_PLATFORM.to_owned())],
        },
    }]
}

/// An OIDC token, or another one, to be exchanged.
struct Exchange<'a> {
    url: Url,
    audience: &'a str,
    token: &'a SecretString,
    token_type: &'a str,
    client: Option<(&'a str, &'a SecretString)>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Wiped,
    /// Seconds.
    expires_in: Option<i64>,
}

/// A token, and when it stops working.
type Ending = (SecretString, Option<Timestamp>);

struct Attempt<'a> {
    settings: &'a Settings,
    context: &'a MintContext,
    issuer: &'a mut Issuer,
}

impl Attempt<'_> {
    async fn with_file(
        &mut self,
        credentials: &Credentials,
        name: &str,
        folder: &Path,
    ) -> Result<Login, MintError> {
        match credentials {
            Credentials::Key(key) => self.with_key(key, name).await,
            Credentials::User(user) => self.with_user(user, name).await,
            Credentials::External(account) => self.with_external(account, name, folder).await,
        }
    }

    async fn with_key(&mut self, key: &ServiceAccountKey, name: &str) -> Result<Login, MintError> {
        self.issuer.hide(&key.private_key.0);
        let endpoint = self.endpoint(key.universe_domain.as_deref(), name)?;
        let universe = self.settings.universe(key.universe_domain.as_deref());
        let now = self.context.clock.now();
        let (token, expires_at) = if universe == DEFAULT_UNIVERSE {
            let token_uri = key.token_uri.as_deref().unwrap_or(TOKEN_URI);
            let url = self.token_url(token_uri, name)?;
            let assertion = assertion::for_token_endpoint(key, token_uri, name, now)?;
            let call = Call::post(url).form(&[
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("assertion", assertion.expose_secret()),
            ]);
            let remedy = format!(
                "is the key of {} still there and enabled (`gcloud iam service-accounts keys list`)?",
                key.client_email
            );
            self.token(call, None, &remedy).await?
        } else {
            (assertion::for_apis(key, name, now)?, assertion::end(now))
        };
        Ok(Login {
            token,
            expires_at,
            principal: format!("serviceAccount:{}", key.client_email),
            claims: None,
            role: TOKEN_CREATOR,
            endpoint,
            universe: universe.to_owned(),
            quota_project: key.quota_project_id.clone(),
        })
    }

    /// RFC 6749 section 6.
    async fn with_user(&mut self, user: &AuthorizedUser, name: &str) -> Result<Login, MintError> {
        self.issuer.hide(&user.client_secret.0);
        self.issuer.hide(&user.refresh_token.0);
        let endpoint = self.endpoint(user.universe_domain.as_deref(), name)?;
        let url = self.token_url(user.token_uri.as_deref().unwrap_or(TOKEN_URI), name)?;
        let call = Call::post(url).form(&[
            ("grant_type", "refresh_token"),
            ("client_id", &user.client_id),
            ("client_secret", user.client_secret.0.expose_secret()),
            ("refresh_token", user.refresh_token.0.expose_secret()),
        ]);
        let remedy = "log in again with `gcloud auth application-default login`";
        let (token, expires_at) = self.token(call, None, remedy).await?;
        let universe = self.settings.universe(user.universe_domain.as_deref());
        Ok(Login {
            token,
            expires_at,
            principal: format!("the user who is logged in by {name}"),
            claims: None,
            role: TOKEN_CREATOR,
            endpoint,
            universe: universe.to_owned(),
            quota_project: user.quota_project_id.clone(),
        })
    }

    async fn with_external(
        &mut self,
        account: &ExternalAccount,
        name: &str,
        folder: &Path,
    ) -> Result<Login, MintError> {
        let endpoint = self.endpoint(account.universe_domain.as_deref(), name)?;
        let universe = self.settings.universe(account.universe_domain.as_deref());
        if let Some(secret) = &account.client_secret {
            self.issuer.hide(&secret.0);
        }
        let url = match (&self.settings.sts_endpoint, &account.token_url) {
            (Some(url), _) => url.clone(),
            (None, Some(url)) => parsed(url, "token_url", name)?,
            (None, None) => address(&sts_url(universe))?,
        };
        let source = &account.credential_source;
        let token = external::subject_token(source, name, folder, self.issuer).await?;
        let secret = account.client_secret.as_ref().map(|secret| &secret.0);
        let exchange = Exchange {
            url,
            audience: &account.audience,
            token: &token,
            token_type: &account.subject_token_type,
            client: account.client_id.as_deref().zip(secret),
        };
        let login = Login {
            universe: universe.to_owned(),
            quota_project: account.quota_project_id.clone(),
            ..self.exchange(&exchange, endpoint).await?
        };
        match &account.service_account_impersonation_url {
            None => Ok(login),
            Some(url) => {
                let between = impersonated(url).ok_or_else(|| {
                    file::wrong(
                        name,
                        "has a `service_account_impersonation_url` that names no service account",
                    )
                })?;
                self.through(login, between).await
            }
        }
    }

    /// The file names a service account that its token stands for. If that is not the lease's own, it is the master.
    async fn through(&mut self, login: Login, account: &str) -> Result<Login, MintError> {
        if account == self.settings.account {
            return Ok(login);
        }
        self.issuer.hide(&login.token);
        let wanted = Impersonation {
            account,
            delegates: &[],
            scopes: &[CLOUD_PLATFORM.to_owned()],
            // For a lease it is used once, at once; a provider may ask for longer.
            seconds: self.settings.seconds_between,
        };
        let (token, expires_at) = generate::access_token(self.issuer, &login, &wanted).await?;
        Ok(Login {
            token,
            expires_at: Some(expires_at),
            principal: format!("serviceAccount:{account}"),
            role: TOKEN_CREATOR,
            ..login
        })
    }

    async fn federate(&mut self) -> Result<Login, MintError> {
        let none = || MintError::authentication("there is no OIDC token to exchange");
        let federation = self.settings.federation.as_ref().ok_or_else(none)?;
        let token = federation
            .token
            .fetch(self.context)
            .await?
            .ok_or_else(none)?;
        let endpoint = self.endpoint(None, "the lease")?;
        let exchange = Exchange {
            url: match &self.settings.sts_endpoint {
                Some(url) => url.clone(),
                None => address(&sts_url(self.settings.universe(None)))?,
            },
            audience: &federation.provider,
            token: &token,
            token_type: "urn:ietf:params:oauth:token-type:jwt",
            client: None,
        };
        self.exchange(&exchange, endpoint).await
    }

    /// RFC 8693 section 2.1; discovery document `sts` v1.
    async fn exchange(
        &mut self,
        exchange: &Exchange<'_>,
        endpoint: Url,
    ) -> Result<Login, MintError> {
        self.issuer.hide(exchange.token);
        let claims = jwt::described(exchange.token);
        let mut call = Call::post(exchange.url.clone()).form(&[
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("audience", exchange.audience),
            ("scope", CLOUD_PLATFORM),
            (
                "requested_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
            ("subject_token", exchange.token.expose_secret()),
            ("subject_token_type", exchange.token_type),
        ]);
        if let Some((id, secret)) = exchange.client {
            call = call.basic(id, secret)?;
        }
        let remedy = "compare these claims with the provider's issuer, allowed audiences and attribute condition; \
                      a token that has expired is refused too";
        let (token, expires_at) = self.token(call, Some(&claims), remedy).await?;
        let pool = exchange
            .audience
            .split("/providers/")
            .next()
            .unwrap_or_default();
        let subject = jwt::claims(exchange.token)
            .and_then(|claims| Some(claims.get("sub")?.as_str()?.to_owned()))
            .map_or_else(
                || "SUBJECT".to_owned(),
                |subject| self.issuer.cleaned(&subject),
            );
        Ok(Login {
            token,
            expires_at,
            // "Principal identifiers"; the subject is `sub` unless the provider maps another claim.
            principal: format!("principal:{pool}/subject/{subject}"),
            claims: Some(claims),
            role: "roles/iam.workloadIdentityUser",
            endpoint,
            universe: self.settings.universe(None).to_owned(),
            quota_project: None,
        })
    }

    /// Compute Engine, "Authenticate applications directly with access tokens": the header keeps out requests that a
    /// program was talked into.
    async fn ask_machine(&mut self, host: &str) -> Result<Login, MintError> {
        let url = issuer::parse_of_machine(&metadata_url(host)).map_err(|reason| {
            MintError::authentication(format!("the address of GCE_METADATA_HOST {reason}"))
        })?;
        let call = Call::get(url)
            .query("scopes", CLOUD_PLATFORM)
            .header(HeaderName::from_static("metadata-flavor"), "Google")?;
        let remedy = "has the machine a service account with the scope cloud-platform?";
        let (token, expires_at) = self.token(call, None, remedy).await?;
        Ok(Login {
            token,
            expires_at,
            principal: "the machine's service account".to_owned(),
            claims: None,
            role: TOKEN_CREATOR,
            endpoint: self.endpoint(None, "the machine")?,
            universe: self.settings.universe(None).to_owned(),
            quota_project: None,
        })
    }

    async fn token(
        &self,
        call: Call,
        claims: Option<&str>,
        remedy: &str,
    ) -> Result<Ending, MintError> {
        // The clock is read before the call, so that the end of the token is not told later than it is.
        let asked_at = self.context.clock.now();
        let answer: Answer = self.issuer.send(call).await?;
        if !answer.is_success() {
            return Err(refusal::of_login(&answer, self.issuer, claims, remedy));
        }
        let answer: TokenAnswer = answer.json(self.issuer)?;
        let token = answer.access_token.0;
        if token.is_empty() {
            return Err(MintError::unavailable("Google answered without a token"));
        }
        let end = |seconds| {
            asked_at
                .checked_add(SignedDuration::from_secs(seconds))
                .ok()
        };
        Ok((token, answer.expires_in.and_then(end)))
    }

    /// The lease's own endpoint, or that of the master's cloud.
    fn endpoint(&self, universe: Option<&str>, name: &str) -> Result<Url, MintError> {
        let wanted = self.settings.universe.as_deref();
        if let Some(found) = universe.filter(|found| wanted.is_some_and(|own| own != *found)) {
            return Err(MintError::misconfigured(
                "universe_domain",
                format!(
                    "`universe_domain` is another one than that of the credentials of {name}: {}",
                    found.escape_debug()
                ),
            ));
        }
        if let Some(url) = &self.settings.endpoint {
            return Ok(url.clone());
        }
        let universe = self.settings.universe(universe);
        if !is_domain(universe) {
            return Err(file::wrong(
                name,
                "has a `universe_domain` that is no domain",
            ));
        }
        address(&format!("https://iamcredentials.{universe}"))
    }

    fn token_url(&self, of_master: &str, name: &str) -> Result<Url, MintError> {
        match &self.settings.token_endpoint {
            Some(url) => Ok(url.clone()),
            None => parsed(of_master, "token_uri", name),
        }
    }
}

fn sts_url(universe: &str) -> String {
    format!("https://sts.{universe}/v1/token")
}

fn metadata_url(host: &str) -> String {
    format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token")
}

fn parsed(url: &str, key: &str, name: &str) -> Result<Url, MintError> {
    issuer::parse(url).map_err(|reason| file::wrong(name, &format!("has a `{key}` that {reason}")))
}

fn address(url: &str) -> Result<Url, MintError> {
    issuer::address("universe_domain", url)
}

/// The service account of `https://iamcredentials.…/v1/projects/-/serviceAccounts/ACCOUNT:generateAccessToken`. Only its
/// name is taken: whom to ask, the file does not decide.
fn impersonated(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("/serviceAccounts/")?;
    let account = rest.strip_suffix(":generateAccessToken")?;
    is_account(account).then_some(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_is_taken_from_an_impersonation_url() {
        let of =
            |account: &str| format!("https://evil.example/v1/projects/-/serviceAccounts/{account}");
        assert_eq!(
            impersonated(&of("a@p.iam:generateAccessToken")),
            Some("a@p.iam")
        );
        for wrong in [
            "a@p.iam",
            "a/b:generateAccessToken",
            ":generateAccessToken",
            "a:signJwt",
        ] {
            assert_eq!(impersonated(&of(wrong)), None, "{wrong}");
        }
    }
}
