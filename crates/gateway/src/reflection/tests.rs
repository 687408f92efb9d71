//! What comes out: never a value, always the same, and everything else as it was.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use fnox_core::{SecretBytes, SecretString};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

const TOKEN: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
const PLACEHOLDER: &str = "ghp_pLaCeHoLdErpLaCeHoLdErpLaCeHoLdEr000";

fn table() -> Table {
    Table::builder()
        .replace(&SecretString::from(TOKEN), PLACEHOLDER)
        .build()
}

fn scrub_all(table: &Table, text: &[u8]) -> Vec<u8> {
    scrub_pieces(table, text, &[])
}

fn scrub_pieces(table: &Table, text: &[u8], ends: &[usize]) -> Vec<u8> {
    let mut scrubber = Scrubber::new(table);
    let mut out = Vec::new();
    let mut start = 0;
    for end in ends.iter().copied().chain([text.len()]) {
        out.extend(scrubber.push(&Bytes::copy_from_slice(&text[start..end])));
        start = end;
    }
    out.extend(scrubber.finish());
    out
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// How a value may come back.
#[derive(Debug, Clone, Copy)]
enum Encoding {
    Plain,
    HexLower,
    HexUpper,
    Base64,
    Base64Url,
    /// Everything but unreserved characters.
    Percent,
    /// Every byte whose bit is set.
    PercentMixed(u64),
    Json,
    JsonMixed(u64),
    JsonTwice,
    /// Base64 whose `+`, `/` and `=` are percent-encoded.
    Base64InUrl,
}

impl Encoding {
    fn encode(self, bytes: &[u8]) -> String {
        let chosen = |mask: u64, at: usize| mask >> (at % 64) & 1 == 1;
        let text = || String::from_utf8(bytes.to_vec()).unwrap();
        match self {
            Self::Plain => text(),
            Self::HexLower => hex::encode(bytes),
            Self::HexUpper => hex::encode_upper(bytes),
            Self::Base64 => STANDARD.encode(bytes),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
            Self::Base64InUrl => Self::Percent.encode(STANDARD.encode(bytes).as_bytes()),
            Self::Percent => url_encode(bytes, |_, byte| {
                !(byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
            }),
            Self::PercentMixed(mask) => {
                url_encode(bytes, |at, byte| byte == b'%' || chosen(mask, at))
            }
            Self::Json => serde_json::to_string(&text()).unwrap(),
            Self::JsonTwice => serde_json::to_string(&Self::Json.encode(bytes)).unwrap(),
            Self::JsonMixed(mask) => {
                let mut out = String::from("\"");
                for (at, character) in text().chars().enumerate() {
                    if chosen(mask, at) && character.is_ascii() {
                        write!(out, "\\u{:04x}", u32::from(character)).unwrap();
                    } else {
                        let one = serde_json::to_string(&character).unwrap();
                        out += &one[1..one.len() - 1];
                    }
                }
                out + "\""
            }
        }
    }

    fn decode(self, text: &[u8]) -> Vec<u8> {
        let text = std::str::from_utf8(text).unwrap();
        let json = |text: &str| serde_json::from_str::<String>(text).unwrap();
        match self {
            Self::Plain => text.as_bytes().to_vec(),
            Self::HexLower | Self::HexUpper => hex::decode(text).unwrap(),
            Self::Base64 => STANDARD.decode(text).unwrap(),
            Self::Base64Url => URL_SAFE_NO_PAD.decode(text).unwrap(),
            Self::Base64InUrl => STANDARD.decode(url_decode(text)).unwrap(),
            Self::Percent | Self::PercentMixed(_) => url_decode(text),
            Self::Json | Self::JsonMixed(_) => json(text).into_bytes(),
            Self::JsonTwice => json(&json(text)).into_bytes(),
        }
    }
}

fn url_encode(bytes: &[u8], is_encoded: impl Fn(usize, u8) -> bool) -> String {
    let one = |(at, byte): (usize, &u8)| match is_encoded(at, *byte) || !byte.is_ascii() {
        true if at % 2 == 0 => format!("%{byte:02x}"),
        true => format!("%{byte:02X}"),
        false => char::from(*byte).to_string(),
    };
    bytes.iter().enumerate().map(one).collect()
}

fn url_decode(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut out = Vec::new();
    while let Some((byte, after)) = rest.split_first() {
        if *byte == b'%' {
            let digits = std::str::from_utf8(&after[..2]).unwrap();
            out.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &after[2..];
        } else {
            out.push(*byte);
            rest = after;
        }
    }
    out
}

fn encodings() -> impl Strategy<Value = Encoding> {
    prop_oneof![
        select(vec![
            Encoding::Plain,
            Encoding::HexLower,
            Encoding::HexUpper,
            Encoding::Base64,
            Encoding::Base64Url,
            Encoding::Percent,
            Encoding::Json,
            Encoding::JsonTwice,
            Encoding::Base64InUrl,
        ]),
        any::<u64>().prop_map(Encoding::PercentMixed),
        any::<u64>().prop_map(Encoding::JsonMixed),
    ]
}

/// Tokens, passwords, keys with line ends, and passwords of people who like their language.
fn values() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9_-]{8,60}",
        "[A-Za-z0-9+/]{8,60}={0,2}",
        "[ -~]{8,40}",
        "-----BEGIN KEY-----\n([A-Za-z0-9+/]{20}\n){1,6}-----END KEY-----\n",
        "[ -~äöéß\u{20ac}\u{1f511}]{8,30}",
    ]
}

fn ends(places: &[Index], length: usize) -> Vec<usize> {
    let mut ends: Vec<_> = places.iter().map(|place| place.index(length + 1)).collect();
    ends.sort_unstable();
    ends
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_value_in_any_encoding_becomes_its_placeholder_in_that_encoding(
        value in values(),
        placeholder in "[A-Za-z0-9_-]{8,50}",
        // Of a backslash too many nobody knows whose it is.
        before in "[ -~]{0,15}[ -$&-\\[\\]-~]{5}|[ -$&-\\[\\]-~]{0,5}",
        after in "[ -~]{0,20}",
        encoding in encodings(),
        places in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        let whole = [&before, &value, &after].map(String::as_str).concat();
        prop_assume!(!value.ends_with(['\\', '%']) || after.is_empty());
        // What surrounds a value may end like it, and then it is found earlier.
        prop_assume!(whole.find(&value) == Some(before.len()) && whole.matches(&value).count() == 1);
        let table = Table::builder()
            .replace(&SecretString::from(value.as_str()), &placeholder)
            .build();
        let body = encoding.encode(whole.as_bytes());
        let out = scrub_pieces(&table, body.as_bytes(), &ends(&places, body.len()));
        let decoded = encoding.decode(&out);

        prop_assert!(!contains(&decoded, value.as_bytes()), "{body}");
        prop_assert!(contains(&decoded, placeholder.as_bytes()), "{body}");
        prop_assert!(decoded.starts_with(before.as_bytes()), "{body}");
        prop_assert!(decoded.ends_with(after.as_bytes()), "{body}");
        let fills_up = decoded.len() - before.len() - placeholder.len() - after.len();
        match encoding {
            Encoding::Base64 | Encoding::Base64Url | Encoding::Base64InUrl => {
                let is_alike = placeholder.len() == value.len()
                    && placeholder.as_bytes()[0] >> 4 == value.as_bytes()[0] >> 4;
                prop_assert!(fills_up <= if is_alike { 0 } else { 3 }, "{body}");
            }
            _ => prop_assert_eq!(fills_up, 0, "{}", body),
        }
    }

    #[test]
    fn where_the_pieces_end_does_not_matter(
        parts in prop::collection::vec(near_misses(), 0..12),
        places in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let body = parts.concat();
        let table = several();
        let once = scrub_all(&table, &body);
        prop_assert_eq!(scrub_pieces(&table, &body, &ends(&places, body.len())), once.clone());
        let bytewise: Vec<_> = (0..body.len()).collect();
        prop_assert_eq!(scrub_pieces(&table, &body, &bytewise), once);
    }

    #[test]
    fn what_has_no_value_comes_out_byte_for_byte(
        parts in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..100),
                "[ -~\\n%]{0,100}".prop_map(String::into_bytes),
                "(%[0-9a-fA-F]{2}|\\\\u00[0-7][0-9a-f]|\\\\[nrt\"/]|[A-Za-z]){0,60}".prop_map(String::into_bytes),
                // The beginning of the value, and then something else.
                (1..TOKEN.len()).prop_map(|end| [&TOKEN.as_bytes()[..end], b"!"].concat()),
            ],
            0..10,
        ),
        places in prop::collection::vec(any::<Index>(), 0..10),
    ) {
        let body = parts.concat();
        prop_assert_eq!(scrub_pieces(&table(), &body, &ends(&places, body.len())), body);
    }

    #[test]
    fn overlapping_values_are_replaced_from_the_left_the_longest_first(
        values in prop::collection::vec("[ab]{8,11}", 1..4),
        body in "[ab]{0,60}",
        places in prop::collection::vec(any::<Index>(), 0..10),
    ) {
        let mut builder = Table::builder();
        for (value, mark) in values.iter().zip(["<0>", "<1>", "<2>"]) {
            builder = builder.replace(&SecretString::from(value.as_str()), mark);
        }
        let out = scrub_pieces(&builder.build(), body.as_bytes(), &ends(&places, body.len()));
        prop_assert_eq!(String::from_utf8(out).unwrap(), leftmost_longest(&values, &body));
    }
}

/// The same by trying every value at every place.
fn leftmost_longest(values: &[String], body: &str) -> String {
    let mut out = String::new();
    let mut rest = body;
    while !rest.is_empty() {
        let begun = |value: &&String| {
            // The body breaks off within the value.
            value.starts_with(rest) && rest.len() >= 8 && rest.len() * 2 >= value.len()
        };
        let found = values
            .iter()
            .filter(|value| rest.starts_with(value.as_str()) || begun(value))
            .max_by_key(|value| {
                (
                    value.len().min(rest.len()),
                    std::cmp::Reverse(value.as_str()),
                )
            });
        if let Some(value) = found {
            let number = values.iter().position(|it| it == value).unwrap();
            write!(out, "<{number}>").unwrap();
            rest = &rest[value.len().min(rest.len())..];
        } else {
            out.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    out
}

fn several() -> Table {
    Table::builder()
        .replace(&SecretString::from(TOKEN), PLACEHOLDER)
        .replace(&SecretString::from("pa%ss\\wo/rd"), "PLACEHOLDER")
        .replace(&SecretString::from("%41%41%41%41"), "AAAA")
        .replace(&SecretString::from("\\\\\\\\\\\\\\\\"), "backslashes")
        .redact(&SecretString::from("aaaaaaaaaa"))
        .redact(&SecretString::from("aaaaaaaaaabaaaaaaaaaa"))
        .replace_bytes(
            &SecretBytes::new(vec![0, 255, 0, 255, 0, 255, 0, 255, 1]),
            "bytes",
        )
        .build()
}

/// Pieces of bodies that begin values, end them, and break off escapes.
fn near_misses() -> impl Strategy<Value = Vec<u8>> {
    let texts: Vec<Vec<u8>> = [
        TOKEN,
        "pa%ss\\wo/rd",
        "%41%41%41%41",
        "\\\\\\\\\\\\\\\\",
        "aaaaaaaaaa",
        "aaaaaaaaaabaaaaaaaaaa",
    ]
    .iter()
    .flat_map(|value| {
        [
            Encoding::Plain,
            Encoding::Base64,
            Encoding::Base64InUrl,
            Encoding::Percent,
            Encoding::PercentMixed(0x5555_5555_5555_5555),
            Encoding::JsonMixed(0x3333_3333_3333_3333),
            Encoding::JsonTwice,
        ]
        .map(|encoding| encoding.encode(value.as_bytes()).into_bytes())
    })
    .chain([
        b"%".to_vec(),
        b"\\".to_vec(),
        b"\\u00".to_vec(),
        b"%4".to_vec(),
    ])
    .collect();
    (select(texts), any::<Index>(), any::<Index>(), any::<bool>()).prop_map(
        |(text, start, end, is_whole)| {
            let (start, end) = (start.index(text.len()), end.index(text.len() + 1));
            if is_whole {
                return text;
            }
            text[start.min(end)..start.max(end)].to_vec()
        },
    )
}

#[test]
fn nothing_is_held_back_that_cannot_be_a_value() {
    for (piece, at_once) in [
        (
            "data: {\"delta\":\"hello\"}\n\n",
            "data: {\"delta\":\"hello\"}\n\n",
        ),
        ("data: gh", "data: "),
        ("data: ghp_x", "data: ghp_x"),
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4", ""),
        ("100 %", "100 "),
        ("100 %6", "100 "),
        ("100 %61", "100 %61"),
        ("100 %9", "100 %9"),
        ("C:\\", "C:"),
        ("C:\\u006", "C:"),
        ("C:\\u007", "C:\\u007"),
        ("C:\\Users", "C:\\Users"),
    ] {
        let mut scrubber = Scrubber::new(&table());
        assert_eq!(scrubber.push(&Bytes::from(piece)), at_once, "{piece:?}");
    }
    // A value is replaced as soon as it is there, not when something follows.
    let mut scrubber = Scrubber::new(&table());
    assert_eq!(scrubber.push(&Bytes::from(TOKEN)), PLACEHOLDER);
    assert_eq!(scrubber.replaced(), 1);
}

#[test]
fn a_value_that_the_body_breaks_off_does_not_leave() {
    let end = TOKEN.len() - 1;
    for (text, leaves) in [
        (&TOKEN[..end], PLACEHOLDER),
        (&TOKEN[..20], PLACEHOLDER),
        // Too little to be of use, and perhaps another one.
        (&TOKEN[..19], &TOKEN[..19]),
        ("ghp_", "ghp_"),
    ] {
        let out = scrub_all(&table(), text.as_bytes());
        assert_eq!(String::from_utf8(out).unwrap(), leaves, "{text}");
    }
}

#[test]
fn values_below_eight_bytes_are_left_alone() {
    let builder = Table::builder().redact(&SecretString::from("1234567"));
    let table = builder.build();
    assert!(table.is_empty());
    assert_eq!(scrub_all(&table, b"1234567"), b"1234567");
    let table = Table::builder()
        .redact(&SecretString::from("12345678"))
        .build();
    assert_eq!(scrub_all(&table, b"012345678"), b"0[redacted]");
}

#[test]
fn a_placeholder_that_would_not_do_is_redacted_instead() {
    for placeholder in ["", "a b", "a\n", "\u{e9}", &format!("x{TOKEN}")] {
        let table = Table::builder()
            .replace(&SecretString::from(TOKEN), placeholder)
            .build();
        assert_eq!(
            scrub_all(&table, TOKEN.as_bytes()),
            b"[redacted]",
            "{placeholder}"
        );
    }
}

#[test]
fn what_replaces_an_escaped_value_is_escaped_alike() {
    let table = Table::builder()
        .replace(&SecretString::from("key/with+slash"), "a\"/\\b")
        .build();
    for (text, out) in [
        ("key/with+slash", "a\"/\\b"),
        ("key%2Fwith%2Bslash", "a%22%2F%5Cb"),
        ("key\\/with+slash", "a\\\"/\\\\b"),
    ] {
        let scrubbed = scrub_all(&table, text.as_bytes());
        assert_eq!(String::from_utf8(scrubbed).unwrap(), out);
    }
}

#[test]
fn neither_a_table_nor_a_scrubber_shows_what_it_holds() {
    let mut scrubber = Scrubber::new(&table());
    scrubber.push(&Bytes::from(&TOKEN[..10]));
    let shown = format!("{scrubber:?} {:?} {:?}", table(), Table::builder());
    assert!(!shown.contains("16C7"), "{shown}");
}
