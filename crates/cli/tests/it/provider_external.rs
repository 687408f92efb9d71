//! Providers that are programs of other people, through the binary.

use std::path::{Path, PathBuf};

use fnox_testkit::Sandbox;

use crate::support::{fails, json, ok, sandbox};

fn example() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"));
    path.join("../../examples/external-provider/fnox-provider-example")
        .canonicalize()
        .unwrap()
}

/// A project whose values the example keeps, behind a password that is a secret.
fn with_example() -> Sandbox {
    let sandbox = sandbox();
    let shelf = sandbox.root().join("shelf");
    std::fs::create_dir(&shelf).unwrap();
    std::fs::write(shelf.join(".password"), "right\n").unwrap();
    let text = format!(
        r#"default_provider = "shelf"
[providers.shelf]
type = "external"
program = "{}"
options = {{ folder = "{}", password = {{ secret = "SHELF_PASSWORD" }} }}

[providers.clear]
type = "plain"

[secrets]
SHELF_PASSWORD = {{ provider = "clear", value = "right", env = false }}
"#,
        example().display(),
        shelf.display()
    );
    sandbox.write("fnox.toml", text);
    sandbox
}

#[test]
fn a_program_keeps_values_and_is_opened_with_a_secret() {
    let sandbox = with_example();
    let set = sandbox.run(["set", "A"]).stdin("kept-by-the-program");
    set.finish().succeeds();
    let text = sandbox.read("fnox.toml");
    assert!(
        text.contains("A = { provider = \"shelf\", value = \"A\" }"),
        "{text}"
    );
    let run = sandbox.run(["get", "A"]).finish().succeeds();
    assert_eq!(run.stdout, "kept-by-the-program\n");
    let run = sandbox.run(["exec", "--", "sh", "-c", "printf \"$A\"; env"]);
    let run = run.finish().succeeds();
    assert!(run.stdout.starts_with("kept-by-the-program"), "{run}");
    assert!(
        !run.stdout.contains("SHELF_PASSWORD"),
        "what opened the provider does not reach the program: {run}"
    );
    ok(&sandbox, &["provider", "test", "shelf"]);
    let listed = json(&ok(&sandbox, &["provider", "list", "--json"]));
    let mut listed = listed.as_array().unwrap().iter();
    let shelf = listed.find(|one| one["name"] == "shelf").unwrap();
    assert_eq!(shelf["capability"], "stores");
    let run = sandbox.run(["exec", "--offline", "--", "printenv", "A"]);
    let run = run.finish();
    assert!(!run.stdout.contains("kept-by-the-program"), "{run}");
}

#[test]
fn a_refusal_of_a_program_is_not_passed_over() {
    let sandbox = with_example();
    sandbox.run(["set", "A"]).stdin("x").finish().succeeds();
    sandbox.write("values.json", r#"{"A":"by another door","B":"spare"}"#);
    let text = sandbox.read("fnox.toml").replace(
        "A = { provider = \"shelf\"",
        "B = { provider = [\"shelf\", \"files\"], value = \"B\" }\nA = { provider = [\"shelf\", \"files\"]",
    ) + "[providers.files]\ntype = \"plain\"\nfile = \"values.json\"\nformat = \"json\"\n";
    sandbox.write("fnox.toml", &text);
    assert_eq!(ok(&sandbox, &["get", "A"]), "x\n");
    assert_eq!(ok(&sandbox, &["get", "B"]), "spare\n");
    sandbox.write("fnox.toml", text.replace("\"right\"", "\"wrong-word\""));
    for name in ["A", "B"] {
        let error = fails(&sandbox, 7, &["get", name]);
        assert!(error.contains("provider::denied"), "{error}");
        assert!(!error.contains("wrong-word"), "{error}");
    }
    sandbox.write("fnox.toml", text.replace("password =", "pass ="));
    let run = sandbox.run(["get", "A"]).finish().succeeds();
    assert_eq!(run.stdout, "by another door\n");
    assert!(
        run.stderr.contains("set the option `password`")
            || run.stderr.contains("because `shelf` failed"),
        "{run}"
    );
}

#[test]
fn a_program_is_added_from_the_command_line_and_checked() {
    let sandbox = sandbox();
    let added = [
        "provider",
        "add",
        "x",
        "external",
        "-f",
        "program=absent-one",
        "-f",
        "options=folder=/srv",
        "-f",
        "options=port=7",
        "-f",
        "options=token={ secret = \"TOKEN_OF_X\" }",
    ];
    ok(&sandbox, &added);
    let text = sandbox.read("fnox.toml");
    assert!(
        text.contains(
            "options = { folder = \"/srv\", port = 7, token = { secret = \"TOKEN_OF_X\" } }"
        ),
        "{text}"
    );
    let error = fails(&sandbox, 1, &["check"]);
    assert!(
        error.contains("`options` of the provider `x` needs `TOKEN_OF_X`"),
        "{error}"
    );
    let run = sandbox
        .run(["provider", "test", "x"])
        .env("TOKEN_OF_X", "t");
    let error = run.finish().exits_with(6).stderr;
    assert!(
        error.contains("the program `fnox-provider-absent-one` is not on PATH"),
        "{error}"
    );
}
