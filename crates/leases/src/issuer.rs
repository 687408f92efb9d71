//! Calls to issuers, as [`fnox_http`] makes them: with the limits of a mint, without its masters in messages, and with
//! errors that are a mint's.

use std::ops::Deref;
use std::path::Path;

use fnox_core::SecretString;
use fnox_http::{CallError, CallErrorKind, Limits, Service, Url};
use serde::de::DeserializeOwned;

pub(crate) use fnox_http::address::{below, parse, parse_of_machine};
pub(crate) use fnox_http::{Call, Tls, cleaned};

use crate::mint::{MintContext, MintError, MintErrorKind};

/// One issuer during one operation of a mint. The clock of the operation starts when it is opened.
#[derive(Debug)]
pub(crate) struct Issuer(Service);

/// An answer of an issuer.
#[derive(Debug)]
pub(crate) struct Answer(fnox_http::Answer);

/// An issuer for one operation of a mint. `name` is what messages call it, such as `GitHub`. `ca_file` has
/// certificates that are trusted besides the machine's own.
///
/// # Errors
/// [`MintError`] if the file has no certificates.
pub(crate) fn open(
    name: &str,
    context: &MintContext,
    ca_file: Option<&Path>,
) -> Result<Issuer, MintError> {
    let service = Service::new(name, limits(context), ca_file)?;
    Ok(Issuer::without_masters(service, context))
}

/// An issuer with certificates of its own. Where `tls` says nothing, the same as [`open`].
///
/// # Errors
/// [`MintError`] if a certificate or a key is none.
pub(crate) fn open_with(name: &str, context: &MintContext, tls: &Tls) -> Result<Issuer, MintError> {
    let service = Service::with_tls(name, limits(context), tls)?;
    Ok(Issuer::without_masters(service, context))
}

/// An address from the configuration or the environment: `https`, or `http` on this machine.
///
/// # Errors
/// [`MintError`] of the kind `Misconfigured` that names the key.
pub(crate) fn address(key: &'static str, text: &str) -> Result<Url, MintError> {
    Ok(fnox_http::address::of_key(key, text)?)
}

fn limits(context: &MintContext) -> Limits {
    Limits::new(context.connect_limit, context.call_limit)
}

impl Issuer {
    fn without_masters(mut service: Service, context: &MintContext) -> Self {
        for master in &context.masters {
            service.hide(master);
        }
        Self(service)
    }

    /// Keeps a secret out of messages from now on, as the masters are.
    pub(crate) fn hide(&mut self, secret: &SecretString) {
        self.0.hide(secret);
    }

    /// Makes a call, see [`Service::send`].
    ///
    /// # Errors
    /// [`MintError`] of the kind `Unavailable`.
    pub(crate) async fn send(&self, call: Call) -> Result<Answer, MintError> {
        Ok(Answer(self.0.send(call).await?))
    }

    /// Text from the issuer for people, see [`cleaned`].
    pub(crate) fn cleaned(&self, text: &str) -> String {
        self.0.cleaned(text)
    }
}

impl Answer {
    /// Its JSON. What came may have been issued all the same, so an error says that.
    ///
    /// # Errors
    /// [`MintError`] of the kind `Unavailable` if it is something else.
    pub(crate) fn json<T: DeserializeOwned>(&self, issuer: &Issuer) -> Result<T, MintError> {
        Ok(self.0.json(&issuer.0)?)
    }

    /// The error that a refusal stands for, see [`fnox_http::Answer::refusal`].
    pub(crate) fn refusal(&self, issuer: &Issuer) -> MintError {
        self.0.refusal(&issuer.0).into()
    }
}

impl Deref for Answer {
    type Target = fnox_http::Answer;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<CallError> for MintError {
    fn from(error: CallError) -> Self {
        Self {
            kind: match error.kind {
                CallErrorKind::Misconfigured => MintErrorKind::Misconfigured,
                CallErrorKind::AuthenticationNeeded => MintErrorKind::AuthenticationNeeded,
                CallErrorKind::Denied => MintErrorKind::Denied,
                CallErrorKind::Unavailable => MintErrorKind::Unavailable,
            },
            message: error.message,
            remedy: error.remedy,
            key: error.key,
            maybe_issued: error.maybe_done,
        }
    }
}
