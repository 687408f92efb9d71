//! `proton-pass`, with a program that plays `pass-cli` (Proton Pass CLI, "inject command", "info command").

use fnox_providers::ErrorKind;

use crate::conformance::{Backend, Checked, check, values};
use crate::kinds;
use crate::world::{World, read, request};

const PASS_CLI: &str = r#"
printf '%s\n' "$*" >> "$HOME/argv"
env > "$HOME/env"
[ -z "$PASS_FAKE_FAILS" ] || { echo "Error: $PASS_FAKE_FAILS" >&2; exit 1; }
case "$*" in
  info) ;;
  inject)
    while IFS= read -r line; do
      case "$line" in
        '{{ pass://'*' }}')
          uri=${line#'{{ pass://'}; file="$HOME/items/${uri%' }}'}"
          [ -f "$file" ] || { echo "Error: Item not found" >&2; exit 1; }
          cat "$file"; echo ;;
        *) printf '%s\n' "$line" ;;
      esac
    done ;;
  *) exit 9 ;;
esac
"#;

const KEYS: &str = "type = \"proton-pass\"\nvault = \"V\"";

fn world() -> World {
    let world = World::new();
    world.program("pass-cli", PASS_CLI);
    for (index, value) in values().iter().enumerate() {
        world.write(&format!("items/V/item{index}/password"), value);
    }
    world
}

#[tokio::test]
pub(crate) async fn conforms() -> Checked<kinds::ProtonPass> {
    let world = world();
    let provider = world.open(KEYS);
    let existing = values()
        .into_iter()
        .enumerate()
        .map(|(index, value)| (format!("item{index}"), value))
        .collect();
    check(&Backend {
        kind: kinds::ProtonPass,
        provider: provider.as_ref(),
        existing,
        state: &|| world.snapshot_of("items"),
    })
    .await
}

#[tokio::test]
async fn a_batch_is_one_call_and_one_missing_item_hides_no_other() {
    let world = world();
    let provider = world.open(KEYS);
    let requests = ["item0", "pass://V/item1/password", "id:item0/password"].map(request);
    assert!(provider.get_many(&requests).await.iter().all(Result::is_ok));
    assert_eq!(world.read("argv"), "inject\n");
    let requests = ["item0", "nope", "a/b/c/d"].map(request);
    let answers = provider.get_many(&requests).await;
    assert_eq!(answers[0].as_ref().unwrap().expose_secret(), "plain");
    let error = answers[1].as_ref().unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.message.contains("pass://V/nope/password"), "{error}");
    assert_eq!(
        answers[2].as_ref().unwrap_err().kind,
        ErrorKind::Misconfigured
    );
}

#[tokio::test]
async fn complaints_are_told_apart() {
    for (says, kind) in [
        (
            "There is no session, please log in",
            ErrorKind::AuthenticationNeeded,
        ),
        ("an agent reason is required", ErrorKind::Misconfigured),
        ("connection refused", ErrorKind::Unavailable),
    ] {
        let mut world = world();
        world.set("PASS_FAKE_FAILS", says);
        let error = world.open(KEYS).check().await.unwrap_err();
        assert_eq!(error.kind, kind, "{says}");
        let answers = world
            .open(KEYS)
            .get_many(&["item0", "item1"].map(request))
            .await;
        assert!(
            answers
                .iter()
                .all(|answer| answer.as_ref().unwrap_err().kind == kind)
        );
        assert_eq!(world.read("argv"), "info\ninject\n");
    }
}

#[tokio::test]
async fn credentials_and_the_reason_go_by_environment() {
    let mut world = world();
    world.set("FNOX_PROTON_PASS_PASSWORD", "own-secret");
    world.set("PROTON_PASS_PASSWORD", "plain-secret");
    let keys = format!("{KEYS}\nagent_reason = \"a build\"");
    read(world.open(&keys).as_ref(), "item0").await.unwrap();
    let env = world.read("env");
    assert!(
        env.lines()
            .any(|line| line == "PROTON_PASS_PASSWORD=own-secret"),
        "{env}"
    );
    assert!(env.contains("PROTON_PASS_AGENT_REASON=a build\n"));
    world.set("FNOX_PROTON_PASS_AGENT_REASON", "another");
    read(world.open(&keys).as_ref(), "item0").await.unwrap();
    assert!(
        world
            .read("env")
            .contains("PROTON_PASS_AGENT_REASON=another\n")
    );
    assert!(!world.read("argv").contains("secret"));
}
