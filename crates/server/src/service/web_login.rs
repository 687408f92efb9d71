//! Logging in on the pages, and what approvers see there.
//!
//! Guarantees: a login ends in the browser in which it began (`state` and cookie), with a token that was made for it
//! (`nonce`, PKCE); after that it is opened exactly as any other session is. Defended against: logins that somebody else
//! began or that are played again, codes that were caught, and addresses that lead away from this server.

use std::net::IpAddr;
use std::sync::Arc;

use fnox_api::{Problem, ProblemCode, Role, SessionCreated};
use fnox_core::SecretString;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::login::roles;
use super::pending_login::PendingLogin;
use super::{Caller, Service};
use crate::link;
use crate::oidc::{Attempt, CodeFlowError, Provider, VerifiedToken};
use crate::settings::LoginSettings;
use crate::store::ApprovalRecord;

/// Where the provider sends people back to.
pub(crate) const CALLBACK_PATH: &str = "/login/callback";

/// A login that begins.
pub(crate) struct Begun {
    /// Where the browser has to go.
    pub(crate) location: String,
    /// What it has to bring back.
    pub(crate) cookie: String,
}

/// What the provider said by way of the browser (RFC 6749, sections 4.1.2 and 4.1.2.1; RFC 9207).
pub(crate) struct Returned {
    pub(crate) code: Option<SecretString>,
    pub(crate) error: Option<String>,
    pub(crate) issuer: Option<String>,
}

impl Service {
    /// Begins a login. `next` is the approval to show afterwards.
    pub(crate) async fn begin_web_login(&self, next: Option<Uuid>) -> Result<Begun, Problem> {
        let (login, provider) = self.login_provider()?;
        let internal = || Problem::new(ProblemCode::Internal);
        let pending = PendingLogin::begin(self.keys(), next, self.now()).ok_or_else(internal)?;
        let attempt = self.attempt(&pending)?;
        let location = provider
            .authorization(login, &attempt)
            .await
            .map_err(|error| told(&error))?;
        Ok(Begun {
            location: location.into(),
            cookie: pending.seal(self.keys()).ok_or_else(internal)?,
        })
    }

    /// The login that a cookie and a `state` belong to. `None` unless both are of one login of this server.
    pub(crate) fn pending_login(&self, cookie: &str, state: &str) -> Option<PendingLogin> {
        let pending = PendingLogin::open(self.keys(), cookie, self.now())?;
        let expected = self.attempt(&pending).ok()?.state;
        bool::from(expected.as_bytes().ct_eq(state.as_bytes())).then_some(pending)
    }

    /// Finishes a login.
    pub(crate) async fn finish_web_login(
        &self,
        pending: &PendingLogin,
        returned: Returned,
        address: IpAddr,
    ) -> Result<SessionCreated, Problem> {
        let (login, provider) = self.login_provider()?;
        let invalid = |detail: String| Problem::new(ProblemCode::OidcInvalid).with_detail(detail);
        if returned
            .issuer
            .is_some_and(|issuer| issuer != provider.issuer())
        {
            return Err(invalid(
                "the answer is not of the identity provider at which the login began".to_owned(),
            ));
        }
        if let Some(error) = returned.error {
            return Err(refused_there(&error));
        }
        let code = returned.code.ok_or_else(|| {
            Problem::new(ProblemCode::InvalidRequest)
                .with_detail("the identity provider sent neither a code nor an error")
        })?;
        let attempt = self.attempt(pending)?;
        let token = provider
            .exchange(login, &attempt, code)
            .await
            .map_err(|error| told(&error))?;
        let verified = self.verified(token.expose_secret(), address).await?;
        if let Err(claim) = is_of(&verified, login, &attempt) {
            tracing::warn!(%address, claim, "an ID token is not of the login that it came for");
            return Err(
                invalid(format!("the token's `{claim}` is not that of this login")).at_claim(claim),
            );
        }
        let has_no_role = roles(login, &verified.claims).is_empty();
        let entered = self.enter(verified, address).await;
        entered.map_err(|problem| {
            if has_no_role && problem.known_code() == Some(ProblemCode::PolicyDenied) {
                return Problem::new(ProblemCode::RoleMissing).with_detail(NO_ROLE);
            }
            problem
        })
    }

    /// An approval for somebody who decides, and whether this one may.
    pub(crate) async fn approval_for_page(
        &self,
        caller: &Caller,
        id: Uuid,
    ) -> Result<ApprovalRecord, Problem> {
        caller.must_be(&[Role::Approver, Role::Admin])?;
        let found = self.stored(self.store().approval(id).await)?;
        let record = found.ok_or_else(|| Problem::new(ProblemCode::NotFound))?;
        self.at_present(record).await
    }

    /// A nonce for the form with which a session ends.
    pub(crate) fn logout_nonce(&self, caller: &Caller) -> Result<String, Problem> {
        link::nonce(self.keys(), caller.session.id, LOGOUT, 0)
            .ok_or_else(|| Problem::new(ProblemCode::Internal))
    }

    /// Whether a form to log out is of this session.
    pub(crate) fn logout_nonce_is_good(&self, caller: &Caller, given: &str) -> bool {
        link::nonce_is_good(self.keys(), given, caller.session.id, LOGOUT, 0)
    }

    fn login_provider(&self) -> Result<(&LoginSettings, &Arc<Provider>), Problem> {
        let login = self.settings().login.as_ref();
        login
            .and_then(|login| Some((login, self.verifier().provider(&login.issuer)?)))
            .ok_or_else(|| {
                Problem::new(ProblemCode::NotFound).with_detail(
                    "people cannot log in here, since the server's configuration has no `[login]`",
                )
            })
    }

    fn attempt(&self, pending: &PendingLogin) -> Result<Attempt, Problem> {
        let redirect = format!("{}{CALLBACK_PATH}", self.settings().public_url);
        pending
            .attempt(self.keys(), redirect)
            .ok_or_else(|| Problem::new(ProblemCode::Internal))
    }
}

/// OpenID Connect Core 1.0, section 3.1.3.7, beyond what every token is held against. Names the claim that is wrong.
fn is_of(
    verified: &VerifiedToken,
    login: &LoginSettings,
    attempt: &Attempt,
) -> Result<(), &'static str> {
    let claim = |name: &str| verified.claims.get(name);
    if verified.issuer != login.issuer {
        return Err("iss");
    }
    if claim("nonce").and_then(serde_json::Value::as_str) != Some(&attempt.nonce) {
        return Err("nonce");
    }
    // Who it is for has to be clear where it is for several.
    let is_for_several = claim("aud")
        .and_then(serde_json::Value::as_array)
        .is_some_and(|audiences| audiences.len() > 1);
    match claim("azp") {
        None if !is_for_several => Ok(()),
        Some(azp) if azp == login.client_id.as_str() => Ok(()),
        _ => Err("azp"),
    }
}

/// What the provider says through the browser is a stranger's text: only known words are shown.
fn refused_there(error: &str) -> Problem {
    tracing::info!(error = %error.escape_debug(), "the identity provider refused a login");
    let detail = match error {
        "access_denied" => {
            "the identity provider says that you may not, or do not want to, log in here"
        }
        "temporarily_unavailable" | "server_error" => {
            "the identity provider cannot log anybody in at the moment: try again in a minute"
        }
        "login_required" | "interaction_required" | "consent_required" => {
            "the identity provider wants you to log in there first: try again"
        }
        _ => {
            "the identity provider does not accept this server's request: an administrator finds the reason in the \
             server's log"
        }
    };
    Problem::new(ProblemCode::PolicyDenied).with_detail(detail)
}

fn told(error: &CodeFlowError) -> Problem {
    tracing::warn!(%error, "a person could not log in");
    error.problem()
}

/// The subject of nonces in forms that log out.
const LOGOUT: &str = "logout";

const NO_ROLE: &str = "none of your groups has a role on this server; an administrator of your identity provider can put you into one \
                       that has";
