//! Secrets that name several providers.

use super::*;

/// `one` reads a file, `op` is a program, `two` reads another file.
const HEAD: &str = r#"[providers]
one = { type = "plain", file = "one.json", format = "json" }
two = { type = "plain", file = "two.json", format = "json" }
op = { type = "1password", vault = "V" }
broken = { type = "external", program = "./one" }
[secrets]
"#;

fn world(secrets: &str) -> World {
    let world = World::new(&format!("{HEAD}{secrets}"));
    for (name, text) in [
        ("one.json", r#"{"a":"one-a"}"#),
        ("two.json", r#"{"a":"two-a","b":"two-b","c":"two-c"}"#),
    ] {
        std::fs::write(world.folder.path().join(name), text).unwrap();
    }
    world
}

#[tokio::test]
async fn the_first_provider_that_has_the_value_gives_it() {
    let secrets = r#"
A = { provider = ["one", "two"], value = "a" }
B = { provider = ["one", "two"], value = "b" }
"#;
    let resolution = world(secrets).resolve(&["A", "B"]).await.unwrap();
    assert_eq!(shown(&resolution), [("A", "one-a"), ("B", "two-b")]);
    assert_eq!(resolution.notices, []);
}

#[tokio::test]
async fn an_outage_falls_through_and_is_told_once_for_all() {
    let secrets = r#"
A = { provider = ["op", "two"], value = "a" }
B = { provider = ["op", "two"], value = "b" }
C = { provider = ["op", "one", "two"], value = "c" }
"#;
    // No `op` on PATH.
    let resolution = world(secrets).resolve(&["A", "B", "C"]).await.unwrap();
    assert_eq!(
        shown(&resolution),
        [("A", "two-a"), ("B", "two-b"), ("C", "two-c")]
    );
    let told: Vec<&str> = resolution
        .notices
        .iter()
        .map(|notice| notice.message.as_str())
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let head = "the secrets `A`, `B`, `C` come from `two`, because `op` failed: the program `op`";
    assert!(told[0].starts_with(head), "{told:?}");
}

#[tokio::test]
async fn a_provider_without_authentication_is_passed_over_and_nobody_is_asked() {
    let world = world("A = { provider = [\"op\", \"two\"], value = \"a\" }\n").program(
        "op",
        "echo '[ERROR] You are not currently signed in. Please run op signin' >&2; exit 1",
    );
    let config = world.config();
    let mut options = world.options();
    options.prompt = Arc::new(Refusing);
    let resolver = Resolver::new(&config, options);
    let resolution = resolver.resolve(&parsed(&["A"])).await.unwrap();
    assert_eq!(shown(&resolution), [("A", "two-a")]);
}

/// A terminal at which no question may be asked.
#[derive(Debug)]
struct Refusing;

impl fnox_core::prompt::Prompt for Refusing {
    fn is_interactive(&self) -> bool {
        true
    }

    fn secret(&self, question: &str) -> Option<fnox_core::SecretString> {
        panic!("asked: {question}")
    }

    fn confirm(&self, question: &str, _: &str, _: Option<&str>) -> Option<bool> {
        panic!("asked: {question}")
    }

    fn text(&self, question: &str) -> Option<String> {
        panic!("asked: {question}")
    }

    fn message(&self, _: &str) {}
}

#[tokio::test]
async fn a_wrong_configuration_is_not_passed_over() {
    let secrets = "A = { provider = [\"broken\", \"two\"], value = \"a\" }\n";
    let error = world(secrets).resolve(&["A"]).await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert_eq!(error.code(), "provider::misconfigured");
    let secrets = "A = { provider = [\"op\", \"twoo\"], value = \"a\" }\n";
    let error = world(secrets).resolve(&["A"]).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no provider `twoo`");
    assert_eq!(error.help().as_deref(), Some("did you mean `two`?"));
}

#[tokio::test]
async fn when_all_fail_each_is_named_and_the_first_outage_decides() {
    let secrets = r#"
A = { provider = ["one", "op", "two"], value = "z" }
B = { provider = ["one", "two"], value = "z", if_missing = "error" }
"#;
    let world = world(secrets);
    let error = world.resolve(&["A"]).await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Unavailable);
    assert_eq!(error.code(), "provider::unavailable");
    let text = error.to_string();
    for part in [
        "could not be read from `op`: the program `op` is not on PATH",
        "\n  - provider `one`: ",
        "\n  - provider `two`: ",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let error = world.resolve(&["B"]).await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::SecretMissing);
    let text = error.to_string();
    assert!(
        text.contains("provider `one`: ") && text.contains("provider `two`: "),
        "{text}"
    );
}

#[tokio::test]
async fn what_falls_through_is_one_batch_for_the_next_provider() {
    let secrets = r#"
A = { provider = ["one", "op"], value = "a" }
B = { provider = ["one", "op"], value = "b" }
C = { provider = ["one", "op"], value = "c" }
"#;
    let script = r#"echo "$1" >> "$HOME/calls"; sed 's/{{ *op:\/\/V\/\(.\)\/password *}}/op-\1/'"#;
    let world = world(secrets).program("op", script);
    let resolution = world.resolve(&["A", "B", "C"]).await.unwrap();
    assert_eq!(
        shown(&resolution),
        [("A", "one-a"), ("B", "op-b"), ("C", "op-c")]
    );
    let calls = std::fs::read_to_string(world.folder.path().join("calls")).unwrap();
    assert_eq!(calls, "inject\n");
}

/// A later provider that a secret opens, which has a chain of its own.
const OPENED: &str = r#"
OP_SERVICE_ACCOUNT_TOKEN = { provider = ["one", "two"], value = "b", env = false }
A = { provider = ["one", "op"], value = "a" }
B = { provider = ["one", "op"], value = "b" }
"#;

#[tokio::test]
async fn what_opens_a_later_provider_is_fetched_only_if_it_comes_to_that() {
    let script = r#"[ "$OP_SERVICE_ACCOUNT_TOKEN" = two-b ] && printf opened"#;
    let world = world(OPENED).program("op", script);
    let resolution = world.resolve(&["A"]).await.unwrap();
    assert_eq!(shown(&resolution), [("A", "one-a")]);
    let resolution = world.resolve(&["B"]).await.unwrap();
    let token = ("OP_SERVICE_ACCOUNT_TOKEN", "two-b");
    assert_eq!(shown(&resolution), [token, ("B", "opened")]);
    let all = ["B", "OP_SERVICE_ACCOUNT_TOKEN"];
    let resolution = world.resolve(&all).await.unwrap();
    assert_eq!(shown(&resolution), [token, ("B", "opened")]);
}

#[tokio::test]
async fn a_token_cannot_open_the_store_that_it_is_fetched_from() {
    let secrets = r#"
OP_SERVICE_ACCOUNT_TOKEN = { provider = ["one", "op"], value = "b" }
"#;
    let script = r#"[ -z "$OP_SERVICE_ACCOUNT_TOKEN" ] && printf session"#;
    let world = world(secrets).program("op", script);
    let all = ["OP_SERVICE_ACCOUNT_TOKEN"];
    let resolution = world.resolve(&all).await.unwrap();
    assert_eq!(
        shown(&resolution),
        [("OP_SERVICE_ACCOUNT_TOKEN", "session")]
    );
}

#[test]
fn a_list_of_providers_is_not_empty_and_names_nobody_twice() {
    for (list, reason) in [
        ("[]", "is an empty list"),
        ("[\"one\", \"one\"]", "names `one` twice"),
        ("[1]", "must be a string or a list of strings"),
    ] {
        let text = format!("{HEAD}A = {{ provider = {list}, value = \"a\" }}\n");
        let world = World::new(&text);
        let env = world.env();
        let error = Loader {
            env: &env,
            folders: &Folders::from_env(&env),
            cwd: world.folder.path(),
            explicit: None,
            profiles: Vec::new(),
            may_create: None,
            no_defaults: false,
        }
        .load()
        .unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}
