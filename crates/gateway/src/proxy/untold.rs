//! Requests of which the observer does not know yet.

use http::{Method, Request, Response, StatusCode};

use super::trace::{Trace, Used};
use super::{Client, Exchange, Shared};
use crate::body::Body;
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

    /// Its answer, whose bytes are counted.
    pub(super) fn counted(&self, answer: Response<Body>) -> Response<Body> {
        answer.map(|body| self.trace.incoming(body))
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
