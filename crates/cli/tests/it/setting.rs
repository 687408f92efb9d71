//! `fnox set`: where a value goes, and in which form it stands there.

use fnox_testkit::Sandbox;

use crate::support::{fails, ok, sandbox, with_age};
use crate::terminal::Session;

fn set(sandbox: &Sandbox, arguments: &[&str], value: &str) {
    let all = [&["set"], arguments].concat();
    sandbox.run(all).stdin(value).finish().succeeds();
}

#[test]
fn of_several_providers_one_must_be_named() {
    let sandbox = with_age();
    set(&sandbox, &["ONE"], "first");
    ok(&sandbox, &["provider", "add", "clear", "plain"]);
    let before = sandbox.read("fnox.toml");
    let run = sandbox.run(["set", "TWO"]).stdin("second").finish();
    let run = run.exits_with(2);
    assert!(run.stderr.contains("`age` or `clear`"), "{run}");
    assert!(run.stderr.contains("default_provider"), "{run}");
    assert_eq!(sandbox.read("fnox.toml"), before);
    // What changes no value needs no provider, and what has one keeps it.
    ok(&sandbox, &["set", "ONE", "-d", "The first"]);
    set(&sandbox, &["ONE"], "again");
    assert_eq!(ok(&sandbox, &["get", "ONE"]), "again\n");
    assert!(!sandbox.read("fnox.toml").contains("again"));
}

#[test]
fn without_a_home_folder_nothing_is_written_that_nobody_would_find() {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", "[providers]\nplain = { type = \"plain\" }\n");
    let mut run = sandbox.run(["set", "--global", "X", "value", "-p", "plain"]);
    for name in [
        "HOME",
        "XDG_CONFIG_HOME",
        "XDG_STATE_HOME",
        "XDG_DATA_HOME",
        "XDG_RUNTIME_DIR",
    ] {
        run = run.without_env(name);
    }
    let run = run.finish();
    assert_ne!(run.code, Some(0), "{run}");
    assert!(run.stderr.contains("HOME-is-not-set"), "{run}");
}

#[test]
fn a_value_that_stood_in_clear_does_not_stay_as_its_own_default() {
    let sandbox = without_provider();
    set(&sandbox, &["TOKEN"], "the-value-in-clear");
    assert!(sandbox.read("fnox.toml").contains("the-value-in-clear"));
    let recipient = ok(&sandbox, &["age", "keygen"]);
    let recipients = format!("recipients={}", recipient.trim());
    ok(
        &sandbox,
        &["provider", "add", "age", "age", "--field", &recipients],
    );
    set(&sandbox, &["TOKEN", "-p", "age"], "the-value-in-clear");
    let text = sandbox.read("fnox.toml");
    assert!(!text.contains("the-value-in-clear"), "{text}");
    assert_eq!(ok(&sandbox, &["get", "TOKEN"]), "the-value-in-clear\n");
    // A default of its own stays.
    ok(
        &sandbox,
        &["set", "OTHER", "x", "-p", "age", "--default", "fallback"],
    );
    set(&sandbox, &["OTHER"], "y");
    assert!(sandbox.read("fnox.toml").contains("fallback"));
}

#[test]
fn a_file_that_is_named_and_not_there_is_made_with_its_folders() {
    let sandbox = with_age();
    let named = ["-c", "new/deep/x.toml"];
    let run = |more: &[&str]| {
        let all = [&named, more].concat();
        sandbox.run(all).finish()
    };
    run(&["set", "-n", "A", "one"]).succeeds();
    assert!(!sandbox.project().join("new").exists());
    let set = run(&["set", "A", "one"]).succeeds();
    assert!(set.stderr.contains("a new file"), "{set}");
    assert_eq!(run(&["get", "A"]).succeeds().stdout, "one\n");
    run(&["set", "B", "two", "-P", "prod"]).succeeds();
    assert_eq!(run(&["get", "B", "-P", "prod"]).succeeds().stdout, "two\n");
    // Only what writes makes it.
    for read in [&["get", "A"][..], &["list"], &["remove", "A"]] {
        let mut all = vec!["-c", "gone.toml"];
        all.extend(read);
        let error = fails(&sandbox, 3, &all);
        assert!(error.contains("fnox init -c"), "{error}");
        assert!(!sandbox.project().join("gone.toml").exists());
    }
}

#[test]
fn a_file_that_is_made_may_use_providers_of_the_global_file() {
    let (sandbox, recipient) = crate::support::with_identity();
    let text = format!("[providers]\nage = {{ type = \"age\", recipients = [\"{recipient}\"] }}\n");
    sandbox.write(sandbox.config_folder().join("config.toml"), text);
    ok(&sandbox, &["-c", "x.toml", "set", "A", "one", "-p", "age"]);
    assert!(sandbox.read("x.toml").contains("provider = \"age\""));
    assert_eq!(ok(&sandbox, &["-c", "x.toml", "get", "A"]), "one\n");
}

fn without_provider() -> Sandbox {
    let sandbox = crate::support::sandbox();
    sandbox.write("fnox.toml", "");
    sandbox
}

#[test]
fn a_pipe_brings_several_lines_and_spaces_as_they_are() {
    let sandbox = with_age();
    let key = "-----BEGIN KEY-----\nabc\n-----END KEY-----\n";
    for (given, kept) in [(key, key), ("  spaces  \n", "  spaces  "), ("x\n", "x")] {
        set(&sandbox, &["VALUE"], given);
        let exactly = ["exec", "--", "sh", "-c", "printf '[%s]' \"$VALUE\" > value"];
        ok(&sandbox, &exactly);
        assert_eq!(sandbox.read("value"), format!("[{kept}]"));
    }
}

#[test]
fn what_only_reads_is_asked_for_a_place_and_the_answer_is_not_hidden() {
    let sandbox = with_age();
    sandbox.write("fnox.toml", "[providers]\nop = { type = \"1password\" }\n");
    let mut session = Session::start(&sandbox, "set API_KEY");
    session.answer("Where API_KEY is in op", "op://vault/item/field\r");
    let shown = session.ends_with(0);
    assert!(shown.contains("op://vault/item/field"), "{shown}");
    assert!(shown.contains("as the place of the value in op"), "{shown}");
}

#[test]
fn ctrl_c_at_a_question_is_no_answer() {
    let sandbox = with_age();
    sandbox.write("in.env", "A=1\n");
    let before = sandbox.read("fnox.toml");
    let mut session = Session::start(&sandbox, "import -i in.env -p age");
    session.answer("Import 1 secret", "\u{3}");
    let shown = session.ends_with(130);
    assert!(!shown.contains("cancelled"), "{shown}");
    let mut session = Session::start(&sandbox, "set API_KEY");
    session.answer("Value of API_KEY", "abc\u{3}");
    session.ends_with(130);
    assert_eq!(sandbox.read("fnox.toml"), before);
}

#[test]
fn a_file_never_becomes_larger_than_what_is_read() {
    let sandbox = with_age();
    let before = sandbox.read("fnox.toml");
    let run = sandbox.run(["set", "HUGE"]).stdin("y".repeat(5_000_000));
    let run = run.finish().exits_with(3);
    assert!(run.stderr.contains("config::too_large"), "{run}");
    assert_eq!(sandbox.read("fnox.toml"), before);
    // What a killed writer left behind is a copy of everything.
    sandbox.write(".fnox.toml.abc123.fnox-tmp", "half");
    ok(&sandbox, &["set", "SMALL", "x"]);
    assert!(
        !sandbox
            .project()
            .join(".fnox.toml.abc123.fnox-tmp")
            .exists()
    );
}

#[test]
fn remove_says_where_a_secret_stands_and_what_stays() {
    let sandbox = with_age();
    ok(&sandbox, &["set", "A", "x"]);
    let below = sandbox.project().join("below");
    std::fs::create_dir(&below).unwrap();
    let run = sandbox.run(["remove", "A"]).within(&below).finish();
    let run = run.exits_with(2);
    let place = sandbox.project().join("fnox.toml");
    assert!(run.stderr.contains(place.to_str().unwrap()), "{run}");
    let error = fails(&sandbox, 3, &["remove", "NOPE"]);
    assert!(error.contains("NOPE"), "{error}");
}

#[test]
fn what_is_typed_unseen_can_be_edited_and_pasted() {
    let sandbox = with_age();
    for (name, keys, value) in [
        ("EDITED", "wrong\x15rigth\x7f\x7fht\r", "right\n"),
        (
            "PASTED",
            "\x1b[200~first\rsecond\x1b[201~\r",
            "first\nsecond\n",
        ),
    ] {
        let mut session = Session::start(&sandbox, &format!("set {name}"));
        session.answer(&format!("Value of {name}"), keys);
        let shown = session.ends_with(0);
        assert!(
            !shown.contains("right") && !shown.contains("second"),
            "{shown}"
        );
        assert_eq!(ok(&sandbox, &["get", name]), value);
    }
}

#[test]
fn a_new_file_and_another_one_that_wins_are_told_of() {
    let sandbox = with_age();
    let project = sandbox.project();
    let below = project.join("below");
    std::fs::create_dir(&below).unwrap();
    let run = sandbox.run(["set", "A", "-p", "age"]).stdin("1");
    let run = run.within(&below).finish().succeeds();
    let made = below.join("fnox.toml");
    let told = format!("Set A in {}, a new file", made.display());
    assert!(run.stderr.contains(&told), "{run}");
    sandbox.write("fnox.local.toml", "[secrets]\nB = { default = \"mine\" }\n");
    let run = sandbox.run(["set", "B", "-p", "age"]).stdin("2").finish();
    let told = run.succeeds().stderr;
    assert!(
        told.contains("fnox.local.toml says of `B` in line 2"),
        "{told}"
    );
    let run = sandbox.run(["set", "C", "-p", "age"]).stdin("3").finish();
    let told = run.succeeds().stderr;
    assert!(
        !told.contains("still get") && !told.contains("a new file"),
        "{told}"
    );
}

#[test]
fn a_value_is_not_taken_for_the_place_of_one() {
    for (provider, keys) in [
        ("op", "type = \"1password\", vault = \"v\""),
        (
            "bws",
            "type = \"bitwarden-sm\", project_id = \"f1fe5978-0aa1-4bb0-949b-b03000e0402a\"",
        ),
    ] {
        let sandbox = sandbox();
        sandbox.write(
            "fnox.toml",
            format!("[providers]\n{provider} = {{ {keys} }}\n"),
        );
        let before = sandbox.read("fnox.toml");
        let run = sandbox
            .run(["set", "A", "-p", provider])
            .stdin("hunter2")
            .finish();
        let told = run.exits_with(2).stderr;
        assert!(told.contains("would stand in clear"), "{told}");
        sandbox.write("value", "hunter2");
        fails(
            &sandbox,
            2,
            &["set", "A", "-p", provider, "--from-file", "value"],
        );
        assert_eq!(sandbox.read("fnox.toml"), before);
        ok(&sandbox, &["set", "A", "item/field", "-p", provider]);
        assert!(sandbox.read("fnox.toml").contains("\"item/field\""));
    }
}

#[test]
fn remove_says_in_which_table_of_the_file_a_secret_stands() {
    let sandbox = sandbox();
    let text = "[secrets]\nBASE = { default = \"b\" }\n[profiles.prod.secrets]\nOURS = { default = \"p\" }\n";
    sandbox.write("fnox.toml", text);
    let error = fails(&sandbox, 2, &["rm", "BASE", "-P", "prod"]);
    assert!(error.contains("not in the profile `prod` of"), "{error}");
    assert!(error.contains("but at the top level"), "{error}");
    assert!(
        error.contains("`fnox remove BASE -P default` removes it there"),
        "{error}"
    );
    let error = fails(&sandbox, 2, &["rm", "OURS", "-c", "./fnox.toml"]);
    assert!(error.contains("but in the profile `prod`"), "{error}");
    assert!(error.contains("`fnox remove OURS -P prod -c /"), "{error}");
    fails(&sandbox, 3, &["rm", "NOWHERE", "-P", "prod"]);
    assert_eq!(sandbox.read("fnox.toml"), text);
    let advised = ["remove", "BASE", "-P", "default"];
    let run = sandbox.run(advised).env("FNOX_PROFILE", "prod").finish();
    run.succeeds();
    ok(&sandbox, &["remove", "OURS", "-P", "prod"]);
}

#[test]
fn what_another_file_defines_too_is_still_there_after_remove() {
    let sandbox = with_age();
    set(&sandbox, &["A", "-p", "age"], "1");
    sandbox.write("fnox.local.toml", "[secrets]\nA = { default = \"mine\" }\n");
    let run = sandbox.run(["remove", "A"]).finish().succeeds();
    assert!(
        run.stderr.contains("fnox.local.toml defines it in line 2"),
        "{run}"
    );
}
