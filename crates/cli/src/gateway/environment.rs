//! What a program needs in its environment in order to use the gateway and to believe it.
//!
//! Some tools add an authority to those that they know, others know only what the variable's file has: these get a bundle of
//! the system's authorities and the gateway's.

use std::path::Path;

use fnox_core::SecretString;
use fnox_core::proxy_variables::{
    ADDED_AUTHORITIES, EXCEPTIONS, FOR_NODE, PROXIES, REPLACED_AUTHORITIES,
};

/// Variables that lead to long-lived credentials in other ways than fnox. A program that is not to hold credentials does not inherit them.
pub(crate) const AMBIENT: [&str; 40] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
    "CLOUDSDK_AUTH_ACCESS_TOKEN",
    "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE",
    "VAULT_TOKEN",
    "BAO_TOKEN",
    "OP_SERVICE_ACCOUNT_TOKEN",
    "OP_CONNECT_TOKEN",
    "BW_SESSION",
    "BWS_ACCESS_TOKEN",
    "DOPPLER_TOKEN",
    "INFISICAL_TOKEN",
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "GITLAB_TOKEN",
    "CI_JOB_TOKEN",
    "CLOUDFLARE_API_TOKEN",
    "NPM_TOKEN",
    "CARGO_REGISTRY_TOKEN",
    "KUBECONFIG",
    "SSH_AUTH_SOCK",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "FNOX_AGE_KEY",
];

/// Variables that lead a program to the gateway. `authority` has the gateway's certificate, `bundle` that and the system's.
pub(crate) fn variables(
    port: u16,
    password: &str,
    authority: &Path,
    bundle: &Path,
) -> Vec<(String, SecretString)> {
    let url = format!(
        "http://{}:{password}@127.0.0.1:{port}",
        fnox_gateway::proxy::USER
    );
    let text = |path: &Path| SecretString::from(path.to_string_lossy().into_owned());
    let mut out = Vec::new();
    for name in PROXIES {
        out.push((name.to_owned(), SecretString::from(url.as_str())));
    }
    for name in EXCEPTIONS {
        out.push((name.to_owned(), SecretString::from("")));
    }
    for name in REPLACED_AUTHORITIES {
        out.push((name.to_owned(), text(bundle)));
    }
    for name in ADDED_AUTHORITIES {
        out.push((name.to_owned(), text(authority)));
    }
    out.push((FOR_NODE.0.to_owned(), FOR_NODE.1.into()));
    out.push(("FNOX_NON_INTERACTIVE".to_owned(), "1".into()));
    out
}
