//! Wycheproof's vectors for signed tokens, with a list of what is expected otherwise here, and why.

use std::collections::BTreeMap;

use fnox_server::oidc::jws::Compact;
use fnox_server::oidc::keys::Key;
use fnox_server::settings::Algorithm;
use jsonwebtoken::DecodingKey;
use serde_json::{Value, json};

pub(crate) const VECTORS: &str = include_str!("../../vectors/json_web_signature_test.json");

/// Where the verdict here is not the one of the file.
const EXCEPTIONS: [(u64, &str); 8] = [
    (
        346,
        "the key says PS256, the token PS384: one key, one algorithm",
    ),
    (
        350,
        "the key says PS256, the token PS384: one key, one algorithm",
    ),
    (347, "ES512 is not among the algorithms"),
    (351, "ES512 is not among the algorithms"),
    (
        367,
        "labelled invalid, but it is canonical and its MAC is correct",
    ),
    (
        370,
        "labelled invalid, but it is canonical and its MAC is correct",
    ),
    (372, "labelled valid, but a `?` stands in its base64url"),
    (373, "labelled valid, but a `?` stands in its base64url"),
];

struct Case<'a> {
    id: u64,
    jws: &'a str,
    valid: bool,
    jwk: &'a Value,
}

fn each(mut look: impl FnMut(&Case<'_>)) -> usize {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let mut count = 0;
    for group in vectors["testGroups"].as_array().unwrap() {
        let jwk = group.get("public").unwrap_or(&group["private"]);
        for test in group["tests"].as_array().unwrap() {
            count += 1;
            look(&Case {
                id: test["tcId"].as_u64().unwrap(),
                jws: test["jws"].as_str().unwrap(),
                valid: test["result"] == "valid",
                jwk,
            });
        }
    }
    assert_eq!(Some(count as u64), vectors["numberOfTests"].as_u64());
    count
}

fn accepts(case: &Case<'_>) -> bool {
    let Ok(token) = Compact::parse(case.jws) else {
        return false;
    };
    if case.jwk["kty"] == "oct" {
        // Symmetric keys are no keys here. So that these vectors test how tokens are read, this test has one.
        let key = DecodingKey::from_base64_secret(&standard(&case.jwk["k"])).unwrap();
        return token.header.alg == case.jwk["alg"].as_str().unwrap()
            && jsonwebtoken::crypto::verify(
                token.signature,
                token.signed.as_bytes(),
                &key,
                jsonwebtoken::Algorithm::HS256,
            )
            .unwrap();
    }
    let Ok(key) = Key::parse(case.jwk, &Algorithm::ALL) else {
        return false;
    };
    Algorithm::parse(&token.header.alg)
        .is_some_and(|algorithm| key.has_signed(algorithm, token.signed, token.signature))
}

fn standard(base64url: &Value) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    STANDARD.encode(URL_SAFE_NO_PAD.decode(base64url.as_str().unwrap()).unwrap())
}

#[test]
fn all_verdicts_but_the_listed_ones_are_the_same() {
    let mut different = BTreeMap::new();
    let count = each(|case| {
        if accepts(case) != case.valid {
            different.insert(case.id, case.valid);
        }
    });
    assert_eq!(count, 401);
    let listed: BTreeMap<u64, bool> = EXCEPTIONS
        .iter()
        .map(|(id, why)| (*id, !why.starts_with("labelled invalid")))
        .collect();
    assert_eq!(different, listed);
}

#[test]
fn symmetric_keys_and_keys_for_encryption_are_no_keys() {
    let mut refused = 0;
    each(|case| {
        let encrypts = case.jwk["use"] == "enc" || case.jwk["key_ops"] == json!(["encrypt"]);
        if case.jwk["kty"] == "oct" || encrypts {
            refused += 1;
            assert!(
                Key::parse(case.jwk, &Algorithm::ALL).is_err(),
                "{}",
                case.id
            );
        }
    });
    assert_eq!(refused, 44);
}

#[test]
fn no_token_is_accepted_with_another_algorithm_than_its_own() {
    each(|case| {
        let Ok(token) = Compact::parse(case.jws) else {
            return;
        };
        let Ok(key) = Key::parse(case.jwk, &Algorithm::ALL) else {
            return;
        };
        for algorithm in Algorithm::ALL {
            if algorithm.as_str() != token.header.alg {
                assert!(
                    !key.has_signed(algorithm, token.signed, token.signature),
                    "{} with {}",
                    case.id,
                    algorithm.as_str()
                );
            }
        }
    });
}
