//! Bodies on their way through.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Frame, Incoming, SizeHint};

use crate::refusal::{Reason, Refusal};

/// What breaks off a body.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A request's or an answer's body. Nothing of it is held back for longer than it takes to hand it on.
pub(crate) type Body = UnsyncBoxBody<Bytes, BodyError>;

/// A body of these bytes.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body as it arrives.
pub(crate) fn incoming(body: Incoming) -> Body {
    body.map_err(BodyError::from).boxed_unsync()
}

/// A body that breaks off where it is larger than allowed, so that the other end does not take it for whole.
pub(crate) struct Limited {
    inner: Body,
    left: u64,
}

impl Limited {
    /// At most `limit` bytes of `inner`.
    pub(crate) fn new(inner: Body, limit: u64) -> Self {
        Self { inner, left: limit }
    }
}

impl hyper::body::Body for Limited {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            let Some(left) = self.left.checked_sub(length) else {
                let refusal = Refusal::new(Reason::TooLarge, "the request's body is too large");
                return Poll::Ready(Some(Err(refusal.into())));
            };
            self.left = left;
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
