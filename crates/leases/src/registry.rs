//! Which types of lease are built, one line each.

use std::path::Path;

use fnox_config::LeaseConfig;

use crate::error::LeaseError;
use crate::mint::{
    Mint, aws_roles_anywhere, aws_sso, aws_sts, azure_token, cloudflare, command, database,
    gcp_iam, github_app, github_oauth, gitlab, kubernetes, oauth2_client_credentials, ssh,
    tailscale, vault,
};

type Build = fn(&LeaseConfig, Option<&Path>) -> Result<Box<dyn Mint>, LeaseError>;

/// The types of lease that this binary can mint.
#[derive(Debug, Clone, Copy, Default)]
pub struct Registry;

const BUILT: &[(&str, Build)] = &[
    ("aws-roles-anywhere", aws_roles_anywhere::open),
    ("aws-sso", aws_sso::open),
    ("aws-sts", aws_sts::open),
    ("azure-token", azure_token::open),
    ("cloudflare", cloudflare::open),
    ("command", command::open),
    ("database", database::open),
    ("gcp-iam", gcp_iam::open),
    ("github-app", github_app::open),
    ("github-oauth", github_oauth::open),
    ("gitlab", gitlab::open),
    ("kubernetes", kubernetes::open),
    ("oauth2-client-credentials", oauth2_client_credentials::open),
    ("ssh", ssh::open),
    ("tailscale", tailscale::open),
    ("vault", vault::open),
];

impl Registry {
    /// Whether a type is built.
    #[must_use]
    pub fn has(self, kind: &str) -> bool {
        BUILT.iter().any(|(name, _)| *name == kind)
    }

    /// The mint of a configured lease. Nothing is contacted. `home` is what `~` in paths means.
    ///
    /// # Errors
    /// [`LeaseError::NotBuilt`] or [`LeaseError::Config`] if a key is wrong.
    pub fn open(
        self,
        lease: &LeaseConfig,
        home: Option<&Path>,
    ) -> Result<Box<dyn Mint>, LeaseError> {
        match BUILT.iter().find(|(name, _)| *name == lease.spec.name) {
            Some((_, build)) => build(lease, home),
            None => Err(LeaseError::not_built(lease)),
        }
    }
}
