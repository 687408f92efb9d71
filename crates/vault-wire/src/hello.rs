//! The first frame each way.

use fnox_core::SecretString;
use serde::{Deserialize, Serialize};

use crate::error::{Malformed, WireError};

/// Names of this protocol: zerolease's, and fnox's own for the same thing.
pub const PROTOCOLS: [&str; 2] = ["zerolease", "fnox-vault"];

/// The version that this crate speaks.
pub const VERSION: u32 = 1;

/// What a client says first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientHello {
    /// `zerolease` or `fnox-vault`.
    pub protocol: String,
    /// 1.
    pub version: u32,
    /// A token, where the transport does not tell who it is, or to be somebody else.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::value::secret_text"
    )]
    pub token: Option<SecretString>,
}

impl ClientHello {
    /// A hello of this version.
    #[must_use]
    pub fn new(token: Option<SecretString>) -> Self {
        Self {
            protocol: PROTOCOLS[1].to_owned(),
            version: VERSION,
            token,
        }
    }

    /// Reads a hello.
    ///
    /// # Errors
    /// Where it is wrong, without a word of it: a token may stand there.
    pub fn parse(frame: &[u8]) -> Result<Self, Malformed> {
        Malformed::read_object(frame)
    }

    /// Whether the server speaks what the client asks for.
    ///
    /// # Errors
    /// The text that a refusal carries.
    pub fn check(&self) -> Result<(), String> {
        if !PROTOCOLS.contains(&self.protocol.as_str()) {
            let named: String = self.protocol.escape_debug().take(64).collect();
            return Err(format!(
                "protocol `{named}` is not known: expected `zerolease` or `fnox-vault`"
            ));
        }
        if self.version != VERSION {
            return Err(format!(
                "version {} is not supported: this vault speaks version {VERSION}",
                self.version
            ));
        }
        Ok(())
    }
}

/// What the vault answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerHello {
    /// As the client named it.
    pub protocol: String,
    /// 1.
    pub version: u32,
    /// Whether requests may follow. If not, the vault closes the connection.
    pub ok: bool,
    /// Why not, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why not, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl ServerHello {
    /// Reads the answer.
    ///
    /// # Errors
    /// Where it is wrong.
    pub fn parse(frame: &[u8]) -> Result<Self, Malformed> {
        Malformed::read_object(frame)
    }

    /// Welcome.
    #[must_use]
    pub fn accepting(protocol: &str) -> Self {
        Self {
            protocol: protocol.to_owned(),
            version: VERSION,
            ok: true,
            error: None,
            code: None,
        }
    }

    /// Not welcome.
    #[must_use]
    pub fn refusing(protocol: &str, error: WireError) -> Self {
        Self {
            protocol: protocol.to_owned(),
            version: VERSION,
            ok: false,
            error: Some(error.message),
            code: Some(error.code),
        }
    }
}
