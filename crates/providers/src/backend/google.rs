//! What the providers at Google Cloud have in common: who calls, where, and what refusals mean.
//!
//! Facts are from Google's discovery documents `secretmanager` v1 and `cloudkms` v1, from AIP-193 (errors), and from
//! "System parameters" (`X-Goog-User-Project`).

mod checksum;
mod refusal;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fnox_http::header::HeaderName;
use fnox_http::{Answer, Call, Service, Url, address, below};
use zeroize::Zeroizing;

use crate::accounts::{GoogleAccess, Kept};
use crate::error::ProviderError;
use crate::provider::Context;
use crate::settings::Settings;

pub(super) use self::checksum::crc32c;
use self::refusal::explain;
pub(super) use self::refusal::{Facts, is_reachable};

/// How many calls are under way at a time.
pub(super) const AT_ONCE: usize = 10;

/// One of Google's APIs.
#[derive(Debug)]
pub(super) struct Api {
    /// The first label of its host name.
    pub(super) host: &'static str,
    /// What messages call it.
    pub(super) name: &'static str,
}

/// An API, as whoever is logged in.
#[derive(Debug)]
pub(super) struct Connection {
    context: Context,
    api: &'static Api,
    endpoint: Option<Url>,
    access: Kept<GoogleAccess>,
}

impl Connection {
    pub(super) fn of(
        settings: &Settings,
        context: &Context,
        api: &'static Api,
    ) -> Result<Self, ProviderError> {
        let endpoint = settings
            .text("endpoint")
            .map(|text| address::of_key("endpoint", text))
            .transpose()?;
        Ok(Self {
            context: context.clone(),
            api,
            endpoint,
            access: Kept::default(),
        })
    }

    /// Logs in, if that has not been done. The time limit of an operation begins here.
    pub(super) async fn session(&self) -> Result<Session, ProviderError> {
        let context = &self.context;
        let log_in = context.accounts.google(context);
        let access = self.access.get(context.clock.as_ref(), log_in).await?;
        let base = self.base(&access.universe)?;
        let mut service = Service::new(self.api.name, context.http_limits(), None)?;
        service.hide(&access.token.value);
        Ok(Session {
            api: self.api,
            base,
            service,
            access,
        })
    }

    /// The API's address. The token goes there, so it is one of the cloud that the token is for.
    fn base(&self, universe: &str) -> Result<Url, ProviderError> {
        let Some(url) = &self.endpoint else {
            let url = format!("https://{}.{universe}", self.api.host);
            return Ok(address::of_key("endpoint", &url)?);
        };
        let host = url.host_str().unwrap_or_default();
        let is_of_cloud = host
            .strip_suffix(universe)
            .is_some_and(|rest| rest.ends_with('.'));
        if is_of_cloud || address::is_loopback(url) {
            return Ok(url.clone());
        }
        Err(ProviderError::misconfigured(format!(
            "`endpoint` is at {host}, which is not in the cloud of the login, {universe}"
        ))
        .with_remedy(
            "the login's token opens everything that its owner may open; it goes to hosts of that cloud and of this machine",
        )
        .at_key("endpoint"))
    }
}

/// One operation of a provider.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) api: &'static Api,
    base: Url,
    service: Service,
    access: GoogleAccess,
}

impl Session {
    /// An address below `v1`; each segment is one.
    pub(super) fn url(&self, segments: &[&str]) -> Url {
        below(&below(&self.base, &["v1"]), segments)
    }

    /// Makes a call as whoever is logged in. Refusals are the caller's to judge.
    pub(super) async fn send(&self, call: Call) -> Result<Answer, ProviderError> {
        let mut call = call.bearer(&self.access.token.value)?;
        if let Some(project) = &self.access.quota_project {
            call = call.header(HeaderName::from_static("x-goog-user-project"), project)?;
        }
        Ok(self.service.send(call).await?)
    }

    /// The JSON of a good answer, or the error that a refusal stands for.
    pub(super) async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        call: Call,
        facts: &Facts<'_>,
    ) -> Result<T, ProviderError> {
        let answer = self.send(call).await?;
        if !answer.is_success() {
            return Err(self.refused(&answer, facts));
        }
        self.json(&answer)
    }

    /// The JSON of a good answer.
    pub(super) fn json<T: serde::de::DeserializeOwned>(
        &self,
        answer: &Answer,
    ) -> Result<T, ProviderError> {
        Ok(answer.json(&self.service)?)
    }

    /// The error that a refusal stands for.
    pub(super) fn refused(&self, answer: &Answer, facts: &Facts<'_>) -> ProviderError {
        explain(self.api, answer, &self.service, facts)
    }

    /// An answer whose bytes are not those that the service sent, by its own checksum.
    pub(super) fn damaged(&self) -> ProviderError {
        ProviderError::unavailable(format!(
            "an answer of {} arrived damaged: its checksum does not fit",
            self.api.name
        ))
        .with_remedy("try again; if it happens again, something on the way changes answers")
    }

    /// Decodes bytes of an answer and compares them with the checksum that came with them.
    pub(super) fn checked(
        &self,
        text: &str,
        checksum: Option<&str>,
    ) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        // Sized for the whole, so that growing leaves no copies.
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
        BASE64
            .decode_vec(text, &mut bytes)
            .map_err(|_| self.damaged())?;
        match checksum {
            Some(sum) if sum.parse() == Ok(i64::from(crc32c(&bytes))) => Ok(bytes),
            _ => Err(self.damaged()),
        }
    }
}

/// The project of a key: an id or a number, as it becomes a part of names.
pub(super) fn project(settings: &Settings) -> Result<String, ProviderError> {
    segment(settings, "project")
}

/// A key whose value becomes one segment of a resource's name.
pub(super) fn segment(settings: &Settings, key: &'static str) -> Result<String, ProviderError> {
    let text = settings.required(key)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    // Projects of domains have names such as `example.com:project`.
    if text.chars().all(allowed)
        && !text.starts_with('.')
        && (key == "project" || !text.contains(':'))
    {
        return Ok(text.to_owned());
    }
    Err(ProviderError::misconfigured(format!(
        "`{}` cannot be a `{key}` of Google Cloud",
        text.escape_debug()
    ))
    .at_key(key))
}
