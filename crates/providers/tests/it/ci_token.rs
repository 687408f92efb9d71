//! Identity tokens of CIs: the service of GitHub Actions, and the programs of Buildkite and CircleCI.

use std::time::Duration;

use fnox_providers::{ErrorKind, ci_token};
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::world::World;

const SERVER: &str = "https://fnox.example.com";
const LIMIT: Duration = Duration::from_secs(20);

async fn find(world: &World) -> Result<Option<String>, fnox_providers::ProviderError> {
    let found = ci_token::find(&world.env(), SERVER, LIMIT).await?;
    Ok(found.map(|token| token.expose_secret().to_owned()))
}

async fn in_github(world: &mut World, answer: ResponseTemplate) -> MockServer {
    let service = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/token"))
        .and(query_param("api-version", "2.0"))
        .and(query_param("audience", SERVER))
        .and(header("authorization", "Bearer bearer-of-the-job"))
        .respond_with(answer)
        .mount(&service)
        .await;
    let url = format!("{}/token?api-version=2.0", service.uri());
    world.set("ACTIONS_ID_TOKEN_REQUEST_URL", url);
    world.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "bearer-of-the-job");
    service
}

#[tokio::test]
async fn github_is_asked_for_our_audience() {
    let mut world = World::new();
    let answer = ResponseTemplate::new(200).set_body_raw(
        r#"{"count":1,"value":"a.b.c"}"#,
        "application/json; charset=utf-8",
    );
    let service = in_github(&mut world, answer).await;
    assert_eq!(find(&world).await.unwrap().as_deref(), Some("a.b.c"));
    let requests = service.received_requests().await.unwrap();
    assert_eq!(
        requests[0].url.query(),
        Some("api-version=2.0&audience=https%3A%2F%2Ffnox.example.com")
    );
}

#[tokio::test]
async fn a_job_without_the_permission_is_told_which() {
    let mut world = World::new();
    world.set("GITHUB_ACTIONS", "true");
    let error = find(&world).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert!(error.remedy.unwrap().contains("id-token: write"));
    let _service = in_github(&mut world, ResponseTemplate::new(403)).await;
    let error = find(&world).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert!(error.remedy.unwrap().contains("id-token: write"));
}

#[tokio::test]
async fn a_service_that_answers_something_else_gives_no_token_and_is_not_quoted() {
    let mut world = World::new();
    for (body, mime) in [
        ("hunter2", "text/plain"),
        (r#"{"valu":"hunter2"}"#, "application/json"),
        (r#"{"value":"hunter2 hunter2"}"#, "application/json"),
    ] {
        let answer = ResponseTemplate::new(200).set_body_raw(body, mime);
        let _service = in_github(&mut world, answer).await;
        let error = find(&world).await.unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(!error.to_string().contains("bearer-of-the-job"), "{error}");
        assert!(!error.to_string().contains("team server"), "{error}");
    }
}

#[tokio::test]
async fn the_file_is_read_anew_each_time() {
    let mut world = World::new();
    let file = world.write("token", "one\n");
    world.set("FNOX_OIDC_TOKEN_FILE", file.display().to_string());
    assert_eq!(find(&world).await.unwrap().as_deref(), Some("one"));
    world.write("token", "two\n");
    assert_eq!(find(&world).await.unwrap().as_deref(), Some("two"));
    std::fs::remove_file(file).unwrap();
    let error = find(&world).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
}

#[tokio::test]
async fn gitlab_s_variable_is_the_one_of_the_audience_or_ours() {
    let mut world = World::new();
    world.set("FNOX_ID_TOKEN", "ours");
    assert_eq!(find(&world).await.unwrap().as_deref(), Some("ours"));
    world.set("HTTPS___FNOX_EXAMPLE_COM_ID_TOKEN", "by.convention");
    assert_eq!(
        find(&world).await.unwrap().as_deref(),
        Some("by.convention")
    );
}

#[tokio::test]
async fn buildkite_s_agent_is_asked_for_our_audience() {
    let mut world = World::new();
    world.set("BUILDKITE", "true");
    world.program(
        "buildkite-agent",
        r#"[ "$*" = "oidc request-token --audience https://fnox.example.com" ] && echo a.b.c || exit 3"#,
    );
    assert_eq!(find(&world).await.unwrap().as_deref(), Some("a.b.c"));
    world.program("buildkite-agent", "echo sorry >&2; exit 1");
    let error = find(&world).await.unwrap_err().to_string();
    assert!(
        error.contains("buildkite-agent oidc request-token") && error.contains("sorry"),
        "{error}"
    );
}

#[tokio::test]
async fn circleci_s_program_is_asked_and_its_ready_made_token_is_the_second_choice() {
    let mut world = World::new();
    world.set("CIRCLECI", "true");
    assert_eq!(find(&world).await.unwrap_err().kind, ErrorKind::Unavailable);
    world.set("CIRCLE_OIDC_TOKEN_V2", "ready.made");
    assert_eq!(find(&world).await.unwrap().as_deref(), Some("ready.made"));
    world.program(
        "circleci",
        r#"[ "$*" = 'run oidc get --claims {"aud":"https://fnox.example.com"}' ] && echo a.b.c || exit 3"#,
    );
    assert_eq!(find(&world).await.unwrap().as_deref(), Some("a.b.c"));
}

#[tokio::test]
async fn where_no_ci_is_there_is_no_token() {
    assert_eq!(find(&World::new()).await.unwrap(), None);
}
