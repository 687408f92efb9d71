//! `fnox export` and `fnox import`

use std::os::unix::fs::PermissionsExt as _;

use fnox_testkit::Sandbox;
use insta::assert_snapshot;

use crate::support::{fails, json, ok, sandbox, shown, with_age};

const AWKWARD: &str = r#"{"secrets": {
  "Z": "plain",
  "QUOTES": "it's \"quoted\" \\ and `$(id)` $HOME ${X} !!",
  "LINES": "-----BEGIN-----\r\n a\tb \n\n-----END-----\n",
  "UNICODE": "häßlich € 😀 \u2028",
  "EMPTY": "",
  "SPACES": "  both ends  ",
  "HASH": "a #b"
}}"#;

fn imported() -> Sandbox {
    let sandbox = with_age();
    sandbox.write("in.json", AWKWARD);
    ok(
        &sandbox,
        &["import", "json", "-i", "in.json", "-p", "age", "--force"],
    );
    sandbox
}

#[test]
fn values_survive_every_format_and_keep_their_order() {
    let sandbox = imported();
    let original = json(AWKWARD)["secrets"].clone();
    let names: Vec<&String> = original.as_object().unwrap().keys().collect();
    for format in ["env", "json", "yaml", "toml"] {
        let file = format!("out.{format}");
        ok(&sandbox, &["export", "-f", format, "-o", &file]);
        let other = with_age();
        let input = sandbox.project().join(&file);
        ok(
            &other,
            &[
                "import",
                format,
                "-i",
                input.to_str().unwrap(),
                "-p",
                "age",
                "-f",
            ],
        );
        let back = json(&ok(&other, &["export", "-f", "json"]))["secrets"].clone();
        assert_eq!(back, original, "{format}");
        assert_eq!(
            back.as_object().unwrap().keys().collect::<Vec<_>>(),
            names,
            "{format}"
        );
    }
}

#[test]
fn a_shell_that_evaluates_the_output_has_every_value() {
    let sandbox = imported();
    let text = ok(&sandbox, &["export", "-f", "shell"]);
    let script = "eval \"$1\"\nfor name in Z QUOTES LINES UNICODE EMPTY SPACES HASH; do eval \"printf '%s\\\\0' \\\"\\$$name\\\"\"; done";
    let run = sandbox
        .run_program("sh", ["-c", script, "sh", &text])
        .finish()
        .succeeds();
    let values: Vec<&str> = run.stdout.split_terminator('\0').collect();
    let original = json(AWKWARD)["secrets"].clone();
    let expected: Vec<&str> = original
        .as_object()
        .unwrap()
        .values()
        .map(|value| value.as_str().unwrap())
        .collect();
    assert_eq!(values, expected);
}

#[test]
fn a_file_is_private_and_a_dry_run_resolves_nothing() {
    let sandbox = imported();
    ok(&sandbox, &["export", "-o", "secrets.env"]);
    let path = sandbox.project().join("secrets.env");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::remove_file(sandbox.config_folder().join("age.txt")).unwrap();
    let run = sandbox
        .run(["export", "-n", "-o", "other.env", "Z", "EMPTY"])
        .finish()
        .succeeds();
    assert_snapshot!(shown(&sandbox, &run), @r"
    [dry-run] would export 2 secrets as env to [project]/other.env
      Z
      EMPTY
    ----
    ");
    assert!(!sandbox.project().join("other.env").exists());
}

#[test]
fn modes_names_and_headers_choose_what_is_written() {
    let sandbox = sandbox();
    let text = "[secrets]\nA = { default = \"1\" }\nB = { default = \"${A}2\", env = \"exec\" }\nC = { default = \"3\", env = false }\n";
    sandbox.write("fnox.toml", text);
    assert_eq!(ok(&sandbox, &["export"]), "A=1\n");
    assert_eq!(ok(&sandbox, &["export", "--all"]), "A=1\nB=12\nC=3\n");
    assert_eq!(
        ok(&sandbox, &["export", "B"]),
        "B=12\n",
        "what it only depends on is left out"
    );
    let run = sandbox.run(["export", "--header"]).finish().succeeds();
    assert_snapshot!(shown(&sandbox, &run), @r"
    # Exported from profile: default
    # Exported at: [time]
    # Total secrets: 1

    A=1
    ----
    ");
    let error = fails(&sandbox, 3, &["export", "AA"]);
    assert!(error.contains("did you mean `A`?"), "{error}");
}

#[test]
fn secrets_that_are_files_are_exported_as_paths() {
    let sandbox = sandbox();
    sandbox.write(
        "fnox.toml",
        "[secrets]\nKEY = { default = \"inside\", as_file = true }\n",
    );
    let document = json(&ok(&sandbox, &["export", "-f", "json"]));
    let path = std::path::PathBuf::from(document["secrets"]["KEY"].as_str().unwrap());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "inside");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_bad_input_changes_nothing_and_is_named() {
    let sandbox = with_age();
    let before = sandbox.read("fnox.toml");
    sandbox.write("bad.env", "GOOD=1\nbad-name=2\nÄ=3\n");
    let error = fails(&sandbox, 1, &["import", "-i", "bad.env", "-p", "age", "-f"]);
    assert!(
        error.contains("`bad-name`") && error.contains("`Ä`"),
        "{error}"
    );
    sandbox.write("broken.json", "{\"A\": \"hunter2\",}");
    let error = fails(
        &sandbox,
        1,
        &["import", "json", "-i", "broken.json", "-p", "age", "-f"],
    );
    assert!(
        error.contains("not valid JSON") && !error.contains("hunter2"),
        "{error}"
    );
    sandbox.write("binary.env", [b'A', b'=', 0xff]);
    fails(
        &sandbox,
        1,
        &["import", "-i", "binary.env", "-p", "age", "-f"],
    );
    fails(
        &sandbox,
        1,
        &["import", "-i", "gone.env", "-p", "age", "-f"],
    );
    sandbox.write("good.env", "GOOD=1\n");
    let error = fails(&sandbox, 2, &["import", "-i", "good.env", "-p", "age"]);
    assert!(error.contains("nobody can be asked"), "{error}");
    let error = fails(&sandbox, 2, &["import", "-p", "age"]);
    assert!(error.contains("--force"), "{error}");
    fails(
        &sandbox,
        2,
        &[
            "import", "-i", "bad.env", "-p", "age", "-f", "--filter", "(",
        ],
    );
    let error = fails(
        &sandbox,
        3,
        &["import", "-i", "bad.env", "-p", "agee", "-f"],
    );
    assert!(error.contains("did you mean `age`?"), "{error}");
    assert_eq!(sandbox.read("fnox.toml"), before);
    ok(
        &sandbox,
        &[
            "import", "-i", "bad.env", "-p", "age", "-f", "--filter", "^NONE$",
        ],
    );
    assert_eq!(sandbox.read("fnox.toml"), before);
}

#[test]
fn references_in_a_dotenv_file_are_told_of_and_kept() {
    let sandbox = with_age();
    let input = "HOST=h\nURL=https://${HOST}/\nPATHS=$HOST/x\nPRICE=5$\nWORD=pa$sword\n";
    sandbox.write("in.env", input);
    let run = sandbox.run(["import", "-i", "in.env", "-p", "age", "-f"]);
    let told = run.finish().succeeds().stderr;
    assert!(
        told.contains("`URL`, `PATHS` name other variables"),
        "{told}"
    );
    assert_eq!(ok(&sandbox, &["get", "URL"]), "https://${HOST}/\n");
    let run = sandbox.run(["import", "json", "-p", "age", "-f"]);
    let told = run.stdin(r#"{"A":"${B}"}"#).finish().succeeds().stderr;
    assert!(!told.contains("name other variables"), "{told}");
}

#[test]
fn only_providers_that_encrypt_can_be_imported_with() {
    let sandbox = sandbox();
    sandbox.write("values.env", "A=1\n");
    sandbox.write(
        "fnox.toml",
        "[providers]\nop = { type = \"1password\", vault = \"v\" }\nfile = { type = \"plain\", file = \"values.env\", format = \"env\" }\n",
    );
    for provider in ["op", "file"] {
        let error = fails(
            &sandbox,
            2,
            &["import", "-i", "values.env", "-p", provider, "-f"],
        );
        assert!(error.contains("does not encrypt"), "{error}");
    }
}

#[test]
fn existing_entries_keep_their_other_keys_and_the_file_its_bytes() {
    let sandbox = with_age();
    let head = sandbox.read("fnox.toml");
    let entry = "A = { description = \"first\", if_missing = \"error\" } # mine\n";
    sandbox.write("fnox.toml", format!("{head}\n[secrets]\n{entry}"));
    let input = "B=2\nA=1\n";
    sandbox
        .run(["import", "-p", "age", "-f", "--prefix", ""])
        .stdin(input)
        .finish()
        .succeeds();
    let text = sandbox.read("fnox.toml");
    assert!(text.starts_with(&head), "{text}");
    assert!(
        text.contains(
            "A = { description = \"first\", if_missing = \"error\", provider = \"age\", value = "
        ),
        "{text}"
    );
    assert!(text.contains(" # mine\nB = { provider = \"age\""), "{text}");
    assert_eq!(ok(&sandbox, &["export"]), "A=1\nB=2\n");
}

#[test]
fn an_import_can_go_to_a_profile_that_it_creates_or_to_the_global_file() {
    let sandbox = with_age();
    sandbox.write("in.env", "A=1\n");
    let run = sandbox
        .run(["import", "-i", "in.env", "-p", "age", "-f", "-P", "new"])
        .finish()
        .succeeds();
    assert!(run.stderr.contains("into profile new"), "{run}");
    assert!(
        sandbox
            .read("fnox.toml")
            .contains("[profiles.new.secrets]\nA = ")
    );
    assert_eq!(ok(&sandbox, &["get", "A", "-P", "new"]), "1\n");
    ok(
        &sandbox,
        &[
            "import", "-i", "in.env", "-p", "age", "-f", "-g", "--prefix", "G_",
        ],
    );
    let global = std::fs::read_to_string(sandbox.config_folder().join("config.toml")).unwrap();
    assert!(global.starts_with("[secrets]\nG_A = "), "{global}");
}

#[test]
fn a_dry_run_of_an_import_says_what_would_change_and_shows_no_value() {
    let sandbox = with_age();
    sandbox.write("before.env", "A=kept-value\nB=old-value\n");
    ok(&sandbox, &["import", "-i", "before.env", "-p", "age", "-f"]);
    let head = sandbox.read("fnox.toml");
    let text = format!("{head}BROKEN = {{ provider = \"age\", value = \"no ciphertext\" }}\n");
    sandbox.write("fnox.toml", &text);
    sandbox.write("in.env", "C=first\nA=kept-value\nB=new-value\nBROKEN=x\n");
    let import = ["import", "-n", "-i", "in.env", "-p", "age"];
    let run = sandbox.run(import).finish().succeeds();
    assert_snapshot!(shown(&sandbox, &run), @r"
    [dry-run] would import 4 secrets into profile default, encrypted by age, in [project]/fnox.toml
      + C (new)
      = A (same)
      ~ B (changed)
      ? BROKEN (unknown)
    ----
    Of those that are unknown a value cannot be read; `fnox check --all` says why.
    ");
    assert_eq!(sandbox.read("fnox.toml"), text);
    let document = json(&ok(&sandbox, &[&import[..], &["--json"]].concat()));
    assert_eq!(
        document["secrets"][2],
        serde_json::json!({ "name": "B", "change": "changed" })
    );
    fails(
        &sandbox,
        2,
        &["import", "-i", "in.env", "-p", "age", "-f", "--json"],
    );
}

#[test]
fn what_other_tools_print_is_taken_over() {
    let sandbox = with_age();
    for (format, text) in [
        ("chamber", r#"{"from-chamber":" 1\n"}"#),
        ("doppler", r#"{"FROM_DOPPLER":"2","DOPPLER_PROJECT":"p"}"#),
        (
            "infisical",
            r#"[{"key":"FROM_INFISICAL","value":"3","type":"shared"}]"#,
        ),
        (
            "1password",
            r#"{"fields":[{"id":"x","type":"CONCEALED","label":"from 1password","value":"4"}]}"#,
        ),
    ] {
        let import = ["import", format, "-p", "age", "-f"];
        sandbox.run(import).stdin(text).finish().succeeds();
    }
    let values = json(&ok(&sandbox, &["export", "-f", "json"]))["secrets"].clone();
    let wanted = serde_json::json!({
        "FROM_CHAMBER": " 1\n", "FROM_DOPPLER": "2", "FROM_INFISICAL": "3", "FROM_1PASSWORD": "4",
    });
    assert_eq!(values, wanted);
}

#[test]
fn ciphertexts_of_other_tools_are_not_taken_for_values() {
    let sandbox = with_age();
    let before = sandbox.read("fnox.toml");
    for (format, text, tool) in [
        (
            "yaml",
            "A: ENC[AES256_GCM,data:x]\nsops:\n  mac: x\n",
            "sops",
        ),
        ("env", "A=ENC[AES256_GCM,data:x]\nsops_mac=x\n", "sops"),
        ("env", "A=\"encrypted:BEcx\"\n", "dotenvx"),
    ] {
        let import = ["import", format, "-p", "age", "-f"];
        let run = sandbox.run(import).stdin(text).finish().exits_with(1);
        assert!(
            run.stderr.contains(&format!("encrypted by {tool}")),
            "{run}"
        );
        assert!(run.stderr.contains(&format!("fnox import {tool}")), "{run}");
    }
    assert_eq!(sandbox.read("fnox.toml"), before);
}

/// The entries of an environment file, read as GitHub's runner does: `NAME<<DELIMITER`, lines, `DELIMITER`.
fn environment_file(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut lines = text.split('\n');
    while let Some((name, delimiter)) = lines.next().and_then(|line| line.split_once("<<")) {
        let value: Vec<&str> = lines
            .by_ref()
            .take_while(|line| *line != delimiter)
            .collect();
        out.push((name.to_owned(), value.join("\n")));
    }
    assert_eq!(lines.next(), None, "{text}");
    out
}

#[test]
fn a_job_of_github_actions_gets_every_value_and_its_log_none() {
    let sandbox = imported();
    let job = |arguments: &[&str]| {
        let run = sandbox.run(arguments).env("GITHUB_ACTIONS", "true");
        run.finish().succeeds()
    };
    let run = job(&["export", "-f", "gha"]);
    let original = json(AWKWARD)["secrets"].clone();
    let entries = environment_file(&run.stdout);
    assert_eq!(entries.len(), original.as_object().unwrap().len());
    for (name, value) in &entries {
        assert_eq!(original[name].as_str(), Some(value.as_str()), "{name}");
    }
    // Each line that is worth hiding is hidden before anything else is said.
    for hidden in [
        "::add-mask::plain",
        "::add-mask::-----BEGIN-----",
        "::add-mask::a #b",
    ] {
        assert!(
            run.stderr.lines().any(|line| line == hidden),
            "{}",
            run.stderr
        );
    }
    assert!(
        run.stderr
            .lines()
            .all(|line| line.starts_with("::add-mask::"))
    );

    fails(&sandbox, 2, &["export", "-f", "gha", "--header"]);

    let redacted = job(&["ci-redact"]);
    assert!(
        redacted
            .stdout
            .lines()
            .any(|line| line == "::add-mask::plain")
    );
    assert_eq!(redacted.stderr, "");
    assert!(fails(&sandbox, 2, &["ci-redact"]).contains("no job of GitHub Actions"));
}
