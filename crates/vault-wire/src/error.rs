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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {column}")]
pub struct Malformed {
    what: &'static str,
    column: usize,
}

impl Malformed {
    /// Reads JSON that must be an object. serde's derived types would take an array as well, with the values in
    /// the order of the fields, and a misplaced value would then be taken for another.
    pub(crate) fn read_object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Self> {
        let value = serde_json::from_slice(json)?;
        let first = json.iter().find(|byte| !byte.is_ascii_whitespace());
        if first == Some(&b'{') {
            Ok(value)
        } else {
            Err(Self {
                what: "JSON that is not an object",
                column: 1,
            })
        }
    }
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        use serde_json::error::Category;
        let what = match error.classify() {
            Category::Io | Category::Syntax => "not JSON",
            Category::Eof => "incomplete JSON",
            Category::Data => "a key or value that does not belong there, or one that is missing,",
        };
        Self {
            what,
            column: error.column(),
        }
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
