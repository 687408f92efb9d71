//! Placeholders go where their rule says, once, and nowhere else.

use std::fmt::Write as _;

use fnox_core::{AgentId, SecretString, VaultName};
use fnox_gateway::injection::{Injection, check_none_left, check_trailers, inject, plan};
use fnox_gateway::placeholder::{InvalidPlaceholder, Place, Placeholders, Shape};
use fnox_gateway::policy::Policy;
use fnox_gateway::request::CanonicalRequest;
use fnox_gateway::rule::{CredentialRef, Hosts, PathGlob, Rule};
use fnox_gateway::{Reason, Refusal};
use http::HeaderName;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::support::{HOST, basic, http1, http2, reason};

const VALUE: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

fn secret(name: &str) -> CredentialRef {
    CredentialRef::Secret(VaultName::parse(name).unwrap())
}

fn agent(name: &str) -> AgentId {
    AgentId::parse(name).unwrap()
}

fn rule(name: &str, hosts: &str) -> Rule {
    Rule::new(name, Hosts::parse(hosts).unwrap(), secret("TOKEN"))
}

/// A gateway of one agent with a placeholder for TOKEN.
struct Gateway {
    policy: Policy,
    placeholders: Placeholders,
    text: String,
}

fn gateway(rules: Vec<Rule>) -> Gateway {
    let mut placeholders = Placeholders::default();
    let mut rng = StdRng::seed_from_u64(7);
    let value = SecretString::from(VALUE);
    let shape = Shape::of(&value);
    let issued = placeholders.issue(
        &agent("a"),
        &secret("TOKEN"),
        &shape,
        Some(&value),
        &mut rng,
    );
    Gateway {
        policy: Policy {
            rules,
            ..Policy::default()
        },
        text: issued.text().to_owned(),
        placeholders,
    }
}

impl Gateway {
    /// All that happens to a request before it is sent.
    fn pass(
        &self,
        request: Result<CanonicalRequest, Refusal>,
    ) -> Result<CanonicalRequest, Refusal> {
        let mut request = request?;
        let permit = self.policy.decide(&request)?;
        for planned in plan(&request, &permit, &self.placeholders, &agent("a"))? {
            inject(&mut request, &planned, &SecretString::from(VALUE))?;
        }
        check_none_left(&request, &self.placeholders)?;
        Ok(request)
    }
}

#[test]
fn a_placeholder_becomes_the_credential_in_its_place() {
    let gateway = gateway(vec![rule("api", HOST)]);
    let text = &gateway.text;
    assert!(text.starts_with("ghp_") && text.len() == VALUE.len());
    for scheme in ["Bearer ", "token ", ""] {
        let sent = format!("{scheme}{text}");
        for request in [
            http1("GET", "/", &[("authorization", &sent)]),
            http2("GET", "/", &[("authorization", &sent)]),
        ] {
            let passed = gateway.pass(request).unwrap();
            let field = &passed.headers()["authorization"];
            assert_eq!(field, &format!("{scheme}{VALUE}"));
            assert!(field.is_sensitive());
        }
    }
    // Without the placeholder, nothing is put in.
    let passed = gateway.pass(http1("GET", "/", &[("authorization", "Bearer other")]));
    assert_eq!(passed.unwrap().headers()["authorization"], "Bearer other");
}

#[test]
fn a_placeholder_for_the_wrong_host_does_not_leave() {
    let mut elsewhere = rule("elsewhere", "other.example.com");
    elsewhere.credential = secret("OTHER");
    let mut here = elsewhere.clone();
    here.name = "here".to_owned();
    here.hosts = Hosts::parse(HOST).unwrap();
    let gateway = gateway(vec![rule("api", "elsewhere.example.com"), elsewhere, here]);
    let sent = format!("Bearer {}", gateway.text);
    let refusal = gateway
        .pass(http1("GET", "/", &[("authorization", &sent)]))
        .unwrap_err();
    assert_eq!(refusal.reason, Reason::Placeholder);
    assert_eq!(
        refusal.message,
        "the placeholder of `TOKEN` in the field `authorization` is not for this request to \
         `api.example.com:443`"
    );
    // Not to a host without a credential either.
    let open = Gateway {
        policy: Policy {
            allow_domains: vec![Hosts::parse(HOST).unwrap()],
            ..Policy::default()
        },
        ..gateway
    };
    let outcome = open.pass(http1("GET", "/", &[("authorization", &sent)]));
    assert_eq!(reason(outcome), Reason::Placeholder);
}

#[test]
fn a_placeholder_on_a_path_without_its_rule_does_not_leave() {
    let mut limited = rule("limited", HOST);
    limited.paths = vec![PathGlob::parse("/repos/**").unwrap()];
    let mut other = rule("other", HOST);
    other.credential = secret("OTHER");
    let gateway = gateway(vec![limited, other]);
    let sent = format!("Bearer {}", gateway.text);
    let fields = [("authorization", sent.as_str())];
    assert!(gateway.pass(http1("GET", "/repos/x", &fields)).is_ok());
    assert_eq!(
        reason(gateway.pass(http1("GET", "/user", &fields))),
        Reason::Placeholder
    );
}

#[test]
fn a_placeholder_in_any_other_place_does_not_leave() {
    let gateway = gateway(vec![rule("api", HOST)]);
    let text = gateway.text.as_str();
    let encoded = text.replace('_', "%5F").replace("ghp", "%67h%70");
    let twice = encoded.replace('%', "%25");
    let wrapped = basic(&format!("user:{text}"));
    let named = format!("x-{}", text.to_lowercase());
    for request in [
        http1("GET", &format!("/x/{text}"), &[]),
        http1("GET", &format!("/x/a{text}b"), &[]),
        http1("GET", &format!("/x/{encoded}"), &[]),
        http1("GET", &format!("/?token={text}"), &[]),
        http1("GET", &format!("/?token={encoded}"), &[]),
        http1("GET", &format!("/?token={twice}"), &[]),
        http1("GET", &format!("/?{text}=1"), &[]),
        http1("GET", &format!("/?{text}"), &[]),
        http1(text, "/", &[]),
        http1("GET", "/", &[("x-api-key", text)]),
        http1("GET", "/", &[("x-api-key", &encoded)]),
        http1("GET", "/", &[("x-api-key", &text.to_uppercase())]),
        http1("GET", "/", &[("cookie", &format!("a=1; t={text}"))]),
        http1("GET", "/", &[("referer", &format!("https://h/?t={twice}"))]),
        http1("GET", "/", &[(&named, "1")]),
        http1(
            "GET",
            "/",
            &[("x-wrapped", "1"), ("user-agent", &format!("agent/{text}"))],
        ),
    ] {
        let request = request.unwrap();
        let target = request.target();
        let outcome = gateway.pass(Ok(request));
        assert_eq!(reason(outcome), Reason::Placeholder, "{target}");
    }
    // The default place takes basic authentication too.
    let outcome = gateway.pass(http1("GET", "/", &[("authorization", &wrapped)]));
    assert!(outcome.is_ok());
}

#[test]
fn the_refusal_says_where_the_place_is() {
    let gateway = gateway(vec![rule("api", HOST)]);
    let refusal = gateway
        .pass(http1("GET", "/", &[("x-api-key", &gateway.text)]))
        .unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the placeholder of `TOKEN` in the field `x-api-key` is in the wrong place (rule `api`)\n\
         Its place is the field `authorization`."
    );
}

#[test]
fn a_placeholder_in_the_host_of_a_connection_does_not_leave() {
    let gateway = gateway(vec![rule("api", "*.example.com")]);
    let host = format!("{}.example.com", gateway.text.replace('_', "-"));
    let mut placeholders = gateway.placeholders.clone();
    let name = gateway.text.replace('_', "-");
    placeholders
        .issue_fixed(&agent("a"), &secret("TOKEN"), &name, None)
        .unwrap();
    let bound = crate::support::bound(&host);
    let request = crate::support::parse_bound(
        &bound,
        http::Version::HTTP_11,
        "GET",
        "/",
        &[("host", &host)],
    );
    let gateway = Gateway {
        placeholders,
        ..gateway
    };
    assert_eq!(reason(gateway.pass(request)), Reason::Placeholder);
}

#[test]
fn a_placeholder_is_swapped_once_and_a_second_copy_does_not_leave() {
    let gateway = gateway(vec![rule("api", HOST)]);
    let text = gateway.text.as_str();
    let once = format!("Bearer {text}");
    let twice = format!("Bearer {text}, {text}");
    for fields in [
        &[("authorization", twice.as_str())][..],
        &[("authorization", once.as_str()), ("x-copy", text)],
        &[("authorization", once.as_str()), ("cookie", text)],
    ] {
        let outcome = gateway.pass(http1("GET", "/", fields));
        assert_eq!(reason(outcome), Reason::Placeholder, "{fields:?}");
    }
    let outcome = gateway.pass(http1(
        "GET",
        &format!("/{text}"),
        &[("authorization", &once)],
    ));
    assert_eq!(reason(outcome), Reason::Placeholder);
    let doubled = basic(&format!("{text}:{text}"));
    let outcome = gateway.pass(http1("GET", "/", &[("authorization", &doubled)]));
    assert_eq!(reason(outcome), Reason::Placeholder);
}

#[test]
fn a_placeholder_of_another_agent_does_not_leave() {
    let mut gateway = gateway(vec![rule("api", HOST)]);
    let mut rng = StdRng::seed_from_u64(8);
    let shape = Shape::token("ghp_", 36);
    let others = gateway
        .placeholders
        .issue(&agent("b"), &secret("TOKEN"), &shape, None, &mut rng);
    assert_ne!(others.text(), gateway.text);
    let sent = format!("Bearer {}", others.text());
    let refusal = gateway
        .pass(http1("GET", "/", &[("authorization", &sent)]))
        .unwrap_err();
    assert_eq!(refusal.reason, Reason::Placeholder);
    assert!(refusal.message.contains("another agent"), "{refusal}");
    // Forgotten, it is a text like any other.
    gateway.placeholders.forget(&agent("b"));
    assert!(
        gateway
            .pass(http1("GET", "/", &[("authorization", &sent)]))
            .is_ok()
    );
}

#[test]
fn a_placeholder_in_a_trailer_does_not_leave() {
    let gateway = gateway(vec![rule("api", HOST)]);
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-checksum", http::HeaderValue::from_static("1"));
    assert!(check_trailers(&trailers, &gateway.placeholders).is_ok());
    trailers.insert("x-copy", gateway.text.parse().unwrap());
    let outcome = check_trailers(&trailers, &gateway.placeholders);
    assert_eq!(reason(outcome), Reason::Placeholder);
    trailers.clear();
    trailers.insert("authorization", http::HeaderValue::from_static("1"));
    let outcome = check_trailers(&trailers, &gateway.placeholders);
    assert_eq!(reason(outcome), Reason::Ambiguous);
}

#[test]
fn nothing_is_injected_on_options() {
    let gateway = gateway(vec![rule("api", HOST)]);
    assert!(gateway.pass(http1("OPTIONS", "/", &[])).is_ok());
    let sent = format!("Bearer {}", gateway.text);
    let outcome = gateway.pass(http1("OPTIONS", "/", &[("authorization", &sent)]));
    assert_eq!(reason(outcome), Reason::NoInjection);
}

#[test]
fn an_agent_keeps_its_placeholder_while_the_value_changes() {
    let mut placeholders = Placeholders::default();
    let mut rng = StdRng::seed_from_u64(1);
    let mut issue = |value: &str| {
        let value = SecretString::from(value);
        let shape = Shape::of(&value);
        placeholders.issue(&agent("a"), &secret("T"), &shape, Some(&value), &mut rng)
    };
    assert_eq!(issue("glpat-aaaaaaaaaaaaaaaaaaaa"), issue("other"));
}

#[test]
fn chosen_placeholders_must_be_told_from_everything_else() {
    let mut placeholders = Placeholders::default();
    let mut fixed = |name: &str, text: &str| {
        let value = SecretString::from("placeholder-is-the-value");
        placeholders
            .issue_fixed(&agent("a"), &secret(name), text, Some(&value))
            .map(|it| it.text().to_owned())
    };
    for text in [
        "",
        "short",
        "with space in it",
        "percent%20encoded",
        "a/b/c/d/e",
        "\u{fc}mlaut-text",
    ] {
        assert_eq!(fixed("T", text), Err(InvalidPlaceholder::Text), "{text}");
    }
    assert_eq!(fixed("T", "placeholder"), Err(InvalidPlaceholder::Value));
    assert_eq!(fixed("T", "fnox-one-1").as_deref(), Ok("fnox-one-1"));
    assert_eq!(fixed("T", "fnox-one-1").as_deref(), Ok("fnox-one-1"));
    for text in ["fnox-one-1", "FNOX-ONE-1", "fnox-one-12", "nox-one-1"] {
        assert_eq!(fixed("U", text), Err(InvalidPlaceholder::Similar), "{text}");
    }
    assert_eq!(fixed("T", "fnox-two-2").as_deref(), Ok("fnox-two-2"));
    assert_eq!(placeholders.iter().count(), 1);
}

#[test]
fn a_placeholder_with_equals_signs_is_found_across_parameters() {
    let mut placeholders = Placeholders::default();
    let mut rng = StdRng::seed_from_u64(1);
    let value = SecretString::from("c2VzYW1lc2VzYW1lc2VzYW1l/w==");
    let shape = Shape::of(&value);
    let issued = placeholders.issue(&agent("a"), &secret("T"), &shape, Some(&value), &mut rng);
    let text = issued.text();
    assert!(text.ends_with("=="));
    for target in [
        format!("/?{text}"),
        format!("/?t={text}"),
        format!("/?t={}", text.replace('=', "%3D")),
        format!("/{text}"),
    ] {
        let found = placeholders.find(&http1("GET", &target, &[]).unwrap());
        assert_eq!(found.len(), 1, "{target}");
        assert!(found[0].is_exact);
    }
    let found = placeholders.find(&http1("GET", &format!("/?{text}"), &[]).unwrap());
    assert_eq!(found[0].place, Place::Elsewhere);
}

#[test]
fn an_encoded_one_is_found_beside_others_as_they_are() {
    let mut placeholders = Placeholders::default();
    let texts = ["aaaa-first-one", "the-second-one"];
    for text in texts {
        placeholders
            .issue_fixed(&agent("a"), &secret(text), text, None)
            .unwrap();
    }
    let [first, second] = texts;
    let encoded = encode(second, "%");
    // In the second one, decoding takes the letter with which the first placeholder begins.
    for field in [
        format!("{first} {first} {encoded}"),
        format!("%4{first} {encoded}"),
    ] {
        let found = placeholders.find(&http1("GET", "/", &[("x", &field)]).unwrap());
        let seconds = found.iter().filter(|it| it.placeholder.text() == second);
        assert_eq!(seconds.count(), 1, "{field}");
        let firsts = found.iter().filter(|it| it.placeholder.text() == first);
        assert_eq!(firsts.count(), field.matches(first).count(), "{field}");
    }
}

#[test]
fn a_thousand_placeholders_are_told_apart() {
    let mut placeholders = Placeholders::default();
    let mut rng = StdRng::seed_from_u64(3);
    let shape = Shape::token("ghp_", 36);
    let texts: Vec<String> = (0..1000)
        .map(|number| {
            let credential = secret(&format!("T{number}"));
            let issued = placeholders.issue(&agent("a"), &credential, &shape, None, &mut rng);
            issued.text().to_owned()
        })
        .collect();
    for number in [0, 1, 500, 999] {
        let request = http1("GET", "/", &[("x", &texts[number])]).unwrap();
        let found = placeholders.find(&request);
        assert_eq!(found.len(), 1);
        assert_eq!(
            *found[0].placeholder.credential(),
            secret(&format!("T{number}"))
        );
    }
}

/// Every byte in hexadecimal digits after `sign`.
fn encode(text: &str, sign: &str) -> String {
    let bytes: Vec<String> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{sign}{}", bytes.join(sign))
}

/// A placeholder, or a copy of it in another spelling.
fn spelling() -> impl Strategy<Value = fn(&str) -> String> {
    prop::sample::select(vec![
        (|text| text.to_owned()) as fn(&str) -> String,
        |text| text.to_uppercase(),
        |text| encode(text, "%"),
        |text| encode(text, "%25"),
        |text| basic(&format!("u:{text}")),
        |text| format!("Bearer {text}"),
        |_| "nothing".to_owned(),
    ])
}

fn any_injection() -> impl Strategy<Value = Injection> {
    let header = |name| Injection::Header {
        name: HeaderName::from_static(name),
        format: None,
    };
    prop::sample::select(vec![
        Injection::default(),
        header("x-api-key"),
        Injection::Basic { username: None },
        Injection::Query {
            name: "q".to_owned(),
        },
        Injection::Path,
        Injection::Cookie {
            name: "c".to_owned(),
        },
    ])
}

proptest! {
    /// The invariant of the whole: whatever is sent, what leaves has no placeholder in it, and the value at most
    /// once, in the named place.
    #[test]
    fn no_placeholder_ever_leaves_and_the_value_at_most_once(
        injection in any_injection(),
        spellings in prop::collection::vec(prop::option::of(spelling()), 6),
        method in prop::sample::select(vec!["GET", "POST", "OPTIONS"]),
    ) {
        let mut only = rule("only", HOST);
        only.injection = injection;
        let gateway = gateway(vec![only]);
        let at = |index: usize| spellings[index].map(|spell| spell(&gateway.text));
        let target = format!(
            "/a/{}?q={}&{}=1",
            at(0).unwrap_or_default().replace(' ', "%20"),
            at(1).unwrap_or_default().replace(' ', "+"),
            at(2).unwrap_or_default().replace(' ', "+"),
        );
        let fields: Vec<(&str, String)> = [
            ("authorization", at(3)),
            ("x-api-key", at(4)),
            ("cookie", at(5).map(|text| format!("a=1; c={text}"))),
        ]
        .into_iter()
        .filter_map(|(name, text)| Some((name, text?)))
        .collect();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let Ok(passed) = gateway.pass(http1(method, &target, &fields)) else { return Ok(()) };

        let parts = passed.into_http1().unwrap();
        let mut whole = parts.uri.to_string();
        for (name, value) in &parts.headers {
            write!(whole, "\n{name}: {}", value.to_str().unwrap()).unwrap();
            if let Some(encoded) = value.to_str().unwrap().strip_prefix("Basic ") {
                use base64::Engine as _;
                let plain = base64::engine::general_purpose::STANDARD.decode(encoded);
                whole.push_str(&String::from_utf8(plain.unwrap_or_default()).unwrap());
            }
        }
        let mut decoded = whole.clone();
        for _ in 0..3 {
            decoded = percent_encoding::percent_decode_str(&decoded).decode_utf8_lossy().into_owned();
        }
        for text in [&whole, &decoded] {
            let text = text.to_lowercase();
            prop_assert!(!text.contains(&gateway.text.to_lowercase()), "{}", text);
            prop_assert!(text.matches(&VALUE.to_lowercase()).count() <= 1, "{}", text);
        }
        if method == "OPTIONS" {
            prop_assert!(!whole.contains(VALUE));
        }
    }
}
