//! A policy that is replaced counts for requests that are there already.

use fnox_api::Role;
use serde_json::json;

use crate::questions;
use crate::support::{Answer, POLICY, World};

const APPROVER: &[Role] = &[Role::Approver];

/// The policy with more terms in its first rule.
fn with_terms(terms: &str) -> String {
    let usual = "require_approval = true";
    POLICY.replacen(usual, &format!("{usual}\n{terms}"), 1)
}

/// A job that asked for a secret.
async fn asked(world: &World) -> (String, Answer) {
    let admin = world.person("ann", &[Role::Admin]).await;
    world.put(&admin, "NPM_TOKEN", json!({})).await.must_be(201);
    let job = world.job().await;
    let asked = world.ask(&job, &["NPM_TOKEN"]).await.must_be(201);
    (job, asked)
}

#[tokio::test]
async fn whoever_the_policy_does_not_name_any_more_does_not_decide() {
    let world = World::new().await;
    world.set_policy(&with_terms("approvers = [\"bob\"]"));
    let (job, asked) = asked(&world).await;
    world.set_policy(&with_terms("approvers = [\"eve\"]"));
    let [bob, eve] = [
        world.person("bob", APPROVER).await,
        world.person("eve", APPROVER).await,
    ];
    let refused = world.approve(&bob, &asked).await.must_be(403);
    refused.must_fail("role_missing");
    world.approve(&eve, &asked).await.must_be(200);
    world.grant(&job, &asked.id()).await.must_be(201);
}

#[tokio::test]
async fn as_many_say_yes_as_the_policy_wants_now() {
    let world = World::new().await;
    let (job, asked) = asked(&world).await;
    world.set_policy(&with_terms("approvals_needed = 2"));
    let [bob, eve] = [
        world.person("bob", APPROVER).await,
        world.person("eve", APPROVER).await,
    ];
    let first = world.approve(&bob, &asked).await.must_be(200).json();
    assert_eq!(
        (&first["status"], &first["approvals_needed"]),
        (&json!("pending"), &json!(2))
    );
    world
        .grant(&job, &asked.id())
        .await
        .must_fail("approval_not_approved");
    let second = world.approve(&eve, &asked).await.must_be(200).json();
    assert_eq!(second["status"], "approved");
    world.grant(&job, &asked.id()).await.must_be(201);
}

#[tokio::test]
async fn a_yes_on_easier_terms_becomes_no_grant() {
    for stricter in [
        "approvals_needed = 2",
        "approvers = [\"eve\"]",
        "approvers = [\"group:leads\"]",
    ] {
        let world = World::new().await;
        let (job, asked) = asked(&world).await;
        let bob = world.person("bob", APPROVER).await;
        world.approve(&bob, &asked).await.must_be(200);
        world.set_policy(&with_terms(stricter));
        let refused = world.grant(&job, &asked.id()).await.must_be(409);
        refused.must_fail("approval_changed");
        // Whoever said yes is one of those who may.
        world.set_policy(&with_terms("approvers = [\"bob\", \"eve\"]"));
        world.grant(&job, &asked.id()).await.must_be(201);
    }
}

#[tokio::test]
async fn a_yes_to_a_question_is_used_on_the_terms_of_now() {
    let usual = "longest = \"15m\"";
    let with_terms = |terms: &str| POLICY.replacen(usual, &format!("{usual}\n{terms}"), 1);
    let world = World::new().await;
    let gateway = questions::gateway(&world, "builders").await;
    let body = questions::wanted(1);
    let asked = world
        .call(&gateway, "POST", "/v1/questions", Some(body))
        .await
        .must_be(201);
    let [bob, eve] = [
        world.person("bob", APPROVER).await,
        world.person("eve", APPROVER).await,
    ];
    world.set_policy(&with_terms("approvers = [\"bob\"]"));
    world
        .approve(&eve, &asked)
        .await
        .must_be(403)
        .must_fail("role_missing");
    world.approve(&bob, &asked).await.must_be(200);
    world.set_policy(&with_terms("approvers = [\"eve\"]"));
    let path = format!("/v1/questions/{}/use", asked.id());
    world
        .call(&gateway, "POST", &path, None)
        .await
        .must_be(409)
        .must_fail("approval_changed");
    world.set_policy(POLICY);
    world.call(&gateway, "POST", &path, None).await.must_be(200);
}
