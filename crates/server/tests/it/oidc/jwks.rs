//! Keys that are no good, and keys that are not what a token says.

use std::sync::Arc;

use fnox_server::oidc::keys::KeySet;
use fnox_server::oidc::{OidcError, Verifier};
use fnox_server::settings::Algorithm;
use fnox_testkit::FakeClock;
use serde_json::{Value, json};

use super::issuer::Issuer;
use super::signer::{NOW_TEXT, Signer, claims, encode_bytes, jwks};

/// Defects of keys, each in a document with a good key, which stays usable.
#[tokio::test]
async fn keys_with_a_defect_are_left_out_alone() {
    let good = Signer::es256("good");
    let rsa = Signer::rsa(Algorithm::Rs256, "RS256_2048", "bad").jwk();
    let ec = Signer::es256("bad").jwk();
    let with = |jwk: &Value, member: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[member] = value;
        jwk
    };
    let without = |jwk: &Value, member: &str| {
        let mut jwk = jwk.clone();
        jwk.as_object_mut().unwrap().remove(member);
        jwk
    };
    let short = rsa["n"].as_str().unwrap()[..336].to_owned();
    let x_of_another = Signer::es256("x").jwk()["x"].clone();
    let cases = [
        (with(&rsa, "n", json!(short)), "2016 bits"),
        (
            with(&rsa, "n", json!(encode_bytes(&[0xff; 1024]))),
            "8192 bits",
        ),
        (
            with(&rsa, "n", json!(encode_bytes(&[0xfe; 256]))),
            "modulus is even",
        ),
        (with(&rsa, "n", json!("")), "0 bits"),
        (with(&rsa, "n", json!("AA==")), "`n`"),
        (with(&rsa, "n", json!(1)), "`n`"),
        (with(&rsa, "e", json!("AQ")), "exponent"),
        (with(&rsa, "e", json!("Aw")), "exponent"),
        (with(&rsa, "e", json!("AQAA")), "exponent"),
        (with(&rsa, "e", json!(encode_bytes(&[0xff; 9]))), "exponent"),
        (with(&rsa, "use", json!("enc")), "`use`"),
        (with(&rsa, "use", Value::Null), "`use`"),
        (with(&rsa, "key_ops", json!(["sign"])), "`key_ops`"),
        (with(&rsa, "key_ops", json!("verify")), "`key_ops`"),
        (with(&rsa, "alg", json!("RSA-OAEP")), "RSA-OAEP"),
        (with(&rsa, "alg", json!("HS256")), "HS256"),
        (with(&rsa, "alg", json!("PS256")), "PS256"),
        (with(&rsa, "alg", json!("none")), "none"),
        (with(&rsa, "d", json!("AAAA")), "private"),
        (with(&rsa, "kty", json!("rsa")), "`kty`"),
        (without(&rsa, "kty"), "`kty`"),
        (without(&rsa, "kid"), "name it"),
        (with(&ec, "crv", json!("P-384")), "48 bytes"),
        (with(&ec, "crv", json!("secp256k1")), "`crv`"),
        (with(&ec, "x", x_of_another), "no key"),
        (with(&ec, "alg", json!("ES384")), "ES384"),
        (
            json!({"kty": "oct", "kid": "bad", "k": "AAAA"}),
            "symmetric",
        ),
        (
            json!({"kty": "OKP", "crv": "X25519", "x": "AAAA", "kid": "bad"}),
            "`crv`",
        ),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "bad"}),
            "32 bytes",
        ),
        (json!("key"), "object"),
    ];
    for (bad, wanted) in cases {
        let document = json!({"keys": [bad, good.jwk()]}).to_string();
        let allowed = [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384];
        let set = KeySet::parse(document.as_bytes(), &allowed).unwrap();
        assert_eq!(set.len(), 1, "{bad}");
        assert!(set.find("good").is_some(), "{bad}");
        assert!(
            set.refused()[0].contains(wanted),
            "{wanted}: {:?}",
            set.refused()
        );
    }
}

#[test]
fn keys_that_share_an_id_are_all_left_out() {
    let (one, two, good) = (
        Signer::es256("same"),
        Signer::es256("same"),
        Signer::es256("good"),
    );
    let parse = |document: Value| {
        let text = document.to_string();
        KeySet::parse(text.as_bytes(), &[Algorithm::Es256])
    };
    let set = parse(jwks(&[&one, &good, &two])).unwrap();
    assert_eq!((set.len(), set.refused().len()), (1, 2));
    assert!(set.find("same").is_none());
    // The same key twice is one key.
    let set = parse(jwks(&[&one, &good, &one])).unwrap();
    assert_eq!((set.len(), set.refused().len()), (2, 0));
    let many: Vec<Value> = (0..101).map(|_| good.jwk()).collect();
    assert!(
        parse(json!({"keys": many}))
            .unwrap_err()
            .contains("101 keys")
    );
}

#[tokio::test]
async fn the_key_decides_about_the_algorithm_and_not_the_token() {
    let rsa = Signer::rsa(Algorithm::Rs256, "RS256_2048", "rsa");
    let ec = Signer::es256("ec");
    let issuer = Issuer::start(jwks(&[&rsa, &ec])).await;
    let mut settings = issuer.settings(Algorithm::Es256);
    settings.algorithms = vec![Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256];
    let clock = Arc::new(FakeClock::at(NOW_TEXT));
    let verifier = Verifier::new(&[settings], clock).unwrap();
    let payload = Value::Object(claims(&issuer.url)).to_string();
    for signer in [&rsa, &ec] {
        let token = signer.sign_texts(&signer.header().to_string(), &payload);
        verifier.verify(&token).await.unwrap();
        for alg in [
            "RS256", "RS384", "PS256", "ES256", "ES384", "EdDSA", "HS256", "none", "None", "",
        ] {
            if signer.header()["alg"] != alg {
                let header = json!({"alg": alg, "kid": signer.kid}).to_string();
                let token = signer.sign_texts(&header, &payload);
                let error = verifier.verify(&token).await.unwrap_err();
                assert!(
                    matches!(&error, OidcError::Header { member, .. } if member == "alg"),
                    "{alg}: {error}"
                );
            }
        }
        // Another key's id, and none.
        let kid = if signer.kid == "ec" { "rsa" } else { "ec" };
        let header = json!({"alg": signer.header()["alg"], "kid": kid}).to_string();
        assert!(
            verifier
                .verify(&signer.sign_texts(&header, &payload))
                .await
                .is_err()
        );
        let header = json!({"alg": signer.header()["alg"]}).to_string();
        assert!(
            verifier
                .verify(&signer.sign_texts(&header, &payload))
                .await
                .is_err()
        );
    }
    // A stranger's key of the same name.
    let stranger = Signer::es256("ec");
    let error = verifier
        .verify(&stranger.sign_texts(&stranger.header().to_string(), &payload))
        .await;
    assert!(
        matches!(error, Err(OidcError::Signature { .. })),
        "{error:?}"
    );
}
