//! Bodies on their way through.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use zeroize::Zeroizing;

use crate::injection::check_trailers;
use crate::placeholder::Placeholders;
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

/// A client's body as it arrives. What is wrong with it is the request's fault and not the destination's: chunks that are none
/// (RFC 9112, section 7.1), or an end that does not come.
///
/// Looks whether that is known already. It does not wait for it, since a client may send nothing before it has an answer; so
/// one that is told to go on with its body (`is_held_back`) is not looked at.
///
/// # Errors
/// [`Reason::Ambiguous`] if it is: then nothing need leave.
pub(crate) fn of_client(
    body: Incoming,
    broken_off: &BrokenOff,
    is_held_back: bool,
) -> Result<Body, Refusal> {
    let noted = broken_off.clone();
    let told = move |error: hyper::Error| {
        let refusal = broken_request(&error);
        noted.note(&refusal);
        BodyError::from(refusal)
    };
    let mut body = body.map_err(told).boxed_unsync();
    if is_held_back || body.is_end_stream() {
        return Ok(body);
    }
    let first = body.frame().now_or_never();
    match first {
        Some(first) => with_first(first, body).map_err(|error| {
            let message = error.to_string();
            let noted = broken_off.refusal();
            noted.unwrap_or_else(|| Refusal::new(Reason::Ambiguous, message))
        }),
        None => Ok(body),
    }
}

/// The texts of its causes are hyper's own and have nothing of the body.
fn broken_request(error: &hyper::Error) -> Refusal {
    let cause = match error.source() {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    };
    let message = format!("the request's body breaks off: {cause}");
    Refusal::new(Reason::Ambiguous, message)
}

/// Waits for the first frame of a body, but no longer than `patience`, so that who hands the body on knows whether it breaks
/// off at once.
///
/// # Errors
/// Why it does.
pub(crate) async fn begun(mut inner: Body, patience: Duration) -> Result<Body, BodyError> {
    if inner.is_end_stream() {
        return Ok(inner);
    }
    let first = tokio::time::timeout(patience, inner.frame()).await;
    match first {
        Ok(first) => with_first(first, inner),
        Err(_) => Ok(inner),
    }
}

fn with_first(
    first: Option<Result<Frame<Bytes>, BodyError>>,
    inner: Body,
) -> Result<Body, BodyError> {
    let first = first.transpose()?.map_or(First::End, First::Frame);
    Ok(Begun { first, inner }.boxed_unsync())
}

/// A body whose first frame is here already.
struct Begun {
    first: First,
    inner: Body,
}

enum First {
    Frame(Frame<Bytes>),
    /// There is none.
    End,
    /// It has left.
    Taken,
}

impl hyper::body::Body for Begun {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match std::mem::replace(&mut self.first, First::Taken) {
            First::Frame(frame) => Poll::Ready(Some(Ok(frame))),
            First::End => Poll::Ready(None),
            First::Taken => Pin::new(&mut self.inner).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.first, First::Taken) && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first = match &self.first {
            First::Frame(frame) => frame.data_ref().map_or(0, Bytes::len),
            First::End | First::Taken => 0,
        };
        let first = u64::try_from(first).unwrap_or(u64::MAX);
        let rest = self.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint
    }
}

/// Reads a whole body of at most `limit` bytes.
///
/// # Errors
/// [`Reason::TooLarge`], or [`Reason::Ambiguous`] if it breaks off.
pub(crate) async fn read_whole(body: Incoming, limit: u64) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    match http_body_util::Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(Zeroizing::new(whole.to_bytes().to_vec())),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Refusal::new(
            Reason::TooLarge,
            format!("a body that a credential may go into has at most {limit} bytes"),
        )),
        Err(_) => Err(Refusal::new(Reason::Ambiguous, "the body breaks off")),
    }
}

/// Why a body was broken off, for whoever sends it: HTTP/2 does not hand the reason on.
#[derive(Debug, Clone, Default)]
pub(crate) struct BrokenOff(Arc<OnceLock<Refusal>>);

impl BrokenOff {
    /// The reason, if it was.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.0.get().cloned()
    }

    /// Remembers it.
    pub(crate) fn note(&self, refusal: &Refusal) {
        let _ = self.0.set(refusal.clone());
    }

    fn because<T>(&self, refusal: Refusal) -> Poll<Option<Result<T, BodyError>>> {
        self.note(&refusal);
        Poll::Ready(Some(Err(refusal.into())))
    }
}

/// A body that breaks off where a piece of it does not pass, so that the other end does not take it for whole.
struct Checked<C> {
    inner: Body,
    check: C,
    broken_off: BrokenOff,
}

/// A body in which, and after which, no placeholder may be.
pub(crate) fn watched(
    inner: Body,
    placeholders: &Arc<Placeholders>,
    broken_off: BrokenOff,
) -> Body {
    let placeholders = Arc::clone(placeholders);
    let mut watch = placeholders.watch();
    let check =
        move |frame: &Frame<Bytes>| match (frame.data_ref(), frame.trailers_ref(), &mut watch) {
            (Some(data), _, Some(watch)) => watch.look(data),
            (_, Some(trailers), _) => check_trailers(trailers, &placeholders),
            _ => Ok(()),
        };
    let checked = Checked {
        inner,
        check,
        broken_off,
    };
    checked.boxed_unsync()
}

/// At most `left` bytes of `inner`.
pub(crate) fn limited(inner: Body, mut left: u64, broken_off: BrokenOff) -> Body {
    let check = move |frame: &Frame<Bytes>| {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        left = left
            .checked_sub(length)
            .ok_or_else(|| Refusal::new(Reason::TooLarge, "the request's body is too large"))?;
        Ok(())
    };
    let checked = Checked {
        inner,
        check,
        broken_off,
    };
    checked.boxed_unsync()
}

impl<C> hyper::body::Body for Checked<C>
where
    C: FnMut(&Frame<Bytes>) -> Result<(), Refusal> + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Err(refusal) = (self.check)(frame)
        {
            return self.broken_off.because(refusal);
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
