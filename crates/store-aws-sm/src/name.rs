//! Names of the vault as names of AWS.
//!
//! Secrets Manager takes `A-Z a-z 0-9 / _ + = . @ -`. Every other byte becomes `=` and two hexadecimal digits,
//! and `=` itself `=3D`, as in quoted-printable (RFC 2045, section 6.7). Each name has exactly one such form.

use fnox_core::VaultName;

/// A vault's name as the last part of AWS's. At most three times as long: 384 characters.
pub(crate) fn escape(name: &VaultName) -> String {
    let mut escaped = String::with_capacity(name.as_str().len());
    for byte in name.as_str().bytes() {
        if byte != b'=' && is_allowed(byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('=');
            escaped.push_str(&hex::encode_upper([byte]));
        }
    }
    escaped
}

/// The vault's name, if the text is the escaped form of one.
pub(crate) fn unescape(text: &str) -> Option<VaultName> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'=' {
            let (digits, after) = after.split_at_checked(2)?;
            bytes.extend(hex::decode(digits).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    let name = VaultName::parse(&String::from_utf8(bytes).ok()?).ok()?;
    (escape(&name) == text).then_some(name)
}

/// Whether AWS takes a byte in a name.
pub(crate) fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_escaped_as_little_as_needed() {
        for (name, escaped) in [
            ("github-token", "github-token"),
            ("a/b_c+d.e@f", "a/b_c+d.e@f"),
            ("a=b", "a=3Db"),
            ("a b\u{e4}", "a=20b=C3=A4"),
            ("100%", "100=25"),
        ] {
            let name = VaultName::parse(name).unwrap();
            assert_eq!(escape(&name), escaped);
            assert_eq!(unescape(escaped), Some(name));
        }
    }

    #[test]
    fn a_name_has_one_escaped_form() {
        for other in [
            "=61", "a=2", "a=", "=zz", "=3d", "=00", "=C3", "a b", "", "=20a",
        ] {
            assert_eq!(unescape(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn escaping_is_undone(text in ".{1,40}") {
            if let Ok(name) = VaultName::parse(&text) {
                let escaped = escape(&name);
                prop_assert!(escaped.bytes().all(is_allowed));
                prop_assert!(escaped.len() <= 384);
                prop_assert_eq!(unescape(&escaped), Some(name));
            }
        }
    }
}
