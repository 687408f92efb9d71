//! Requests to an issuer, without being led anywhere else.
//!
//! The host is resolved once, every address is judged, and the connection goes to exactly those addresses. No
//! redirects, no proxies, no compression; a body of more than 100 KiB and an answer that takes longer than the limit
//! are refused.
//!
//! Defended against: server-side request forgery through discovery documents and DNS answers that change between check
//! and use. Left out: addresses inside, which have to be listed with scheme and port in `allow_origins`. Link-local
//! and metadata addresses cannot be opened at all.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http;
use reqwest::Url;
use reqwest::header::{ACCEPT, CACHE_CONTROL, HeaderMap};

mod address;
mod origin;

pub use address::{Reach, reach};
pub use origin::Origin;

/// The largest body that is read.
pub const LARGEST_BODY: usize = 100 * 1024;

/// Finds a host's addresses.
#[async_trait]
pub trait Resolve: Send + Sync + std::fmt::Debug {
    /// All addresses of a name.
    async fn resolve(&self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>>;
}

/// What the operating system says.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// How to reach issuers. The default is right outside of tests.
#[derive(Debug, Clone)]
pub struct Network {
    /// Who finds addresses.
    pub resolver: Arc<dyn Resolve>,
    /// Certificate authorities besides the system's, in DER.
    pub more_roots: Vec<Vec<u8>>,
    /// The longest time until connected.
    pub connect: Duration,
    /// The longest time until all is read.
    pub total: Duration,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            resolver: Arc::new(SystemResolver),
            more_roots: Vec::new(),
            connect: Duration::from_secs(3),
            total: Duration::from_secs(10),
        }
    }
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The body.
    pub body: Vec<u8>,
    /// How long `Cache-Control` says that it is good for.
    pub max_age: Option<Duration>,
}

/// Why it was not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Not asked at all.
    #[error("{url}: {why}")]
    Refused {
        /// What was to be fetched.
        url: String,
        /// Which rule.
        why: String,
    },
    /// No answer.
    #[error("{url}: {why}")]
    Failed {
        /// What was to be fetched.
        url: String,
        /// The chain of causes.
        why: String,
    },
    /// An answer that is none.
    #[error("{url}: the answer is {status} instead of 200{}", if status.is_redirection() { "; redirects are not followed" } else { "" })]
    Status {
        /// What was fetched.
        url: String,
        /// The status.
        status: reqwest::StatusCode,
    },
    /// Too much of an answer.
    #[error("{url}: the answer is larger than {LARGEST_BODY} bytes")]
    TooLarge {
        /// What was fetched.
        url: String,
    },
}

/// Headers and body of a request.
type Content = (HeaderMap, Vec<u8>);

/// Fetches for one issuer.
#[derive(Debug, Clone)]
pub struct Fetcher {
    network: Network,
    allowed: Vec<Origin>,
}

impl Fetcher {
    /// Nothing is opened yet. `allowed` are the origins that may be addresses inside.
    #[must_use]
    pub fn new(network: Network, allowed: Vec<Origin>) -> Self {
        // Another part of the process may have chosen already; that is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        Self { network, allowed }
    }

    /// Whether this origin is listed.
    #[must_use]
    pub fn is_allowed(&self, url: &Url) -> bool {
        Origin::of(url).is_ok_and(|origin| self.allowed.contains(&origin))
    }

    /// Judges an address by what can be told without asking anybody.
    pub fn check(&self, url: &Url) -> Result<Origin, FetchError> {
        let refused = |why: &str| FetchError::Refused {
            url: printable(url),
            why: why.to_owned(),
        };
        let origin = Origin::of(url).map_err(|why| refused(&why))?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(refused("it has a user or a fragment"));
        }
        if !(origin.is_encrypted() || origin.is_loopback() && self.allowed.contains(&origin)) {
            return Err(refused(
                "plain http is only for loopback origins that `allow_origins` lists",
            ));
        }
        Ok(origin)
    }

    /// Fetches a document.
    pub async fn get(&self, url: &Url) -> Result<Fetched, FetchError> {
        let answer = self.in_time(url, reqwest::Method::GET, None).await?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status {
                url: printable(url),
                status: answer.status(),
            });
        }
        Ok(Fetched {
            max_age: max_age(answer.headers()),
            body: answer.into_body(),
        })
    }

    /// Sends any request, under the same rules, and takes any answer but a redirect: what an error means is the caller's
    /// business.
    pub async fn send(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, FetchError> {
        let (parts, body) = request.into_parts();
        let text = parts.uri.to_string();
        let url = Url::parse(&text).map_err(|error| FetchError::Refused {
            url: super::error::shown(&text),
            why: format!("it is no address: {error}"),
        })?;
        let content = Some((parts.headers, body));
        let answer = self.in_time(&url, parts.method, content).await?;
        if answer.status().is_redirection() {
            return Err(FetchError::Status {
                url: printable(&url),
                status: answer.status(),
            });
        }
        Ok(answer)
    }

    async fn in_time(
        &self,
        url: &Url,
        method: reqwest::Method,
        content: Option<Content>,
    ) -> Result<http::Response<Vec<u8>>, FetchError> {
        let origin = self.check(url)?;
        let work = self.unlimited(url, &origin, method, content);
        tokio::time::timeout(self.network.total, work)
            .await
            .unwrap_or_else(|_| {
                Err(FetchError::Failed {
                    url: printable(url),
                    why: format!("no whole answer within {:?}", self.network.total),
                })
            })
    }

    async fn unlimited(
        &self,
        url: &Url,
        origin: &Origin,
        method: reqwest::Method,
        content: Option<Content>,
    ) -> Result<http::Response<Vec<u8>>, FetchError> {
        let addresses = self.addresses(url, origin).await?;
        let failed = |error: reqwest::Error| FetchError::Failed {
            url: printable(url),
            why: causes(&error.without_url()),
        };
        let client = self.client(addresses, origin).map_err(failed)?;
        let mut request = client
            .request(method, url.clone())
            .header(ACCEPT, "application/json");
        let is_document = content.is_none();
        if let Some((headers, body)) = content {
            request = request.headers(headers).body(body);
        }
        let mut response = request.send().await.map_err(failed)?;
        let mut answer = http::Response::new(Vec::new());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        // What nobody needs is not read.
        let is_read = if is_document {
            answer.status() == reqwest::StatusCode::OK
        } else {
            !answer.status().is_redirection()
        };
        if !is_read {
            return Ok(answer);
        }
        let body = answer.body_mut();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > LARGEST_BODY {
                return Err(FetchError::TooLarge {
                    url: printable(url),
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    /// Resolves once and judges all that comes. One address inside refuses the whole name: whoever answers for it is
    /// not to be trusted with the others.
    async fn addresses(&self, url: &Url, origin: &Origin) -> Result<Vec<SocketAddr>, FetchError> {
        let addresses = match origin.address() {
            Some(address) => vec![SocketAddr::new(address, origin.port())],
            None => self
                .network
                .resolver
                .resolve(origin.host(), origin.port())
                .await
                .map_err(|error| FetchError::Failed {
                    url: printable(url),
                    why: format!("its host has no address: {error}"),
                })?,
        };
        let refused = |why: String| FetchError::Refused {
            url: printable(url),
            why,
        };
        if addresses.is_empty() {
            return Err(refused("its host has no address".to_owned()));
        }
        let listed = self.allowed.contains(origin);
        for address in &addresses {
            let ip = address.ip();
            let fine = match reach(ip) {
                Reach::Public => true,
                Reach::Inside => listed,
                Reach::Never => false,
            };
            if !fine {
                return Err(refused(match reach(ip) {
                    Reach::Never => format!("{ip} is an address that is never connected to"),
                    _ => format!(
                        "{ip} is an address inside; list {origin} in `allow_origins` if it is meant"
                    ),
                }));
            }
            if !origin.is_encrypted() && !is_loopback(ip) {
                return Err(refused(format!(
                    "plain http to {ip}, which is not loopback"
                )));
            }
        }
        Ok(addresses)
    }

    /// A client of its own for each fetch: there are a few an hour, and no connection outlives the judgement.
    fn client(
        &self,
        addresses: Vec<SocketAddr>,
        origin: &Origin,
    ) -> reqwest::Result<reqwest::Client> {
        let mut builder = reqwest::Client::builder()
            .dns_resolver(Pinned(addresses))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .https_only(origin.is_encrypted())
            .connect_timeout(self.network.connect)
            .timeout(self.network.total)
            .pool_max_idle_per_host(0)
            .user_agent(concat!("fnox/", env!("CARGO_PKG_VERSION")));
        if !self.network.more_roots.is_empty() {
            let roots = self
                .network
                .more_roots
                .iter()
                .map(|root| reqwest::Certificate::from_der(root))
                .collect::<Result<Vec<_>, _>>()?;
            builder = builder.tls_certs_merge(roots);
        }
        builder.build()
    }
}

/// Answers every name with the addresses that were judged.
#[derive(Debug)]
struct Pinned(Vec<SocketAddr>);

impl reqwest::dns::Resolve for Pinned {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let addresses: reqwest::dns::Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.is_loopback()
}

/// RFC 9111, sections 5.2.2.1 and 5.2.2.4. `no-store` and `no-cache` are zero; the cache has its own least time.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut age = None;
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().ok()?.split(',') {
            let directive = directive.trim().to_ascii_lowercase();
            if directive == "no-store" || directive == "no-cache" {
                return Some(Duration::ZERO);
            }
            if let Some(seconds) = directive.strip_prefix("max-age=") {
                let seconds: u64 = seconds.trim_matches('"').parse().ok()?;
                age = Some(Duration::from_secs(seconds));
            }
        }
    }
    age
}

/// An address without user and query, which could be secrets.
fn printable(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // These fail for addresses that have no host, and those have no user either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    super::error::shown(url.as_str())
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
