//! One call, being prepared.

use fnox_core::SecretString;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, Url};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::mint::MintError;

/// One call of an issuer.
pub(crate) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) issues: bool,
    headers: HeaderMap,
    body: Option<Zeroizing<Vec<u8>>>,
}

impl Call {
    /// A call that asks for JSON.
    pub(crate) fn new(method: Method, url: Url) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Self {
            method,
            url,
            issues: false,
            headers,
            body: None,
        }
    }

    /// `GET`
    pub(crate) fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// `POST`
    pub(crate) fn post(url: Url) -> Self {
        Self::new(Method::POST, url)
    }

    /// `DELETE`
    pub(crate) fn delete(url: Url) -> Self {
        Self::new(Method::DELETE, url)
    }

    /// Says that the call may issue something: it is not repeated once the issuer can have seen it.
    pub(crate) fn issues(mut self) -> Self {
        self.issues = true;
        self
    }

    /// Adds to the query.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Sets a header that is no secret.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Result<Self, MintError> {
        let value = HeaderValue::from_str(value).map_err(|_| unusable(&name))?;
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Sets a header that is a secret.
    pub(crate) fn secret_header(
        mut self,
        name: HeaderName,
        value: &SecretString,
    ) -> Result<Self, MintError> {
        let mut value =
            HeaderValue::from_str(value.expose_secret()).map_err(|_| unusable(&name))?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// `Authorization: Bearer` (RFC 6750).
    pub(crate) fn bearer(self, token: &SecretString) -> Result<Self, MintError> {
        let value = SecretString::new(format!("Bearer {}", token.expose_secret()));
        self.secret_header(AUTHORIZATION, &value)
    }

    /// `Authorization: Basic` (RFC 7617).
    pub(crate) fn basic(self, user: &str, password: &SecretString) -> Result<Self, MintError> {
        use base64::Engine as _;
        let pair = Zeroizing::new(format!("{user}:{}", password.expose_secret()));
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair.as_bytes());
        let value = SecretString::new(format!("Basic {encoded}"));
        self.secret_header(AUTHORIZATION, &value)
    }

    /// A JSON body.
    pub(crate) fn json<T: Serialize>(mut self, body: &T) -> Result<Self, MintError> {
        let bytes = serde_json::to_vec(body).map_err(|error| {
            MintError::unavailable(format!("the request cannot be written: {error}"))
        })?;
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = Some(Zeroizing::new(bytes));
        Ok(self)
    }

    /// A form body (WHATWG URL, `application/x-www-form-urlencoded`).
    pub(crate) fn form(mut self, fields: &[(&str, &str)]) -> Self {
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
    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = Some(Zeroizing::new(body));
        self
    }

    pub(super) fn request(&self, client: &reqwest::Client) -> RequestBuilder {
        let request = client
            .request(self.method.clone(), self.url.clone())
            .headers(self.headers.clone());
        match &self.body {
            Some(body) => request.body(body.to_vec()),
            None => request,
        }
    }

    /// An error after which something may exist, if the call can have issued it.
    pub(super) fn mark(&self, error: MintError) -> MintError {
        if self.issues {
            error.maybe_issued()
        } else {
            error
        }
    }
}

fn unusable(name: &HeaderName) -> MintError {
    MintError::authentication(format!(
        "the value for the header `{name}` has characters that no header can have"
    ))
    .with_remedy("does it have a line break at its end?")
}
