//! The body of an answer, which may come a piece now and then.

use std::convert::Infallible;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Bytes, Frame, SizeHint};
use tokio::time::Sleep;

/// What is left of a body. Its length is known from the beginning.
#[derive(Debug)]
pub(super) struct Body {
    left: Bytes,
    piece: usize,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Body {
    /// Everything at once.
    pub(super) fn whole(body: Vec<u8>) -> Self {
        Self::in_pieces(body, 1, Duration::ZERO)
    }

    /// In at most so many pieces, with a pause before each.
    pub(super) fn in_pieces(body: Vec<u8>, pieces: usize, pause: Duration) -> Self {
        Self {
            piece: body.len().div_ceil(pieces.max(1)).max(1),
            left: body.into(),
            pause,
            waiting: None,
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        if !self.pause.is_zero() {
            let pause = self.pause;
            let waiting = self
                .waiting
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            ready!(waiting.as_mut().poll(context));
            self.waiting = None;
        }
        let length = self.piece.min(self.left.len());
        let piece = self.left.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}
