//! Requests of which the observer does not know yet, and answers that may break off when it does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fnox_core::{AgentId, Host};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, SizeHint};

use super::trace::{Trace, Used};
use super::{Client, Exchange, Observer, Shared};
use crate::body::{Body, BodyError};
use crate::refusal::{Reason, Refusal};
use crate::request::Bound;

/// A request that the observer is told of when this is dropped at the latest: that is when the client goes away, and
/// credentials may have left by then.
pub(super) struct Untold<'a> {
    shared: &'a Shared,
    client: &'a Client,
    bound: &'a Bound,
    method: Method,
    path: String,
    used: Used,
    trace: Trace,
    is_told: bool,
}

impl<'a> Untold<'a> {
    pub(super) fn new<B>(
        shared: &'a Shared,
        client: &'a Client,
        bound: &'a Bound,
        request: &Request<B>,
    ) -> Self {
        Self {
            shared,
            client,
            bound,
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            used: Used::default(),
            trace: Trace::begin(client, bound, request.method()),
            is_told: false,
        }
    }

    /// For what goes into it, and for how long that takes.
    pub(super) fn noting(&mut self) -> (&mut Used, &Trace) {
        (&mut self.used, &self.trace)
    }

    /// Its answer, of which was told: its bytes are counted, and it is told if it breaks off.
    pub(super) fn followed(mut self, answer: Response<Body>) -> Response<Body> {
        answer.map(|body| {
            let inner = self.trace.incoming(body);
            if inner.is_end_stream() {
                return inner;
            }
            let told = Told {
                observer: Arc::clone(&self.shared.observer),
                agent: self.client.agent.clone(),
                host: self.bound.host().clone(),
                method: self.method.clone(),
                path: std::mem::take(&mut self.path),
                rules: std::mem::take(&mut self.used.rules),
                trace: self.trace.clone(),
            };
            let told = Some(Box::new(told));
            Followed { inner, told }.boxed_unsync()
        })
    }

    pub(super) fn tell(&mut self, outcome: Result<StatusCode, &Refusal>) {
        self.is_told = true;
        self.trace.outcome(&self.used, outcome);
        self.shared.observer.exchanged(&Exchange {
            agent: &self.client.agent,
            host: self.bound.host(),
            method: &self.method,
            path: &self.path,
            rules: &self.used.rules,
            outcome,
        });
    }
}

impl Drop for Untold<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            let message = "the client went away before there was an answer";
            self.tell(Err(&Refusal::new(Reason::Abandoned, message)));
        }
    }
}

/// A request whose answer is on its way.
struct Told {
    observer: Arc<dyn Observer>,
    agent: AgentId,
    host: Host,
    method: Method,
    path: String,
    rules: Vec<String>,
    trace: Trace,
}

impl Told {
    fn broke_off(&self, refusal: &Refusal) {
        let mut refusal = refusal.clone();
        if !self.rules.is_empty() {
            refusal = refusal.by_rule(self.rules.join(", "));
        }
        self.trace.broken_off(&refusal);
        self.observer.broken_off(&Exchange {
            agent: &self.agent,
            host: &self.host,
            method: &self.method,
            path: &self.path,
            rules: &self.rules,
            outcome: Err(&refusal),
        });
    }
}

/// An answer's body. If it cannot be scanned to its end that is told. Where a right ends, or a destination fails, others
/// have told already, or nobody here has decided anything.
struct Followed {
    inner: Body,
    told: Option<Box<Told>>,
}

impl hyper::body::Body for Followed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Err(error))) = &polled
            && let Some(refusal) = error.downcast_ref::<Refusal>()
            && refusal.reason == Reason::Unscannable
            && let Some(told) = self.told.take()
        {
            told.broke_off(refusal);
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
