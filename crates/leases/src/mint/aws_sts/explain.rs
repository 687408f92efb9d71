//! The calls that a session takes, told and not made.

use fnox_core::Env;

use super::call::{endpoint, federated_user, role_behind_token, session_name};
use super::mode::Mode;
use super::settings::Settings;
use super::source::{GITHUB_ACTIONS, Source, selected_profile};
use crate::mint::{CreateRequest, MintContext, PlannedCall};

/// The calls in their order.
pub(super) fn explain(
    settings: &Settings,
    source: Option<Source>,
    context: &MintContext,
    request: &CreateRequest,
) -> Vec<PlannedCall> {
    let told = Told {
        settings,
        source,
        env: &context.env,
        request,
    };
    match settings.mode {
        Mode::AssumeRole => told.role(),
        Mode::SessionToken => told.session_token(),
        Mode::FederationToken => vec![told.federation_token()],
    }
}

struct Told<'a> {
    settings: &'a Settings,
    source: Option<Source>,
    env: &'a Env,
    request: &'a CreateRequest,
}

impl Told<'_> {
    fn role(&self) -> Vec<PlannedCall> {
        let mut calls = Vec::new();
        if self.source == Some(Source::GitHubActions) {
            let url = self.env.var(GITHUB_ACTIONS[1]).unwrap_or_default();
            calls.push(PlannedCall {
                action: "GET".to_owned(),
                // What follows the path is the CI's own business.
                target: url.split('?').next().unwrap_or_default().to_owned(),
                purpose: "get the job's OIDC token".to_owned(),
                master: GITHUB_ACTIONS[0].to_owned(),
                details: vec![("audience".to_owned(), self.settings.audience.clone())],
            });
        }
        let before = self
            .source
            .and_then(|source| role_behind_token(self.settings, source, self.env));
        if let Some(role_arn) = &before {
            calls.push(self.call(
                "sts:AssumeRoleWithWebIdentity",
                "start a session of the role that the token is for",
                self.master(),
                vec![("role_arn", role_arn.clone())],
            ));
        }
        let master = match before {
            Some(_) => "the session of the call before".to_owned(),
            None => self.master(),
        };
        let action = match self.source {
            Some(Source::Saml) => "sts:AssumeRoleWithSAML",
            Some(source) if source.is_token() && calls.iter().all(|call| call.action == "GET") => {
                "sts:AssumeRoleWithWebIdentity"
            }
            _ => "sts:AssumeRole",
        };
        calls.push(self.call(
            action,
            "start a session of the role",
            master,
            self.role_details(action),
        ));
        calls
    }

    fn role_details(&self, action: &str) -> Vec<(&'static str, String)> {
        let settings = self.settings;
        let mut details = vec![("role_arn", settings.role_arn.clone()), self.seconds()];
        if let Some(saml) = settings.saml.as_ref().filter(|_| action.ends_with("SAML")) {
            details.push(("principal_arn", saml.provider_arn.clone()));
        } else {
            let name = settings.session_name.as_deref();
            let name = session_name(name.unwrap_or(&self.request.label));
            details.push(("role_session_name", name));
        }
        details.extend(self.narrowing());
        for (name, value) in [
            ("external_id", &settings.external_id),
            ("source_identity", &settings.source_identity),
            ("serial_number", &settings.mfa_serial),
        ] {
            details.extend(value.clone().map(|value| (name, value)));
        }
        if !settings.transitive_tags.is_empty() {
            details.push(("transitive_tag_keys", settings.transitive_tags.join(", ")));
        }
        details
    }

    fn session_token(&self) -> Vec<PlannedCall> {
        let mut details = vec![self.seconds()];
        details.extend(
            self.settings
                .mfa_serial
                .clone()
                .map(|serial| ("serial_number", serial)),
        );
        let mut calls = vec![self.call(
            "sts:GetSessionToken",
            "start a session of the user",
            self.master(),
            details,
        )];
        if !self.settings.allowed_accounts.is_empty() {
            calls.push(self.call(
                "sts:GetCallerIdentity",
                "see which account the session is in",
                "the session of the call before".to_owned(),
                Vec::new(),
            ));
        }
        calls
    }

    fn federation_token(&self) -> PlannedCall {
        let name = federated_user(self.settings, &self.request.label);
        let mut details = vec![("name", name), self.seconds()];
        details.extend(self.narrowing());
        self.call(
            "sts:GetFederationToken",
            "start a session of a federated user",
            self.master(),
            details,
        )
    }

    fn seconds(&self) -> (&'static str, String) {
        let seconds = self.request.duration.as_secs();
        ("duration_seconds", seconds.to_string())
    }

    fn narrowing(&self) -> Vec<(&'static str, String)> {
        let settings = self.settings;
        let mut details = Vec::new();
        details.extend(settings.session_policy.clone().map(|text| ("policy", text)));
        if !settings.policy_arns.is_empty() {
            details.push(("policy_arns", settings.policy_arns.join(", ")));
        }
        if !settings.tags.is_empty() {
            let tags: Vec<String> = settings
                .tags
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            details.push(("tags", tags.join(", ")));
        }
        details
    }

    fn call(
        &self,
        action: &str,
        purpose: &str,
        master: String,
        details: Vec<(&'static str, String)>,
    ) -> PlannedCall {
        let mut details: Vec<(String, String)> = details
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let accounts = &self.settings.allowed_accounts;
        if !accounts.is_empty() {
            details.push(("allowed_accounts".to_owned(), accounts.join(", ")));
        }
        PlannedCall {
            action: action.to_owned(),
            target: self.target(),
            purpose: purpose.to_owned(),
            master,
            details,
        }
    }

    /// AWS General Reference, "AWS STS endpoints": China has a domain of its own.
    fn target(&self) -> String {
        let region = &self.settings.region;
        match endpoint(self.settings, self.env) {
            Some(endpoint) => endpoint.to_owned(),
            None if region.starts_with("cn-") => format!("https://sts.{region}.amazonaws.com.cn/"),
            None => format!("https://sts.{region}.amazonaws.com/"),
        }
    }

    fn master(&self) -> String {
        let settings = self.settings;
        if let Some(lease) = &settings.via {
            return format!("the credential of lease `{lease}`");
        }
        let file = |path: Option<&std::path::PathBuf>| {
            path.map(|path| path.display().to_string())
                .unwrap_or_default()
        };
        match self.source {
            Some(Source::Saml) => format!(
                "the SAML assertion in {}",
                file(settings.saml.as_ref().map(|saml| &saml.file))
            ),
            Some(Source::ConfiguredTokenFile) => {
                format!("the OIDC token in {}", file(settings.token_file.as_ref()))
            }
            Some(Source::TokenVariable) => format!(
                "the OIDC token in {}",
                settings.token_variable.as_deref().unwrap_or_default()
            ),
            Some(Source::TokenFile) => format!(
                "the OIDC token in {}",
                self.env
                    .var("AWS_WEB_IDENTITY_TOKEN_FILE")
                    .unwrap_or_default()
            ),
            Some(Source::GitHubActions) => "the job's OIDC token".to_owned(),
            Some(Source::Profile) => format!(
                "the AWS profile `{}`",
                selected_profile(settings, self.env).unwrap_or_default()
            ),
            Some(Source::Chain) => {
                "what the AWS SDK finds: the default profile, a container, an instance".to_owned()
            }
            // Secrets are not looked up here; their names are listed as masters.
            Some(Source::Keys) | None => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned(),
        }
    }
}
