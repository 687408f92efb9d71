//! What people who have logged in see and decide.

use axum::body::Body;
use axum::http::Request;
use fnox_api::Role;
use fnox_server::Subject;
use fnox_server::link;
use fnox_server::settings::{ApproveBy, Preset};
use serde_json::json;

use super::Scene;
use super::browser::Browser;
use crate::support::POLICY;

/// Opens the page and sends its form.
async fn decide(
    browser: &mut Browser<'_>,
    scene: &Scene,
    decision: &str,
    code: &str,
) -> crate::support::Answer {
    let nonce = browser.get(&scene.page).await.must_be(200).nonce();
    let fields = [
        ("nonce", nonce.as_str()),
        ("code", code),
        ("decision", decision),
    ];
    browser.post(&scene.page, &fields).await
}

#[tokio::test]
async fn an_approver_with_the_code_says_yes_in_their_own_name() {
    let scene = Scene::with(|settings| settings.approvals.approve_by = ApproveBy::Login).await;
    let mut bob = scene.person("bob", &["approvers"]).await;
    let decided = decide(&mut bob, &scene, "approve", &scene.code)
        .await
        .must_be(200);
    assert!(decided.text.contains("people:bob"), "{}", decided.text);
    assert_eq!(scene.status().await, "approved");
    // Again, from a tab that was open: nothing changes.
    let page = bob.get(&scene.page).await.must_be(200);
    assert!(!page.text.contains("<form"), "{}", page.text);
    let admin = scene.world.person("ann", &[Role::Admin]).await;
    let path = "/v1/audit?event=approval_approved";
    let log = scene.world.call(&admin, "GET", path, None).await.json();
    assert_eq!(log["records"][0]["actor"], "people:bob");
}

#[tokio::test]
async fn a_no_needs_no_code_and_a_yes_does() {
    let scene = Scene::new().await;
    let mut bob = scene.person("bob", &["approvers"]).await;
    let page = decide(&mut bob, &scene, "approve", "").await.must_be(400);
    assert!(page.text.contains("match code is missing"), "{}", page.text);
    assert_eq!(scene.status().await, "pending");
    decide(&mut bob, &scene, "deny", "").await.must_be(200);
    assert_eq!(scene.status().await, "denied");
}

#[tokio::test]
async fn a_wrong_code_ends_the_form_and_the_second_one_the_request() {
    let scene = Scene::new().await;
    let mut bob = scene.person("bob", &["approvers"]).await;
    let old = bob.get(&scene.page).await.nonce();
    let page = decide(&mut bob, &scene, "approve", "UUUUUU")
        .await
        .must_be(403);
    assert!(page.text.contains("not the code"), "{}", page.text);
    let fields = [
        ("nonce", old.as_str()),
        ("code", &scene.code),
        ("decision", "approve"),
    ];
    bob.post(&scene.page, &fields).await.must_be(400);
    assert_eq!(scene.status().await, "pending");
    decide(&mut bob, &scene, "deny", "UUUUUU")
        .await
        .must_be(403);
    assert_eq!(scene.status().await, "denied");
}

#[tokio::test]
async fn a_form_without_a_nonce_of_this_session_changes_nothing() {
    let scene = Scene::new().await;
    let mut bob = scene.person("bob", &["approvers"]).await;
    let mut eve = scene.person("eve", &["approvers"]).await;
    let of_eve = eve.get(&scene.page).await.nonce();
    let id = scene.id.parse().unwrap();
    let keys = &scene.world.keys;
    let of_link = link::nonce(keys, id, "link", 0).unwrap();
    let of_another = link::nonce(keys, uuid::Uuid::now_v7(), "link", 0).unwrap();
    let to_log_out = bob.get("/approvals").await.nonce();
    for nonce in ["", "x", &of_eve, &of_link, &of_another, &to_log_out] {
        let fields = [
            ("nonce", nonce),
            ("code", &scene.code),
            ("decision", "approve"),
        ];
        bob.post(&scene.page, &fields).await.must_be(400);
        bob.post(&scene.page, &fields[1..]).await.must_be(400);
    }
    let good = bob.get(&scene.page).await.nonce();
    // The nonce without the cookie, and in a session of somebody else.
    let fields = [
        ("nonce", good.as_str()),
        ("code", &scene.code),
        ("decision", "approve"),
    ];
    let mut nobody = Browser::new(&scene.world);
    nobody.post(&scene.page, &fields).await.must_be(401);
    eve.post(&scene.page, &fields).await.must_be(400);
    // A good nonce with a form that is not as it should be.
    for odd in [
        &[("nonce", good.as_str()), ("code", &scene.code)][..],
        &[("nonce", &good), ("code", &scene.code), ("decision", "yes")],
        &[
            ("nonce", &good),
            ("code", &scene.code),
            ("decision", "approve"),
            ("x", "y"),
        ],
    ] {
        bob.post(&scene.page, odd).await.must_be(400);
    }
    assert_eq!(scene.status().await, "pending");
    bob.post(&scene.page, &fields).await.must_be(200);
    assert_eq!(scene.status().await, "approved");
}

#[tokio::test]
async fn looking_decides_nothing() {
    let scene = Scene::new().await;
    let mut bob = scene.person("bob", &["approvers"]).await;
    let nonce = bob.get(&scene.page).await.nonce();
    let path = format!(
        "{}?nonce={nonce}&code={}&decision=approve",
        scene.page, scene.code
    );
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE"] {
        let request = Request::builder().method(method).uri(&path);
        bob.send(request, &scene.page, Body::empty()).await;
    }
    assert_eq!(scene.status().await, "pending");
}

#[tokio::test]
async fn an_administrator_who_is_no_approver_only_looks() {
    let scene = Scene::new().await;
    let mut carl = scene.person("carl", &["admins"]).await;
    let page = carl.get(&scene.page).await.must_be(200);
    assert!(page.text.contains("you may not decide"), "{}", page.text);
    decide(&mut carl, &scene, "approve", &scene.code)
        .await
        .must_be(403);
    decide(&mut carl, &scene, "deny", "").await.must_be(403);
    assert_eq!(scene.status().await, "pending");
}

#[tokio::test]
async fn whoever_asked_does_not_decide() {
    let mut scene = Scene::with(|settings| {
        let rule = r#"
[[rule]]
name = "people"
issuer = "people"
subjects = ["bob"]
projects = ["my-app"]
keys = ["NPM_*"]
require_approval = true
"#;
        std::fs::write(&settings.policy, format!("{POLICY}{rule}")).unwrap();
    })
    .await;
    let own = scene
        .world
        .session(Subject {
            issuer: "people".to_owned(),
            preset: Preset::Generic,
            subject: "bob".to_owned(),
            claims: [("sub".to_owned(), json!("bob"))].into_iter().collect(),
            roles: vec![Role::Approver],
        })
        .await;
    let asked = scene.world.ask(&own, &["NPM_TOKEN"]).await.must_be(201);
    scene.job = own;
    scene.id = asked.id();
    scene.page = format!("/approvals/{}", scene.id);
    scene.code = asked.json()["code"].as_str().unwrap().to_owned();
    let mut bob = scene.person("bob", &["approvers"]).await;
    for (decision, code) in [("approve", scene.code.as_str()), ("deny", "")] {
        let page = decide(&mut bob, &scene, decision, code).await.must_be(403);
        assert!(page.text.contains("you may not decide"), "{}", page.text);
    }
    assert_eq!(scene.status().await, "pending");
    let mut eve = scene.person("eve", &["approvers"]).await;
    decide(&mut eve, &scene, "approve", &scene.code)
        .await
        .must_be(200);
    assert_eq!(scene.status().await, "approved");
}

#[tokio::test]
async fn two_people_are_two_and_one_person_is_one() {
    let scene = Scene::with(|settings| settings.approvals.approvals_needed = 2).await;
    let mut bob = scene.person("bob", &["approvers"]).await;
    let page = decide(&mut bob, &scene, "approve", &scene.code)
        .await
        .must_be(200);
    assert!(page.text.contains("1 of 2 have said yes"), "{}", page.text);
    // Once more, in the same session and in another one.
    decide(&mut bob, &scene, "approve", &scene.code)
        .await
        .must_be(200);
    let mut elsewhere = scene.person("bob", &["approvers"]).await;
    decide(&mut elsewhere, &scene, "approve", &scene.code)
        .await
        .must_be(200);
    assert_eq!(scene.status().await, "pending");
    let mut eve = scene.person("eve", &["approvers"]).await;
    let page = eve.get(&scene.page).await.must_be(200);
    assert!(page.text.contains("people:bob"), "{}", page.text);
    decide(&mut eve, &scene, "approve", &scene.code)
        .await
        .must_be(200);
    assert_eq!(scene.status().await, "approved");
}

#[tokio::test]
async fn only_those_whom_the_policy_names_decide() {
    let scene = Scene::with(|settings| {
        let named = POLICY.replacen(
            "require_approval = true",
            "require_approval = true\napprovers = [\"eve@example.com\"]",
            1,
        );
        std::fs::write(&settings.policy, named).unwrap();
    })
    .await;
    let mut bob = scene.person("bob", &["approvers"]).await;
    decide(&mut bob, &scene, "approve", &scene.code)
        .await
        .must_be(403);
    assert_eq!(scene.status().await, "pending");
    let mut eve = scene.person("eve", &["approvers"]).await;
    decide(&mut eve, &scene, "approve", &scene.code)
        .await
        .must_be(200);
    assert_eq!(scene.status().await, "approved");
}

#[tokio::test]
async fn logging_out_ends_the_session_and_only_the_page_can_do_it() {
    let scene = Scene::new().await;
    let mut bob = scene.person("bob", &["approvers"]).await;
    let mut eve = scene.person("eve", &["approvers"]).await;
    let of_eve = eve.get("/approvals").await.nonce();
    for nonce in ["", &of_eve] {
        bob.post("/logout", &[("nonce", nonce)]).await.must_be(400);
    }
    let token = bob.session().unwrap().to_owned();
    let nonce = bob.get("/approvals").await.must_be(200).nonce();
    let out = bob.post("/logout", &[("nonce", &nonce)]).await.must_be(303);
    assert_eq!(out.location(), "/approvals");
    assert_eq!(bob.session(), None);
    let page = bob.get("/approvals").await.must_be(200);
    assert!(page.text.contains("href=\"/login\""), "{}", page.text);
    let path = "/v1/sessions/current";
    scene
        .world
        .call(&token, "GET", path, None)
        .await
        .must_be(401);
}

#[tokio::test]
async fn what_is_not_there_looks_like_a_link_that_leads_nowhere() {
    let scene = Scene::new().await;
    let mut bob = scene.person("bob", &["approvers"]).await;
    let unknown = format!("/approvals/{}", uuid::Uuid::now_v7());
    for path in [unknown.as_str(), "/approvals/x"] {
        let page = bob.get(path).await.must_be(404);
        assert!(
            page.text.contains("This link does not work"),
            "{}",
            page.text
        );
        bob.post(path, &[("decision", "deny")]).await.must_be(404);
    }
}

#[tokio::test]
async fn two_cookies_of_one_name_are_none() {
    let scene = Scene::new().await;
    let bob = scene.person("bob", &["approvers"]).await;
    let token = bob.session().unwrap();
    for cookie in [
        format!("__Host-fnox={token}; __Host-fnox={token}"),
        format!("fnox={token}"),
        format!("__host-fnox={token}"),
        format!("x__Host-fnox={token}"),
        format!("__Host-fnox={}", token.replace("fxs_", "fxb_")),
        format!("__Host-fnox={token}x"),
    ] {
        let request = Request::get(&scene.page).header("cookie", &cookie);
        let answer = scene.world.send(request.body(Body::empty()).unwrap()).await;
        assert!(!answer.text.contains("octo-org"), "{cookie}");
    }
    let request =
        Request::get(&scene.page).header("cookie", format!("a=b; __Host-fnox={token}; c"));
    let answer = scene.world.send(request.body(Body::empty()).unwrap()).await;
    assert!(answer.text.contains("octo-org"), "{}", answer.text);
}
