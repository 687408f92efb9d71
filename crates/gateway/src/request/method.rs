//! Methods that are forwarded.

use http::Method;

use crate::refusal::{Reason, Refusal};

/// Those that a server might mean by the same word in small letters.
const STANDARD: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// Refuses TRACE, CONNECT and standard methods in another case.
pub(super) fn check(method: &Method) -> Result<(), Refusal> {
    match *method {
        Method::TRACE => Err(Refusal::new(
            Reason::NotAllowed,
            "TRACE is not forwarded: its answer would show the credentials of the request",
        )
        .with_remedy("No rule allows it. Look at the request where you send it.")),
        Method::CONNECT => Err(Refusal::new(
            Reason::NotAllowed,
            "CONNECT is not forwarded within a connection",
        )
        .with_remedy("Ask the gateway itself for a tunnel. WebSockets go over HTTP/1.1.")),
        _ if STANDARD.contains(&method.as_str()) => Ok(()),
        _ if STANDARD
            .iter()
            .any(|it| it.eq_ignore_ascii_case(method.as_str())) =>
        {
            Err(Refusal::new(
                Reason::Ambiguous,
                "the method is not in capital letters, which servers read in different ways",
            )
            .with_remedy("Write it in capital letters."))
        }
        _ => Ok(()),
    }
}

/// Whether a credential may go into a request of this method. The answers to the others are about the request
/// or the server, and may repeat what was sent (RFC 9110, sections 9.3.6 to 9.3.8).
#[must_use]
pub fn takes_credentials(method: &Method) -> bool {
    !matches!(*method, Method::TRACE | Method::CONNECT | Method::OPTIONS)
}
