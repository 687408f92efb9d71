//! Which way to log in there is.
//!
//! The order of `auto` is that of `DefaultAzureCredential` of Microsoft's libraries, but the metadata service of a virtual
//! machine is asked only if the lease says so: whether there is one, only a call could tell.

use std::path::{Path, PathBuf};

use fnox_core::Env;

use super::settings::{Auth, Settings};
use super::{CERTIFICATE_PATH, FEDERATED_TOKEN_FILE, MISSING, SECRET};
use crate::identity_token::IdentityToken;

/// A way to log in that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    ClientSecret,
    Certificate(PathBuf),
    Federated,
    ManagedIdentity,
    AzureCli,
}

impl Source {
    /// The way, or the sentence that says what is missing.
    pub(super) fn find(settings: &Settings, env: &Env) -> Result<Self, String> {
        if settings.auth == Auth::Auto {
            return Auth::ALL
                .into_iter()
                // Without a word of the lease, only where the machine says by a variable that there is one.
                .filter(|auth| *auth != Auth::ManagedIdentity || has_identity_endpoint(env))
                .find_map(|auth| Self::by(auth, settings, env).ok())
                .ok_or_else(|| MISSING.to_owned());
        }
        Self::by(settings.auth, settings, env)
    }

    fn by(auth: Auth, settings: &Settings, env: &Env) -> Result<Self, String> {
        let is_application = settings.tenant(env).is_some() && settings.client(env).is_some();
        let found = match auth {
            Auth::ManagedIdentity => return Ok(Self::ManagedIdentity),
            Auth::AzureCli if is_on_path("az", env) => return Ok(Self::AzureCli),
            Auth::AzureCli => None,
            Auth::ClientSecret => env.var(SECRET).map(|_| Self::ClientSecret),
            Auth::Certificate => certificate(settings, env).map(Self::Certificate),
            Auth::Federated | Auth::Auto => identity(settings, env)
                .is_present(env)
                .then_some(Self::Federated),
        };
        found.filter(|_| is_application).ok_or_else(|| {
            let needed = match auth {
                Auth::AzureCli => return "The Azure CLI ('az') is not on PATH.".to_owned(),
                Auth::ClientSecret => SECRET,
                Auth::Certificate => "certificate_file (or AZURE_CLIENT_CERTIFICATE_PATH)",
                _ => "an OIDC token (AZURE_FEDERATED_TOKEN_FILE, identity_token_file or a CI's own)",
            };
            format!(
                "Azure credentials not found. Logging in by {} needs {needed}, AZURE_CLIENT_ID and AZURE_TENANT_ID.",
                auth.name()
            )
        })
    }

    /// Whether the master is an OIDC token, as far as the variables that are `present` tell.
    pub(super) fn may_be_federated(settings: &Settings, present: &dyn Fn(&str) -> bool) -> bool {
        match settings.auth {
            Auth::Federated => true,
            Auth::Auto => {
                let has_certificate =
                    settings.certificate_file.is_some() || present(CERTIFICATE_PATH);
                !present(SECRET) && !has_certificate
            }
            _ => false,
        }
    }

    /// What people call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::ClientSecret => SECRET.to_owned(),
            Self::Certificate(path) => format!("the certificate {}", path.display()),
            Self::Federated => "the OIDC token".to_owned(),
            Self::ManagedIdentity => "the managed identity".to_owned(),
            Self::AzureCli => "the login of `az`".to_owned(),
        }
    }
}

/// The OIDC token, which AKS and others put into a file that a variable names.
pub(super) fn identity(settings: &Settings, env: &Env) -> IdentityToken {
    let file = env.var(FEDERATED_TOKEN_FILE).map(PathBuf::from);
    settings.identity.clone().or_file(file)
}

fn certificate(settings: &Settings, env: &Env) -> Option<PathBuf> {
    settings
        .certificate_file
        .clone()
        .or_else(|| env.var(CERTIFICATE_PATH).map(PathBuf::from))
}

fn has_identity_endpoint(env: &Env) -> bool {
    env.var("IDENTITY_ENDPOINT").is_some() && env.var("IDENTITY_HEADER").is_some()
}

fn is_on_path(program: &str, env: &Env) -> bool {
    env.var("PATH").is_some_and(|path| {
        path.split(':')
            .any(|folder| !folder.is_empty() && Path::new(folder).join(program).is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{context, settings};
    use super::*;

    fn found(toml: &str, variables: &[(&str, &str)]) -> Result<Source, String> {
        Source::find(&settings(toml), &context(variables).env)
    }

    #[test]
    fn each_way_is_found_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("az"), "").unwrap();
        let application = [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c")];
        let ways = [
            (SECRET, "s"),
            (CERTIFICATE_PATH, "/c.pem"),
            (FEDERATED_TOKEN_FILE, "/token"),
            ("IDENTITY_ENDPOINT", "http://127.0.0.1:1"),
            ("IDENTITY_HEADER", "h"),
            ("PATH", folder.path().to_str().unwrap()),
        ];
        let expected = [
            Source::ClientSecret,
            Source::Certificate("/c.pem".into()),
            Source::Federated,
            Source::ManagedIdentity,
            Source::AzureCli,
            Source::AzureCli,
        ];
        for (from, expected) in expected.into_iter().enumerate() {
            let all = [&application[..], &ways[from..]].concat();
            assert_eq!(found("", &all), Ok(expected), "{from}");
        }
        // Without an application there is nothing to log in as.
        assert_eq!(found("", &ways), Ok(Source::ManagedIdentity));
        let nothing = [("PATH", "/nonexistent")];
        assert_eq!(found("", &nothing), Err(MISSING.to_owned()));
    }

    #[test]
    fn a_way_that_the_lease_names_is_the_only_one() {
        let all = [
            ("AZURE_TENANT_ID", "t"),
            ("AZURE_CLIENT_ID", "c"),
            (SECRET, "s"),
            ("PATH", "/nonexistent"),
        ];
        assert_eq!(
            found("auth = 'managed-identity'", &all),
            Ok(Source::ManagedIdentity)
        );
        for (auth, wanted) in [
            ("certificate", "certificate_file"),
            ("federated", "OIDC token"),
            ("azure-cli", "not on PATH"),
        ] {
            let message = found(&format!("auth = '{auth}'"), &all).unwrap_err();
            assert!(message.contains(wanted), "{message}");
        }
        assert!(found("auth = 'client-secret'", &all[1..]).is_err());
        assert!(found("auth = 'client-secret'\ntenant_id = 't'", &all[1..]).is_ok());
    }
}
