//! Every claim with every type, and what the times mean.

use std::time::Duration;

use fnox_server::oidc::{OidcError, VerifiedToken};
use fnox_server::settings::{Algorithm, Preset};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::bench::{Bench, ISSUER};
use super::signer::{AUDIENCE, NOW, Signer, claims};

fn refused_claim(result: Result<VerifiedToken, OidcError>) -> String {
    match result {
        Err(OidcError::Claim { claim, .. }) => claim,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn takes_what_is_right_and_says_all_of_it() {
    let bench = Bench::new(|_| {});
    let verified = bench.verify(claims(ISSUER)).await.unwrap();
    assert_eq!(verified.issuer, "test");
    assert_eq!(verified.preset, Preset::Generic);
    assert_eq!(
        verified.subject,
        "repo:octo-org/octo-repo:ref:refs/heads/main"
    );
    assert_eq!(verified.claims, claims(ISSUER).into_iter().collect());
    assert_eq!(verified.issued_at.as_second(), NOW);
    assert_eq!(verified.expires_at.as_second(), NOW + 300);
    assert_eq!(verified.keep_until.as_second(), NOW + 300 + 60 + 5);
}

#[tokio::test]
async fn every_allowed_algorithm_works() {
    for (algorithm, signer) in [
        (
            Algorithm::Rs256,
            Signer::rsa(Algorithm::Rs256, "RS256_2048", "k"),
        ),
        (
            Algorithm::Rs384,
            Signer::rsa(Algorithm::Rs384, "RS384_2048", "k"),
        ),
        (
            Algorithm::Rs512,
            Signer::rsa(Algorithm::Rs512, "RS512_2048", "k"),
        ),
        (
            Algorithm::Ps256,
            Signer::rsa(Algorithm::Ps256, "PS256_2048", "k"),
        ),
        (
            Algorithm::Ps384,
            Signer::rsa(Algorithm::Ps384, "PS384_2048", "k"),
        ),
        (
            Algorithm::Ps512,
            Signer::rsa(Algorithm::Ps512, "PS512_2048", "k"),
        ),
        (Algorithm::Es256, Signer::es256("k")),
        (Algorithm::EdDsa, Signer::eddsa("k")),
    ] {
        let bench = Bench::with(signer, algorithm, |_| {});
        bench.verify(claims(ISSUER)).await.unwrap();
    }
}

#[tokio::test]
async fn every_claim_with_every_type() {
    let bench = Bench::new(|_| {});
    let values = [
        ("absent", None),
        ("null", Some(Value::Null)),
        ("boolean", Some(json!(true))),
        ("integer", Some(json!(NOW))),
        ("fraction", Some(json!(1.5))),
        ("negative", Some(json!(-1))),
        ("huge", Some(json!(u64::MAX))),
        ("text", Some(json!("never"))),
        ("digits", Some(json!(NOW.to_string()))),
        ("empty text", Some(json!(""))),
        ("list", Some(json!([AUDIENCE]))),
        ("issuer's list", Some(json!([ISSUER]))),
        ("mixed list", Some(json!([AUDIENCE, 1]))),
        ("empty list", Some(json!([]))),
        ("object", Some(json!({"a": 1}))),
    ];
    let accepted = |claim: &str| -> &[&str] {
        match claim {
            "sub" => &["text", "digits"],
            "aud" => &["list"],
            "iat" => &["integer"],
            "nbf" => &["absent", "integer"],
            "jti" => &["absent", "text", "digits"],
            // A token that ends now is within the leeway, but it lives no second.
            "iss" | "exp" => &[],
            _ => unreachable!(),
        }
    };
    for claim in ["iss", "sub", "aud", "exp", "iat", "nbf", "jti"] {
        for (name, value) in &values {
            let result = bench.with_claim(claim, value.clone()).await;
            if accepted(claim).contains(name) {
                assert!(result.is_ok(), "{claim} {name}: {result:?}");
            } else {
                assert_eq!(refused_claim(result), claim, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn other_audiences_are_for_other_services() {
    let bench = Bench::new(|_| {});
    for aud in [
        json!("sts.amazonaws.com"),
        json!("sigstore"),
        json!("https://github.com/octo-org"),
        json!("https://fnox.example/"),
        json!("https://FNOX.example"),
        json!("https://fnox.example.evil.example"),
        json!(["sts.amazonaws.com", "sigstore"]),
        json!([[AUDIENCE]]),
    ] {
        assert_eq!(
            refused_claim(bench.with_claim("aud", Some(aud)).await),
            "aud"
        );
    }
    let list = json!(["sigstore", AUDIENCE]);
    assert!(bench.with_claim("aud", Some(list)).await.is_ok());
}

#[tokio::test]
async fn issuers_are_compared_byte_by_byte() {
    let bench = Bench::new(|_| {});
    for iss in [
        "https://issuer.example/",
        "https://ISSUER.example",
        "http://issuer.example",
        "https://issuer.example ",
        "https://issuer.example.evil.example",
        "",
    ] {
        let result = bench.with_claim("iss", Some(json!(iss))).await;
        assert_eq!(refused_claim(result), "iss", "{iss}");
    }
}

#[tokio::test]
async fn subjects_can_be_read() {
    let bench = Bench::new(|_| {});
    for sub in [
        "a b",
        "a\tb",
        "a\nb",
        "a\u{0}b",
        "a\u{a0}b",
        "a\u{202e}b",
        "a\u{200b}b",
        "\u{feff}a",
        &"a".repeat(256),
    ] {
        let result = bench.with_claim("sub", Some(json!(sub))).await;
        assert_eq!(refused_claim(result), "sub", "{sub:?}");
    }
    for sub in [
        "repo:octo-org@583231/octo-repo@1296269:environment:Prod%3A1",
        "project_path:g/p:ref_type:branch:ref:main",
        "ü",
        &"a".repeat(255),
    ] {
        assert!(
            bench.with_claim("sub", Some(json!(sub))).await.is_ok(),
            "{sub:?}"
        );
    }
}

#[tokio::test]
async fn the_leeway_counts_once_and_for_each_time() {
    let bench = Bench::new(|it| it.longest_life = Duration::from_hours(1));
    // claim, value, what is refused
    let cases: [(&str, i64, Option<&str>); 12] = [
        ("exp", NOW + 1, None),
        ("exp", NOW + 3600, None),
        ("exp", NOW + 3601, Some("exp")),
        ("exp", NOW, Some("exp")),
        ("nbf", NOW + 60, None),
        ("nbf", NOW + 61, Some("nbf")),
        ("iat", NOW + 60, None),
        ("iat", NOW + 61, Some("iat")),
        ("iat", NOW - 3300, None),
        ("iat", NOW - 3301, Some("exp")),
        ("iat", NOW + 300, Some("iat")),
        ("exp", i64::MAX, Some("exp")),
    ];
    for (claim, value, wanted) in cases {
        let result = bench.with_claim(claim, Some(json!(value))).await;
        match wanted {
            None => assert!(result.is_ok(), "{claim} {value}: {result:?}"),
            Some(wanted) => assert_eq!(refused_claim(result), wanted, "{claim} {value}"),
        }
    }
    bench.clock.advance(SignedDuration::from_secs(359));
    assert!(bench.verify(claims(ISSUER)).await.is_ok());
    bench.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(refused_claim(bench.verify(claims(ISSUER)).await), "exp");
}

#[tokio::test]
async fn tokens_from_before_a_restore_are_refused_for_good() {
    let bench = Bench::new(|_| {});
    let at = |second| jiff::Timestamp::from_second(second).unwrap();
    bench.verifier.refuse_before(at(NOW));
    assert!(bench.verify(claims(ISSUER)).await.is_ok());
    bench.verifier.refuse_before(at(NOW + 1));
    bench.verifier.refuse_before(at(NOW - 1));
    assert_eq!(refused_claim(bench.verify(claims(ISSUER)).await), "iat");
    let later = bench.with_claim("iat", Some(json!(NOW + 1))).await;
    assert!(later.is_ok());
}

#[tokio::test]
async fn a_token_is_the_same_token_however_it_is_signed() {
    let bench = Bench::new(|_| {});
    let id = async |jti: Option<Value>, sub: &str| {
        let mut claims = claims(ISSUER);
        claims.insert("sub".to_owned(), json!(sub));
        match jti {
            Some(jti) => claims.insert("jti".to_owned(), jti),
            None => claims.remove("jti"),
        };
        bench.verify(claims).await.unwrap().replay_id
    };
    // The same `jti` is the same token, whatever else it says. Two signatures by ECDSA differ.
    assert_eq!(
        id(Some(json!("1")), "a").await,
        id(Some(json!("1")), "b").await
    );
    assert_ne!(
        id(Some(json!("1")), "a").await,
        id(Some(json!("2")), "a").await
    );
    assert_eq!(id(None, "a").await, id(None, "a").await);
    assert_ne!(id(None, "a").await, id(None, "b").await);
}

#[tokio::test]
async fn who_changes_an_ecdsa_signature_has_the_same_token() {
    let bench = Bench::new(|_| {});
    let mut claims = claims(ISSUER);
    claims.remove("jti");
    let token = bench.signer.sign(&Value::Object(claims));
    let other = negated(&token);
    assert_ne!(token, other);
    let first = bench.verifier.verify(&token).await.unwrap();
    // Refusing it would be as good; taking it for another token would not.
    if let Ok(second) = bench.verifier.verify(&other).await {
        assert_eq!(first.replay_id, second.replay_id);
    }
}

/// With (r, s), (r, n - s) is a signature of the same text.
fn negated(token: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let order = hex::decode(ORDER).unwrap();
    let mut borrow = 0;
    for (byte, of_order) in signature[32..].iter_mut().zip(order).rev() {
        let difference = i16::from(of_order) - i16::from(*byte) - borrow;
        borrow = i16::from(difference < 0);
        *byte = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn circleci_jobs_with_ssh_are_refused() {
    const RERUN: &str = "oidc.circleci.com/ssh-rerun";
    let bench = Bench::new(|it| it.preset = Preset::Circleci);
    assert!(bench.with_claim(RERUN, None).await.is_ok());
    assert!(bench.with_claim(RERUN, Some(json!(false))).await.is_ok());
    for value in [
        json!(true),
        json!("true"),
        json!("false"),
        json!(0),
        Value::Null,
    ] {
        assert_eq!(
            refused_claim(bench.with_claim(RERUN, Some(value)).await),
            RERUN
        );
    }
}

#[tokio::test]
async fn claims_that_are_there_twice_are_refused() {
    let bench = Bench::new(|_| {});
    let claims = Value::Object(claims(ISSUER)).to_string();
    let twice = claims.replacen('{', r#"{"sub":"repo:evil/evil:ref:refs/heads/main","#, 1);
    let token = bench
        .signer
        .sign_texts(&bench.signer.header().to_string(), &twice);
    let error = bench.verifier.verify(&token).await.unwrap_err();
    assert!(
        error.to_string().contains("`sub` is there twice"),
        "{error}"
    );
    for payload in ["", "null", "[]", "\"a\"", "{}x", "{\"iss\":"] {
        let token = bench
            .signer
            .sign_texts(&bench.signer.header().to_string(), payload);
        let error = bench.verifier.verify(&token).await.unwrap_err();
        assert!(
            matches!(error, OidcError::Malformed(_)),
            "{payload}: {error}"
        );
    }
}

#[tokio::test]
async fn refusals_name_the_claim_and_never_show_the_token() {
    let bench = Bench::new(|_| {});
    let mut claims = claims(ISSUER);
    claims.insert("aud".to_owned(), json!("sts.amazonaws.com"));
    let token = bench.signer.sign(&Value::Object(claims));
    let signature = token.rsplit_once('.').unwrap().1;
    let error = bench.verifier.verify(&token).await.unwrap_err();
    let problem = error.problem();
    assert_eq!(
        (problem.code.as_str(), problem.status),
        ("oidc_invalid", 401)
    );
    assert_eq!(problem.claim.as_deref(), Some("aud"));
    let told = serde_json::to_string(&problem).unwrap();
    assert!(told.contains("sts.amazonaws.com"), "{told}");
    assert!(!told.contains(AUDIENCE), "{told}");
    assert!(error.to_string().contains(AUDIENCE), "{error}");
    for text in [told, error.to_string(), format!("{error:?}")] {
        assert!(!text.contains(signature), "{text}");
    }
}
