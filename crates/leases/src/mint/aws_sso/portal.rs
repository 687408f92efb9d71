//! `GetRoleCredentials` of the access portal.

use fnox_core::{Credential, SecretString};
use jiff::Timestamp;
use reqwest::header::HeaderName;
use serde::Deserialize;

use super::REGION;
use super::oidc::ca_file;
use super::settings::Portal;
use crate::issuer::{self, Call, below};
use crate::mint::aws_sts::PRODUCES;
use crate::mint::{CreateRequest, MintContext, MintError, MintErrorKind};
use crate::wiped::Wiped;

const TOKEN: HeaderName = HeaderName::from_static("x-amz-sso_bearer_token");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    role_credentials: Issued,
}

/// A role's credentials.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Issued {
    access_key_id: Wiped,
    secret_access_key: Wiped,
    session_token: Wiped,
    /// In milliseconds since 1970.
    expiration: i64,
}

/// Asks for the role's credentials. `AuthenticationNeeded` says that the token is not good.
pub(super) async fn role_credentials(
    portal: &Portal,
    context: &MintContext,
    token: &SecretString,
) -> Result<Issued, MintError> {
    let mut issuer = issuer::open("the AWS access portal", context, ca_file(context))?;
    issuer.hide(token);
    // Asking twice gives two sessions that both expire, so it may be asked again.
    let call = Call::get(below(&portal.access, &["federation", "credentials"]))
        .query("role_name", &portal.role_name)
        .query("account_id", &portal.account_id)
        .secret_header(TOKEN, token)?;
    let answer = issuer.send(call).await?;
    if answer.is_success() {
        let answered: Answered = answer.json(&issuer)?;
        return Ok(answered.role_credentials);
    }
    let error = answer.refusal(&issuer);
    let what = format!(
        "{}; asked for the role {} in account {}",
        error.message, portal.role_name, portal.account_id
    );
    Err(match answer.status() {
        401 => error,
        // `ResourceNotFoundException`, and `ForbiddenException` ("No access"), which the description does not have.
        403 | 404 => MintError::new(MintErrorKind::Denied, what).with_remedy(
            "is the permission set assigned to you in this account? `aws sso login` and the portal's page show yours",
        ),
        _ => MintError {
            message: what,
            ..error
        },
    })
}

impl Issued {
    /// The credential, with the region if the lease names one.
    pub(super) fn credential(
        self,
        context: &MintContext,
        request: &CreateRequest,
        region: Option<&str>,
    ) -> Result<Credential, MintError> {
        let incomplete = || {
            MintError::unavailable("the AWS access portal answered without a complete credential")
                .maybe_issued()
        };
        let expires_at = Timestamp::from_millisecond(self.expiration).map_err(|_| incomplete())?;
        let now = context.clock.now();
        if expires_at <= now {
            return Err(MintError::unavailable(format!(
                "the AWS access portal answered with a session that expired at {expires_at}, and it is {now}"
            ))
            .with_remedy("is this machine's clock right?"));
        }
        let values = [
            self.access_key_id,
            self.secret_access_key,
            self.session_token,
        ];
        if values.iter().any(|value| value.0.is_empty()) {
            return Err(incomplete());
        }
        let region = region
            .into_iter()
            .flat_map(|region| REGION.map(|name| (name.to_owned(), SecretString::from(region))));
        Ok(Credential {
            variables: PRODUCES
                .into_iter()
                .zip(values)
                .map(|(name, value)| (name.to_owned(), value.0))
                .chain(region)
                .collect(),
            expires_at: Some(expires_at),
            // The portal has no handle for a session.
            id: request.provisional_id.clone(),
            private: Vec::new(),
        })
    }
}
