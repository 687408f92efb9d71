//! What Google's refusals mean.
//!
//! Errors have the form of AIP-193: `error.status`, `error.message`, and an `ErrorInfo` with a stable `reason` among
//! `error.details`. Reasons are those of `google.api.ErrorReason`; where there is none, the status decides.

use fnox_http::{Answer, Service};
use serde::Deserialize;

use super::Api;
use crate::error::{ErrorKind, ProviderError};

/// What a call was about.
#[derive(Debug, Clone, Copy)]
pub(in crate::backend) struct Facts<'a> {
    /// What the reference or the key is called.
    pub(in crate::backend) name: &'a str,
    /// The project in which it is.
    pub(in crate::backend) project: &'a str,
    /// The role that allows the call.
    pub(in crate::backend) role: &'a str,
}

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    error: Status,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    reason: Option<String>,
}

/// The error that a refusal stands for.
pub(in crate::backend) fn explain(
    api: &Api,
    answer: &Answer,
    service: &Service,
    facts: &Facts<'_>,
) -> ProviderError {
    let error = ProviderError::from(answer.refusal(service));
    let said = answer.said().unwrap_or_default();
    let reason = reason(answer, service);
    let (kind, remedy) = match (answer.status(), reason.as_deref().unwrap_or_default()) {
        (401, _) => (
            ErrorKind::AuthenticationNeeded,
            "log in again with `gcloud auth application-default login`; if that does not help, is this machine's clock right?".to_owned(),
        ),
        (404, _) => return ProviderError::not_found(facts.name),
        // Its reason says that a service is disabled, which is true of the project of gcloud itself.
        (403, _) if said.contains("requires a quota project") => (
            ErrorKind::Misconfigured,
            format!(
                "`gcloud auth application-default set-quota-project {}`, or set GOOGLE_CLOUD_QUOTA_PROJECT",
                facts.project
            ),
        ),
        (403, "SERVICE_DISABLED") => (ErrorKind::Misconfigured, enable(api, facts)),
        (403, "USER_PROJECT_DENIED") => (
            ErrorKind::Misconfigured,
            "the login's quota project must be one in which it has roles/serviceusage.serviceUsageConsumer; \
             GOOGLE_CLOUD_QUOTA_PROJECT names another one"
                .to_owned(),
        ),
        (403, "CONSUMER_INVALID") => {
            return error_of(error, ErrorKind::Misconfigured)
                .with_remedy(format!("does the project {} exist?", facts.project))
                .at_key("project");
        }
        (403, "BILLING_DISABLED") => (
            ErrorKind::Misconfigured,
            format!("enable billing for the project {}", facts.project),
        ),
        (403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT") => (
            ErrorKind::Denied,
            "give the machine's service account the scope cloud-platform".to_owned(),
        ),
        // "(or it may not exist)": who may not see a resource is not told whether there is one.
        (403, _) => (
            ErrorKind::Denied,
            format!(
                "grant {} on it to whoever is logged in, and check the name; a new grant takes minutes to work",
                facts.role
            ),
        ),
        _ => return error,
    };
    error_of(error, kind).with_remedy(remedy)
}

/// Whether a call for something that is not there was answered as it is to those who may call. Roles are often about
/// single resources, so that being refused this one says nothing about others; the login was accepted.
pub(in crate::backend) fn is_reachable(error: ProviderError) -> Result<(), ProviderError> {
    match error.kind {
        ErrorKind::NotFound | ErrorKind::Denied => Ok(()),
        _ => Err(error),
    }
}

fn error_of(error: ProviderError, kind: ErrorKind) -> ProviderError {
    ProviderError { kind, ..error }
}

fn enable(api: &Api, facts: &Facts<'_>) -> String {
    format!(
        "enable the API: `gcloud services enable {}.googleapis.com --project {}`; it takes minutes to work",
        api.host, facts.project
    )
}

fn reason(answer: &Answer, service: &Service) -> Option<String> {
    let body: Body = answer.json(service).unwrap_or_default();
    body.error
        .details
        .into_iter()
        .find_map(|detail| detail.reason)
}
