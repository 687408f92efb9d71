//! Answers that a test writes.

use hyper::body::Bytes;

/// An answer as it will leave.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Prepared {
    /// Without header fields.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// A document.
    #[must_use]
    pub fn json(status: u16, document: &serde_json::Value) -> Self {
        Self::new(status, document.to_string()).with("content-type", "application/json")
    }

    /// With this header field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}
