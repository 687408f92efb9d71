//! A device's configuration, in the form that all of Keeper's clients share ("Secrets Manager Configuration"): JSON, or that in
//! base64.

use std::fmt;

use fnox_core::SecretString;
use fnox_http::{Url, address};
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::crypto::{self, DeviceKey, Key};
use super::server_keys::{self, ServerKey};
use crate::error::ProviderError;
use crate::wiped::Wiped;

/// Where tokens of a region lead ("One Time Access Token", and the names of hosts in "KSM Developer SDKs").
const REGIONS: [(&str, &str); 6] = [
    ("US", "keepersecurity.com"),
    ("EU", "keepersecurity.eu"),
    ("AU", "keepersecurity.com.au"),
    ("GOV", "govcloud.keepersecurity.us"),
    ("JP", "keepersecurity.jp"),
    ("CA", "keepersecurity.ca"),
];

/// A configuration as it is stored. Without `appKey` it is one of a device that is not bound yet.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stored {
    #[serde(default)]
    hostname: Option<String>,
    #[serde(default)]
    client_id: Option<String>,
    /// The one-time token, until it is used.
    #[serde(default)]
    client_key: Option<Wiped>,
    #[serde(default)]
    private_key: Option<Wiped>,
    #[serde(default)]
    app_key: Option<Wiped>,
    #[serde(default)]
    app_owner_public_key: Option<String>,
    #[serde(default, deserialize_with = "text_or_number")]
    server_public_key_id: Option<String>,
    /// Of a service that has keys of its own.
    #[serde(default)]
    server_public_key: Option<String>,
}

/// What a bound device calls with.
#[derive(Debug, Clone)]
pub(super) struct Device {
    pub(super) base: Url,
    pub(super) client_id: String,
    pub(super) key: DeviceKey,
    pub(super) server_key: ServerKey,
    pub(super) app_key: Key,
}

/// What a device calls with whose one-time token is not used yet.
#[derive(Debug)]
pub(super) struct Unbound {
    pub(super) base: Url,
    pub(super) client_id: String,
    pub(super) key: DeviceKey,
    pub(super) server_key: ServerKey,
    /// The token's bytes, which open the application's key.
    pub(super) token: Key,
}

impl Stored {
    /// `None` if it is no configuration.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.starts_with('{') {
            return serde_json::from_str(text).ok();
        }
        let decoded = crypto::decoded(text)?;
        decoded
            .trim_ascii_start()
            .starts_with(b"{")
            .then(|| serde_json::from_slice(&decoded).ok())?
    }

    /// A device's first configuration, from a one-time token and what is there besides: a host, a key of the service.
    pub(super) fn of_token(
        token: &SecretString,
        there: Option<Self>,
    ) -> Result<Self, ProviderError> {
        let there = there.unwrap_or_default();
        let (host, secret) = match token.expose_secret().trim().rsplit_once(':') {
            Some((host, secret)) => (Some(region(host)), secret),
            None => (None, token.expose_secret().trim()),
        };
        let hostname = host.or(there.hostname).ok_or_else(|| {
            token_fault("the one-time token does not say where its vault is")
                .with_remedy("write its region before it, such as `US:` or `EU:`, or a host")
        })?;
        let bytes = Key::parse(secret).ok_or_else(|| {
            token_fault("the one-time token is not whole: it is 32 bytes in base64")
                .with_remedy("copy it again, or make another in Keeper")
        })?;
        let key = DeviceKey::random().map_err(|_| no_random())?;
        Ok(Self {
            hostname: Some(hostname),
            client_id: Some(crypto::client_id(bytes.bytes())),
            client_key: Some(Wiped(SecretString::from(secret))),
            private_key: key
                .to_text()
                .map(|text| Wiped(SecretString::from(text.as_str()))),
            server_public_key_id: there
                .server_public_key_id
                .or_else(|| Some(server_keys::USUAL.to_owned())),
            server_public_key: there.server_public_key,
            ..Self::default()
        })
    }

    pub(super) fn is_bound(&self) -> bool {
        self.app_key.is_some()
    }

    /// Whether it has a token that was perhaps used, and the key that it was used with.
    pub(super) fn is_pending(&self) -> bool {
        !self.is_bound() && self.client_key.is_some() && self.private_key.is_some()
    }

    /// Whether it was made for this token.
    pub(super) fn is_for(&self, token: &SecretString) -> bool {
        let text = token.expose_secret().trim();
        let secret = text.rsplit_once(':').map_or(text, |(_, secret)| secret);
        let bytes = Key::parse(secret);
        bytes.is_some_and(|bytes| {
            self.client_id.as_deref() == Some(crypto::client_id(bytes.bytes()).as_str())
        })
    }

    pub(super) fn device(&self) -> Result<Device, ProviderError> {
        let app_key = self.app_key.as_ref().map(|key| key.0.expose_secret());
        Ok(Device {
            base: self.base()?,
            client_id: self.client_id()?,
            key: self.key()?,
            server_key: self.server_key()?,
            app_key: app_key
                .and_then(Key::parse)
                .ok_or_else(|| fault("`appKey`", "32 bytes in base64"))?,
        })
    }

    pub(super) fn unbound(&self) -> Result<Unbound, ProviderError> {
        let token = self.client_key.as_ref().map(|key| key.0.expose_secret());
        let token = token
            .and_then(Key::parse)
            .ok_or_else(|| fault("`clientKey`", "32 bytes in base64"))?;
        Ok(Unbound {
            base: self.base()?,
            client_id: crypto::client_id(token.bytes()),
            key: self.key()?,
            server_key: self.server_key()?,
            token,
        })
    }

    /// The same device with its application's key. The token is used and goes.
    pub(super) fn bound(
        self,
        app_key: &Key,
        owner: Option<String>,
        server_key: &ServerKey,
    ) -> Self {
        use base64::Engine as _;
        let mut text = base64::prelude::BASE64_STANDARD.encode(app_key.bytes());
        let bound = Self {
            client_key: None,
            app_key: Some(Wiped(SecretString::from(text.as_str()))),
            app_owner_public_key: owner,
            server_public_key_id: Some(server_key.id.clone()),
            ..self
        };
        text.zeroize();
        bound
    }

    /// As JSON.
    pub(super) fn to_text(&self) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
        let written = Written {
            hostname: self.hostname.as_deref(),
            client_id: self.client_id.as_deref(),
            client_key: text_of(self.client_key.as_ref()),
            private_key: text_of(self.private_key.as_ref()),
            app_key: text_of(self.app_key.as_ref()),
            app_owner_public_key: self.app_owner_public_key.as_deref(),
            server_public_key_id: self.server_public_key_id.as_deref(),
            server_public_key: self.server_public_key.as_deref(),
        };
        let mut text = Zeroizing::new(Vec::with_capacity(2048));
        serde_json::to_writer_pretty(&mut *text, &written)?;
        text.push(b'\n');
        Ok(text)
    }

    fn base(&self) -> Result<Url, ProviderError> {
        let host = self
            .hostname
            .as_deref()
            .ok_or_else(|| fault("`hostname`", "the name of a host"))?;
        let text = if host.contains("://") {
            host.to_owned()
        } else {
            format!("https://{}", region(host))
        };
        address::parse(&text).map_err(|reason| {
            ProviderError::misconfigured(format!("`hostname` of the configuration {reason}"))
                .at_key("config_file")
        })
    }

    fn client_id(&self) -> Result<String, ProviderError> {
        let id = self.client_id.as_deref().filter(|id| !id.is_empty());
        id.map(str::to_owned)
            .ok_or_else(|| fault("`clientId`", "the device's name"))
    }

    fn key(&self) -> Result<DeviceKey, ProviderError> {
        text_of(self.private_key.as_ref())
            .and_then(DeviceKey::parse)
            .ok_or_else(|| fault("`privateKey`", "a key on P-256 (PKCS #8, base64)"))
    }

    fn server_key(&self) -> Result<ServerKey, ProviderError> {
        let id = self.server_public_key_id.as_deref();
        match self
            .server_public_key
            .as_deref()
            .filter(|key| !key.is_empty())
        {
            Some(key) => ServerKey::own(id.unwrap_or(server_keys::USUAL), key)
                .ok_or_else(|| fault("`serverPublicKey`", "a point on P-256 in base64")),
            None => ServerKey::published(id.unwrap_or(server_keys::USUAL))
                .ok_or_else(|| fault("`serverPublicKeyId`", "the number of a key that fnox knows")),
        }
    }
}

/// [`Stored`] as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_owner_public_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_public_key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_public_key: Option<&'a str>,
}

fn text_of(text: Option<&Wiped>) -> Option<&str> {
    text.map(|text| text.0.expose_secret())
}

/// A region's host, or the host itself.
fn region(text: &str) -> String {
    let of_region = REGIONS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    of_region.map_or(text, |(_, host)| host).to_owned()
}

fn fault(member: &str, wanted: &str) -> ProviderError {
    ProviderError::misconfigured(format!(
        "the configuration of Keeper is not whole: {member} must be {wanted}"
    ))
    .with_remedy(
        "download it again in Keeper: Secrets Manager, the application, Devices, Add Device",
    )
    .at_key("config_file")
}

fn token_fault(message: &str) -> ProviderError {
    ProviderError::misconfigured(message).at_key("token")
}

pub(super) fn no_random() -> ProviderError {
    ProviderError::unavailable("the system gives no random bytes")
}

/// Some clients write the number of the service's key as a number.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct Either;
    impl serde::de::Visitor<'_> for Either {
        type Value = Option<String>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a text or a number")
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(text.to_owned()))
        }

        fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(number.to_string()))
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(Either)
}
