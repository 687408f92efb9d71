//! Requests, responses and events around their contents.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::error::{Code, Malformed, WireError};
use crate::methods::Call;

/// A request as it is read: the parameters stay as they came until the method is known.
#[derive(Deserialize)]
pub struct RequestRef<'a> {
    /// Chosen by the client; the response has the same.
    pub id: Uuid,
    /// The method's name.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// Its parameters, an object.
    #[serde(borrow)]
    pub params: &'a RawValue,
}

impl<'a> RequestRef<'a> {
    /// Reads a request.
    ///
    /// # Errors
    /// Where it is wrong, without a word of it.
    pub fn parse(frame: &'a [u8]) -> Result<Self, Malformed> {
        Malformed::read_object(frame)
    }

    /// Reads the parameters of a method.
    ///
    /// # Errors
    /// `invalid_request`; the message names unknown and missing keys, and no values.
    pub fn params<P: Call>(&self) -> Result<P, WireError> {
        let refused = |what: String| {
            let message = format!("`{}`: {what}", P::METHOD.name());
            WireError::new(Code::InvalidRequest, message)
        };
        if !self.params.get().starts_with('{') {
            return Err(refused("the parameters are not an object".to_owned()));
        }
        serde_json::from_str(self.params.get()).map_err(|error| refused(without_values(error)))
    }
}

/// serde's message where it speaks of keys, which are not secret; else only the place.
fn without_values(error: serde_json::Error) -> String {
    let text = error.to_string();
    let speaks_of_keys = [
        "missing field `",
        "duplicate field `",
        "unknown field `",
        "the value is not standard base64",
    ]
    .iter()
    .any(|start| text.starts_with(start));
    if speaks_of_keys {
        text.escape_debug().take(300).collect()
    } else {
        Malformed::from(error).to_string()
    }
}

// Derived, it would show the parameters, and with them the plaintext of `store_secret`.
impl fmt::Debug for RequestRef<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RequestRef")
            .field("id", &self.id)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
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
#[derive(Deserialize)]
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

impl<'a> MessageRef<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// Where it is wrong, without a word of it.
    pub fn parse(frame: &'a [u8]) -> Result<Self, Malformed> {
        Malformed::read_object(frame)
    }
}

// Derived, it would show the result, and with it the value that `access_secret` answers.
impl fmt::Debug for MessageRef<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MessageRef")
            .field("id", &self.id)
            .field("ok", &self.ok)
            .field("error", &self.error)
            .field("is_event", &self.event.is_some())
            .finish_non_exhaustive()
    }
}

/// An event as it is written: `{"event": {…}}`.
#[derive(Debug, Serialize)]
pub struct EventFrame<'a, E> {
    /// What happened.
    pub event: &'a E,
}
