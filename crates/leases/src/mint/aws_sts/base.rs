//! The credentials with which `AssumeRole` is called.
//!
//! A key pair in the environment or the overlay is taken as it is. Everything else is the AWS SDK's
//! business: profiles with all that they can name, SSO, containers, instances.

use std::error::Error;

use aws_config::BehaviorVersion;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::region::Region;
use fnox_aws::{profile_files, profiles};

use super::settings::Settings;
use super::source::{Source, selected_profile};
use crate::mint::{MintContext, MintError};

/// Loads the credentials of a source.
pub(super) async fn load(
    settings: &Settings,
    source: Source,
    context: &MintContext,
    client: &SharedHttpClient,
) -> Result<Credentials, MintError> {
    let env = &context.env;
    if source == Source::Keys {
        return Ok(keys(settings, context));
    }
    let config = ProviderConfig::without_region()
        .with_region(Some(Region::new(settings.region.clone())))
        .with_behavior_version(Some(BehaviorVersion::latest()))
        .with_http_client(client.clone())
        .with_timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(context.connect_limit)
                .operation_timeout(context.call_limit)
                .build(),
        );
    let loaded = match (source, selected_profile(settings, env)) {
        (Source::Profile, Some(profile)) => {
            ProfileFileCredentialsProvider::builder()
                .configure(&config)
                .profile_files(profile_files::existing(env))
                .profile_name(profile)
                .build()
                .provide_credentials()
                .await
        }
        _ => {
            DefaultCredentialsChain::builder()
                .configure(config)
                .region(Region::new(settings.region.clone()))
                .build()
                .await
                .provide_credentials()
                .await
        }
    };
    loaded.map_err(|error| match selected_profile(settings, env) {
        // The SDK then says that a provider was not enabled, which helps nobody.
        Some(profile) => match profiles::problem(env, profile) {
            Some(problem) => MintError::authentication(problem).with_remedy(
                "check the name (`profile` of the lease, or AWS_PROFILE), or log in to it",
            ),
            None => explain(&error, Some(profile)),
        },
        None => explain(&error, None),
    })
}

fn keys(settings: &Settings, context: &MintContext) -> Credentials {
    let value = |name: &str| context.env.var(name).map(str::to_owned);
    // A session token of the environment does not belong to the keys of another lease.
    let belongs = |token: &String| {
        settings.via.is_none()
            || context
                .masters
                .iter()
                .any(|master| master.expose_secret() == token)
    };
    Credentials::new(
        value("AWS_ACCESS_KEY_ID").unwrap_or_default(),
        value("AWS_SECRET_ACCESS_KEY").unwrap_or_default(),
        value("AWS_SESSION_TOKEN")
            .or_else(|| value("AWS_SECURITY_TOKEN"))
            .filter(belongs),
        None,
        "fnox",
    )
}

fn explain(error: &CredentialsError, profile: Option<&str>) -> MintError {
    let whose = match profile {
        Some(profile) => format!("of the AWS profile `{}`", profile.escape_debug()),
        None => "for AWS".to_owned(),
    };
    let message = format!("the credentials {whose} cannot be loaded: {}", chain(error));
    // The SDK has no kind of its own for a service that cannot be reached.
    let unreachable = ["dispatch failure", "timeout", "timed out"];
    if matches!(error, CredentialsError::ProviderTimedOut(_))
        || unreachable.iter().any(|words| message.contains(words))
    {
        return MintError::unavailable(message);
    }
    let login = match profile {
        Some(profile) => format!("aws sso login --profile {profile}"),
        None => "aws sso login".to_owned(),
    };
    MintError::authentication(message).with_remedy(format!(
        "log in, for example with `{login}`, or correct the profile"
    ))
}

/// An error and what caused it, without repetitions.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !parts.contains(&text) && parts.len() < 6 {
            parts.push(text);
        }
        cause = error.source();
    }
    let text: String = parts.join(": ");
    text.chars()
        .filter(|character| !character.is_control())
        .take(600)
        .collect()
}
