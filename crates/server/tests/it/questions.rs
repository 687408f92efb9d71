//! What gateways ask: who may, who answers, and what a yes is worth.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use fnox_api::Role;
use fnox_core::{Clock as _, TokenKind};
use fnox_server::link::{Link, LinkPurpose};
use serde_json::{Value, json};

use crate::support::{Answer, World, person};

const QUESTIONS: &str = "/v1/questions";

/// A question, its key made of a number.
pub(crate) fn wanted(number: u8) -> Value {
    json!({
        "key": uuid::Uuid::from_u128(number.into()),
        "request": {
            "agent": "coder-1", "rule": "github", "method": "POST", "host": "api.github.com",
            "target": format!("/repos/acme/app/pulls?draft={number}"), "body_length": 120,
            "body_sha256": "ab".repeat(32),
        },
    })
}

pub(crate) async fn gateway(world: &World, name: &str) -> String {
    let now = world.clock.now();
    let hour = Duration::from_hours(1);
    let name = Some(name.to_owned());
    let issued = world.store.issue_token(TokenKind::Gateway, name, hour, now);
    issued.await.unwrap().secret().expose_secret().to_owned()
}

/// Somebody of `dev`, who decides too.
async fn developer(world: &World, name: &str, roles: &[Role]) -> String {
    let mut subject = person(name, roles);
    subject.claims.insert("groups".to_owned(), json!(["dev"]));
    world.session(subject).await
}

async fn ask(world: &World, token: &str, body: Value) -> Answer {
    world.call(token, "POST", QUESTIONS, Some(body)).await
}

async fn of(world: &World, token: &str, method: &str, id: &str) -> Answer {
    let path = match method {
        "USE" => {
            return world
                .call(token, "POST", &format!("{QUESTIONS}/{id}/use"), None)
                .await;
        }
        _ => format!("{QUESTIONS}/{id}"),
    };
    world.call(token, method, &path, None).await
}

async fn status(world: &World, token: &str, id: &str) -> String {
    let seen = of(world, token, "GET", id).await.must_be(200);
    seen.json()["status"].as_str().unwrap().to_owned()
}

/// What the pages and the API have for whoever decides.
struct Page<'a> {
    world: &'a World,
    path: String,
}

impl<'a> Page<'a> {
    fn of(world: &'a World, id: &str) -> Self {
        let link = Link {
            purpose: LinkPurpose::Page,
            channel: 0,
            approval: id.parse().unwrap(),
            expires_at: world.clock.now() + Duration::from_mins(10),
        };
        let path = format!("/a/{}", link.sign(&world.keys));
        Self { world, path }
    }

    async fn open(&self) -> Answer {
        let request = Request::get(&self.path).body(Body::empty()).unwrap();
        self.world.send(request).await
    }

    async fn submit(&self, fields: &[(&str, &str)]) -> Answer {
        let html = self.open().await.must_be(200).text;
        let (_, rest) = html.split_once("name=\"nonce\" value=\"").expect("a form");
        let mut body = format!("nonce={}", rest.split_once('"').unwrap().0);
        for (name, value) in fields {
            body = format!("{body}&{name}={value}");
        }
        let request = Request::post(&self.path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap();
        self.world.send(request).await
    }
}

#[tokio::test]
async fn a_yes_on_the_page_is_used_once_by_the_gateway_that_asked() {
    let world = World::new().await;
    let (builders, laptop) = (
        gateway(&world, "builders").await,
        gateway(&world, "others").await,
    );
    let asked = ask(&world, &builders, wanted(1)).await.must_be(201);
    let (id, code) = (
        asked.id(),
        asked.json()["code"].as_str().unwrap().to_owned(),
    );
    // Sent again after a lost answer, it is the same question.
    let again = ask(&world, &builders, wanted(1)).await.must_be(200);
    assert_eq!(
        (again.id(), &again.json()["code"]),
        (id.clone(), &json!(code))
    );
    let early = of(&world, &builders, "USE", &id).await.must_be(409);
    early.must_fail("approval_not_approved");

    let page = Page::of(&world, &id);
    let shown = page.open().await.must_be(200).text;
    for part in [
        "coder-1",
        "POST https://api.github.com/repos/acme/app/pulls?draft=1",
        "120 bytes",
        "<option value=\"900\">",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains(&code) && !shown.contains("<option value=\"3600\">"));
    // More than the policy allows is nothing that a form can choose.
    let fields = [
        ("code", code.as_str()),
        ("lasting", "3600"),
        ("decision", "approve"),
    ];
    page.submit(&fields).await.must_be(400);
    assert_eq!(status(&world, &builders, &id).await, "pending");
    let wrong = [("code", "000000"), ("decision", "approve")];
    page.submit(&wrong).await.must_be(403);
    assert_eq!(status(&world, &builders, &id).await, "pending");
    let fields = [
        ("code", code.as_str()),
        ("lasting", "300"),
        ("decision", "approve"),
    ];
    let decided = page.submit(&fields).await.must_be(200).text;
    assert!(
        decided.contains("this very request for 5 minutes"),
        "{decided}"
    );

    // Nobody else sees it, uses it or takes it back.
    for method in ["GET", "USE", "DELETE"] {
        let theirs = of(&world, &laptop, method, &id).await.must_be(404);
        theirs.must_fail("not_found");
    }
    let used = of(&world, &builders, "USE", &id).await.must_be(200).json();
    assert_eq!(used["lasting_seconds"], 300);
    let late = of(&world, &builders, "USE", &id).await.must_be(409);
    late.must_fail("approval_decided");
    assert_eq!(status(&world, &builders, &id).await, "fetched");
    let admin = world.person("ann", &[Role::Admin]).await;
    let path = format!("/v1/audit?approval={id}");
    let log = world.call(&admin, "GET", &path, None).await.must_be(200);
    let records = log.json();
    let events: Vec<_> = records["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["event"].clone())
        .collect();
    for event in [
        "approval_requested",
        "approval_wrong_code",
        "approval_approved",
        "question_used",
    ] {
        assert!(events.contains(&json!(event)), "{event} in {events:?}");
    }
    assert!(log.text.contains("api.github.com") && log.text.contains("gateway:builders"));
}

/// The use of a credential for a while, with a reason.
fn use_of(number: u8, reason: &str) -> Value {
    json!({
        "key": uuid::Uuid::from_u128(number.into()),
        "request": {
            "kind": "access", "agent": "coder-1", "credential": "GITHUB_TOKEN", "host": "api.github.com",
            "methods": ["GET", "HEAD"], "reason": reason,
        },
    })
}

async fn decide(world: &World, token: &str, asked: &Answer, lasting: Option<u32>) -> Answer {
    let path = format!("/v1/approvals/{}/decision", asked.id());
    let mut body = json!({"decision": "approve", "code": asked.json()["code"]});
    if let Some(lasting) = lasting {
        body["lasting_seconds"] = json!(lasting);
    }
    world.call(token, "POST", &path, Some(body)).await
}

#[tokio::test]
async fn a_yes_to_the_use_of_a_credential_is_for_a_time() {
    let world = World::new().await;
    let builders = gateway(&world, "builders").await;
    let bob = developer(&world, "bob", &[Role::Approver]).await;
    let asked = ask(&world, &builders, use_of(1, "to read")).await;
    let asked = asked.must_be(201);
    let page = Page::of(&world, &asked.id()).open().await.must_be(200).text;
    for part in [
        "wants to use",
        "GITHUB_TOKEN",
        "to read",
        "no single request",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    for lasting in [0, 901] {
        let refused = decide(&world, &bob, &asked, Some(lasting)).await;
        assert_eq!(refused.must_be(400).json()["field"], "lasting_seconds");
    }
    let decided = decide(&world, &bob, &asked, Some(300)).await.must_be(200);
    assert_eq!(decided.json()["question"]["request"]["kind"], "access");
    let used = of(&world, &builders, "USE", &asked.id()).await;
    assert_eq!(used.must_be(200).json()["lasting_seconds"], 300);
    // Without a word about it, a quarter of an hour, where the policy allows as much.
    let asked = ask(&world, &builders, use_of(2, "to read on")).await;
    let asked = asked.must_be(201);
    decide(&world, &bob, &asked, None).await.must_be(200);
    let used = of(&world, &builders, "USE", &asked.id()).await;
    assert_eq!(used.must_be(200).json()["lasting_seconds"], 900);
    let admin = world.person("ann", &[Role::Admin]).await;
    let path = format!("/v1/audit?approval={}", asked.id());
    let log = world.call(&admin, "GET", &path, None).await.must_be(200);
    assert!(log.text.contains("to read on"), "{}", log.text);
}

#[tokio::test]
async fn a_no_to_the_use_of_a_credential_is_one_to_the_same_with_other_words() {
    let world = World::new().await;
    let builders = gateway(&world, "builders").await;
    let bob = developer(&world, "bob", &[Role::Approver]).await;
    let asked = ask(&world, &builders, use_of(1, "to read")).await;
    let asked = asked.must_be(201);
    let path = format!("/v1/approvals/{}/decision", asked.id());
    let no = json!({"decision": "deny"});
    world.call(&bob, "POST", &path, Some(no)).await.must_be(200);
    let again = ask(&world, &builders, use_of(2, "please")).await;
    again.must_be(429);
    // Another credential is another wish.
    let mut other = use_of(3, "please");
    other["request"]["credential"] = json!("NPM_TOKEN");
    ask(&world, &builders, other).await.must_be(201);
}

#[tokio::test]
async fn where_a_yes_is_for_one_request_there_is_none_for_a_while() {
    let world = World::new().await;
    let dev = developer(&world, "dev", &[Role::Reader]).await;
    ask(&world, &dev, wanted(1)).await.must_be(201);
    let refused = ask(&world, &dev, use_of(2, "to read")).await.must_be(403);
    let refused = refused.must_fail("policy_denied");
    assert!(refused.text.contains("longest"), "{}", refused.text);
}

#[tokio::test]
async fn what_is_no_use_of_a_credential_is_not_asked_about() {
    let world = World::new().await;
    let builders = gateway(&world, "builders").await;
    for (field, value) in [
        ("agent", json!("coder-1\n")),
        ("credential", json!("")),
        ("credential", json!("a b")),
        ("host", json!("*.example.com")),
        ("methods", json!([])),
        ("methods", json!(["GET /"])),
        ("reason", json!(" ")),
        ("reason", json!("a\u{202e}b")),
        ("reason", json!("a".repeat(2049))),
    ] {
        let mut body = use_of(1, "to read");
        body["request"][field] = value.clone();
        let refused = ask(&world, &builders, body).await.must_be(400);
        let refused = refused.must_fail("invalid_request");
        assert_eq!(
            refused.json()["field"],
            format!("request.{field}"),
            "{value}: {}",
            refused.text
        );
    }
    for (field, value) in [("rule", json!("1")), ("kind", json!("request"))] {
        let mut body = use_of(1, "to read");
        body["request"][field] = value;
        ask(&world, &builders, body).await.must_be(400);
    }
}

#[tokio::test]
async fn one_kind_is_never_the_other() {
    let world = World::new().await;
    let admin = world.person("ann", &[Role::Admin]).await;
    world.put(&admin, "NPM_TOKEN", json!({})).await.must_be(201);
    let (job, bob) = (
        world.job().await,
        developer(&world, "bob", &[Role::Approver]).await,
    );
    let dev = developer(&world, "dev", &[Role::Reader]).await;
    let question = ask(&world, &dev, wanted(1)).await.must_be(201);
    world.approve(&bob, &question).await.must_be(200);
    // No secrets for it, and no look at it as at a request for secrets.
    world.grant(&dev, &question.id()).await.must_be(404);
    let path = format!("/v1/approvals/{}", question.id());
    world.call(&dev, "GET", &path, None).await.must_be(404);
    world.call(&dev, "DELETE", &path, None).await.must_be(404);
    let keys = world.ask(&job, &["NPM_TOKEN"]).await.must_be(201);
    world.approve(&bob, &keys).await.must_be(200);
    for method in ["GET", "USE", "DELETE"] {
        of(&world, &dev, method, &keys.id()).await.must_be(404);
        of(&world, &job, method, &keys.id()).await.must_be(403);
    }
    assert_eq!(status(&world, &dev, &question.id()).await, "approved");
    world.grant(&job, &keys.id()).await.must_be(201);
    of(&world, &dev, "USE", &question.id()).await.must_be(200);
    // A yes to keys lasts for nothing.
    let other = world.ask(&job, &["NPM_TOKEN"]).await.must_be(201);
    let path = format!("/v1/approvals/{}/decision", other.id());
    let body = json!({"decision": "approve", "code": other.json()["code"], "lasting_seconds": 60});
    let refused = world
        .call(&bob, "POST", &path, Some(body))
        .await
        .must_be(400);
    assert_eq!(refused.json()["field"], "lasting_seconds");
}

#[tokio::test]
async fn only_whom_the_policy_names_may_ask() {
    let world = World::new().await;
    let builders = gateway(&world, "builders").await;
    let unknown = gateway(&world, "unknown").await;
    // `laptops` is an entry for people, and gives a gateway of this name nothing.
    let laptops = gateway(&world, "laptops").await;
    let stranger = world.person("eve", &[Role::Reader, Role::Approver]).await;
    for token in [&unknown, &laptops, &stranger] {
        let refused = ask(&world, token, wanted(1)).await.must_be(403);
        refused.must_fail("policy_denied");
    }
    let (job, admin) = (
        world.job().await,
        world.store.issue_token(
            TokenKind::Bootstrap,
            None,
            Duration::from_hours(1),
            world.clock.now(),
        ),
    );
    let admin = admin.await.unwrap().secret().expose_secret().to_owned();
    ask(&world, &job, wanted(1))
        .await
        .must_be(403)
        .must_fail("role_missing");
    ask(&world, &admin, wanted(1)).await.must_be(401);
    for (field, value) in [
        ("agent", "reviewer"),
        ("host", "api.github.com.evil.org"),
        ("host", "example.com"),
    ] {
        let mut body = wanted(1);
        body["request"][field] = json!(value);
        ask(&world, &builders, body)
            .await
            .must_be(403)
            .must_fail("policy_denied");
    }
    let mut body = wanted(1);
    body["request"]["host"] = json!("A.Example.com:8443");
    let asked = ask(&world, &builders, body).await.must_be(201);
    let seen = of(&world, &builders, "GET", &asked.id()).await.json();
    assert_eq!(seen["request"]["host"], "a.example.com:8443");
    // Nothing of it is in the log of refusals but who, which agent and which host.
    let ann = world.person("ann", &[Role::Admin]).await;
    let log = world
        .call(&ann, "GET", "/v1/audit?outcome=denied", None)
        .await
        .must_be(200);
    assert_eq!(
        log.json()["records"].as_array().unwrap().len(),
        6,
        "{}",
        log.text
    );
    assert!(!log.text.contains("pulls"), "{}", log.text);
    // A gateway's token asks questions and does nothing else.
    for path in [
        "/v1/sessions/current",
        "/v1/approvals",
        "/v1/secrets",
        "/v1/audit",
        "/scim/v2/Users",
    ] {
        world.call(&builders, "GET", path, None).await.must_be(401);
    }
}

#[tokio::test]
async fn people_answer_for_their_own_agents_with_another_login() {
    let world = World::new().await;
    let roles = [Role::Reader, Role::Approver];
    let laptop = developer(&world, "ann", &roles).await;
    let asked = ask(&world, &laptop, wanted(1)).await.must_be(201);
    // The session that asks lies where the agent runs.
    let refused = world.approve(&laptop, &asked).await.must_be(403);
    refused.must_fail("self_approval");
    let browser = developer(&world, "ann", &roles).await;
    world.approve(&browser, &asked).await.must_be(200);
    of(&world, &laptop, "USE", &asked.id()).await.must_be(200);
    // Where the policy says so, somebody else has to.
    let zoe = world.person("zoe", &roles).await;
    let asked = ask(&world, &zoe, wanted(2)).await.must_be(201);
    let other = world.person("zoe", &roles).await;
    let refused = world.approve(&other, &asked).await.must_be(403);
    refused.must_fail("self_approval");
    world.approve(&browser, &asked).await.must_be(200);
}

#[tokio::test]
async fn what_is_no_request_is_not_asked_about() {
    let world = World::new().await;
    let builders = gateway(&world, "builders").await;
    for (field, value) in [
        ("agent", json!("")),
        ("agent", json!("coder-1\n")),
        ("rule", json!("r".repeat(257))),
        ("method", json!("GET /")),
        ("method", json!("")),
        ("host", json!("*.example.com")),
        ("host", json!("user@example.com")),
        ("target", json!("https://evil.example.com/")),
        ("target", json!("/a b")),
        ("target", json!("/\u{202e}a")),
        ("target", json!(format!("/{}", "a".repeat(8192)))),
        ("body_sha256", json!("AB".repeat(32))),
        ("body_length", json!(u64::MAX)),
    ] {
        let mut body = wanted(1);
        body["request"][field] = value.clone();
        let refused = ask(&world, &builders, body)
            .await
            .must_be(400)
            .must_fail("invalid_request");
        assert_eq!(
            refused.json()["field"],
            format!("request.{field}"),
            "{value}: {}",
            refused.text
        );
    }
    let mut body = wanted(1);
    body["request"]["more"] = json!(1);
    ask(&world, &builders, body).await.must_be(400);
}

#[tokio::test]
async fn a_hostile_request_stays_text_on_the_page() {
    let world = World::new().await;
    let builders = gateway(&world, "builders").await;
    let mut body = wanted(1);
    body["request"]["rule"] = json!("<script>alert(1)</script>\u{202e}\"onload=x");
    body["request"]["target"] = json!("/%3Cb%3E<script>alert(1)</script>?'\"&<!--");
    body["request"]["agent"] = json!("coder-<img src=x onerror=alert(1)>");
    let asked = ask(&world, &builders, body).await.must_be(201);
    let page = Page::of(&world, &asked.id()).open().await.must_be(200).text;
    let shown = page.split_once("</style>").unwrap().1.to_lowercase();
    for part in ["<script", "<img", "<b>", "<!--", "\u{202e}"] {
        assert!(!shown.contains(part), "{part} in {shown}");
    }
    crate::notices::assert_tame(&shown);
}

#[tokio::test]
async fn a_no_is_remembered_and_a_flood_is_refused() {
    let world = World::with(|settings| settings.approvals.pending_limit = 100).await;
    let (builders, bob) = (
        gateway(&world, "builders").await,
        world.person("bob", &[Role::Approver]).await,
    );
    let asked = ask(&world, &builders, wanted(1)).await.must_be(201);
    let path = format!("/v1/approvals/{}/decision", asked.id());
    let no = json!({"decision": "deny"});
    world.call(&bob, "POST", &path, Some(no)).await.must_be(200);
    of(&world, &builders, "USE", &asked.id()).await.must_be(409);
    // The same request with another key is the same request.
    let mut again = wanted(1);
    again["key"] = json!(uuid::Uuid::now_v7());
    ask(&world, &builders, again)
        .await
        .must_be(429)
        .must_fail("quiet_time");
    for number in 2..=60 {
        let asked = ask(&world, &builders, wanted(number)).await.must_be(201);
        of(&world, &builders, "DELETE", &asked.id())
            .await
            .must_be(204);
    }
    let refused = ask(&world, &builders, wanted(61)).await.must_be(429);
    refused.must_fail("rate_limited");
    world.clock.advance(jiff::SignedDuration::from_mins(11));
    ask(&world, &builders, wanted(61)).await.must_be(201);
}

#[tokio::test]
async fn a_gateways_token_is_made_for_a_gateway_of_the_policy() {
    let world = World::new().await;
    let admin = world.person("ann", &[Role::Admin]).await;
    let create = |body: Value| world.call(&admin, "POST", "/v1/admin/tokens", Some(body));
    for body in [
        json!({"role": "gateway"}),
        json!({"role": "gateway", "name": "unknown"}),
        json!({"role": "gateway", "name": "laptops"}),
        json!({"role": "gateway", "name": "a b"}),
        json!({"role": "scim", "name": "builders"}),
    ] {
        let refused = create(body.clone()).await.must_be(400);
        assert_eq!(refused.json()["field"], "name", "{body}");
    }
    let made = create(json!({"role": "gateway", "name": "builders"}))
        .await
        .must_be(201)
        .json();
    let token = made["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("fxw_"), "{token}");
    ask(&world, &token, wanted(1)).await.must_be(201);
    let listed = world
        .call(&admin, "GET", "/v1/admin/tokens", None)
        .await
        .must_be(200);
    assert_eq!(listed.json()["tokens"][0]["name"], "builders");
    assert_eq!(listed.json()["tokens"][0]["role"], "gateway");
    let path = format!("/v1/admin/tokens/{}", made["id"].as_str().unwrap());
    world.call(&admin, "DELETE", &path, None).await.must_be(204);
    ask(&world, &token, wanted(2)).await.must_be(401);
}
