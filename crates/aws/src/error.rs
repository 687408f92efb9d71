//! What went wrong with a call, for people and for those who decide whether to try again.

use std::error::Error;
use std::fmt;

/// A call that failed. It holds nothing of what was sent, and of the answer only the service's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsError {
    /// Which operation, as IAM policies name it: `kms:Decrypt`. `aws` before there was one.
    pub operation: String,
    /// What kind of failure it is.
    pub kind: AwsErrorKind,
    /// The service's error code, without name space: `ResourceNotFoundException`.
    pub code: Option<String>,
    /// What is wrong.
    pub message: String,
    /// The service's id of the request, for its support.
    pub request_id: Option<String>,
    /// What to do.
    pub remedy: Option<String>,
    /// Whether the same call may succeed later.
    pub retryable: bool,
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AwsErrorKind {
    /// A setting is missing or cannot be used; nothing was sent.
    Configuration,
    /// There are no usable credentials, or the service does not accept them.
    Credentials,
    /// The service could not be reached; nothing arrived there.
    Unreachable,
    /// The connection broke or time was up; the service may have done it.
    Interrupted,
    /// The service has too much to do.
    Throttled,
    /// The service refuses: see the code.
    Refused,
    /// The service failed.
    Failed,
    /// Something answered that is not this service.
    Malformed,
}

impl AwsError {
    pub(crate) fn new(
        operation: impl Into<String>,
        kind: AwsErrorKind,
        message: impl Into<String>,
    ) -> Self {
        Self {
            operation: operation.into(),
            kind,
            code: None,
            message: message.into(),
            request_id: None,
            remedy: None,
            retryable: matches!(
                kind,
                AwsErrorKind::Unreachable
                    | AwsErrorKind::Interrupted
                    | AwsErrorKind::Throttled
                    | AwsErrorKind::Failed
            ),
        }
    }

    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new("aws", AwsErrorKind::Configuration, message)
    }

    pub(crate) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Whether the service answered with this code.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.operation)?;
        if let Some(code) = &self.code {
            write!(formatter, "{code}: ")?;
        }
        write!(formatter, "{}", self.message)?;
        if let Some(id) = &self.request_id {
            write!(formatter, " (request {id})")?;
        }
        if let Some(remedy) = &self.remedy {
            write!(formatter, "; {remedy}")?;
        }
        Ok(())
    }
}

impl Error for AwsError {}

/// Codes that mean "too many at once": AWS SDKs and Tools Reference Guide, "Retry behavior"; of the two
/// services' own, `LimitExceededException` is a quota and does not pass by itself.
const THROTTLED: [&str; 7] = [
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
];

/// Codes that mean that it was not our fault.
const FAILED: [&str; 6] = [
    "InternalServiceError",
    "InternalFailure",
    "ServiceUnavailable",
    "DependencyTimeoutException",
    "KMSInternalException",
    "KeyUnavailableException",
];

/// Codes that mean that the signature or its credentials are not accepted.
const CREDENTIALS: [&str; 10] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// What an answer said that is no success.
#[derive(Debug, Default)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) error_type: Option<&'a str>,
    pub(crate) request_id: Option<&'a str>,
    pub(crate) date: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

/// Turns it into an error.
pub(crate) fn explain(operation: &str, answer: &Answer<'_>) -> AwsError {
    let body: Option<serde_json::Value> = serde_json::from_slice(answer.body).ok();
    let text = |names: [&str; 2]| {
        let body = body.as_ref()?;
        names.iter().find_map(|name| body.get(name)?.as_str())
    };
    let code = text(["__type", "code"])
        .or(answer.error_type)
        .map(bare_code)
        .filter(|code| !code.is_empty());
    let message = text(["message", "Message"]).map(|text| clean(text, 500));
    let kind = kind_of(answer.status, code.as_deref());
    let mut error = AwsError::new(
        operation,
        kind,
        match (&message, kind) {
            (Some(message), _) => message.clone(),
            (None, AwsErrorKind::Malformed) => {
                format!(
                    "something else than AWS answered, with status {}",
                    answer.status
                )
            }
            (None, _) => format!("status {} without a reason", answer.status),
        },
    );
    error.remedy = remedy(&error, answer.date);
    error.code = code;
    error.request_id = answer.request_id.map(|id| clean(id, 80));
    error
}

fn kind_of(status: u16, code: Option<&str>) -> AwsErrorKind {
    match code {
        Some(code) if THROTTLED.contains(&code) => AwsErrorKind::Throttled,
        Some(code) if FAILED.contains(&code) => AwsErrorKind::Failed,
        Some(code) if CREDENTIALS.contains(&code) => AwsErrorKind::Credentials,
        _ if status == 429 => AwsErrorKind::Throttled,
        _ if status >= 500 => AwsErrorKind::Failed,
        Some(_) if status >= 400 => AwsErrorKind::Refused,
        _ => AwsErrorKind::Malformed,
    }
}

fn remedy(error: &AwsError, date: Option<&str>) -> Option<String> {
    let skewed = ["Signature expired", "Signature not yet current"];
    if skewed.iter().any(|words| error.message.contains(words)) {
        let time = date.map(|date| format!(", where it is {}", clean(date, 40)));
        return Some(format!(
            "set this machine's clock: it may differ from that of AWS by 5 minutes at most{}",
            time.unwrap_or_default()
        ));
    }
    match error.kind {
        AwsErrorKind::Credentials => {
            Some("replace the AWS credentials with valid ones, or log in again".to_owned())
        }
        AwsErrorKind::Malformed => {
            Some("is the endpoint (AWS_ENDPOINT_URL) really one of AWS?".to_owned())
        }
        _ => None,
    }
}

/// `com.amazonaws.kms#NotFoundException:http://…` is `NotFoundException` (AWS JSON 1.1 protocol, "Operation
/// error serialization").
fn bare_code(text: &str) -> String {
    let after = text.rsplit_once('#').map_or(text, |(_, code)| code);
    let code = after.split(':').next().unwrap_or_default();
    clean(code.trim(), 80)
}

/// Without what could control a terminal, and not longer than `limit`.
pub(crate) fn clean(text: &str, limit: usize) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(limit)
        .collect()
}

/// An error and what caused it, without repetitions.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !parts.contains(&text) && parts.len() < 6 {
            parts.push(text);
        }
        cause = error.source();
    }
    clean(&parts.join(": "), 600)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, body: &str) -> AwsError {
        explain(
            "kms:Decrypt",
            &Answer {
                status,
                date: Some("Wed, 25 Nov 2026 16:00:00 GMT"),
                body: body.as_bytes(),
                ..Answer::default()
            },
        )
    }

    #[test]
    fn codes_lose_their_name_space() {
        for (text, code) in [
            ("NotFoundException", "NotFoundException"),
            ("com.amazonaws.kms#NotFoundException", "NotFoundException"),
            ("aws.kms#A:http://internal.amazon.com/x/", "A"),
            ("A:http://internal.amazon.com/coral#b/", "b/"),
        ] {
            assert_eq!(bare_code(text), code, "{text}");
        }
    }

    #[test]
    fn kinds_follow_code_and_status() {
        use AwsErrorKind as Kind;
        for (status, body, kind) in [
            (400, r#"{"__type":"ThrottlingException"}"#, Kind::Throttled),
            (429, "busy", Kind::Throttled),
            (500, "", Kind::Failed),
            (503, "<html>", Kind::Failed),
            (500, r#"{"__type":"KMSInternalException"}"#, Kind::Failed),
            (400, r#"{"__type":"InternalServiceError"}"#, Kind::Failed),
            (400, r#"{"__type":"AccessDeniedException"}"#, Kind::Refused),
            (
                400,
                r#"{"__type":"x#ExpiredTokenException"}"#,
                Kind::Credentials,
            ),
            (404, "<html>", Kind::Malformed),
            (302, "", Kind::Malformed),
        ] {
            assert_eq!(told(status, body).kind, kind, "{status} {body}");
        }
    }

    #[test]
    fn a_wrong_clock_is_explained() {
        let error = told(
            400,
            r#"{"__type":"InvalidSignatureException","message":"Signature expired: 20261125T000000Z is now earlier than"}"#,
        );
        assert_eq!(error.kind, AwsErrorKind::Credentials);
        let remedy = error.remedy.unwrap();
        assert!(remedy.starts_with("set this machine's clock"), "{remedy}");
        assert!(remedy.contains("16:00:00 GMT"), "{remedy}");
    }

    #[test]
    fn messages_cannot_control_a_terminal() {
        let error = told(400, "{\"__type\":\"A\",\"message\":\"x\\u001b[31m\\ny\"}");
        assert_eq!(error.message, "x[31my");
        assert_eq!(error.to_string(), "kms:Decrypt: A: x[31my");
    }
}
