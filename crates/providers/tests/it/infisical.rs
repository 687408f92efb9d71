//! `infisical` against a stand-in that is held to Infisical's pages.

use std::collections::BTreeMap;

use fnox_providers::ErrorKind;
use fnox_testkit::stand_in::infisical::Infisical;
use fnox_testkit::stand_in::issuer::Issuer;

use crate::bad_server::{Subject, fails_closed};
use crate::conformance::{Backend, Checked, check, values};
use crate::kinds;
use crate::world::{World, read, request};

fn keys() -> String {
    format!(
        "type = \"infisical\"\nproject_id = \"{}\"\nenvironment = \"prod\"\npath = \"/app\"",
        Infisical::PROJECT
    )
}

fn serving() -> (Issuer<Infisical>, World) {
    let server = Issuer::start(Infisical::new());
    server.change(|server| {
        for (index, value) in values().into_iter().enumerate() {
            server.secrets.insert(format!("value {index}"), value);
        }
    });
    let mut world = World::new();
    world.set("INFISICAL_API_URL", format!("{}/api", server.url()));
    world.set("INFISICAL_TOKEN", Infisical::TOKEN);
    (server, world)
}

/// One that logs in.
fn with_client() -> (Issuer<Infisical>, World) {
    let (server, mut world) = serving();
    world.set("INFISICAL_TOKEN", "");
    world.set("INFISICAL_CLIENT_ID", Infisical::CLIENT_ID);
    world.set(
        "INFISICAL_CLIENT_SECRET",
        format!("{}\n", Infisical::CLIENT_SECRET),
    );
    (server, world)
}

fn no_complaints(server: &Issuer<Infisical>) {
    assert_eq!(server.complaints(), Vec::<String>::new());
}

async fn conforms(is_old: bool) -> Checked<kinds::Infisical> {
    let (server, world) = serving();
    server.change(|server| server.is_old = is_old);
    let provider = world.open(&keys());
    let existing = values()
        .into_iter()
        .enumerate()
        .map(|(index, value)| (format!("value {index}"), value))
        .collect();
    let checked = check(&Backend {
        kind: kinds::Infisical,
        provider: &*provider,
        existing,
        state: &|| server.change(|server| format!("{:?}", server.secrets).into_bytes()),
    })
    .await;
    no_complaints(&server);
    checked
}

#[tokio::test]
pub(crate) async fn it_conforms() -> Checked<kinds::Infisical> {
    conforms(false).await
}

#[tokio::test]
pub(crate) async fn a_server_without_the_newest_api_conforms() -> Checked<kinds::Infisical> {
    conforms(true).await
}

#[tokio::test]
async fn it_fails_closed() {
    let (server, world) = serving();
    fails_closed(Subject {
        server: &server,
        world,
        keys: keys(),
        reference: "value 0",
        secrets: &[Infisical::TOKEN],
    })
    .await;
}

#[tokio::test]
async fn a_login_fails_closed() {
    let (server, world) = with_client();
    fails_closed(Subject {
        server: &server,
        world,
        keys: keys(),
        reference: "value 0",
        secrets: &[Infisical::CLIENT_SECRET, "infisical-token-of-login"],
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_one_call_and_one_login() {
    let (server, world) = with_client();
    let provider = world.open(&keys());
    let answers = provider
        .get_many(&["value 1", "gone", "value 0"].map(request))
        .await;
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert_eq!(answers[1].as_ref().unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(server.requests().len(), 2);
    read(&*provider, "value 0").await.unwrap();
    assert_eq!(server.requests().len(), 3);
    no_complaints(&server);
}

#[tokio::test]
async fn a_login_that_has_ended_is_repeated_once() {
    let (server, world) = with_client();
    let provider = world.open(&keys());
    read(&*provider, "value 0").await.unwrap();
    server.change(Infisical::end_tokens);
    read(&*provider, "value 0").await.unwrap();
    assert_eq!(server.change(|server| server.logins()), 2);
    no_complaints(&server);
}

#[tokio::test]
async fn a_token_that_has_ended_is_said_and_not_shown() {
    let (server, world) = serving();
    server.change(Infisical::end_tokens);
    let error = read(&*world.open(&keys()), "value 0").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    assert!(error.remedy.as_ref().unwrap().contains("INFISICAL_TOKEN"));
    assert!(!format!("{error:?}").contains(Infisical::TOKEN));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn its_own_secret_wins_over_imports_and_a_later_import_over_an_earlier_one() {
    let (server, world) = serving();
    let import = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        owned.collect()
    };
    server.change(|server| {
        server.secrets = import(&[("A", "own")]);
        server.imports = vec![
            import(&[("A", "first"), ("B", "first"), ("C", "first")]),
            import(&[("A", "second"), ("B", "second")]),
        ];
    });
    let provider = world.open(&keys());
    for (key, value) in [("A", "own"), ("B", "second"), ("C", "first")] {
        assert_eq!(read(&*provider, key).await.unwrap(), value);
    }
    no_complaints(&server);
}

#[tokio::test]
async fn a_hidden_value_is_refused_and_what_stands_in_its_place_is_no_value() {
    let (server, world) = serving();
    server.change(|server| server.hidden.insert("value 0".to_owned()));
    let provider = world.open(&keys());
    let error = read(&*provider, "value 0").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(read(&*provider, "value 1").await.is_ok());
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let (server, world) = serving();
    let elsewhere = keys().replace("/app", "/gone");
    let error = read(&*world.open(&elsewhere), "value 0").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    assert!(error.remedy.unwrap().contains("the folder `/gone`"));
    server.change(|server| server.is_forbidden = true);
    let error = world.open(&keys()).check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.remedy.unwrap().contains("role"));
    no_complaints(&server);
}

#[tokio::test]
async fn a_client_that_is_not_accepted_is_said_and_not_shown() {
    let (server, mut world) = with_client();
    world.set("FNOX_INFISICAL_CLIENT_SECRET", "another-client-secret");
    let error = read(&*world.open(&keys()), "value 0").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    assert!(!format!("{error:?}").contains("another-client-secret"));
    no_complaints(&server);
}

#[test]
fn what_is_missing_is_named() {
    let (_server, mut world) = serving();
    let error = world.try_open("type = \"infisical\"").unwrap_err();
    assert_eq!(error.key, Some("project_id"));
    world.set("INFISICAL_TOKEN", "");
    let error = world.try_open(&keys()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    world.set("INFISICAL_CLIENT_ID", "id");
    let error = world.try_open(&keys()).unwrap_err();
    assert!(error.message.contains("INFISICAL_CLIENT_SECRET"), "{error}");
    world.set("INFISICAL_TOKEN", "t");
    world.set("FNOX_INFISICAL_API_URL", "http://infisical.example");
    let error = world.try_open(&keys()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
}
