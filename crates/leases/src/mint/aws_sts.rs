//! `aws-sts`: a session of an AWS role, of a user, or of a federated user.
//!
//! `AssumeRole` from whatever AWS credentials there are or from another lease's (`via`), `AssumeRoleWithWebIdentity`
//! from an OIDC token of a file, a variable or a CI, `AssumeRoleWithSAML` from an assertion in a file; with `mode`,
//! `GetSessionToken` or `GetFederationToken` from a user's access key. Sessions cannot be withdrawn: AWS has no call for it, they only expire.
//! Clients are built when a session is asked for and not before.
//!
//! Facts about the API are from the AWS STS API reference, version 2011-06-15.

mod answer;
mod base;
mod call;
mod errors;
mod explain;
mod http;
mod mfa;
mod mode;
mod saml;
pub(super) mod settings;
mod source;
mod token;

use std::path::Path;

use async_trait::async_trait;
use fnox_aws::profiles;
use fnox_config::LeaseConfig;
use fnox_config::spec::AWS_MASTERS;
use fnox_core::{Credential, Env, LeaseName};

use self::settings::Settings;
use self::source::Source;
pub(crate) use self::source::firmware_vendor;
use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, PlannedCall, Prerequisite,
    PromptField, RevocationKind,
};
use crate::error::LeaseError;

/// What the program gets.
pub(super) const PRODUCES: [&str; 3] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
];

/// What else decides whose session it is and who issues it.
const DECISIVE: [&str; 9] = [
    // Another job of the same runner is somebody else.
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "AWS_SSO_SESSION",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_DISABLED",
];

/// Which server is asked.
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"];

const MISSING: &str = "AWS credentials not found. Run 'aws sso login' or set \
                       AWS_ACCESS_KEY_ID/AWS_SECRET_ACCESS_KEY.";

#[derive(Debug)]
struct AwsSts {
    settings: Settings,
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for a value that STS would refuse.
pub(crate) fn open(lease: &LeaseConfig, home: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    Ok(Box::new(AwsSts {
        settings: Settings::read(&lease.fields, home)?,
    }))
}

#[async_trait]
impl Mint for AwsSts {
    fn limits(&self) -> Limits {
        self.settings.mode.limits()
    }

    fn produces(&self) -> Vec<String> {
        PRODUCES.map(str::to_owned).to_vec()
    }

    fn consumes(&self) -> Consumes {
        if self.settings.via.is_some() || self.settings.saml.is_some() {
            return Consumes::Names(ENDPOINTS.map(str::to_owned).to_vec());
        }
        let names = AWS_MASTERS
            .iter()
            .chain(&DECISIVE)
            .map(|name| (*name).to_owned());
        Consumes::Names(names.chain(self.settings.token_variable.clone()).collect())
    }

    fn surroundings(&self, env: &Env) -> Vec<String> {
        let settings = &self.settings;
        if settings.via.is_some() || settings.saml.is_some() {
            return Vec::new();
        }
        let present = |name: &str| env.var(name).is_some();
        match Source::named(settings, &present) {
            Some(Source::Profile) => {
                let name = source::selected_profile(settings, env).unwrap_or_default();
                profiles::facts(env, name)
            }
            None => profiles::facts(env, "default"),
            Some(_) => Vec::new(),
        }
    }

    fn withholds(&self, present: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut names: Vec<String> = AWS_MASTERS.iter().copied().map(str::to_owned).collect();
        names.extend(self.settings.token_variable.clone());
        if Source::named(&self.settings, present) == Some(Source::GitHubActions) {
            names.extend(source::GITHUB_ACTIONS.map(str::to_owned));
        }
        names
    }

    fn via(&self) -> Option<&LeaseName> {
        self.settings.via.as_ref()
    }

    fn revocation(&self) -> RevocationKind {
        RevocationKind::ExpiresOnly
    }

    fn prerequisites(&self, context: &MintContext) -> Prerequisite {
        // Whether the other lease makes keys of AWS, `create` finds out: skipping would hide the mistake.
        if self.settings.via.is_some() || Source::find(&self.settings, context).is_some() {
            return Prerequisite::Present;
        }
        let field = |variable: &str, description: &str, secret, optional| PromptField {
            variable: variable.to_owned(),
            description: description.to_owned(),
            secret,
            optional,
        };
        Prerequisite::Missing {
            message: MISSING.to_owned(),
            prompts: vec![
                field("AWS_ACCESS_KEY_ID", "AWS access key", false, false),
                field("AWS_SECRET_ACCESS_KEY", "AWS secret key", true, false),
                field(
                    "AWS_SESSION_TOKEN",
                    "AWS session token (optional)",
                    true,
                    true,
                ),
            ],
        }
    }

    fn explain(&self, context: &MintContext, request: &CreateRequest) -> Vec<PlannedCall> {
        let source = Source::find(&self.settings, context);
        explain::explain(&self.settings, source, context, request)
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        let source =
            Source::find(&self.settings, context).ok_or_else(|| match &self.settings.via {
                None => MintError::authentication(MISSING.trim_end_matches('.')),
                Some(lease) => MintError::misconfigured(
                    "via",
                    format!("lease `{lease}` makes no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
                )
                .with_remedy("name a lease of a type that makes credentials of AWS"),
            })?;
        call::create(&self.settings, &source, context, request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    pub(super) use crate::testing::context;

    pub(super) fn settings(toml: &str) -> Settings {
        let lease = testing::lease(&format!(
            "type = 'aws-sts'\nregion = 'eu-west-1'\nrole_arn = 'arn:aws:iam::123456789012:role/dev'\n{toml}"
        ));
        Settings::read(&lease.fields, None).unwrap()
    }

    fn open_with(toml: &str) -> Result<Box<dyn Mint>, LeaseError> {
        open(&testing::lease(&format!("type = 'aws-sts'\n{toml}")), None)
    }

    const ROLE: &str = "role_arn = 'arn:aws:iam::123456789012:role/dev'";

    #[test]
    fn what_sts_would_refuse_is_an_error_with_a_line() {
        let many = ["'arn:aws:iam::aws:policy/x'"; 11].join(",");
        for (wrong, wanted) in [
            ("region = 'eu.west'".to_owned(), "`region` must be"),
            ("session_name = 'a b'".to_owned(), "`session_name` may only"),
            ("session_name = 'a'".to_owned(), "2 to 64"),
            ("external_id = 'x'".to_owned(), "2 to 1224"),
            ("session_policy = '{'".to_owned(), "is not JSON"),
            (format!("policy_arns = [{many}]"), "more than 10"),
            ("endpoint = 'sts.local'".to_owned(), "https://"),
        ] {
            let region = if wrong.starts_with("region") {
                ""
            } else {
                "region = 'x'"
            };
            let error = open_with(&format!("{region}\n{ROLE}\n{wrong}")).unwrap_err();
            assert!(error.to_string().contains(wanted), "{wrong}: {error}");
            assert!(error.location().is_some_and(|location| location.line() > 1));
            assert_eq!(error.exit_status().code(), 3);
        }
        let error =
            open_with("region = 'x'\nrole_arn = 'dev-role-with-enough-characters'").unwrap_err();
        assert!(error.to_string().contains("must be an ARN"), "{error}");
    }

    #[test]
    fn missing_credentials_are_told_in_the_agreed_words() {
        let mint = open_with(&format!("region = 'x'\n{ROLE}")).unwrap();
        let Prerequisite::Missing { message, prompts } = mint.prerequisites(&context(&[])) else {
            panic!("something was found");
        };
        assert_eq!(
            message,
            "AWS credentials not found. Run 'aws sso login' or set AWS_ACCESS_KEY_ID/AWS_SECRET_ACCESS_KEY."
        );
        let secret: Vec<bool> = prompts.iter().map(|prompt| prompt.secret).collect();
        assert_eq!(secret, [false, true, true]);
    }

    #[test]
    fn a_job_token_is_withheld_only_if_it_is_the_master() {
        let mint = open_with(&format!("region = 'x'\n{ROLE}")).unwrap();
        let in_job = |name: &str| name.starts_with("ACTIONS_");
        assert!(
            mint.withholds(&in_job)
                .iter()
                .any(|name| name.starts_with("ACTIONS_"))
        );
        let with_keys = |name: &str| name.starts_with("ACTIONS_") || name.starts_with("AWS_");
        assert!(
            !mint
                .withholds(&with_keys)
                .iter()
                .any(|name| name.starts_with("ACTIONS_"))
        );
    }
}
