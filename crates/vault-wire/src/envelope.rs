//! Requests, responses and events around their contents.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::error::WireError;

/// A request as it is read: the parameters stay as they came until the method is known.
#[derive(Debug, Deserialize)]
pub struct RequestRef<'a> {
    /// Chosen by the client; the response has the same.
    pub id: Uuid,
    /// The method's name.
    pub method: std::borrow::Cow<'a, str>,
    /// Its parameters, an object.
    #[serde(borrow)]
    pub params: &'a RawValue,
}

/// A request as it is written.
#[derive(Debug, Serialize)]
pub struct Request<'a, P> {
    /// Not used by another request in flight.
    pub id: Uuid,
    /// The method's name.
    pub method: &'a str,
    /// Its parameters.
    pub params: &'a P,
}

/// A response as it is written.
#[derive(Debug, Serialize)]
pub struct Response<R> {
    /// The request's id; the nil UUID if the request could not be read.
    pub id: Uuid,
    /// Whether there is a result.
    pub ok: bool,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<R>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<WireError>,
}

impl<R> Response<R> {
    /// What came of a request.
    pub fn new(id: Uuid, outcome: Result<R, WireError>) -> Self {
        let ok = outcome.is_ok();
        let (result, error) = match outcome {
            Ok(result) => (Some(result), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            id,
            ok,
            result,
            error,
        }
    }
}

/// What a client reads: a response, or an event that the vault sent by itself.
#[derive(Debug, Deserialize)]
pub struct MessageRef<'a> {
    /// The request's id; absent in events.
    pub id: Option<Uuid>,
    /// Whether there is a result.
    #[serde(default)]
    pub ok: bool,
    /// The result.
    #[serde(borrow, default)]
    pub result: Option<&'a RawValue>,
    /// The error.
    #[serde(default)]
    pub error: Option<WireError>,
    /// The event; absent in responses.
    #[serde(borrow, default)]
    pub event: Option<&'a RawValue>,
}

/// An event as it is written: `{"event": {…}}`.
#[derive(Debug, Serialize)]
pub struct EventFrame<'a, E> {
    /// What happened.
    pub event: &'a E,
}
