//! What a refused or failed request says: a code for programs and a message for people.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The error of a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct WireError {
    /// One of [`Code`]'s words, or one that a newer vault knows.
    pub code: String,
    /// For people. Names the thing that failed, never a value.
    pub message: String,
}

impl WireError {
    /// An error of a known code.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code: code.as_str().to_owned(),
            message: message.into(),
        }
    }

    /// The code, if this version knows it.
    #[must_use]
    pub fn known_code(&self) -> Option<Code> {
        Code::parse(&self.code)
    }
}

/// JSON that is not what was expected. Tells where, and never what stood there: serde's own messages quote
/// values, and those may be secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {column}")]
pub struct Malformed {
    what: String,
    column: usize,
}

impl Malformed {
    /// Reads JSON that must be an object. serde's derived types would take an array as well, with the values in
    /// the order of the fields, and a misplaced value would then be taken for another.
    pub(crate) fn read_object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Self> {
        let value = serde_json::from_slice(json).map_err(|error| Self::of(&error, json))?;
        let first = json.iter().find(|byte| !byte.is_ascii_whitespace());
        if first == Some(&b'{') {
            Ok(value)
        } else {
            Err(Self {
                what: "JSON that is not an object".to_owned(),
                column: 1,
            })
        }
    }
}

impl Malformed {
    /// What is wrong with an object, with the name of the key.
    fn of(error: &serde_json::Error, json: &[u8]) -> Self {
        let offset = offset(error, json);
        let mut malformed = Self::from_error(error);
        malformed.column = offset;
        if error.is_data() {
            let message = error.to_string();
            malformed.what = if let Some(key) = named(&message, "missing field `") {
                format!("`{key}` is missing from an object that ends")
            } else if let Some(key) = named(&message, "duplicate field `") {
                format!("`{key}` is there twice,")
            } else if message.starts_with("unknown field `") {
                // The key itself may be a value in the wrong place. What is known is not.
                let known = message.rsplit_once("`, expected ").map(|(_, known)| known);
                let known = known
                    .and_then(|known| known.split_once(" at line "))
                    .map_or("nothing", |(known, _)| known);
                format!("a key that does not belong there (known is {known})")
            } else if let Some(key) = outermost_key(&json[..offset.min(json.len())]) {
                format!("`{key}` has a value that does not belong there,")
            } else {
                malformed.what
            };
        }
        malformed
    }

    fn from_error(error: &serde_json::Error) -> Self {
        use serde_json::error::Category;
        let what = match error.classify() {
            Category::Io | Category::Syntax => "not JSON",
            Category::Eof => "incomplete JSON",
            Category::Data => "a key or value that does not belong there, or one that is missing,",
        };
        Self {
            what: what.to_owned(),
            column: error.column(),
        }
    }
}

/// Where in all of the text an error is.
fn offset(error: &serde_json::Error, json: &[u8]) -> usize {
    let lines = json.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    before + error.column()
}

/// The name of a field that a message of serde's begins with: it comes from the type that is read, and not from the text.
fn named<'m>(message: &'m str, beginning: &str) -> Option<&'m str> {
    let (name, _) = message.strip_prefix(beginning)?.split_once('`')?;
    Some(name)
}

/// The last key of the outermost object that `json`, the beginning of a text, has a value for. Whoever read that value knew
/// the key.
fn outermost_key(json: &[u8]) -> Option<&str> {
    let (mut depth, mut at, mut text, mut key) = (0_usize, 0, None, None);
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => {
                let length = string_length(&json[at + 1..])?;
                text = Some(&json[at + 1..at + 1 + length]);
                at += length + 1;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b':' if depth == 1 => key = text,
            _ => {}
        }
        at += 1;
    }
    let key = std::str::from_utf8(key?).ok()?;
    let is_plain = key
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_plain.then_some(key)
}

/// How long a string is whose opening quote is passed. One that is cut off has no end.
fn string_length(json: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match json.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        Self::from_error(&error)
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)*) => {
        /// Why a request was not fulfilled.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Reads the word.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == word)
            }
        }
    };
}

codes! {
    /// The lease is past its expiry, or all of its uses are spent.
    LeaseExpired = "lease_expired",
    /// The lease was withdrawn.
    LeaseRevoked = "lease_revoked",
    /// There is no such lease for this caller.
    LeaseNotFound = "lease_not_found",
    /// A rule, a role or the lease's own scope forbids it.
    AccessDenied = "access_denied",
    /// There is no such session.
    SessionNotFound = "session_not_found",
    /// The session is over.
    SessionExpired = "session_expired",
    /// The session was closed.
    SessionRevoked = "session_revoked",
    /// The session has as many live leases as it may have.
    SessionLeaseLimit = "session_lease_limit",
    /// The lease cannot be renewed any further.
    RenewalLimitReached = "renewal_limit_reached",
    /// There is no such secret.
    SecretNotFound = "secret_not_found",
    /// There is a secret of that name already.
    SecretAlreadyExists = "secret_already_exists",
    /// The value could not be sealed.
    EncryptionFailed = "encryption_failed",
    /// The stored value could not be opened.
    DecryptionFailed = "decryption_failed",
    /// The key source did not give the key.
    KeySourceUnavailable = "key_source_unavailable",
    /// The store did not answer, or refused the write.
    Storage = "storage",
    /// The audit log could not be written, so nothing was done.
    AuditUnavailable = "audit_unavailable",
    /// A limit or a number is out of range, or the lease is not renewable.
    InvalidConfig = "invalid_config",
    /// This store, key source or transport cannot do it.
    NotSupported = "not_supported",
    /// The request is not one.
    InvalidRequest = "invalid_request",
    /// No token, or none that is valid here.
    AuthenticationFailed = "authentication_failed",
    /// A rule's rate, or a limit on requests, is used up for now.
    RateLimited = "rate_limited",
    /// The vault has as many connections, or this connection as many requests, as it may have.
    TooManyRequests = "too_many_requests",
    /// The issuer of a credential, or who keeps what it is made from, does not answer. The use is not spent.
    MintUnavailable = "mint_unavailable",
    /// The issuer of a credential refuses, or the mint is configured wrongly. The use is not spent.
    MintRefused = "mint_refused",
    /// The vault took longer than a request may take.
    TimedOut = "timed_out",
    /// There is no such token.
    TokenNotFound = "token_not_found",
    /// No such question waits.
    ApprovalNotFound = "approval_not_found",
    /// The policy file is wrong; the old policy stays in force.
    InvalidPolicy = "invalid_policy",
    /// Another change came first; nothing was done.
    Conflict = "conflict",
    /// The vault is ending.
    ShuttingDown = "shutting_down",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Read {
        #[serde(rename = "host")]
        _host: String,
        #[serde(default, rename = "ttl")]
        _ttl: Option<u64>,
        #[serde(default, rename = "tags")]
        _tags: Vec<u64>,
    }

    fn wrong(json: &str) -> String {
        Malformed::read_object::<Read>(json.as_bytes())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_key_is_named_and_its_value_is_not() {
        let told = [
            r#"{"host":"a:\"b\"","ttl":"hunter2"}"#,
            "{\n\"host\": \"a\",\n\"tags\": [1, {\"x\": 2}]}",
            r#"{"ttl":1}"#,
            r#"{"host":"a","host":"b"}"#,
            r#"{"host":"a","hunter2`, expected x":1}"#,
            "{",
        ];
        assert_eq!(
            told.map(wrong),
            [
                "`ttl` has a value that does not belong there, at byte 33",
                "`tags` has a value that does not belong there, at byte 27",
                "`host` is missing from an object that ends at byte 9",
                "`host` is there twice, at byte 18",
                "a key that does not belong there (known is one of `host`, `ttl`, `tags`) at byte 34",
                "incomplete JSON at byte 1",
            ]
        );
    }
}
