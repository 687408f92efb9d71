//! What is wrong with a text that is no host.

/// A text is not a host, or not a pattern of hosts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a host: {reason}")]
pub struct InvalidHost {
    /// The text, control characters escaped.
    pub text: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// Spaces, line ends, NUL and their like.
    #[error("it contains spaces or control characters")]
    ControlCharacter,
    /// `user@host`
    #[error("it contains `@`; name the host alone")]
    UserInfo,
    /// A pattern where a host is asked for.
    #[error("a pattern cannot be asked for; name one host")]
    Pattern,
    /// A `*` that is not the whole first label of a name.
    #[error("`*` may stand only as the whole first label of a name, as in `*.example.com`")]
    Wildcard,
    /// Brackets that do not hold an IPv6 address.
    #[error("brackets must hold an IPv6 address, as in `[::1]:443`")]
    Brackets,
    /// A port that is none.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// `1.2.3`, `0x7f.1`
    #[error("write IPv4 addresses as four decimal numbers")]
    ShortAddress,
    /// `https://example.com/path`
    #[error("it is an address; leave out scheme and path")]
    Address,
    /// Anything else that is not a host name.
    #[error("it is neither a host name nor an IP address; leave out scheme and path")]
    NotAHost,
}
