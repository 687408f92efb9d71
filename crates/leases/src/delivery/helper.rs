//! The answers of helpers that other programs call: pure functions from a credential and a question to a text.
//!
//! Each protocol has its file, which names its document. Questions are read strictly, and none of them is repeated in
//! an error. A helper that cannot answer says so in the words of the protocol, in a way that keeps the caller from going
//! on to a longer-lived credential where the protocol has such a way.

pub mod aws;
pub mod docker;
pub mod gcp;
pub mod kubernetes;

pub use fnox_core::git_credential as git;
use fnox_core::{Host, LeaseName, SecretString};

use crate::manager::Held;

/// A credential cannot be said in a helper's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the credential of lease `{lease}` {reason}")]
pub struct Unsuitable {
    /// The lease.
    pub lease: LeaseName,
    /// What is wrong with it.
    pub reason: String,
}

impl Unsuitable {
    fn new(held: &Held, reason: impl Into<String>) -> Self {
        Self {
            lease: held.lease.clone(),
            reason: reason.into(),
        }
    }
}

/// The token among a credential's variables: the one that is named, or the only one.
///
/// # Errors
/// [`Unsuitable`] if it is not there, or if there are several and none was named.
pub fn token<'a>(held: &'a Held, variable: Option<&str>) -> Result<&'a SecretString, Unsuitable> {
    let names = || {
        let variables = held.credential.variables.iter();
        let names: Vec<&str> = variables.map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    };
    match (variable, held.credential.variables.as_slice()) {
        (Some(variable), _) => held.credential.variable(variable).ok_or_else(|| {
            Unsuitable::new(
                held,
                format!("has no variable `{variable}`, only {}", names()),
            )
        }),
        (None, [(_, token)]) => Ok(token),
        (None, []) => Err(Unsuitable::new(held, "has no variables")),
        (None, _) => Err(Unsuitable::new(
            held,
            format!("has several variables ({}), and none was named", names()),
        )),
    }
}

/// Whether two hosts are the same one over HTTPS, where port 443 may be left out (RFC 9110 section 4.2.2).
#[must_use]
pub fn is_same_over_https(one: &Host, other: &Host) -> bool {
    one.name() == other.name() && one.port().unwrap_or(443) == other.port().unwrap_or(443)
}

#[cfg(test)]
mod tests {
    use fnox_core::Credential;

    use super::*;

    pub(super) fn held(variables: &[(&str, &str)], expires_at: Option<&str>) -> Held {
        Held {
            lease: "l".parse().unwrap(),
            credential: Credential {
                variables: variables
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)))
                    .collect(),
                expires_at: expires_at.map(|end| end.parse().unwrap()),
                id: "id".to_owned(),
                private: Vec::new(),
            },
            created_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            withhold: Vec::new(),
        }
    }

    #[test]
    fn the_only_variable_need_not_be_named() {
        let one = held(&[("A", "1")], None);
        assert_eq!(token(&one, None).unwrap().expose_secret(), "1");
        assert!(
            token(&one, Some("B"))
                .unwrap_err()
                .to_string()
                .contains("only A")
        );
        let two = held(&[("A", "1"), ("B", "2")], None);
        assert_eq!(token(&two, Some("B")).unwrap().expose_secret(), "2");
        let error = token(&two, None).unwrap_err().to_string();
        assert!(error.contains("A, B") && !error.contains('1'), "{error}");
        assert!(token(&held(&[], None), None).is_err());
    }

    #[test]
    fn the_usual_port_may_be_left_out() {
        let same = |one: &str, other: &str| {
            is_same_over_https(&Host::parse(one).unwrap(), &Host::parse(other).unwrap())
        };
        assert!(same("a.example", "A.example:443") && same("[::1]:8443", "[::1]:8443"));
        assert!(!same("a.example", "a.example:80") && !same("a.example", "b.a.example"));
    }
}
