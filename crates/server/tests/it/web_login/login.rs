//! The login itself, and those who want to be in its place.

use std::time::Duration;

use fnox_api::Role;
use fnox_core::TokenKind;
use serde_json::json;

use super::Scene;
use super::browser::Browser;
use super::provider::{CLIENT, ClientProof, Provider};
use crate::support::{Answer, World};

/// Fails unless nobody was logged in, and a page says so.
#[track_caller]
fn must_fail(browser: &Browser<'_>, answer: Answer, status: u16) -> Answer {
    assert_eq!(browser.session(), None);
    let answer = answer.must_be(status);
    assert!(answer.text.contains("<!doctype html>"), "{}", answer.text);
    assert!(answer.text.contains("Try again"), "{}", answer.text);
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("form-action 'self'"), "{policy}");
    answer
}

#[tokio::test]
async fn somebody_logs_in_at_the_provider_and_comes_back_to_the_request() {
    let scene = Scene::new().await;
    let mut browser = Browser::new(&scene.world);
    let page = browser.get(&scene.page).await.must_be(200);
    assert!(!page.text.contains("octo-org"), "{}", page.text);
    let link = format!("href=\"/login?next={}\"", scene.page);
    assert!(page.text.contains(&link), "{}", page.text);
    let back = browser.log_in(&scene.provider, &scene.page).await;
    assert_eq!(back.must_be(303).location(), scene.page);
    let page = browser.get(&scene.page).await.must_be(200);
    assert!(page.text.contains("octo-org/hello"), "{}", page.text);
    assert!(page.text.contains("bob@example.com"), "{}", page.text);
    assert!(!page.text.contains(&scene.code));
    let list = browser.get("/approvals").await.must_be(200);
    let link = format!("href=\"{}\"", scene.page);
    assert!(list.text.contains(&link), "{}", list.text);
    // The same session as any other: it is in the log, and lasts as long.
    let admin = scene.world.person("ann", &[Role::Admin]).await;
    let path = "/v1/audit?event=login";
    let log = scene.world.call(&admin, "GET", path, None).await.json();
    let records = log["records"].as_array().unwrap();
    assert!(records.iter().any(|it| it["actor"] == "people:bob"));
    assert_eq!(
        scene.provider.discovered(),
        2,
        "once for keys, once for endpoints"
    );
}

#[tokio::test]
async fn cookies_are_for_this_server_and_no_script() {
    let scene = Scene::new().await;
    let mut browser = Browser::new(&scene.world);
    let begun = browser.get("/login").await.must_be(303);
    let login = begun.headers["set-cookie"].to_str().unwrap();
    assert!(login.starts_with("__Secure-fnox-login="), "{login}");
    let flags = "; Path=/login; Max-Age=600; HttpOnly; SameSite=Lax; Secure";
    assert!(login.ends_with(flags), "{login}");
    let answer = browser.log_in(&scene.provider, "").await.must_be(303);
    let cookies: Vec<&str> = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|it| it.to_str().unwrap())
        .collect();
    let [spent, session] = cookies.as_slice() else {
        panic!("{cookies:?}")
    };
    assert!(spent.starts_with("__Secure-fnox-login=; Path=/login; Max-Age=0;"));
    assert!(session.starts_with("__Host-fnox=fxs_"), "{session}");
    let flags = "; Path=/; Max-Age=900; HttpOnly; SameSite=Lax; Secure";
    assert!(session.ends_with(flags), "{session}");
    assert!(!session.contains("Domain"));
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["referrer-policy"], "no-referrer");
}

#[tokio::test]
async fn on_plain_loopback_cookies_have_no_secure_flag_and_no_prefix() {
    let provider = Provider::start().await;
    provider.is("bob", &["approvers"]);
    provider.expects_redirect("http://127.0.0.1:8443/login/callback");
    let world = World::with(|settings| {
        provider.configure(settings);
        settings.public_url = "http://127.0.0.1:8443".to_owned();
    })
    .await;
    let mut browser = Browser::new(&world);
    let answer = browser.log_in(&provider, "").await.must_be(303);
    for cookie in answer.headers.get_all("set-cookie") {
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.starts_with("fnox"), "{cookie}");
        assert!(!cookie.contains("Secure"), "{cookie}");
    }
    browser.get("/approvals").await.must_be(200);
    assert!(browser.cookies.contains_key("fnox"));
}

#[tokio::test]
async fn a_login_ends_only_in_the_browser_in_which_it_began() {
    let scene = Scene::new().await;
    let mut bob = Browser::new(&scene.world);
    let callback = bob.fetch_callback(&scene.provider, &scene.page).await;
    // A victim that is made to follow the attacker's answer, without and with a login of its own.
    let mut victim = Browser::new(&scene.world);
    let answer = victim.get(&callback).await;
    must_fail(&victim, answer, 400);
    victim.get("/login").await.must_be(303);
    let answer = victim.get(&callback).await;
    must_fail(&victim, answer, 400);
    assert!(!victim.cookies.is_empty(), "its own login goes on");
    // A state that was changed, is missing, or is there twice.
    let (path, query) = callback.split_once('?').unwrap();
    let without: Vec<&str> = query
        .split('&')
        .filter(|it| !it.starts_with("state="))
        .collect();
    let without = without.join("&");
    for bad in [
        format!("{path}?{without}&state={}", "A".repeat(43)),
        format!("{path}?{without}&state="),
        format!("{path}?{without}"),
        format!("{callback}&state=x"),
        path.to_owned(),
    ] {
        let answer = bob.get(&bad).await;
        must_fail(&bob, answer, 400);
    }
    assert!(scene.provider.refusals().is_empty(), "no code was used");
    bob.get(&callback).await.must_be(303);
    assert!(bob.session().is_some());
}

#[tokio::test]
async fn an_answer_is_worth_something_once_and_for_ten_minutes() {
    let scene = Scene::new().await;
    let mut bob = Browser::new(&scene.world);
    let callback = bob.fetch_callback(&scene.provider, "").await;
    let before = bob.cookies.clone();
    bob.get(&callback).await.must_be(303);
    let mut again = Browser::new(&scene.world);
    // With the cookie that the browser was told to forget.
    again.cookies = before;
    let answer = again.get(&callback).await;
    must_fail(&again, answer, 403);
    assert_eq!(scene.provider.refusals(), ["unknown or used code"]);

    let mut late = Browser::new(&scene.world);
    let callback = late.fetch_callback(&scene.provider, "").await;
    let clock = &scene.world.clock;
    clock.advance(jiff::SignedDuration::from_mins(10));
    let answer = late.get(&callback).await;
    must_fail(&late, answer, 400);
    assert_eq!(scene.provider.refusals().len(), 1, "nothing was asked");
}

#[tokio::test]
async fn a_code_that_somebody_else_was_given_is_worth_nothing() {
    let scene = Scene::new().await;
    let mut victim = Browser::new(&scene.world);
    let caught = victim.fetch_callback(&scene.provider, "").await;
    let code = |callback: &str| {
        let (_, rest) = callback.split_once("code=").unwrap();
        rest.split('&').next().unwrap().to_owned()
    };
    let mut thief = Browser::new(&scene.world);
    let own = thief.fetch_callback(&scene.provider, "").await;
    let answer = thief.get(&own.replace(&code(&own), &code(&caught))).await;
    must_fail(&thief, answer, 403);
    assert_eq!(scene.provider.refusals(), ["another code_verifier"]);
}

#[tokio::test]
async fn tokens_that_are_not_of_this_login_are_refused() {
    let scene = Scene::new().await;
    let bob = json!({"sub": "bob", "groups": ["approvers"]});
    let changes = [
        json!({"nonce": "x".repeat(43)}),
        json!({"nonce": null}),
        json!({"nonce": [1]}),
        json!({"azp": "another-client"}),
        json!({"aud": [CLIENT, "another-client"]}),
        json!({"aud": "another-client"}),
        json!({"iss": "https://evil.example"}),
        json!({"exp": 1_700_000_000}),
    ];
    for change in changes {
        let mut claims = bob.clone();
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        scene.provider.says(claims);
        let mut browser = Browser::new(&scene.world);
        let answer = browser.log_in(&scene.provider, "").await;
        must_fail(&browser, answer, 403);
    }
    let mut fine = bob;
    fine["azp"] = json!(CLIENT);
    fine["aud"] = json!([CLIENT, "another-client"]);
    scene.provider.says(fine);
    let mut browser = Browser::new(&scene.world);
    browser.log_in(&scene.provider, "").await.must_be(303);
}

#[tokio::test]
async fn a_token_opens_one_session_whatever_its_login() {
    let scene = Scene::new().await;
    scene
        .provider
        .says(json!({"sub": "bob", "groups": ["approvers"], "jti": "always the same"}));
    let mut first = Browser::new(&scene.world);
    first.log_in(&scene.provider, "").await.must_be(303);
    let mut second = Browser::new(&scene.world);
    let answer = second.log_in(&scene.provider, "").await;
    must_fail(&second, answer, 403);
}

#[tokio::test]
async fn a_login_leads_to_approvals_and_nowhere_else() {
    let scene = Scene::new().await;
    let id = &scene.id;
    for next in [
        "",
        "/",
        "https://evil.example",
        "//evil.example",
        "/%5Cevil.example",
        "/approvals//evil.example",
        "/approvals/../login",
        "/approvals/%2e%2e/%2e%2e/evil",
        "/approvals@evil.example",
        "/approvals.evil.example",
        "/approvals/x",
        "/logout",
        "/v1/audit",
        "javascript:alert(1)",
        &format!("/approvals/{id}/"),
        &format!("/approvals/{id}%0d%0aSet-Cookie:%20a=b"),
        &format!("/approvals/{}", id.to_uppercase()),
        &format!("/approvals/{}", uuid::Uuid::nil()),
        &format!("/approvals/{id}&next=https://evil.example"),
        &format!("https://evil.example/approvals/{id}"),
    ] {
        let mut browser = Browser::new(&scene.world);
        let answer = browser.log_in(&scene.provider, next).await.must_be(303);
        assert_eq!(answer.location(), "/approvals", "{next}");
    }
}

#[tokio::test]
async fn who_has_no_role_or_is_not_wanted_any_more_stays_outside() {
    let scene = Scene::new().await;
    scene.provider.is("mallory", &["interns"]);
    let mut mallory = Browser::new(&scene.world);
    let answer = mallory.log_in(&scene.provider, "").await;
    let page = must_fail(&mallory, answer, 403);
    assert!(page.text.contains("none of your groups"), "{}", page.text);

    // A reader is somebody, but sees no request of others.
    let mut rob = scene.person("rob", &["readers"]).await;
    for path in ["/approvals", &scene.page] {
        let page = rob.get(path).await.must_be(403);
        assert!(!page.text.contains("octo-org"), "{}", page.text);
        assert!(page.text.contains("action=\"/logout\""), "{}", page.text);
    }
    let mut bob = scene.person("bob", &["approvers"]).await;
    bob.get("/approvals").await.must_be(200);
    let day = Duration::from_hours(24);
    let now = fnox_core::Clock::now(&*scene.world.clock);
    let token = scene
        .world
        .store
        .issue_token(TokenKind::Provisioning, None, day, now);
    let scim = token.await.unwrap().secret().expose_secret().to_owned();
    let user = json!({"userName": "Bob@example.com"});
    let made = scene
        .world
        .call(&scim, "POST", "/scim/v2/Users", Some(user));
    let user = format!("/scim/v2/Users/{}", made.await.must_be(201).id());
    let off = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "active", "value": false}],
    });
    scene
        .world
        .call(&scim, "PATCH", &user, Some(off))
        .await
        .must_be(200);
    let page = bob.get("/approvals").await.must_be(401);
    assert!(page.text.contains("href=\"/login\""), "{}", page.text);
    scene.provider.is("bob", &["approvers"]);
    let mut bob = Browser::new(&scene.world);
    let answer = bob.log_in(&scene.provider, "").await;
    let page = must_fail(&bob, answer, 403);
    assert!(page.text.contains("deactivated"), "{}", page.text);
}

#[tokio::test]
async fn what_the_provider_refuses_is_told_in_our_words() {
    let scene = Scene::new().await;
    let cases = [
        (
            "error=access_denied&error_description=%3Cb%3ECall+premium-rate%3C/b%3E",
            "may not",
        ),
        ("error=Call+premium-rate", "administrator"),
        (
            "iss=https://evil.example&code=code-1",
            "at which the login began",
        ),
        ("session_state=1", "neither a code nor an error"),
    ];
    for (query, words) in cases {
        let mut browser = Browser::new(&scene.world);
        let callback = browser.fetch_callback(&scene.provider, &scene.page).await;
        let (_, rest) = callback.split_once("state=").unwrap();
        let state = rest.split('&').next().unwrap();
        let answer = browser
            .get(&format!("/login/callback?state={state}&{query}"))
            .await;
        assert!(answer.status.is_client_error());
        let status = answer.status.as_u16();
        let page = must_fail(&browser, answer, status);
        assert!(page.text.contains(words), "{}", page.text);
        assert!(!page.text.contains("premium-rate"), "{}", page.text);
        let again = format!("href=\"/login?next={}\"", scene.page);
        assert!(page.text.contains(&again), "{}", page.text);
        assert!(browser.cookies.is_empty(), "it came back");
    }
    assert!(scene.provider.refusals().is_empty(), "no code was used");
}

#[tokio::test]
async fn a_client_with_a_secret_sends_it_as_the_provider_wants_it() {
    for proof in [ClientProof::Basic, ClientProof::Body] {
        let provider = Provider::start().await;
        provider.is("bob", &["approvers"]);
        provider.wants(proof);
        let world = World::with(|settings| provider.configure(settings)).await;
        let mut browser = Browser::new(&world);
        browser.log_in(&provider, "").await.must_be(303);
        // Another secret than the provider knows: the page says whose business that is, and not what it was.
        provider.wants(ClientProof::Public);
        let mut browser = Browser::new(&world);
        let answer = browser.log_in(&provider, "").await;
        let page = must_fail(&browser, answer, 503);
        assert!(page.text.contains("administrator"), "{}", page.text);
        assert!(!page.text.contains("s3cret"), "{}", page.text);
    }
}

#[tokio::test]
async fn a_provider_that_is_down_is_asked_twice_a_minute_and_comes_back() {
    let provider = Provider::start().await;
    provider.is("bob", &["approvers"]);
    provider.is_down(true);
    let world = World::with(|settings| provider.configure(settings)).await;
    let mut browser = Browser::new(&world);
    for _ in 0..20 {
        let page = browser.get("/login").await.must_be(503);
        assert!(page.text.contains("does not answer"), "{}", page.text);
    }
    assert_eq!(provider.discovered(), 1);
    provider.is_down(false);
    world.clock.advance(jiff::SignedDuration::from_secs(30));
    browser.get("/login").await.must_be(303);
    assert_eq!(provider.discovered(), 2);
    // Once it is known, it is used also while the provider is down.
    provider.is_down(true);
    world.clock.advance(jiff::SignedDuration::from_hours(2));
    browser.get("/login").await.must_be(303);
    world.clock.advance(jiff::SignedDuration::from_hours(24));
    browser.get("/login").await.must_be(503);
}

#[tokio::test]
async fn without_a_provider_nobody_logs_in() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    let page = browser.get("/login").await.must_be(404);
    assert!(page.text.contains("[login]"), "{}", page.text);
    browser.get("/approvals").await.must_be(200);
}

#[tokio::test]
async fn one_address_begins_only_so_many_logins() {
    let scene = Scene::with(|settings| settings.limits.anonymous_per_minute = 5).await;
    let mut browser = Browser::new(&scene.world);
    for _ in 0..5 {
        browser.get("/login").await.must_be(303);
    }
    browser.get("/login").await.must_be(429);
}
