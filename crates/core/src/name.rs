//! Names of secrets, profiles, providers and leases, each its own type.
//!
//! A [`SecretName`] becomes an environment variable, a shell line and a dotenv line, so its grammar is
//! strict; that keeps a hostile configuration from smuggling shell code through a name.
//!
//! Copies of a name share its text, so that a table of many leases holds each name once.

use std::fmt;
use std::sync::Arc;

use crate::shown;

/// More characters of a text are not in a message: no name is longer.
const LONGEST_SHOWN: usize = 160;

/// Why a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Secret names become environment variables.
    #[error(
        "`{name}` cannot be an environment variable: use letters, digits and `_`, not starting with a digit"
    )]
    Secret {
        /// The text as given, control characters escaped.
        name: String,
    },
    /// Profile names become parts of file names.
    #[error(
        "`{name}` is not a profile name: it must not be empty, `.`, `..`, or contain `/`, `\\`, `,` or control characters"
    )]
    Profile {
        /// The text as given, control characters escaped.
        name: String,
    },
    /// Names of projects stand in addresses of a team server.
    #[error(
        "`{name}` is not a project name: use 1 to 100 letters, digits, `.`, `_` and `-`, beginning with a letter or digit"
    )]
    Project {
        /// The text as given, control characters escaped.
        name: String,
    },
    /// Agents' ids and names in a vault appear in messages, policies and audit records.
    #[error(
        "`{name}` is not a name that a vault takes: use 1 to 128 bytes without control characters, and no space at either end"
    )]
    Vault {
        /// The text as given, control characters escaped.
        name: String,
    },
    /// Provider and lease names appear in messages and ledger records.
    #[error("`{name}` is not a name: it must not be empty or contain control characters")]
    Plain {
        /// The text as given, control characters escaped.
        name: String,
    },
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $valid:path, $error:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks a text against the grammar of this kind of name.
            ///
            /// # Errors
            /// [`InvalidName`] with the text, control characters escaped.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                if $valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidName::$error { name: shown(text, LONGEST_SHOWN) })
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::parse(text)
            }
        }
    };
}

name_type!(
    /// The name of a secret: `[A-Za-z_][A-Za-z0-9_]*`, because it becomes an environment variable.
    SecretName,
    is_variable_name,
    Secret
);
name_type!(
    /// The name of a profile, for example `production`.
    ProfileName,
    is_profile_name,
    Profile
);
name_type!(
    /// The name of a project on a team server, for example `my-app`. Compared byte for byte.
    ProjectName,
    is_project_name,
    Project
);
name_type!(
    /// The name under which a provider is configured, for example `op`.
    ProviderName,
    is_plain_name,
    Plain
);
name_type!(
    /// The name under which a lease is configured, for example `aws`.
    LeaseName,
    is_plain_name,
    Plain
);

name_type!(
    /// Who a lease of a vault is for, for example `coder-1`. Compared byte for byte.
    AgentId,
    is_vault_name,
    Vault
);
name_type!(
    /// The name under which a vault keeps a secret, for example `github-token`. Compared byte for byte.
    VaultName,
    is_vault_name,
    Vault
);

/// Whether a text can be the name of an environment variable in every shell.
#[must_use]
pub fn is_variable_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_profile_name(text: &str) -> bool {
    !text.is_empty()
        && text != "."
        && text != ".."
        && !text
            .chars()
            .any(|c| matches!(c, '/' | '\\' | ',') || c.is_control())
}

fn is_project_name(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_vault_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.trim() == text && !text.chars().any(char::is_control)
}

fn is_plain_name(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_names_are_environment_variables() {
        for good in ["A", "_", "_x9", "AWS_ACCESS_KEY_ID", "lower_case"] {
            assert!(SecretName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "9A", "A-B", "A B", "A=B", "A\nB", "Ä", "A$(id)"] {
            assert!(SecretName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_invalid_name_is_shown_escaped() {
        let error = SecretName::parse("A\nB").unwrap_err();
        assert!(
            error.to_string().starts_with("`A\\nB` cannot be"),
            "{error}"
        );
    }

    #[test]
    fn names_in_a_vault_are_short_and_visible() {
        assert!(AgentId::parse("ci-42/Ä b").is_ok());
        let long = "x".repeat(129);
        for bad in ["", " a", "a ", "a\nb", "a\u{7}", &long] {
            assert!(VaultName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(
            VaultName::parse(&"x".repeat(100_000))
                .unwrap_err()
                .to_string()
                .len()
                < 400
        );
    }

    #[test]
    fn project_names_are_one_part_of_an_address() {
        for good in ["my-app", "A", "0.x_y"] {
            assert!(ProjectName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "-a",
            "a/b",
            "a b",
            "ä",
            "a%2f",
            &"x".repeat(101),
        ] {
            assert!(ProjectName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn profile_names_cannot_leave_the_folder() {
        for bad in ["", ".", "..", "a/b", "a\\b", "a,b", "a\0"] {
            assert!(ProfileName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(ProfileName::parse("pre-prod.eu").is_ok());
    }
}
