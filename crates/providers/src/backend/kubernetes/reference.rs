//! `secret`, `secret/key` and `namespace/secret/key`.

use crate::error::ProviderError;

/// Which Secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) namespace: String,
    pub(super) secret: String,
}

/// What one value is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) place: Place,
    pub(super) key: Option<String>,
}

impl Reference {
    pub(super) fn parse(text: &str, prefix: &str, namespace: &str) -> Result<Self, ProviderError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (namespace, secret, key) = match parts.as_slice() {
            [secret] => (namespace, *secret, None),
            [secret, key] => (namespace, *secret, Some(*key)),
            [namespace, secret, key] => (*namespace, *secret, Some(*key)),
            _ => return Err(unusable(text)),
        };
        let secret = format!("{prefix}{secret}");
        let is_good = is_name(namespace) && is_name(&secret) && key.is_none_or(is_key);
        if !is_good {
            return Err(unusable(text));
        }
        Ok(Self {
            place: Place {
                namespace: namespace.to_owned(),
                secret,
            },
            key: key.map(str::to_owned),
        })
    }
}

fn unusable(text: &str) -> ProviderError {
    ProviderError::misconfigured(format!(
        "`{}` is not `secret`, `secret/key` or `namespace/secret/key`",
        text.escape_debug()
    ))
    .with_remedy(
        "names of namespaces and Secrets have lower-case letters, digits, `-` and `.`; keys also upper-case letters and `_`",
    )
}

/// A DNS subdomain ("Object Names and IDs").
fn is_name(name: &str) -> bool {
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let is_edge = |c: char| c.is_ascii_alphanumeric();
    name.len() <= 253
        && name.chars().all(is_good)
        && name.starts_with(is_edge)
        && name.ends_with(is_edge)
}

/// "The keys of `data` … must consist of alphanumeric characters, `-`, `_` or `.`."
fn is_key(key: &str) -> bool {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !key.is_empty() && key.len() <= 253 && key.chars().all(is_good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_secret_perhaps_a_key_and_perhaps_a_namespace() {
        let parsed = |text: &str| {
            let reference = Reference::parse(text, "p-", "apps").unwrap();
            let Place { namespace, secret } = reference.place;
            (namespace, secret, reference.key)
        };
        let wanted = |namespace: &str, key: Option<&str>| {
            (
                namespace.to_owned(),
                "p-db".to_owned(),
                key.map(str::to_owned),
            )
        };
        assert_eq!(parsed("db"), wanted("apps", None));
        assert_eq!(parsed("db/tls.crt"), wanted("apps", Some("tls.crt")));
        assert_eq!(parsed("prod/db/URL_1"), wanted("prod", Some("URL_1")));
        for wrong in [
            "", "/", "db/", "/db", "a/b/c/d", "../x", "Db", "db/a b", "a_b/db/k", "db/k?",
        ] {
            assert!(Reference::parse(wrong, "", "apps").is_err(), "{wrong}");
        }
    }
}
