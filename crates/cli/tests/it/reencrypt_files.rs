//! `fnox reencrypt` and whole files, `[files]` of the global configuration.

use fnox_testkit::Sandbox;

use crate::schemas::assert_fits;
use crate::support::{fails, json, ok, with_identity};

/// A home whose global file has a provider that encrypts and binds to names, and one that does not encrypt.
fn home() -> (Sandbox, String) {
    let (sandbox, recipient) = with_identity();
    sandbox.write_program("pass", "#!/bin/sh\necho never\nexit 1\n");
    let text = format!(
        "# mine\n[providers]\nage = {{ type = 'age', recipients = ['{recipient}'], bind_names = true }} # kept\n\
         p = {{ type = 'password-store' }}\n\n[files]\n\"~/.ssh/p\" = {{ provider = 'p', value = 'ssh' }}\n"
    );
    sandbox.write(sandbox.config_folder().join("config.toml"), text);
    (sandbox, recipient)
}

fn config(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.config_folder().join("config.toml")).unwrap()
}

fn keep(sandbox: &Sandbox, path: &str, content: &str, more: &[&str]) {
    let run = sandbox.run([&["set", "--file", path, "-p", "age"], more].concat());
    run.stdin(content).finish().succeeds();
}

/// Lets another identity in, which `other.txt` holds.
fn let_in(sandbox: &Sandbox, recipient: &str) {
    let other = ok(sandbox, &["age", "keygen", "-o", "other.txt"]);
    let text = config(sandbox).replace(
        &format!("['{recipient}']"),
        &format!("['{recipient}', '{}']", other.trim()),
    );
    sandbox.write(sandbox.config_folder().join("config.toml"), text);
}

/// What `other.txt` opens.
fn as_other(sandbox: &Sandbox, path: &str) -> String {
    let run = sandbox.run(["get", "--file", path]);
    let identity = sandbox.project().join("other.txt");
    let run = run.env("FNOX_AGE_KEY_FILE", identity).finish();
    run.succeeds().stdout
}

#[test]
fn files_follow_the_recipients_wherever_their_ciphertexts_stand() {
    let (sandbox, recipient) = home();
    keep(&sandbox, "~/.netrc", "machine h\n", &["-d", "hosts"]);
    keep(&sandbox, "~/id", " key\n\n", &["--source", "keys/id.age"]);
    let source = sandbox.config_folder().join("keys/id.age");
    ok(&sandbox, &["reencrypt", "--check"]);
    let_in(&sandbox, &recipient);
    let before = (config(&sandbox), std::fs::read(&source).unwrap());

    let drifted = sandbox.run(["reencrypt", "--check"]).finish().exits_with(1);
    assert!(
        drifted.stdout.contains("~/.netrc (file, age) ")
            && drifted.stdout.contains("~/id (file, age) ")
            && !drifted.stdout.contains(".ssh/p"),
        "{drifted}"
    );
    assert!(drifted.stderr.contains("2 of 2 values"), "{drifted}");
    let told = sandbox.run(["reencrypt", "--check", "--json"]).finish();
    let told = json(&told.exits_with(1).stdout);
    assert_fits("schemas/reencrypt.json", &told);
    assert_eq!(told[0]["name"], "~/.netrc");
    assert_eq!(
        (&told[0]["kind"], &told[1]["current"]),
        (&"file".into(), &false.into())
    );
    let listed = ok(&sandbox, &["reencrypt", "-n"]);
    assert!(
        listed.contains("would encrypt 2 files anew\n  ~/.netrc (file, age) in "),
        "{listed}"
    );
    let listed = json(&ok(&sandbox, &["reencrypt", "-n", "--json"]));
    assert_fits("schemas/reencrypt.json", &listed);
    assert!(listed[0]["current"].is_null(), "{listed}");
    let error = fails(&sandbox, 2, &["reencrypt"]);
    assert!(error.contains("--force"), "nobody can be asked: {error}");
    assert_eq!(
        (config(&sandbox), std::fs::read(&source).unwrap()),
        before,
        "nothing was changed"
    );

    let run = sandbox.run(["reencrypt", "--force"]).finish().succeeds();
    assert!(
        run.stderr.contains("✓ Encrypted 2 files anew (global)"),
        "{run}"
    );
    ok(&sandbox, &["reencrypt", "--check"]);
    let after = config(&sandbox);
    assert!(
        after.starts_with("# mine\n") && after.contains("# kept") && after.contains("\"hosts\""),
        "{after}"
    );
    assert!(after.contains("source = \"keys/id.age\""), "{after}");
    assert_eq!(ok(&sandbox, &["get", "--file", "~/.netrc"]), "machine h\n");
    std::fs::remove_file(sandbox.config_folder().join("age.txt")).unwrap();
    assert_eq!(as_other(&sandbox, "~/.netrc"), "machine h\n");
    assert_eq!(as_other(&sandbox, "~/id"), " key\n\n");
}

#[test]
fn what_is_named_is_what_is_encrypted() {
    let (sandbox, recipient) = home();
    for path in ["~/a", "~/b"] {
        keep(&sandbox, path, "content", &[]);
    }
    let set = sandbox.run(["set", "GLOBAL", "-g", "-p", "age"]);
    set.stdin("g").finish().succeeds();
    let_in(&sandbox, &recipient);
    let value = |key: &str| {
        let text = config(&sandbox);
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.to_owned()
    };
    let all = || ["\"~/a\"", "\"~/b\"", "GLOBAL"].map(value);

    let before = all();
    ok(&sandbox, &["reencrypt", "-f", "GLOBAL"]);
    let after = all();
    assert_eq!(before[..2], after[..2], "a named secret is about no file");
    assert_ne!(before[2], after[2]);
    let path = sandbox.home().join("b");
    ok(
        &sandbox,
        &["reencrypt", "-f", "--file", path.to_str().unwrap()],
    );
    let before = after;
    let after = all();
    assert_eq!((&before[0], &before[2]), (&after[0], &after[2]));
    assert_ne!(before[1], after[1]);
    ok(&sandbox, &["reencrypt", "-f", "--filter", "^~/a$"]);
    let before = after;
    let after = all();
    assert_eq!(before[1..], after[1..]);
    assert_ne!(before[0], after[0]);
    // A secret and files of one file of the configuration, at once.
    let run = sandbox.run(["reencrypt", "-f", "-p", "age"]).finish();
    let told = run.succeeds().stderr;
    assert!(
        told.contains("Encrypted 1 secret anew") && told.contains("Encrypted 2 files anew"),
        "{told}"
    );
    let before = after;
    let after = all();
    assert!(before.iter().zip(&after).all(|(one, two)| one != two));
    ok(&sandbox, &["reencrypt", "--check"]);
    assert_eq!(ok(&sandbox, &["get", "GLOBAL"]), "g\n");
    assert_eq!(ok(&sandbox, &["get", "--file", "~/b"]), "content");

    for (arguments, code, reason) in [
        (vec!["--file", "~/.ssh/p"], 2, "does not encrypt"),
        (vec!["--file", "~/a", "-p", "p"], 2, "its provider is `age`"),
        (vec!["--file", "~/gone"], 3, "`~/gone`"),
        (vec!["--json"], 2, "--json"),
    ] {
        let told = fails(
            &sandbox,
            code,
            &[&["reencrypt", "-f"], &arguments[..]].concat(),
        );
        assert!(told.contains(reason), "{arguments:?}: {told}");
    }
}

#[test]
fn one_that_does_not_open_leaves_all_as_they_are() {
    let (sandbox, recipient) = home();
    sandbox.write(
        "fnox.toml",
        format!("[providers]\nmine = {{ type = 'age', recipients = ['{recipient}'] }}\n"),
    );
    let set = sandbox.run(["set", "A", "-p", "mine"]);
    set.stdin("a").finish().succeeds();
    keep(&sandbox, "~/a", "of a", &[]);
    keep(&sandbox, "~/b", "of b", &["--source", "b.age"]);
    let swapped = config(&sandbox).replace("\"~/a\"", "\"~/c\"");
    sandbox.write(sandbox.config_folder().join("config.toml"), &swapped);
    let source = sandbox.config_folder().join("b.age");
    let before = (sandbox.read("fnox.toml"), std::fs::read(&source).unwrap());
    let run = sandbox.run(["reencrypt", "-f"]).finish();
    assert_ne!(run.code, Some(0), "{run}");
    assert!(run.stderr.contains("/c: "), "{run}");
    assert_eq!(config(&sandbox), swapped);
    assert_eq!(
        (sandbox.read("fnox.toml"), std::fs::read(&source).unwrap()),
        before
    );
}

#[test]
fn a_file_of_the_base_is_not_given_to_the_readers_of_a_profile_and_copies_go() {
    let (sandbox, recipient) = home();
    keep(&sandbox, "~/a", "of a", &[]);
    let other = ok(&sandbox, &["age", "keygen", "-o", "other.txt"]);
    let text = config(&sandbox);
    sandbox.write(
        sandbox.config_folder().join("config.toml"),
        format!(
            "{text}\n[profiles.prod.providers]\nage = {{ type = 'age', recipients = ['{}'] }}\n",
            other.trim()
        ),
    );
    let before = config(&sandbox);
    let run = sandbox.run(["reencrypt", "-f", "-P", "prod"]).finish();
    assert!(run.succeeds().stderr.contains("left out: ~/a"));
    assert_eq!(config(&sandbox), before);
    let named = ["reencrypt", "-f", "-P", "prod", "--file", "~/a"];
    let told = fails(&sandbox, 2, &named);
    assert!(told.contains("without that profile"), "{told}");

    // A copy is of the value as it was encrypted before.
    let second = format!("second = {{ type = 'age', recipients = ['{recipient}'] }}\np = ");
    let text = text.replace("p = ", &second);
    sandbox.write(sandbox.config_folder().join("config.toml"), text);
    ok(&sandbox, &["sync", "-f", "-p", "second", "--filter", "/a$"]);
    assert!(config(&sandbox).contains("sync = "), "{}", config(&sandbox));
    ok(&sandbox, &["reencrypt", "-f"]);
    assert!(
        !config(&sandbox).contains("sync = "),
        "{}",
        config(&sandbox)
    );
    assert_eq!(ok(&sandbox, &["get", "--file", "~/a"]), "of a");
}
