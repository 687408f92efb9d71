//! `profiles`, `config-files`, `version`, `completion`, `schema`, `trust`.

use crate::support::{fails, json, ok, sandbox};

#[test]
fn profiles_are_listed_with_what_they_have() {
    let sandbox = sandbox();
    let text = "[secrets]\nA = { default = \"1\" }\n[profiles.dev.secrets]\nB = { default = \"2\" }\nA = { default = \"3\" }\n[profiles.ci]\n";
    sandbox.write("fnox.toml", text);
    sandbox.write(
        "fnox.prod.toml",
        "[secrets]\nC = { default = \"4\" }\nD = { default = \"5\" }\n",
    );
    sandbox.write("fnox.local.toml", "");
    sandbox.write("fnox.prod.local.toml", "");
    let expected =
        "Profiles:\n  ci (1 secret)\n  default (1 secret)\n  dev (2 secrets)\n  prod (3 secrets)\n";
    assert_eq!(ok(&sandbox, &["profiles"]), expected);
    assert_eq!(
        ok(&sandbox, &["profiles", "--complete"]),
        "ci\ndefault\ndev\nprod\n"
    );
    let document = json(&ok(&sandbox, &["profiles", "--json", "-P", "dev"]));
    let active: Vec<&str> = document
        .as_array()
        .unwrap()
        .iter()
        .filter(|profile| profile["active"] == true)
        .map(|profile| profile["name"].as_str().unwrap())
        .collect();
    assert_eq!(active, ["dev"]);
    let elsewhere = sandbox
        .run(["profiles"])
        .within(sandbox.home())
        .finish()
        .succeeds();
    assert_eq!(elsewhere.stdout, "Profiles:\n  default (0 secrets)\n");
}

#[test]
fn configuration_files_are_listed_nearest_first() {
    let sandbox = sandbox();
    let global = sandbox.config_folder().join("config.toml");
    sandbox.write(&global, "");
    sandbox.write("fnox.toml", "");
    sandbox.write("deep/shared.toml", "");
    sandbox.write("deep/fnox.toml", "import = [\"shared.toml\"]\n");
    sandbox.write("deep/fnox.local.toml", "");
    let run = sandbox
        .run(["config-files"])
        .within(sandbox.project().join("deep"))
        .finish()
        .succeeds();
    let project = sandbox.project();
    let expected = [
        "deep/fnox.toml",
        "deep/shared.toml",
        "deep/fnox.local.toml",
        "fnox.toml",
    ]
    .map(|path| project.join(path))
    .into_iter()
    .chain([global])
    .map(|path| path.display().to_string())
    .collect::<Vec<_>>();
    assert_eq!(run.stdout.lines().collect::<Vec<_>>(), expected);
    let document = json(&ok(
        &sandbox,
        &["config-files", "--json", "-c", "deep/fnox.toml"],
    ));
    assert_eq!(document[0]["kind"], "explicit");
    assert_eq!(
        document[1]["imported_by"],
        project.join("deep/fnox.toml").display().to_string()
    );
}

#[test]
fn a_value_that_cannot_be_had_leaves_a_hole_in_the_list() {
    let sandbox = sandbox();
    let text = "[providers]\nteam = { type = \"infisical\" }\nplain = { type = \"plain\" }\n[secrets]\n\
                A = { provider = \"plain\", value = \"one\" }\nB = { provider = \"team\", value = \"B\" }\n\
                C = { provider = \"team\", value = \"C\", if_missing = \"ignore\" }\n\
                D = { provider = \"nowhere\", value = \"D\" }\n\
                E = { provider = \"plain\", value = \"no document\", json_path = \"a\" }\n";
    sandbox.write("fnox.toml", text);
    let run = sandbox.run(["list", "--values"]).finish().succeeds();
    let rows: Vec<&str> = run.stdout.lines().collect();
    let row = |name: &str| rows.iter().find(|row| row.starts_with(name)).unwrap();
    assert!(row("A ").contains("one"), "{run}");
    for name in ["B ", "C ", "D ", "E "] {
        assert!(row(name).contains("<not available>"), "{run}");
    }
    assert!(run.stderr.contains("`B` is left out: `team`"), "{run}");
    assert!(run.stderr.contains("no provider `nowhere`"), "{run}");
    assert!(run.stderr.contains("the secret `E` has a value"), "{run}");
    assert!(!run.stderr.contains("`C`"), "{run}");
    let document = json(&ok(&sandbox, &["list", "--values", "--json"]));
    assert_eq!(document[0]["value"], "one");
    assert!(document[1]["value"].is_null(), "{document}");
    fails(&sandbox, 3, &["list", "--values", "--if-missing", "error"]);
}

#[test]
fn an_unknown_secret_is_told_with_its_profile_and_the_files_that_lack_it() {
    let sandbox = sandbox();
    let text = "[secrets]\nA = { default = \"1\" }\n[profiles.prod]\n";
    let path = sandbox.write("fnox.toml", text);
    let error = fails(&sandbox, 3, &["get", "NOPE"]);
    let told = format!("there is no secret `NOPE` ({})", path.display());
    assert!(error.contains(&told), "{error}");
    let error = fails(&sandbox, 3, &["get", "NOPE", "-P", "prod"]);
    assert!(error.contains("`NOPE` in the profile `prod` ("), "{error}");
}

#[test]
fn what_is_about_files_asks_for_no_profile() {
    let sandbox = sandbox();
    let text =
        "[plugins]\nshelf = \"owner/shelf\"\n[profiles.dev.secrets]\nA = { default = \"1\" }\n";
    sandbox.write("fnox.toml", text);
    sandbox.write("fnox.dev.toml", "");
    let run = |arguments: &[&str]| {
        let run = sandbox.run(arguments).env("FNOX_PROFILE", "dev,nope");
        run.finish().succeeds().stdout
    };
    let files = run(&["config-files"]);
    assert!(files.contains("fnox.dev.toml"), "{files}");
    assert!(run(&["plugin"]).contains("shelf"));
    assert!(run(&["plugin", "ls"]).contains("shelf"));
    // Whatever needs secrets does.
    let error = fails(&sandbox, 3, &["list", "-P", "dev,nope"]);
    assert!(error.contains("`nope`"), "{error}");
}

#[test]
fn commands_that_only_read_the_configuration_run_nothing() {
    let sandbox = sandbox();
    let marker = sandbox.home().join("ran");
    let script = format!("#!/bin/sh\necho \"$0\" >> {}\n", marker.display());
    for program in ["op", "pass", "gpg", "age", "sh", "dbus-launch"] {
        sandbox.write_program(program, &script);
    }
    let text = "[providers]\nop = { type = \"1password\", vault = \"v\" }\n[secrets]\nA = { value = \"i/f\" }\n[leases.l]\ntype = \"command\"\ncreate_command = \"op\"\n";
    sandbox.write("fnox.toml", text);
    for arguments in [
        vec!["list"],
        vec!["list", "--json"],
        vec!["schema"],
        vec!["config-files"],
        vec!["profiles"],
        vec!["version"],
        vec!["provider", "list"],
        vec!["completion", "bash"],
        vec!["completion", "zsh"],
        vec!["completion", "fish"],
    ] {
        ok(&sandbox, &arguments);
    }
    let completed = sandbox
        .run(["--", "fnox", "get", ""])
        .env("COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", "2")
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_COMPLETE_SPACE", "true")
        .env("_CLAP_IFS", "\n")
        .finish()
        .succeeds();
    assert!(
        completed.stdout.lines().any(|line| line == "A"),
        "{completed}"
    );
    assert!(
        !marker.exists(),
        "{}",
        std::fs::read_to_string(&marker).unwrap_or_default()
    );
}

#[test]
fn the_version_is_that_of_the_package() {
    let sandbox = sandbox();
    assert_eq!(
        ok(&sandbox, &["version"]),
        format!("fnox {}\n", env!("CARGO_PKG_VERSION"))
    );
    let document = json(&ok(&sandbox, &["version", "--json"]));
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_file_that_others_may_write_is_read_once_it_is_trusted_and_until_it_changes() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = sandbox();
    let path = sandbox.write("fnox.toml", "[secrets]\nA = { default = \"1\" }\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let error = fails(&sandbox, 3, &["list"]);
    assert!(error.contains("fnox trust"), "{error}");
    ok(&sandbox, &["trust", "fnox.toml"]);
    ok(&sandbox, &["list"]);
    std::fs::write(&path, "[secrets]\nA = { default = \"2\" }\n").unwrap();
    fails(&sandbox, 3, &["list"]);
    fails(&sandbox, 3, &["trust", "gone.toml"]);
}

#[test]
fn fnox_log_shows_messages_of_fnox_and_a_filter_that_cannot_be_read_is_told() {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", "[secrets]\nA = { default = \"1\" }\n");
    let list = |filter: &[(&str, &str)]| {
        let run = sandbox.run(["list"]).envs(filter.iter().copied());
        run.finish().succeeds().stderr
    };
    assert_eq!(list(&[]), "");
    for variable in ["FNOX_LOG", "RUST_LOG"] {
        let said = list(&[(variable, "debug")]);
        assert!(
            said.contains("using ") && said.contains("fnox.toml"),
            "{said}"
        );
    }
    // The program's own variable decides.
    assert_eq!(list(&[("FNOX_LOG", "warn"), ("RUST_LOG", "debug")]), "");
    let said = list(&[("FNOX_LOG", "fnox=loud")]);
    assert!(said.contains("warning: FNOX_LOG is left aside"), "{said}");
}
