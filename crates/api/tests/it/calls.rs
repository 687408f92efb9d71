//! Every call has the method, the path, the parameters and the headers of the API.

use std::time::Duration;

use fnox_api::client::{ApiClient, AuditQuery, ClientOptions, Condition};
use fnox_api::{
    ApprovalStatus, CheckRequest, Ciphertext, CreateApproval, CreateGrant, CreateToken, Decide,
    Decision, Problem, ProblemCode, PutSecret,
};
use fnox_core::ExitStatus;
use uuid::Uuid;
use wiremock::matchers::{any, body_json_string, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

pub(crate) fn client(server: &MockServer) -> ApiClient {
    ApiClient::new(&server.uri(), &ClientOptions::default())
        .unwrap()
        .with_bearer("fxs_session".into())
}

fn json(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(text.to_owned(), "application/json")
}

fn age_file() -> Ciphertext {
    let mac = "x".repeat(43);
    let header = format!("age-encryption.org/v1\n-> X25519 a\nb\n--- {mac}\n");
    Ciphertext::parse([header.as_bytes(), &[7; 32]].concat()).unwrap()
}

const SECRET: &str = r#"{"project":"my-app","profile":"default","key":"NPM_TOKEN","version":4,"recipients":[],
    "require_approval":true,"created_at":"2026-01-02T03:04:05Z","created_by":"alice","ciphertext_sha256":"00",
    "size":9,"a_field_of_a_newer_server":1}"#;
const ID: Uuid = Uuid::from_u128(7);

fn approval(status: &str) -> String {
    format!(
        r#"{{"id":"{ID}","status":"{status}","project":"my-app","profile":"default","items":[],
        "command_display":"npm publish","command_hash":"00","requester":{{"issuer":"github","principal":"p",
        "name":"n","facts":[]}},"created_at":"2026-01-02T03:04:05Z","expires_at":"2026-01-02T03:14:05Z",
        "approvals_needed":1}}"#
    )
}

#[tokio::test]
async fn a_session_is_opened_with_the_token_of_the_ci() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/sessions"))
        .and(header("authorization", "Bearer oidc.token"))
        .respond_with(json(
            r#"{"token":"fxs_1","expires_at":"2026-01-02T03:04:05Z","principal":"github:1"}"#,
        ))
        .expect(1)
        .mount(&server)
        .await;
    let session = client(&server)
        .open_session(&"oidc.token".into())
        .await
        .unwrap();
    assert_eq!(session.token.expose_secret(), "fxs_1");
    assert!(!format!("{session:?}").contains("fxs_1"));
    assert!(!format!("{:?}", client(&server)).contains("fxs_session"));
}

#[tokio::test]
async fn secrets_are_stored_read_and_deleted_under_their_place() {
    let server = MockServer::start().await;
    let place = "/v1/projects/my-app/secrets/NPM_TOKEN";
    Mock::given(method("PUT"))
        .and(path(place))
        .and(header("if-match", "\"3\""))
        .and(header("content-type", "application/json"))
        .and(header("authorization", "Bearer fxs_session"))
        .respond_with(json(SECRET))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("PUT"))
        .and(path(place))
        .and(header("if-none-match", "*"))
        .respond_with(json(SECRET))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path(place))
        .and(query_param("profile", "a b&c"))
        .respond_with(json(SECRET))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("DELETE"))
        .and(path(place))
        .respond_with(ResponseTemplate::new(204))
        .expect(1)
        .mount(&server)
        .await;
    let versions = format!(r#"{{"versions":[{SECRET}]}}"#);
    Mock::given(method("GET"))
        .and(path(format!("{place}/versions")))
        .respond_with(json(&versions))
        .expect(1)
        .mount(&server)
        .await;
    let client = client(&server);
    let body = PutSecret {
        ciphertext: age_file(),
        version: None,
        recipients: vec!["age1x".to_owned()],
        description: None,
        require_approval: None,
        profile: None,
    };
    for condition in [Condition::Version(3), Condition::Absent] {
        let stored = client
            .put_secret("my-app", "NPM_TOKEN", &body, condition)
            .await
            .unwrap();
        assert_eq!(stored.version, 4);
    }
    client
        .secret("my-app", Some("a b&c"), "NPM_TOKEN")
        .await
        .unwrap();
    assert_eq!(
        client
            .versions("my-app", None, "NPM_TOKEN")
            .await
            .unwrap()
            .len(),
        1
    );
    client
        .delete_secret("my-app", None, "NPM_TOKEN", Condition::Any)
        .await
        .unwrap();
}

#[tokio::test]
async fn names_cannot_leave_their_part_of_the_path() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(json(SECRET))
        .mount(&server)
        .await;
    client(&server)
        .secret("a/../../admin", None, "x?y#z")
        .await
        .unwrap();
    let requests = server.received_requests().await.unwrap();
    assert_eq!(
        requests[0].url.path(),
        "/v1/projects/a%2F..%2F..%2Fadmin/secrets/x%3Fy%23z"
    );
    assert_eq!(requests[0].url.query(), None);
}

#[tokio::test]
async fn all_pages_are_read_and_an_endless_list_ends() {
    let server = MockServer::start().await;
    let page = |next: &str| json(&format!(r#"{{"secrets":[{SECRET}]{next}}}"#));
    Mock::given(query_param("after", "two"))
        .respond_with(page(""))
        .mount(&server)
        .await;
    Mock::given(query_param("after", "loop"))
        .respond_with(page(r#","next":"loop""#))
        .mount(&server)
        .await;
    Mock::given(path("/v1/projects/my-app/secrets"))
        .respond_with(page(r#","next":"two""#))
        .mount(&server)
        .await;
    Mock::given(path("/v1/projects/bad/secrets"))
        .respond_with(page(r#","next":"loop""#))
        .mount(&server)
        .await;
    let client = client(&server);
    assert_eq!(client.secrets("my-app", None).await.unwrap().len(), 2);
    assert_eq!(client.secrets("bad", None).await.unwrap().len(), 2);
}

/// A server on which each of these is called exactly once, in the name of the session.
async fn expecting(routes: &[(&str, &str, String)]) -> MockServer {
    let server = MockServer::start().await;
    for (verb, place, body) in routes {
        Mock::given(method(*verb))
            .and(path(*place))
            .and(header("authorization", "Bearer fxs_session"))
            .respond_with(json(body))
            .expect(1)
            .mount(&server)
            .await;
    }
    server
}

async fn queries(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    requests
        .iter()
        .filter_map(|request| request.url.query().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn approvals_are_asked_for_polled_listed_decided_and_cancelled() {
    let one = format!("/v1/approvals/{ID}");
    let created = format!(
        r#"{{"id":"{ID}","code":"K7X2Q9","expires_at":"2026-01-02T03:04:05Z","status":"pending"}}"#
    );
    let list = format!(r#"{{"approvals":[{}]}}"#, approval("pending"));
    let decision = format!("{one}/decision");
    let server = expecting(&[
        ("POST", "/v1/approvals", created),
        ("GET", &one, approval("approved")),
        ("GET", "/v1/approvals", list),
        ("POST", &decision, approval("denied")),
        ("DELETE", &one, String::new()),
    ])
    .await;
    let client = client(&server);
    let request = CreateApproval {
        project: "my-app".to_owned(),
        profile: None,
        keys: vec!["A".to_owned()],
        command_hash: "00".to_owned(),
        command_display: "npm publish".to_owned(),
        reason: None,
    };
    assert_eq!(
        client.create_approval(&request).await.unwrap().code,
        "K7X2Q9"
    );
    let polled = client.approval(ID, Some(Duration::from_hours(1))).await;
    assert_eq!(polled.unwrap().status, ApprovalStatus::Approved);
    client
        .approvals(Some(ApprovalStatus::Pending))
        .await
        .unwrap();
    let decision = Decide {
        decision: Decision::Deny,
        code: None,
        lasting_seconds: None,
        reason: None,
    };
    client.decide(ID, &decision).await.unwrap();
    client.cancel(ID).await.unwrap();
    assert_eq!(queries(&server).await, ["wait=30", "status=pending"]);
}

#[tokio::test]
async fn of_all_approvals_those_of_a_status_are_picked_here() {
    let list = format!(
        r#"{{"approvals":[{},{}]}}"#,
        approval("denied"),
        approval("pending")
    );
    for (status, count) in [(None, 2), (Some(ApprovalStatus::Denied), 1)] {
        let server = expecting(&[("GET", "/v1/approvals", list.clone())]).await;
        let found = client(&server).approvals(status).await.unwrap();
        assert_eq!(found.len(), count);
        assert_eq!(queries(&server).await, ["status=all"]);
    }
}

#[tokio::test]
async fn a_grant_and_not_the_session_is_what_fetches() {
    let grant = r#"{"grant_token":"fxg_1","expires_at":"2026-01-02T03:04:05Z"}"#;
    let server = expecting(&[("POST", "/v1/grants", grant.to_owned())]).await;
    Mock::given(method("POST"))
        .and(path("/v1/fetch"))
        .and(header("authorization", "Bearer fxg_1"))
        .respond_with(json(r#"{"secrets":[]}"#))
        .expect(1)
        .mount(&server)
        .await;
    let client = client(&server);
    let grant = client.create_grant(&CreateGrant::of(ID)).await.unwrap();
    client.fetch(&grant.token).await.unwrap();
}

#[tokio::test]
async fn administrators_calls_go_where_they_should() {
    let state = r#"{"frozen":true,"sessions_ended":2}"#.to_owned();
    let checks = r#"{"keys":[{"key":"A","needs_approval":true}]}"#.to_owned();
    let made = r#"{"id":"019a2f4e-0000-7000-8000-000000000000","token":"fxp_x","role":"scim",
        "expires_at":"2026-01-02T03:04:05Z"}"#;
    let server = expecting(&[
        ("GET", "/v1/audit", r#"{"records":[]}"#.to_owned()),
        ("GET", "/v1/admin/state", state.clone()),
        ("POST", "/v1/admin/freeze", state.clone()),
        ("POST", "/v1/admin/unfreeze", state.clone()),
        ("POST", "/v1/admin/revoke-all", state),
        ("POST", "/v1/admin/tokens", made.to_owned()),
        ("GET", "/v1/admin/tokens", r#"{"tokens":[]}"#.to_owned()),
        (
            "DELETE",
            "/v1/admin/tokens/019a2f4e-0000-7000-8000-000000000000",
            String::new(),
        ),
        ("POST", "/v1/checks", checks),
    ])
    .await;
    let client = client(&server);
    let query = AuditQuery {
        after: Some(3),
        limit: Some(10),
        since: Some("2026-01-02T03:04:05Z".parse().unwrap()),
        newest_first: true,
        ..AuditQuery::default()
    };
    client.audit(&query).await.unwrap();
    client.state().await.unwrap();
    client.freeze().await.unwrap();
    client.unfreeze().await.unwrap();
    assert_eq!(client.revoke_all().await.unwrap().sessions_ended, 2);
    let wanted = CreateToken {
        role: "scim".to_owned(),
        name: None,
        ttl_seconds: None,
    };
    let token = client.create_token(&wanted).await.unwrap();
    assert_eq!(token.token.expose_secret(), "fxp_x");
    assert!(client.tokens().await.unwrap().tokens.is_empty());
    client.end_token(token.id).await.unwrap();
    let check = CheckRequest {
        project: "my-app".to_owned(),
        profile: None,
        keys: vec!["A".to_owned()],
    };
    assert!(client.check(&check).await.unwrap().keys[0].needs_approval);
    assert_eq!(
        queries(&server).await,
        ["after=3&limit=10&since=2026-01-02T03%3A04%3A05Z&newest_first=true"]
    );
}

#[tokio::test]
async fn a_problem_document_becomes_its_code_and_exit_status() {
    let server = MockServer::start().await;
    let problem = Problem::new(ProblemCode::PolicyDenied)
        .with_detail("`ref` is refs/heads/x")
        .at_key("NPM_TOKEN");
    Mock::given(any())
        .and(body_json_string(
            r#"{"approval_id":"00000000-0000-0000-0000-000000000007"}"#,
        ))
        .respond_with(
            ResponseTemplate::new(403)
                .set_body_raw(problem_text(&problem), "application/problem+json"),
        )
        .mount(&server)
        .await;
    let error = client(&server)
        .create_grant(&CreateGrant::of(ID))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::PolicyDenied));
    assert_eq!(error.exit_status(), ExitStatus::Denied);
    assert_eq!(error.problem().unwrap().key.as_deref(), Some("NPM_TOKEN"));
    assert_eq!(
        error.to_string(),
        "the policy does not allow it: `ref` is refs/heads/x"
    );
}

pub(crate) fn problem_text(problem: &Problem) -> String {
    serde_json::to_string(problem).unwrap()
}
