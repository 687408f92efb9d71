//! From request to fetch, by HTTP.

use fnox_api::Role;
use serde_json::json;

use crate::support::{World, ciphertext, job, wanted};

const ADMIN: &[Role] = &[Role::Admin];
const APPROVER: &[Role] = &[Role::Approver];

#[tokio::test]
async fn a_job_gets_a_secret_once_after_a_person_said_yes() {
    let world = World::new().await;
    let admin = world.person("ann", ADMIN).await;
    let stored = world.put(&admin, "NPM_TOKEN", json!({})).await.must_be(201);
    assert_eq!(stored.headers["etag"], "\"1\"");
    let job = world.job().await;
    let asked = world.ask(&job, &["NPM_TOKEN"]).await.must_be(201);
    assert_eq!(asked.json()["status"], "pending");
    assert_eq!(asked.json()["code"].as_str().unwrap().len(), 6);
    world
        .grant(&job, &asked.id())
        .await
        .must_fail("approval_not_approved");

    let approver = world.person("bob", APPROVER).await;
    let after = world.approve(&approver, &asked).await.must_be(200);
    assert_eq!(after.json()["status"], "approved");
    let granted = world.grant(&job, &asked.id()).await.must_be(201);
    let grant = granted.json()["grant_token"].as_str().unwrap().to_owned();
    world.grant(&job, &asked.id()).await.must_be(409);

    let fetched = world.fetch(&grant).await.must_be(200).json();
    assert_eq!(fetched["secrets"][0]["key"], "NPM_TOKEN");
    assert_eq!(fetched["secrets"][0]["version"], 1);
    assert_eq!(fetched["secrets"][0]["ciphertext"], json!(ciphertext(1)));
    world
        .fetch(&grant)
        .await
        .must_be(410)
        .must_fail("grant_used");

    let log = world.call(&admin, "GET", "/v1/audit", None).await;
    let events: Vec<String> = log.json()["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["event"].as_str().unwrap().to_owned())
        .filter(|event| event != "login")
        .collect();
    assert_eq!(
        events,
        [
            "secret_stored",
            "approval_requested",
            "grant_created",
            "approval_approved",
            "grant_created",
            "grant_created",
            "secrets_fetched",
            "grant_replayed",
        ]
    );
}

#[tokio::test]
async fn the_same_request_is_the_same_approval() {
    let world = World::new().await;
    let admin = world.person("ann", ADMIN).await;
    world.put(&admin, "NPM_TOKEN", json!({})).await.must_be(201);
    let first = world.job().await;
    // A new token of the same run.
    let second = world.job().await;
    let one = world.ask(&first, &["NPM_TOKEN"]).await.must_be(201);
    let two = world.ask(&second, &["NPM_TOKEN"]).await.must_be(200);
    assert_eq!(one.id(), two.id());
    assert_eq!(one.json()["code"], two.json()["code"]);
    // Another attempt is another requester.
    let other = world.session(job(&[("run_attempt", "2")])).await;
    let three = world.ask(&other, &["NPM_TOKEN"]).await.must_be(201);
    assert_ne!(one.id(), three.id());
    let path = format!("/v1/approvals/{}", one.id());
    world.call(&other, "GET", &path, None).await.must_be(404);
    world.call(&other, "DELETE", &path, None).await.must_be(404);
    world.grant(&other, &one.id()).await.must_fail("not_found");
}

#[tokio::test]
async fn keys_that_need_nobody_are_granted_at_once_and_others_are_not() {
    let world = World::new().await;
    let admin = world.person("ann", ADMIN).await;
    world.put(&admin, "FREE_DSN", json!({})).await.must_be(201);
    world
        .put(&admin, "FREE_STRICT", json!({"require_approval": true}))
        .await
        .must_be(201);
    let job = world.job().await;
    let body = wanted(&["FREE_DSN"]);
    let granted = world.call(&job, "POST", "/v1/grants", Some(body)).await;
    let grant = granted.must_be(201).json()["grant_token"]
        .as_str()
        .unwrap()
        .to_owned();
    world.fetch(&grant).await.must_be(200);
    let body = wanted(&["FREE_DSN", "FREE_STRICT"]);
    world
        .call(&job, "POST", "/v1/grants", Some(body))
        .await
        .must_fail("approval_needed");
    let asked = world.ask(&job, &["FREE_DSN"]).await.must_be(201);
    assert_eq!(asked.json()["status"], "approved");
}

#[tokio::test]
async fn what_changed_since_the_approval_is_not_released() {
    let world = World::new().await;
    let admin = world.person("ann", ADMIN).await;
    world.put(&admin, "NPM_TOKEN", json!({})).await.must_be(201);
    let job = world.job().await;
    let approver = world.person("bob", APPROVER).await;

    let asked = world.ask(&job, &["NPM_TOKEN"]).await.must_be(201);
    world.approve(&approver, &asked).await.must_be(200);
    world
        .put(&admin, "NPM_TOKEN", json!({"ciphertext": ciphertext(2)}))
        .await
        .must_be(200);
    let refused = world
        .grant(&job, &asked.id())
        .await
        .must_fail("approval_changed");
    assert_eq!(refused.json()["key"], "NPM_TOKEN");

    let asked = world.ask(&job, &["NPM_TOKEN"]).await.must_be(201);
    world.approve(&approver, &asked).await.must_be(200);
    let granted = world.grant(&job, &asked.id()).await.must_be(201);
    let grant = granted.json()["grant_token"].as_str().unwrap().to_owned();
    let path = "/v1/projects/my-app/secrets/NPM_TOKEN";
    world.call(&admin, "DELETE", path, None).await.must_be(204);
    world.fetch(&grant).await.must_fail("approval_changed");
    // The version goes on, so an old approval never fits a new secret.
    let again = world.put(&admin, "NPM_TOKEN", json!({})).await;
    assert_eq!(again.json()["version"], 3);
    world.fetch(&grant).await.must_fail("approval_changed");
}

#[tokio::test]
async fn the_second_wrong_code_denies() {
    let world = World::new().await;
    let admin = world.person("ann", ADMIN).await;
    world.put(&admin, "NPM_TOKEN", json!({})).await.must_be(201);
    let job = world.job().await;
    let approver = world.person("bob", APPROVER).await;
    let asked = world.ask(&job, &["NPM_TOKEN"]).await.must_be(201);
    let path = format!("/v1/approvals/{}/decision", asked.id());
    let wrong = json!({"decision": "approve", "code": "UUUUUU"});
    let none = json!({"decision": "approve"});
    world
        .call(&approver, "POST", &path, Some(none))
        .await
        .must_fail("code_missing");
    for _ in 0..2 {
        world
            .call(&approver, "POST", &path, Some(wrong.clone()))
            .await
            .must_fail("code_wrong");
    }
    world
        .approve(&approver, &asked)
        .await
        .must_fail("approval_decided");
    let asked_again = world.ask(&job, &["NPM_TOKEN"]).await;
    let quiet = asked_again.must_be(429).must_fail("quiet_time");
    assert_eq!(quiet.headers["retry-after"], "300");
}

#[tokio::test]
async fn a_no_wins_until_something_was_granted() {
    let world = World::new().await;
    let admin = world.person("ann", ADMIN).await;
    world.put(&admin, "NPM_TOKEN", json!({})).await.must_be(201);
    let job = world.job().await;
    let [bob, eve] = [
        world.person("bob", APPROVER).await,
        world.person("eve", APPROVER).await,
    ];
    let asked = world.ask(&job, &["NPM_TOKEN"]).await.must_be(201);
    world.approve(&bob, &asked).await.must_be(200);
    // The same tap again changes nothing.
    let again = world.approve(&bob, &asked).await.must_be(200);
    assert_eq!(again.json()["decisions"].as_array().unwrap().len(), 1);
    let path = format!("/v1/approvals/{}/decision", asked.id());
    let no = world
        .call(&eve, "POST", &path, Some(json!({"decision": "deny"})))
        .await
        .must_be(200);
    assert_eq!(no.json()["status"], "denied");
    world
        .grant(&job, &asked.id())
        .await
        .must_fail("approval_decided");
}

#[tokio::test]
async fn a_frozen_server_releases_nothing() {
    let world = World::new().await;
    let admin = world.person("ann", ADMIN).await;
    world.put(&admin, "NPM_TOKEN", json!({})).await.must_be(201);
    let job = world.job().await;
    let approver = world.person("bob", APPROVER).await;
    let asked = world.ask(&job, &["NPM_TOKEN"]).await.must_be(201);
    world.approve(&approver, &asked).await.must_be(200);
    let granted = world.grant(&job, &asked.id()).await.must_be(201);
    let grant = granted.json()["grant_token"].as_str().unwrap().to_owned();
    world
        .call(&admin, "POST", "/v1/admin/freeze", None)
        .await
        .must_be(200);
    world.fetch(&grant).await.must_be(503).must_fail("frozen");
    world.ask(&job, &["NPM_TOKEN"]).await.must_fail("frozen");
    world
        .call(&admin, "POST", "/v1/admin/unfreeze", None)
        .await
        .must_be(200);
    world.fetch(&grant).await.must_be(200);
}

#[tokio::test]
async fn time_ends_requests_yeses_and_grants() {
    use jiff::SignedDuration;
    let world = World::new().await;
    let admin = world.person("ann", ADMIN).await;
    world.put(&admin, "NPM_TOKEN", json!({})).await.must_be(201);
    let job = world.job().await;
    let asked = world.ask(&job, &["NPM_TOKEN"]).await.must_be(201);
    world.clock.advance(SignedDuration::from_mins(10));
    let approver = world.person("bob", APPROVER).await;
    world
        .approve(&approver, &asked)
        .await
        .must_fail("approval_not_approved");
    let path = format!("/v1/approvals/{}", asked.id());
    let seen = world.call(&job, "GET", &path, None).await;
    assert_eq!(seen.json()["status"], "expired");

    let job = world.job().await;
    let asked = world.ask(&job, &["NPM_TOKEN"]).await.must_be(201);
    world.approve(&approver, &asked).await.must_be(200);
    let granted = world.grant(&job, &asked.id()).await.must_be(201);
    let grant = granted.json()["grant_token"].as_str().unwrap().to_owned();
    world.clock.advance(SignedDuration::from_secs(60));
    world.fetch(&grant).await.must_fail("grant_expired");
    // What ended by time does not come back with a clock that is set back.
    world
        .store
        .expire(fnox_core::Clock::now(&*world.clock), 100)
        .await
        .unwrap();
    world
        .clock
        .set_wall("2026-06-01T12:00:00Z".parse().unwrap());
    let seen = world
        .call(&job, "GET", &format!("/v1/approvals/{}", asked.id()), None)
        .await;
    assert_eq!(seen.json()["status"], "expired");
    world.fetch(&grant).await.must_fail("grant_expired");
}
