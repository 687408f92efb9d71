//! Why requests are refused, one stable code each.

use http::StatusCode;

/// Why a request, or a connection, was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The client did not prove who it is.
    Unauthenticated,
    /// The request can be read in more than one way, or breaks the protocol.
    Ambiguous,
    /// Two of its places name different destinations: CONNECT, the name in TLS, `Host`, the request line.
    Misdirected,
    /// No rule reaches this destination.
    NoRule,
    /// A rule reaches the destination and does not allow this method, path or other condition.
    NotAllowed,
    /// The destination's address is private, loopback, link-local or of a metadata service.
    PrivateAddress,
    /// A placeholder stands where it may not, more than once, or for another destination.
    Placeholder,
    /// Nothing may be put into a request of this method.
    NoInjection,
    /// A credential could not be had.
    Credential,
    /// A lease, a rule or a captured credential is used up, over or revoked, or requests came too fast.
    Exhausted,
    /// A person must agree first, or did not.
    Approval,
    /// The destination could not be reached or its certificate is not trusted.
    Upstream,
    /// A body, header or number is larger than allowed.
    TooLarge,
    /// The answer cannot be scanned for credentials and policy says to block it; or its coding is broken, or is one of the transfer, which no policy lets in.
    Unscannable,
    /// The answer may hold a fresh credential that its rule keeps from the client (`capture`), and cannot be searched for it: it is no JSON, is encoded, is a part, has more than 1 MiB, or the member holds no text.
    NotCaptured,
    /// The client went away before there was an answer; what its request was given may have left.
    Abandoned,
}

impl Reason {
    /// All of them, in the order in which a request meets them.
    pub const ALL: [Self; 16] = [
        Self::Unauthenticated,
        Self::Ambiguous,
        Self::Misdirected,
        Self::NoRule,
        Self::NotAllowed,
        Self::PrivateAddress,
        Self::Placeholder,
        Self::NoInjection,
        Self::Credential,
        Self::Exhausted,
        Self::Approval,
        Self::Upstream,
        Self::TooLarge,
        Self::Unscannable,
        Self::NotCaptured,
        Self::Abandoned,
    ];

    /// The stable code, `gateway::reason`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unauthenticated => "gateway::unauthenticated",
            Self::Ambiguous => "gateway::ambiguous",
            Self::Misdirected => "gateway::misdirected",
            Self::NoRule => "gateway::no_rule",
            Self::NotAllowed => "gateway::not_allowed",
            Self::PrivateAddress => "gateway::private_address",
            Self::Placeholder => "gateway::placeholder",
            Self::NoInjection => "gateway::no_injection",
            Self::Credential => "gateway::credential",
            Self::Exhausted => "gateway::exhausted",
            Self::Approval => "gateway::approval",
            Self::Upstream => "gateway::upstream",
            Self::TooLarge => "gateway::too_large",
            Self::Unscannable => "gateway::unscannable",
            Self::NotCaptured => "gateway::not_captured",
            Self::Abandoned => "gateway::abandoned",
        }
    }

    /// The status of the answer (RFC 9110, section 15).
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            // Nobody is there to be told of the latter.
            Self::Ambiguous | Self::Abandoned => StatusCode::BAD_REQUEST,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::NoRule
            | Self::NotAllowed
            | Self::PrivateAddress
            | Self::Placeholder
            | Self::NoInjection
            | Self::Approval => StatusCode::FORBIDDEN,
            Self::Exhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Credential | Self::Upstream | Self::Unscannable | Self::NotCaptured => {
                StatusCode::BAD_GATEWAY
            }
        }
    }

    /// What it means, and what to do about it, for the page of all codes.
    #[must_use]
    pub fn explained(self) -> (&'static str, &'static str) {
        match self {
            Self::Unauthenticated => (
                "The client did not prove who it is.",
                "Present the password or token of the proxy, as `HTTPS_PROXY` has it.",
            ),
            Self::Ambiguous => (
                "The request can be read in more than one way, or breaks the protocol.",
                "Send it in the plain form: one `Host`, one length, no encoded slashes, no dot segments.",
            ),
            Self::Misdirected => (
                "Two of its places name different destinations: CONNECT, the name in TLS, `Host`, the request line.",
                "Connect to the host that the request is for.",
            ),
            Self::NoRule => (
                "No rule reaches this destination.",
                "Somebody must add a rule with this `domain`, or the host to `allow_domains`.",
            ),
            Self::NotAllowed => (
                "A rule reaches the destination and does not allow this method, path or other condition.",
                "The message says what the rule allows; for more, somebody must change it.",
            ),
            Self::PrivateAddress => (
                "The destination's address is private, loopback, link-local or of a metadata service.",
                "If it is meant, somebody must add it to `allow_private`.",
            ),
            Self::Placeholder => (
                "A placeholder stands where it may not, more than once, or for another destination.",
                "Send it once, as it is, in the place that the rule names.",
            ),
            Self::NoInjection => (
                "Nothing may be put into a request of this method.",
                "Send it without the placeholder.",
            ),
            Self::Credential => (
                "A credential could not be had.",
                "The message says why: a value that is not set, an issuer or a vault that does not answer.",
            ),
            Self::Exhausted => (
                "A lease, a rule or a captured credential is used up, over or revoked, or requests came too fast.",
                "Wait, or ask for a new one, as the message says.",
            ),
            Self::Approval => (
                "A person must agree first, or did not.",
                "The message has the command by which somebody agrees; then send it again.",
            ),
            Self::Upstream => (
                "The destination could not be reached or its certificate is not trusted.",
                "Look at the destination, and at the rule's `ca_file`.",
            ),
            Self::TooLarge => (
                "A body, header or number is larger than allowed.",
                "Send less, or somebody must raise `body_limit`.",
            ),
            Self::Unscannable => (
                "The answer cannot be scanned for credentials and policy says to block it; or its coding is broken, or is one of the transfer, which no policy lets in.",
                "Ask for it with `Accept-Encoding: identity` and without `Range`.",
            ),
            Self::NotCaptured => (
                "The answer may hold a fresh credential that its rule keeps from the client (`capture`), and cannot be searched for it: it is no JSON, is encoded, is a part, has more than 1 MiB, or the member holds no text.",
                "Ask for JSON (`Accept: application/json`). If no credential is in such answers, somebody must give the rule narrower `paths`.",
            ),
            Self::Abandoned => (
                "The client went away before there was an answer; what its request was given may have left.",
                "Only records have it: nobody is there to be told.",
            ),
        }
    }
}
