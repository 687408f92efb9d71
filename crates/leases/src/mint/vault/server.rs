//! Calls to one server in one namespace.
//!
//! Each call has `X-Vault-Request: true`, which a Vault Agent or Proxy may ask for against forged requests, and the
//! namespace of the lease ("Namespaces": `X-Vault-Namespace`).

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::Serialize;

use super::settings::Settings;
use crate::issuer::{self, Answer, Call, Issuer, below};
use crate::mint::{MintContext, MintError, MintErrorKind};
use fnox_core::SecretString;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// One server during one operation.
pub(super) struct Server {
    pub(super) issuer: Issuer,
    address: Url,
    namespace: Option<String>,
}

impl Server {
    pub(super) fn new(settings: &Settings, context: &MintContext) -> Result<Self, MintError> {
        let env = &context.env;
        let namespace = settings.namespace(env);
        if namespace.is_some_and(|text| HeaderValue::from_str(text).is_err()) {
            return Err(MintError::misconfigured(
                "namespace",
                "the namespace has characters that no header can have",
            ));
        }
        let ca_file = settings.ca_file(env)?;
        Ok(Self {
            issuer: issuer::open("Vault", context, ca_file.as_deref())?,
            address: settings.address(env)?,
            namespace: namespace.map(str::to_owned),
        })
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    pub(super) fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&SecretString>,
    ) -> Result<Call, MintError> {
        let segments: Vec<&str> = std::iter::once("v1").chain(path.split('/')).collect();
        let mut call =
            Call::new(method, below(&self.address, &segments)).header(REQUEST, "true")?;
        if let Some(namespace) = &self.namespace {
            call = call.header(NAMESPACE, namespace)?;
        }
        match token {
            Some(token) => Ok(call.secret_header(TOKEN, token)?),
            None => Ok(call),
        }
    }

    /// `POST` with a body of JSON.
    pub(super) async fn post<T: Serialize>(
        &self,
        path: &str,
        token: Option<&SecretString>,
        body: &T,
    ) -> Result<Answer, MintError> {
        let call = self.call(Method::POST, path, token)?.json(body)?;
        self.issuer.send(call).await
    }

    /// Whether a call without an answer of its own was heeded: 204, or an object of JSON with warnings. What a login page
    /// of some network answers is neither.
    pub(super) fn is_done(answer: &Answer) -> bool {
        let is_object = || {
            serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&answer.body)
                .is_ok()
        };
        answer.status() == 204 || (answer.is_success() && is_object())
    }

    /// What Vault says of a refusal; several reasons are several lines.
    pub(super) fn said(&self, answer: &Answer) -> String {
        let said = answer.said().unwrap_or_default();
        self.issuer.cleaned(&said)
    }

    /// The error that a refusal of a token's holder stands for. `capability` is what a policy must have for `path`.
    pub(super) fn refusal(&self, answer: &Answer, path: &str, capability: &str) -> MintError {
        let said = self.said(answer);
        match answer.status() {
            403 if is_bad_token(&said) => {
                MintError::authentication(format!("Vault does not accept the token: {said}"))
                    .with_remedy("log in again: the token has expired, was revoked or is of another server")
            }
            // "403: Forbidden. Your authentication details are either incorrect, you don't have access to this feature, or …"
            403 => MintError::new(
                MintErrorKind::Denied,
                format!("Vault does not allow `{capability}` of `{path}`: {said}"),
            )
            .with_remedy(format!(
                "a policy of the token must have: path \"{path}\" {{ capabilities = [\"{capability}\"] }}; Vault answers \
                 the same if the token has expired or the namespace is another one"
            )),
            404 => MintError::misconfigured(
                "secret_path",
                format!("there is nothing at `{path}` of Vault"),
            )
            .with_remedy(
                "version 2 of KV has `data` in its paths (`secret/data/app`); is the namespace right?",
            ),
            // "412: Precondition failed. Returned on Enterprise when a request can't be processed yet due to some missing
            // eventually consistent data." 472 and 473 are standbys.
            status @ (412 | 472 | 473) => MintError::unavailable(format!(
                "this node of Vault cannot answer yet (status {status}): {said}"
            ))
            .with_remedy("try again, or use the address of the active node"),
            status @ 300..=399 => MintError::unavailable(format!(
                "Vault sends to another address (status {status}), where fnox takes no token"
            ))
            .with_remedy("use the address of the active node or of the load balancer"),
            _ => answer.refusal(&self.issuer),
        }
    }
}

/// Whether a refusal is of the token itself: newer servers say so beside "permission denied".
pub(super) fn is_bad_token(said: &str) -> bool {
    [
        "invalid token",
        "bad token",
        "missing client token",
        "token not found",
    ]
    .iter()
    .any(|text| said.contains(text))
}
