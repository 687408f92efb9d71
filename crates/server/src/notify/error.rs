//! What can go wrong with telling people.

use std::time::Duration;

/// A message did not get through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotifyError {
    /// Nobody answered, or not in time.
    #[error("{channel}: no answer from {place}: {problem}")]
    Unreachable {
        /// The channel.
        channel: &'static str,
        /// Scheme, host and port; paths may be secret.
        place: String,
        /// What the connection said.
        problem: String,
    },
    /// The other end refused.
    #[error("{channel}: {place} refused the message with status {status}: {answer}")]
    Refused {
        /// The channel.
        channel: &'static str,
        /// Scheme, host and port; paths may be secret.
        place: String,
        /// HTTP's or SMTP's number.
        status: u16,
        /// The beginning of what it said.
        answer: String,
        /// When to try again, if it makes sense to.
        again: Again,
    },
    /// The message could not be made.
    #[error("{channel}: the message cannot be made: {problem}")]
    Message {
        /// The channel.
        channel: &'static str,
        /// Why.
        problem: String,
    },
}

/// Whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It would be refused again.
    Never,
    /// After a pause of one's own choice.
    Soon,
    /// Not before this (RFC 9110, section 10.2.3).
    After(Duration),
}

impl NotifyError {
    /// Whether to try again.
    #[must_use]
    pub fn again(&self) -> Again {
        match self {
            Self::Unreachable { .. } => Again::Soon,
            Self::Refused { again, .. } => *again,
            Self::Message { .. } => Again::Never,
        }
    }
}

/// A `[notify.…]` table does not work. The server does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotifySetupError {
    /// An address.
    #[error("[notify.{channel}] the address {problem}")]
    Address {
        /// The channel.
        channel: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A value that is not what it must be.
    #[error("[notify.{channel}] {field} {problem}")]
    Value {
        /// The channel.
        channel: &'static str,
        /// The key.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Others could guess the topic, and would then read every request.
    #[error(
        "[notify.ntfy] topic can be guessed: {server} is public, there is no token, and the topic is not 22 random letters and digits"
    )]
    GuessableTopic {
        /// The server's host.
        server: String,
    },
    /// Whoever reads the topic could decide.
    #[error(
        "[notify.ntfy] one_tap needs a token: {server} is public, and whoever can read the topic could approve"
    )]
    OpenOneTap {
        /// The server's host.
        server: String,
    },
    /// More channels than links can number.
    #[error("[notify] there are more than 255 channels")]
    TooMany,
    /// The HTTP or SMTP client could not be made.
    #[error("[notify.{channel}] cannot set the connection up: {problem}")]
    Client {
        /// The channel.
        channel: &'static str,
        /// Why.
        problem: String,
    },
    /// The machine has no random numbers.
    #[error("the machine gives no random numbers")]
    NoRandomness,
    /// Called outside of an asynchronous runtime.
    #[error("notifications need an asynchronous runtime")]
    NoRuntime,
}

impl NotifySetupError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Address { .. } => {
                "write https://HOST/…; http:// is for 127.0.0.1 and localhost only"
            }
            Self::GuessableTopic { .. } => {
                "take a topic that `fnox serve init` made, or protect the topic and set `token_file`"
            }
            Self::OpenOneTap { .. } => {
                "protect the topic and set `token_file`, or leave `one_tap` out: the page works without it"
            }
            _ => return None,
        })
    }
}
