//! What the AWS providers have in common: who calls, names, and what errors mean.
//!
//! Credentials are found as the AWS SDKs find them ([`fnox_aws`]), from the environment that the provider was
//! opened with: keys in variables, the profile, SSO, web identity, container, instance; then the role.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fnox_aws::{AwsClient, AwsError, AwsErrorKind, AwsOptions, Role};
use fnox_core::{Env, SecretString};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::OnceCell;

use crate::error::{ErrorKind, ProviderError};
use crate::provider::{Context, Request};
use crate::settings::Settings;

/// How many calls are under way at a time.
pub(super) const AT_ONCE: usize = 10;
/// How the session of a role is called in AWS's logs.
const SESSION: &str = "fnox";

/// A client that is made when it is needed.
#[derive(Debug)]
pub(super) struct Connection {
    env: Env,
    options: AwsOptions,
    client: OnceCell<AwsClient>,
}

impl Connection {
    pub(super) fn of(settings: &Settings, context: &Context) -> Result<Self, ProviderError> {
        let text = |key| settings.text(key).map(str::to_owned);
        Ok(Self {
            env: context.env.clone(),
            options: AwsOptions {
                region: Some(settings.required("region")?.to_owned()),
                endpoint_url: text("endpoint"),
                profile: text("profile"),
                role: text("role_arn").map(role).transpose()?,
                connect_limit: context.time_limit.min(Duration::from_secs(5)),
                call_limit: context.time_limit,
                clock: Arc::clone(&context.clock),
                ..AwsOptions::default()
            },
            client: OnceCell::new(),
        })
    }

    pub(super) async fn client(&self) -> Result<&AwsClient, ProviderError> {
        let connect = || AwsClient::connect(&self.env, self.options.clone());
        let connected = self.client.get_or_try_init(connect).await;
        connected.map_err(|error| explain(&error, None))
    }

    /// Reads each different name once, in parts of at most `limit`, and answers in the order of the requests.
    pub(super) async fn read_in_parts(
        &self,
        names: &Names,
        requests: &[Request],
        limit: usize,
        read: impl for<'c> Fn(&'c AwsClient, Vec<String>) -> BoxFuture<'c, Found>,
    ) -> Vec<Result<SecretString, ProviderError>> {
        match self.client().await {
            Ok(client) => read_in_parts(names, requests, limit, |part| read(client, part)).await,
            Err(error) => requests.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}

fn role(arn: String) -> Result<Role, ProviderError> {
    if !is_role(&arn) {
        return Err(ProviderError::misconfigured(format!(
            "`{}` is not the ARN of a role, `arn:aws:iam::123456789012:role/NAME`",
            arn.escape_debug()
        ))
        .at_key("role_arn"));
    }
    Ok(Role {
        arn,
        session_name: SESSION.to_owned(),
    })
}

/// `arn:PARTITION:iam::ACCOUNT:role/NAME` (IAM User Guide, "IAM ARNs").
fn is_role(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [arn, partition, "iam", "", account, resource] = parts.as_slice() else {
        return false;
    };
    *arn == "arn"
        && partition.starts_with("aws")
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && resource
            .strip_prefix("role/")
            .is_some_and(|name| !name.is_empty() && !name.contains(char::is_whitespace))
}

/// Names of a store: the prefix before each reference, as it is. An ARN stays alone.
#[derive(Debug)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            prefix: settings.text("prefix").unwrap_or_default().to_owned(),
        }
    }

    pub(super) fn of_reference(&self, reference: &str) -> String {
        if reference.starts_with("arn:") {
            return reference.to_owned();
        }
        format!("{}{reference}", self.prefix)
    }

    /// A name under the prefix that nobody uses.
    pub(super) fn unused(&self) -> String {
        format!("{}fnox-check-of-access", self.prefix)
    }
}

/// What was read, by name.
pub(super) type Found = Vec<(String, Result<SecretString, ProviderError>)>;

async fn read_in_parts<'a>(
    names: &Names,
    requests: &[Request],
    limit: usize,
    read: impl Fn(Vec<String>) -> BoxFuture<'a, Found>,
) -> Vec<Result<SecretString, ProviderError>> {
    let wanted: Vec<String> = requests
        .iter()
        .map(|request| names.of_reference(&request.reference))
        .collect();
    let different: Vec<String> = wanted
        .iter()
        .cloned()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let parts: Vec<_> = different
        .chunks(limit)
        .map(|part| read(part.to_vec()))
        .collect();
    let parts: Vec<Found> = stream::iter(parts).buffered(AT_ONCE).collect().await;
    let found: HashMap<_, _> = parts.into_iter().flatten().collect();
    wanted
        .iter()
        .map(|name| match found.get(name) {
            Some(answer) => answer.clone(),
            None => Err(ProviderError::not_found(name)),
        })
        .collect()
}

/// Reads names by one call, and singly those about which it tells nothing. Singly too if the call is refused as a whole:
/// perhaps it alone is not allowed, or one name spoils it for the others.
///
/// `sort` gives what the call told about each name, and the names about which it told nothing.
pub(super) async fn read_together<'a, A>(
    names: Vec<String>,
    together: impl FnOnce(Vec<String>) -> BoxFuture<'a, Result<A, AwsError>>,
    sort: impl FnOnce(Vec<String>, &A) -> (Found, Vec<String>),
    single: impl Fn(String) -> BoxFuture<'a, Result<SecretString, ProviderError>>,
) -> Found {
    if names.len() == 1 {
        return read_singly(names, single).await;
    }
    match together(names.clone()).await {
        Ok(answer) => {
            let (mut found, rest) = sort(names, &answer);
            found.extend(read_singly(rest, single).await);
            found
        }
        Err(error) if error.kind == AwsErrorKind::Refused => read_singly(names, single).await,
        Err(error) => {
            let error = explain(&error, None);
            names
                .into_iter()
                .map(|name| (name, Err(error.clone())))
                .collect()
        }
    }
}

/// Reads names one by one, some at a time.
async fn read_singly<'a>(
    names: Vec<String>,
    read: impl Fn(String) -> BoxFuture<'a, Result<SecretString, ProviderError>>,
) -> Found {
    let reads: Vec<_> = names
        .into_iter()
        .map(|name| {
            let reading = read(name.clone());
            async move { (name, reading.await) }
        })
        .collect();
    stream::iter(reads).buffered(AT_ONCE).collect().await
}

/// What an error means for the value under `name`.
pub(super) fn explain(error: &AwsError, name: Option<&str>) -> ProviderError {
    let code = error.code.as_deref().unwrap_or_default();
    let told = AwsError {
        remedy: None,
        ..error.clone()
    };
    let kind = match error.kind {
        AwsErrorKind::Configuration => ErrorKind::Misconfigured,
        AwsErrorKind::Credentials => ErrorKind::AuthenticationNeeded,
        AwsErrorKind::Refused if is_being_deleted(error) => ErrorKind::NotFound,
        AwsErrorKind::Refused => refusal(code),
        _ => ErrorKind::Unavailable,
    };
    let explained = match (kind, name) {
        (ErrorKind::NotFound, Some(name)) if is_being_deleted(error) => ProviderError::new(
            kind,
            format!("`{}` is scheduled for deletion", name.escape_debug()),
        )
        .with_remedy(
            "restore it with `aws secretsmanager restore-secret --secret-id NAME`, or set it again",
        ),
        (ErrorKind::NotFound, Some(name)) => ProviderError::not_found(name),
        _ => ProviderError::new(kind, told.to_string()),
    };
    match (&error.remedy, kind) {
        (Some(remedy), _) => explained.with_remedy(remedy),
        (None, ErrorKind::Denied) => explained.with_remedy(format!(
            "whose credentials these are, `aws sts get-caller-identity` tells; their policies must allow `{}` here",
            error.operation
        )),
        _ => explained,
    }
}

fn refusal(code: &str) -> ErrorKind {
    match code {
        "ResourceNotFoundException" | "ParameterNotFound" | "ParameterVersionNotFound" => {
            ErrorKind::NotFound
        }
        // Secrets Manager and Parameter Store say the last two when the KMS key is closed to the caller.
        "AccessDeniedException" | "DecryptionFailure" | "InvalidKeyId" => ErrorKind::Denied,
        "LimitExceededException" | "TooManyUpdates" | "ParameterLimitExceeded" => {
            ErrorKind::Unavailable
        }
        _ => ErrorKind::Misconfigured,
    }
}

/// Whether Secrets Manager says that a secret is on its way out, for which it has no code of its own.
pub(super) fn is_being_deleted(error: &AwsError) -> bool {
    error.is("InvalidRequestException")
        && error.message.contains("marked")
        && error.message.contains("delet")
}

/// Whether a call for something that is not there was answered as it is to those who may call.
///
/// Policies are often about single names, so that being refused this one says nothing about others; the
/// credentials were accepted.
pub(super) fn is_reachable<T>(answer: Result<T, AwsError>) -> Result<(), ProviderError> {
    let Err(error) = answer else { return Ok(()) };
    let explained = explain(&error, None);
    match explained.kind {
        ErrorKind::NotFound | ErrorKind::Denied => Ok(()),
        _ => Err(explained),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_an_arn_of_iam() {
        for good in [
            "arn:aws:iam::123456789012:role/a",
            "arn:aws-cn:iam::123456789012:role/path/b",
        ] {
            assert!(is_role(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "arn:aws:iam::123:role/a",
            "arn:aws:sts::123456789012:role/a",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:user/a",
        ] {
            assert!(!is_role(bad), "{bad}");
        }
    }
}
