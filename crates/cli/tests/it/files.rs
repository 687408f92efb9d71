//! `fnox files`: whole files that a provider keeps.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fnox_testkit::Sandbox;

use crate::schemas::assert_fits;
use crate::support::{fails, json, ok, sandbox, with_identity};

const KEY: &str = "-----BEGIN KEY-----\nhunter2-key\n-----END KEY-----\n";

/// A home whose `pass` prints an entry's file as it is, and this global file.
fn home(files: &str) -> Sandbox {
    let sandbox = sandbox();
    sandbox.write_program(
        "pass",
        "#!/bin/sh\nfor last; do :; done\ncat \"$HOME/.password-store/$last.gpg\"\n",
    );
    sandbox.write(sandbox.home().join(".password-store/ssh.gpg"), KEY);
    sandbox.write(
        sandbox.home().join(".password-store/netrc.gpg"),
        "machine h\nlogin l\n",
    );
    global(&sandbox, files);
    sandbox
}

fn global(sandbox: &Sandbox, files: &str) {
    let text = format!("[providers]\np = {{ type = 'password-store' }}\n{files}");
    sandbox.write(sandbox.config_folder().join("config.toml"), text);
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

const TWO: &str = "[files]\n\"~/.ssh/id\" = { provider = 'p', value = 'ssh', description = 'work' }\n\
                   \"~/.netrc\" = { value = 'netrc' }\n";

#[test]
fn files_are_listed_and_written_private_and_left_alone_when_they_are_there() {
    let sandbox = home(TWO);
    let listed = ok(&sandbox, &["files", "list", "--json"]);
    assert_fits("schemas/files-list.json", &json(&listed));
    let first = &json(&listed)[0];
    assert_eq!(
        first["path"],
        sandbox.home().join(".ssh/id").to_str().unwrap()
    );
    assert_eq!(
        (&first["provider"], &first["exists"]),
        (&"p".into(), &false.into())
    );
    let table = ok(&sandbox, &["files"]);
    assert!(
        table.contains(".netrc") && table.contains("work"),
        "{table}"
    );
    let dry = ok(&sandbox, &["files", "write", "-n"]);
    assert_eq!(dry.matches("would write").count(), 2, "{dry}");
    let key = sandbox.home().join(".ssh/id");
    assert!(!key.exists());
    let run = sandbox.run(["files", "write"]).finish().succeeds();
    assert_eq!(
        (run.stdout.as_str(), run.stderr.matches("✓ Wrote").count()),
        ("", 2)
    );
    assert_eq!(std::fs::read_to_string(&key).unwrap(), KEY);
    assert_eq!((mode(&key), mode(key.parent().unwrap())), (0o600, 0o700));
    let before = std::fs::metadata(&key).unwrap().modified().unwrap();
    let again = sandbox.run(["files", "write"]).finish().succeeds();
    assert!(!again.stderr.contains("Wrote"), "{}", again.stderr);
    assert_eq!(std::fs::metadata(&key).unwrap().modified().unwrap(), before);
    // A file that others can read is not as it should be.
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    ok(&sandbox, &["files", "write", "~/.ssh/id"]);
    assert_eq!(mode(&key), 0o600);
    assert!(!run.stderr.contains("hunter2-key") && !again.stderr.contains("hunter2-key"));
}

#[test]
fn links_are_replaced_and_what_they_lead_to_is_not_touched() {
    let sandbox = home(TWO);
    let target = sandbox.write("target", "mine\n");
    let link = sandbox.home().join(".netrc");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    ok(&sandbox, &["files", "write", link.to_str().unwrap()]);
    assert!(link.symlink_metadata().unwrap().is_file());
    assert_eq!(
        std::fs::read_to_string(&link).unwrap(),
        "machine h\nlogin l\n"
    );
    assert_eq!(sandbox.read("target"), "mine\n");
    assert!(!sandbox.home().join(".ssh").exists());
}

#[test]
fn nothing_is_written_unless_everything_can_be_had() {
    let sandbox = home(TWO);
    std::fs::remove_file(sandbox.home().join(".password-store/netrc.gpg")).unwrap();
    let run = sandbox.run(["files", "write"]).finish();
    assert_ne!(run.code, Some(0), "{run}");
    assert!(run.stderr.contains(".netrc"), "{}", run.stderr);
    assert!(!sandbox.home().join(".ssh").exists());
    let told = fails(&sandbox, 3, &["files", "write", "~/.ssh/ix"]);
    assert!(told.contains("did you mean `~/.ssh/id`?"), "{told}");
}

#[test]
fn a_project_has_no_say_in_files() {
    let sandbox = home("[files]\n\"~/a\" = { provider = 'mine', value = 'ssh' }\n");
    sandbox.write(
        "fnox.toml",
        "[providers]\nmine = { type = 'password-store' }\n",
    );
    let told = fails(&sandbox, 3, &["files", "write"]);
    assert!(told.contains("`mine`"), "{told}");
    sandbox.write("fnox.toml", "[files]\n\"~/a\" = { value = 'x' }\n");
    let told = fails(&sandbox, 3, &["list"]);
    assert!(told.contains("belongs into the global file"), "{told}");
}

#[test]
fn wrong_entries_are_refused_by_name() {
    for (entry, reason) in [
        ("\"a/b\" = { value = 'ssh' }", "begins with `/` or `~/`"),
        ("\"~/../b\" = { value = 'ssh' }", "no `..`"),
        (
            "\"~/b\" = { description = 'd' }",
            "one of `value` and `source`",
        ),
        (
            "\"~/b\" = { value = 'ssh', source = 'f' }",
            "one of `value` and `source`",
        ),
        ("\"~/b\" = { source = '../f' }", "without `..`"),
        ("\"~/b\" = { value = 'ssh', provider = 'q' }", "`q`"),
    ] {
        let sandbox = home(&format!("[files]\n{entry}\n"));
        let told = fails(&sandbox, 3, &["files", "write"]);
        assert!(
            told.replace("\n  │", "").contains(reason),
            "{entry}: {told}"
        );
    }
    let sandbox =
        home("q = { type = 'plain' }\n[files]\n\"~/b\" = { value = 'x', provider = 'q' }\n");
    let told = fails(&sandbox, 3, &["files", "write"]);
    assert!(told.contains("`plain`"), "{told}");
    let sandbox = home("[files]\n\"~/d\" = { value = 'ssh' }\n");
    std::fs::create_dir(sandbox.home().join("d")).unwrap();
    let told = fails(&sandbox, 1, &["files", "write"]);
    assert!(told.contains("it is a folder"), "{told}");
}

#[test]
fn a_ciphertext_may_stand_in_a_file_of_the_configuration_folder() {
    let (sandbox, recipient) = with_identity();
    sandbox.write(
        "fnox.toml",
        format!("[providers]\nage = {{ type = 'age', recipients = ['{recipient}'] }}\n"),
    );
    let set = sandbox.run(["set", "K", "-p", "age"]).stdin("hunter2-file");
    set.finish().succeeds();
    let entry = sandbox.read("fnox.toml");
    let ciphertext = entry.rsplit("value = \"").next().unwrap();
    let ciphertext = ciphertext.split('"').next().unwrap().to_owned();
    let folder = sandbox.config_folder();
    sandbox.write(folder.join("files/k.age"), format!("{ciphertext}\n"));
    sandbox.write(
        folder.join("config.toml"),
        format!(
            "[providers]\nage = {{ type = 'age', recipients = ['{recipient}'] }}\n\
             [files]\n\"~/k\" = {{ source = 'files/k.age' }}\n\"~/l\" = {{ source = 'link' }}\n"
        ),
    );
    ok(&sandbox, &["files", "write", "~/k"]);
    let written = std::fs::read_to_string(sandbox.home().join("k")).unwrap();
    assert_eq!(written, "hunter2-file");
    let outside = sandbox.write("outside", ciphertext);
    std::os::unix::fs::symlink(outside, folder.join("link")).unwrap();
    let told = fails(&sandbox, 3, &["files", "write", "~/l"]);
    assert!(
        told.contains("leads out of the configuration folder"),
        "{told}"
    );
}
