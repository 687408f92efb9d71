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
    use fnox_config::spec::LEASES;

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

    #[test]
    fn what_a_mint_withholds_without_being_told_is_in_the_table_of_types() {
        for keys in [
            "type = 'aws-roles-anywhere'\nregion = 'eu-central-1'\n\
             trust_anchor_arn = 'arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/a'\n\
             profile_arn = 'arn:aws:rolesanywhere:eu-central-1:123456789012:profile/p'\n\
             role_arn = 'arn:aws:iam::123456789012:role/r'",
            "type = 'aws-sso'\nprofile = 'p'",
            "type = 'aws-sts'\nregion = 'eu-central-1'\nrole_arn = 'arn:aws:iam::123456789012:role/r'",
            "type = 'azure-token'\nscope = 'https://management.azure.com/.default'\nauth = 'client-secret'",
            "type = 'cloudflare'\npolicies = [{ effect = 'allow', resources = { 'com.cloudflare.api.account.*' = '*' }, \
             permission_groups = ['DNS Read'] }]",
            "type = 'database'\nengine = 'postgres'\nhost = 'h'\nusername = 'u'\ngrants = ['GRANT a TO {{ user }}']",
            "type = 'database'\nengine = 'mysql'\nhost = 'h'\nusername = 'u'\ngrants = ['GRANT ALL ON a.* TO {{ user }}']",
            "type = 'gcp-iam'\nservice_account_email = 's@p.iam.gserviceaccount.com'\nscopes = ['https://s']",
            "type = 'github-app'\napp_id = '1'\ninstallation_id = '1'",
            "type = 'github-oauth'\nclient_id = 'Iv1.x'",
            "type = 'gitlab'\nproject = 'a/b'",
            "type = 'kubernetes'\nservice_account = 's'",
            "type = 'oauth2-client-credentials'\ntoken_url = 'https://a.example/t'\nclient_id = 'c'",
            "type = 'ssh'\nprincipals = ['u']",
            "type = 'tailscale'\ntags = ['tag:ci']",
            "type = 'vault'\nsecret_path = 'a/b'\nenv_map = { a = 'A' }",
            "type = 'vault'\nsecret_path = 'a/b'\nenv_map = { a = 'A' }\nauth = 'approle'",
            "type = 'vault'\nsecret_path = 'a/b'\nenv_map = { a = 'A' }\nauth = 'userpass'\nusername = 'u'",
        ] {
            let lease = crate::testing::lease(keys);
            let mint = Registry.open(&lease, None).unwrap();
            for name in mint.withholds(&|_| false) {
                assert!(
                    LEASES
                        .iter()
                        .any(|spec| spec.variables.contains(&name.as_str())),
                    "{}: {name}",
                    lease.spec.name
                );
            }
        }
    }
}
