//! Values that a client's requests have carried, and answers in which they must not come back.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use fnox_core::SecretString;
use http::HeaderMap;
use hyper::body::{Body as _, Frame, SizeHint};

use crate::body::{Body, BodyError};
use crate::reflection::{ResponseScrub, Table};
use crate::refusal::Refusal;
use crate::rule::CredentialRef;

/// How many values are looked for; of more, those that were used first are forgotten.
const REMEMBERED: usize = 256;

/// How many of them were made for one request each, of one credential: they are good for minutes.
const PASSING: usize = 8;

/// What a client's requests have carried so far.
#[derive(Default)]
pub(super) struct Carried(Mutex<State>);

struct State {
    values: Vec<Entry>,
    table: Table,
}

struct Entry {
    credential: CredentialRef,
    value: SecretString,
    placeholder: String,
    /// Of one request: there are as many as requests.
    is_passing: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            table: Table::builder().build(),
        }
    }
}

impl State {
    fn add(&mut self, entry: Entry) {
        if self.values.len() >= REMEMBERED {
            self.values.remove(0);
        }
        self.values.push(entry);
        let builder = self.values.iter().fold(Table::builder(), |builder, entry| {
            builder.replace(&entry.value, &entry.placeholder)
        });
        self.table = builder.build();
    }
}

impl Carried {
    /// Notes a value before it leaves. In answers `placeholder` stands in its place.
    pub(super) fn note(&self, credential: &CredentialRef, value: &SecretString, placeholder: &str) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |known: &Entry| {
            known.credential == *credential && known.value.expose_secret() == value.expose_secret()
        };
        if state.values.iter().any(is_known) {
            return;
        }
        state.add(Entry {
            credential: credential.clone(),
            value: value.clone(),
            placeholder: placeholder.to_owned(),
            is_passing: false,
        });
    }

    /// The same for what was made with a credential for one request. Of those the last few are looked for, so that they
    /// push nothing else out.
    pub(super) fn note_passing(&self, credential: &CredentialRef, value: &SecretString) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_like = |entry: &Entry| entry.is_passing && entry.credential == *credential;
        if state.values.iter().filter(|entry| is_like(entry)).count() >= PASSING
            && let Some(oldest) = state.values.iter().position(is_like)
        {
            state.values.remove(oldest);
        }
        state.add(Entry {
            credential: credential.clone(),
            value: value.clone(),
            placeholder: "[redacted]".to_owned(),
            is_passing: true,
        });
    }

    /// What to look for.
    pub(super) fn table(&self) -> Table {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .table
            .clone()
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Carried")
    }
}

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
