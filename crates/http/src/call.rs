//! One call, being prepared.

use std::fmt;
use std::time::Duration;

use fnox_core::SecretString;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, Url};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::CallError;

/// One call of an service.
pub struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) changes: bool,
    pub(crate) after_429: Option<Duration>,
    headers: HeaderMap,
    body: Option<Zeroizing<Vec<u8>>>,
}

impl Call {
    /// A call that asks for JSON.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Self {
            method,
            url,
            changes: false,
            after_429: None,
            headers,
            body: None,
        }
    }

    /// `GET`
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// `POST`
    #[must_use]
    pub fn post(url: Url) -> Self {
        Self::new(Method::POST, url)
    }

    /// `DELETE`
    #[must_use]
    pub fn delete(url: Url) -> Self {
        Self::new(Method::DELETE, url)
    }

    /// Says that the call changes something: it is not repeated once the service can have seen it.
    #[must_use]
    pub fn changes(mut self) -> Self {
        self.changes = true;
        self
    }

    /// How long to wait after 429 (RFC 6585 section 4) where the service does not say, instead of a fraction of a second: some
    /// services count on for as long as they are asked.
    #[must_use]
    pub fn after_429(mut self, wait: Duration) -> Self {
        self.after_429 = Some(wait);
        self
    }

    /// Adds to the query.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Sets a header that is no secret.
    ///
    /// # Errors
    /// `AuthenticationNeeded` if no header can have the value.
    pub fn header(mut self, name: HeaderName, value: &str) -> Result<Self, CallError> {
        let value = HeaderValue::from_str(value).map_err(|_| unusable(&name))?;
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Sets a header that is a secret.
    ///
    /// # Errors
    /// `AuthenticationNeeded` if no header can have the value.
    pub fn secret_header(
        mut self,
        name: HeaderName,
        value: &SecretString,
    ) -> Result<Self, CallError> {
        let mut value =
            HeaderValue::from_str(value.expose_secret()).map_err(|_| unusable(&name))?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// `Authorization: Bearer` (RFC 6750).
    ///
    /// # Errors
    /// `AuthenticationNeeded` if no header can have the token.
    pub fn bearer(self, token: &SecretString) -> Result<Self, CallError> {
        let value = SecretString::new(format!("Bearer {}", token.expose_secret()));
        self.secret_header(AUTHORIZATION, &value)
    }

    /// `Authorization: Basic` (RFC 7617).
    ///
    /// # Errors
    /// `AuthenticationNeeded` if no header can have the pair.
    pub fn basic(self, user: &str, password: &SecretString) -> Result<Self, CallError> {
        use base64::Engine as _;
        let pair = Zeroizing::new(format!("{user}:{}", password.expose_secret()));
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair.as_bytes());
        let value = SecretString::new(format!("Basic {encoded}"));
        self.secret_header(AUTHORIZATION, &value)
    }

    /// A JSON body.
    ///
    /// # Errors
    /// `Unavailable` if the body is no JSON, such as a map whose keys are no texts.
    pub fn json<T: Serialize>(mut self, body: &T) -> Result<Self, CallError> {
        let bytes = serde_json::to_vec(body).map_err(|error| {
            CallError::unavailable(format!("the request cannot be written: {error}"))
        })?;
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = Some(Zeroizing::new(bytes));
        Ok(self)
    }

    /// A form body (WHATWG URL, `application/x-www-form-urlencoded`).
    #[must_use]
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let mut serializer = url::form_urlencoded::Serializer::new(String::new());
        serializer.extend_pairs(fields);
        self.headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        self.body = Some(Zeroizing::new(serializer.finish().into_bytes()));
        self
    }

    /// Any body; the content type is a header.
    #[must_use]
    pub fn body(mut self, body: Vec<u8>) -> Self {
        self.body = Some(Zeroizing::new(body));
        self
    }

    pub(crate) fn request(&self, client: &reqwest::Client) -> RequestBuilder {
        let request = client
            .request(self.method.clone(), self.url.clone())
            .headers(self.headers.clone());
        match &self.body {
            Some(body) => request.body(body.to_vec()),
            None => request,
        }
    }

    /// An error after which the change may be made, if the call asks for one.
    pub(crate) fn mark(&self, error: CallError) -> CallError {
        if self.changes {
            error.maybe_done()
        } else {
            error
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Queries and bodies may hold secrets.
        formatter
            .debug_struct("Call")
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .finish_non_exhaustive()
    }
}

fn unusable(name: &HeaderName) -> CallError {
    CallError::authentication(format!(
        "the value for the header `{name}` has characters that no header can have"
    ))
    .with_remedy("does it have a line break at its end?")
}
