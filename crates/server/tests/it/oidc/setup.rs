//! Settings that are refused before anything starts.

use std::sync::Arc;
use std::time::Duration;

use fnox_server::oidc::{OidcError, Verifier};
use fnox_server::settings::{Algorithm, IssuerSettings, Preset};
use fnox_testkit::FakeClock;
use serde_json::{Value, json};

use super::signer::{AUDIENCE, NOW_TEXT, Signer, claims, jwks, settings};

fn refusal(issuers: &[IssuerSettings]) -> Option<String> {
    let clock = Arc::new(FakeClock::at(NOW_TEXT));
    Verifier::new(issuers, clock)
        .err()
        .map(|error| error.to_string())
}

#[test]
fn settings_that_would_be_dangerous_are_refused_by_name() {
    type Change = fn(&mut IssuerSettings);
    let cases: [(&str, Change); 18] = [
        ("`url`", |it| it.url = String::new()),
        ("`url`", |it| it.url = "issuer.example".to_owned()),
        ("`url`", |it| it.url = "http://issuer.example".to_owned()),
        ("`url`", |it| it.url = "http://127.0.0.1:9".to_owned()),
        ("`url`", |it| {
            it.url = "https://issuer.example?a=b".to_owned();
        }),
        ("`url`", |it| {
            it.url = "https://user:pass@issuer.example".to_owned();
        }),
        ("`url`", |it| it.url = "ftp://issuer.example".to_owned()),
        ("`audience`", |it| it.audience = String::new()),
        ("`audience`", |it| it.audience = " ".to_owned()),
        ("`audience`", |it| {
            it.preset = Preset::Github;
            it.audience = "https://github.com/octo-org".to_owned();
        }),
        ("`algorithms`", |it| it.algorithms = Vec::new()),
        ("`leeway`", |it| it.leeway = Duration::from_secs(301)),
        ("`longest_life`", |it| it.longest_life = Duration::ZERO),
        ("`longest_life`", |it| {
            it.longest_life = Duration::from_secs(86_401);
        }),
        ("`allow_origins`", |it| {
            it.allow_origins = vec!["issuer.example".to_owned()];
        }),
        ("`allow_origins`", |it| {
            it.allow_origins = vec!["http://10.0.0.1".to_owned()];
        }),
        ("`allow_origins`", |it| {
            it.allow_origins = vec!["https://a.example/b".to_owned()];
        }),
        ("`allow_origins`", |it| {
            it.allow_origins = vec!["https://*.example".to_owned(), String::new()];
        }),
    ];
    for (index, (field, change)) in cases.into_iter().enumerate() {
        let mut issuer = settings("https://issuer.example", Algorithm::Rs256);
        assert_eq!(refusal(std::slice::from_ref(&issuer)), None);
        change(&mut issuer);
        let refusal = refusal(&[issuer]).unwrap_or_else(|| panic!("case {index}"));
        assert!(
            refusal.contains(field) && refusal.contains("\"test\""),
            "{refusal}"
        );
    }
}

#[test]
fn two_issuers_differ_in_name_and_in_address_or_audience() {
    let one = settings("https://issuer.example", Algorithm::Rs256);
    let named = |name: &str, audience: &str| {
        let mut issuer = one.clone();
        name.clone_into(&mut issuer.name);
        audience.clone_into(&mut issuer.audience);
        issuer
    };
    assert!(
        refusal(&[one.clone(), named("test", "other")])
            .unwrap()
            .contains("`name`")
    );
    assert!(
        refusal(&[one.clone(), named("two", AUDIENCE)])
            .unwrap()
            .contains("`audience`")
    );
    assert_eq!(refusal(&[one.clone(), named("two", "other")]), None);
}

#[tokio::test]
async fn the_audience_tells_jobs_from_people_of_one_issuer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let signer = Signer::es256("k");
    std::fs::write(&file, jwks(&[&signer]).to_string()).unwrap();
    let mut jobs = settings("https://gitlab.example", Algorithm::Es256);
    jobs.preset = Preset::Gitlab;
    jobs.jwks_file = Some(file);
    let mut people = jobs.clone();
    people.name = "people".to_owned();
    people.preset = Preset::Generic;
    people.audience = "client-id".to_owned();
    let verifier = Verifier::new(&[jobs, people], Arc::new(FakeClock::at(NOW_TEXT))).unwrap();
    let verify = async |aud: Value| {
        let mut claims = claims("https://gitlab.example");
        claims.insert("aud".to_owned(), aud);
        let token = signer.sign(&Value::Object(claims));
        verifier
            .verify(&token)
            .await
            .map(|verified| verified.issuer)
    };
    assert_eq!(verify(json!(AUDIENCE)).await.unwrap(), "test");
    assert_eq!(
        verify(json!(["other", "client-id"])).await.unwrap(),
        "people"
    );
    for aud in [json!([AUDIENCE, "client-id"]), json!("other"), json!([])] {
        let error = verify(aud).await.unwrap_err();
        assert!(
            matches!(&error, OidcError::Claim { claim, .. } if claim == "aud"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn access_tokens_are_only_for_issuers_of_people() {
    for (preset, fine) in [(Preset::Generic, true), (Preset::Github, false)] {
        let bench = super::bench::Bench::new(|it| it.preset = preset);
        let header = json!({"alg": "ES256", "kid": bench.signer.kid, "typ": "at+jwt"});
        let payload = Value::Object(claims(super::bench::ISSUER)).to_string();
        let token = bench.signer.sign_texts(&header.to_string(), &payload);
        assert_eq!(
            bench.verifier.verify(&token).await.is_ok(),
            fine,
            "{preset:?}"
        );
    }
}
