//! Tokens of the server's own, made and ended while it runs.

use std::time::Duration;

use fnox_api::Role;
use fnox_core::{Clock as _, TokenKind};
use serde_json::{Value, json};

use crate::support::{Answer, World};

const TOKENS: &str = "/v1/admin/tokens";
const USERS: &str = "/scim/v2/Users";

async fn create(world: &World, by: &str, wanted: Value) -> Answer {
    world.call(by, "POST", TOKENS, Some(wanted)).await
}

async fn first_administrator(world: &World) -> String {
    let (day, now) = (Duration::from_hours(24), world.clock.now());
    let issued = world
        .store
        .issue_token(TokenKind::Bootstrap, None, day, now);
    let token = issued.await.unwrap();
    token.secret().expose_secret().to_owned()
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_identity_providers_token_is_made_listed_and_revoked_while_the_server_runs() {
    let world = World::new().await;
    let admin = world.person("ann", &[Role::Admin]).await;
    let answer = create(&world, &admin, json!({"role": "scim"})).await;
    let made = answer.must_be(201).json();
    let (id, token) = (text(&made, "id"), text(&made, "token"));
    assert!(token.starts_with("fxp_"), "{token}");
    assert_eq!(made["expires_at"], "2027-06-01T12:00:00Z");
    let other = create(&world, &admin, json!({"role": "scim", "ttl_seconds": 60})).await;
    let other = text(&other.must_be(201).json(), "token");
    world.call(&token, "GET", USERS, None).await.must_be(200);

    let listed = world.call(&admin, "GET", TOKENS, None).await.must_be(200);
    assert!(!listed.text.contains("fxp_"), "{}", listed.text);
    let listed = listed.json();
    let entry = &listed["tokens"][0];
    assert_eq!(
        (&entry["id"], &entry["role"]),
        (&made["id"], &json!("scim")),
        "{listed}"
    );
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 2);

    let one = format!("{TOKENS}/{id}");
    world.call(&admin, "DELETE", &one, None).await.must_be(204);
    world.call(&token, "GET", USERS, None).await.must_be(401);
    world.call(&other, "GET", USERS, None).await.must_be(200);
    world.call(&admin, "DELETE", &one, None).await.must_be(404);
    let log = world.call(&admin, "GET", "/v1/audit?event=token_revoked", None);
    let log = log.await.must_be(200).json();
    assert_eq!(log["records"][0]["lease"], json!(id), "{log}");
    assert_eq!(log["records"][0]["actor"], "people:ann", "{log}");
    assert_eq!(log["records"].as_array().unwrap().len(), 1);
    // It ends by its own time too.
    world.clock.advance(jiff::SignedDuration::from_secs(61));
    world.call(&other, "GET", USERS, None).await.must_be(401);
}

#[tokio::test]
async fn revoke_all_ends_the_tokens_of_identity_providers_and_other_administrators() {
    let world = World::new().await;
    let (admin, other) = (
        first_administrator(&world).await,
        first_administrator(&world).await,
    );
    let made = create(&world, &admin, json!({"role": "scim"})).await;
    let scim = text(&made.must_be(201).json(), "token");
    let answer = world.call(&admin, "POST", "/v1/admin/revoke-all", None);
    let answer = answer.await.must_be(200).json();
    assert_eq!(answer["sessions_ended"], 2, "{answer}");
    world.call(&scim, "GET", USERS, None).await.must_be(401);
    world.call(&other, "GET", TOKENS, None).await.must_be(401);
    let left = world.call(&admin, "GET", TOKENS, None).await.must_be(200);
    assert_eq!(left.json()["tokens"].as_array().unwrap().len(), 1);
}

/// Otherwise whoever is an administrator today would have a way in that the end of the login does not close.
#[tokio::test]
async fn a_person_makes_no_administrators_token() {
    let world = World::new().await;
    let admin = world.person("ann", &[Role::Admin]).await;
    let refused = create(&world, &admin, json!({"role": "admin"})).await;
    refused.must_be(403).must_fail("role_missing");
    let first = first_administrator(&world).await;
    let made = create(&world, &first, json!({"role": "admin"})).await;
    let made = text(&made.must_be(201).json(), "token");
    assert!(made.starts_with("fxb_"), "{made}");
    world.call(&made, "GET", TOKENS, None).await.must_be(200);
}

#[tokio::test]
async fn a_token_is_for_one_of_two_roles_and_lasts_no_longer_than_it_may() {
    let world = World::new().await;
    let first = first_administrator(&world).await;
    for (wanted, field) in [
        (json!({}), "role"),
        (json!({"role": "reader"}), "role"),
        (json!({"role": "scim", "ttl": 3}), "ttl"),
        (json!({"role": "scim", "ttl_seconds": 0}), "ttl_seconds"),
        (
            json!({"role": "scim", "ttl_seconds": 63_072_001}),
            "ttl_seconds",
        ),
        (
            json!({"role": "admin", "ttl_seconds": 604_801}),
            "ttl_seconds",
        ),
    ] {
        let answer = create(&world, &first, wanted.clone()).await;
        let answer = answer.must_be(400).must_fail("invalid_request");
        assert_eq!(answer.json()["field"], field, "{wanted}: {}", answer.text);
    }
}

/// A session of somebody who logged in is no token, and is not ended as one.
#[tokio::test]
async fn what_is_no_token_is_not_revoked_as_one() {
    let world = World::new().await;
    let admin = world.person("ann", &[Role::Admin]).await;
    let job = world.job().await;
    let log = world
        .call(&admin, "GET", "/v1/audit?event=login", None)
        .await;
    let ids = log.json();
    for record in ids["records"].as_array().unwrap() {
        let Some(id) = record["lease"].as_str() else {
            continue;
        };
        let path = format!("{TOKENS}/{id}");
        world.call(&admin, "DELETE", &path, None).await.must_be(404);
    }
    let path = format!("{TOKENS}/nonsense");
    world.call(&admin, "DELETE", &path, None).await.must_be(404);
    world
        .call(&job, "GET", "/v1/sessions/current", None)
        .await
        .must_be(200);
}
