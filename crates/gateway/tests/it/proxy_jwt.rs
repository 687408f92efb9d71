//! Tokens that the gateway makes for each request, as the destination verifies them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fnox_gateway::injection::Injection;
use fnox_gateway::injection::jwt::JwtTerms;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::proxy_support::{HOST, Setup, VALUE};

/// With [`VALUE`] as the key.
fn setup(inject: &str, algorithm: &str) -> Setup {
    Setup::with(|rule| {
        let Ok(Injection::Jwt(signing)) = Injection::parse(inject) else {
            panic!("tokens");
        };
        let claims = json!({"scope": "read", "level": 3, "groups": ["a", "b"], "bot": {"id": 7}});
        let terms = JwtTerms {
            algorithm: algorithm.to_owned(),
            issuer: Some("the-project".to_owned()),
            subject: Some("robot".to_owned()),
            audience: vec!["https://api.example.com".to_owned()],
            key_id: Some("k1".to_owned()),
            lifetime: Some(Duration::from_mins(2)),
            claims: claims.as_object().unwrap().clone(),
        };
        rule.injection = Injection::Jwt(Box::new(signing.on(terms).unwrap()));
    })
}

/// Header and claims of a token whose signature is right (RFC 7515, section 5.2; RFC 7518, section 3.2).
fn verified(token: &str) -> (Value, Value) {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(VALUE.as_bytes()).unwrap();
    let mac = mac.chain_update(signed.as_bytes()).finalize().into_bytes();
    assert_eq!(signature, URL_SAFE_NO_PAD.encode(mac));
    let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    (part(header), part(claims))
}

fn bare(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nhost: {HOST}\r\n\r\n")
}

#[tokio::test]
async fn each_request_has_a_token_of_its_own_that_is_good_for_minutes() {
    let proxy = setup("jwt", "HS256").start().await;
    let mut inside = proxy.inside().await;
    assert_eq!(inside.ask(bare("GET /a")).await.status, 200);
    // A client that sends its placeholder, or a token that it made with it, is none the wiser.
    assert_eq!(inside.ask(proxy.head("GET /b", &[])).await.status, 200);
    let own = format!("GET /c HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer a.b.c\r\n\r\n");
    assert_eq!(inside.ask(own).await.status, 200);
    let received = proxy.received();
    let mut ids = Vec::new();
    for request in &received {
        let field = request.header("authorization").unwrap();
        let (header, mut claims) = verified(field.strip_prefix("Bearer ").unwrap());
        assert_eq!(header, json!({"typ": "JWT", "alg": "HS256", "kid": "k1"}));
        let claims = claims.as_object_mut().unwrap();
        let mut take = |name: &str| claims.remove(name).unwrap();
        let (issued, ends) = (take("iat").as_i64().unwrap(), take("exp").as_i64().unwrap());
        assert!(
            issued > 1_700_000_000 && ends == issued + 120,
            "{issued} {ends}"
        );
        ids.push(take("jti").as_str().unwrap().to_owned());
        let rest = json!({
            "iss": "the-project", "sub": "robot", "aud": "https://api.example.com", "scope": "read",
            "level": 3, "groups": ["a", "b"], "bot": {"id": 7}
        });
        assert_eq!(Value::Object(claims.clone()), rest);
        assert!(!format!("{request:?}").contains(VALUE));
    }
    ids.sort();
    ids.dedup();
    assert_eq!((received.len(), ids.len()), (3, 3));
}

#[tokio::test]
async fn a_token_that_comes_back_is_worth_nothing() {
    let proxy = setup("jwt:x-token", "HS256").start().await;
    let mut inside = proxy.inside().await;
    // More than are remembered, which pushes the key itself out of nothing.
    for _ in 0..12 {
        let answer = inside.ask(bare("GET /echo")).await;
        assert_eq!(answer.status, 200);
        let token = proxy.received().pop().unwrap();
        let token = token.header("x-token").unwrap().to_owned();
        verified(&token);
        let signature = token.rsplit('.').next().unwrap();
        let all = format!("{}{}", answer.head, answer.body);
        assert!(!all.contains(signature) && !all.contains(VALUE), "{all}");
    }
}

#[tokio::test]
async fn a_value_that_is_no_key_is_told_of_without_a_word_of_it() {
    for (algorithm, problem) in [
        ("HS512", "is too short"),
        ("RS256", "is no private RSA key"),
        ("ES256", "is no private EC"),
        ("EdDSA", "is no private Ed25519"),
    ] {
        let proxy = setup("jwt", algorithm).start().await;
        let answer = proxy.inside().await.ask(bare("GET /")).await;
        assert_eq!(answer.refusal(), Some("gateway::credential"), "{algorithm}");
        assert!(answer.body.contains(problem), "{}", answer.body);
        assert!(!answer.body.contains(VALUE), "{}", answer.body);
        assert!(proxy.received().is_empty());
    }
}
