//! Rights that end while something is on its way with them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::watch;

use crate::body::{Body, BodyError};
use crate::refusal::Refusal;

/// Ends a right to use a value. Dropping it does not.
#[derive(Debug, Clone)]
pub struct Ender(watch::Sender<Option<Refusal>>);

/// Whether a right has ended.
#[derive(Debug, Clone)]
pub struct Ended(watch::Receiver<Option<Refusal>>);

impl Ender {
    /// A right that lasts.
    #[must_use]
    pub fn new() -> (Self, Ended) {
        let (sender, receiver) = watch::channel(None);
        (Self(sender), Ended(receiver))
    }

    /// Waits until nothing is on its way with the right any more, and nobody has it.
    pub async fn unused(&self) {
        self.0.closed().await;
    }

    /// It has ended, because of this.
    pub fn end(&self, refusal: Refusal) {
        self.0.send_replace(Some(refusal));
    }
}

impl Ended {
    /// Why, if it has.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        self.0.borrow().clone()
    }

    /// Waits for the end. If nobody can end it any more, for ever.
    async fn wait(mut self) -> Refusal {
        loop {
            if let Some(refusal) = self.refusal() {
                return refusal;
            }
            if self.0.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

/// Waits for the first end of several.
pub(super) fn first(ends: &[Ended]) -> Pin<Box<dyn Future<Output = Refusal> + Send>> {
    let waits: Vec<_> = ends
        .iter()
        .map(|ended| Box::pin(ended.clone().wait()))
        .collect();
    if waits.is_empty() {
        return Box::pin(std::future::pending());
    }
    Box::pin(async { futures_util::future::select_all(waits).await.0 })
}

/// A body that breaks off when a right ends.
pub(super) struct Ending {
    inner: Body,
    end: Pin<Box<dyn Future<Output = Refusal> + Send>>,
}

impl Ending {
    pub(super) fn new(inner: Body, ends: &[Ended]) -> Self {
        Self {
            inner,
            end: first(ends),
        }
    }
}

impl hyper::body::Body for Ending {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(refusal) = self.end.as_mut().poll(context) {
            return Poll::Ready(Some(Err(refusal.into())));
        }
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
