//! The variables that a program behind the gateway does not inherit.

use std::collections::BTreeSet;

use fnox_config::Config;
use fnox_config::file::Body;
use fnox_config::spec::{LEASES, PROVIDERS, ProviderSpec};
use fnox_leases::Manager;

use crate::app::App;
use crate::environment::VARIABLES;
use crate::error::CliError;
use crate::team;
use crate::vault::settings::VaultFile;

/// Variables that lead to long-lived credentials and belong to no type of provider or lease.
const AMBIENT: [&str; 52] = [
    "DIGITALOCEAN_TOKEN",
    "HOMEBREW_GITHUB_API_TOKEN",
    "CIRCLE_TOKEN",
    "BUILDKITE_AGENT_ACCESS_TOKEN",
    "DOCKER_HOST",
    "CONTAINER_HOST",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_DEVOPS_EXT_PAT",
    "SYSTEM_ACCESSTOKEN",
    "ARM_CLIENT_SECRET",
    "ARM_ACCESS_KEY",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
    "CLOUDSDK_AUTH_ACCESS_TOKEN",
    "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE",
    "DIGITALOCEAN_ACCESS_TOKEN",
    "HCLOUD_TOKEN",
    "LINODE_TOKEN",
    "SCW_SECRET_KEY",
    "FLY_API_TOKEN",
    "HEROKU_API_KEY",
    "VERCEL_TOKEN",
    "NETLIFY_AUTH_TOKEN",
    "PULUMI_ACCESS_TOKEN",
    "OP_CONNECT_TOKEN",
    "BW_CLIENTSECRET",
    "BW_PASSWORD",
    "SOPS_AGE_KEY",
    "SOPS_AGE_KEY_FILE",
    "SOPS_AGE_SSH_PRIVATE_KEY_FILE",
    "SOPS_AGE_KEY_CMD",
    "GH_ENTERPRISE_TOKEN",
    "GITHUB_ENTERPRISE_TOKEN",
    "CI_JOB_TOKEN",
    "CI_JOB_TOKEN_V2",
    "BITBUCKET_TOKEN",
    "NPM_TOKEN",
    "NODE_AUTH_TOKEN",
    "CARGO_REGISTRY_TOKEN",
    "TWINE_PASSWORD",
    "UV_PUBLISH_TOKEN",
    "DOCKER_AUTH_CONFIG",
    "REGISTRY_AUTH_FILE",
    "SSHPASS",
    "GIT_ASKPASS",
    "SSH_ASKPASS",
    "VSCODE_GIT_IPC_HANDLE",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "KRB5CCNAME",
];

/// Variables that a program may have, and that say where it or another one keeps credentials.
const PLACES: [&str; 22] = [
    "AWS_SSO_CACHE_DIR",
    "AZURE_CONFIG_DIR",
    "BITWARDENCLI_APPDATA_DIR",
    "CLOUDSDK_CONFIG",
    "DOCKER_CONFIG",
    "GH_CONFIG_DIR",
    "GLAB_CONFIG_DIR",
    "HELM_REGISTRY_CONFIG",
    "HF_TOKEN_PATH",
    "KAGGLE_CONFIG_DIR",
    "KRB5_KTNAME",
    "KRB5_CLIENT_KTNAME",
    "NETRC",
    "NPM_CONFIG_USERCONFIG",
    "OCI_CLI_CONFIG_FILE",
    "PIP_CONFIG_FILE",
    "PULUMI_HOME",
    "RCLONE_CONFIG",
    "TF_CLI_CONFIG_FILE",
    "XAUTHORITY",
    "npm_config_userconfig",
    "DBUS_SESSION_BUS_ADDRESS",
];

/// Beginnings of names with anybody's name after them. With a token or a password in it the whole is one.
const BEGINNINGS: [&str; 5] = [
    "TF_TOKEN_",
    "CARGO_REGISTRIES_",
    "UV_INDEX_",
    "POETRY_PYPI_TOKEN_",
    "POETRY_HTTP_BASIC_",
];

/// What opens a type of provider or lease, or something of fnox, whether the project uses it or not.
pub(crate) fn known() -> BTreeSet<&'static str> {
    let own = VARIABLES.iter().filter(|variable| variable.opens);
    let own = own.map(|variable| variable.name);
    own.chain(of_types()).chain(AMBIENT).collect()
}

/// What the types of provider and lease say themselves.
fn of_types() -> impl Iterator<Item = &'static str> {
    let providers = PROVIDERS.iter().flat_map(ProviderSpec::credentials);
    let leases = LEASES.iter().flat_map(|spec| spec.variables);
    providers.chain(leases.copied())
}

/// The variables that may lead to a file or folder with credentials.
pub(super) fn leading_to_files() -> BTreeSet<&'static str> {
    let mut out = known();
    out.extend(PLACES);
    out.extend(PROVIDERS.iter().flat_map(|spec| spec.variables));
    out
}

/// What a program behind the gateway may not inherit: every secret of the project, whatever opens any type of provider or
/// lease, used or not, and what leads to other credentials.
///
/// # Errors
/// If a file of the project, or a lease, is wrong.
pub(crate) fn withheld(
    app: &App,
    config: &Config,
    manager: &Manager<'_>,
) -> Result<BTreeSet<String>, CliError> {
    let mut out: BTreeSet<String> = known().into_iter().map(str::to_owned).collect();
    let texts = app
        .env
        .iter()
        .filter_map(|(name, value)| Some((name.to_str()?, value.to_str().unwrap_or_default())));
    out.extend(
        texts
            .filter(|(name, value)| is_of_anybody(name) || has_login(value))
            .map(|(name, _)| name.to_owned()),
    );
    out.extend(team::withheld::names(&app.env, config));
    if let Ok(file) = VaultFile::read(app, None) {
        out.extend(file.key_variables(app));
    }
    for lease in config.leases.values() {
        out.extend(manager.withheld(lease)?);
    }
    for file in app.loader().every_file()? {
        let profiles = file.profiles.values().map(|profile| &profile.body);
        for body in std::iter::once(&file.base).chain(profiles) {
            out.extend(of_body(body, manager));
        }
    }
    Ok(out)
}

/// Whether a value is a URL with a name and a password in it (RFC 3986, section 3.2.1), as of a registry or a database.
fn has_login(value: &str) -> bool {
    let authority = value.split_once("://").map(|(_, rest)| rest);
    let authority = authority.and_then(|rest| rest.split(['/', '?', '#']).next());
    let login = authority.and_then(|authority| authority.rsplit_once('@'));
    login.is_some_and(|(login, _)| {
        login
            .split_once(':')
            .is_some_and(|(_, word)| !word.is_empty())
    })
}

fn is_of_anybody(name: &str) -> bool {
    // `op signin` makes one for each account.
    name.starts_with("OP_SESSION_")
        || BEGINNINGS.iter().any(|it| name.starts_with(it))
            && ["TOKEN", "PASSWORD"].iter().any(|word| name.contains(word))
}

/// The names in a file or a profile of it, also in one that is not active.
fn of_body(body: &Body, manager: &Manager<'_>) -> BTreeSet<String> {
    let mut out: BTreeSet<String> = body.secrets.keys().map(ToString::to_string).collect();
    for provider in body.providers.values() {
        // A name that no secret has may be a variable.
        out.extend(provider.fields.secrets().map(|(_, name)| name.to_string()));
    }
    for lease in body.leases.values() {
        // One that is wrong and not in use is nobody's way to anything.
        out.extend(manager.withheld(lease).unwrap_or_default());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_with_a_password_is_a_credential_under_any_name() {
        for value in [
            "https://user:word@pypi.example/simple",
            "postgres://app:w@db/x?y=@",
        ] {
            assert!(has_login(value), "{value}");
        }
        for value in [
            "https://pypi.example/simple",
            "https://user@git.example/x:y@z",
            "user:word@host",
            "ssh://git@host:22/x",
            "",
        ] {
            assert!(!has_login(value), "{value}");
        }
        assert!(is_of_anybody("OP_SESSION_abcd"));
    }

    #[test]
    fn what_a_type_says_itself_is_not_said_twice() {
        let types: BTreeSet<&str> = of_types().collect();
        let twice: Vec<_> = AMBIENT.iter().filter(|it| types.contains(**it)).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn every_spelling_of_what_opens_a_store_is_known() {
        let known = known();
        for name in [
            "FNOX_AGE_KEY",
            "FNOX_BW_SESSION",
            "FNOX_DOPPLER_TOKEN",
            "FNOX_FOKS_BOT_TOKEN",
            "FNOX_INFISICAL_TOKEN",
            "FNOX_KEEPASS_PASSWORD",
            "FNOX_OP_SERVICE_ACCOUNT_TOKEN",
            "FNOX_VAULT_SOCKET",
            "FNOX_VAULT_TOKEN_FILE",
            "AWS_SECURITY_TOKEN",
            "GH_ENTERPRISE_TOKEN",
            "INFISICAL_CLIENT_SECRET",
            "KEEPASS_PASSWORD",
            "KSM_TOKEN",
            "PASSWORDSTATE_API_KEY",
            "VAULT_SECRET_ID",
        ] {
            assert!(known.contains(name), "{name}");
        }
        for name in [
            "PATH",
            "HOME",
            "FNOX_PROFILE",
            "VAULT_ADDR",
            "OPENAI_API_KEY",
        ] {
            assert!(!known.contains(name), "{name}");
        }
    }
}
