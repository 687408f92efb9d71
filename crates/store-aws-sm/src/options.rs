//! Settings of the store.

use std::sync::Arc;
use std::time::Duration;

use fnox_aws::secrets_manager::Deletion;
use fnox_core::{Clock, SystemClock};

use crate::name::is_allowed;

/// Longest prefix: with `/` and the longest escaped name it fills the 512 characters that AWS takes.
const LONGEST_PREFIX: usize = 127;

/// Where in Secrets Manager, and how.
#[derive(Debug, Clone)]
pub struct AwsSmOptions {
    /// What all names begin with, without the slash that follows it.
    pub prefix: String,
    /// How soon deleted secrets are gone.
    pub deletion: Deletion,
    /// How long a value or a list is not asked for again. Zero: always ask.
    pub cache: Duration,
    /// The KMS key with which AWS encrypts what is sealed already. `None`: the account's default one.
    pub kms_key_id: Option<String>,
    /// What tells how old a cached value is.
    pub clock: Arc<dyn Clock>,
}

impl AwsSmOptions {
    /// The usual settings: 30 days to restore what was deleted, values cached for 30 seconds.
    ///
    /// # Errors
    /// [`InvalidPrefix`].
    pub fn new(prefix: &str) -> Result<Self, InvalidPrefix> {
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let is_valid = (1..=LONGEST_PREFIX).contains(&prefix.len())
            && prefix.bytes().all(is_allowed)
            && !prefix.starts_with('/')
            && !prefix.ends_with('/');
        if !is_valid {
            return Err(InvalidPrefix {
                prefix: prefix.escape_debug().take(LONGEST_PREFIX + 1).collect(),
            });
        }
        Ok(Self {
            prefix: prefix.to_owned(),
            deletion: Deletion::Days(30),
            cache: Duration::from_secs(30),
            kms_key_id: None,
            clock: Arc::new(SystemClock),
        })
    }
}

/// A text cannot be a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPrefix {
    prefix: String,
}

impl std::fmt::Display for InvalidPrefix {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "`{}` cannot be the prefix of names in AWS Secrets Manager: 1 to {LONGEST_PREFIX} characters of \
             A-Z a-z 0-9 / _ + = . @ -, no slash at either end",
            self.prefix
        )
    }
}

impl std::error::Error for InvalidPrefix {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_part_of_a_name() {
        assert_eq!(AwsSmOptions::new("fnox/").unwrap().prefix, "fnox");
        assert_eq!(AwsSmOptions::new("a/b").unwrap().prefix, "a/b");
        let long = "a".repeat(128);
        for bad in [
            "", "/", "//", "/a", "a//", "a b", "a!", "\u{e4}", "a\n", &long,
        ] {
            assert!(AwsSmOptions::new(bad).is_err(), "{bad:?}");
        }
    }
}
