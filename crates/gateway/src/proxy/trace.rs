//! What traces say of one request: where it went, by which rule and lease, how it ended, how much of it there was, and how
//! long its parts took.
//!
//! What is refused before anybody knows whose it is, or where it goes, has a span too, with what is known.
//!
//! A span of `tracing` that whoever runs the gateway may hand on. Nothing is in it that could be a credential: no path, no
//! query, no field, no body, and of methods only those that everybody knows. It is a span of its own, whatever
//! `traceparent` the client sends: that goes to the destination as it came, and nothing is added to requests.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fnox_core::Host;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use tracing::Span;
use tracing::field::Empty;

use super::Client;
use crate::body::{Body, BodyError};
use crate::refusal::{Reason, Refusal};
use crate::request::Bound;

/// The methods of RFC 9110 and PATCH (RFC 5789). A client can send any other word.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];
const OTHER_METHOD: &str = "_OTHER";

/// What went into a request.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// The rules whose credentials did.
    pub(super) rules: Vec<String>,
    /// The leases by which they were had.
    pub(super) leases: Vec<String>,
    /// Each use of theirs that it took.
    pub(super) uses: Vec<String>,
    /// Whether something of the request may have left.
    pub(super) may_have_left: bool,
}

impl Used {
    /// Notes a rule, once.
    pub(super) fn rule(&mut self, name: &str) {
        note(&mut self.rules, name);
    }

    /// Notes a use of a lease.
    pub(super) fn lease(&mut self, name: &str) {
        note(&mut self.leases, name);
        self.uses.push(name.to_owned());
    }
}

fn note(list: &mut Vec<String>, name: &str) {
    if !list.iter().any(|known| known == name) {
        list.push(name.to_owned());
    }
}

/// Tells of a request, or of a connection without one, that got no further than this.
pub(super) fn refused(
    client: Option<&Client>,
    host: Option<&Host>,
    method: Option<&Method>,
    reason: Reason,
) {
    let span = span(client, host, method);
    span.record("outcome", "refused");
    span.record("code", reason.code());
    span.record("status", reason.status().as_u16());
}

/// A span with what is known.
fn span(client: Option<&Client>, host: Option<&Host>, method: Option<&Method>) -> Span {
    let method = method.map(|method| {
        let mut known = METHODS.into_iter();
        known
            .find(|known| *known == method.as_str())
            .unwrap_or(OTHER_METHOD)
    });
    tracing::info_span!(
        parent: None,
        "exchange",
        agent = client.map(|client| client.agent.as_str()),
        host = host.map(Host::name),
        port = host.and_then(Host::port),
        method,
        rule = Empty,
        lease = Empty,
        outcome = Empty,
        code = Empty,
        status = Empty,
        asked_us = Empty,
        filled_us = Empty,
        answered_us = Empty,
        sent = Empty,
        received = Empty,
    )
}

/// The span of one request. It ends when the last body of it has.
#[derive(Clone)]
pub(super) struct Trace(Option<Arc<Recorded>>);

struct Recorded {
    span: Span,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.span.record("sent", *self.sent.get_mut());
        self.span.record("received", *self.received.get_mut());
    }
}

impl Trace {
    /// Begins one, if anybody looks.
    pub(super) fn begin(client: &Client, bound: &Bound, method: &Method) -> Self {
        let span = span(Some(client), Some(bound.host()), Some(method));
        if span.is_disabled() {
            return Self(None);
        }
        Self(Some(Arc::new(Recorded {
            span,
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        })))
    }

    /// How it ended, as far as its head is concerned.
    pub(super) fn outcome(&self, used: &Used, outcome: Result<StatusCode, &Refusal>) {
        let Some(recorded) = &self.0 else { return };
        let span = &recorded.span;
        let (rule, lease) = match outcome {
            Ok(status) => {
                span.record("outcome", "answered");
                span.record("status", status.as_u16());
                (None, None)
            }
            Err(refusal) => {
                span.record("outcome", "refused");
                span.record("code", refusal.reason.code());
                span.record("status", refusal.reason.status().as_u16());
                (refusal.rule.as_deref(), refusal.lease.as_deref())
            }
        };
        for (field, named, list) in [("rule", rule, &used.rules), ("lease", lease, &used.leases)] {
            let list = list.join(", ");
            match named {
                Some(name) => span.record(field, name),
                None if !list.is_empty() => span.record(field, list.as_str()),
                None => span,
            };
        }
    }

    /// Why its answer broke off after its head had left.
    pub(super) fn broken_off(&self, refusal: &Refusal) {
        if let Some(recorded) = &self.0 {
            recorded.span.record("outcome", "broken_off");
            recorded.span.record("code", refusal.reason.code());
        }
    }

    /// How long a part took.
    pub(super) fn took(&self, field: &'static str, time: Duration) {
        if let Some(recorded) = &self.0 {
            let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            recorded.span.record(field, time);
        }
    }

    /// Counts what leaves.
    pub(super) fn outgoing(&self, body: Body) -> Body {
        self.counted(body, Way::Out)
    }

    /// Counts what comes back.
    pub(super) fn incoming(&self, body: Body) -> Body {
        self.counted(body, Way::In)
    }

    /// Counts what went both ways on a connection that did not speak HTTP any more.
    pub(super) fn relayed(&self, sent: u64, received: u64) {
        if let Some(recorded) = &self.0 {
            recorded.sent.fetch_add(sent, Ordering::Relaxed);
            recorded.received.fetch_add(received, Ordering::Relaxed);
        }
    }

    fn counted(&self, inner: Body, way: Way) -> Body {
        match &self.0 {
            None => inner,
            Some(recorded) => {
                let recorded = Arc::clone(recorded);
                let counted = Counted {
                    inner,
                    recorded,
                    way,
                };
                counted.boxed_unsync()
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Way {
    Out,
    In,
}

/// A body whose bytes are counted.
struct Counted {
    inner: Body,
    recorded: Arc<Recorded>,
    way: Way,
}

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let count = match self.way {
                Way::Out => &self.recorded.sent,
                Way::In => &self.recorded.received,
            };
            let length = u64::try_from(length).unwrap_or(u64::MAX);
            count.fetch_add(length, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
