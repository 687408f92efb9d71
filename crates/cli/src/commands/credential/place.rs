//! Who may get a credential: the one host, registry or cluster that a helper answers for.

use fnox_config::{Config, LeaseConfig};
use fnox_core::Host;
use url::Url;

use crate::args::credential::HostArgs;
use crate::error::CliError;

/// Who asks for the credential of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    Docker,
    Git,
}

/// A host, and the user name there.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) host: Host,
    pub(super) username: String,
}

impl Place {
    pub(super) fn of(config: &Config, args: &HostArgs, program: Program) -> Result<Self, CliError> {
        let lease = config.lease(&args.token.lease)?;
        let known = usual_host(lease, program);
        let text = args.host.as_ref().or(known.as_ref());
        let text = text.ok_or_else(|| CliError::Usage {
            message: format!(
                "for which host the lease `{}` is, its type `{}` does not say",
                lease.name, lease.spec.name
            ),
            help: Some("name the host with `--host`".to_owned()),
        })?;
        let host = Host::parse(text).map_err(|error| CliError::usage(error.to_string()))?;
        let username = args.username.as_deref().unwrap_or(usual_username(lease));
        Ok(Self {
            host,
            username: username.to_owned(),
        })
    }
}

/// What is known of the place where a type's tokens work.
fn usual_host(lease: &LeaseConfig, program: Program) -> Option<String> {
    let host_of = |key: &str| {
        let url = Url::parse(lease.fields.text(key)?).ok()?;
        let host = url.host_str()?.to_owned();
        Some(match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host,
        })
    };
    match (lease.spec.name, program) {
        ("github-app" | "github-oauth", program) => {
            // `https://api.github.com`, `https://api.SUBDOMAIN.ghe.com`, `https://HOST/api/v3` (docs.github.com, "Getting
            // started with the REST API").
            let api = host_of("api_base").unwrap_or_else(|| "api.github.com".to_owned());
            let web = api.strip_prefix("api.").unwrap_or(&api);
            match (program, web) {
                (Program::Git, web) => Some(web.to_owned()),
                (Program::Docker, "github.com") => Some("ghcr.io".to_owned()),
                (Program::Docker, _) => None,
            }
        }
        ("gitlab", program) => {
            let web = host_of("url").unwrap_or_else(|| "gitlab.com".to_owned());
            match (program, web.as_str()) {
                (Program::Git, _) => Some(web),
                (Program::Docker, "gitlab.com") => Some("registry.gitlab.com".to_owned()),
                (Program::Docker, _) => None,
            }
        }
        _ => None,
    }
}

/// The user name that goes with a type's tokens.
fn usual_username(lease: &LeaseConfig) -> &'static str {
    match lease.spec.name {
        // docs.github.com, "Authenticating as a GitHub App installation".
        "github-app" | "github-oauth" => "x-access-token",
        // cloud.google.com, "Configure authentication to Artifact Registry for Docker".
        "gcp-iam" => "oauth2accesstoken",
        // Any name will do (docs.gitlab.com, "Project access tokens").
        _ => "fnox",
    }
}

/// kubectl may use one user for several clusters; the token is for one.
pub(super) fn check_cluster(wanted: &str, given: Option<&Url>) -> Result<(), CliError> {
    let parsed = Url::parse(wanted).map_err(|_| CliError::usage("`--server` is no URL"))?;
    match given {
        Some(given) if same_server(given, &parsed) => Ok(()),
        Some(given) => Err(CliError::Usage {
            message: format!(
                "the credential is for the cluster {wanted}, not for {}",
                given.origin().ascii_serialization()
            ),
            help: None,
        }),
        None => Err(CliError::Usage {
            message: "the client does not tell which cluster it asks for".to_owned(),
            help: Some("set `provideClusterInfo: true` in the kubeconfig".to_owned()),
        }),
    }
}

fn same_server(one: &Url, other: &Url) -> bool {
    let path = |url: &Url| url.path().trim_end_matches('/').to_owned();
    one.origin() == other.origin() && path(one) == path(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_cluster_is_told_by_its_address() {
        let wanted = "https://k8s.example:6443";
        assert!(check_cluster(wanted, Some(&url("https://k8s.example:6443/"))).is_ok());
        for other in [
            "https://k8s.example",
            "http://k8s.example:6443",
            "https://k8s.example:6443/x",
        ] {
            assert!(check_cluster(wanted, Some(&url(other))).is_err(), "{other}");
        }
        assert!(check_cluster(wanted, None).is_err());
    }
}
