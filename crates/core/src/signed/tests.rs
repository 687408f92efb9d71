//! Signed values: what opens and what does not.

use proptest::prelude::*;

use super::*;
use crate::SecretString;

const PLACE: SignedPlace<'_> = SignedPlace {
    project: "my-app",
    profile: "default",
    key: "NPM_TOKEN",
};

fn writer() -> WriterKey {
    WriterKey::parse(&WRITER.into()).unwrap()
}

fn value(bytes: &[u8]) -> SecretBytes {
    SecretBytes::new(bytes.to_vec())
}

fn time() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

/// The seed is 32 bytes of 7.
const WRITER: &str = "fxws_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcSF8zkr";
/// Made by another implementation of RFC 8032, RFC 4648 and the form that the module describes.
const KNOWN: &str = "fnox-signed-v1\n{\"project\":\"my-app\",\"profile\":\"default\",\"key\":\"NPM_TOKEN\",\"version\":7,\"created_at\":\"2026-01-02T03:04:05Z\",\"writer\":\"fxwp_6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iwj1evAD\"}\ntnqditvXv2eRPU02ZOIXDW5pxcm14s5ReZoFNJyjs3a3PvsLlpbvTTNryn67oELN_18QB8EU47LwPDn5fj1ODQ\nhunter2\n";

#[test]
fn the_known_answer_is_still_written_and_read() {
    let sealed = seal(&writer(), PLACE, 7, time(), &value(b"hunter2\n")).unwrap();
    assert_eq!(std::str::from_utf8(sealed.expose_secret()).unwrap(), KNOWN);
    let (opened, said) = open(&value(KNOWN.as_bytes()), PLACE, &[writer().public()], 7).unwrap();
    assert_eq!(opened.expose_secret(), b"hunter2\n");
    assert_eq!(said.version, 7);
    assert_eq!(said.created_at, time());
}

#[test]
fn no_byte_can_be_changed_or_left_out() {
    let sealed = seal(&writer(), PLACE, 7, time(), &value(b"hunter2")).unwrap();
    let whole = sealed.expose_secret();
    let writers = [writer().public()];
    for index in 0..whole.len() {
        for bit in [1_u8, 0x20, 0x80] {
            let mut changed = whole.to_vec();
            changed[index] ^= bit;
            assert!(
                open(&value(&changed), PLACE, &writers, 0).is_err(),
                "byte {index}, bit {bit:x}"
            );
        }
        let mut shorter = whole.to_vec();
        shorter.remove(index);
        assert!(
            open(&value(&shorter), PLACE, &writers, 0).is_err(),
            "without byte {index}"
        );
        assert!(
            open(&value(&whole[..index]), PLACE, &writers, 0).is_err(),
            "first {index}"
        );
    }
    let longer = [whole, b"x"].concat();
    assert!(matches!(
        open(&value(&longer), PLACE, &writers, 0),
        Err(SignedError::BadSignature { .. })
    ));
}

#[test]
fn a_value_opens_only_where_it_belongs() {
    let sealed = seal(&writer(), PLACE, 7, time(), &value(b"v")).unwrap();
    let elsewhere = [
        (
            "project",
            SignedPlace {
                project: "other",
                ..PLACE
            },
        ),
        (
            "profile",
            SignedPlace {
                profile: "production",
                ..PLACE
            },
        ),
        (
            "key",
            SignedPlace {
                key: "AWS_KEY",
                ..PLACE
            },
        ),
    ];
    for (wanted, place) in elsewhere {
        match open(&sealed, place, &[writer().public()], 0) {
            Err(SignedError::WrongPlace { field, .. }) => assert_eq!(field, wanted),
            outcome => panic!("{wanted}: {outcome:?}"),
        }
    }
}

#[test]
fn an_older_version_is_refused_and_the_same_is_not() {
    let sealed = seal(&writer(), PLACE, 7, time(), &value(b"v")).unwrap();
    let writers = [writer().public()];
    assert!(open(&sealed, PLACE, &writers, 7).is_ok());
    assert_eq!(
        open(&sealed, PLACE, &writers, 8).unwrap_err(),
        SignedError::RolledBack {
            found: 7,
            minimum: 8
        }
    );
}

#[test]
fn who_is_not_pinned_is_no_writer() {
    let other = WriterKey::generate().unwrap();
    let sealed = seal(&other, PLACE, 7, time(), &value(b"v")).unwrap();
    for writers in [vec![], vec![writer().public()]] {
        assert_eq!(
            open(&sealed, PLACE, &writers, 0).unwrap_err(),
            SignedError::UnknownWriter {
                writer: other.public()
            }
        );
    }
    // A header that names a pinned writer does not help without that writer's key.
    let text = std::str::from_utf8(sealed.expose_secret()).unwrap();
    let forged = text.replace(&other.public().to_string(), &writer().public().to_string());
    assert!(matches!(
        open(&value(forged.as_bytes()), PLACE, &[writer().public()], 0),
        Err(SignedError::BadSignature { .. })
    ));
    assert!(open(&sealed, PLACE, &[writer().public(), other.public()], 0).is_ok());
}

#[test]
fn a_plain_value_is_not_a_signed_one() {
    let writers = [writer().public()];
    for plain in [
        &b""[..],
        b"hunter2",
        b"fnox-signed-v1",
        b"fnox-signed-v2\n{}",
    ] {
        assert!(!is_signed(plain));
        assert_eq!(
            open(&value(plain), PLACE, &writers, 0).unwrap_err(),
            SignedError::NotSigned
        );
    }
    let endless = [FIRST_LINE, &vec![b'x'; HEADER_LIMIT + 9][..], b"\n"].concat();
    for damaged in [&b"fnox-signed-v1\n"[..], b"fnox-signed-v1\n{}\n", &endless] {
        assert!(is_signed(damaged));
        assert!(matches!(
            open(&value(damaged), PLACE, &writers, 0),
            Err(SignedError::Malformed { .. })
        ));
    }
}

#[test]
fn keys_read_back_and_a_mistyped_one_does_not() {
    let key = WriterKey::generate().unwrap();
    let secret = key.to_secret();
    assert_eq!(WriterKey::parse(&secret).unwrap().public(), key.public());
    assert!(!format!("{key:?}").contains(&secret.expose_secret()[5..]));
    let public = key.public().to_string();
    assert_eq!(public.parse::<WriterPublicKey>().unwrap(), key.public());
    assert_eq!(
        secret.expose_secret().parse::<WriterPublicKey>(),
        Err(InvalidWriterKey::SecretGiven)
    );
    for index in 0..public.len() {
        let mut changed = public.clone().into_bytes();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(changed.parse::<WriterPublicKey>().is_err(), "{index}");
    }
    assert!(WriterKey::parse(&SecretString::from(public)).is_err());
}

#[test]
fn a_key_under_which_anything_verifies_is_refused() {
    let mut identity = [0_u8; 32];
    identity[0] = 1;
    for weak in [[0_u8; 32], identity] {
        let body = URL_SAFE_NO_PAD.encode(weak);
        let text = format!("fxwp_{body}{}", crate::token::checksum("fxwp_", &body));
        assert!(text.parse::<WriterPublicKey>().is_err());
    }
}

proptest! {
    #[test]
    fn every_value_comes_back_exactly(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        project in ".{0,40}", profile in ".{0,40}", key in ".{0,40}",
        version in any::<u64>(), seconds in 0_i64..4_000_000_000,
    ) {
        let place = SignedPlace { project: &project, profile: &profile, key: &key };
        let now = Timestamp::from_second(seconds).unwrap();
        let sealed = seal(&writer(), place, version, now, &value(&bytes)).unwrap();
        let (opened, said) = open(&sealed, place, &[writer().public()], version).unwrap();
        prop_assert_eq!(opened.expose_secret(), bytes.as_slice());
        prop_assert_eq!((said.version, said.created_at), (version, now));
        prop_assert_eq!((said.project, said.profile, said.key), (project.clone(), profile.clone(), key.clone()));
    }

    #[test]
    fn any_bytes_are_read_without_a_crash(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let framed = [FIRST_LINE, &bytes].concat();
        for bytes in [bytes, framed] {
            let opened = open(&value(&bytes), PLACE, &[writer().public()], 0);
            prop_assert!(opened.is_err());
        }
    }
}
