//! `fnox reencrypt`

use fnox_testkit::Sandbox;

use crate::support::{fails, ok, with_age, with_identity};

fn set(sandbox: &Sandbox, arguments: &[&str], value: &str) {
    let mut all = vec!["set"];
    all.extend(arguments);
    sandbox.run(all).stdin(value).finish().succeeds();
}

fn other_identity(sandbox: &Sandbox, path: &str) -> String {
    ok(sandbox, &["age", "keygen", "-o", path])
        .trim()
        .to_owned()
}

#[test]
fn values_follow_the_recipients() {
    let sandbox = with_age();
    set(&sandbox, &["A", "-d", "first"], "one");
    set(&sandbox, &["B"], "two\nlines");
    let other = other_identity(&sandbox, "other.txt");
    ok(&sandbox, &["reencrypt", "--check"]);
    ok(&sandbox, &["age", "add-recipient", &other]);
    let before = sandbox.read("fnox.toml");

    let drifted = sandbox.run(["reencrypt", "--check"]).finish().exits_with(1);
    assert!(
        drifted.stdout.contains("A (age) ") && drifted.stdout.contains("B (age) "),
        "{drifted}"
    );
    let listed = ok(&sandbox, &["reencrypt", "-n"]);
    assert!(
        listed.contains("would encrypt 2 secrets anew") && listed.contains("  A (age)"),
        "{listed}"
    );
    assert_eq!(
        sandbox.read("fnox.toml"),
        before,
        "neither changes anything"
    );

    ok(&sandbox, &["reencrypt", "--force"]);
    ok(&sandbox, &["reencrypt", "--check"]);
    let after = sandbox.read("fnox.toml");
    assert!(
        after.contains("# kept\n")
            && after.contains("# kept too")
            && after.contains("description = \"first\"")
    );
    // The new recipient opens it alone.
    std::fs::remove_file(sandbox.config_folder().join("age.txt")).unwrap();
    let run = sandbox
        .run(["get", "B"])
        .env("FNOX_AGE_KEY_FILE", sandbox.project().join("other.txt"))
        .finish();
    assert_eq!(run.succeeds().stdout, "two\nlines\n");
}

#[test]
fn each_value_goes_back_to_its_own_table_and_bound_values_stay_bound() {
    let (sandbox, recipient) = with_identity();
    sandbox.write(
        "fnox.toml",
        format!("[providers]\nage = {{ type = \"age\", recipients = [\"{recipient}\"], bind_names = true }}\n\n[profiles.dev]\n\n[profiles.ops]\ninherits = [\"dev\"]\n"),
    );
    set(&sandbox, &["BASE"], "b");
    set(&sandbox, &["DEV", "-P", "dev"], "d");
    sandbox.write("fnox.ops.toml", "# ops\n[secrets]\n");
    set(&sandbox, &["OPS", "-P", "ops"], "o");
    let other = other_identity(&sandbox, "other.txt");
    ok(&sandbox, &["age", "add-recipient", &other]);
    ok(&sandbox, &["reencrypt", "-f", "-P", "ops"]);
    ok(&sandbox, &["reencrypt", "--check", "-P", "ops"]);
    let values = ok(&sandbox, &["export", "-P", "ops", "-f", "shell"]);
    assert_eq!(values, "export BASE=b\nexport DEV=d\nexport OPS=o\n");
    // Without the profile above, so the values are bound to their own tables.
    assert_eq!(ok(&sandbox, &["get", "BASE"]), "b\n");
    assert_eq!(ok(&sandbox, &["get", "DEV", "-P", "dev"]), "d\n");
    assert!(
        sandbox
            .read("fnox.ops.toml")
            .starts_with("# ops\n[secrets]\nOPS = ")
    );
}

#[test]
fn one_value_that_does_not_open_leaves_all_as_they_are() {
    let sandbox = with_age();
    set(&sandbox, &["A"], "one");
    let foreign = other_identity(&sandbox, "foreign.txt");
    let text = sandbox.read("fnox.toml");
    sandbox.write(
        "fnox.toml",
        text.replace(
            "[secrets]",
            &format!("theirs = {{ type = \"age\", recipients = [\"{foreign}\"] }}\n\n[secrets]"),
        ),
    );
    set(&sandbox, &["Z", "-p", "theirs"], "z");
    let before = sandbox.read("fnox.toml");
    let error = fails(&sandbox, 4, &["reencrypt", "-f"]);
    assert!(error.contains("`Z`"), "{error}");
    assert_eq!(sandbox.read("fnox.toml"), before);
    ok(&sandbox, &["reencrypt", "-f", "-p", "age"]);
    assert_ne!(sandbox.read("fnox.toml"), before);
}

#[test]
fn a_named_secret_that_cannot_be_encrypted_anew_is_an_error() {
    let sandbox = with_age();
    set(&sandbox, &["A"], "one");
    let text = sandbox.read("fnox.toml");
    let text = text.replace("[secrets]", "plain = { type = \"plain\" }\n\n[secrets]\nP = { provider = \"plain\", value = \"x\" }\nN = { default = \"x\" }");
    sandbox.write("fnox.toml", text);
    let error = fails(&sandbox, 2, &["reencrypt", "P", "-f"]);
    assert!(error.contains("does not encrypt"), "{error}");
    let error = fails(&sandbox, 2, &["reencrypt", "N", "-f"]);
    assert!(error.contains("no stored value"), "{error}");
    fails(&sandbox, 3, &["reencrypt", "GONE", "-f"]);
    let error = fails(&sandbox, 2, &["reencrypt"]);
    assert!(error.contains("--force"), "nobody can be asked: {error}");
    ok(&sandbox, &["reencrypt", "-f", "--filter", "^NOTHING$"]);
}

#[test]
fn values_of_the_base_are_not_given_to_the_readers_of_a_profile() {
    let sandbox = with_age();
    set(&sandbox, &["A"], "one");
    let prod = other_identity(&sandbox, "prod.txt");
    let text = sandbox.read("fnox.toml");
    sandbox.write("fnox.toml", format!("{text}\n[profiles.prod.providers]\nage = {{ type = \"age\", recipients = [\"{prod}\"] }}\n"));
    let before = sandbox.read("fnox.toml");
    let run = sandbox
        .run(["reencrypt", "-f", "-P", "prod"])
        .finish()
        .succeeds();
    assert!(run.stderr.contains("left out: A"), "{run}");
    assert_eq!(sandbox.read("fnox.toml"), before);
    let error = fails(&sandbox, 2, &["reencrypt", "A", "-f", "-P", "prod"]);
    assert!(error.contains("without that profile"), "{error}");
}
