//! Values of dotenvx: what its version 1.75.1 wrote with `dotenvx encrypt`, beside the private key.

use fnox_core::SecretString;
use fnox_providers::dotenv;
use fnox_providers::dotenvx::PrivateKeys;

const ENCRYPTED: &str = include_str!("dotenvx/encrypted.env");
const KEYS: &str = include_str!("dotenvx/keys.env");

fn keys() -> PrivateKeys {
    let (_, key) = dotenv::parse(KEYS).unwrap().pop().unwrap();
    PrivateKeys::parse(&key).unwrap()
}

fn value(name: &str) -> String {
    let pairs = dotenv::parse(ENCRYPTED).unwrap();
    let (_, value) = pairs.into_iter().find(|(key, _)| key == name).unwrap();
    value.expose_secret().to_owned()
}

#[test]
fn values_open_as_they_were_before() {
    let keys = keys();
    for (name, wanted) in [
        ("API_KEY", "k-1 with spaces"),
        // Behind the `#` is what dotenvx takes for a comment.
        ("DATABASE_URL", "postgres://shop@db/shop?x=1"),
        ("MULTI", "line one\nline two\n"),
        ("EMPTY", ""),
        ("UNI", "häßlich € 😀"),
        ("DOLLAR", "$HOME `id` \\ x"),
    ] {
        assert_eq!(
            keys.open(&value(name)).unwrap().expose_secret(),
            wanted,
            "{name}"
        );
    }
}

#[test]
fn of_several_keys_the_right_one_opens() {
    let (_, key) = dotenv::parse(KEYS).unwrap().pop().unwrap();
    let several = format!("{}, {}", "11".repeat(32), key.expose_secret());
    let keys = PrivateKeys::parse(&SecretString::from(several)).unwrap();
    assert!(keys.open(&value("API_KEY")).is_some());
}

#[test]
fn what_was_changed_or_is_for_another_key_does_not_open() {
    let other = PrivateKeys::parse(&SecretString::from("11".repeat(32))).unwrap();
    assert!(other.open(&value("API_KEY")).is_none());
    let keys = keys();
    let genuine = value("API_KEY");
    for at in ["encrypted:".len(), 60, 100, 120, genuine.len() - 6] {
        let mut text = genuine.clone().into_bytes();
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        assert!(
            keys.open(&String::from_utf8(text).unwrap()).is_none(),
            "{at}"
        );
    }
    for text in ["", "encrypted:", "encrypted:AAAA", "encrypted:?", "k-1"] {
        assert!(keys.open(text).is_none(), "{text}");
    }
    let short = &genuine[..genuine.len() / 2];
    assert!(keys.open(short).is_none());
}

#[test]
fn what_is_no_key_is_refused_without_being_shown() {
    let zero = "00".repeat(32);
    for text in ["", "hunter2", zero.as_str(), "11,11"] {
        let error = PrivateKeys::parse(&SecretString::from(text))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("64 hexadecimal digits") && !error.contains("hunter2"),
            "{error}"
        );
    }
    assert!(!format!("{:?}", keys()).contains("a2aa5e"));
}
