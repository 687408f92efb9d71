//! One client for all services.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::http::{HttpConnector as _, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use fnox_core::Env;
use rand::Rng as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::credentials::{self, Keeper};
use crate::error::{Answer, AwsError, AwsErrorKind, chain, explain};
use crate::http;
use crate::options::AwsOptions;
use crate::sign::{self, Destination};

/// How often a call is tried.
const ATTEMPTS: u32 = 4;
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// AWS Key Management Service, `kms-2014-11-01`.
    Kms,
    /// AWS Secrets Manager, `secretsmanager-2017-10-17`.
    SecretsManager,
    /// AWS Systems Manager, `ssm-2014-11-06`, of which Parameter Store is a part.
    SystemsManager,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kms, Self::SecretsManager, Self::SystemsManager];

    /// Its name in hosts, credential scopes and IAM policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kms => "kms",
            Self::SecretsManager => "secretsmanager",
            Self::SystemsManager => "ssm",
        }
    }

    /// The variable that names its endpoint (AWS SDKs and Tools Reference Guide, "Service-specific endpoints").
    pub(crate) fn endpoint_variable(self) -> &'static str {
        match self {
            Self::Kms => "AWS_ENDPOINT_URL_KMS",
            Self::SecretsManager => "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            Self::SystemsManager => "AWS_ENDPOINT_URL_SSM",
        }
    }

    fn target_prefix(self) -> &'static str {
        match self {
            Self::Kms => "TrentService",
            Self::SecretsManager => "secretsmanager",
            Self::SystemsManager => "AmazonSSM",
        }
    }
}

/// Whether a call may be made again when it is not known what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Doing it twice is doing it once.
    Safe,
    /// Only if the service surely did not do it: it refused for now, or was never reached.
    OnlyUndone,
}

/// One operation of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Whose it is.
    pub service: Service,
    /// Its name: `Decrypt`.
    pub name: &'static str,
    /// Whether it may be repeated.
    pub repeat: Repeat,
}

impl Operation {
    /// As `X-Amz-Target` names it: `TrentService.Decrypt`.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{}.{}", self.service.target_prefix(), self.name)
    }

    /// As IAM policies name it: `kms:Decrypt`.
    #[must_use]
    pub fn action(&self) -> String {
        format!("{}:{}", self.service.name(), self.name)
    }

    fn may_repeat_after(&self, error: &AwsError) -> bool {
        match (error.kind, self.repeat) {
            (AwsErrorKind::Throttled | AwsErrorKind::Unreachable, _) => true,
            (AwsErrorKind::Interrupted | AwsErrorKind::Failed, repeat) => repeat == Repeat::Safe,
            _ => false,
        }
    }
}

/// Calls KMS, Secrets Manager and Parameter Store. Connections are kept and shared by concurrent calls.
#[derive(Debug)]
pub struct AwsClient {
    region: String,
    endpoints: HashMap<Service, String>,
    connector: SharedHttpConnector,
    keeper: Keeper,
    options: AwsOptions,
}

impl AwsClient {
    /// Finds region, endpoints and the source of credentials. No service is called yet.
    ///
    /// # Errors
    /// [`AwsError`] of kind [`AwsErrorKind::Configuration`].
    pub async fn connect(env: &Env, options: AwsOptions) -> Result<Self, AwsError> {
        let region = credentials::region(env, &options).await?;
        let mut endpoints = HashMap::new();
        for service in Service::ALL {
            endpoints.insert(service, options.endpoint(env, &region, service)?);
        }
        let connector = http::connector(env, options.connect_limit, options.call_limit)?;
        let keeper = Keeper::new(env, &options, &region, &connector).await?;
        Ok(Self {
            region,
            endpoints,
            connector,
            keeper,
            options,
        })
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Calls an operation with its input as JSON and reads its output.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn call<I, O>(&self, operation: Operation, input: &I) -> Result<O, AwsError>
    where
        I: Serialize + Sync + ?Sized,
        O: DeserializeOwned,
    {
        let body = serde_json::to_vec(input).map(Zeroizing::new);
        let body = body.map_err(|_| {
            let text = "the request cannot be written as JSON";
            AwsError::new(operation.action(), AwsErrorKind::Configuration, text)
        })?;
        let limit = self.options.call_limit;
        let in_time = tokio::time::timeout(limit, self.attempts(operation, &body)).await;
        let answer = in_time.map_err(|_| {
            let text = format!("no answer within {} s", limit.as_secs_f32());
            AwsError::new(operation.action(), AwsErrorKind::Interrupted, text)
        })??;
        // serde's own message could quote the answer.
        serde_json::from_slice(&answer).map_err(|_| {
            let text = "the answer is not what this operation answers with";
            AwsError::new(operation.action(), AwsErrorKind::Malformed, text)
        })
    }

    async fn attempts(
        &self,
        operation: Operation,
        body: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, AwsError> {
        let mut attempt = 1;
        let mut renewed = false;
        loop {
            let error = match self.attempt(operation, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let expired = ["ExpiredToken", "ExpiredTokenException"];
            if !renewed && expired.iter().any(|code| error.is(code)) {
                renewed = true;
                self.keeper.forget().await;
                continue;
            }
            if attempt == ATTEMPTS || !operation.may_repeat_after(&error) {
                return Err(error);
            }
            tracing::debug!(operation = %operation.action(), attempt, %error, "trying again");
            tokio::time::sleep(self.pause(attempt)).await;
            attempt += 1;
        }
    }

    /// Full jitter: anything between nothing and a limit that doubles, so that many clients do not come back
    /// at once.
    fn pause(&self, attempt: u32) -> Duration {
        let limit = self.options.pause * 2u32.saturating_pow(attempt - 1);
        limit
            .min(LONGEST_PAUSE)
            .mul_f64(rand::rng().random::<f64>())
    }

    async fn attempt(
        &self,
        operation: Operation,
        body: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, AwsError> {
        let action = operation.action();
        let now = SystemTime::from(self.options.clock.now());
        let credentials = self.keeper.credentials(now).await?;
        let destination = Destination {
            url: self
                .endpoints
                .get(&operation.service)
                .map_or("", String::as_str),
            region: &self.region,
            time: now,
        };
        let request = sign::request(&operation, &destination, &credentials, body);
        let request = request.map_err(|error| {
            AwsError::new(
                action.as_str(),
                AwsErrorKind::Configuration,
                format!("the request cannot be signed: {}", chain(error.as_ref())),
            )
        })?;
        let answer = self.connector.call(request).await;
        let answer = answer.map_err(|error| no_answer(&action, &error))?;
        judge(&action, &answer)
    }
}

fn no_answer(action: &str, error: &ConnectorError) -> AwsError {
    let text = chain(error);
    // hyper's word for a connection that was never made: nothing was asked of anybody.
    let never_made = text.contains("(Connect)") || text.contains("connect timeout");
    let (kind, text) = if never_made {
        let text = format!("the service cannot be reached: {text}");
        (AwsErrorKind::Unreachable, text)
    } else if error.is_io() || error.is_timeout() {
        let text = format!("the connection broke: {text}");
        (AwsErrorKind::Interrupted, text)
    } else if text.contains("larger than") {
        (AwsErrorKind::Malformed, text)
    } else {
        (AwsErrorKind::Interrupted, text)
    };
    AwsError::new(action, kind, text)
}

/// The body of a success, or what the answer says instead.
fn judge(action: &str, answer: &HttpResponse) -> Result<Zeroizing<Vec<u8>>, AwsError> {
    let status = answer.status().as_u16();
    let body = answer.body().bytes().unwrap_or_default();
    if status == 200 {
        return Ok(Zeroizing::new(if body.is_empty() {
            b"{}".to_vec()
        } else {
            body.to_vec()
        }));
    }
    let header = |name: &str| answer.headers().get(name);
    Err(explain(
        action,
        &Answer {
            status,
            error_type: header("x-amzn-errortype"),
            request_id: header("x-amzn-requestid"),
            date: header("date"),
            body,
        },
    ))
}
