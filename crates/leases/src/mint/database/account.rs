//! Names and passwords of the users that are made.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fnox_core::SecretString;
use rand::RngCore as _;
use zeroize::Zeroizing;

/// How many hexadecimal digits of an id become the end of a name.
pub(super) const ID_LENGTH: usize = 16;

/// A user of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    /// Its name: letters, digits and `_` alone.
    pub(super) name: String,
    /// The hosts from which it may connect. Empty where the server does not tell users apart by that.
    pub(super) host: String,
}

impl Account {
    /// The handle by which the user is found again.
    pub(super) fn id(&self) -> String {
        if self.host.is_empty() {
            self.name.clone()
        } else {
            format!("{}@{}", self.name, self.host)
        }
    }

    /// The user of a handle; `None` if it is none that fnox made.
    pub(super) fn of_id(id: &str) -> Option<Self> {
        let (name, host) = id.split_once('@').unwrap_or((id, ""));
        (is_plain(name) && host.chars().all(is_host_character)).then(|| Self {
            name: name.to_owned(),
            host: host.to_owned(),
        })
    }
}

/// The part of an id with which a name ends. `None` for an id that has not enough random bits: names of other users could
/// end with it.
pub(super) fn short_id(provisional_id: &str) -> Option<&str> {
    let (_, id) = provisional_id.rsplit_once('-')?;
    let is_random = id.len() >= ID_LENGTH && id.chars().all(|c| c.is_ascii_hexdigit());
    is_random.then(|| id.get(..ID_LENGTH).unwrap_or(id))
}

/// Whether a name needs no escaping in any statement.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Whether a character may stand in the host part of a MySQL account: names, addresses, networks, wildcards.
pub(super) fn is_host_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "._-:%/".contains(character)
}

/// A password of 256 random bits, of characters that need no escaping anywhere.
pub(super) fn random_password() -> SecretString {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    rand::rng().fill_bytes(bytes.as_mut_slice());
    SecretString::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_account_again() {
        for (name, host) in [("fnox_0a", ""), ("fnox_0a", "10.0.%"), ("x", "::1")] {
            let account = Account {
                name: name.to_owned(),
                host: host.to_owned(),
            };
            assert_eq!(Account::of_id(&account.id()), Some(account));
        }
        for wrong in ["", "a'b", "a\"b", "A", "a@b'c", "a b", "a@b c"] {
            assert_eq!(Account::of_id(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_short_id_has_64_random_bits_or_is_none() {
        assert_eq!(
            short_id("database-0123456789abcdef01"),
            Some("0123456789abcdef")
        );
        for wrong in [
            "",
            "database-",
            "database-…",
            "database-0123456789abcde",
            "0123456789abcdef",
            "database-0123456789abcde_",
        ] {
            assert_eq!(short_id(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn passwords_are_long_plain_and_never_the_same() {
        let (one, other) = (random_password(), random_password());
        assert_ne!(one, other);
        assert_eq!(one.len(), 43);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(one.expose_secret().chars().all(plain));
    }
}
