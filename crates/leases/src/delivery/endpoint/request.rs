//! What may be asked, and by whom.
//!
//! The checks, in their order, and what each keeps out:
//! 1. `Host` is the address that was handed out, literally. A web page whose name points to 127.0.0.1 (DNS rebinding)
//!    sends its own name.
//! 2. No `Origin` and no `Sec-Fetch-*` (Fetch Metadata Request Headers): browsers send them, SDKs do not. No `X-Forwarded-For`,
//!    `Forwarded` or `Via`: a proxy would be one more reader (as the EC2 metadata service has it).
//! 3. A path that exists, its method, and no body where none belongs.
//! 4. The token of this path, compared in the same time wherever the difference is.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fnox_core::{Clock, LeaseName, SecretString};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::answer::{self, Body, Refusal};
use super::shape::{AzureIdentity, resource};
use crate::delivery::Current;
use crate::manager::Held;

/// Where all leases are listed; each one is below.
pub(super) const LEASES: &str = "/v1/leases";

/// Longest form of a token exchange.
const FORM_LIMIT: usize = 16 * 1024;
/// How long a form may take to arrive.
const FORM_TIME: Duration = Duration::from_secs(5);
/// How long a client waits for a renewal. AWS SDKs give up after two seconds and come again (botocore/utils.py,
/// `ContainerMetadataFetcher`).
const AWS_PATIENCE: Duration = Duration::from_millis(1500);
const PATIENCE: Duration = Duration::from_secs(15);

/// Headers of proxies.
const FORWARDED: [&str; 3] = ["forwarded", "via", "x-forwarded-for"];

/// What stands at a path.
#[derive(Debug)]
pub(super) enum Door {
    Leases,
    Lease,
    Aws,
    Azure(AzureIdentity),
    GoogleSubject {
        /// What is handed out here, and taken at the exchange.
        subject: SecretString,
    },
    GoogleExchange,
}

/// A path.
#[derive(Debug)]
pub(super) struct Route {
    /// Number of the lease.
    pub(super) lease: Option<usize>,
    pub(super) door: Door,
    pub(super) token: SecretString,
}

/// What all connections share.
pub(super) struct State {
    pub(super) leases: Vec<Arc<dyn Current>>,
    pub(super) routes: HashMap<String, Route>,
    pub(super) clock: Arc<dyn Clock>,
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("State")
            .field("leases", &self.leases)
            .finish_non_exhaustive()
    }
}

/// The path of one lease: its name, with everything percent-encoded that RFC 3986 section 2.3 does not call unreserved.
pub(super) fn lease_path(lease: &LeaseName) -> String {
    const ENCODED: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    let name = percent_encoding::utf8_percent_encode(lease.as_str(), ENCODED);
    format!("{LEASES}/{name}")
}

impl State {
    /// Answers a request that came to `authority`, such as `127.0.0.1:40123`.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        authority: &str,
    ) -> Response<Body> {
        let route = match self.route(&request, authority) {
            Ok(route) => route,
            Err(refusal) => return answer::refused(None, &refusal),
        };
        let answered = match route.door {
            Door::GoogleExchange => self.exchange(route, request).await,
            _ => self.read(route, &request).await,
        };
        answered.unwrap_or_else(|refusal| answer::refused(Some(&route.door), &refusal))
    }

    /// The route of a request that may be answered, but for the token.
    fn route(&self, request: &Request<Incoming>, authority: &str) -> Result<&Route, Refusal> {
        let headers = request.headers();
        check_headers(headers, authority)?;
        let uri = request.uri();
        if uri.scheme().is_some() || uri.authority().is_some() {
            return Err(Refusal::bad(
                "the target must be a path (RFC 9112 section 3.2.1)",
            ));
        }
        let route = self.routes.get(uri.path()).ok_or(Refusal::NoSuchPath)?;
        let wanted = match route.door {
            Door::GoogleExchange => Method::POST,
            _ => Method::GET,
        };
        if request.method() != wanted {
            return Err(Refusal::Method(wanted));
        }
        if wanted == Method::GET && has_body(headers) {
            return Err(Refusal::bad("a GET has no body here"));
        }
        Ok(route)
    }

    async fn read(
        &self,
        route: &Route,
        request: &Request<Incoming>,
    ) -> Result<Response<Body>, Refusal> {
        let headers = request.headers();
        let given = match &route.door {
            Door::Aws => single(headers, header::AUTHORIZATION.as_str())?,
            Door::Azure(_) => single(headers, "x-identity-header")?,
            _ => single(headers, header::AUTHORIZATION.as_str())?
                .and_then(|value| value.strip_prefix("Bearer ")),
        };
        check_token(given, &route.token)?;
        match &route.door {
            Door::Leases => Ok(answer::leases(&self.leases)),
            Door::Lease => answer::lease(&self.current(route, PATIENCE).await?),
            Door::Aws => answer::aws(&self.current(route, AWS_PATIENCE).await?),
            Door::Azure(identity) => {
                check_azure(request.uri().query().unwrap_or_default(), identity)?;
                answer::azure(&self.current(route, PATIENCE).await?, identity)
            }
            Door::GoogleSubject { subject } => answer::google_subject(subject),
            Door::GoogleExchange => Err(Refusal::NoSuchPath),
        }
    }

    /// A token exchange (RFC 8693), as Google's security token service has it.
    async fn exchange(
        &self,
        route: &Route,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Refusal> {
        let kind = single(request.headers(), header::CONTENT_TYPE.as_str())?.unwrap_or_default();
        if kind.split(';').next().map(str::trim) != Some("application/x-www-form-urlencoded") {
            return Err(Refusal::bad("a token exchange is a form"));
        }
        let body = Limited::new(request.into_body(), FORM_LIMIT).collect();
        let body = tokio::time::timeout(FORM_TIME, body)
            .await
            .map_err(|_| Refusal::bad("the form did not arrive in time"))?
            .map_err(|_| Refusal::bad("the form did not arrive, or is too long"))?;
        let body = Zeroizing::new(body.to_bytes().to_vec());
        let form = Form::parse(&body)?;
        check_token(
            form.one("subject_token")?.as_deref().map(String::as_str),
            &route.token,
        )?;
        let wanted = [
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            (
                "requested_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
        ];
        for (key, value) in wanted {
            if form.one(key)?.is_none_or(|given| *given != value) {
                return Err(Refusal::bad(format!("`{key}` must be `{value}`")));
            }
        }
        let held = self.current(route, PATIENCE).await?;
        answer::google_exchange(&held, self.clock.now())
    }

    async fn current(&self, route: &Route, patience: Duration) -> Result<Held, Refusal> {
        let number = route.lease.ok_or(Refusal::NoSuchPath)?;
        let lease = self.leases.get(number).ok_or(Refusal::NoSuchPath)?;
        match tokio::time::timeout(patience, lease.current()).await {
            Ok(Ok(held)) => Ok(held),
            Ok(Err(unavailable)) => Err(Refusal::Unavailable(unavailable.to_string())),
            Err(_) => Err(Refusal::Unavailable(format!(
                "lease `{}` is being renewed, which takes longer than usual",
                lease.lease()
            ))),
        }
    }
}

fn check_headers(headers: &HeaderMap, authority: &str) -> Result<(), Refusal> {
    if single(headers, header::HOST.as_str())? != Some(authority) {
        return Err(Refusal::Forbidden("the Host header is not this address"));
    }
    let of_browser = |name: &str| name == "origin" || name.starts_with("sec-fetch-");
    if headers.keys().any(|name| of_browser(name.as_str())) {
        return Err(Refusal::Forbidden("browsers get nothing here"));
    }
    if FORWARDED.iter().any(|name| headers.contains_key(*name)) {
        return Err(Refusal::Forbidden(
            "proxies get nothing here: add 127.0.0.1 to NO_PROXY",
        ));
    }
    Ok(())
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .map(HeaderValue::as_bytes);
    headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length != b"0")
}

/// The value of a header. Two of them are an error: another reader might take the other one.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Refusal::bad(format!("the header {name} came twice")));
    }
    first
        .map(HeaderValue::to_str)
        .transpose()
        .map_err(|_| Refusal::bad(format!("the header {name} is not ASCII")))
}

fn check_token(given: Option<&str>, wanted: &SecretString) -> Result<(), Refusal> {
    let given = given.ok_or(Refusal::Unauthorized)?.as_bytes();
    let wanted = wanted.expose_secret().as_bytes();
    if bool::from(given.ct_eq(wanted)) {
        Ok(())
    } else {
        Err(Refusal::Unauthorized)
    }
}

/// Clients name the resource that they want a token for; there is a token for one only.
fn check_azure(query: &str, identity: &AzureIdentity) -> Result<(), Refusal> {
    let form = Form::parse(query.as_bytes())?;
    let version = form.one("api-version")?;
    let is_date = |text: &str| {
        text.len() == 10
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'-')
    };
    // Before this one the header was another (`secret`) and dates were texts.
    let oldest = "2019-08-01";
    if !version.is_some_and(|version| is_date(&version) && version.as_str() >= oldest) {
        return Err(Refusal::bad(format!(
            "`api-version` must be {oldest} or a later one"
        )));
    }
    let ((Some(asked), None) | (None, Some(asked))) = (form.one("resource")?, form.one("scope")?)
    else {
        return Err(Refusal::bad("either `resource` or `scope` must be there"));
    };
    if !resource(&asked).eq_ignore_ascii_case(&identity.resource) {
        let wanted = &identity.resource;
        return Err(Refusal::bad(format!(
            "the lease is for the resource `{wanted}`, not for `{}`; another resource needs a lease of its own",
            asked.escape_debug()
        )));
    }
    if let Some(client) = form.one("client_id")?
        && !identity.client_ids.contains(&client)
    {
        return Err(Refusal::bad(
            "`client_id` is not the identity of this lease; leave it out",
        ));
    }
    for key in ["object_id", "principal_id", "mi_res_id", "msi_res_id"] {
        if form.one(key)?.is_some() {
            return Err(Refusal::bad(format!(
                "`{key}` chooses an identity, and there is one only; leave it out"
            )));
        }
    }
    Ok(())
}

/// Pairs of a form or a query.
struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(bytes).map_err(|_| Refusal::bad("the form is not UTF-8"))?;
        let pairs = url::form_urlencoded::parse(text.as_bytes());
        let owned =
            pairs.map(|(key, value)| (key.into_owned(), Zeroizing::new(value.into_owned())));
        Ok(Self(owned.collect()))
    }

    /// The value of a key; two of them are an error (RFC 6749 section 3.2).
    fn one(&self, key: &str) -> Result<Option<Zeroizing<String>>, Refusal> {
        let mut values = self.0.iter().filter(|(own, _)| own == key);
        let first = values.next().map(|(_, value)| value.clone());
        if values.next().is_some() {
            return Err(Refusal::bad(format!("`{key}` came twice")));
        }
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> AzureIdentity {
        AzureIdentity {
            resource: "https://vault.azure.net".to_owned(),
            client_ids: vec!["0-1".to_owned()],
        }
    }

    #[test]
    fn a_query_is_for_the_one_resource_and_the_one_identity() {
        let good = "api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net";
        for more in ["", "&client_id=0-1", "%2F", "%2F.default"] {
            assert!(
                check_azure(&format!("{good}{more}"), &identity()).is_ok(),
                "{more}"
            );
        }
        for bad in [
            "resource=https://vault.azure.net",
            "api-version=2017-09-01&resource=https://vault.azure.net",
            "api-version=2019-08-01",
            "api-version=2019-08-01&resource=https://vault.azure.net&resource=https://vault.azure.net",
            "api-version=2019-08-01&resource=https://vault.azure.net&scope=https://vault.azure.net",
            "api-version=2019-08-01&resource=https://management.azure.com",
            "api-version=2019-08-01&resource=https://vault.azure.net&client_id=0-2",
            "api-version=2019-08-01&resource=https://vault.azure.net&mi_res_id=x",
        ] {
            assert!(check_azure(bad, &identity()).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_leases_become_one_part_of_a_path() {
        for (name, path) in [
            ("aws", "aws"),
            ("a/b c?", "a%2Fb%20c%3F"),
            ("é..", "%C3%A9.."),
        ] {
            assert_eq!(
                lease_path(&name.parse().unwrap()),
                format!("/v1/leases/{path}")
            );
        }
    }

    #[test]
    fn tokens_are_compared_whole() {
        let token = SecretString::from("token");
        assert!(check_token(Some("token"), &token).is_ok());
        for wrong in [None, Some(""), Some("toke"), Some("token "), Some("tokem")] {
            assert!(check_token(wrong, &token).is_err());
        }
    }
}
