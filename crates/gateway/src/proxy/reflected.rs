//! Answers in which values that requests have carried must not come back.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body as _, Frame, SizeHint};

use crate::body::{Body, BodyError};
use crate::reflection::ResponseScrub;
use crate::refusal::Refusal;

/// An answer's body, in which values are replaced as it goes by.
pub(super) struct Scrubbed {
    inner: Body,
    scrub: ResponseScrub,
    trailers: Option<HeaderMap>,
    is_over: bool,
}

impl Scrubbed {
    pub(super) fn new(inner: Body, scrub: ResponseScrub) -> Self {
        Self {
            inner,
            scrub,
            trailers: None,
            is_over: false,
        }
    }

    /// What may leave with the next piece. If it is known to be the last one that is all: the end needs no frame of its
    /// own then.
    fn push(&mut self, piece: &Bytes) -> Result<Bytes, Refusal> {
        let piece = self.scrub.push(piece)?;
        if !self.inner.is_end_stream() {
            return Ok(piece);
        }
        self.is_over = true;
        let rest = self.scrub.finish()?;
        Ok(match (piece.is_empty(), rest.is_empty()) {
            (_, true) => piece,
            (true, _) => rest,
            _ => [piece, rest].concat().into(),
        })
    }

    /// What was held back, then the trailers, then nothing.
    fn end(&mut self) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.is_over {
            self.is_over = true;
            match self.scrub.finish() {
                Ok(rest) if !rest.is_empty() => return Poll::Ready(Some(Ok(Frame::data(rest)))),
                Ok(_) => {}
                Err(refusal) => return Poll::Ready(Some(Err(refusal.into()))),
            }
        }
        Poll::Ready(self.trailers.take().map(|mut trailers| {
            self.scrub.trailers(&mut trailers);
            Ok(Frame::trailers(trailers))
        }))
    }
}

impl hyper::body::Body for Scrubbed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            if this.is_over {
                return this.end();
            }
            let frame = match Pin::new(&mut this.inner).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return this.end(),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            match frame.into_data() {
                Ok(piece) => match this.push(&piece) {
                    Ok(piece) if piece.is_empty() => {}
                    Ok(piece) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                    Err(refusal) => return Poll::Ready(Some(Err(refusal.into()))),
                },
                Err(frame) => {
                    this.trailers = frame.into_trailers().ok();
                    return this.end();
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
