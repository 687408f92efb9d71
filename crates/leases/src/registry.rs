//! The mint of each type of lease, one line each.

use std::path::Path;

use fnox_config::LeaseConfig;

use crate::error::LeaseError;
use crate::mint::{
    Mint, aws_roles_anywhere, aws_sso, aws_sts, azure_token, cloudflare, command, database,
    gcp_iam, github_app, github_oauth, gitlab, kubernetes, oauth2_client_credentials, ssh,
    tailscale, vault,
};

type Build = fn(&LeaseConfig, Option<&Path>) -> Result<Box<dyn Mint>, LeaseError>;

/// Opens the mint of a lease.
#[derive(Debug, Clone, Copy, Default)]
pub struct Registry;

const MINTS: &[(&str, Build)] = &[
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
    /// The mint of a configured lease. Nothing is contacted. `home` is what `~` in paths means.
    ///
    /// # Errors
    /// [`LeaseError::Config`] if a key is wrong.
    pub fn open(
        self,
        lease: &LeaseConfig,
        home: Option<&Path>,
    ) -> Result<Box<dyn Mint>, LeaseError> {
        match MINTS.iter().find(|(name, _)| *name == lease.spec.name) {
            Some((_, build)) => build(lease, home),
            // The test below holds the tables of types to each other.
            None => Err(lease.fields.invalid("type", "has no mint").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_of_lease_has_a_mint() {
        let mut types: Vec<&str> = fnox_config::spec::LEASES
            .iter()
            .map(|spec| spec.name)
            .collect();
        types.sort_unstable();
        let minted: Vec<&str> = MINTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(minted, types);
    }
}
