//! Requests and what becomes of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_core::Host;
use fnox_gateway::request::{Bound, CanonicalRequest, Scheme, Via};
use fnox_gateway::{Reason, Refusal};
use http::header::HeaderName;
use http::{HeaderValue, Method, Request, Version};

/// The destination of nearly all requests.
pub(crate) const HOST: &str = "api.example.com";

/// A connection by CONNECT to `host`, with TLS.
pub(crate) fn bound(host: &str) -> Bound {
    Bound::new(Scheme::Https, Host::parse(host).unwrap(), Via::Connect)
}

/// A request over HTTP/1.1, and its fields besides `Host`.
pub(crate) fn http1(
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
) -> Result<CanonicalRequest, Refusal> {
    let mut all = vec![("host", HOST)];
    all.extend_from_slice(fields);
    parse(Version::HTTP_11, method, target, &all)
}

/// A request over HTTP/2, and its fields.
pub(crate) fn http2(
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
) -> Result<CanonicalRequest, Refusal> {
    let target = format!("https://{HOST}{target}");
    parse(Version::HTTP_2, method, &target, fields)
}

/// A request with exactly these fields.
pub(crate) fn parse(
    version: Version,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
) -> Result<CanonicalRequest, Refusal> {
    parse_bound(&bound(HOST), version, method, target, fields)
}

/// A request over a certain connection.
pub(crate) fn parse_bound(
    bound: &Bound,
    version: Version,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
) -> Result<CanonicalRequest, Refusal> {
    let mut request = Request::new(());
    *request.version_mut() = version;
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    *request.uri_mut() = target.parse().unwrap();
    for (name, value) in fields {
        request.headers_mut().append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    CanonicalRequest::parse(request.into_parts().0, bound)
}

/// A plain request that is allowed.
pub(crate) fn get(target: &str) -> CanonicalRequest {
    http1("GET", target, &[]).unwrap()
}

/// Why it was refused.
#[track_caller]
pub(crate) fn reason<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> Reason {
    outcome.unwrap_err().reason
}

/// `authorization: Basic` of this user name and password.
pub(crate) fn basic(credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}
