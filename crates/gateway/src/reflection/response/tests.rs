//! What an agent gets of an answer.

use fnox_core::SecretString;
use http::Response;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::decoding::tests::encode;
use super::*;

const TOKEN: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
const PLACEHOLDER: &str = "ghp_pLaCeHoLdErpLaCeHoLdErpLaCeHoLdEr000";

fn table() -> Table {
    Table::builder()
        .replace(&SecretString::from(TOKEN), PLACEHOLDER)
        .build()
}

fn parts(status: u16, fields: &[(&'static str, &str)]) -> response::Parts {
    let mut builder = Response::builder().status(status);
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn shown(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect()
}

fn start(parts: &mut response::Parts, unscannable: Unscannable) -> Result<ResponseScrub, Refusal> {
    let policy = ScanPolicy {
        unscannable,
        ..ScanPolicy::default()
    };
    ResponseScrub::start(&table(), &Method::GET, parts, policy)
}

fn all<'a>(
    scrub: &mut ResponseScrub,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::new();
    for piece in pieces {
        out.extend(scrub.push(&Bytes::copy_from_slice(piece))?);
    }
    out.extend(scrub.finish()?);
    Ok(out)
}

/// All that a body has to say about itself.
const FIELDS: [(&str, &str); 8] = [
    ("content-type", "application/json"),
    ("content-length", "123"),
    ("content-digest", "sha-256=:AAAA:"),
    ("repr-digest", "sha-256=:AAAA:"),
    ("digest", "sha-256=AAAA"),
    ("content-md5", "AAAA"),
    ("accept-ranges", "bytes"),
    ("etag", "\"tag\""),
];

#[test]
fn fields_are_right_for_a_body_that_may_change() {
    let mut parts = parts(200, &FIELDS);
    start(&mut parts, Unscannable::Block).unwrap();
    let left = [
        ("content-type", "application/json"),
        ("accept-ranges", "bytes"),
        ("etag", "\"tag\""),
    ];
    assert_eq!(shown(&parts.headers), left);
}

#[test]
fn fields_are_right_for_a_body_that_is_decoded() {
    for (tag, weak) in [
        ("\"tag\"", "W/\"tag\""),
        ("W/\"tag\"", "W/\"tag\""),
        ("broken", "broken"),
    ] {
        let mut parts = parts(200, &FIELDS);
        parts.headers.insert("etag", tag.parse().unwrap());
        let codings = "gzip, Identity, BR".parse().unwrap();
        parts.headers.insert("content-encoding", codings);
        start(&mut parts, Unscannable::Block).unwrap();
        let left = [("content-type", "application/json"), ("etag", weak)];
        assert_eq!(shown(&parts.headers), left);
    }
}

#[test]
fn an_answer_without_a_body_keeps_the_length_of_the_other_one() {
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 304)] {
        let mut parts = parts(status, &FIELDS);
        let policy = ScanPolicy::default();
        let mut scrub = ResponseScrub::start(&table(), &method, &mut parts, policy).unwrap();
        assert_eq!(parts.headers["content-length"], "123");
        assert!(!parts.headers.contains_key("content-digest"));
        assert_eq!(scrub.finish().unwrap(), "");

        // That of the encoded body is not the one of the decoded body, and there is none that cannot be scanned.
        parts
            .headers
            .insert("content-encoding", "gzip".parse().unwrap());
        let mut scrub = ResponseScrub::start(&table(), &method, &mut parts, policy).unwrap();
        assert_eq!(parts.headers.get("content-length"), None);
        assert_eq!(parts.headers["etag"], "W/\"tag\"");
        assert_eq!(scrub.finish().unwrap(), "");
        parts
            .headers
            .insert("content-encoding", "compress".parse().unwrap());
        let scrub = ResponseScrub::start(&table(), &method, &mut parts, policy).unwrap();
        assert!(scrub.passes());
        assert_eq!(parts.headers["content-encoding"], "compress");
    }
}

#[test]
fn with_nothing_to_look_for_everything_stays() {
    let mut parts = parts(200, &FIELDS);
    parts
        .headers
        .insert("content-encoding", "strange".parse().unwrap());
    let before = parts.headers.clone();
    let table = Table::builder().build();
    let policy = ScanPolicy::default();
    let mut scrub = ResponseScrub::start(&table, &Method::GET, &mut parts, policy).unwrap();
    assert!(scrub.passes());
    assert_eq!(parts.headers, before);
    assert_eq!(
        all(&mut scrub, [TOKEN.as_bytes()]).unwrap(),
        TOKEN.as_bytes()
    );
}

#[test]
fn what_cannot_be_scanned_is_treated_as_declared() {
    let part = [("content-encoding", "gzip"), ("content-length", "4")];
    for (status, fields, named) in [
        (200, &[("content-encoding", "compress")][..], "compress"),
        (
            200,
            &[("content-encoding", "gzip, aws-chunked")],
            "gzip, aws-chunked",
        ),
        (200, &[("content-encoding", "br,gzip,br")], "br, gzip, br"),
        (200, &[("content-encoding", "a\u{e9}")], "a\\u{e9}"),
        (206, &part, "gzip"),
    ] {
        let unscanned = parts(status, fields);
        let mut blocked = unscanned.clone();
        let refusal = start(&mut blocked, Unscannable::Block).unwrap_err();
        assert_eq!(refusal.reason, Reason::Unscannable);
        assert!(refusal.message.contains(named), "{refusal}");

        let body = [0x1f, 0x8b, 0, 255];
        let mut tagged = unscanned.clone();
        let mut scrub = start(&mut tagged, Unscannable::Tag).unwrap();
        assert_eq!(all(&mut scrub, [&body[..]]).unwrap(), body);
        assert_eq!(tagged.headers.remove(UNSCANNED).unwrap(), named);
        assert_eq!(tagged.headers, unscanned.headers);

        let mut passed = unscanned.clone();
        let mut scrub = start(&mut passed, Unscannable::Pass).unwrap();
        assert!(scrub.passes());
        assert_eq!(all(&mut scrub, [&body[..]]).unwrap(), body);
        assert_eq!(passed.headers, unscanned.headers);
    }
    // A part of a body without codings can be scanned, as far as it goes.
    let mut part = parts(206, &[("content-range", "bytes 0-3/9")]);
    assert!(!start(&mut part, Unscannable::Block).unwrap().passes());
}

#[test]
fn policies_are_read_by_their_names() {
    for (name, policy) in [
        ("\"block\"", Unscannable::Block),
        ("\"tag\"", Unscannable::Tag),
        ("\"pass\"", Unscannable::Pass),
    ] {
        assert_eq!(serde_json::from_str::<Unscannable>(name).unwrap(), policy);
    }
    assert!(serde_json::from_str::<Unscannable>("\"allow\"").is_err());
}

#[test]
fn values_in_fields_are_replaced() {
    let basic = |token: &str| {
        use base64::Engine as _;
        let pair = format!("me:{token}");
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        format!("Basic {encoded}")
    };
    let location = format!("/callback?token={TOKEN}&to=%2F");
    let with_basic = basic(TOKEN);
    let mut parts = parts(
        302,
        &[
            ("location", location.as_str()),
            ("x-authorization", &with_basic),
            ("set-cookie", &format!("a={TOKEN}")),
            ("set-cookie", "b=1"),
            ("content-encoding", TOKEN),
        ],
    );
    let cookie = parts.headers.get_mut("set-cookie").unwrap();
    cookie.set_sensitive(true);
    let reason = ReasonPhrase::from_static(b"see ghp_16C7e42F292c6912E7710c838347Ae178B4a");
    parts.extensions.insert(reason);
    let scrub = start(&mut parts, Unscannable::Tag).unwrap();
    assert_eq!(scrub.replaced(), 4);
    assert!(parts.headers["set-cookie"].is_sensitive());
    assert!(parts.extensions.get::<ReasonPhrase>().is_none());
    let location = format!("/callback?token={PLACEHOLDER}&to=%2F");
    assert_eq!(
        shown(&parts.headers),
        [
            ("location", location.as_str()),
            ("x-authorization", &basic(PLACEHOLDER)),
            ("set-cookie", &format!("a={PLACEHOLDER}")),
            ("set-cookie", "b=1"),
            ("content-encoding", PLACEHOLDER),
            ("fnox-unscanned", PLACEHOLDER),
        ]
    );
}

#[test]
fn trailers_are_scrubbed() {
    let mut scrub = start(&mut parts(200, &[]), Unscannable::Block).unwrap();
    let trailers = [
        ("grpc-message", TOKEN),
        ("content-digest", "sha-256=:AAAA:"),
    ];
    let mut trailers = parts(200, &trailers).headers;
    scrub.trailers(&mut trailers);
    assert_eq!(shown(&trailers), [("grpc-message", PLACEHOLDER)]);
    assert_eq!(scrub.replaced(), 1);
}

#[test]
fn an_upstream_does_not_say_what_was_scanned() {
    for policy in [Unscannable::Tag, Unscannable::Pass] {
        let mut parts = parts(200, &[("fnox-unscanned", "gzip")]);
        start(&mut parts, policy).unwrap();
        assert!(parts.headers.is_empty());
    }
}

#[test]
fn a_broken_body_stays_broken() {
    for policy in [Unscannable::Block, Unscannable::Tag, Unscannable::Pass] {
        let mut parts = parts(200, &[("content-encoding", "gzip")]);
        let mut scrub = start(&mut parts, policy).unwrap();
        let body = encode(Coding::Gzip, TOKEN.repeat(2).as_bytes());
        scrub.push(&Bytes::from(body)).unwrap();
        let refusal = scrub.push(&Bytes::from("this is not gzip")).unwrap_err();
        assert_eq!(refusal.reason, Reason::Unscannable);
        assert_eq!(refusal.message, "the answer is not valid gzip");
        assert_eq!(scrub.push(&Bytes::new()).unwrap_err(), refusal);
        assert_eq!(scrub.finish().unwrap_err(), refusal);
        assert_eq!(scrub.replaced(), 2);
    }
}

#[test]
fn a_body_that_breaks_off_within_its_coding_does_not_end() {
    let mut parts = parts(200, &[("content-encoding", "br")]);
    let mut scrub = start(&mut parts, Unscannable::Pass).unwrap();
    let body = encode(Coding::Brotli, b"of which the end does not come");
    scrub.push(&Bytes::from(body).slice(..20)).unwrap();
    assert!(scrub.finish().is_err());
}

#[test]
fn nothing_is_shown_of_what_is_held_back() {
    let mut scrub = start(&mut parts(200, &[]), Unscannable::Block).unwrap();
    scrub.push(&Bytes::from(&TOKEN[..10])).unwrap();
    let shown = format!("{scrub:?}");
    assert!(!shown.contains("16C7"), "{shown}");
}

#[test]
fn requests_accept_what_can_be_undone_at_once() {
    for (asked, accepted) in [
        (&[][..], &[][..]),
        (&["gzip, deflate, br, zstd"], &["gzip, deflate, br"]),
        (
            &["br;q=1.0, GZIP;q=0.5, *;q=0.1"],
            &["br;q=1.0, GZIP;q=0.5"],
        ),
        (&["gzip", "zstd"], &["gzip"]),
        (&["gzip , br"], &["gzip, br"]),
        (&["zstd"], &["identity"]),
        (&["*"], &["identity"]),
        (&[""], &["identity"]),
        (&["identity"], &["identity"]),
        (&["compress, identity;q=0"], &["identity;q=0"]),
    ] {
        let mut headers = HeaderMap::new();
        for value in asked {
            headers.append("accept-encoding", value.parse().unwrap());
        }
        super::super::accept_scannable(&mut headers);
        let left: Vec<_> = headers.values().map(|it| it.to_str().unwrap()).collect();
        assert_eq!(left, accepted, "{asked:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn values_in_encoded_bodies_are_replaced_wherever_the_pieces_end(
        texts in prop::collection::vec("[ -~]{0,40}", 1..6),
        codings in prop::collection::vec(select(vec![
            ("br", Coding::Brotli),
            ("deflate", Coding::Deflate),
            ("gzip", Coding::Gzip),
            ("zstd", Coding::Zstd),
        ]), 0..3),
        places in prop::collection::vec(any::<Index>(), 0..10),
    ) {
        let plain = texts.join(TOKEN).into_bytes();
        let body = codings.iter().fold(plain, |body, (_, coding)| encode(*coding, &body));
        let mut ends: Vec<_> = places.iter().map(|place| place.index(body.len() + 1)).collect();
        ends.extend([0, body.len()]);
        ends.sort_unstable();

        let names: Vec<_> = codings.iter().map(|(name, _)| *name).collect();
        let mut parts = parts(200, &[("content-encoding", names.join(", ").as_str())]);
        let mut scrub = start(&mut parts, Unscannable::Block).unwrap();
        let out = all(&mut scrub, ends.windows(2).map(|ends| &body[ends[0]..ends[1]])).unwrap();

        prop_assert_eq!(String::from_utf8(out).unwrap(), texts.join(PLACEHOLDER));
        prop_assert_eq!(scrub.replaced(), texts.len() as u64 - 1);
        prop_assert!(codings.is_empty() || parts.headers.is_empty());
    }
}
