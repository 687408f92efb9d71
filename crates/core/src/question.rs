//! What people are asked about agents, as gateways, the vault and the team server say it to each other.
//!
//! There are two kinds, and nothing of one can be read as the other: a request that is held until somebody agrees to it,
//! and the use of a credential at a host for a while, which an agent asks for in its own words. All of it is what the
//! gateway says; nothing of it is secret.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

/// For how long the use of a credential is allowed if whoever says yes does not say for how long, in seconds: 15 minutes.
pub const USUAL_ACCESS: u32 = 900;

/// For how long it can be allowed at the most, in seconds: an hour.
pub const LONGEST_ACCESS: u32 = 3600;

/// Most bytes of an agent's reason, as it is shown: what people do not read helps nobody to decide.
pub const LONGEST_REASON: usize = 2048;

/// Most methods that one question can name.
pub const MOST_METHODS: usize = 8;

/// A request as it would leave a gateway. Where it has credentials, it has placeholders here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AgentRequest {
    /// In whose name it is made.
    pub agent: String,
    /// Which rule of the gateway wants to know.
    pub rule: String,
    /// The method.
    pub method: String,
    /// The host and its port; without one it is 443.
    pub host: String,
    /// Path and query, as they leave.
    pub target: String,
    /// How many bytes the body has.
    pub body_length: u64,
    /// SHA-256 of the body, in 64 lower-case hexadecimal digits.
    pub body_sha256: String,
}

/// The use of one credential at one host, for a while, that an agent asks for. It is no request: a yes lets the agent make
/// as many of them as it likes until the time is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AgentAccess {
    /// Tells it from a request, which has no such field.
    pub kind: AccessKind,
    /// In whose name it will be used.
    pub agent: String,
    /// The secret, or the lease and its variable as `LEASE.VARIABLE`.
    pub credential: String,
    /// The host and its port; without one it is 443.
    pub host: String,
    /// The methods of the requests: 1 to 8.
    pub methods: Vec<String>,
    /// What for, in the agent's own words. Characters that cannot be seen are escaped.
    pub reason: String,
}

/// The word for the use of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AccessKind {
    /// The use of a credential for a while.
    Access,
}

/// What people are asked. On the wire a request has no `kind`, so that those who know of nothing else read it as they did;
/// whatever has one is refused by them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Asked {
    /// One request.
    Request(AgentRequest),
    /// The use of a credential for a while.
    Access(AgentAccess),
}

impl Asked {
    /// In whose name.
    #[must_use]
    pub fn agent(&self) -> &str {
        match self {
            Self::Request(request) => &request.agent,
            Self::Access(access) => &access.agent,
        }
    }

    /// Where.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::Request(request) => &request.host,
            Self::Access(access) => &access.host,
        }
    }

    /// The request, if it is one.
    #[must_use]
    pub fn as_request(&self) -> Option<&AgentRequest> {
        match self {
            Self::Request(request) => Some(request),
            Self::Access(_) => None,
        }
    }

    /// The use of a credential, if it is one.
    #[must_use]
    pub fn as_access(&self) -> Option<&AgentAccess> {
        match self {
            Self::Access(access) => Some(access),
            Self::Request(_) => None,
        }
    }
}

impl From<AgentRequest> for Asked {
    fn from(request: AgentRequest) -> Self {
        Self::Request(request)
    }
}

impl From<AgentAccess> for Asked {
    fn from(access: AgentAccess) -> Self {
        Self::Access(access)
    }
}

/// Every field of both kinds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    kind: Option<AccessKind>,
    agent: String,
    host: String,
    rule: Option<String>,
    method: Option<String>,
    target: Option<String>,
    body_length: Option<u64>,
    body_sha256: Option<String>,
    credential: Option<String>,
    methods: Option<Vec<String>>,
    reason: Option<String>,
}

impl<'de> Deserialize<'de> for Asked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Raw::deserialize(deserializer)?;
        raw.asked().map_err(D::Error::custom)
    }
}

impl Raw {
    /// One of both kinds, whole and alone.
    fn asked(self) -> Result<Asked, String> {
        if let Some(kind) = self.kind {
            let foreign = [
                ("rule", self.rule.is_some()),
                ("method", self.method.is_some()),
                ("target", self.target.is_some()),
                ("body_length", self.body_length.is_some()),
                ("body_sha256", self.body_sha256.is_some()),
            ];
            none_of(foreign)?;
            return Ok(Asked::Access(AgentAccess {
                kind,
                agent: self.agent,
                credential: there(self.credential, "credential")?,
                host: self.host,
                methods: there(self.methods, "methods")?,
                reason: there(self.reason, "reason")?,
            }));
        }
        let foreign = [
            ("credential", self.credential.is_some()),
            ("methods", self.methods.is_some()),
            ("reason", self.reason.is_some()),
        ];
        none_of(foreign)?;
        Ok(Asked::Request(AgentRequest {
            agent: self.agent,
            rule: there(self.rule, "rule")?,
            method: there(self.method, "method")?,
            host: self.host,
            target: there(self.target, "target")?,
            body_length: there(self.body_length, "body_length")?,
            body_sha256: there(self.body_sha256, "body_sha256")?,
        }))
    }
}

fn there<T>(field: Option<T>, name: &str) -> Result<T, String> {
    field.ok_or_else(|| format!("missing field `{name}`"))
}

fn none_of<const N: usize>(fields: [(&str, bool); N]) -> Result<(), String> {
    match fields.into_iter().find(|(_, is_there)| *is_there) {
        Some((name, _)) => Err(format!("unknown field `{name}`")),
        None => Ok(()),
    }
}

/// A text that somebody else chose, on one line and with everything escaped that cannot be seen or that changes the order in
/// which the rest is read: what people see is what there is.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// Control characters, invisible ones, and what picks a variant of the character before it.
fn is_hidden(character: char) -> bool {
    character.is_control() || character == '\u{fe0f}' || is_invisible(character)
}

/// Whether a character shows nothing of its own, or changes how others are shown: `Default_Ignorable` and
/// `Bidi_Control` (UAX 9, UAX 44), separators of lines, private use. U+FE0F stays: emoji have it.
#[must_use]
pub fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{e000}'..='\u{f8ff}'
        | '\u{fe00}'..='\u{fe0e}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'
        | '\u{f0000}'..='\u{10ffff}')
}

/// Whether a text is a method of HTTP (RFC 9110, section 9.1) of a usual length.
#[must_use]
pub fn is_method(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=32).contains(&text.len()) && text.bytes().all(is_token)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request() -> serde_json::Value {
        json!({
            "agent": "coder", "rule": "1", "method": "POST", "host": "api.example.com", "target": "/a",
            "body_length": 3, "body_sha256": "ab".repeat(32),
        })
    }

    fn access() -> serde_json::Value {
        json!({
            "kind": "access", "agent": "coder", "credential": "TOKEN", "host": "api.example.com",
            "methods": ["GET"], "reason": "to read",
        })
    }

    #[test]
    fn both_kinds_come_back_as_they_were() {
        for written in [request(), access()] {
            let read: Asked = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(read.as_access().is_some(), written.get("kind").is_some());
            assert_eq!(read.agent(), "coder");
            assert_eq!(serde_json::to_value(&read).unwrap(), written);
        }
        // Who knows of requests alone reads them as before, and nothing else.
        serde_json::from_value::<AgentRequest>(request()).unwrap();
        serde_json::from_value::<AgentRequest>(access()).unwrap_err();
    }

    #[test]
    fn nothing_is_both_or_neither() {
        let with = |mut base: serde_json::Value, name: &str, value: serde_json::Value| {
            base[name] = value;
            base
        };
        for (wrong, expected) in [
            (
                with(request(), "reason", json!("x")),
                "unknown field `reason`",
            ),
            (
                with(request(), "kind", json!("access")),
                "unknown field `rule`",
            ),
            (with(request(), "kind", json!("request")), "unknown variant"),
            (
                with(access(), "method", json!("GET")),
                "unknown field `method`",
            ),
            (
                with(access(), "minutes", json!(5)),
                "unknown field `minutes`",
            ),
            (json!({ "agent": "a", "host": "b" }), "missing field `rule`"),
            (
                json!({ "kind": "access", "agent": "a", "host": "b" }),
                "missing field `credential`",
            ),
        ] {
            let error = serde_json::from_value::<Asked>(wrong).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        let twice = r#"{"agent":"a","agent":"b","host":"c"}"#;
        let error = serde_json::from_str::<Asked>(twice).unwrap_err();
        assert!(error.to_string().contains("duplicate field"), "{error}");
    }

    #[test]
    fn what_cannot_be_seen_is_escaped_and_the_rest_stays() {
        let text = "Tür \"öffnen\"\n\u{202e}sey\u{1b}[2J\u{200b}";
        let shown = visible(text);
        assert_eq!(shown, "Tür \"öffnen\"\\u{a}\\u{202e}sey\\u{1b}[2J\\u{200b}");
        assert_eq!(visible(&shown), shown);
    }
}
