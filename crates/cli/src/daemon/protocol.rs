//! What a client and the daemon say to each other: frames of JSON, as the vault's (four bytes of length, big-endian, at
//! most 1 MiB), one answer to each request, in order. No I/O here.
//!
//! A daemon answers requests of the versions that it knows. `stop` is understood in every version, so that a client of
//! a later version can replace an older daemon instead of leaving it behind.

pub(super) mod renewal;

use std::fmt;

use fnox_core::{SecretBytes, SecretName, SecretString};
use fnox_vault_wire::SecretValue;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use self::renewal::{MAX_RENEWALS, Renewal};

/// The version that is spoken here.
pub const VERSION: u32 = 1;

/// Longest value that is kept, in bytes: with what is around it, it fits into a frame as base64.
pub const MAX_VALUE: usize = 512 * 1024;

/// Bytes of base64 that one frame carries at most; the rest is room for digests and names.
pub(super) const FRAME_ROOM: usize = 900 * 1024;

/// Most digests in one request.
pub const MAX_KEYS: usize = 4096;

/// A request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Asks for values.
    Find {
        /// Under these digests, at most [`MAX_KEYS`].
        keys: Vec<Key>,
    },
    /// Hands values over.
    Keep {
        /// The generation that [`Answer::Found`] told. What was cleared since then is not kept.
        generation: u64,
        /// The values.
        entries: Vec<Entry>,
    },
    /// Forgets values.
    Clear {
        /// Of these secrets, whatever their configuration; `None`: all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        names: Option<Vec<Name>>,
    },
    /// Tells of leases that were used and are to be minted anew before they end.
    Renew {
        /// At most [`MAX_RENEWALS`].
        leases: Vec<Renewal>,
    },
    /// Asks how it is.
    Status,
    /// Ends the daemon.
    Stop,
}

/// A value to keep.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The digest of all that the value depends on.
    pub key: Key,
    /// The secret's name, by which it can be cleared.
    pub name: Name,
    /// For how many seconds at most.
    pub seconds: u64,
    /// The value.
    pub value: SecretValue,
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`Request::Find`].
    Found {
        /// Goes up by one whenever something is cleared.
        generation: u64,
        /// The values that are there, as far as they fit.
        values: Vec<Value>,
        /// Digests whose values are there too and did not fit: ask again.
        more: Vec<Key>,
    },
    /// To [`Request::Keep`].
    Kept {
        /// How many values were kept.
        count: usize,
    },
    /// To [`Request::Renew`].
    Noted {
        /// How many leases will be renewed.
        count: usize,
    },
    /// To [`Request::Clear`].
    Cleared {
        /// How many values were forgotten.
        count: usize,
    },
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Stop`]; nothing comes after it.
    Stopping,
    /// The request was not understood. After it the connection is closed.
    Error {
        /// `unsupported_version` or `malformed`.
        code: String,
        /// For people.
        message: String,
        /// The versions that the daemon speaks.
        versions: Vec<u32>,
    },
}

/// A value that was kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct Value {
    /// The digest that was asked for.
    pub key: Key,
    /// The value.
    pub value: SecretValue,
}

/// How a daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// The version of fnox that it is.
    pub fnox_version: String,
    /// The versions of the protocol that it speaks.
    pub versions: Vec<u32>,
    /// How many values it keeps.
    pub values: usize,
    /// After how many seconds without a request it ends.
    pub idle_timeout_seconds: u64,
    /// Whether the key of its memory lies in a page that is not written to disk.
    pub memory_locked: bool,
    /// Whether it is told when the machine sleeps or the screen is locked.
    pub watches_session: bool,
}

/// The digest under which a value is kept: 32 bytes, 64 hexadecimal digits in lower case on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(pub [u8; 32]);

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for Key {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut bytes = [0; 32];
        let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        match hex::decode_to_slice(&text, &mut bytes) {
            Ok(()) if is_lower => Ok(Self(bytes)),
            _ => Err("a key is 64 hexadecimal digits in lower case"),
        }
    }
}

/// The name of a secret on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(pub SecretName);

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.to_string()
    }
}

impl TryFrom<String> for Name {
    type Error = fnox_core::name::InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        SecretName::parse(&text).map(Self)
    }
}

/// A request with its version, as it is sent.
#[derive(Debug, Serialize)]
pub(super) struct Outgoing<'a> {
    pub(super) version: u32,
    pub(super) request: &'a Request,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Version,
    Malformed,
}

impl Refusal {
    /// The answer that says so.
    pub(super) fn answer(self) -> Answer {
        let (code, message) = match self {
            Self::Version => (
                "unsupported_version",
                "this daemon does not speak this version of the protocol",
            ),
            Self::Malformed => ("malformed", "the request is not one of the protocol"),
        };
        Answer::Error {
            code: code.to_owned(),
            message: message.to_owned(),
            versions: vec![VERSION],
        }
    }
}

/// Reads a request.
pub(super) fn parse_request(frame: &[u8]) -> Result<Request, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Incoming<'a> {
        version: u32,
        #[serde(borrow)]
        request: &'a RawValue,
    }

    let incoming: Incoming<'_> = serde_json::from_slice(frame).map_err(|_| Refusal::Malformed)?;
    if incoming.request.get() == r#""stop""# {
        return Ok(Request::Stop);
    }
    if incoming.version != VERSION {
        return Err(Refusal::Version);
    }
    let request = serde_json::from_str(incoming.request.get()).map_err(|_| Refusal::Malformed)?;
    match request {
        Request::Find { keys } if keys.len() > MAX_KEYS => Err(Refusal::Malformed),
        Request::Renew { leases } if !renewal::are_in_order(&leases) => Err(Refusal::Malformed),
        request => Ok(request),
    }
}

/// A value for the wire.
pub(super) fn to_wire(value: &SecretString) -> SecretValue {
    SecretValue(SecretBytes::new(value.expose_secret().as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn every_request_is_read_as_it_is_written() {
        let entry = Entry {
            key: Key::try_from(KEY.to_owned()).unwrap(),
            name: Name(SecretName::parse("TOKEN").unwrap()),
            seconds: 900,
            value: to_wire(&"hunter2\n\0é".into()),
        };
        let requests = [
            Request::Find {
                keys: vec![entry.key],
            },
            Request::Keep {
                generation: 7,
                entries: vec![entry],
            },
            Request::Clear { names: None },
            Request::Clear {
                names: Some(vec![Name(SecretName::parse("A").unwrap())]),
            },
            Request::Renew {
                leases: vec![renewal::tests::renewal("aws", 1, 2)],
            },
            Request::Status,
            Request::Stop,
        ];
        for request in &requests {
            let outgoing = Outgoing {
                version: VERSION,
                request,
            };
            let text = serde_json::to_vec(&outgoing).unwrap();
            let read = parse_request(&text).unwrap();
            assert_eq!(format!("{read:?}"), format!("{request:?}"));
        }
    }

    #[test]
    fn another_version_is_refused_but_may_stop_the_daemon() {
        let refused = parse_request(br#"{"version":2,"request":"status"}"#).unwrap_err();
        assert_eq!(refused, Refusal::Version);
        let stop = parse_request(br#"{"version":9,"request":"stop"}"#).unwrap();
        assert!(matches!(stop, Request::Stop));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let upper = KEY.to_uppercase();
        for text in [
            "",
            "[]",
            "{}",
            r#"{"version":1,"request":"dance"}"#,
            r#"{"version":1,"request":"status","extra":1}"#,
            r#"{"version":1,"request":{"find":{"keys":["ab"]}}}"#,
            &format!(r#"{{"version":1,"request":{{"find":{{"keys":["{upper}"]}}}}}}"#),
            r#"{"version":1,"request":{"clear":{"names":["not a name"]}}}"#,
            r#"{"version":1,"request":{"keep":{"entries":[]}}}"#,
        ] {
            let refused = parse_request(text.as_bytes()).unwrap_err();
            assert_eq!(refused, Refusal::Malformed, "{text}");
        }
    }
}
