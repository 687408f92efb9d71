//! Naming a key source in one word.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a vault's wrapping key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySourceSpec {
    /// `env:VAR`: 64 hex digits in a variable.
    Env(String),
    /// `file:PATH`: a file, made on first use.
    File(PathBuf),
    /// `keychain:SERVICE/ACCOUNT`: an entry of the desktop's keychain.
    Keychain {
        /// The entry's service.
        service: String,
        /// The entry's account.
        account: String,
    },
    /// `kms:KEY_ID`: a data key of AWS KMS.
    Kms(String),
}

impl FromStr for KeySourceSpec {
    type Err = InvalidKeySource;

    fn from_str(text: &str) -> Result<Self, InvalidKeySource> {
        // Who gives the key itself by mistake must not find it in a log.
        let is_named = ["env:", "file:", "keychain:", "kms:"]
            .iter()
            .any(|kind| text.starts_with(kind));
        let fail = |problem| InvalidKeySource {
            text: if is_named {
                text.escape_debug().take(200).collect()
            } else {
                format!("({} characters)", text.chars().count())
            },
            problem,
        };
        if text.chars().any(char::is_control) {
            return Err(fail("it contains control characters"));
        }
        match text.split_once(':') {
            Some(("env", name)) if is_variable(name) => Ok(Self::Env(name.to_owned())),
            Some(("env", _)) => Err(fail("`env:` is followed by the name of a variable")),
            Some(("file", "")) => Err(fail("`file:` is followed by a path")),
            Some(("file", path)) => Ok(Self::File(PathBuf::from(path))),
            Some(("keychain", entry)) => match entry.split_once('/') {
                Some((service, account)) if !service.is_empty() && !account.is_empty() => {
                    Ok(Self::Keychain {
                        service: service.to_owned(),
                        account: account.to_owned(),
                    })
                }
                _ => Err(fail("`keychain:` is followed by SERVICE/ACCOUNT")),
            },
            Some(("kms", "")) => Err(fail("`kms:` is followed by a key id, an alias or an ARN")),
            Some(("kms", id)) => Ok(Self::Kms(id.to_owned())),
            _ => Err(fail("it begins with none of env:, file:, keychain:, kms:")),
        }
    }
}

fn is_variable(name: &str) -> bool {
    fnox_core::name::is_variable_name(name)
}

impl fmt::Display for KeySourceSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(formatter, "env:{name}"),
            Self::File(path) => write!(formatter, "file:{}", path.display()),
            Self::Keychain { service, account } => {
                write!(formatter, "keychain:{service}/{account}")
            }
            Self::Kms(id) => write!(formatter, "kms:{id}"),
        }
    }
}

/// A text names no key source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a key source: {problem}")]
pub struct InvalidKeySource {
    /// The text, or only its length if it does not begin as a source: it may be a key.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_in_one_word() {
        for text in [
            "env:KEY",
            "file:/etc/fnox/vault.key",
            "keychain:fnox/vault",
            "kms:alias/fnox",
            "kms:arn:aws:kms:eu-west-1:1:key/2",
        ] {
            assert_eq!(text.parse::<KeySourceSpec>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "key",
            "env:",
            "env:A B",
            "file:",
            "keychain:fnox",
            "keychain:/x",
            "kms:",
            "vault:x",
            "file:a\nb",
        ] {
            assert!(text.parse::<KeySourceSpec>().is_err(), "{text:?}");
            let key = "5a".repeat(32);
            let error = key.parse::<KeySourceSpec>().unwrap_err().to_string();
            assert!(!error.contains(&key), "{error}");
        }
    }
}
