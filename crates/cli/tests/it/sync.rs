//! `fnox sync`, and `fnox exec --offline`

use fnox_testkit::Sandbox;

use crate::support::{fails, json, ok, with_identity};

/// Plays `op`, which can be told to be unreachable.
const OP: &str = r#"#!/bin/sh
[ ! -e "$HOME/op-is-down" ] || { echo "[ERROR] connection refused" >&2; exit 1; }
echo "$1" >> "$HOME/op-calls"
case "$1" in
  read) printf 'value-of-%s' "${3#op://}" ;;
  inject) sed 's|{{ *op://\([^}]*[^} ]\) *}}|value-of-\1|g' ;;
  *) echo "unexpected: $*" >&2; exit 2 ;;
esac
"#;

fn shop() -> Sandbox {
    let (sandbox, recipient) = with_identity();
    sandbox.write_program("op", OP);
    let text = format!(
        r#"default_provider = "age"
if_missing = "error"

[providers]
age = {{ type = "age", recipients = ["{recipient}"] }}
op = {{ type = "1password", token = "ops_test" }}

[secrets]
DB = {{ provider = "op", value = "op://shop/db/password" }} # the database
API = {{ provider = "op", value = "op://shop/api/key", description = "for the API" }}

[profiles.prod.secrets]
DB = {{ provider = "op", value = "op://prod/db/password" }}
"#
    );
    sandbox.write("fnox.toml", text);
    sandbox
        .run(["set", "LOCAL"])
        .stdin("local")
        .finish()
        .succeeds();
    sandbox
}

fn go_offline(sandbox: &Sandbox) {
    sandbox.write(sandbox.home().join("op-is-down"), "");
}

#[test]
fn copies_are_made_once_and_used_without_the_provider() {
    let sandbox = shop();
    let listed = ok(&sandbox, &["sync", "-n"]);
    assert_eq!(
        listed,
        "[dry-run] would sync 2 secrets to age\n  DB (from op)\n  API (from op)\n"
    );
    ok(&sandbox, &["sync", "--force"]);
    let text = sandbox.read("fnox.toml");
    assert!(
        text.contains("# the database") && text.contains("value = \"op://shop/db/password\""),
        "the reference stays: {text}"
    );
    assert!(!text.contains("value-of"), "{text}");
    assert_eq!(
        text.matches("sync = {").count(),
        2,
        "not the one of age, not the other profile's"
    );

    go_offline(&sandbox);
    let printed = ok(
        &sandbox,
        &[
            "exec",
            "--offline",
            "--",
            "sh",
            "-c",
            "echo $DB $API $LOCAL",
        ],
    );
    assert_eq!(
        printed,
        "value-of-shop/db/password value-of-shop/api/key local\n"
    );
    // And without saying so: a copy is preferred.
    assert_eq!(ok(&sandbox, &["get", "DB"]), "value-of-shop/db/password\n");
}

#[test]
fn without_a_copy_an_offline_run_does_not_start_and_says_what_to_do() {
    let sandbox = shop();
    let said = fails(
        &sandbox,
        6,
        &["exec", "--offline", "--", "touch", "started"],
    );
    assert!(
        said.contains("this run is offline") && said.contains("fnox sync"),
        "{said}"
    );
    assert!(!sandbox.project().join("started").exists());
    assert!(
        !sandbox.home().join("op-calls").exists(),
        "nobody was asked"
    );
}

#[test]
fn each_profile_has_its_own_copies_bound_to_it() {
    let sandbox = shop();
    ok(&sandbox, &["sync", "-f"]);
    ok(&sandbox, &["sync", "-f", "-P", "prod", "DB"]);
    go_offline(&sandbox);
    assert_eq!(
        ok(&sandbox, &["get", "DB", "-P", "prod"]),
        "value-of-prod/db/password\n"
    );
    assert_eq!(ok(&sandbox, &["get", "DB"]), "value-of-shop/db/password\n");
}

#[test]
fn what_cannot_be_read_keeps_its_copy_and_is_named() {
    let sandbox = shop();
    ok(&sandbox, &["sync", "-f", "DB"]);
    let before = sandbox.read("fnox.toml");
    go_offline(&sandbox);
    let said = fails(&sandbox, 6, &["sync", "-f"]);
    assert!(said.contains("connection refused"), "{said}");
    assert_eq!(sandbox.read("fnox.toml"), before);
    assert_eq!(ok(&sandbox, &["get", "DB"]), "value-of-shop/db/password\n");
}

#[test]
fn a_new_value_drops_the_copy_of_the_old_one() {
    let sandbox = shop();
    ok(&sandbox, &["sync", "-f"]);
    ok(&sandbox, &["set", "DB", "op://shop/db/other"]);
    assert_eq!(ok(&sandbox, &["get", "DB"]), "value-of-shop/db/other\n");
}

#[test]
fn the_status_says_how_old_the_copies_are() {
    let sandbox = shop();
    assert_eq!(ok(&sandbox, &["sync", "--status"]), "");
    ok(&sandbox, &["sync", "-f", "API"]);
    let table = ok(&sandbox, &["sync", "--status"]);
    assert!(
        table.contains("API") && table.contains("just now"),
        "{table}"
    );
    let document = json(&ok(&sandbox, &["sync", "--status", "--json"]));
    assert_eq!(document[0]["name"], "API");
    assert_eq!(document[0]["from"], "op");
    assert_eq!(document[0]["provider"], "age");
    assert!(document[0]["at"].as_str().unwrap().ends_with('Z'));
    // A copy that another program made does not say.
    let text = sandbox.read("fnox.toml");
    let at = text.find(", at = ").unwrap();
    let end = at + text[at..].find('}').unwrap();
    sandbox.write("fnox.toml", format!("{} {}", &text[..at], &text[end..]));
    assert!(ok(&sandbox, &["sync", "--status"]).contains("unknown"));
}

#[test]
fn copies_are_never_made_where_they_would_undo_something() {
    let sandbox = shop();
    let text = sandbox.read("fnox.toml");
    sandbox.write(
        "fnox.toml",
        text.replace("[secrets]\n", "[secrets]\nASKED = { provider = \"op\", value = \"op://a/b/c\", require_approval = true }\n")
            .replace("[providers]\n", "[providers]\nopen = { type = \"plain\" }\n"),
    );
    let said = fails(&sandbox, 2, &["sync", "-f", "ASKED"]);
    assert!(said.contains("needs a person's approval"), "{said}");
    assert!(!ok(&sandbox, &["sync", "-n"]).contains("ASKED"));
    let said = fails(&sandbox, 2, &["sync", "-f", "-p", "open"]);
    assert!(said.contains("does not encrypt values"), "{said}");
    let said = fails(&sandbox, 2, &["sync", "-f", "LOCAL"]);
    assert!(said.contains("encrypts it already"), "{said}");
    let said = fails(&sandbox, 2, &["sync"]);
    assert!(said.contains("nobody can be asked"), "{said}");
}

#[test]
fn a_local_file_keeps_copies_for_this_machine_alone() {
    let sandbox = shop();
    let shared = sandbox.read("fnox.toml");
    let said = sandbox.run(["sync", "-f", "--local-file"]).finish();
    assert_eq!(said.code, Some(0), "{said}");
    assert!(said.stderr.contains("to age (fnox.local.toml)"), "{said}");
    ok(&sandbox, &["sync", "-f", "--local-file", "-P", "prod"]);
    assert_eq!(sandbox.read("fnox.toml"), shared, "what is shared stays");
    assert!(!sandbox.read("fnox.local.toml").contains("value-of"));
    go_offline(&sandbox);
    // Each profile has its own, though a local file lies over all of them.
    assert_eq!(ok(&sandbox, &["get", "DB"]), "value-of-shop/db/password\n");
    let prod = ok(&sandbox, &["get", "DB", "-P", "prod"]);
    assert_eq!(prod, "value-of-prod/db/password\n");
    assert!(ok(&sandbox, &["sync", "--status"]).contains("API"));
    assert_eq!(
        ok(&sandbox, &["list", "--json"]).matches("\"op\"").count(),
        2
    );
}

#[test]
fn a_local_copy_of_another_reference_is_left_aside_and_taken_out() {
    let sandbox = shop();
    ok(&sandbox, &["sync", "-f", "--local-file"]);
    let text = sandbox.read("fnox.toml");
    let moved = text.replacen("op://shop/db/password", "op://shop/db/new", 1);
    let mut without_api = String::new();
    for line in moved.lines().filter(|line| !line.starts_with("API")) {
        without_api.push_str(line);
        without_api.push('\n');
    }
    sandbox.write("fnox.toml", without_api);
    assert_eq!(ok(&sandbox, &["get", "DB"]), "value-of-shop/db/new\n");
    fails(&sandbox, 3, &["get", "API"]);
    let listed = ok(&sandbox, &["sync", "-n", "--local-file"]);
    assert!(listed.contains("API (remove stale local copy)"), "{listed}");
    let plan = json(&ok(&sandbox, &["sync", "-n", "--local-file", "--json"]));
    let steps = plan.as_array().unwrap().iter();
    let stale = steps.filter(|one| one["step"] == "remove");
    let names: Vec<_> = stale.map(|one| &one["name"]).collect();
    assert_eq!(names, ["API"], "{plan}");
    ok(&sandbox, &["sync", "-f", "--local-file"]);
    let local = sandbox.read("fnox.local.toml");
    assert!(
        local.contains("op://shop/db/new") && !local.contains("API"),
        "{local}"
    );
}

#[test]
fn the_younger_copy_wins_and_a_new_value_drops_it() {
    let sandbox = shop();
    ok(&sandbox, &["sync", "-f", "--local-file", "DB"]);
    // A personal secret in the local file keeps its copy in its own entry.
    let local = sandbox.read("fnox.local.toml");
    let own = "MINE = { provider = \"op\", value = \"op://me/mine/value\" }\n";
    sandbox.write("fnox.local.toml", format!("{local}{own}"));
    ok(&sandbox, &["sync", "-f", "--local-file"]);
    let local = sandbox.read("fnox.local.toml");
    assert_eq!(local.matches("local_source = true").count(), 1, "{local}");
    assert_eq!(local.matches("copy_only = true").count(), 2, "{local}");
    go_offline(&sandbox);
    assert_eq!(ok(&sandbox, &["get", "MINE"]), "value-of-me/mine/value\n");
    sandbox
        .run(["set", "DB", "-p", "age"])
        .stdin("new")
        .finish()
        .succeeds();
    assert_eq!(ok(&sandbox, &["get", "DB"]), "new\n");
    assert_eq!(
        sandbox
            .read("fnox.local.toml")
            .matches("copy_only = true")
            .count(),
        1
    );
    let said = fails(
        &sandbox,
        2,
        &["-c", "./fnox.toml", "sync", "-f", "--local-file"],
    );
    assert!(said.contains("without a local file"), "{said}");
}
