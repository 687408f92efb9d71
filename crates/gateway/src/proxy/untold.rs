//! Requests of which the observer does not know yet.

use http::{Method, Request, StatusCode};

use super::{Client, Exchange, Shared};
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
    rules: Vec<String>,
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
            rules: Vec::new(),
            is_told: false,
        }
    }

    /// For the rules whose credentials go into it.
    pub(super) fn rules(&mut self) -> &mut Vec<String> {
        &mut self.rules
    }

    pub(super) fn tell(&mut self, outcome: Result<StatusCode, &Refusal>) {
        self.is_told = true;
        self.shared.observer.exchanged(&Exchange {
            agent: &self.client.agent,
            host: self.bound.host(),
            method: &self.method,
            path: &self.path,
            rules: &self.rules,
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
