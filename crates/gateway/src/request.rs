//! The one form of a request: policy decides on it, credentials go into it, and it alone is sent.
//!
//! Gateways that judge one reading of a request and forward another have let through what they forbid: a path
//! with dot segments, a second `Host`, two lengths of one body. Here a request becomes a [`CanonicalRequest`]
//! once. Whatever two servers could read in two ways is refused, the rest has one spelling, and
//! [`CanonicalRequest::into_http1`] and [`CanonicalRequest::into_http2`] write exactly what was judged.
//!
//! Fragments are no part of a request target (RFC 9112, section 3.2); [`http::Uri`] drops them before they get
//! here, so they are neither judged nor sent. Folded lines and control characters cannot stand in an
//! [`http::HeaderMap`].

mod fields;
mod framing;
mod method;
mod path;
pub(crate) mod percent;
mod query;
mod target;
mod trailers;

use std::fmt;

use fnox_core::Host;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, UPGRADE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};

pub use self::fields::{MAX_FIELD_BYTES, MAX_FIELDS};
pub use self::framing::BodyLength;
pub use self::method::takes_credentials;
pub use self::path::Path;
pub(crate) use self::path::{canonical_segment, encoded_segment};
pub use self::query::{Parameter, Query};
pub(crate) use self::trailers::check_trailers;
use crate::refusal::{Reason, Refusal};

/// The most bytes that a path and a query may have together.
pub const MAX_TARGET_BYTES: usize = 32 * 1024;

/// How a request is protected on its way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Not at all.
    Http,
    /// By TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port if none is named.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// How a connection came to be bound to its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// By a CONNECT request.
    Connect,
    /// By the whole URL of a request to the proxy.
    Absolute,
    /// By the server name of a TLS handshake.
    Sni,
    /// By a SOCKS request.
    Socks,
}

/// What a connection is bound to. All its requests go there and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    scheme: Scheme,
    host: Host,
    via: Via,
}

impl Bound {
    /// A connection to `host`, at the scheme's own port if the host names none.
    #[must_use]
    pub fn new(scheme: Scheme, host: Host, via: Via) -> Self {
        Self {
            scheme,
            host: host.with_default_port(scheme.default_port()),
            via,
        }
    }

    /// How its requests are protected.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Where its requests go. The port is always there.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// How it was bound.
    #[must_use]
    pub fn via(&self) -> Via {
        self.via
    }
}

/// A request that can be read in one way only.
#[derive(Clone, PartialEq, Eq)]
pub struct CanonicalRequest {
    scheme: Scheme,
    host: Host,
    method: Method,
    path: Path,
    query: Query,
    headers: HeaderMap,
    body: BodyLength,
    is_websocket: bool,
}

impl CanonicalRequest {
    /// Reads a request that came over a connection bound to `bound`. The extensions of `parts` are dropped.
    ///
    /// ```
    /// # use fnox_core::Host;
    /// # use fnox_gateway::request::{Bound, CanonicalRequest, Scheme, Via};
    /// let bound = Bound::new(Scheme::Https, Host::parse("api.example.com").unwrap(), Via::Connect);
    /// let read = |path: &str| {
    ///     let request = http::Request::get(path).header("host", "API.example.com:443");
    ///     CanonicalRequest::parse(request.body(()).unwrap().into_parts().0, &bound)
    /// };
    /// assert_eq!(read("/%75sers?page=2").unwrap().target(), "/users?page=2");
    /// assert!(read("/users/../admin").is_err());
    /// ```
    ///
    /// # Errors
    /// [`Reason::Ambiguous`] for what can be read in two ways, [`Reason::Misdirected`] for a request to
    /// somewhere else, [`Reason::NotAllowed`] for TRACE and CONNECT, [`Reason::TooLarge`].
    pub fn parse(parts: Parts, bound: &Bound) -> Result<Self, Refusal> {
        let Parts {
            method,
            uri,
            version,
            headers,
            ..
        } = parts;
        if !matches!(
            version,
            Version::HTTP_10 | Version::HTTP_11 | Version::HTTP_2
        ) {
            return Err(Refusal::new(
                Reason::Ambiguous,
                "the request is neither HTTP/1 nor HTTP/2",
            ));
        }
        method::check(&method)?;
        target::check(&uri, &headers, version, bound)?;
        let path = Path::parse(uri.path())?;
        let query = Query::parse(uri.query())?;
        let fields = fields::canonical(headers, version, &method)?;
        let request = Self {
            scheme: bound.scheme(),
            host: bound.host().clone(),
            method,
            path,
            query,
            headers: fields.headers,
            body: fields.body,
            is_websocket: fields.is_websocket,
        };
        if request.target().len() > MAX_TARGET_BYTES {
            return Err(too_long());
        }
        Ok(request)
    }

    /// What is sent over HTTP/1.1: the path and the query, `Host`, and `Upgrade` for a WebSocket. A body of
    /// unknown length is for the sender to frame.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] if what was put in made it too long.
    pub fn into_http1(mut self) -> Result<Parts, Refusal> {
        let authority = HeaderValue::from_str(&self.authority()).map_err(|_| too_long())?;
        self.headers.insert(HOST, authority);
        // It would need an option of `Connection`; trailers need nobody's leave (RFC 9110, section 6.5.1).
        self.headers.remove(TE);
        if self.is_websocket {
            self.headers
                .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            self.headers
                .insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        let target = self.path_and_query()?;
        Ok(self.into_parts(Uri::from(target), Version::HTTP_11))
    }

    /// What is sent over HTTP/2: the same with the whole URL, and without `Host`. Not for a WebSocket.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] if what was put in made it too long.
    pub fn into_http2(self) -> Result<Parts, Refusal> {
        let uri = Uri::builder()
            .scheme(self.scheme.as_str())
            .authority(self.authority())
            .path_and_query(self.path_and_query()?)
            .build()
            .map_err(|_| too_long())?;
        Ok(self.into_parts(uri, Version::HTTP_2))
    }

    /// How it is protected.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Where it goes. The port is always there.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// What is asked.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Of which resource.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// With which parameters.
    #[must_use]
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// The fields for the server, without `Host` and without what is for one hop.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What it says about its body.
    #[must_use]
    pub fn body_length(&self) -> BodyLength {
        self.body
    }

    /// Whether it asks for a WebSocket (RFC 6455, section 4.1).
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        self.is_websocket
    }

    /// States how long the body is now, after something in it was replaced.
    pub fn set_body_length(&mut self, bytes: u64) {
        self.body = BodyLength::Known(bytes);
        self.headers
            .insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    }

    /// `Host` or `:authority`: the port only if it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        let default = self.scheme.default_port();
        self.host.authority(default)
    }

    /// The path and the query as they are sent.
    #[must_use]
    pub fn target(&self) -> String {
        if self.query.is_empty() {
            return self.path.to_string();
        }
        format!("{}?{}", self.path, self.query)
    }

    /// The path to write a credential to.
    pub(crate) fn path_mut(&mut self) -> &mut Path {
        &mut self.path
    }

    /// The query to write a credential to.
    pub(crate) fn query_mut(&mut self) -> &mut Query {
        &mut self.query
    }

    /// The fields to write a credential to.
    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    fn path_and_query(&self) -> Result<PathAndQuery, Refusal> {
        PathAndQuery::try_from(self.target()).map_err(|_| too_long())
    }

    fn into_parts(self, uri: Uri, version: Version) -> Parts {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = self.method;
        parts.uri = uri;
        parts.version = version;
        parts.headers = self.headers;
        parts
    }
}

/// Credentials may stand in every part but these.
impl fmt::Debug for CanonicalRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CanonicalRequest")
            .field("method", &self.method)
            .field("scheme", &self.scheme)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

fn too_long() -> Refusal {
    Refusal::new(
        Reason::TooLarge,
        format!("the path and the query have more than {MAX_TARGET_BYTES} bytes"),
    )
}
