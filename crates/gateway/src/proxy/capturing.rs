//! Answers whose credentials the client does not get.

use bytes::Bytes;
use fnox_core::Host;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode, response};
use hyper::body::Incoming;

use super::captured::{Catch, Origin};
use super::ending::{self, Ended};
use super::{Client, Shared};
use crate::body::{Body, full, read_whole};
use crate::policy::Permit;
use crate::reflection::{self, Fresh, NotTaken};
use crate::refusal::{Reason, Refusal};
use crate::request::CanonicalRequest;
use crate::rule::Rule;

/// Most bytes of an answer that is searched. Token endpoints answer with a few thousand.
const MOST: u64 = 1024 * 1024;

/// Which credentials are kept, and by which rule.
pub(super) struct Capturing<'p> {
    rule: &'p Rule,
    members: Vec<&'p str>,
    /// Whose answer it is.
    host: Host,
}

impl<'p> Capturing<'p> {
    /// What the rules of a request say; the first one keeps what all of them name.
    pub(super) fn of(permit: &Permit<'p>, host: &Host) -> Option<Self> {
        let mut captures = permit.captures().peekable();
        let (rule, _) = *captures.peek()?;
        let members = captures.flat_map(|(_, capture)| &capture.members);
        Some(Self {
            rule,
            members: members.map(String::as_str).collect(),
            host: host.clone(),
        })
    }

    /// Has a request ask for an answer that can be read.
    ///
    /// # Errors
    /// [`Reason::NotCaptured`] if it asks for a WebSocket, of which nothing is read.
    pub(super) fn ask(&self, request: &mut CanonicalRequest) -> Result<(), Refusal> {
        if request.is_websocket() {
            let message = "messages of a WebSocket cannot be searched for credentials";
            return Err(Refusal::new(Reason::NotCaptured, message).by_rule(&self.rule.name));
        }
        let headers = request.headers_mut();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Ok(())
    }

    /// Reads an answer, keeps its credentials, and gives what is left of it.
    ///
    /// # Errors
    /// [`Reason::NotCaptured`] if it cannot be searched, why a right has ended meanwhile, or why
    /// [`Credentials::captured`](super::Credentials::captured) refuses.
    pub(super) async fn take(
        &self,
        (shared, client): (&Shared, &Client),
        head: &mut response::Parts,
        body: Incoming,
        rights: &[Ended],
    ) -> Result<Body, Refusal> {
        // Nothing but the body is looked into, so nothing may be anywhere else.
        if self.is_in_location(&head.headers) {
            return Err(self.refused(head.status, "has one of them in `Location`"));
        }
        let whole = tokio::select! {
            whole = read_whole(body, MOST) => whole,
            refusal = ending::first(rights) => return Err(refusal),
        };
        let whole = whole.map_err(|refusal| match refusal.reason {
            Reason::TooLarge => self.refused(head.status, "has more than 1 MiB"),
            _ => self.refused(head.status, "breaks off"),
        })?;
        if whole.is_empty() {
            return Ok(full(""));
        }
        if !reflection::coding_names(&head.headers).is_empty() {
            return Err(self.refused(head.status, "is encoded, which nobody asked for"));
        }
        if head.status == StatusCode::PARTIAL_CONTENT {
            return Err(self.refused(head.status, "is a part of another one"));
        }
        let origin = Origin {
            client,
            carried: &shared.carried,
            rule: &self.rule.name,
            rights,
            now: shared.authority.clock().monotonic(),
        };
        let mut catch = Catch::new(&shared.captured, &shared.placeholders, origin);
        let mut taken = Vec::new();
        let mut keep = |fresh: Fresh<'p>| {
            taken.push(fresh.member);
            catch.keep(fresh)
        };
        let left = reflection::take(&whole, &self.members, &mut keep);
        let left = left.map_err(|problem| match problem {
            NotTaken::Document => self.refused(head.status, "is no JSON"),
            NotTaken::Member(name) => {
                self.refused(head.status, &format!("has no text in `{name}`"))
            }
            NotTaken::TooMany => self.refused(head.status, "has too many of them"),
        })?;
        if !taken.is_empty() {
            let credentials = &client.credentials;
            credentials.captured(self.rule, &self.host, &taken).await?;
        }
        catch.hand_out();
        reflection::of_scrubbed(&mut head.headers, true);
        let length = HeaderValue::from(left.len());
        head.headers.insert(CONTENT_LENGTH, length);
        Ok(full(Bytes::from(left)))
    }

    /// Whether it is in the address of a redirect, as RFC 6749, section 4.2.2, has it.
    fn is_in_location(&self, headers: &HeaderMap) -> bool {
        let mut places = headers.get_all(LOCATION).iter();
        places.any(|place| {
            let place = String::from_utf8_lossy(place.as_bytes());
            let mut parameters = place.split(['?', '#', '&']).skip(1);
            parameters.any(|parameter| {
                let name = parameter.split('=').next().unwrap_or_default();
                self.members.contains(&name)
            })
        })
    }

    fn refused(&self, status: StatusCode, problem: &str) -> Refusal {
        let message = format!(
            "the answer ({}) cannot be searched for `{}`: it {problem}",
            status.as_u16(),
            self.members.join("`, `")
        );
        Refusal::new(Reason::NotCaptured, message)
            .by_rule(&self.rule.name)
            .with_remedy("Ask for JSON (`Accept: application/json`). If no credential is in such answers, somebody must give the rule narrower `paths`.")
    }
}
