//! Answers that bring fresh credentials: the client gets placeholders, and they work where the rule says so.

use std::io::Write as _;
use std::sync::Arc;

use fnox_core::{Clock as _, SystemClock};
use fnox_gateway::injection::Injection;
use fnox_gateway::rule::{Capture, Hosts, Mode, PathGlob, Rule};
use fnox_testkit::stand_in::{Prepared, Upstream};
use fnox_testkit::{Canary, FakeClock};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::proxy_support::{
    Answer, EVIL, HOST, NAMES, OTHER, Proxy, Setup, VALUE, WEBSOCKET, Wire, within,
};

/// The client's name at the OAuth server; its secret is [`VALUE`].
const CLIENT: &str = "client";

/// A rule for the endpoints of an OAuth server at [`HOST`], whose tokens are for [`OTHER`]. Nothing else is reached.
fn setup(change: impl FnOnce(&mut Rule)) -> Setup {
    speaking(&["h2", "http/1.1"], change)
}

/// The same with an upstream that speaks these protocols alone.
fn speaking(protocols: &[&str], change: impl FnOnce(&mut Rule)) -> Setup {
    let mut setup = Setup::with(|rule| {
        rule.paths = vec![PathGlob::parse("/oauth/*").unwrap()];
        rule.injection = Injection::Basic {
            username: Some(CLIENT.to_owned()),
        };
        rule.mode = Mode::Set;
        rule.capture = Some(Capture {
            members: ["access_token", "refresh_token"].map(str::to_owned).into(),
            hosts: vec![Hosts::parse(OTHER).unwrap()],
        });
        change(rule);
    });
    setup.open.clear();
    setup.upstream = Upstream::speaking(protocols, &NAMES);
    setup.upstream.register(CLIENT, VALUE);
    setup
}

impl Proxy {
    /// A connection to another host.
    async fn inside_of(&self, host: &str) -> Wire {
        let authority = format!("{host}:443");
        Wire::new(self.tls(&authority, host, &["http/1.1"]).await.unwrap())
    }

    /// Sends a form to the OAuth server.
    async fn form(&self, path: &str, form: &str) -> Answer {
        let length = form.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {HOST}\r\naccept-encoding: gzip, br\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n"
        );
        self.inside().await.ask(head + form).await
    }

    /// What the token endpoint answers to the code.
    async fn tokens(&self) -> Tokens {
        let form = "grant_type=authorization_code&code=the-code";
        Tokens::read(&self.form("/oauth/token", form).await)
    }

    /// Asks another host, with a token.
    async fn resource(&self, host: &str, token: &str) -> Answer {
        let head = format!(
            "GET /oauth/resource HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        self.inside_of(host).await.ask(head).await
    }

    /// No token is in what a client got.
    #[track_caller]
    fn assert_no_token(&self, answers: &[&Answer]) {
        let tokens = self.upstream.issued_tokens();
        assert!(!tokens.is_empty());
        for token in tokens {
            let canary = Canary::new(&token);
            for Answer { head, body, .. } in answers {
                let outputs = [("head", head.as_bytes()), ("body", body.as_bytes())];
                canary.assert_absent(&outputs, &[]);
            }
        }
    }
}

/// What a client makes of a token response.
struct Tokens {
    access: String,
    refresh: String,
}

impl Tokens {
    #[track_caller]
    fn read(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let document: Value = serde_json::from_str(&answer.body).unwrap();
        let text = |name: &str| document[name].as_str().unwrap().to_owned();
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }
}

#[tokio::test]
async fn tokens_stay_in_the_gateway_and_their_placeholders_work() {
    for protocol in ["http/1.1", "h2"] {
        let proxy = speaking(&[protocol], |_| {}).start().await;
        let first = proxy
            .form(
                "/oauth/token",
                "grant_type=authorization_code&code=the-code",
            )
            .await;
        let tokens = Tokens::read(&first);
        let document: Value = serde_json::from_str(&first.body).unwrap();
        assert_eq!(document["expires_in"], 3600, "{first:?}");
        assert_eq!(document["token_type"], "Bearer");
        // Where the answer shows it once more.
        assert_eq!(
            first.field("x-token-reflected"),
            Some(tokens.access.as_str())
        );
        let asked = proxy.only();
        assert_eq!(asked.header("accept-encoding"), Some("identity"));

        let used = proxy.resource(OTHER, &tokens.access).await;
        assert_eq!(used.status, 200, "{used:?}");
        let shown: Value = serde_json::from_str(&used.body).unwrap();
        assert_eq!(shown["asked_with"], tokens.access.as_str());

        let form = format!("grant_type=refresh_token&refresh_token={}", tokens.refresh);
        let second = proxy.form("/oauth/token", &form).await;
        let renewed = Tokens::read(&second);
        assert_ne!(renewed.access, tokens.access);
        let renewed_use = proxy.resource(OTHER, &renewed.access).await;
        assert_eq!(renewed_use.status, 200, "{renewed_use:?}");

        let form = format!("token={}&token_type_hint=access_token", renewed.access);
        assert_eq!(proxy.form("/oauth/revoke", &form).await.status, 200);
        let late = proxy.resource(OTHER, &renewed.access).await;
        assert_eq!(late.status, 401, "{late:?}");
        proxy.assert_no_token(&[&first, &used, &second, &renewed_use, &late]);
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_is_neither_handed_out_nor_used() {
    let setup = setup(|_| {});
    let record = Arc::clone(&setup.record);
    let proxy = setup.start().await;
    let token = proxy.tokens().await.access;
    assert_eq!(proxy.resource(OTHER, &token).await.status, 200);
    assert_eq!(
        record.told(),
        [
            format!("token {HOST}:443 access_token,refresh_token"),
            format!("token, captured {OTHER}:443"),
        ]
    );
    record.set_full(true);
    let before = proxy.received().len();
    let known = proxy.placeholders.current().iter().count();
    let answer = proxy.resource(OTHER, &token).await;
    assert_eq!(answer.refusal(), Some("gateway::credential"), "{answer:?}");
    assert_eq!(proxy.received().len(), before, "it did not leave");
    let form = "grant_type=authorization_code&code=the-code";
    let answer = proxy.form("/oauth/token", form).await;
    assert_eq!(answer.refusal(), Some("gateway::credential"), "{answer:?}");
    assert_eq!(proxy.received().len(), before + 1);
    assert!(!answer.body.contains("access_token"), "{answer:?}");
    proxy.assert_no_token(&[&answer]);
    let left = proxy.placeholders.current().iter().count();
    assert_eq!(left, known, "nothing stands for what nobody was given");
    // It goes on where it was.
    record.set_full(false);
    assert_eq!(proxy.resource(OTHER, &token).await.status, 200);
    proxy.tokens().await;
}

#[tokio::test]
async fn a_placeholder_of_what_was_captured_goes_nowhere_else() {
    let proxy = setup(|_| {}).start().await;
    let token = proxy.tokens().await.access;
    let before = proxy.received().len();
    let other = |line: &str, rest: &str| format!("{line} HTTP/1.1\r\nhost: {OTHER}\r\n{rest}");
    for request in [
        other("GET /", &format!("x-token: {token}\r\n\r\n")),
        other(&format!("GET /?access_token={token}"), "\r\n"),
        other(&format!("GET /{token}"), "\r\n"),
        other(
            "GET /",
            &format!("authorization: Bearer {token}\r\nx-token: {token}\r\n\r\n"),
        ),
        other(
            "POST /",
            &format!(
                "content-type: application/json\r\ncontent-length: {}\r\n\r\n{{\"token\":\"{token}\"}}",
                token.len() + 12
            ),
        ),
    ] {
        let answer = proxy.inside_of(OTHER).await.ask(&request).await;
        let refusal = answer.refusal();
        assert_eq!(
            refusal,
            Some("gateway::placeholder"),
            "{request}: {answer:?}"
        );
    }
    // The rule's own host gets it by the rule's own paths alone.
    let head =
        format!("GET /elsewhere HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\n\r\n");
    let answer = proxy.inside().await.ask(head).await;
    assert_eq!(answer.refusal(), Some("gateway::not_allowed"));
    // A field of the token endpoint's form that is not the token's.
    let answer = proxy
        .form("/oauth/token", &format!("grant_type={token}"))
        .await;
    assert_eq!(answer.refusal(), Some("gateway::placeholder"), "{answer:?}");
    // What was stopped in the body had begun.
    let received = proxy.received();
    let bodies = received[before..].iter().map(|it| &it.body);
    let bodies: Vec<_> = bodies.filter(|body| !body.is_empty()).collect();
    assert!(bodies.is_empty(), "{received:?}");
    let answer = proxy.resource(EVIL, &token).await;
    assert_eq!(answer.refusal(), Some("gateway::no_rule"), "{answer:?}");
}

#[tokio::test]
async fn an_answer_that_cannot_be_searched_does_not_pass() {
    const SECRET: &str = "fresh-secret-0123456789";
    let token = json!({ "access_token": SECRET }).to_string();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(token.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let long = format!("{}{token}", " ".repeat(1024 * 1024));
    let form = format!("access_token={SECRET}&token_type=bearer");
    let redirect = format!("https://{OTHER}/back#state=1&access_token={SECRET}");
    let proxy = setup(|_| {}).start().await;
    for (what, prepared) in [
        (
            "gzip",
            Prepared::new(200, gzip).with("content-encoding", "gzip"),
        ),
        (
            "br",
            Prepared::new(200, token.clone()).with("content-encoding", "br"),
        ),
        ("a form", Prepared::new(200, form)),
        ("HTML", Prepared::new(404, format!("<p>{SECRET}</p>"))),
        ("a text", Prepared::new(200, format!("\"{SECRET}\""))),
        ("a part", Prepared::new(206, token.clone())),
        (
            "cut off",
            Prepared::new(200, token[..token.len() - 1].to_owned()),
        ),
        ("1 MiB", Prepared::new(200, long)),
        (
            "a list",
            Prepared::json(200, &json!({ "access_token": [SECRET] })),
        ),
        (
            "too many",
            Prepared::json(200, &json!(vec![json!({"access_token": SECRET}); 17])),
        ),
        (
            "Location",
            Prepared::new(302, "").with("location", &redirect),
        ),
    ] {
        proxy.upstream.prepare("/oauth/prepared", prepared);
        let answer = proxy.form("/oauth/prepared", "").await;
        assert_eq!(answer.status, 502, "{what}: {answer:?}");
        assert_eq!(answer.refusal(), Some("gateway::not_captured"), "{what}");
        for text in [&answer.head, &answer.body] {
            assert!(!text.contains(SECRET), "{what}: {answer:?}");
        }
    }
    let upgrade = proxy
        .inside()
        .await
        .ask(proxy.head("GET /oauth/a", &WEBSOCKET))
        .await;
    assert_eq!(
        upgrade.refusal(),
        Some("gateway::not_captured"),
        "{upgrade:?}"
    );
}

#[tokio::test]
async fn answers_without_a_credential_pass() {
    let proxy = setup(|_| {}).start().await;
    let refused = proxy.form("/oauth/token", "grant_type=nonsense").await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.body, r#"{"error":"unsupported_grant_type"}"#);
    for (status, body) in [
        (204, ""),
        (200, ""),
        (401, r#"{"access_token":null}"#),
        (200, r#"[{"access_token":""},{"b":1.5}]"#),
    ] {
        proxy
            .upstream
            .prepare("/oauth/prepared", Prepared::new(status, body));
        let answer = proxy.form("/oauth/prepared", "").await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body));
    }
    proxy.upstream.prepare(
        "/oauth/prepared",
        Prepared::new(302, "").with("location", "/login?next=access_token"),
    );
    assert_eq!(proxy.form("/oauth/prepared", "").await.status, 302);
}

#[tokio::test]
async fn what_was_captured_ends_with_the_lifetime_that_its_answer_stated() {
    let clock = Arc::new(FakeClock::at(&SystemClock.now().to_string()));
    let proxy = setup(|_| {}).by(clock.clone()).start().await;
    let tokens = proxy.tokens().await;
    clock.advance(SignedDuration::from_secs(3599));
    assert_eq!(proxy.resource(OTHER, &tokens.access).await.status, 200);
    // Whoever sets the wall clock back keeps nothing for longer.
    clock.advance(SignedDuration::from_secs(1));
    clock.set_wall(SystemClock.now());
    let before = proxy.received().len();
    let late = proxy.resource(OTHER, &tokens.access).await;
    assert_eq!(late.refusal(), Some("gateway::exhausted"), "{late:?}");
    assert_eq!(proxy.received().len(), before);
    // The refresh token has no end, and brings a new one.
    let form = format!("grant_type=refresh_token&refresh_token={}", tokens.refresh);
    let renewed = Tokens::read(&proxy.form("/oauth/token", &form).await);
    assert_eq!(proxy.resource(OTHER, &renewed.access).await.status, 200);
}

#[tokio::test]
async fn what_was_captured_ends_with_the_right_by_which_it_was_asked_for() {
    let proxy = setup(|_| {}).start().await;
    let tokens = proxy.tokens().await;
    let mut stream = proxy.inside_of(OTHER).await;
    let head = format!(
        "GET /hold HTTP/1.1\r\nhost: {OTHER}\r\nauthorization: Bearer {}\r\n\r\n",
        tokens.access
    );
    stream.write(head).await.unwrap();
    stream.read_until("data: 0").await;
    proxy.revoke();
    let rest = within(stream.read_to_end()).await;
    assert!(!rest.escape_ascii().to_string().contains("data: 1"));
    let late = proxy.resource(OTHER, &tokens.access).await;
    assert_eq!(late.refusal(), Some("gateway::exhausted"), "{late:?}");
}

#[tokio::test]
async fn of_many_the_oldest_makes_room_and_its_placeholder_does_not_leave() {
    let proxy = setup(|_| {}).start().await;
    let mut placeholders = Vec::new();
    for number in 0..65 {
        let document = json!({ "access_token": format!("token-number-{number}-of-many") });
        proxy
            .upstream
            .prepare("/oauth/prepared", Prepared::json(200, &document));
        let answer = proxy.form("/oauth/prepared", "").await;
        let document: Value = serde_json::from_str(&answer.body).unwrap();
        placeholders.push(document["access_token"].as_str().unwrap().to_owned());
    }
    let before = proxy.received().len();
    let oldest = proxy.resource(OTHER, &placeholders[0]).await;
    assert_eq!(oldest.refusal(), Some("gateway::exhausted"), "{oldest:?}");
    assert_eq!(proxy.received().len(), before);
    proxy.resource(OTHER, &placeholders[1]).await;
    let received = proxy.received();
    let expected = "Bearer token-number-1-of-many";
    assert_eq!(received[before].header("authorization"), Some(expected));
}

#[tokio::test]
async fn the_same_credential_keeps_its_placeholder() {
    let proxy = setup(|_| {}).start().await;
    let document = json!({ "access_token": "the-same-token-as-before" });
    proxy
        .upstream
        .prepare("/oauth/prepared", Prepared::json(200, &document));
    let first = proxy.form("/oauth/prepared", "").await;
    let second = proxy.form("/oauth/prepared", "").await;
    assert_eq!(first.body, second.body);
    assert!(!first.body.contains("the-same-token"), "{first:?}");
}

#[tokio::test]
async fn requests_with_what_was_captured_count_as_the_rules_own() {
    let proxy = setup(|rule| {
        rule.max_uses = Some(2);
        // A client without a secret of its own.
        rule.mode = Mode::Swap;
    });
    let form = format!(
        "grant_type=authorization_code&code=the-code&client_id={CLIENT}&client_secret={VALUE}"
    );
    let proxy = proxy.start().await;
    let tokens = Tokens::read(&proxy.form("/oauth/token", &form).await);
    let refresh = format!("grant_type=refresh_token&refresh_token={}", tokens.refresh);
    let second = proxy.form("/oauth/token", &refresh).await;
    assert_eq!(second.status, 401, "it reached the server: {second:?}");
    let third = proxy.form("/oauth/token", &refresh).await;
    assert_eq!(third.refusal(), Some("gateway::exhausted"), "{third:?}");
}
