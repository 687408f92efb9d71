//! Servers that are slow, gone, huge, or no team servers.

use std::time::Duration;

use fnox_api::client::{ApiClient, ClientError, ClientOptions};
use fnox_api::{CreateGrant, Problem, ProblemCode};
use fnox_core::ExitStatus;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;
use wiremock::matchers::{any, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::calls::{client, problem_text};

fn busy(code: ProblemCode) -> ResponseTemplate {
    ResponseTemplate::new(code.status())
        .insert_header("retry-after", "0")
        .set_body_raw(
            problem_text(&Problem::new(code)),
            "application/problem+json",
        )
}

fn healthy() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(r#"{"status":"ok"}"#, "application/json")
}

#[tokio::test]
async fn a_reading_call_is_repeated_and_a_spending_one_is_not() {
    let server = MockServer::start().await;
    Mock::given(path("/healthz"))
        .respond_with(busy(ProblemCode::StoreUnavailable))
        .up_to_n_times(2)
        .mount(&server)
        .await;
    Mock::given(path("/healthz"))
        .respond_with(healthy())
        .mount(&server)
        .await;
    for place in ["/v1/fetch", "/v1/grants", "/v1/sessions"] {
        Mock::given(path(place))
            .respond_with(busy(ProblemCode::StoreUnavailable))
            .expect(1)
            .mount(&server)
            .await;
    }
    let client = client(&server);
    assert_eq!(client.health().await.unwrap().status, "ok");
    let unavailable = |error: ClientError| assert_eq!(error.exit_status(), ExitStatus::Unavailable);
    unavailable(client.fetch(&"fxg_1".into()).await.unwrap_err());
    unavailable(
        client
            .create_grant(&CreateGrant::of(Uuid::nil()))
            .await
            .unwrap_err(),
    );
    unavailable(client.open_session(&"t".into()).await.unwrap_err());
}

#[tokio::test]
async fn what_was_one_too_many_is_sent_again_whatever_it_is() {
    let server = MockServer::start().await;
    let too_many = ResponseTemplate::new(429).set_body_raw("slow down", "text/plain");
    Mock::given(path("/v1/fetch"))
        .respond_with(too_many)
        .expect(4)
        .mount(&server)
        .await;
    let error = client(&server).fetch(&"fxg_1".into()).await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Unavailable, "{error}");
}

#[tokio::test]
async fn a_server_that_wants_too_much_patience_or_is_frozen_is_asked_once() {
    let server = MockServer::start().await;
    let patient = ResponseTemplate::new(429)
        .insert_header("retry-after", "3600")
        .set_body_raw(
            problem_text(&Problem::new(ProblemCode::RateLimited)),
            "application/problem+json",
        );
    Mock::given(path("/healthz"))
        .respond_with(patient)
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(path("/v1/admin/state"))
        .respond_with(busy(ProblemCode::Frozen))
        .expect(1)
        .mount(&server)
        .await;
    let client = client(&server);
    assert_eq!(
        client.health().await.unwrap_err().code(),
        Some(ProblemCode::RateLimited)
    );
    assert_eq!(
        client.state().await.unwrap_err().code(),
        Some(ProblemCode::Frozen)
    );
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (server, other) = (MockServer::start().await, MockServer::start().await);
    Mock::given(any())
        .respond_with(ResponseTemplate::new(307).insert_header("location", other.uri()))
        .mount(&server)
        .await;
    Mock::given(any())
        .respond_with(healthy())
        .expect(0)
        .mount(&other)
        .await;
    let error = client(&server)
        .open_session(&"oidc".into())
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClientError::NotAServer { status: 307, .. }),
        "{error}"
    );
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
}

#[tokio::test]
async fn a_web_page_is_no_answer_and_is_not_quoted() {
    let server = MockServer::start().await;
    let page = |status| ResponseTemplate::new(status).set_body_raw("<p>hunter2", "text/html");
    Mock::given(path("/healthz"))
        .respond_with(page(200))
        .mount(&server)
        .await;
    Mock::given(path("/v1/login"))
        .respond_with(page(404))
        .mount(&server)
        .await;
    Mock::given(path("/v1/grants"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(
            r#"{"grant_token":"hunter2","expires_at":"hunter3"}"#,
            "application/json",
        ))
        .mount(&server)
        .await;
    let client = client(&server);
    let errors = [
        client.health().await.unwrap_err(),
        client.login_options().await.unwrap_err(),
        client
            .create_grant(&CreateGrant::of(Uuid::nil()))
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, ClientError::NotAServer { .. }), "{error}");
        assert!(
            !format!("{error} {error:?}").contains("hunter"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_huge_answer_is_not_read_to_its_end() {
    let server = MockServer::start().await;
    let body = vec![b' '; 9 * 1024 * 1024];
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_raw(body, "application/json"))
        .mount(&server)
        .await;
    let error = client(&server).open_session(&"t".into()).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_is_gone_or_silent_is_told_apart() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let options = ClientOptions {
        time_limit: Duration::from_millis(300),
        ..ClientOptions::default()
    };
    let client = ApiClient::new(&url, &options).unwrap();
    let silent = client.health().await.unwrap_err();
    assert!(matches!(silent, ClientError::TimedOut { .. }), "{silent}");
    drop(listener);
    let gone = client.health().await.unwrap_err();
    assert!(
        matches!(
            gone,
            ClientError::Unreachable { .. } | ClientError::TimedOut { .. }
        ),
        "{gone}"
    );
    assert_eq!(gone.exit_status(), ExitStatus::Unavailable);
    assert!(gone.to_string().contains(&url), "{gone}");
}

#[tokio::test]
async fn a_spending_call_whose_connection_breaks_is_not_repeated() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let server = tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else {
                return;
            };
            let mut bytes = [0; 1024];
            let _ = stream.read(&mut bytes).await;
            let _ = sender.send(());
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{")
                .await;
        }
    });
    let client = ApiClient::new(&url, &ClientOptions::default()).unwrap();
    let error = client.fetch(&"fxg_1".into()).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    server.abort();
    assert!(server.await.is_err());
    let mut count = 0;
    while seen.recv().await.is_some() {
        count += 1;
    }
    assert_eq!(count, 1);
}
