//! The calls to STS.

use aws_credential_types::Credentials;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{BehaviorVersion, Region, SharedHttpClient};
use aws_sdk_sts::types::{AssumedRoleUser, Credentials as Issued, PolicyDescriptorType, Tag};
use aws_sdk_sts::{Client, Config};
use fnox_core::{Credential, SecretString};
use jiff::Timestamp;

use super::settings::{Settings, is_session_character};
use super::source::Source;
use super::{PRODUCES, base, errors, http, token};
use crate::ledger::random_hex;
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
        Some(serial) if !source.is_token() => Some(ask_for_code(serial, context)?),
        _ => None,
    };
    let call = Call {
        settings,
        context,
        request,
        client: http::client(context)?,
    };
    let session = async {
        match (source.is_token(), call.role_behind_token(*source)) {
            (true, None) => call.with_token(*source).await,
            (true, Some(role_arn)) => {
                let base = call.exchange(*source, &role_arn).await?;
                call.with_credentials(base, code).await
            }
            (false, _) => {
                let base = base::load(settings, *source, context, &call.client).await?;
                call.with_credentials(base, code).await
            }
        }
    };
    match tokio::time::timeout(context.call_limit, session).await {
        Ok(result) => result,
        Err(_) => Err(MintError::unavailable(format!(
            "STS did not answer within {} s",
            context.call_limit.as_secs()
        ))
        .maybe_issued()),
    }
}

struct Call<'a> {
    settings: &'a Settings,
    context: &'a MintContext,
    request: &'a CreateRequest,
    client: SharedHttpClient,
}

impl Call<'_> {
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` comes with the role that it is meant for. If that is another one
    /// than the lease's, its session is the master.
    fn role_behind_token(&self, source: Source) -> Option<String> {
        if source != Source::TokenFile {
            return None;
        }
        let role_arn = self.context.env.var("AWS_ROLE_ARN")?;
        (role_arn != self.settings.role_arn).then(|| role_arn.to_owned())
    }

    async fn with_credentials(
        &self,
        base: Credentials,
        code: Option<String>,
    ) -> Result<Credential, MintError> {
        let settings = self.settings;
        let facts = errors::Facts {
            action: "sts:AssumeRole",
            role_arn: &settings.role_arn,
            is_chained: base.session_token().is_some(),
            claims: None,
        };
        let mut call = self
            .sts(Some(base))
            .assume_role()
            .role_arn(&settings.role_arn)
            .role_session_name(self.session_name())
            .duration_seconds(self.seconds())
            .set_external_id(settings.external_id.clone())
            .set_policy(settings.session_policy.clone())
            .set_policy_arns(self.policies())
            .set_source_identity(settings.source_identity.clone());
        for (key, value) in &settings.tags {
            call = call.tags(
                Tag::builder()
                    .key(key)
                    .value(value)
                    .build()
                    .map_err(|error| MintError::misconfigured("tags", error.to_string()))?,
            );
        }
        if let Some(code) = code {
            call = call
                .set_serial_number(settings.mfa_serial.clone())
                .token_code(code);
        }
        let answer = call
            .send()
            .await
            .map_err(|error| errors::explain(&error, &facts))?;
        self.credential(answer.credentials(), answer.assumed_role_user())
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
        self.credential(answer.credentials(), answer.assumed_role_user())
    }

    /// The session of the role that a token is meant for, as credentials for the next call.
    async fn exchange(&self, source: Source, role_arn: &str) -> Result<Credentials, MintError> {
        let token = token::fetch(self.settings, source, self.context).await?;
        let name = match self.context.env.var("AWS_ROLE_SESSION_NAME") {
            Some(name) => session_name(name),
            None => self.session_name(),
        };
        let facts = errors::Facts {
            role_arn,
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
        let issued = answer.credentials().ok_or_else(without_credential)?;
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
            role_arn: &self.settings.role_arn,
            is_chained: false,
            claims: Some(token::claims(token)),
        }
    }

    fn sts(&self, credentials: Option<Credentials>) -> Client {
        let limits = TimeoutConfig::builder()
            .connect_timeout(self.context.connect_limit)
            .operation_attempt_timeout(self.context.call_limit / 3)
            .operation_timeout(self.context.call_limit)
            .build();
        let env = &self.context.env;
        let endpoint = self.settings.endpoint.as_deref().or_else(|| {
            env.first(&["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"])
                .map(|(_, url)| url)
        });
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

    fn credential(
        &self,
        issued: Option<&Issued>,
        user: Option<&AssumedRoleUser>,
    ) -> Result<Credential, MintError> {
        let issued = issued.ok_or_else(without_credential)?;
        let expires_at =
            Timestamp::from_second(issued.expiration().secs()).map_err(|_| without_credential())?;
        let now = self.context.clock.now();
        if expires_at <= now {
            return Err(MintError::unavailable(format!(
                "STS answered with a session that expired at {expires_at}, and it is {now}"
            ))
            .with_remedy("is this machine's clock right?"));
        }
        let values = [
            issued.access_key_id(),
            issued.secret_access_key(),
            issued.session_token(),
        ];
        if values.iter().any(|value| value.is_empty()) {
            return Err(without_credential());
        }
        let role = user.map_or("", AssumedRoleUser::assumed_role_id);
        Ok(Credential {
            variables: PRODUCES
                .into_iter()
                .zip(values)
                .map(|(name, value)| (name.to_owned(), SecretString::from(value)))
                .collect(),
            expires_at: Some(expires_at),
            id: if role.is_empty() {
                self.request.provisional_id.clone()
            } else {
                format!("{role}-{}", random_hex())
            },
        })
    }
}

fn without_credential() -> MintError {
    MintError::unavailable("STS answered without a complete credential").maybe_issued()
}

/// A valid session name: other characters become `-`, 64 at most, 2 at least.
pub(super) fn session_name(text: &str) -> String {
    let mut name: String = text
        .chars()
        .map(|character| match character {
            character if is_session_character(character) => character,
            _ => '-',
        })
        .take(64)
        .collect();
    while name.len() < 2 {
        name.push('-');
    }
    name
}

fn ask_for_code(serial: &str, context: &MintContext) -> Result<String, MintError> {
    let needed = |what: String| {
        MintError::authentication(what)
            .with_remedy("run `fnox lease create` on a terminal; `exec` then uses that lease")
    };
    let code = context
        .prompt
        .text(&format!("MFA code for {}", serial.escape_debug()))
        .ok_or_else(|| {
            needed(format!(
                "the code of the MFA device {} is needed, and nobody can be asked",
                serial.escape_debug()
            ))
        })?;
    let code = code.trim();
    if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(needed("an MFA code has 6 digits".to_owned()));
    }
    Ok(code.to_owned())
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
