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
    let planned = json(&ok(&sandbox, &["files", "write", "-n", "--json"]));
    assert_fits("schemas/files-write.json", &planned);
    assert_eq!(planned[1]["outcome"], "would-write");
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
    let written = json(&ok(&sandbox, &["files", "write", "--json"]));
    assert_fits("schemas/files-write.json", &written);
    let outcomes = [&written[0]["outcome"], &written[1]["outcome"]];
    assert_eq!(outcomes, ["written", "unchanged"]);
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

/// A home with two providers: `p`, which `pass` keeps, and `age`. The project of the sandbox knows neither.
fn two_providers(files: &str) -> Sandbox {
    let (sandbox, recipient) = with_identity();
    sandbox.write_program(
        "pass",
        "#!/bin/sh\nfor last; do :; done\nentry=\"$HOME/.password-store/$last.gpg\"\n\
         if [ \"$1\" = insert ]; then cat > \"$entry\"; else cat \"$entry\"; fi\n",
    );
    sandbox.write(sandbox.home().join(".password-store/.gpg-id"), "somebody\n");
    sandbox.write(sandbox.home().join(".password-store/ssh.gpg"), KEY);
    let text = format!(
        "# mine\n[providers]\np = {{ type = 'password-store' }}\n\
         age = {{ type = 'age', recipients = ['{recipient}'], bind_names = true }}\n\
         op = {{ type = '1password' }}\nclear = {{ type = 'plain' }}\n{files}"
    );
    sandbox.write(sandbox.config_folder().join("config.toml"), text);
    sandbox
}

fn config(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.config_folder().join("config.toml")).unwrap()
}

#[test]
fn a_file_is_kept_and_comes_back_exactly() {
    let sandbox = two_providers("");
    let key = sandbox.home().join(".ssh/id");
    sandbox.write(&key, KEY);
    let set = ["set", "--file", "~/.ssh/id", "-p", "age", "-d", "work"];
    let dry = sandbox.run([&set[..], &["-n"]].concat()).finish();
    let dry = dry.succeeds().stdout;
    assert!(
        dry.contains("would set ~/.ssh/id in") && dry.contains("value: <encrypted>"),
        "{dry}"
    );
    assert!(!config(&sandbox).contains("[files]"));
    let run = sandbox.run(set).finish().succeeds();
    assert!(run.stderr.contains("✓ Set ~/.ssh/id (global)"), "{run}");
    let text = config(&sandbox);
    assert!(
        text.starts_with("# mine\n") && text.contains("\"~/.ssh/id\" = { provider = \"age\""),
        "{text}"
    );
    assert!(!text.contains("BEGIN KEY") && !run.stderr.contains("BEGIN KEY"));
    assert_eq!(ok(&sandbox, &["get", "--file", "~/.ssh/id"]), KEY);
    std::fs::remove_file(&key).unwrap();
    ok(&sandbox, &["files", "write"]);
    assert_eq!(std::fs::read_to_string(&key).unwrap(), KEY);
    // The same file by its absolute path, with another content.
    let path = key.to_str().unwrap();
    let run = sandbox.run(["set", "--file", path]).stdin(" new\n\n");
    run.finish().succeeds();
    assert_eq!(config(&sandbox).matches(".ssh/id").count(), 1);
    assert_eq!(ok(&sandbox, &["get", "--file", path]), " new\n\n");
    assert_eq!(std::fs::read_to_string(&key).unwrap(), KEY, "not touched");
    // Only what it is for.
    let run = sandbox.run(["set", "--file", path, "-d", "private"]);
    run.finish().succeeds();
    assert_eq!(ok(&sandbox, &["get", "--file", path]), " new\n\n");
    assert!(config(&sandbox).contains("description = \"private\""));
    let run = sandbox.run(["edit", "--file", "~/.ssh/id"]);
    let run = run.env("EDITOR", "sed -i s/new/old/").finish().succeeds();
    assert!(run.stderr.contains("Set ~/.ssh/id (global)"), "{run}");
    assert_eq!(ok(&sandbox, &["get", "--file", path]), " old\n\n");
    let run = sandbox.run(["remove", "--file", path]).finish().succeeds();
    assert!(
        run.stderr.contains("✓ Removed ~/.ssh/id (global)") && run.stderr.contains("itself stays"),
        "{run}"
    );
    assert!(key.exists() && !config(&sandbox).contains(".ssh/id"));
    fails(&sandbox, 3, &["get", "--file", path]);
    fails(&sandbox, 3, &["remove", "--file", path]);
}

#[test]
fn a_ciphertext_may_stand_in_a_file_of_the_configuration_folder_and_nowhere_else() {
    let sandbox = two_providers("");
    let set = |source: &str| {
        let run = sandbox.run(["set", "--file", "~/.netrc", "-p", "age", "--source", source]);
        run.stdin("machine h\n").finish()
    };
    set("keys/netrc.age").succeeds();
    let source = sandbox.config_folder().join("keys/netrc.age");
    assert_eq!(mode(&source), 0o600);
    assert!(config(&sandbox).contains("source = \"keys/netrc.age\""));
    assert_eq!(ok(&sandbox, &["get", "--file", "~/.netrc"]), "machine h\n");
    let before = std::fs::read(&source).unwrap();
    let run = sandbox.run(["edit", "--file", "~/.netrc"]);
    run.env("EDITOR", "sed -i s/h/j/").finish().succeeds();
    assert_ne!(std::fs::read(&source).unwrap(), before);
    let out = sandbox.config_folder().join("out");
    std::os::unix::fs::symlink(sandbox.home(), &out).unwrap();
    for wrong in ["../x", "/tmp/x", "out/x", "config.toml", ""] {
        let before = config(&sandbox);
        let run = set(wrong).exits_with(2);
        assert!(run.stderr.contains("the source"), "{run}");
        assert_eq!(config(&sandbox), before, "{wrong}");
    }
    let run = sandbox.run(["remove", "--file", "~/.netrc"]).finish();
    assert!(run.succeeds().stderr.contains("netrc.age, which holds"));
}

#[test]
fn the_content_of_one_file_does_not_open_in_the_place_of_another() {
    let sandbox = two_providers("");
    for (path, content) in [("~/a", "of a"), ("~/b", "of b")] {
        let run = sandbox.run(["set", "--file", path, "-p", "age"]);
        run.stdin(content).finish().succeeds();
    }
    let swapped = config(&sandbox)
        .replace("\"~/a\"", "\"~/c\"")
        .replace("\"~/b\"", "\"~/a\"");
    sandbox.write(sandbox.config_folder().join("config.toml"), swapped);
    let run = sandbox.run(["get", "--file", "~/a"]).finish();
    assert_ne!(run.code, Some(0), "{run}");
    assert!(
        run.stdout.is_empty() && run.stderr.contains("/a: "),
        "{run}"
    );
}

#[test]
fn a_provider_that_keeps_values_elsewhere_is_told_under_which_name() {
    let sandbox = two_providers("");
    let set = |more: &[&str]| {
        let run = sandbox.run([&["set", "--file", "~/x"], more].concat());
        run.stdin("content\nof two\n").finish()
    };
    let told = set(&["-p", "p"]).exits_with(2).stderr;
    assert!(told.contains("`--key-name`"), "{told}");
    assert!(!sandbox.home().join(".password-store/x.gpg").exists());
    set(&["-p", "p", "-k", "x"]).succeeds();
    assert_eq!(ok(&sandbox, &["get", "--file", "~/x"]), "content\nof two\n");
    let run = sandbox.run(["edit", "--file", "~/x"]);
    run.env("EDITOR", "sed -i s/content/more/")
        .finish()
        .succeeds();
    assert_eq!(ok(&sandbox, &["get", "--file", "~/x"]), "more\nof two\n");
    // What only reads is told which value it is.
    let run = sandbox.run(["set", "--file", "~/y", "-p", "op", "-k", "V/i/f"]);
    run.finish().succeeds();
    assert!(config(&sandbox).contains("\"~/y\" = { provider = \"op\", value = \"V/i/f\" }"));
    let told = fails(&sandbox, 2, &["edit", "--file", "~/y"]);
    assert!(told.contains("only reads"), "{told}");
    for (more, said) in [
        (vec!["-p", "clear"], "in clear"),
        (
            vec!["-p", "p", "-k", "x", "--source", "s"],
            "leave `--source` out",
        ),
        (vec!["-p", "age", "-k", "x"], "leave `--key-name` out"),
        (vec!["-p", "op"], "`--key-name`"),
        (vec!["KEY"], "cannot be used with"),
    ] {
        let told = set(&more).exits_with(2).stderr;
        assert!(told.contains(said), "{more:?}: {told}");
    }
    let told = fails(&sandbox, 2, &["set", "--file", "~/none", "-p", "age"]);
    assert!(told.contains("there is no content"), "{told}");
    let binary = sandbox.home().join("binary");
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    let told = fails(&sandbox, 1, &["set", "--file", "~/binary", "-p", "age"]);
    assert!(told.contains("is not UTF-8"), "{told}");
}

#[test]
fn copies_of_files_serve_while_their_provider_is_away() {
    let sandbox = two_providers("[files]\n\"~/.ssh/id\" = { provider = 'p', value = 'ssh' }\n");
    let listed = ok(&sandbox, &["sync", "-n", "-p", "age"]);
    assert_eq!(
        listed,
        "[dry-run] would sync 1 file to age\n  ~/.ssh/id (file, from p)\n"
    );
    let plan = json(&ok(&sandbox, &["sync", "-n", "-p", "age", "--json"]));
    assert_fits("schemas/sync-plan.json", &plan);
    let copy = &plan[0];
    assert_eq!(
        (&copy["step"], &copy["kind"], &copy["from"][0]),
        (&"copy".into(), &"file".into(), &"p".into())
    );
    let run = sandbox.run(["sync", "-f", "-p", "age"]).finish().succeeds();
    assert!(run.stderr.contains("Synced 1 file (global)"), "{run}");
    let text = config(&sandbox);
    assert!(
        text.contains("value = 'ssh', sync = { provider = \"age\""),
        "{text}"
    );
    let status = ok(&sandbox, &["sync", "--status", "--json"]);
    assert_fits("schemas/sync-status.json", &json(&status));
    let copy = &json(&status)[0];
    assert_eq!(
        (&copy["name"], &copy["from"]),
        (&"~/.ssh/id".into(), &"p".into())
    );
    let entry = sandbox.home().join(".password-store/ssh.gpg");
    std::fs::remove_file(&entry).unwrap();
    ok(&sandbox, &["files", "write", "--offline"]);
    let key = sandbox.home().join(".ssh/id");
    assert_eq!(std::fs::read_to_string(&key).unwrap(), KEY);
    // What cannot be read keeps its copy.
    fails(&sandbox, 1, &["sync", "-f", "-p", "age"]);
    assert_eq!(config(&sandbox), text);
    // A new content drops the copy of the old one.
    let run = sandbox
        .run(["set", "--file", "~/.ssh/id"])
        .stdin("new\nof two\n");
    run.finish().succeeds();
    assert!(!config(&sandbox).contains("sync"), "{}", config(&sandbox));
    assert_eq!(
        ok(&sandbox, &["get", "--file", "~/.ssh/id"]),
        "new\nof two\n"
    );
    // A named secret is about no file, and neither is a file of this machine.
    let listed = ok(&sandbox, &["sync", "-n", "-p", "age", "--local-file"]);
    assert!(!listed.contains(".ssh"), "{listed}");
}
