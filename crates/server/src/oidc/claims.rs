//! A token's claims, each with its type (RFC 7519, section 4; OpenID Connect Core 1.0, section 2).
//!
//! The types are checked here and not by the library: one that takes a time of the wrong type for none lets a token
//! live for ever. Required are `iss`, `sub`, `aud`, `exp` and `iat`; `nbf` and `jti` may be missing, but not wrong.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::VerifiedToken;
use super::error::{OidcError, Wanted, quoted};
use super::json;
use crate::settings::{IssuerSettings, Preset};

/// OpenID Connect Core 1.0, section 2.
const LONGEST_SUBJECT: usize = 255;
const LONGEST_JTI: usize = 512;
/// How much longer than any clock takes it a used token is remembered.
const MARGIN: SignedDuration = SignedDuration::from_secs(5);

/// The claims, before anything is believed.
pub(super) struct Payload(Map<String, Value>);

/// What else decides.
pub(super) struct Circumstances<'a> {
    pub(super) settings: &'a IssuerSettings,
    pub(super) now: Timestamp,
    /// Tokens from before are refused.
    pub(super) not_before: Option<Timestamp>,
    /// What the signature is over.
    pub(super) signed: &'a str,
}

impl Payload {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, OidcError> {
        let value = json::parse(bytes).map_err(|error| {
            OidcError::malformed(format!("its claims are not as JSON should be: {error}"))
        })?;
        match value {
            Value::Object(claims) => Ok(Self(claims)),
            other => Err(OidcError::malformed(format!(
                "its claims are {} instead of an object",
                json::kind(&other)
            ))),
        }
    }

    /// Who is said to have issued it.
    pub(super) fn issuer(&self) -> Result<&str, OidcError> {
        self.text("iss")
    }

    /// Whether an audience is named, wherever and however.
    pub(super) fn names_audience(&self, audience: &str) -> bool {
        match self.0.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(many)) => many.iter().any(|one| one == audience),
            _ => false,
        }
    }

    /// Believes them or not. The signature has to be right already.
    pub(super) fn check(self, given: &Circumstances<'_>) -> Result<VerifiedToken, OidcError> {
        let settings = given.settings;
        let issuer = self.text("iss")?;
        if issuer != settings.url {
            let wanted = Wanted::setting("a configured issuer", &settings.url);
            return Err(OidcError::claim("iss", wanted, quoted(issuer)));
        }
        let subject = self.subject()?.to_owned();
        let expires_at = self.required_time("exp")?;
        let issued_at = self.required_time("iat")?;
        let not_before = self.time("nbf")?;
        let id = self.id()?;
        self.audience(&settings.audience)?;
        Times {
            expires_at,
            issued_at,
            not_before,
        }
        .check(given)?;
        self.special(settings.preset)?;
        let replay_id = replay_id(&settings.url, id, given.signed);
        Ok(VerifiedToken {
            issuer: settings.name.clone(),
            preset: settings.preset,
            subject,
            issued_at,
            expires_at,
            replay_id,
            keep_until: later(later(expires_at, leeway(settings)), MARGIN),
            claims: self.0.into_iter().collect(),
        })
    }

    fn text(&self, claim: &str) -> Result<&str, OidcError> {
        match self.0.get(claim) {
            Some(Value::String(text)) => Ok(text),
            other => Err(OidcError::claim(claim, Wanted::rule("a text"), got(other))),
        }
    }

    fn subject(&self) -> Result<&str, OidcError> {
        let subject = self.text("sub")?;
        let fine = !subject.is_empty()
            && subject.len() <= LONGEST_SUBJECT
            && !subject.chars().any(is_invisible);
        if fine {
            Ok(subject)
        } else {
            let wanted = Wanted::rule("1 to 255 bytes without white space and control characters");
            Err(OidcError::claim("sub", wanted, quoted(subject)))
        }
    }

    fn id(&self) -> Result<Option<&str>, OidcError> {
        if !self.0.contains_key("jti") {
            return Ok(None);
        }
        let id = self.text("jti")?;
        if id.is_empty() || id.len() > LONGEST_JTI {
            return Err(OidcError::claim(
                "jti",
                Wanted::rule("1 to 512 bytes"),
                quoted(id),
            ));
        }
        Ok(Some(id))
    }

    fn audience(&self, ours: &str) -> Result<(), OidcError> {
        let aud = self.0.get("aud");
        let typed = match aud {
            Some(Value::String(_)) => true,
            Some(Value::Array(many)) => !many.is_empty() && many.iter().all(Value::is_string),
            _ => false,
        };
        if !typed {
            let wanted = Wanted::rule("a text or a list of texts");
            return Err(OidcError::claim("aud", wanted, got(aud)));
        }
        if self.names_audience(ours) {
            return Ok(());
        }
        let wanted = Wanted::setting("this server's audience", ours);
        Err(OidcError::claim("aud", wanted, got(aud)))
    }

    fn required_time(&self, claim: &str) -> Result<Timestamp, OidcError> {
        self.time(claim)?
            .ok_or_else(|| OidcError::claim(claim, Wanted::rule("a time"), got(None)))
    }

    /// RFC 7519 knows fractions of seconds; no issuer writes them, and parsers differ about them.
    fn time(&self, claim: &str) -> Result<Option<Timestamp>, OidcError> {
        let Some(value) = self.0.get(claim) else {
            return Ok(None);
        };
        value
            .as_i64()
            .filter(|seconds| *seconds >= 0)
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .map(Some)
            .ok_or_else(|| {
                let wanted = Wanted::rule("whole seconds since 1970");
                OidcError::claim(claim, wanted, got(Some(value)))
            })
    }

    /// What single issuers warn of.
    fn special(&self, preset: Preset) -> Result<(), OidcError> {
        const RERUN: &str = "oidc.circleci.com/ssh-rerun";
        if preset != Preset::Circleci {
            return Ok(());
        }
        // Somebody may be logged in to such a job and run what they like.
        match self.0.get(RERUN) {
            None | Some(Value::Bool(false)) => Ok(()),
            other => Err(OidcError::claim(
                RERUN,
                Wanted::rule("false: jobs that were started again with SSH get nothing"),
                got(other),
            )),
        }
    }
}

struct Times {
    expires_at: Timestamp,
    issued_at: Timestamp,
    not_before: Option<Timestamp>,
}

impl Times {
    /// The leeway counts once, and only against our clock: two times of one token are compared as they are.
    fn check(&self, given: &Circumstances<'_>) -> Result<(), OidcError> {
        let (settings, now) = (given.settings, given.now);
        let leeway = leeway(settings);
        let refuse = |claim: &str, wanted: String, time: Timestamp| {
            Err(OidcError::claim(
                claim,
                Wanted::rule(wanted),
                time.to_string(),
            ))
        };
        let (expires_at, issued_at) = (self.expires_at, self.issued_at);
        if now >= later(expires_at, leeway) {
            return refuse("exp", format!("a time after {now:.0}"), expires_at);
        }
        if let Some(not_before) = self.not_before.filter(|time| *time > later(now, leeway)) {
            return refuse("nbf", format!("a time before {now:.0}"), not_before);
        }
        if issued_at > later(now, leeway) {
            return refuse("iat", format!("a time before {now:.0}"), issued_at);
        }
        let longest =
            SignedDuration::try_from(settings.longest_life).unwrap_or(SignedDuration::MAX);
        let life = expires_at.duration_since(issued_at);
        if life <= SignedDuration::ZERO || life > longest {
            let wanted = format!("1 to {} seconds after `iat`", longest.as_secs());
            return refuse("exp", wanted, expires_at);
        }
        match given.not_before.filter(|time| issued_at < *time) {
            Some(time) => refuse(
                "iat",
                format!("a time after {time:.0}, when this server's data was restored"),
                issued_at,
            ),
            None => Ok(()),
        }
    }
}

/// Each part with its length, so that no two tokens share an id. Whether there is a `jti` counts as well.
fn replay_id(issuer: &str, id: Option<&str>, signed: &str) -> [u8; 32] {
    let (kind, rest) = match id {
        Some(id) => ("jti", id),
        None => ("token", signed),
    };
    let mut hash = Sha256::new();
    for part in ["fnox replay v1", issuer, kind, rest] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

fn leeway(settings: &IssuerSettings) -> SignedDuration {
    SignedDuration::try_from(settings.leeway).unwrap_or(SignedDuration::ZERO)
}

/// The end of time, if it is later than that.
fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// White space, control characters, and what changes how the text around it looks (Unicode's category Cf).
fn is_invisible(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

fn got(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(Value::String(text)) => quoted(text),
        Some(value @ (Value::Number(_) | Value::Bool(_) | Value::Null)) => value.to_string(),
        Some(Value::Array(items))
            if !items.is_empty() && items.len() <= 8 && items.iter().all(Value::is_string) =>
        {
            let items: Vec<String> = items.iter().filter_map(Value::as_str).map(quoted).collect();
            format!("[{}]", items.join(", "))
        }
        Some(other) => json::kind(other).to_owned(),
    }
}
