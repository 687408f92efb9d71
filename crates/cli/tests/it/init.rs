//! `fnox init`

use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;

use crate::support::{fails, ok, sandbox, shown};

#[test]
fn without_a_terminal_a_commented_file_is_made() {
    let sandbox = sandbox();
    let run = sandbox.run(["init"]).finish().succeeds();
    assert_snapshot!(shown(&sandbox, &run), @r"
    ----
    ✓ Created [project]/fnox.toml

    Next steps:
      fnox set API_KEY            store a secret
      fnox list                   see what there is
      fnox exec -- your-program   run a program with it
    ");
    let text = sandbox.read("fnox.toml");
    assert!(
        text.lines()
            .all(|line| line.is_empty() || line.starts_with('#')),
        "{text}"
    );
    ok(&sandbox, &["check"]);
    // What it shows as examples is right.
    let examples: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("#   "))
        .collect();
    let examples = examples.join("\n");
    sandbox.write(
        "fnox.toml",
        examples.replace(
            "age1…",
            "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg",
        ),
    );
    let listed = ok(&sandbox, &["list"]);
    assert!(listed.contains("API_KEY"), "{listed}");
}

#[test]
fn an_existing_file_is_replaced_only_by_force() {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", "# mine\n");
    let error = fails(&sandbox, 1, &["init"]);
    assert!(
        error.contains("fnox.toml") && error.contains("--force"),
        "{error}"
    );
    assert_eq!(sandbox.read("fnox.toml"), "# mine\n");
    ok(&sandbox, &["init", "--force", "--skip-wizard"]);
    assert!(!sandbox.read("fnox.toml").contains("mine"));
}

#[test]
fn the_global_file_and_a_named_file_are_made_where_they_belong() {
    let sandbox = sandbox();
    ok(&sandbox, &["init", "--global"]);
    let folder = sandbox.config_folder();
    assert!(folder.join("config.toml").is_file());
    assert_eq!(
        folder.metadata().unwrap().permissions().mode() & 0o777,
        0o700
    );
    ok(&sandbox, &["init", "-c", "./other.toml"]);
    assert!(sandbox.project().join("other.toml").is_file());
    assert!(!sandbox.project().join("fnox.toml").exists());
}

#[test]
fn the_folders_of_a_named_file_are_made() {
    let sandbox = sandbox();
    ok(&sandbox, &["init", "-c", "new/deep/other.toml"]);
    assert!(sandbox.project().join("new/deep/other.toml").is_file());
}
