//! What goes wrong, as problem documents (RFC 9457).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $status:literal, $title:literal;)*) => {
        /// Stable words for what went wrong. Scripts may rely on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ProblemCode {
            $($(#[$doc])* $variant,)*
        }

        impl ProblemCode {
            /// All codes, in the order of the reference page.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The HTTP status it comes with.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// What it means, in one sentence.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    /// 400
    InvalidRequest = "invalid_request", 400, "The request is not as it should be.";
    /// 400
    CodeMissing = "code_missing", 400, "The match code is missing.";
    /// 400
    NonceInvalid = "nonce_invalid", 400, "The form was used before, or is not of this page.";
    /// 401
    Unauthenticated = "unauthenticated", 401, "The request needs a bearer token.";
    /// 401
    TokenInvalid = "token_invalid", 401, "The bearer token is not valid here.";
    /// 401
    OidcInvalid = "oidc_invalid", 401, "The OIDC token was not accepted.";
    /// 401
    TokenReplayed = "token_replayed", 401, "The OIDC token was used before.";
    /// 403
    PolicyDenied = "policy_denied", 403, "The policy does not allow it.";
    /// 403
    RoleMissing = "role_missing", 403, "The session has not the role that this needs.";
    /// 403
    SelfApproval = "self_approval", 403, "Whoever asks cannot decide.";
    /// 403
    CodeWrong = "code_wrong", 403, "The match code is wrong.";
    /// 403
    RecipientMissing = "recipient_missing", 403, "A secret is not encrypted to the key of whoever asks.";
    /// 404
    NotFound = "not_found", 404, "There is no such thing, or it is not for this caller.";
    /// 405
    MethodNotAllowed = "method_not_allowed", 405, "The method is not allowed here.";
    /// 409
    ApprovalDecided = "approval_decided", 409, "The approval is not pending any more.";
    /// 409
    ApprovalNotApproved = "approval_not_approved", 409, "The approval cannot be exchanged for a grant.";
    /// 409
    ApprovalChanged = "approval_changed", 409, "Something changed since the approval.";
    /// 409
    ApprovalNeeded = "approval_needed", 409, "A person has to be asked for one of these keys.";
    /// 409
    Exists = "exists", 409, "There is one already.";
    /// 410
    GrantUsed = "grant_used", 410, "The grant was used before.";
    /// 410
    GrantExpired = "grant_expired", 410, "The grant has ended.";
    /// 412
    VersionMismatch = "version_mismatch", 412, "The secret has another version than the request says.";
    /// 413
    TooLarge = "too_large", 413, "The request is too large.";
    /// 415
    UnsupportedMediaType = "unsupported_media_type", 415, "The body is of a type that is not read here.";
    /// 429
    TooManyPending = "too_many_pending", 429, "Too many approvals of this requester are pending.";
    /// 429
    QuietTime = "quiet_time", 429, "This was denied a short time ago.";
    /// 429
    RateLimited = "rate_limited", 429, "Too many requests.";
    /// 500
    Internal = "internal", 500, "The server failed.";
    /// 503
    Frozen = "frozen", 503, "An administrator has frozen the server.";
    /// 503
    StoreUnavailable = "store_unavailable", 503, "The server's database does not answer.";
    /// 503
    IssuerUnavailable = "issuer_unavailable", 503, "The issuer does not work with this server at the moment.";
    /// 504
    Timeout = "timeout", 504, "The server did not finish in time.";
}

impl ProblemCode {
    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

/// A problem document: `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `https://fnox.dev/problems/` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the code means.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable word.
    pub code: String,
    /// What failed, which thing, what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The field of the request that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The claim that the policy stumbled over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// The secret's key that is concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The number that the next version of the secret gets, if the request named another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_version: Option<u64>,
    /// Names this request in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// When the same request makes sense again: `Retry-After` of the answer, which has no member for it.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// A problem of a code, without details.
    #[must_use]
    pub fn new(code: ProblemCode) -> Self {
        Self {
            kind: format!("https://fnox.dev/problems/{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            code: code.as_str().to_owned(),
            detail: None,
            field: None,
            claim: None,
            key: None,
            next_version: None,
            request_id: None,
            retry_after: None,
        }
    }

    /// Says more.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Names the field.
    #[must_use]
    pub fn at_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Names the claim.
    #[must_use]
    pub fn at_claim(mut self, claim: impl Into<String>) -> Self {
        self.claim = Some(claim.into());
        self
    }

    /// Names the key.
    #[must_use]
    pub fn at_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Says when the same request makes sense again.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Names the number that the next version gets.
    #[must_use]
    pub fn with_next_version(mut self, next: u64) -> Self {
        self.next_version = Some(next);
        self
    }

    /// What went wrong, and more about it: the title and the detail as one text.
    #[must_use]
    pub fn message(&self) -> String {
        let title = self.title.strip_suffix('.').unwrap_or(&self.title);
        let mut letters = title.chars();
        let first = letters.next();
        // A word in capitals stays one.
        let is_word = letters
            .clone()
            .next()
            .is_none_or(|next| !next.is_uppercase());
        let mut text = match first {
            Some(first) if is_word => first.to_lowercase().chain(letters).collect(),
            _ => title.to_owned(),
        };
        if let Some(detail) = &self.detail {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(detail);
        }
        text
    }

    /// The code, if this version knows it.
    #[must_use]
    pub fn known_code(&self) -> Option<ProblemCode> {
        ProblemCode::parse(&self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_has_the_title_and_the_detail() {
        let mut problem = Problem::new(ProblemCode::CodeWrong);
        assert_eq!(problem.message(), "the match code is wrong");
        problem = problem.with_detail("look at the log");
        assert_eq!(
            problem.message(),
            "the match code is wrong: look at the log"
        );
        problem.title = "OIDC is off.".to_owned();
        assert_eq!(problem.message(), "OIDC is off: look at the log");
        problem.title.clear();
        assert_eq!(problem.message(), "look at the log");
    }

    #[test]
    fn each_code_has_its_own_word() {
        let mut words: Vec<&str> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ProblemCode::ALL.len());
        for code in ProblemCode::ALL {
            assert_eq!(ProblemCode::parse(code.as_str()), Some(*code));
        }
    }
}
