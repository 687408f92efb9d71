//! The page behind a link, and everything that opens it without being a person.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use fnox_api::Role;
use fnox_server::link::{Link, LinkPurpose};
use fnox_server::settings::{ApproveBy, NotifySettings, NtfySettings};
use serde_json::json;

use crate::support::{Answer, World};

/// A pending request and the link to its page.
struct Asked {
    world: World,
    job: String,
    id: String,
    code: String,
    page: String,
}

async fn asked(change: impl FnOnce(&mut fnox_server::Settings)) -> Asked {
    let world = World::with(change).await;
    let admin = world.person("ann", &[Role::Admin]).await;
    world.put(&admin, "NPM_TOKEN", json!({})).await.must_be(201);
    let job = world.job().await;
    let asked = world.ask(&job, &["NPM_TOKEN"]).await.must_be(201);
    let page = format!("/a/{}", link(&world, &asked.id(), LinkPurpose::Page));
    Asked {
        id: asked.id(),
        code: asked.json()["code"].as_str().unwrap().to_owned(),
        world,
        job,
        page,
    }
}

fn link(world: &World, id: &str, purpose: LinkPurpose) -> String {
    let link = Link {
        purpose,
        channel: 0,
        approval: id.parse().unwrap(),
        expires_at: fnox_core::Clock::now(&*world.clock) + Duration::from_mins(10),
    };
    link.sign(&world.keys)
}

impl Asked {
    async fn open(&self) -> Answer {
        self.world
            .send(Request::get(&self.page).body(Body::empty()).unwrap())
            .await
    }

    async fn nonce(&self) -> String {
        let html = self.open().await.must_be(200).text;
        let (_, rest) = html.split_once("name=\"nonce\" value=\"").expect("a form");
        rest.split_once('"').unwrap().0.to_owned()
    }

    async fn submit(&self, fields: &[(&str, &str)]) -> Answer {
        let body = fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("&");
        let request = Request::post(&self.page)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap();
        self.world.send(request).await
    }

    async fn status(&self) -> String {
        let path = format!("/v1/approvals/{}", self.id);
        let seen = self.world.call(&self.job, "GET", &path, None).await;
        seen.json()["status"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_person_with_the_code_approves_on_the_page() {
    let asked = asked(|_| {}).await;
    let page = asked.open().await.must_be(200);
    assert!(page.text.contains("octo-org/hello"), "{}", page.text);
    assert!(
        !page.text.contains(&asked.code),
        "the page does not know the code"
    );
    assert!(!page.text.contains("<script"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let nonce = asked.nonce().await;
    let fields = [
        ("nonce", nonce.as_str()),
        ("code", &asked.code),
        ("decision", "approve"),
    ];
    asked.submit(&fields).await.must_be(200);
    assert_eq!(asked.status().await, "approved");
    // The same form again, and the page again: who decided, unchanged.
    asked.submit(&fields).await.must_be(200);
    let page = asked.open().await.must_be(200);
    assert!(!page.text.contains("<form"), "{}", page.text);
    assert!(page.text.contains("link holder") || page.text.contains("approved"));
    assert_eq!(asked.status().await, "approved");
}

#[tokio::test]
async fn a_form_without_nonce_or_code_changes_nothing() {
    let asked = asked(|_| {}).await;
    let nonce = asked.nonce().await;
    let cases: &[&[(&str, &str)]] = &[
        &[],
        &[("decision", "approve")],
        &[("code", &asked.code), ("decision", "approve")],
        &[
            ("nonce", "bm9uc2Vuc2U"),
            ("code", &asked.code),
            ("decision", "approve"),
        ],
        &[("nonce", &nonce), ("decision", "approve")],
        &[("nonce", &nonce), ("code", ""), ("decision", "deny")],
        &[("nonce", &nonce), ("code", &asked.code)],
        &[
            ("nonce", &nonce),
            ("code", &asked.code),
            ("decision", "yes"),
        ],
        &[
            ("nonce", &nonce),
            ("code", &asked.code),
            ("decision", "approve"),
            ("x", "y"),
        ],
    ];
    for fields in cases {
        asked.submit(fields).await.must_be(400);
        assert_eq!(asked.status().await, "pending", "{fields:?}");
    }
}

#[tokio::test]
async fn a_wrong_code_ends_the_nonce_and_the_second_one_the_request() {
    let asked = asked(|_| {}).await;
    let nonce = asked.nonce().await;
    let wrong = [
        ("nonce", nonce.as_str()),
        ("code", "UUUUUU"),
        ("decision", "approve"),
    ];
    asked.submit(&wrong).await.must_be(403);
    assert_eq!(asked.status().await, "pending");
    // The old form does not work any more, even with the right code.
    let old = [
        ("nonce", nonce.as_str()),
        ("code", &asked.code),
        ("decision", "approve"),
    ];
    asked.submit(&old).await.must_be(400);
    let nonce = asked.nonce().await;
    let wrong = [
        ("nonce", nonce.as_str()),
        ("code", "UUUUUU"),
        ("decision", "approve"),
    ];
    asked.submit(&wrong).await.must_be(403);
    assert_eq!(asked.status().await, "denied");
    let admin = asked.world.person("ann", &[Role::Admin]).await;
    let path = "/v1/audit?event=approval_denied_by_wrong_codes";
    let log = asked.world.call(&admin, "GET", path, None).await.json();
    assert_eq!(log["records"].as_array().unwrap().len(), 1);
    assert_eq!(log["records"][0]["actor"], "link holder");
}

/// Two phones, or two tabs: what one of them did must not be held against the other.
#[tokio::test]
async fn an_older_form_says_so_and_is_no_wrong_code() {
    let asked = asked(|_| {}).await;
    let (first, second) = (asked.nonce().await, asked.nonce().await);
    assert_ne!(first, second);
    let form = |nonce: &str, code: &str| {
        [
            ("nonce", nonce.to_owned()),
            ("code", code.to_owned()),
            ("decision", "approve".to_owned()),
        ]
    };
    let send = async |nonce: &str, code: &str| {
        let fields = form(nonce, code);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
        asked.submit(&fields).await
    };
    send(&first, "UUUUUU").await.must_be(403);
    // Twice, as people do: neither counts, whatever code is in them.
    for code in ["UUUUUU", "VVVVVV", &asked.code] {
        let page = send(&second, code).await.must_be(400);
        assert!(page.text.contains("Nothing was decided"), "{}", page.text);
        assert!(page.text.contains("older than"), "{}", page.text);
        assert!(page.text.contains("name=\"nonce\""), "{}", page.text);
        assert_eq!(asked.status().await, "pending");
    }
    let admin = asked.world.person("ann", &[Role::Admin]).await;
    let path = "/v1/audit?event=approval_wrong_code";
    let log = asked.world.call(&admin, "GET", path, None).await.json();
    assert_eq!(log["records"].as_array().unwrap().len(), 1, "{log}");
    let newest = asked.nonce().await;
    send(&newest, &asked.code).await.must_be(200);
    assert_eq!(asked.status().await, "approved");
}

/// What opens links in messages: programs that look for malware, previews of chats, crawlers.
const SCANNERS: &[&str] = &[
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) SafeLinks",
    "Mozilla/5.0 (compatible; Barracuda Sentinel (EE))",
    "Mozilla/5.0 (compatible; proofpoint)",
    "Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1) BingPreview/1.0b",
    "TelegramBot (like TwitterBot)",
    "WhatsApp/2.23.20.0",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "facebookexternalhit/1.1",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mimecast URL Protect",
    "curl/8.5.0",
];

#[tokio::test]
async fn a_storm_of_scanners_decides_nothing() {
    let asked = asked(|_| {}).await;
    let methods = [
        "GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "POST",
    ];
    let one_tap = ["/a/one-tap".to_owned()];
    for path in [asked.page.clone()].iter().chain(&one_tap) {
        for method in methods {
            for agent in SCANNERS {
                for prefetch in [false, true] {
                    let mut request = Request::builder()
                        .method(method)
                        .uri(path)
                        .header(header::USER_AGENT, *agent);
                    if prefetch {
                        request = request
                            .header("sec-purpose", "prefetch;prerender")
                            .header("purpose", "prefetch")
                            .header("x-moz", "prefetch");
                    }
                    let answer = asked.world.send(request.body(Body::empty()).unwrap()).await;
                    let is_reading = matches!(method, "GET" | "HEAD") && *path == asked.page;
                    assert_eq!(answer.status.is_success(), is_reading, "{method} {path}");
                }
            }
        }
    }
    assert_eq!(asked.status().await, "pending");
}

#[tokio::test]
async fn bad_unknown_and_expired_links_look_alike() {
    let asked = asked(|_| {}).await;
    let unknown = link(
        &asked.world,
        &uuid::Uuid::now_v7().to_string(),
        LinkPurpose::Page,
    );
    let wrong_purpose = link(&asked.world, &asked.id, LinkPurpose::Approve);
    let mut pages = Vec::new();
    for path in [
        "/a/fxa_nonsense".to_owned(),
        format!("/a/{unknown}"),
        format!("/a/{wrong_purpose}"),
        format!("{}?utm_source=mail", asked.page),
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        pages.push(asked.world.send(request).await.must_be(404).text);
    }
    asked
        .world
        .clock
        .advance(jiff::SignedDuration::from_mins(10));
    pages.push(asked.open().await.must_be(404).text);
    pages.dedup();
    assert_eq!(pages.len(), 1);
}

#[tokio::test]
async fn one_tap_works_only_where_it_was_switched_on() {
    let tap = |asked: &Asked, purpose| {
        let link = link(&asked.world, &asked.id, purpose);
        crate::support::request(None, "POST", "/a/one-tap", Some(json!({ "link": link })))
    };
    let off = asked(|_| {}).await;
    let answer = off.world.send(tap(&off, LinkPurpose::Approve)).await;
    answer.must_be(404);
    assert_eq!(off.status().await, "pending");

    let on = asked(|settings| {
        settings.notify = vec![NotifySettings::Ntfy(NtfySettings {
            url: "http://127.0.0.1:9".to_owned(),
            topic: "a".repeat(22),
            token: None,
            priority: 4,
            one_tap: true,
        })];
    })
    .await;
    on.world
        .send(tap(&on, LinkPurpose::Page))
        .await
        .must_be(404);
    on.world
        .send(tap(&on, LinkPurpose::Approve))
        .await
        .must_be(200);
    assert_eq!(on.status().await, "approved");
    // A phone that shows the notification still: tapped again.
    on.world
        .send(tap(&on, LinkPurpose::Approve))
        .await
        .must_be(200);
    assert_eq!(on.status().await, "approved");
}

#[tokio::test]
async fn where_people_log_in_a_link_decides_nothing() {
    let asked = asked(|settings| {
        settings.approvals.approve_by = ApproveBy::Login;
        settings.login = Some(crate::support::login());
    })
    .await;
    let page = asked.open().await.must_be(200);
    assert!(!page.text.contains("<form method=\"post\""));
    let nonce =
        fnox_server::link::nonce(&asked.world.keys, asked.id.parse().unwrap(), "link", 0).unwrap();
    let fields = [
        ("nonce", nonce.as_str()),
        ("code", &asked.code),
        ("decision", "approve"),
    ];
    asked.submit(&fields).await;
    assert_eq!(asked.status().await, "pending");
}
