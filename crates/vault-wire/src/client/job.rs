//! One request on its way, and who waits for its answer.

use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::ClientError;
use crate::envelope::Request;
use crate::error::Code;
use crate::frame::{FrameError, encode_into};
use crate::methods::{Call, Method};

/// A request, encoded by its caller's task.
pub(super) struct Job {
    pub(super) id: Uuid,
    pub(super) method: Method,
    /// Kept for a second attempt as long as one is allowed, then overwritten.
    pub(super) frame: Zeroizing<Vec<u8>>,
    /// Whether the operating system took all of it.
    pub(super) written: bool,
    /// Until when it may be sent again although it was written once.
    pub(super) again_until: Option<Instant>,
    waiter: Box<dyn Waiter>,
}

/// What to do with an answer that nobody waits for any more.
pub(super) type Orphan<R> = Box<dyn FnOnce(R) + Send>;

/// Where the answer of a call arrives.
pub(super) type Answer<R> = oneshot::Receiver<Result<R, ClientError>>;

impl Job {
    /// A request whose caller waits.
    pub(super) fn call<P: Call>(
        params: &P,
        orphan: Option<Orphan<P::Result>>,
    ) -> Result<(Self, Answer<P::Result>), ClientError>
    where
        P::Result: 'static,
    {
        let (sender, answer) = oneshot::channel();
        let waiter = Box::new(Caller { sender, orphan });
        Ok((Self::new(params, None, waiter)?, answer))
    }

    /// A request that nobody waits for.
    pub(super) fn fire<P: Call>(params: &P, until: Instant) -> Result<Self, ClientError> {
        Self::new(params, Some(until), Box::new(Nobody(P::METHOD)))
    }

    fn new<P: Call>(
        params: &P,
        again_until: Option<Instant>,
        waiter: Box<dyn Waiter>,
    ) -> Result<Self, ClientError> {
        let id = Uuid::now_v7();
        let method = P::METHOD;
        let mut frame = Zeroizing::new(Vec::new());
        let request = Request {
            id,
            method: method.name(),
            params,
        };
        encode_into(&mut frame, &request).map_err(|error| match error {
            FrameError::TooLarge { length, limit } => ClientError::protocol(format!(
                "the request has {length} bytes or more, the limit is {limit}"
            )),
            _ => ClientError::protocol("the request cannot be written as JSON"),
        })?;
        Ok(Self {
            id,
            method,
            frame,
            written: false,
            again_until,
            waiter,
        })
    }

    /// The operating system has all of it.
    pub(super) fn mark_written(&mut self) {
        self.written = true;
        if self.again_until.is_none() {
            self.frame = Zeroizing::default();
        }
    }

    /// Whether it may be sent on another connection, and somebody still wants that.
    pub(super) fn may_go_again(&self) -> bool {
        match self.again_until {
            Some(_) => true,
            None => !self.written && !self.is_abandoned(),
        }
    }

    /// Whether its caller has gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.waiter.is_gone()
    }

    /// The answer, or why there is none.
    pub(super) fn finish(self, outcome: Result<&RawValue, ClientError>) {
        self.waiter.finish(outcome);
    }
}

trait Waiter: Send {
    fn finish(self: Box<Self>, outcome: Result<&RawValue, ClientError>);
    fn is_gone(&self) -> bool;
}

struct Caller<R> {
    sender: oneshot::Sender<Result<R, ClientError>>,
    orphan: Option<Orphan<R>>,
}

impl<R: serde::de::DeserializeOwned + Send> Waiter for Caller<R> {
    // Read here, in the frame's own buffer, so that there are no copies to overwrite.
    fn finish(self: Box<Self>, outcome: Result<&RawValue, ClientError>) {
        let outcome = outcome.and_then(|result| {
            // The parser's message could quote the result, which may be a secret.
            serde_json::from_str(result.get())
                .map_err(|_| ClientError::protocol("the result has another form than expected"))
        });
        if let Err(Ok(result)) = self.sender.send(outcome)
            && let Some(orphan) = self.orphan
        {
            orphan(result);
        }
    }

    fn is_gone(&self) -> bool {
        self.sender.is_closed()
    }
}

struct Nobody(Method);

impl Waiter for Nobody {
    fn finish(self: Box<Self>, outcome: Result<&RawValue, ClientError>) {
        let method = self.0.name();
        match outcome {
            Ok(_) => {}
            Err(error) if is_over_already(&error) => {
                tracing::debug!(method, code = error.code(), "nothing was left to do");
            }
            Err(error) => tracing::warn!(method, %error, "the vault did not do what it was told"),
        }
    }

    fn is_gone(&self) -> bool {
        false
    }
}

/// Whether a lease that should be withdrawn is over anyhow.
pub(super) fn is_over_already(error: &ClientError) -> bool {
    matches!(
        error.known_code(),
        Some(Code::LeaseExpired | Code::LeaseRevoked | Code::LeaseNotFound)
    )
}
