//! `aws-roles-anywhere`: a role's session for an X.509 certificate, through AWS IAM Roles Anywhere.
//!
//! `CreateSession` is signed with the certificate's private key, which stays here: what AWS gets is the certificate and a
//! signature over this one call. Sessions cannot be withdrawn, they only expire; a certificate that is revoked, or a
//! trust anchor that is disabled, ends only the issuing of new ones.
//!
//! Facts: IAM Roles Anywhere User Guide, "`CreateSession` API" and "The IAM Roles Anywhere authentication signing process".

mod call;
mod certificate;
mod key;
mod settings;
mod sign;

use std::path::Path;

use async_trait::async_trait;
use fnox_config::LeaseConfig;
use fnox_config::spec::AWS_MASTERS;
use fnox_core::{Credential, Env, Lifetime};

use self::settings::{Origin, Settings};
use super::aws_sts::PRODUCES;
use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, PlannedCall, Prerequisite,
    RevocationKind,
};
use crate::error::LeaseError;

/// Which server is asked.
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_ROLESANYWHERE", "AWS_ENDPOINT_URL"];

#[derive(Debug)]
struct RolesAnywhere {
    settings: Settings,
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for a value that AWS would refuse.
pub(crate) fn open(lease: &LeaseConfig, home: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    Ok(Box::new(RolesAnywhere {
        settings: Settings::read(&lease.fields, home)?,
    }))
}

impl RolesAnywhere {
    /// The variables that are read; none for what is in a file.
    fn variables(&self) -> Vec<String> {
        [&self.settings.certificate, &self.settings.key]
            .into_iter()
            .filter_map(Origin::variable)
            .map(str::to_owned)
            .collect()
    }
}

#[async_trait]
impl Mint for RolesAnywhere {
    fn limits(&self) -> Limits {
        Limits {
            minimum: Lifetime::from_secs(900),
            maximum: Lifetime::from_secs(12 * 3600),
        }
    }

    fn produces(&self) -> Vec<String> {
        PRODUCES.map(str::to_owned).to_vec()
    }

    fn consumes(&self) -> Consumes {
        let endpoints = ENDPOINTS.map(str::to_owned);
        Consumes::Names(self.variables().into_iter().chain(endpoints).collect())
    }

    fn surroundings(&self, env: &Env) -> Vec<String> {
        // Another certificate in the same file is somebody else.
        match &self.settings.certificate {
            Origin::File(_) => match self.settings.certificate.read(env, "the certificate") {
                Ok(text) => vec![text.to_string()],
                Err(error) => vec![error.message],
            },
            Origin::Variable(_) => Vec::new(),
        }
    }

    fn withholds(&self, _: &dyn Fn(&str) -> bool) -> Vec<String> {
        let own = self.variables().into_iter();
        own.chain(AWS_MASTERS.iter().copied().map(str::to_owned))
            .collect()
    }

    fn revocation(&self) -> RevocationKind {
        RevocationKind::ExpiresOnly
    }

    fn prerequisites(&self, context: &MintContext) -> Prerequisite {
        let missing: Vec<String> = self
            .variables()
            .into_iter()
            .filter(|name| context.env.var(name).is_none())
            .collect();
        if missing.is_empty() {
            return Prerequisite::Present;
        }
        Prerequisite::Missing {
            message: format!(
                "The certificate of IAM Roles Anywhere or its key not found. Set {}, or `certificate_file` and \
                 `private_key_file`.",
                missing.join(" and ")
            ),
            // A PEM text has lines, and nobody types it.
            prompts: Vec::new(),
        }
    }

    fn explain(&self, context: &MintContext, request: &CreateRequest) -> Vec<PlannedCall> {
        call::explain(&self.settings, context, request)
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        call::create(&self.settings, context, request).await
    }
}
