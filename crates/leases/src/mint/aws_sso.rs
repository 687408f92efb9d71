//! `aws-sso`: a role's session through AWS IAM Identity Center.
//!
//! The login of a person is shared with the AWS CLI and the SDKs: its token is read from, and written to, their cache
//! (`~/.aws/sso/cache`), under a lock and whole or not at all. A token that nears its end is refreshed; where that does
//! not help, a person logs in again by a code on any device or in a browser, and if nobody can be asked, the error
//! says which command to run. Nothing that lives longer is ever used instead.
//!
//! The role's session lives as long as its permission set says (1 to 12 hours), not as long as is asked for. AWS has no
//! call that withdraws it.
//!
//! Facts: IAM Identity Center Portal API reference (`GetRoleCredentials`) and OIDC API reference (`RegisterClient`,
//! `StartDeviceAuthorization`, `CreateToken`), which agree with the service models `sso` and `sso-oidc` of 2019-06-10 that
//! AWS ships with its SDKs.

mod cache;
mod code;
mod device;
mod login;
mod loopback;
mod oidc;
mod portal;
mod settings;

use std::path::Path;

use async_trait::async_trait;
use fnox_aws::profile_files;
use fnox_config::LeaseConfig;
use fnox_config::spec::AWS_MASTERS;
use fnox_core::{Credential, Env, Lifetime};

use self::cache::{Cache, Token};
use self::login::Session;
use self::settings::{Portal, Settings};
use super::aws_sts::PRODUCES;
use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, MintErrorKind, PlannedCall,
    Prerequisite, RevocationKind,
};
use crate::error::LeaseError;

/// What decides which files are read and who is asked.
const DECISIVE: [&str; 5] = [
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ENDPOINT_URL_SSO",
    "AWS_ENDPOINT_URL_SSO_OIDC",
    "AWS_ENDPOINT_URL",
];

/// The region's variables: the AWS CLI of version 1 and boto3 read only the second one.
const REGION: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

#[derive(Debug)]
struct AwsSso {
    settings: Settings,
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for keys that are missing or that AWS would refuse.
pub(crate) fn open(lease: &LeaseConfig, _: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    Ok(Box::new(AwsSso {
        settings: Settings::read(lease)?,
    }))
}

#[async_trait]
impl Mint for AwsSso {
    /// What is asked for has no effect; whatever a person writes as `duration` up to AWS's longest session is fine.
    fn limits(&self) -> Limits {
        Limits {
            minimum: Lifetime::from_secs(1),
            maximum: Lifetime::from_secs(12 * 3600),
        }
    }

    fn produces(&self) -> Vec<String> {
        let region = self.settings.region.iter().flat_map(|_| REGION);
        PRODUCES
            .into_iter()
            .chain(region)
            .map(str::to_owned)
            .collect()
    }

    fn consumes(&self) -> Consumes {
        Consumes::Names(DECISIVE.map(str::to_owned).to_vec())
    }

    fn surroundings(&self, env: &Env) -> Vec<String> {
        match Portal::of(&self.settings, env) {
            Ok(portal) => portal.facts(),
            Err(error) => vec![error.message],
        }
    }

    fn withholds(&self, _: &dyn Fn(&str) -> bool) -> Vec<String> {
        AWS_MASTERS.iter().copied().map(str::to_owned).collect()
    }

    fn revocation(&self) -> RevocationKind {
        RevocationKind::ExpiresOnly
    }

    /// Whether somebody is logged in, `create` finds out. To skip the lease would hide that.
    fn prerequisites(&self, _: &MintContext) -> Prerequisite {
        Prerequisite::Present
    }

    fn explain(&self, context: &MintContext, _: &CreateRequest) -> Vec<PlannedCall> {
        match Portal::of(&self.settings, &context.env) {
            Ok(portal) => login::explain(&self.settings, &portal, context),
            Err(error) => vec![PlannedCall {
                action: "read".to_owned(),
                target: profile_files::config(&context.env)
                    .map_or_else(|| "no file".to_owned(), |path| path.display().to_string()),
                purpose: format!("find the access portal, which fails: {}", error.message),
                master: "nobody".to_owned(),
                details: Vec::new(),
            }],
        }
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        let portal = Portal::of(&self.settings, &context.env)?;
        let mut session = Session::new(&self.settings, &portal, context)?;
        let mut token = session.token().await?;
        loop {
            let issued = portal::role_credentials(&portal, context, &token.access).await;
            match issued {
                // The token looked good and is not: the session was ended, or another login replaced it.
                Err(error) if error.kind == MintErrorKind::AuthenticationNeeded => {
                    token = session.after_refusal(&token, error).await?;
                }
                Err(error) => return Err(error),
                Ok(issued) => {
                    return issued.credential(context, request, self.settings.region.as_deref());
                }
            }
        }
    }
}
