//! One signed request.
//!
//! AWS JSON 1.1: a POST to `/` with the operation's name in `X-Amz-Target`. Everything that decides what
//! happens is signed: host, content type, target, time, session token and body.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;

use crate::client::Operation;

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// Where a request goes and as of when.
#[derive(Debug)]
pub(crate) struct Destination<'a> {
    pub(crate) url: &'a str,
    pub(crate) region: &'a str,
    pub(crate) time: SystemTime,
}

/// Builds and signs a request. Fails only for URLs that are none.
pub(crate) fn request(
    operation: &Operation,
    destination: &Destination<'_>,
    credentials: &Credentials,
    body: &[u8],
) -> Result<HttpRequest, Box<dyn std::error::Error + Send + Sync>> {
    let url = format!("{}/", destination.url);
    let target = operation.target();
    let own = [
        ("content-type", CONTENT_TYPE),
        ("x-amz-target", target.as_str()),
    ];
    let identity: Identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(destination.region)
        .name(operation.service.name())
        .time(destination.time)
        .settings(SigningSettings::default())
        .build()?
        .into();
    let signable = SignableRequest::new(
        "POST",
        url.as_str(),
        own.into_iter(),
        SignableBody::Bytes(body),
    )?;
    let (instructions, _) = sign(signable, &params)?.into_parts();

    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("POST")?;
    request.set_uri(url)?;
    let headers = request.headers_mut();
    for (name, value) in own {
        headers.try_insert(name, value.to_owned())?;
    }
    for (name, value) in instructions.headers() {
        headers.try_insert(name.to_owned(), value.to_owned())?;
    }
    Ok(request)
}
