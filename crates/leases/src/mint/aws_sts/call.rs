//! The calls to STS.

use aws_credential_types::Credentials;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{BehaviorVersion, Region, SharedHttpClient};
use aws_sdk_sts::types::{AssumedRoleUser, PolicyDescriptorType, Tag};
use aws_sdk_sts::{Client, Config};
use fnox_core::{Credential, Env, SecretString};

use super::answer::{self, Holder};
use super::mode::Mode;
use super::settings::{Saml, Settings, is_session_character};
use super::source::Source;
use super::{base, errors, http, mfa, saml, token};
use crate::mint::{CreateRequest, MintContext, MintError};

/// Creates a session.
pub(super) async fn create(
    settings: &Settings,
    source: &Source,
    context: &MintContext,
    request: &CreateRequest,
) -> Result<Credential, MintError> {
    // A person is asked before the clock of the call starts.
    let code = match &settings.mfa_serial {
        Some(serial) if !source.is_token() => Some(mfa::ask_for_code(serial, context)?),
        _ => None,
    };
    let call = Call {
        settings,
        context,
        request,
        client: http::client(context)?,
    };
    match tokio::time::timeout(context.call_limit, call.session(*source, code)).await {
        Ok(result) => result,
        Err(_) => Err(MintError::unavailable(format!(
            "STS did not answer within {} s",
            context.call_limit.as_secs()
        ))
        .maybe_issued()),
    }
}

/// `AWS_WEB_IDENTITY_TOKEN_FILE` comes with the role that it is meant for. If that is another one
/// than the lease's, its session is the master.
pub(super) fn role_behind_token(settings: &Settings, source: Source, env: &Env) -> Option<String> {
    if source != Source::TokenFile {
        return None;
    }
    let role_arn = env.var("AWS_ROLE_ARN")?;
    (role_arn != settings.role_arn).then(|| role_arn.to_owned())
}

struct Call<'a> {
    settings: &'a Settings,
    context: &'a MintContext,
    request: &'a CreateRequest,
    client: SharedHttpClient,
}

impl Call<'_> {
    async fn session(&self, source: Source, code: Option<String>) -> Result<Credential, MintError> {
        let settings = self.settings;
        if settings.mode != Mode::AssumeRole {
            let keys = self.long_term_keys(source).await?;
            return match settings.mode {
                Mode::SessionToken => self.session_token(keys, code).await,
                _ => self.federation_token(keys).await,
            };
        }
        if let (Source::Saml, Some(saml)) = (source, &settings.saml) {
            return self.with_saml(saml).await;
        }
        if !source.is_token() {
            let base = base::load(settings, source, self.context, &self.client).await?;
            return self.with_credentials(base, code).await;
        }
        match role_behind_token(settings, source, &self.context.env) {
            None => self.with_token(source).await,
            Some(role_arn) => {
                let base = self.exchange(source, &role_arn).await?;
                self.with_credentials(base, code).await
            }
        }
    }

    async fn with_credentials(
        &self,
        base: Credentials,
        code: Option<String>,
    ) -> Result<Credential, MintError> {
        let settings = self.settings;
        let facts = errors::Facts {
            action: "sts:AssumeRole",
            role_arn: Some(&settings.role_arn),
            is_chained: base.session_token().is_some(),
            sent: None,
        };
        let transitive = &settings.transitive_tags;
        let mut call = self
            .sts(Some(base))
            .assume_role()
            .role_arn(&settings.role_arn)
            .role_session_name(self.session_name())
            .duration_seconds(self.seconds())
            .set_external_id(settings.external_id.clone())
            .set_policy(settings.session_policy.clone())
            .set_policy_arns(self.policies())
            .set_tags(self.tags()?)
            .set_transitive_tag_keys((!transitive.is_empty()).then(|| transitive.clone()))
            .set_source_identity(settings.source_identity.clone());
        if let Some(code) = code {
            call = call
                .set_serial_number(settings.mfa_serial.clone())
                .token_code(code);
        }
        let answer = call
            .send()
            .await
            .map_err(|error| errors::explain(&error, &facts))?;
        let holder = answer.assumed_role_user().map(role_session);
        answer::check_account(settings, answer::account(holder))?;
        answer::credential(self.context, self.request, answer.credentials(), holder)
    }

    async fn with_token(&self, source: Source) -> Result<Credential, MintError> {
        if let Some(key) = self.settings.not_for_tokens() {
            return Err(MintError::misconfigured(
                key,
                format!("`{key}` cannot be used when the master is an OIDC token"),
            )
            .with_remedy(format!("remove `{key}`, or use other masters")));
        }
        let token = token::fetch(self.settings, source, self.context).await?;
        let answer = self
            .sts(None)
            .assume_role_with_web_identity()
            .role_arn(&self.settings.role_arn)
            .role_session_name(self.session_name())
            .duration_seconds(self.seconds())
            .set_policy(self.settings.session_policy.clone())
            .set_policy_arns(self.policies())
            .web_identity_token(token.expose_secret())
            .send()
            .await
            .map_err(|error| errors::explain(&error, &self.token_facts(&token)))?;
        let holder = answer.assumed_role_user().map(role_session);
        answer::check_account(self.settings, answer::account(holder))?;
        answer::credential(self.context, self.request, answer.credentials(), holder)
    }

    async fn with_saml(&self, saml: &Saml) -> Result<Credential, MintError> {
        let assertion = saml::read(&saml.file)?;
        let facts = errors::Facts {
            action: "sts:AssumeRoleWithSAML",
            role_arn: Some(&self.settings.role_arn),
            is_chained: false,
            sent: Some(format!(
                "the assertion was sent for the provider {}",
                saml.provider_arn
            )),
        };
        let answer = self
            .sts(None)
            .assume_role_with_saml()
            .role_arn(&self.settings.role_arn)
            .principal_arn(&saml.provider_arn)
            .saml_assertion(assertion.expose_secret())
            .duration_seconds(self.seconds())
            .set_policy(self.settings.session_policy.clone())
            .set_policy_arns(self.policies())
            .send()
            .await
            .map_err(|error| errors::explain(&error, &facts))?;
        let holder = answer.assumed_role_user().map(role_session);
        answer::check_account(self.settings, answer::account(holder))?;
        answer::credential(self.context, self.request, answer.credentials(), holder)
    }

    /// The keys of a user. STS answers `GetSessionToken` and `GetFederationToken` to nobody else.
    async fn long_term_keys(&self, source: Source) -> Result<Credentials, MintError> {
        let mode = self.settings.mode.name();
        let refused = |what: &str| {
            MintError {
                key: Some("mode"),
                ..MintError::authentication(format!(
                    "mode = \"{mode}\" takes the access key of a user, and the master is {what}"
                ))
            }
            .with_remedy("use a user's access key, or assume a role in its place")
        };
        if source.is_token() {
            return Err(refused("an OIDC token"));
        }
        let base = base::load(self.settings, source, self.context, &self.client).await?;
        if base.session_token().is_some() {
            return Err(refused("a session"));
        }
        Ok(base)
    }

    async fn session_token(
        &self,
        keys: Credentials,
        code: Option<String>,
    ) -> Result<Credential, MintError> {
        let facts = errors::Facts::of_user("sts:GetSessionToken");
        let mut call = self
            .sts(Some(keys))
            .get_session_token()
            .duration_seconds(self.seconds());
        if let Some(code) = code {
            call = call
                .set_serial_number(self.settings.mfa_serial.clone())
                .token_code(code);
        }
        let answer = call
            .send()
            .await
            .map_err(|error| errors::explain(&error, &facts))?;
        let credential =
            answer::credential(self.context, self.request, answer.credentials(), None)?;
        if !self.settings.allowed_accounts.is_empty() {
            // The answer does not say whose session it is.
            let account = self.account_of(&credential).await?;
            answer::check_account(self.settings, account.as_deref())?;
        }
        Ok(credential)
    }

    async fn account_of(&self, credential: &Credential) -> Result<Option<String>, MintError> {
        let value = |name: &str| {
            credential
                .variable(name)
                .map(SecretString::expose_secret)
                .unwrap_or_default()
        };
        let session = Credentials::new(
            value("AWS_ACCESS_KEY_ID"),
            value("AWS_SECRET_ACCESS_KEY"),
            Some(value("AWS_SESSION_TOKEN").to_owned()),
            None,
            "fnox",
        );
        let facts = errors::Facts::of_user("sts:GetCallerIdentity");
        let answer = self
            .sts(Some(session))
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| errors::explain(&error, &facts).maybe_issued())?;
        Ok(answer.account().map(str::to_owned))
    }

    async fn federation_token(&self, keys: Credentials) -> Result<Credential, MintError> {
        let facts = errors::Facts::of_user("sts:GetFederationToken");
        let answer = self
            .sts(Some(keys))
            .get_federation_token()
            .name(self.federated_user())
            .duration_seconds(self.seconds())
            .set_policy(self.settings.session_policy.clone())
            .set_policy_arns(self.policies())
            .set_tags(self.tags()?)
            .send()
            .await
            .map_err(|error| errors::explain(&error, &facts))?;
        let holder = answer.federated_user().map(|user| Holder {
            id: user.federated_user_id(),
            arn: user.arn(),
        });
        answer::check_account(self.settings, answer::account(holder))?;
        answer::credential(self.context, self.request, answer.credentials(), holder)
    }

    /// The session of the role that a token is meant for, as credentials for the next call.
    async fn exchange(&self, source: Source, role_arn: &str) -> Result<Credentials, MintError> {
        let token = token::fetch(self.settings, source, self.context).await?;
        let name = match self.context.env.var("AWS_ROLE_SESSION_NAME") {
            Some(name) => session_name(name),
            None => self.session_name(),
        };
        let facts = errors::Facts {
            role_arn: Some(role_arn),
            ..self.token_facts(&token)
        };
        let answer = self
            .sts(None)
            .assume_role_with_web_identity()
            .role_arn(role_arn)
            .role_session_name(name)
            .web_identity_token(token.expose_secret())
            .send()
            .await
            .map_err(|error| errors::explain(&error, &facts))?;
        let issued = answer
            .credentials()
            .ok_or_else(answer::without_credential)?;
        Ok(Credentials::new(
            issued.access_key_id(),
            issued.secret_access_key(),
            Some(issued.session_token().to_owned()),
            None,
            "fnox",
        ))
    }

    fn token_facts(&self, token: &SecretString) -> errors::Facts<'_> {
        errors::Facts {
            action: "sts:AssumeRoleWithWebIdentity",
            role_arn: Some(&self.settings.role_arn),
            is_chained: false,
            sent: Some(token::claims(token)),
        }
    }

    fn sts(&self, credentials: Option<Credentials>) -> Client {
        let limits = TimeoutConfig::builder()
            .connect_timeout(self.context.connect_limit)
            .operation_attempt_timeout(self.context.call_limit / 3)
            .operation_timeout(self.context.call_limit)
            .build();
        let endpoint = endpoint(self.settings, &self.context.env);
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.settings.region.clone()))
            .http_client(self.client.clone())
            .retry_config(RetryConfig::standard())
            .timeout_config(limits);
        config.set_endpoint_url(endpoint.map(str::to_owned));
        if let Some(credentials) = credentials {
            config = config.credentials_provider(credentials);
        }
        Client::from_conf(config.build())
    }

    fn session_name(&self) -> String {
        session_name(
            self.settings
                .session_name
                .as_deref()
                .unwrap_or(&self.request.label),
        )
    }

    fn federated_user(&self) -> String {
        federated_user(self.settings, &self.request.label)
    }

    fn seconds(&self) -> i32 {
        i32::try_from(self.request.duration.as_secs()).unwrap_or(i32::MAX)
    }

    fn policies(&self) -> Option<Vec<PolicyDescriptorType>> {
        let policies = &self.settings.policy_arns;
        (!policies.is_empty()).then(|| {
            policies
                .iter()
                .map(|arn| PolicyDescriptorType::builder().arn(arn).build())
                .collect()
        })
    }

    fn tags(&self) -> Result<Option<Vec<Tag>>, MintError> {
        let tags: Result<Vec<Tag>, _> = self
            .settings
            .tags
            .iter()
            .map(|(key, value)| Tag::builder().key(key).value(value).build())
            .collect();
        let tags = tags.map_err(|error| MintError::misconfigured("tags", error.to_string()))?;
        Ok((!tags.is_empty()).then_some(tags))
    }
}

fn role_session(user: &AssumedRoleUser) -> Holder<'_> {
    Holder {
        id: user.assumed_role_id(),
        arn: user.arn(),
    }
}

/// The endpoint that is configured in the place of AWS's own.
pub(super) fn endpoint<'a>(settings: &'a Settings, env: &'a Env) -> Option<&'a str> {
    settings.endpoint.as_deref().or_else(|| {
        env.first(&["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"])
            .map(|(_, url)| url)
    })
}

/// A valid session name: other characters become `-`, 64 at most, 2 at least.
pub(super) fn session_name(text: &str) -> String {
    valid_name(text, 64)
}

/// The federated user's name, which is shorter.
pub(super) fn federated_user(settings: &Settings, label: &str) -> String {
    valid_name(settings.federated_user.as_deref().unwrap_or(label), 32)
}

fn valid_name(text: &str, most: usize) -> String {
    let mut name: String = text
        .chars()
        .map(|character| match character {
            character if is_session_character(character) => character,
            _ => '-',
        })
        .take(most)
        .collect();
    while name.len() < 2 {
        name.push('-');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_names_are_made_valid() {
        assert_eq!(session_name("fnox-exec-aws"), "fnox-exec-aws");
        assert_eq!(session_name("a b/ä"), "a-b--");
        assert_eq!(session_name("x"), "x-");
        assert_eq!(session_name(""), "--");
        assert_eq!(session_name(&"y".repeat(80)).len(), 64);
    }
}
