//! Secrets that name several providers, through the binary.

use fnox_testkit::Sandbox;

use crate::support::{fails, json, ok, with_age};

/// `op` is on PATH and has one item; the other values are in a file.
fn with_chains() -> Sandbox {
    let sandbox = with_age();
    sandbox.write_program(
        "op",
        "#!/bin/sh\n[ \"$*\" = 'read --no-newline op://V/up/password' ] && printf 'from op' && exit 0\n\
         echo '[ERROR] You are not currently signed in' >&2\nexit 1\n",
    );
    sandbox.write("values.json", r#"{"down":"from the file"}"#);
    let text = sandbox.read("fnox.toml")
        + r#"op = { type = "1password", vault = "V" }
files = { type = "plain", file = "values.json", format = "json" }
clear = { type = "plain" }

[secrets]
DOWN = { provider = ["op", "files"], value = "down" }
"#;
    sandbox.write("fnox.toml", text);
    sandbox
}

#[test]
fn a_value_comes_from_the_next_provider_and_stderr_says_why() {
    let sandbox = with_chains();
    let run = sandbox.run(["get", "DOWN"]).finish().succeeds();
    assert_eq!(run.stdout, "from the file\n");
    let told = "the secret `DOWN` comes from `files`, because `op` failed: ";
    assert!(run.stderr.contains(told), "{run}");
    let run = sandbox.run(["exec", "--", "printenv", "DOWN"]);
    let run = run.finish().succeeds();
    assert_eq!(run.stdout, "from the file\n");
    assert!(run.stderr.contains(told), "{run}");
}

#[test]
fn when_nobody_has_it_all_are_named() {
    let sandbox = with_chains();
    let text =
        sandbox.read("fnox.toml") + "GONE = { provider = [\"op\", \"files\"], value = \"gone\" }\n";
    sandbox.write("fnox.toml", text);
    let error = fails(&sandbox, 4, &["get", "GONE"]);
    for part in [
        "provider::authentication_needed",
        "could not be read from `op`",
        "provider `files`: ",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn lists_checks_and_the_doctor_show_the_chain() {
    let sandbox = with_chains();
    let listed = ok(&sandbox, &["list"]);
    assert!(listed.contains("provider (op, then files)"), "{listed}");
    let document = json(&ok(&sandbox, &["list", "--json"]));
    assert_eq!(document[0]["provider"], "op");
    assert_eq!(document[0]["fallbacks"], serde_json::json!(["files"]));
    let checked = sandbox.run(["check"]).finish().succeeds();
    assert!(
        checked
            .stdout
            .contains("Chain: op, then files (1 secret)\n"),
        "{checked}"
    );
    let document = json(&ok(&sandbox, &["check", "--json"]));
    let chains = serde_json::json!([{ "providers": ["op", "files"], "secrets": 1 }]);
    assert_eq!(document["chains"], chains);
    let doctor = sandbox.run(["doctor", "--json"]).finish();
    let document = json(&doctor.stdout);
    let mut examined = document["examinations"].as_array().unwrap().iter();
    assert!(
        examined.any(|one| one["name"] == "op, then files" && one["group"] == "providers"),
        "{doctor}"
    );
}

#[test]
fn a_provider_that_repeats_the_reference_is_an_error_of_a_chain() {
    let sandbox = with_chains();
    let text = sandbox
        .read("fnox.toml")
        .replace("[\"op\", \"files\"]", "[\"op\", \"clear\"]");
    sandbox.write("fnox.toml", text);
    let error = fails(&sandbox, 1, &["check"]);
    assert!(
        error.contains("`DOWN` has `clear` in its list of providers"),
        "{error}"
    );
}

#[test]
fn set_writes_to_the_first_provider_and_keeps_the_list() {
    let sandbox = with_age();
    let text = sandbox.read("fnox.toml")
        + "clear = { type = \"plain\" }\n[secrets]\nA = { provider = [\"age\", \"other\"], value = \"\" }\n";
    let text = text.replace(
        "clear =",
        "other = { type = \"age\", recipients = [] }\nclear =",
    );
    sandbox.write("fnox.toml", text);
    sandbox.run(["set", "A"]).stdin("x").finish().succeeds();
    let text = sandbox.read("fnox.toml");
    assert!(
        text.contains("A = { provider = [\"age\", \"other\"], value = \""),
        "{text}"
    );
    assert_eq!(ok(&sandbox, &["get", "A"]), "x\n");
    sandbox
        .run(["set", "A", "--provider", "clear"])
        .stdin("y")
        .finish()
        .succeeds();
    let text = sandbox.read("fnox.toml");
    assert!(
        text.contains("A = { provider = \"clear\", value = \"y\" }"),
        "{text}"
    );
}
