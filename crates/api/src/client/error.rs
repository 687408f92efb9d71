//! Why a call of the server came to nothing.

use std::path::PathBuf;
use std::time::Duration;

use fnox_core::ExitStatus;

use crate::{Problem, ProblemCode};

/// A call came to nothing. No message holds a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server answered, and said why not.
    #[error("{}", said(.0))]
    Problem(Box<Problem>),
    /// The address is not one of a server.
    #[error("`{url}` is not the address of a team server: {reason}")]
    Address {
        /// The address, without what may be a password.
        url: String,
        /// Why not.
        reason: String,
    },
    /// The certificates that are to be trusted cannot be read.
    #[error("the certificates of {} cannot be used: {reason}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// This machine cannot make connections at all.
    #[error("no client can be set up: {reason}")]
    Setup {
        /// Why not.
        reason: String,
    },
    /// No connection, or it broke.
    #[error("the team server at {url} does not answer: {reason}")]
    Unreachable {
        /// The server.
        url: String,
        /// Why not.
        reason: String,
    },
    /// It took too long.
    #[error("the team server at {url} did not answer within {} s", limit.as_secs())]
    TimedOut {
        /// The server.
        url: String,
        /// How long it had.
        limit: Duration,
    },
    /// The answer is not one of a team server.
    #[error(
        "what answers at {url} is no team server, or one that this version does not understand: {reason}"
    )]
    NotAServer {
        /// The server.
        url: String,
        /// The status of the answer.
        status: u16,
        /// What is wrong with it.
        reason: String,
    },
    /// The answer is larger than any may be.
    #[error("the answer of the team server at {url} is larger than {limit} bytes")]
    TooLarge {
        /// The server.
        url: String,
        /// The most that is read.
        limit: usize,
    },
}

impl ClientError {
    /// The problem document, if the server sent one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// The problem's code, if the server sent one that this version knows.
    #[must_use]
    pub fn code(&self) -> Option<ProblemCode> {
        self.problem().and_then(Problem::known_code)
    }

    /// What a command that ends with this error tells a script.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Problem(problem) => status_of(problem),
            Self::Address { .. } | Self::Certificates { .. } => ExitStatus::Configuration,
            // These and failures come from what stands before a server too, and pass.
            Self::NotAServer { status, .. }
                if *status < 500 && ![408, 425, 429].contains(status) =>
            {
                ExitStatus::Configuration
            }
            Self::Setup { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::NotAServer { .. }
            | Self::TooLarge { .. } => ExitStatus::Unavailable,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        use ProblemCode as Code;
        match self {
            Self::Problem(_) => match self.code()? {
                Code::Unauthenticated | Code::TokenInvalid => {
                    Some("log in with `fnox login`, or let the CI issue a new token")
                }
                Code::OidcInvalid => Some(
                    "compare the token's issuer and audience with `[[issuer]]` of the server's `server.toml`",
                ),
                Code::TokenReplayed => {
                    Some("let the CI issue another, or declare one for each call of fnox")
                }
                Code::PolicyDenied => Some(
                    "whoever runs the server finds out why: `fnox serve policy test --claims FILE`",
                ),
                Code::RecipientMissing => {
                    Some("whoever can read the secret adds the recipient: `fnox secret rekey KEY`")
                }
                Code::ApprovalChanged => Some("ask again, so that a person sees what it is now"),
                Code::GrantUsed => Some(
                    "if it was not you, tell whoever runs the server: somebody else has the grant",
                ),
                Code::VersionMismatch => Some("read the secret again before you store it"),
                _ => None,
            },
            Self::Address { .. } | Self::NotAServer { .. } => {
                Some("check `server_url`, `FNOX_SERVER_URL` or the provider's `url`")
            }
            Self::Certificates { .. } => Some("the file holds certificates in PEM"),
            Self::Unreachable { .. } | Self::TimedOut { .. } => {
                Some("check the address, the network and whether `fnox serve` runs")
            }
            Self::Setup { .. } | Self::TooLarge { .. } => None,
        }
    }
}

fn said(problem: &Problem) -> String {
    // What a server says goes to a terminal.
    let mut shown: String = problem
        .message()
        .chars()
        .take(1000)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if let Some(claim) = &problem.claim
        && !shown.contains(claim.as_str())
    {
        shown.push_str(" (claim ");
        shown.extend(claim.chars().take(100).filter(|c| !c.is_control()));
        shown.push(')');
    }
    shown
}

fn status_of(problem: &Problem) -> ExitStatus {
    use ProblemCode as Code;
    let Some(code) = problem.known_code() else {
        return match problem.status {
            401 => ExitStatus::AuthenticationNeeded,
            403 => ExitStatus::Denied,
            404 => ExitStatus::SecretMissing,
            429 | 500.. => ExitStatus::Unavailable,
            _ => ExitStatus::Failure,
        };
    };
    match code {
        Code::Unauthenticated | Code::TokenInvalid | Code::OidcInvalid | Code::TokenReplayed => {
            ExitStatus::AuthenticationNeeded
        }
        Code::PolicyDenied
        | Code::RoleMissing
        | Code::SelfApproval
        | Code::CodeWrong
        | Code::RecipientMissing
        | Code::ApprovalDecided
        | Code::ApprovalNotApproved
        | Code::ApprovalChanged
        | Code::ApprovalNeeded
        | Code::GrantUsed
        | Code::GrantExpired
        | Code::QuietTime => ExitStatus::Denied,
        Code::NotFound => ExitStatus::SecretMissing,
        Code::InvalidRequest => ExitStatus::Configuration,
        Code::TooManyPending
        | Code::RateLimited
        | Code::Internal
        | Code::Frozen
        | Code::StoreUnavailable
        | Code::IssuerUnavailable
        | Code::Timeout => ExitStatus::Unavailable,
        Code::CodeMissing
        | Code::NonceInvalid
        | Code::MethodNotAllowed
        | Code::Exists
        | Code::VersionMismatch
        | Code::TooLarge
        | Code::UnsupportedMediaType => ExitStatus::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_exit_status() {
        let table: Vec<(&str, u8)> = ProblemCode::ALL
            .iter()
            .map(|code| (code.as_str(), status_of(&Problem::new(*code)).code()))
            .collect();
        for (words, status) in [
            (
                &[
                    "unauthenticated",
                    "token_invalid",
                    "oidc_invalid",
                    "token_replayed",
                ][..],
                4,
            ),
            (
                &[
                    "policy_denied",
                    "grant_used",
                    "approval_changed",
                    "quiet_time",
                ][..],
                7,
            ),
            (&["not_found"][..], 5),
            (
                &["frozen", "store_unavailable", "rate_limited", "timeout"][..],
                6,
            ),
            (&["invalid_request"][..], 3),
            (&["exists", "version_mismatch"][..], 1),
        ] {
            for word in words {
                assert!(table.contains(&(*word, status)), "{word}");
            }
        }
    }

    #[test]
    fn a_code_of_a_newer_server_is_told_by_its_status() {
        let mut problem = Problem::new(ProblemCode::PolicyDenied);
        problem.code = "brand_new".to_owned();
        assert_eq!(status_of(&problem), ExitStatus::Denied);
        problem.status = 503;
        assert_eq!(status_of(&problem), ExitStatus::Unavailable);
    }

    #[test]
    fn what_a_server_says_cannot_move_the_cursor() {
        let problem = Problem::new(ProblemCode::PolicyDenied)
            .with_detail("no\u{1b}[2J\nyes")
            .at_claim("ref");
        let text = ClientError::Problem(Box::new(problem)).to_string();
        assert_eq!(text, "the policy does not allow it: no [2J yes (claim ref)");
    }
}
