//! Who calls, and in which region.
//!
//! A key pair in the environment that was given is taken as it is, unless a profile is asked for by name. A
//! profile is read from the files that this environment names. Everything else is `aws-config`'s business:
//! SSO, web identity, containers, instances.

use std::time::{Duration, SystemTime};

use aws_config::BehaviorVersion;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::default_provider::region::DefaultRegionChain;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::meta::region::ProvideRegion as _;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_runtime_api::client::http::{SharedHttpConnector, http_client_fn};
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use fnox_core::Env;
use tokio::sync::Mutex;

use crate::error::{AwsError, AwsErrorKind, chain};
use crate::options::{AwsOptions, is_region, sts_endpoint};
use crate::{profile_files, profiles};

/// How long before their end credentials are replaced.
const MARGIN: Duration = Duration::from_mins(5);

/// The credentials, loaded when they are needed and again before they end.
#[derive(Debug)]
pub(crate) struct Keeper {
    provider: SharedCredentialsProvider,
    profile: Option<String>,
    /// What the files say against it, for when nothing came of it: the SDK's words for that help nobody.
    problem: Option<String>,
    role: Option<String>,
    loaded: Mutex<Option<Credentials>>,
}

impl Keeper {
    /// Chooses a source. Nothing is loaded yet.
    pub(crate) async fn new(
        env: &Env,
        options: &AwsOptions,
        region: &str,
        connector: &SharedHttpConnector,
    ) -> Result<Self, AwsError> {
        let profile = profile(env, options).map(str::to_owned);
        let named = |name: &str| {
            ProfileFileCredentialsProvider::builder()
                .configure(&config(options, region, connector))
                .profile_files(profile_files::existing(env))
                .profile_name(name)
                .build()
        };
        let provider = match (keys(env), &options.profile, &profile) {
            (Some(keys), None, _) => SharedCredentialsProvider::new(keys),
            (_, _, Some(profile)) => SharedCredentialsProvider::new(named(profile)),
            _ => {
                let rest = DefaultCredentialsChain::builder()
                    .configure(config(options, region, connector))
                    .region(Region::new(region.to_owned()))
                    .build()
                    .await;
                // The files that this environment names come before those that the SDK would find.
                let chain = CredentialsProviderChain::first_try("profile", named("default"));
                SharedCredentialsProvider::new(chain.or_else("surroundings", rest))
            }
        };
        let provider = match &options.role {
            None => provider,
            Some(role) => {
                let sdk = sdk_config(env, options, region, connector)?;
                let assume = AssumeRoleProvider::builder(&role.arn)
                    .session_name(&role.session_name)
                    .configure(&sdk)
                    .build_from_provider(provider)
                    .await;
                SharedCredentialsProvider::new(assume)
            }
        };
        // Keys in the environment come before a profile that it names.
        let is_used = options.profile.is_some() || keys(env).is_none();
        let used = profile.as_deref().filter(|_| is_used);
        Ok(Self {
            provider,
            problem: used.and_then(|name| profiles::problem(env, name)),
            profile,
            role: options.role.as_ref().map(|role| role.arn.clone()),
            loaded: Mutex::default(),
        })
    }

    /// The credentials, still valid for some minutes at `now`.
    pub(crate) async fn credentials(&self, now: SystemTime) -> Result<Credentials, AwsError> {
        let mut loaded = self.loaded.lock().await;
        if let Some(credentials) = loaded.as_ref().filter(|it| lives(it, now)) {
            return Ok(credentials.clone());
        }
        let fresh = self.provider.provide_credentials().await;
        let fresh = fresh.map_err(|error| self.explain(&error))?;
        *loaded = Some(fresh.clone());
        Ok(fresh)
    }

    /// Forgets them: the service says that they are over.
    pub(crate) async fn forget(&self) {
        *self.loaded.lock().await = None;
    }

    fn explain(&self, error: &CredentialsError) -> AwsError {
        let whose = match (&self.role, &self.profile) {
            (Some(role), _) => format!("of the role `{}`", role.escape_debug()),
            (None, Some(profile)) => format!("of the AWS profile `{}`", profile.escape_debug()),
            (None, None) => "for AWS".to_owned(),
        };
        if let Some(problem) = &self.problem {
            let error = AwsError::new("aws", AwsErrorKind::Credentials, problem);
            return error.with_remedy("correct the name (`profile` of the provider, or AWS_PROFILE), or make the profile with `aws configure`");
        }
        let message = format!("the credentials {whose} cannot be loaded: {}", chain(error));
        // The SDK has no kind of its own for a service that cannot be reached.
        let unreachable = ["dispatch failure", "timeout", "timed out"];
        if matches!(error, CredentialsError::ProviderTimedOut(_))
            || unreachable.iter().any(|words| message.contains(words))
        {
            return AwsError::new("aws", AwsErrorKind::Unreachable, message);
        }
        AwsError::new("aws", AwsErrorKind::Credentials, message).with_remedy(match &self.profile {
            Some(profile) => format!("log in with `aws sso login --profile {}`, or correct the profile", profile.escape_debug()),
            None => "log in with `aws sso login`, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned(),
        })
    }
}

/// The region, from the nearest place that names one.
///
/// # Errors
/// [`AwsError`] if none does, or if it cannot be one.
pub(crate) async fn region(env: &Env, options: &AwsOptions) -> Result<String, AwsError> {
    let named = options.region.clone().or_else(|| {
        let variables = ["AWS_REGION", "AWS_DEFAULT_REGION"];
        env.first(&variables).map(|(_, region)| region.to_owned())
    });
    let region = match named {
        Some(region) => Some(region),
        None => surroundings(env, options).await,
    };
    match region {
        Some(region) if is_region(&region) => Ok(region),
        Some(region) => Err(AwsError::configuration(format!(
            "`{}` is not an AWS region",
            region.escape_debug()
        ))),
        None => Err(AwsError::configuration("no AWS region is set")
            .with_remedy("set AWS_REGION, for example to eu-central-1")),
    }
}

async fn surroundings(env: &Env, options: &AwsOptions) -> Option<String> {
    let mut files =
        ProfileFileRegionProvider::builder().profile_files(profile_files::existing(env));
    if let Some(profile) = profile(env, options) {
        files = files.profile_name(profile);
    }
    if let Some(region) = files.build().region().await {
        return Some(region.to_string());
    }
    if env.switch("AWS_EC2_METADATA_DISABLED") == Some(true) {
        return None;
    }
    let chain = DefaultRegionChain::builder().build();
    let region = tokio::time::timeout(options.call_limit, chain.region()).await;
    Some(region.ok()??.to_string())
}

fn profile<'a>(env: &'a Env, options: &'a AwsOptions) -> Option<&'a str> {
    options.profile.as_deref().or_else(|| {
        env.first(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
            .map(|(_, name)| name)
    })
}

fn keys(env: &Env) -> Option<Credentials> {
    let value = |name: &str| env.var(name).map(str::to_owned);
    Some(Credentials::new(
        value("AWS_ACCESS_KEY_ID")?,
        value("AWS_SECRET_ACCESS_KEY")?,
        value("AWS_SESSION_TOKEN").or_else(|| value("AWS_SECURITY_TOKEN")),
        None,
        "fnox",
    ))
}

/// Settings with which STS is asked for a role's session.
fn sdk_config(
    env: &Env,
    options: &AwsOptions,
    region: &str,
    connector: &SharedHttpConnector,
) -> Result<SdkConfig, AwsError> {
    let connector = connector.clone();
    Ok(SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .endpoint_url(sts_endpoint(env, region)?)
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .time_source(SharedTimeSource::new(SystemTimeSource::new()))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(options.connect_limit)
                .operation_timeout(options.call_limit)
                .build(),
        )
        .build())
}

fn config(options: &AwsOptions, region: &str, connector: &SharedHttpConnector) -> ProviderConfig {
    let connector = connector.clone();
    ProviderConfig::without_region()
        .with_region(Some(Region::new(region.to_owned())))
        .with_behavior_version(Some(BehaviorVersion::latest()))
        .with_http_client(http_client_fn(move |_, _| connector.clone()))
        .with_timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(options.connect_limit)
                .operation_timeout(options.call_limit)
                .build(),
        )
}

fn lives(credentials: &Credentials, now: SystemTime) -> bool {
    credentials
        .expiry()
        .is_none_or(|expiry| expiry > now + MARGIN)
}
