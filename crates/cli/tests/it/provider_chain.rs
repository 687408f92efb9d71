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

#[test]
fn a_copy_is_made_of_what_the_chain_gives() {
    let sandbox = with_chains();
    let listed = ok(&sandbox, &["sync", "-n", "-p", "age"]);
    assert!(
        listed.contains("  DOWN (from op, then files)\n"),
        "{listed}"
    );
    let run = sandbox.run(["sync", "-f", "-p", "age"]).finish();
    let run = run.succeeds();
    let told = "the secret `DOWN` comes from `files`, because `op` failed: ";
    assert!(run.stderr.contains(told), "{run}");
    let text = sandbox.read("fnox.toml");
    assert!(
        text.contains("provider = [\"op\", \"files\"], value = \"down\", sync = {"),
        "{text}"
    );
    std::fs::remove_file(sandbox.project().join("values.json")).unwrap();
    let offline = ["exec", "--offline", "--", "printenv", "DOWN"];
    assert_eq!(ok(&sandbox, &offline), "from the file\n");
    let status = json(&ok(&sandbox, &["sync", "--status", "--json"]));
    assert_eq!(status[0]["from"], "op, then files");
    // In a local file the copy is one of the whole chain.
    sandbox.write(
        "fnox.toml",
        text.split(", sync").next().unwrap().to_owned() + " }\n",
    );
    sandbox.write("values.json", r#"{"down":"from the file"}"#);
    ok(&sandbox, &["sync", "-f", "-p", "age", "--local-file"]);
    std::fs::remove_file(sandbox.project().join("values.json")).unwrap();
    assert_eq!(ok(&sandbox, &offline), "from the file\n");
}

/// A chain of `op`, which is locked, and `age`, with a ciphertext of `age`, and one with a reference of `op`.
fn with_ciphertext() -> Sandbox {
    let sandbox = with_chains();
    let text = sandbox.read("fnox.toml") + "A = { provider = [\"age\"], value = \"\" }\n";
    sandbox.write("fnox.toml", text);
    sandbox.run(["set", "A"]).stdin("one").finish().succeeds();
    let text = sandbox
        .read("fnox.toml")
        .replace(
            "A = { provider = [\"age\"]",
            "A = { provider = [\"op\", \"age\"]",
        )
        .replace(
            "A = { provider = \"age\"",
            "A = { provider = [\"op\", \"age\"]",
        )
        + "UP = { provider = [\"op\", \"age\"], value = \"up\" }\n";
    sandbox.write("fnox.toml", text);
    sandbox
}

fn line(sandbox: &Sandbox, name: &str) -> String {
    let text = sandbox.read("fnox.toml");
    let mut lines = text.lines();
    lines
        .find(|line| line.starts_with(&format!("{name} =")))
        .unwrap_or_else(|| panic!("{name} in {text}"))
        .to_owned()
}

#[test]
fn whichever_provider_of_a_chain_encrypts_does_so_anew_and_references_are_left_alone() {
    let sandbox = with_ciphertext();
    let before = (line(&sandbox, "A"), line(&sandbox, "UP"));
    let run = sandbox.run(["reencrypt", "-f"]).finish().succeeds();
    assert!(
        run.stderr.contains("left out: UP: ") && run.stderr.contains("Encrypted 1 secret anew"),
        "{run}"
    );
    let after = (line(&sandbox, "A"), line(&sandbox, "UP"));
    assert_ne!(before.0, after.0);
    assert_eq!(before.1, after.1);
    assert!(
        after.0.contains("provider = [\"op\", \"age\"]"),
        "{}",
        after.0
    );
    assert_eq!(ok(&sandbox, &["get", "A"]), "one\n");
    let told = fails(&sandbox, 2, &["reencrypt", "-f", "UP"]);
    assert!(told.contains("`UP` cannot be encrypted anew"), "{told}");
    assert_eq!(line(&sandbox, "UP"), after.1);
}

#[test]
fn a_copied_secret_keeps_its_chain_and_opens_under_its_own_name() {
    let sandbox = with_ciphertext();
    let text = sandbox
        .read("fnox.toml")
        .replace("type = \"age\",", "type = \"age\", bind_names = true,");
    sandbox.write("fnox.toml", text);
    ok(&sandbox, &["reencrypt", "-f", "A"]);
    ok(&sandbox, &["copy", "A", "B"]);
    ok(&sandbox, &["rename", "UP", "UPPER"]);
    assert!(line(&sandbox, "B").contains("provider = [\"op\", \"age\"]"));
    assert_eq!(ok(&sandbox, &["get", "B"]), "one\n");
    assert_ne!(
        line(&sandbox, "A").split_once("value"),
        line(&sandbox, "B").split_once("value")
    );
    assert!(line(&sandbox, "UPPER").contains("value = \"up\""));
    assert_eq!(ok(&sandbox, &["get", "UPPER"]), "from op\n");
}

#[test]
fn an_edited_value_goes_back_to_the_provider_that_gave_it() {
    let sandbox = with_ciphertext();
    let edit = |key: &str| {
        let run = sandbox.run(["edit", key]);
        run.env("EDITOR", "sed -i s/one/two/").finish()
    };
    let run = edit("A").succeeds();
    let told = "Set A in age, which gave its value";
    assert!(run.stderr.contains(told), "{run}");
    // A ciphertext is no reference: nobody has to unlock `op` for it.
    assert!(!run.stderr.contains("`op` is asked before"), "{run}");
    assert_eq!(ok(&sandbox, &["get", "A"]), "two\n");
    assert!(line(&sandbox, "A").contains("provider = [\"op\", \"age\"]"));
    // What only reads gave it, and nobody before that one could store it under the same reference.
    let run = edit("UP").exits_with(2);
    assert!(
        run.stderr
            .contains("`UP` cannot be edited: its provider `op`"),
        "{run}"
    );
    let run = edit("DOWN").exits_with(2);
    assert!(run.stderr.contains("only reads"), "{run}");
    // The whole file shows what opens, and the reference as it is.
    let run = sandbox.run(["edit"]);
    let run = run.env("EDITOR", "sed -i 's/\"two\"/\"three\"/'").finish();
    run.succeeds();
    assert_eq!(ok(&sandbox, &["get", "A"]), "three\n");
    assert_eq!(ok(&sandbox, &["get", "UP"]), "from op\n");
    assert!(!sandbox.read("fnox.toml").contains("three"));
}

#[test]
fn what_gives_up_a_chain_says_so() {
    let sandbox = with_ciphertext();
    let run = sandbox.run(["set", "A", "-p", "age"]).stdin("new").finish();
    let run = run.succeeds();
    assert!(
        run.stderr
            .contains("`A` comes from `age` alone now; it came from op, then age"),
        "{run}"
    );
}
