//! Why a call has no result.

use std::io;
use std::sync::Arc;

use crate::error::{Code, WireError};

/// Why a call has no result.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No connection. Nothing was asked.
    #[error("cannot connect to the vault at {to}")]
    Connect {
        /// Where the vault should be.
        to: String,
        /// What the operating system says.
        #[source]
        source: Arc<io::Error>,
    },
    /// The vault refused the connection. Nothing was asked.
    #[error("the vault refused the connection: {message}")]
    Refused {
        /// Why, for programs.
        code: String,
        /// Why, for people.
        message: String,
    },
    /// The vault's answer is an error.
    #[error(transparent)]
    Remote(WireError),
    /// The time was over. If the request was sent, it may have been carried out.
    #[error("the vault did not answer in time")]
    TimedOut,
    /// The connection broke after the request was sent: it may have been carried out.
    #[error("the connection to the vault broke before it answered")]
    Closed,
    /// What came is not this protocol, or the request is not one that it can carry.
    #[error("the vault and this program do not understand each other: {what}")]
    Protocol {
        /// What was wrong. Never a value.
        what: String,
    },
}

impl ClientError {
    /// A word for programs: the vault's own code where there is one.
    pub fn code(&self) -> &str {
        match self {
            Self::Connect { .. } => "vault_unreachable",
            Self::Refused { code, .. } => code,
            Self::Remote(error) => &error.code,
            Self::TimedOut => Code::TimedOut.as_str(),
            Self::Closed => "connection_closed",
            Self::Protocol { .. } => "protocol",
        }
    }

    /// The code, if it is one of the protocol's.
    pub fn known_code(&self) -> Option<Code> {
        Code::parse(self.code())
    }

    pub(super) fn protocol(what: impl Into<String>) -> Self {
        Self::Protocol { what: what.into() }
    }
}
