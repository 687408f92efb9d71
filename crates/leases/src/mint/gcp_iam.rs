//! `gcp-iam`: a token of a Google service account.
//!
//! fnox logs in as the master, and as the master asks the IAM Service Account Credentials API for an access token
//! (`generateAccessToken`) or an id token (`generateIdToken`) of the lease's service account. Masters are a service
//! account's key, a user's application default credentials, an `external_account` configuration, an OIDC token for a
//! workload identity pool, or the machine's own service account. The first one that is there is used, and if it fails no
//! other one is tried.
//!
//! Google has no call that withdraws one of these tokens, and they have no name: they only expire. So nothing has to be
//! found after a crash.
//!
//! Facts about the API are from Google's discovery documents `iamcredentials` v1 and `sts` v1, from RFC 7523 and RFC 8693,
//! and from "Create short-lived credentials for a service account" and "Using OAuth 2.0 for Server to Server
//! Applications" in Google's documentation.

mod assertion;
mod external;
mod file;
mod generate;
mod login;
mod refusal;
mod settings;
mod source;

use std::path::Path;

use async_trait::async_trait;
use fnox_config::LeaseConfig;
use fnox_config::spec::GCP_MASTERS;
use fnox_core::{Credential, Lifetime};
use fnox_providers::{AccessToken, GoogleAccess};

use self::settings::{Settings, Token};
use self::source::Source;
use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, PlannedCall, Prerequisite,
    PromptField, RevocationKind,
};
use crate::error::LeaseError;
use crate::issuer;

/// The scope that the IAM Service Account Credentials API and the token exchange are called with. The discovery document
/// has no narrower one.
const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

/// A service account's key as JSON.
const KEY: &str = "GCP_SERVICE_ACCOUNT_KEY";

/// The name of a file with one, or with another kind of credential.
const APPLICATION_CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";

/// What else decides whose token it is.
const DECISIVE: [&str; 3] = ["CLOUDSDK_CONFIG", "GCE_METADATA_HOST", "NO_GCE_CHECK"];

const MISSING: &str = "Google credentials not found. Run 'gcloud auth application-default login' or set \
                       GOOGLE_APPLICATION_CREDENTIALS or GCP_SERVICE_ACCOUNT_KEY.";

#[derive(Debug)]
struct GcpIam {
    settings: Settings,
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for a value that Google would refuse.
pub(crate) fn open(lease: &LeaseConfig, home: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    Ok(Box::new(GcpIam {
        settings: Settings::read(&lease.fields, home)?,
    }))
}

#[async_trait]
impl Mint for GcpIam {
    fn limits(&self) -> Limits {
        let hours = match self.settings.token {
            // "Google-signed OpenID Connect (OIDC) ID tokens … are valid for 1 hour": not ours to choose.
            Token::Id { .. } => 1,
            // One hour unless the organisation's policy extends it to 12: the API's own answer tells.
            Token::Access { .. } => 12,
        };
        Limits {
            minimum: Lifetime::from_secs(1),
            maximum: Lifetime::from_secs(hours * 3600),
        }
    }

    fn produces(&self) -> Vec<String> {
        vec![self.settings.env_var.clone()]
    }

    fn consumes(&self) -> Consumes {
        let names = [KEY, APPLICATION_CREDENTIALS].into_iter().chain(DECISIVE);
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        if let Some(federation) = &self.settings.federation {
            names.extend(federation.token.variables());
        }
        Consumes::Names(names)
    }

    fn withholds(&self, present: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut names: Vec<String> = GCP_MASTERS.iter().copied().map(str::to_owned).collect();
        match &self.settings.federation {
            Some(federation) => names.extend(federation.token.variables()),
            // The file that the action `google-github-actions/auth` writes asks the job's token service.
            None if present("GOOGLE_GHA_CREDS_PATH") => {
                names.extend(crate::identity_token::CI_VARIABLES.map(str::to_owned));
            }
            None => {}
        }
        names
    }

    fn revocation(&self) -> RevocationKind {
        RevocationKind::ExpiresOnly
    }

    fn prerequisites(&self, context: &MintContext) -> Prerequisite {
        if Source::find(&self.settings, context).is_some() {
            return Prerequisite::Present;
        }
        if let Some(federation) = &self.settings.federation {
            return Prerequisite::Missing {
                message: format!(
                    "No OIDC token for {} found. Run in a CI job that may ask for one, or set identity_token_file.",
                    federation.provider
                ),
                prompts: Vec::new(),
            };
        }
        Prerequisite::Missing {
            message: MISSING.to_owned(),
            prompts: vec![PromptField {
                variable: KEY.to_owned(),
                description: "key of a service account, as JSON in one line".to_owned(),
                secret: true,
                optional: false,
            }],
        }
    }

    fn explain(&self, context: &MintContext, request: &CreateRequest) -> Vec<PlannedCall> {
        let source = Source::find(&self.settings, context);
        let mut calls = login::explain(&self.settings, source.as_ref());
        calls.push(generate::explain(&self.settings, request));
        calls
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        let source = Source::find(&self.settings, context)
            .ok_or_else(|| MintError::authentication(MISSING.trim_end_matches('.')))?;
        let mut issuer = issuer::open("Google", context, None)?;
        let login = login::log_in(&self.settings, &source, context, &mut issuer).await?;
        generate::create(&self.settings, &login, context, &issuer, request).await
    }
}

/// Logs in for a provider, with what is there.
///
/// # Errors
/// [`MintError`]
pub(crate) async fn access(context: &MintContext) -> Result<GoogleAccess, MintError> {
    let settings = Settings::of_provider();
    let source = Source::find(&settings, context)
        .ok_or_else(|| MintError::authentication(MISSING.trim_end_matches('.')))?;
    let mut issuer = issuer::open("Google", context, None)?;
    let login = login::log_in(&settings, &source, context, &mut issuer).await?;
    let quota_project = context.env.var("GOOGLE_CLOUD_QUOTA_PROJECT");
    Ok(GoogleAccess {
        token: AccessToken {
            value: login.token,
            expires_at: login.expires_at,
        },
        universe: login.universe,
        quota_project: quota_project.map(str::to_owned).or(login.quota_project),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    pub(super) use crate::testing::context;

    const ACCOUNT: &str = "service_account_email = 'deploy@p.iam.gserviceaccount.com'";
    const PROVIDER: &str = "workload_identity_provider = '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/providers/gh'";

    pub(super) fn settings(toml: &str) -> Settings {
        let lease = testing::lease(&format!("type = 'gcp-iam'\n{ACCOUNT}\n{toml}"));
        Settings::read(&lease.fields, Some(Path::new("/home/u"))).unwrap()
    }

    fn open_with(toml: &str) -> Result<Box<dyn Mint>, LeaseError> {
        open(&testing::lease(&format!("type = 'gcp-iam'\n{toml}")), None)
    }

    #[test]
    fn what_google_would_refuse_is_an_error_with_a_line() {
        for (wrong, wanted) in [
            ("service_account_email = 'a/b'", "must be the address"),
            (&format!("{ACCOUNT}\ntoken = 'id'"), "`audience`"),
            (&format!("{ACCOUNT}\naudience = 'x'"), "token = \"id\""),
            (
                &format!("{ACCOUNT}\ntoken = 'id'\naudience = 'x'\nscopes = ['y']"),
                "is for access tokens",
            ),
            (&format!("{ACCOUNT}\nscopes = []"), "names no scope"),
            (&format!("{ACCOUNT}\nscopes = ['a b']"), "one word"),
            (&format!("{ACCOUNT}\ndelegates = ['x y']"), "the address"),
            (&format!("{ACCOUNT}\nenv_var = 'A-B'"), "name of a variable"),
            (
                &format!("{ACCOUNT}\nendpoint = 'http://x.example'"),
                "https://",
            ),
            (&format!("{ACCOUNT}\nuniverse_domain = 'a/b'"), "domain"),
            (
                &format!("{ACCOUNT}\nworkload_identity_provider = 'gh'"),
                "full name",
            ),
            (
                &format!("{ACCOUNT}\n{PROVIDER}\ncredentials_file = 'x'"),
                "one of them",
            ),
            (
                &format!("{ACCOUNT}\nidentity_token_file = 'x'"),
                "workload_identity_provider",
            ),
        ] {
            let error = open_with(wrong).unwrap_err();
            assert!(error.to_string().contains(wanted), "{wrong}: {error}");
            assert!(error.location().is_some_and(|location| location.line() > 1));
        }
    }

    #[test]
    fn limits_follow_the_kind_of_token() {
        let hours = |toml: &str| {
            let mint = open_with(&format!("{ACCOUNT}\n{toml}")).unwrap();
            mint.limits().maximum.as_secs() / 3600
        };
        assert_eq!(hours(""), 12);
        assert_eq!(hours("token = 'id'\naudience = 'x'"), 1);
    }

    #[test]
    fn missing_credentials_are_told_in_the_agreed_words() {
        let mint = open_with(ACCOUNT).unwrap();
        let Prerequisite::Missing { message, prompts } = mint.prerequisites(&context(&[])) else {
            panic!("something was found");
        };
        assert!(message.contains("gcloud auth application-default login"));
        assert!(message.contains("GOOGLE_APPLICATION_CREDENTIALS"));
        assert!(prompts[0].secret);
        // A key that lies about is not what a lease with a provider asks for.
        let mint = open_with(&format!("{ACCOUNT}\n{PROVIDER}")).unwrap();
        let missing = mint.prerequisites(&context(&[(KEY, "{}")]));
        assert!(matches!(missing, Prerequisite::Missing { .. }));
    }

    #[test]
    fn a_job_token_is_withheld_only_if_it_is_the_master() {
        let withheld = |toml: &str, present: bool| {
            let mint = open_with(&format!("{ACCOUNT}\n{toml}")).unwrap();
            mint.withholds(&|_| present)
                .contains(&"ACTIONS_ID_TOKEN_REQUEST_TOKEN".to_owned())
        };
        assert!(withheld(PROVIDER, false));
        assert!(withheld("", true));
        assert!(!withheld("", false));
    }

    #[test]
    fn a_plan_names_calls_and_masters_and_no_secret() {
        let mint = open_with(&format!("{ACCOUNT}\ndelegates = ['mid@p']")).unwrap();
        let request = CreateRequest {
            duration: Lifetime::from_secs(900),
            label: "l".to_owned(),
            provisional_id: "p".to_owned(),
            prepared: Vec::new(),
        };
        let calls = mint.explain(
            &context(&[(KEY, "{\"private_key\":\"hunter2\"}")]),
            &request,
        );
        let told = format!("{calls:?}");
        assert_eq!(calls.len(), 2, "{told}");
        for wanted in [
            KEY,
            "generateAccessToken",
            "900s",
            "mid@p",
            "cloud-platform",
        ] {
            assert!(told.contains(wanted), "{wanted}: {told}");
        }
        assert!(!told.contains("hunter2"), "{told}");
        let calls = mint.explain(&context(&[]), &request);
        assert_eq!(calls[0].master, "nothing that is there");
    }
}
