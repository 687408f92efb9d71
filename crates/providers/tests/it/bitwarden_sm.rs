//! `bitwarden-sm`, with a program that plays `bws` as Bitwarden's page "Secrets Manager CLI" has it: it records what it is given,
//! and knows no other arguments.

use fnox_core::SecretString;
use fnox_providers::ErrorKind;
use serde_json::json;

use crate::conformance::{Backend, Checked, check, values};
use crate::kinds;
use crate::world::{World, read, request};

const TOKEN: &str = "0.48c78342-1635-48a6-accd-afbe01336365.C0tMmQqHnAp1h0gL8bngprlPOYutt0:B3h5D+YgLvFiQhWkIq6Bow==";
const PROJECT: &str = "f1fe5978-0aa1-4bb0-949b-b03000e0402a";
const KEYS: &str = "type = \"bitwarden-sm\"\nproject_id = \"f1fe5978-0aa1-4bb0-949b-b03000e0402a\"";

const BWS: &str = r#"
printf '%s\n' "$*" >> "$HOME/argv"
[ -z "$BWS_FAKE_FAILS" ] || { printf '%s\n' "Error: " "   0: $BWS_FAKE_FAILS" >&2; exit 1; }
[ -z "$BWS_FAKE_PRINTS" ] || { printf '%s' "$BWS_FAKE_PRINTS"; exit 0; }
[ "$BWS_ACCESS_TOKEN" = "$(cat "$HOME/token")" ] || {
  echo "Error: Received error message from server: [400 Bad Request] {\"error\":\"invalid_client\"} for $BWS_ACCESS_TOKEN" >&2; exit 1; }
case "$*" in *' --output json --color no') ;; *' --output json --color no --profile work') ;; *) exit 9 ;; esac
case "$1 $2" in
  'project get') [ "$3" = f1fe5978-0aa1-4bb0-949b-b03000e0402a ] || exit 9; echo '{}' ;;
  'secret list')
    [ "$3" = f1fe5978-0aa1-4bb0-949b-b03000e0402a ] || {
      echo 'Error: Received error message from server: [404 Not Found] {"message":"Resource not found."}' >&2; exit 1; }
    cat "$HOME/secrets.json" ;;
  *) exit 9 ;;
esac
"#;

fn world() -> World {
    let mut world = World::new();
    world.program("bws", BWS);
    world.write("token", TOKEN);
    world.set("BWS_ACCESS_TOKEN", TOKEN);
    let secrets: Vec<_> = (0..)
        .zip(values())
        .map(|(index, value)| secret(index, &format!("folder/key {index}"), &value))
        .collect();
    world.write("secrets.json", json!(secrets).to_string());
    world
}

fn secret(number: u32, key: &str, value: &str) -> serde_json::Value {
    json!({
        "object": "secret", "id": format!("be8e0ad8-d545-4017-a55a-b02f014d{number:04}"),
        "organizationId": "10e8cbfa-7bb2-4361-bd6f-b02f013f9c41", "projectId": PROJECT,
        "key": key, "value": value, "note": format!("note {number}"),
        "creationDate": "2023-06-28T20:13:20.643567Z", "revisionDate": "2023-06-28T20:13:20.643567Z",
    })
}

#[tokio::test]
pub(crate) async fn it_conforms() -> Checked<kinds::BitwardenSm> {
    let world = world();
    let provider = world.open(KEYS);
    let existing = (0..)
        .zip(values())
        .map(|(index, value)| (format!("folder/key {index}"), value))
        .collect();
    check(&Backend {
        kind: kinds::BitwardenSm,
        provider: &*provider,
        existing,
        state: &|| world.read("secrets.json").into_bytes(),
    })
    .await
}

#[tokio::test]
async fn a_batch_is_one_call_and_the_token_is_on_no_command_line() {
    let mut world = world();
    world.set("BWS_ACCESS_TOKEN", "another");
    world.set("FNOX_BWS_ACCESS_TOKEN", TOKEN);
    let provider = world.open(&format!("{KEYS}\nprofile = \"work\""));
    let references = [
        "folder/key 0",
        "folder/key 0/note",
        "folder/key 0/key",
        "folder/key 0/value",
        "be8e0ad8-d545-4017-a55a-b02f014d0000",
    ];
    let answers = provider.get_many(&references.map(request)).await;
    let read: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().unwrap().expose_secret())
        .collect();
    assert_eq!(read, ["plain", "note 0", "folder/key 0", "plain", "plain"]);
    assert_eq!(
        world.read("argv"),
        format!("secret list {PROJECT} --output json --color no --profile work\n")
    );
}

#[tokio::test]
async fn a_value_is_refused_rather_than_put_on_a_command_line() {
    let world = world();
    let value = SecretString::from("new-value");
    let error = world.open(KEYS).put("k", &value).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    assert_eq!(world.read("argv"), "");
}

#[tokio::test]
async fn a_key_of_two_secrets_is_refused() {
    let world = world();
    let twins = json!([secret(1, "twin", "1"), secret(2, "twin", "2")]);
    world.write("secrets.json", twins.to_string());
    let provider = world.open(KEYS);
    let error = read(&*provider, "twin").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    let second = "be8e0ad8-d545-4017-a55a-b02f014d0002";
    assert_eq!(read(&*provider, second).await.unwrap(), "2");
}

#[tokio::test]
async fn complaints_are_told_apart_and_show_no_token() {
    for (says, kind) in [
        (
            "Access token is not in a valid format",
            ErrorKind::AuthenticationNeeded,
        ),
        (
            "Received error message from server: [401 Unauthorized] {}",
            ErrorKind::AuthenticationNeeded,
        ),
        (
            "Received error message from server: [404 Not Found] {}",
            ErrorKind::Misconfigured,
        ),
        (
            "Received error message from server: [429 Too Many Requests] {}",
            ErrorKind::Unavailable,
        ),
        ("error sending request for url", ErrorKind::Unavailable),
    ] {
        let mut world = world();
        world.set("BWS_FAKE_FAILS", says);
        let provider = world.open(KEYS);
        let error = read(&*provider, "k").await.unwrap_err();
        assert_eq!(error.kind, kind, "{says}");
        assert_eq!(provider.check().await.unwrap_err().kind, kind, "{says}");
    }
    let mut world = world();
    world.set("BWS_ACCESS_TOKEN", "0.another.access-token:of-somebody");
    let error = read(&*world.open(KEYS), "k").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    assert!(!format!("{error:?}").contains("of-somebody"), "{error}");
}

#[tokio::test]
async fn what_is_no_list_is_unavailable_and_not_shown() {
    for prints in ["value-that-leaks", "[{\"id\":\"value-that-leaks\"}]", "{}"] {
        let mut world = world();
        world.set("BWS_FAKE_PRINTS", prints);
        let error = read(&*world.open(KEYS), "k").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(!format!("{error:?}").contains("leaks"), "{error}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let mut world = world();
    let error = world.try_open("type = \"bitwarden-sm\"").unwrap_err();
    assert_eq!(error.key, Some("project_id"));
    let error = world
        .try_open("type = \"bitwarden-sm\"\nproject_id = \"--help\"")
        .unwrap_err();
    assert_eq!(error.key, Some("project_id"));
    world.set("BWS_PROJECT_ID", PROJECT);
    assert!(world.try_open("type = \"bitwarden-sm\"").is_ok());
    world.set("BWS_ACCESS_TOKEN", "");
    let error = world.try_open(KEYS).unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
}
