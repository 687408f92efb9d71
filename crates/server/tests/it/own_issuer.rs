//! Tokens of an issuer that is two files, from file to session.

use std::time::Duration;

use fnox_core::Clock as _;
use fnox_server::oidc::OwnIssuer;
use fnox_server::settings::Algorithm;
use serde_json::{Map, Value};

use crate::support::{World, job};

#[tokio::test]
async fn a_token_of_an_own_issuer_opens_one_session() {
    let issuer = OwnIssuer::generate().unwrap();
    let world = World::with(|settings| {
        let file = settings.policy.with_file_name("jwks.json");
        std::fs::write(&file, issuer.key_set()).unwrap();
        settings.issuers[0].jwks_file = Some(file);
        settings.issuers[0].algorithms = vec![Algorithm::EdDsa];
    })
    .await;
    let mut claims: Map<String, Value> = job(&[]).claims.into_iter().collect();
    claims.remove("iss");
    let sign = |audience: &str| {
        issuer
            .sign(
                "https://issuer.example.com",
                audience,
                &claims,
                Duration::from_mins(5),
                world.clock.now(),
            )
            .unwrap()
    };
    let token = sign("https://fnox.example.com");
    let created = world
        .call(&token, "POST", "/v1/sessions", None)
        .await
        .must_be(201);
    assert_eq!(created.json()["principal"], "github:1296269");
    world
        .call(&token, "POST", "/v1/sessions", None)
        .await
        .must_be(401)
        .must_fail("token_replayed");
    let session = created.json()["token"].as_str().unwrap().to_owned();
    let seen = world
        .call(&session, "GET", "/v1/sessions/current", None)
        .await
        .must_be(200);
    assert_eq!(seen.json()["claims"]["repository"], "octo-org/hello");
    let elsewhere = sign("sts.amazonaws.com");
    let refused = world
        .call(&elsewhere, "POST", "/v1/sessions", None)
        .await
        .must_be(401)
        .must_fail("oidc_invalid");
    assert!(refused.text.contains("aud"), "{}", refused.text);
}

#[tokio::test]
async fn a_token_is_taken_once_however_many_try_at_the_same_time() {
    let issuer = OwnIssuer::generate().unwrap();
    let world = World::with(|settings| {
        let file = settings.policy.with_file_name("jwks.json");
        std::fs::write(&file, issuer.key_set()).unwrap();
        settings.issuers[0].jwks_file = Some(file);
        settings.issuers[0].algorithms = vec![Algorithm::EdDsa];
    })
    .await;
    let mut claims: Map<String, Value> = job(&[]).claims.into_iter().collect();
    claims.remove("iss");
    let token = issuer
        .sign(
            "https://issuer.example.com",
            "https://fnox.example.com",
            &claims,
            Duration::from_mins(5),
            world.clock.now(),
        )
        .unwrap();
    let tries = (0..32).map(|_| world.call(&token, "POST", "/v1/sessions", None));
    let answers = futures_util::future::join_all(tries).await;
    let opened = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(opened, 1);
    assert!(
        answers
            .iter()
            .all(|answer| [201, 401].contains(&answer.status.as_u16()))
    );
}

#[tokio::test]
async fn who_is_not_in_the_policy_learns_which_claim_it_was() {
    let issuer = OwnIssuer::generate().unwrap();
    let world = World::with(|settings| {
        let file = settings.policy.with_file_name("jwks.json");
        std::fs::write(&file, issuer.key_set()).unwrap();
        settings.issuers[0].jwks_file = Some(file);
        settings.issuers[0].algorithms = vec![Algorithm::EdDsa];
    })
    .await;
    let login = async |name: &str, value: &str| {
        let mut claims: Map<String, Value> = job(&[(name, value)]).claims.into_iter().collect();
        claims.remove("iss");
        let token = issuer
            .sign(
                "https://issuer.example.com",
                "https://fnox.example.com",
                &claims,
                Duration::from_mins(5),
                world.clock.now(),
            )
            .unwrap();
        world.call(&token, "POST", "/v1/sessions", None).await
    };
    for (name, value) in [
        ("ref", "refs/heads/main-evil"),
        ("event_name", "pull_request"),
        ("repository_id", "666"),
        ("repository_owner_id", "666"),
    ] {
        let refused = login(name, value)
            .await
            .must_be(403)
            .must_fail("policy_denied");
        assert_eq!(refused.json()["claim"], name, "{}", refused.text);
        assert!(
            !refused.text.contains("1296269") || name != "repository_id",
            "{}",
            refused.text
        );
    }
    // Renamed: the id is the same, so it goes on.
    login("repository", "octo-org/new-name").await.must_be(201);
    // The old name comes back with another id, which the policy does not know anyway; and the new name too.
    login("repository_id", "777").await.must_be(403);
}
