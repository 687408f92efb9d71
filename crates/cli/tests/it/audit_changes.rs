//! Changes of secrets in the local log: what was changed by which command, and never a value.

use fnox_testkit::Sandbox;

use crate::audit::{ON, log_files};
use crate::schemas::assert_fits;
use crate::support::{json, ok, sandbox, with_age, with_identity};

const VALUE: &str = "hunter2-changed";

/// A project with a provider that encrypts, and a log.
fn project() -> Sandbox {
    let sandbox = with_age();
    sandbox.write(sandbox.config_folder().join("config.toml"), ON);
    sandbox
}

/// The newest records as `COMMAND EVENT SECRET PROVIDER TO PROFILE OUTCOME`.
#[track_caller]
fn told(sandbox: &Sandbox) -> Vec<String> {
    let text = ok(sandbox, &["audit", "--json", "-n", "100"]);
    assert_fits("schemas/audit.json", &json(&text));
    let line = |one: &serde_json::Value| {
        let of = |key: &str| one[key].as_str().unwrap_or("-").to_owned();
        let keys = [
            "command", "event", "secret", "provider", "to", "profile", "outcome",
        ];
        keys.map(of).join(" ")
    };
    json(&text).as_array().unwrap().iter().map(line).collect()
}

#[track_caller]
fn last(sandbox: &Sandbox) -> String {
    told(sandbox).pop().unwrap()
}

/// Every record of a change has two: that it was begun, and how it ended.
#[track_caller]
fn records(sandbox: &Sandbox) -> u64 {
    let verified = json(&ok(sandbox, &["audit", "--verify", "--json"]));
    assert_eq!(verified["records"], verified["verified"]);
    verified["records"].as_u64().unwrap()
}

#[track_caller]
fn no_value(sandbox: &Sandbox) {
    for path in log_files(sandbox) {
        assert!(!std::fs::read_to_string(path).unwrap().contains(VALUE));
    }
}

#[test]
fn set_copy_rename_and_remove_are_on_record() {
    let sandbox = project();
    let set = |arguments: &[&str]| {
        let mut all = vec!["set"];
        all.extend(arguments);
        sandbox.run(all).stdin(VALUE).finish()
    };
    set(&["A", "-p", "age"]).succeeds();
    assert_eq!(last(&sandbox), "set secret_set A age - default ok");
    assert_eq!(records(&sandbox), 2);
    set(&["A", "-p", "age", "-P", "prod"]).succeeds();
    assert_eq!(last(&sandbox), "set secret_set A age - prod ok");
    ok(&sandbox, &["copy", "A", "B"]);
    assert_eq!(last(&sandbox), "copy secret_copied A age B default ok");
    ok(&sandbox, &["rename", "B", "C"]);
    assert_eq!(last(&sandbox), "rename secret_renamed B age C default ok");
    ok(&sandbox, &["remove", "C"]);
    assert_eq!(last(&sandbox), "remove secret_removed C - - default ok");
    // Nothing is changed, so nothing is recorded.
    let before = records(&sandbox);
    ok(&sandbox, &["set", "A", "x", "-n"]);
    ok(&sandbox, &["remove", "A", "-n"]);
    ok(&sandbox, &["copy", "A", "D", "-n"]);
    assert_eq!(records(&sandbox), before);
    no_value(&sandbox);
    let line = ok(&sandbox, &["audit", "-c", "rename"]);
    assert!(line.contains("event=secret_renamed  to=C"), "{line}");
}

#[test]
fn import_and_reencrypt_are_on_record() {
    let sandbox = project();
    let input = format!("ONE={VALUE}\nTWO={VALUE}\n");
    let import = ["import", "-p", "age", "--force"];
    sandbox.run(import).stdin(input).finish().succeeds();
    let found = told(&sandbox);
    assert_eq!(
        found,
        [
            "import secret_imported ONE age - default ok",
            "import secret_imported TWO age - default ok"
        ]
    );
    ok(&sandbox, &["reencrypt", "--force", "ONE"]);
    assert_eq!(
        last(&sandbox),
        "reencrypt secret_reencrypted ONE age - default ok"
    );
    no_value(&sandbox);
}

#[test]
fn edit_is_on_record_with_what_it_shows() {
    let sandbox = project();
    let set = sandbox.run(["set", "A", "-p", "age"]).stdin(VALUE);
    set.finish().succeeds();
    let edit = |arguments: &[&str], script: &str| {
        sandbox.write("editor", script);
        let run = sandbox.run(arguments).env("EDITOR", "sh ./editor");
        run.finish().succeeds();
    };
    edit(&["edit", "A"], "printf other > \"$1\"");
    let found = told(&sandbox);
    assert_eq!(
        found[1..],
        [
            "edit secret_used A age - default ok",
            "edit secret_edited A age - default ok"
        ]
    );
    // The whole file shows every value, also if nothing is changed then.
    edit(&["edit"], "true");
    assert_eq!(last(&sandbox), "edit secret_used A age - default ok");
    edit(&["edit"], "echo '# a remark' >> \"$1\"");
    let found = last(&sandbox);
    assert!(found.starts_with("edit secret_edited - - "), "{found}");
    assert!(found.contains("fnox.toml"), "{found}");
    edit(&["edit"], "sed -i s/other/again/ \"$1\"");
    assert_eq!(last(&sandbox), "edit secret_edited A age - default ok");
    no_value(&sandbox);
}

const PASS: &str = "#!/bin/sh\nfor last; do :; done\ncat \"$HOME/.password-store/$last.gpg\"\n";

#[test]
fn sync_is_on_record_with_what_it_reads() {
    let sandbox = project();
    sandbox.write_program("pass", PASS);
    sandbox.write(sandbox.home().join(".password-store/a.gpg"), VALUE);
    let text = sandbox.read("fnox.toml");
    let text = text.replacen(
        "[providers]",
        "[providers]\np = { type = 'password-store' }",
        1,
    );
    let text = format!("{text}[secrets]\nA = {{ provider = 'p', value = 'a' }}\n");
    sandbox.write("fnox.toml", text);
    ok(&sandbox, &["sync", "-p", "age", "--force"]);
    assert_eq!(
        told(&sandbox),
        [
            "sync secret_used A p - default ok",
            "sync secret_synced A age - default ok"
        ]
    );
    no_value(&sandbox);
}

#[test]
fn files_write_is_on_record_with_what_it_reads() {
    let sandbox = sandbox();
    sandbox.write_program("pass", PASS);
    sandbox.write(sandbox.home().join(".password-store/ssh.gpg"), VALUE);
    let global = format!(
        "{ON}[providers]\np = {{ type = 'password-store' }}\n[files]\n\"~/.ssh/id\" = {{ provider = 'p', value = 'ssh' }}\n"
    );
    sandbox.write(sandbox.config_folder().join("config.toml"), global);
    let path = sandbox.home().join(".ssh/id");
    let path = path.to_str().unwrap();
    ok(&sandbox, &["files", "write"]);
    let read = format!("files file_read - p {path} default ok");
    let written = format!("files file_written - p {path} default ok");
    assert_eq!(told(&sandbox), [read.clone(), written]);
    // It is there already: it is read and not written.
    ok(&sandbox, &["files", "write"]);
    assert_eq!(told(&sandbox)[2..], [read]);
    no_value(&sandbox);
}

#[test]
fn whole_files_are_on_record_as_they_are_set_read_edited_copied_and_removed() {
    let (sandbox, recipient) = with_identity();
    sandbox.write_program("pass", PASS);
    sandbox.write(sandbox.home().join(".password-store/ssh.gpg"), VALUE);
    let global = format!(
        "{ON}[providers]\np = {{ type = 'password-store' }}\nage = {{ type = 'age', recipients = ['{recipient}'] }}\n\
         [files]\n\"~/.ssh/id\" = {{ provider = 'p', value = 'ssh' }}\n"
    );
    sandbox.write(sandbox.config_folder().join("config.toml"), global);
    sandbox.write("fnox.toml", "");
    let path = |name: &str| sandbox.home().join(name).to_str().unwrap().to_owned();
    let (kept, new) = (path(".ssh/id"), path("new"));
    ok(&sandbox, &["get", "--file", &kept]);
    assert_eq!(
        last(&sandbox),
        format!("get file_read - p {kept} default ok")
    );
    ok(&sandbox, &["sync", "-f", "-p", "age"]);
    assert_eq!(
        told(&sandbox)[1..],
        [
            format!("sync file_read - p {kept} default ok"),
            format!("sync file_synced - age {kept} default ok")
        ]
    );
    // The copy's provider gives it now.
    ok(&sandbox, &["files", "write"]);
    assert_eq!(
        told(&sandbox)[3..],
        [
            format!("files file_read - age {kept} default ok"),
            format!("files file_written - age {kept} default ok")
        ]
    );
    let set = sandbox.run(["set", "--file", "~/new", "-p", "age"]);
    set.stdin(VALUE).finish().succeeds();
    assert_eq!(
        last(&sandbox),
        format!("set file_set - age {new} default ok")
    );
    ok(&sandbox, &["reencrypt", "-f"]);
    let edit = sandbox.run(["edit", "--file", "~/new"]);
    let edit = edit.env("EDITOR", "sed -i s/changed/again/");
    edit.finish().succeeds();
    ok(&sandbox, &["remove", "--file", "~/new"]);
    assert_eq!(
        told(&sandbox)[6..],
        [
            format!("reencrypt file_reencrypted - age {new} default ok"),
            format!("edit file_read - age {new} default ok"),
            format!("edit file_edited - age {new} default ok"),
            format!("remove file_removed - - {new} default ok")
        ]
    );
    no_value(&sandbox);
}

#[test]
fn without_a_record_no_whole_file_is_given_out_or_changed() {
    let (sandbox, recipient) = with_identity();
    let global =
        format!("{ON}[providers]\nage = {{ type = 'age', recipients = ['{recipient}'] }}\n");
    let config = sandbox.config_folder().join("config.toml");
    sandbox.write(&config, global);
    let set = ["set", "--file", "~/a", "-p", "age"];
    sandbox.run(set).stdin(VALUE).finish().succeeds();
    let log = sandbox.state_folder().join("audit.log");
    std::fs::rename(&log, sandbox.state_folder().join("aside")).unwrap();
    std::fs::create_dir(&log).unwrap();
    let before = std::fs::read_to_string(&config).unwrap();
    for arguments in [
        &["get", "--file", "~/a"][..],
        &["files", "write"],
        &set,
        &["edit", "--file", "~/a"],
        &["remove", "--file", "~/a"],
    ] {
        let run = sandbox
            .run(arguments)
            .env("EDITOR", "sed -i s/changed/again/");
        let run = run.stdin("another").finish();
        assert!(run.stderr.contains("secret::not_recorded"), "{run}");
        assert!(!run.stdout.contains(VALUE), "{run}");
    }
    assert_eq!(std::fs::read_to_string(&config).unwrap(), before);
    assert!(!sandbox.home().join("a").exists());
}

#[test]
fn of_several_providers_the_one_that_gave_or_got_the_value_is_on_record() {
    let sandbox = project();
    let set = sandbox.run(["set", "A", "-p", "age"]).stdin(VALUE);
    set.finish().succeeds();
    sandbox.write_program(
        "op",
        "#!/bin/sh\necho '[ERROR] You are not currently signed in' >&2\nexit 1\n",
    );
    let text = sandbox.read("fnox.toml");
    let text = text.replacen(
        "[providers]",
        "[providers]\nop = { type = '1password', vault = 'V' }",
        1,
    );
    let text = text.replacen("provider = \"age\"", "provider = [\"op\", \"age\"]", 1);
    sandbox.write("fnox.toml", text);
    let edit = sandbox
        .run(["edit", "A"])
        .env("EDITOR", "sed -i s/changed/again/");
    edit.finish().succeeds();
    ok(&sandbox, &["reencrypt", "-f", "A"]);
    ok(&sandbox, &["copy", "A", "B"]);
    assert_eq!(
        told(&sandbox)[1..],
        [
            "edit secret_used A age - default ok",
            "edit secret_edited A age - default ok",
            "reencrypt secret_reencrypted A age - default ok",
            "copy secret_copied A age B default ok"
        ]
    );
}

#[test]
fn providers_that_come_and_go_are_on_record_and_without_a_record_they_stay() {
    let sandbox = project();
    let project = sandbox.project().join("fnox.toml");
    let file = project.to_str().unwrap();
    ok(&sandbox, &["provider", "add", "clear", "plain"]);
    ok(
        &sandbox,
        &["provider", "add", "clear", "plain", "-P", "new"],
    );
    ok(&sandbox, &["provider", "remove", "clear"]);
    ok(&sandbox, &["provider", "add", "mine", "plain", "-g"]);
    let config = sandbox.config_folder().join("config.toml");
    let global = config.to_str().unwrap();
    assert_eq!(
        told(&sandbox),
        [
            format!("provider provider_added - clear {file} default ok"),
            format!("provider provider_added - clear {file} new ok"),
            format!("provider provider_removed - clear {file} default ok"),
            format!("provider provider_added - mine {global} default ok"),
        ]
    );
    assert_eq!(records(&sandbox), 8);
    let log = sandbox.state_folder().join("audit.log");
    std::fs::rename(&log, sandbox.state_folder().join("aside")).unwrap();
    std::fs::create_dir(&log).unwrap();
    let before = (sandbox.read("fnox.toml"), std::fs::read(&config).unwrap());
    for arguments in [
        &["provider", "add", "other", "plain"][..],
        &["provider", "add", "other", "plain", "-g"],
        &["provider", "remove", "age"],
        &["provider", "remove", "mine", "-g"],
    ] {
        let run = sandbox.run(arguments).finish();
        assert!(run.stderr.contains("secret::not_recorded"), "{run}");
    }
    let after = (sandbox.read("fnox.toml"), std::fs::read(&config).unwrap());
    assert_eq!(after, before);
}

#[test]
fn what_fails_is_on_record_as_failed_and_without_a_record_nothing_is_changed() {
    let sandbox = project();
    let text = sandbox.read("fnox.toml");
    let text = text.replacen(
        "[providers]",
        "[providers]\nbad = { type = 'age', recipients = ['age1nobody'] }",
        1,
    );
    sandbox.write("fnox.toml", text);
    let run = sandbox.run(["set", "A", "-p", "bad"]).stdin(VALUE).finish();
    assert_ne!(run.code, Some(0), "{run}");
    assert_eq!(last(&sandbox), "set secret_set A bad - default error");
    let line = ok(&sandbox, &["audit", "-n", "1"]);
    assert!(line.ends_with("(failed)\n"), "{line}");
    // The log cannot be written.
    let log = sandbox.state_folder().join("audit.log");
    let aside = sandbox.state_folder().join("aside");
    std::fs::rename(&log, &aside).unwrap();
    std::fs::create_dir(&log).unwrap();
    let before = sandbox.read("fnox.toml");
    let run = sandbox.run(["set", "A", "-p", "age"]).stdin(VALUE).finish();
    assert!(run.stderr.contains("secret::not_recorded"), "{run}");
    assert_eq!(sandbox.read("fnox.toml"), before);
}

#[test]
fn a_change_that_was_killed_shows_that_it_has_no_end() {
    let sandbox = project();
    // The provider's program ends the command that asks it to store the value.
    sandbox.write_program("pass", "#!/bin/sh\nkill -9 $PPID\n");
    sandbox.write(sandbox.home().join(".password-store/.gpg-id"), "somebody\n");
    let text = sandbox.read("fnox.toml");
    let text = text.replacen(
        "[providers]",
        "[providers]\np = { type = 'password-store' }",
        1,
    );
    sandbox.write("fnox.toml", text);
    let run = sandbox.run(["set", "A", "-p", "p"]).stdin(VALUE).finish();
    assert_eq!(run.signal, Some(9), "{run}");
    assert_eq!(last(&sandbox), "set secret_set A p - default begun");
    let line = ok(&sandbox, &["audit", "-n", "1"]);
    assert!(line.ends_with("(no end is on record)\n"), "{line}");
    ok(&sandbox, &["audit", "--verify"]);
}

#[test]
fn whom_values_are_encrypted_to_is_on_record_and_without_a_record_it_stays() {
    const OTHER: &str = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg";
    let sandbox = project();
    ok(&sandbox, &["age", "add-recipient", OTHER]);
    // It is there already: nothing changes.
    ok(&sandbox, &["age", "add-recipient", OTHER]);
    ok(&sandbox, &["age", "add-recipient", OTHER, "-g"]);
    let offboard = ["lifecycle", "offboard", OTHER, "--apply", "--force"];
    sandbox.run(offboard).finish();
    assert_eq!(
        told(&sandbox),
        [
            format!("age recipient_added - age {OTHER} default ok"),
            format!("age recipient_added - - {OTHER} default ok"),
            format!("lifecycle recipient_removed - age {OTHER} default ok"),
        ]
    );
    let log = sandbox.state_folder().join("audit.log");
    std::fs::rename(&log, sandbox.state_folder().join("aside")).unwrap();
    std::fs::create_dir(&log).unwrap();
    let before = sandbox.read("fnox.toml");
    let run = sandbox.run(["age", "add-recipient", OTHER]).finish();
    assert!(run.stderr.contains("secret::not_recorded"), "{run}");
    assert_eq!(sandbox.read("fnox.toml"), before);
}
