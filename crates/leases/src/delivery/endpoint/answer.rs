//! What is said, in the words of each SDK.

use std::sync::Arc;

use fnox_core::SecretString;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Response, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::request::{Door, lease_path};
use super::shape::AzureIdentity;
use crate::delivery::Current;
use crate::delivery::document::{Shown, Variables, render};
use crate::manager::Held;

pub(super) type Body = Full<Bytes>;

/// Why there is no credential in the answer.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Whoever asks must not.
    Forbidden(&'static str),
    /// The token is absent or wrong.
    Unauthorized,
    NoSuchPath,
    /// Another method is right.
    Method(Method),
    /// The request is not as it is documented.
    Bad(String),
    /// There is no credential that works.
    Unavailable(String),
    /// The credential cannot be said in these words.
    Unfit(&'static str),
}

impl Refusal {
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::Bad(message.into())
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unfit(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// As RFC 6749 section 5.2 names errors, where it has a name for it.
    fn code(&self) -> &'static str {
        match self {
            Self::Forbidden(_) => "access_denied",
            Self::Unauthorized => "invalid_client",
            Self::NoSuchPath | Self::Method(_) | Self::Bad(_) => "invalid_request",
            Self::Unavailable(_) => "temporarily_unavailable",
            Self::Unfit(_) => "server_error",
        }
    }

    fn message(&self) -> &str {
        match self {
            Self::Forbidden(message) | Self::Unfit(message) => message,
            Self::Unauthorized => "the token is absent or wrong",
            Self::NoSuchPath => "there is nothing at this path",
            Self::Method(_) => "another method is right, see Allow",
            Self::Bad(message) | Self::Unavailable(message) => message,
        }
    }
}

/// A refusal as the SDK at this door shows it to a person.
pub(super) fn refused(door: Option<&Door>, refusal: &Refusal) -> Response<Body> {
    let (code, message) = (refusal.code(), refusal.message());
    let document = match door {
        // Azure App Service, "REST endpoint reference".
        Some(Door::Azure(_)) => {
            json!({ "statusCode": refusal.status().as_u16(), "message": message })
        }
        // RFC 6749 section 5.2.
        Some(Door::GoogleSubject { .. } | Door::GoogleExchange) => {
            json!({ "error": code, "error_description": message })
        }
        // As the agent of EKS Pod Identity says it, which the SDKs for Java and Rust read.
        _ => json!({ "code": code, "message": message }),
    };
    let mut response = document_of(&document);
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    match refusal {
        Refusal::Unavailable(_) => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Refusal::Method(method) => {
            if let Ok(value) = HeaderValue::from_str(method.as_str()) {
                headers.insert(header::ALLOW, value);
            }
        }
        Refusal::Unauthorized => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        _ => {}
    }
    response
}

/// The leases and where each is, relative to this server.
pub(super) fn leases(all: &[Arc<dyn Current>]) -> Response<Body> {
    let leases: Vec<_> = all
        .iter()
        .map(|one| {
            json!({
                "lease": one.lease().as_str(),
                "type": one.kind(),
                "path": lease_path(one.lease()),
            })
        })
        .collect();
    document_of(&json!({ "leases": leases }))
}

/// One lease for whoever knows fnox.
pub(super) fn lease(held: &Held) -> Result<Response<Body>, Refusal> {
    #[derive(Serialize)]
    struct One<'a> {
        lease: &'a str,
        variables: Variables<'a>,
        expires_at: Option<Timestamp>,
    }
    secret_document(&One {
        lease: held.lease.as_str(),
        variables: Variables(held),
        expires_at: held.credential.expires_at,
    })
}

/// AWS SDKs and Tools Reference Guide, "Container credential provider"; names as botocore reads them
/// (`botocore/utils.py`, `ContainerMetadataFetcher`, and `botocore/credentials.py`, `ContainerProvider`).
pub(super) fn aws(held: &Held) -> Result<Response<Body>, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Keys<'a> {
        access_key_id: Shown<'a>,
        secret_access_key: Shown<'a>,
        token: Shown<'a>,
        expiration: Timestamp,
        #[serde(skip_serializing_if = "Option::is_none")]
        account_id: Option<Shown<'a>>,
    }
    let variable = |name| held.credential.variable(name).map(Shown);
    let part =
        |name| variable(name).ok_or(Refusal::Unfit("the lease makes no AWS session any more"));
    secret_document(&Keys {
        access_key_id: part("AWS_ACCESS_KEY_ID")?,
        secret_access_key: part("AWS_SECRET_ACCESS_KEY")?,
        token: part("AWS_SESSION_TOKEN")?,
        expiration: end(held)?,
        account_id: variable("AWS_ACCOUNT_ID"),
    })
}

/// Azure App Service, "REST endpoint reference": `expires_on` is a text of seconds.
pub(super) fn azure(held: &Held, identity: &AzureIdentity) -> Result<Response<Body>, Refusal> {
    #[derive(Serialize)]
    struct Answered<'a> {
        access_token: Shown<'a>,
        expires_on: String,
        resource: &'a str,
        token_type: &'static str,
    }
    secret_document(&Answered {
        access_token: Shown(only(held)?),
        expires_on: end(held)?.as_second().to_string(),
        resource: &identity.resource,
        token_type: "Bearer",
    })
}

/// What a Google library takes to the exchange.
pub(super) fn google_subject(subject: &SecretString) -> Result<Response<Body>, Refusal> {
    #[derive(Serialize)]
    struct Offered<'a> {
        subject_token: Shown<'a>,
    }
    secret_document(&Offered {
        subject_token: Shown(subject),
    })
}

/// The end of an exchange (RFC 8693 section 2.2.1).
pub(super) fn google_exchange(held: &Held, now: Timestamp) -> Result<Response<Body>, Refusal> {
    #[derive(Serialize)]
    struct Answered<'a> {
        access_token: Shown<'a>,
        issued_token_type: &'static str,
        token_type: &'static str,
        expires_in: i64,
    }
    let expires_in = end(held)?.duration_since(now).as_secs();
    if expires_in <= 0 {
        return Err(Refusal::Unavailable(
            "the credential has just ended".to_owned(),
        ));
    }
    secret_document(&Answered {
        access_token: Shown(only(held)?),
        issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
        token_type: "Bearer",
        expires_in,
    })
}

fn end(held: &Held) -> Result<Timestamp, Refusal> {
    let end = held.credential.expires_at;
    end.ok_or(Refusal::Unfit("the credential has no end"))
}

fn only(held: &Held) -> Result<&SecretString, Refusal> {
    match held.credential.variables.as_slice() {
        [(_, token)] => Ok(token),
        _ => Err(Refusal::Unfit("the lease makes no single token")),
    }
}

fn secret_document<T: Serialize>(document: &T) -> Result<Response<Body>, Refusal> {
    /// Overwritten when the connection is done with it.
    struct Text(Zeroizing<String>);

    impl AsRef<[u8]> for Text {
        fn as_ref(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }
    let text = render(document).map_err(|_| Refusal::Unfit("the answer cannot be written"))?;
    Ok(response(Bytes::from_owner(Text(text))))
}

fn document_of(document: &serde_json::Value) -> Response<Body> {
    response(Bytes::from(document.to_string()))
}

fn response(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body));
    for (name, value) in [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}
