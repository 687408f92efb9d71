//! What a person agrees to, in full.

use std::fmt::{self, Write as _};

use fnox_core::{AgentId, Host};
use http::Method;

/// A question for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Whether one request may be sent.
    Request(HeldRequest),
    /// Whether a credential may be used for a while.
    Access(AccessRequest),
}

/// A request that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRequest {
    /// In whose name the request is made.
    pub agent: AgentId,
    /// Which rule wants to know.
    pub rule: String,
    /// What is done.
    pub method: Method,
    /// Where.
    pub host: Host,
    /// To what: path and query as they leave, with placeholders for credentials.
    pub target: String,
    /// How many bytes the body has.
    pub body_length: usize,
    /// SHA-256 of the body.
    pub body_sha256: [u8; 32],
}

/// The use of a credential where no rule allows it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRequest {
    /// In whose name it will be used.
    pub agent: AgentId,
    /// The secret, or the lease and its variable.
    pub credential: String,
    /// Where; its port is known.
    pub host: Host,
    /// With which methods.
    pub methods: Vec<Method>,
    /// What for, in the agent's words: [visible](fnox_core::question::visible).
    pub reason: String,
}

impl Question {
    /// In whose name.
    #[must_use]
    pub fn agent(&self) -> &AgentId {
        match self {
            Self::Request(request) => &request.agent,
            Self::Access(access) => &access.agent,
        }
    }

    /// The request, if it is one.
    #[must_use]
    pub fn as_request(&self) -> Option<&HeldRequest> {
        match self {
            Self::Request(request) => Some(request),
            Self::Access(_) => None,
        }
    }

    /// The use of a credential, if it is one.
    #[must_use]
    pub fn as_access(&self) -> Option<&AccessRequest> {
        match self {
            Self::Access(access) => Some(access),
            Self::Request(_) => None,
        }
    }

    /// Whether a yes to whatever a rule allows, that was said of this, is one to the other too.
    pub(super) fn is_of_same_rule(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Request(one), Self::Request(other)) => {
                one.agent == other.agent && one.rule == other.rule
            }
            _ => false,
        }
    }

    /// Whether a no to this is one to the other too. With other words an agent asks for the same, and with fewer methods for
    /// a part of it.
    pub(super) fn is_same_wish(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Access(one), Self::Access(other)) => {
                let is_part = |method| one.methods.contains(method);
                let of =
                    |it: &AccessRequest| (it.agent.clone(), it.credential.clone(), it.host.clone());
                of(one) == of(other) && other.methods.iter().all(is_part)
            }
            _ => self == other,
        }
    }
}

impl AccessRequest {
    /// `GET, HEAD`
    #[must_use]
    pub fn methods_in_words(&self) -> String {
        let methods: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
        methods.join(", ")
    }
}

impl From<HeldRequest> for Question {
    fn from(request: HeldRequest) -> Self {
        Self::Request(request)
    }
}

impl From<AccessRequest> for Question {
    fn from(access: AccessRequest) -> Self {
        Self::Access(access)
    }
}

impl fmt::Display for Question {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(request) => request.fmt(formatter),
            Self::Access(access) => access.fmt(formatter),
        }
    }
}

impl fmt::Display for HeldRequest {
    /// `POST https://api.github.com/repos/acme/app/pulls with 120 bytes`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{} {}{}", self.method, self.host, self.target);
        if self.body_length > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, " with {} bytes", self.body_length);
        }
        formatter.write_str(&text)
    }
}

impl fmt::Display for AccessRequest {
    /// `the use of GITHUB_TOKEN at api.github.com with GET, HEAD`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "the use of {} at {} with {}",
            self.credential,
            self.host,
            self.methods_in_words()
        )
    }
}
