//! Where a request goes, which each of its parts must say alike.

use fnox_core::Host;
use http::header::HOST;
use http::{HeaderMap, Uri, Version};

use super::{Bound, Via};
use crate::refusal::{Reason, Refusal};

/// Checks the forms of a request target (RFC 9112, section 3.2), `:scheme` and `:authority` (RFC 9113,
/// section 8.3.1) and `Host` against what the connection is bound to.
pub(super) fn check(
    uri: &Uri,
    headers: &HeaderMap,
    version: Version,
    bound: &Bound,
) -> Result<(), Refusal> {
    let is_named_by_target = match (uri.scheme_str(), uri.authority()) {
        (None, None) if uri.path().starts_with('/') => false,
        (None, None) => {
            return Err(ambiguous("the request target is neither a path nor a URL"));
        }
        (Some(scheme), Some(authority)) => {
            if scheme != bound.scheme().as_str() {
                return Err(misdirected(&format!(
                    "the request is for `{scheme}` on a connection for `{}`",
                    bound.scheme().as_str()
                )));
            }
            is_bound(authority.as_str(), bound)?;
            true
        }
        _ => return Err(ambiguous("the request target is half a URL")),
    };
    if bound.via() == Via::Absolute && !is_named_by_target {
        return Err(ambiguous("a request to a proxy names a whole URL"));
    }
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            let host = host
                .to_str()
                .map_err(|_| ambiguous("`Host` is not a host"))?;
            is_bound(host, bound)
        }
        // HTTP/2 names the host in `:authority`.
        (None, _) if version == Version::HTTP_2 && is_named_by_target => Ok(()),
        (None, _) => Err(ambiguous("the request has no `Host`")),
        (Some(_), Some(_)) => Err(ambiguous("the request has more than one `Host`")),
    }
}

fn is_bound(text: &str, bound: &Bound) -> Result<(), Refusal> {
    let host = Host::parse(text).map_err(|error| ambiguous(&error.to_string()))?;
    let host = host.with_default_port(bound.scheme().default_port());
    if host == *bound.host() {
        return Ok(());
    }
    Err(misdirected(&format!(
        "the request is for `{host}` on a connection for `{}`",
        bound.host()
    )))
}

fn ambiguous(problem: &str) -> Refusal {
    Refusal::new(Reason::Ambiguous, problem)
}

fn misdirected(problem: &str) -> Refusal {
    Refusal::new(Reason::Misdirected, problem)
        .with_remedy("Open a connection of its own for each host.")
}
