//! `fnox scan`

use std::os::unix::fs::PermissionsExt as _;

use fnox_testkit::Sandbox;
use insta::assert_snapshot;

use crate::support::{fails, json, ok, sandbox, shown, with_age};

/// Not written in one piece: this file is scanned too.
fn token() -> String {
    ["ghp", "_", "Zk3nV8qLw2RtYx7PbC5dFg9HjM4sNa6TuE1o"].concat()
}

fn git(sandbox: &Sandbox, arguments: &[&str]) -> fnox_testkit::Run {
    let identity = ["-c", "user.name=Sam", "-c", "user.email=sam@example.com"];
    let arguments = identity.iter().chain(arguments);
    sandbox.run_program("git", arguments).finish()
}

#[test]
fn what_looks_like_a_secret_is_named_and_not_shown() {
    let sandbox = sandbox();
    sandbox.write("src/main.py", format!("x = 1\ntoken = '{}'\n", token()));
    sandbox.write(".env", "SMTP_PASSWORD=kZ8xQw3nRt\n");
    sandbox.write("ignored.txt", token());
    sandbox.write("node_modules/x.js", token());
    sandbox.write("binary", [token().as_bytes(), &[0]].concat());
    sandbox.write("fine.txt", format!("{} fnox:allow\n", token()));
    sandbox.write(".gitignore", "ignored.txt\n");
    let run = sandbox.run(["scan"]).finish().exits_with(1);
    assert_snapshot!(shown(&sandbox, &run), @r"
    .env:1:15 [secret-assignment medium] ****
    src/main.py:2:10 [github-token high] ghp_...
    ----
    Give each secret a new value where it comes from. `fnox:allow` in a line says that it holds none.
    cli::check_failed

      × found 2 possible secrets in 2 files
    ");
    assert!(!run.stdout.contains(&token()[4..]), "{run}");
    let run = sandbox
        .run(["scan", "--include-ignored"])
        .finish()
        .exits_with(1);
    assert!(run.stdout.contains("node_modules/x.js:1:1"), "{run}");
    ok(&sandbox, &["scan", "-i", "src/**", "-i", ".env"]);
    ok(&sandbox, &["scan", "fine.txt"]);
    let report = sandbox
        .run(["scan", "--json", "src"])
        .finish()
        .exits_with(1);
    let report = json(&report.stdout);
    assert_eq!(report["findings"][0]["path"], "main.py");
    assert_eq!(report["summary"]["findings"], 1);
}

#[test]
fn values_of_the_project_are_found_by_name() {
    let sandbox = with_age();
    let value = "quiet words only";
    sandbox
        .run(["set", "PHRASE", "-p", "age"])
        .stdin(value)
        .finish()
        .succeeds();
    sandbox.write("notes.txt", format!("it is\n  {value}!\n"));
    ok(&sandbox, &["scan"]);
    let run = sandbox.run(["scan", "--values"]).finish().exits_with(1);
    assert_eq!(run.stdout, "notes.txt:2:3 [resolved-secret high] PHRASE\n");
    let broken = "BROKEN = { provider = \"age\", value = \"no ciphertext\" }\n";
    sandbox.write("fnox.toml", sandbox.read("fnox.toml") + broken);
    let run = sandbox.run(["scan", "--values"]).finish().exits_with(1);
    assert!(run.stderr.contains("cannot be read: BROKEN"), "{run}");
    assert!(run.stdout.contains("PHRASE"), "{run}");
}

#[test]
fn the_hook_refuses_a_commit_with_a_secret_in_the_index() {
    let sandbox = sandbox();
    git(&sandbox, &["init", "--quiet"]).succeeds();
    ok(&sandbox, &["scan", "--install-hook"]);
    let hook = sandbox.project().join(".git/hooks/pre-commit");
    assert_eq!(hook.metadata().unwrap().permissions().mode() & 0o777, 0o755);
    // The hook starts `fnox` by its name.
    let program = format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_fnox"));
    sandbox.write_program("fnox", &program);
    sandbox.write("new.txt", token());
    git(&sandbox, &["add", "new.txt"]).succeeds();
    // The working tree is not what is committed.
    sandbox.write("new.txt", "clean\n");
    let run = git(&sandbox, &["commit", "-m", "x"]);
    assert_eq!(run.code, Some(1), "{run}");
    let all = format!("{}{}", run.stdout, run.stderr);
    assert!(
        all.contains("new.txt:1:1 [github-token high] ghp_..."),
        "{run}"
    );
    git(&sandbox, &["add", "new.txt"]).succeeds();
    git(&sandbox, &["commit", "-m", "x"]).succeeds();
    ok(&sandbox, &["scan", "--install-hook"]);
}

#[test]
fn a_hook_that_is_there_is_kept() {
    let sandbox = sandbox();
    let error = fails(&sandbox, 1, &["scan", "--install-hook"]);
    assert!(error.contains("not a git repository"), "{error}");
    git(&sandbox, &["init", "--quiet"]).succeeds();
    let hook = sandbox.write(".git/hooks/pre-commit", "#!/bin/sh\necho mine\n");
    let error = fails(&sandbox, 2, &["scan", "--install-hook"]);
    assert!(error.contains("--append"), "{error}");
    ok(&sandbox, &["scan", "--install-hook", "--append"]);
    let text = std::fs::read_to_string(&hook).unwrap();
    assert_eq!(text, "#!/bin/sh\necho mine\nfnox scan --staged || exit 1\n");
    for (text, said) in [
        ("#!/usr/bin/env python3\n", "no shell script"),
        ("#!/usr/bin/env fish\n", "no shell script"),
        ("#!/bin/sh\nexec other\n", "ends before"),
    ] {
        sandbox.write(".git/hooks/pre-commit", text);
        let error = fails(&sandbox, 2, &["scan", "--install-hook", "--append"]);
        assert!(error.contains(said), "{error}");
        assert_eq!(std::fs::read_to_string(&hook).unwrap(), text);
    }
    // A comment runs nothing, and a shell may have options.
    let text = "#!/bin/sh -e\n# fnox scan --staged\necho mine\n";
    sandbox.write(".git/hooks/pre-commit", text);
    ok(&sandbox, &["scan", "--install-hook", "--append"]);
    let after = std::fs::read_to_string(&hook).unwrap();
    assert_eq!(after, format!("{text}fnox scan --staged || exit 1\n"));
}

#[test]
fn the_name_of_a_file_writes_nothing_to_the_terminal() {
    let sandbox = sandbox();
    sandbox.write("a\u{1b}[2J\nb:1:1 [none low] nothing", token());
    let run = sandbox.run(["scan"]).finish().exits_with(1);
    assert!(!run.stdout.contains('\u{1b}'), "{run}");
    assert_eq!(run.stdout.lines().count(), 1, "{run}");
}

#[test]
fn the_established_flag_for_the_document_is_known() {
    let sandbox = sandbox();
    sandbox.write("fine.txt", "nothing\n");
    let document = ok(&sandbox, &["scan", "--json"]);
    assert_eq!(ok(&sandbox, &["scan", "--format", "json"]), document);
    assert_eq!(
        ok(&sandbox, &["scan", "--format", "human"]),
        ok(&sandbox, &["scan"])
    );
}

#[test]
fn quiet_leaves_only_the_paths() {
    let sandbox = sandbox();
    let token = token();
    sandbox.write("one.txt", format!("{token}\n{token}\n"));
    sandbox.write("two.txt", &token);
    let scan = |arguments: &[&str]| {
        let mut all = vec!["scan"];
        all.extend(arguments);
        sandbox.run(all).finish().exits_with(1).stdout
    };
    assert_eq!(scan(&["-q"]), "one.txt\ntwo.txt\n");
    let paths = json(&scan(&["--format", "json", "-q"]));
    assert_eq!(paths, serde_json::json!(["one.txt", "two.txt"]));
    // This one has a schema.
    let document = json(&scan(&["--json", "-q"]));
    assert_eq!(document["summary"]["findings"], 3);
}

#[test]
fn a_value_that_a_plain_provider_reads_from_a_file_is_searched_for() {
    let sandbox = sandbox();
    let value = "quiet words only";
    let text = "[providers]\nfile = { type = \"plain\", file = \"values.env\", format = \"env\" }\n\
                plain = { type = \"plain\" }\n[secrets]\nPHRASE = { provider = \"file\", value = \"PHRASE\" }\n\
                CLEAR = { provider = \"plain\", value = \"words in clear\" }\n";
    sandbox.write("fnox.toml", text);
    sandbox.write("values.env", format!("PHRASE=\"{value}\"\n"));
    sandbox.write("notes.txt", format!("{value}\nwords in clear\n"));
    let arguments = ["scan", "--values", "-i", "values.env"];
    let run = sandbox.run(arguments).finish().exits_with(1);
    assert_eq!(run.stdout, "notes.txt:1:1 [resolved-secret high] PHRASE\n");
}

#[test]
fn what_is_staged_outside_a_repository_is_told_as_that() {
    let error = fails(&sandbox(), 1, &["scan", "--staged"]);
    assert!(error.contains("not a git repository"), "{error}");
}
