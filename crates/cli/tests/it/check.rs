//! `fnox check`

use insta::assert_snapshot;

use crate::support::{fails, json, ok, sandbox, shown, with_age};

#[test]
#[cfg(unix)]
fn a_lease_that_agents_use_and_nothing_narrows_is_told() {
    for (keys, is_told) in [("", true), ("repositories = [\"app\"]\n", false)] {
        let sandbox = sandbox();
        sandbox.write(
            "fnox.toml",
            format!(
                "[leases.gh]\ntype = \"github-app\"\napp_id = \"1\"\ninstallation_id = \"2\"\n{keys}\
                 [[proxy.rules]]\nlease = \"gh\"\ndomain = \"api.github.com\"\n"
            ),
        );
        let run = sandbox.run(["check"]).finish();
        let told = "agents use the lease `gh`";
        assert_eq!(format!("{run}").contains(told), is_told, "{run}");
    }
}

#[test]
fn a_healthy_configuration_is_called_healthy() {
    let sandbox = with_age();
    sandbox.run(["set", "TOKEN"]).stdin("x").finish().succeeds();
    let run = sandbox.run(["check", "--all"]).finish().succeeds();
    assert_snapshot!(shown(&sandbox, &run), @r"
    Profile: default
    Secrets: 1
    Providers: 1
    ----
    ✓ The configuration is healthy
    ");
}

#[test]
#[cfg(unix)]
fn rules_of_the_gateway_are_looked_at() {
    let sandbox = sandbox();
    let rule = |secret: &str| {
        format!(
            "[secrets]\nPIN = {{ default = \"1234567\" }}\n\n[[proxy.rules]]\nsecret = \"{secret}\"\ndomain = \"a.example\"\n"
        )
    };
    sandbox.write("fnox.toml", rule("PIN"));
    let run = sandbox
        .run(["check", "--all", "--json"])
        .finish()
        .succeeds();
    let warning = &json(&run.stdout)["warnings"][0];
    let text = warning["message"].as_str().unwrap();
    assert!(text.contains("`PIN` has fewer than 8 bytes"), "{run}");
    assert_eq!(warning["line"], 5);
    sandbox.write("fnox.toml", rule("PINE"));
    let run = sandbox.run(["check", "--json"]).finish().exits_with(1);
    assert_eq!(json(&run.stdout)["errors"][0]["line"], 5, "{run}");
    let error = fails(&sandbox, 3, &["agent", "rules"]);
    assert!(error.contains("fnox.toml:5"), "{error}");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let sandbox = sandbox();
    let text = r#"
[providers]
files = { type = "plain" }
cloud = { type = "keeper-sm", token = { secret = "VAULT_TOKE" } }

[secrets]
A = { default = "${B}" }
B = { default = "${A}" }
C = { default = "${GONE}" }
D = { provider = "filse", value = "x" }
E = { provider = "files", value = "clear" }
F = { if_missing = "error" }
VAULT_TOKEN = { description = "from the environment" }

[leases.db]
type = "command"
create_command = "true"

[leases.node]
type = "tailscale"
"#;
    sandbox.write("fnox.toml", text);
    let run = sandbox.run(["check"]).finish().exits_with(1);
    assert_snapshot!(shown(&sandbox, &run), @r#"
    Profile: default
    Secrets: 7
    Providers: 2
    Leases: 2
    ----
    5 errors:
      - `token` of the provider `cloud` needs `VAULT_TOKE`, which is neither a secret nor in the environment ([project]/fnox.toml:4)
        help: did you mean `VAULT_TOKEN`?
      - secrets need one another: A -> B -> A ([project]/fnox.toml:7)
        help: break the cycle: take one of these from another provider
      - the secret `C` has a value that refers to `${GONE}`, but there is no secret `GONE`; variables of the environment do not count: make it a secret, or write the text itself ([project]/fnox.toml:9)
      - there is no provider `filse` ([project]/fnox.toml:10)
        help: did you mean `files`?
      - the secret `F` cannot be resolved: it has no value and no default ([project]/fnox.toml:12)
        help: set it with `fnox set F`, or export it in the environment
    3 warnings:
      - the lease `db` does not say what it `consumes`: its commands get every secret, and programs get its masters too ([project]/fnox.toml:15)
        help: list the secrets that it needs: `consumes = ["NAME"]`
      - the secret `E` stands in the file as plain text ([project]/fnox.toml:11)
        help: if it is secret, store it with a provider: `fnox set E --provider NAME`
      - the secret `VAULT_TOKEN` has no source: no provider, no default, and the variable is not set ([project]/fnox.toml:13)
    cli::check_failed

      × the configuration has 5 errors
    "#);
}

#[test]
fn what_fails_only_when_it_is_used_is_told_before() {
    for (text, line, wanted) in [
        (
            "[providers]\nage = { type = \"age\", recipients = [\"garbage\"] }\n",
            2,
            "`recipients`",
        ),
        (
            "[secrets]\nA = { default = \"x\", push = [\"nope\"] }\n",
            2,
            "no target `nope`",
        ),
        (
            "[leases.node]\ntype = \"kubernetes\"\nservice_account = \"ci\"\nduration = \"5m\"\n",
            4,
            "10m",
        ),
        (
            "[[proxy.rules]]\nsecret = \"A\"\ndomain = \"a.example\"\n",
            2,
            "`A`",
        ),
        (
            "[providers]\na = { type = \"azure-sm\", vault_url = \"https://v.example\", auth = \"wrong\" }\n",
            2,
            "managed-identity",
        ),
    ] {
        let sandbox = sandbox();
        sandbox.write("fnox.toml", text);
        let run = sandbox.run(["check"]).finish();
        assert!(run.stderr.contains(wanted), "{text}: {run}");
        assert!(
            run.stderr.contains(&format!("fnox.toml:{line}")),
            "{text}: {run}"
        );
        assert_ne!(run.code, Some(0), "{text}: {run}");
    }
}

#[test]
fn words_are_read_with_either_hyphen() {
    let sandbox = sandbox();
    sandbox.write(
        "fnox.toml",
        "[leases.az]\ntype = \"azure-token\"\nscope = \"https://a.example/.default\"\nauth = \"managed_identity\"\n\
         [providers]\nkeys = { type = \"keychain\" }\n",
    );
    ok(&sandbox, &["check"]);
}

#[test]
fn help_is_a_command_too() {
    let sandbox = sandbox();
    for (command, option) in [
        (&["help"][..], &["--help"][..]),
        (&["help", "exec"], &["exec", "--help"]),
        (&["help", "lease", "create"], &["lease", "create", "--help"]),
    ] {
        assert_eq!(ok(&sandbox, command), ok(&sandbox, option), "{command:?}");
    }
}

#[test]
fn secrets_that_may_be_missing_are_resolved_only_with_all() {
    let sandbox = sandbox();
    sandbox.write_program(
        "op",
        "#!/bin/sh\necho \"$@\" >> \"$HOME/asked\"\necho 'no account' >&2\nexit 1\n",
    );
    let text = "[providers]\nop = { type = \"1password\", vault = \"v\" }\n[secrets]\nA = { value = \"item/field\" }\n";
    sandbox.write("fnox.toml", text);
    ok(&sandbox, &["check"]);
    assert!(
        !sandbox.home().join("asked").exists(),
        "nothing requires the secret"
    );
    // A run would stop: an outage is no missing secret, unless somebody says so.
    let error = fails(&sandbox, 1, &["check", "--all"]);
    assert!(
        error.contains("`A` cannot be resolved") && error.contains("fnox provider test op"),
        "{error}"
    );
    sandbox.write("fnox.toml", format!("if_missing = \"warn\"\n{text}"));
    let run = sandbox.run(["check", "--all"]).finish().succeeds();
    assert!(
        run.stderr.contains("1 warning:") && run.stderr.contains("`A` cannot be resolved"),
        "{run}"
    );
    sandbox.write("fnox.toml", format!("if_missing = \"error\"\n{text}"));
    let error = fails(&sandbox, 1, &["check"]);
    assert!(
        error.contains("1 error:") && error.contains("`A` cannot be resolved"),
        "{error}"
    );
}

#[test]
fn settings_with_which_a_run_would_stop_are_told_though_nobody_is_asked() {
    let sandbox = sandbox();
    let text = |more: &str| {
        format!(
            "[providers.team]\ntype = \"infisical\"\n[secrets]\n\
             A = {{ provider = \"team\", value = \"A\"{more} }}\nB = {{ provider = \"team\", value = \"B\" }}\n\
             INFISICAL_TOKEN = {{ description = \"given by the shell\", if_missing = \"ignore\" }}\n"
        )
    };
    sandbox.write("fnox.toml", text(""));
    fails(&sandbox, 3, &["exec", "--", "true"]);
    let error = fails(&sandbox, 1, &["check"]);
    assert!(error.contains("1 error:"), "{error}");
    assert!(
        error.contains("the provider `team` cannot be used"),
        "{error}"
    );
    assert!(error.contains("set `project_id`"), "{error}");
    // Whoever says that it may be missing goes on without it.
    ok(&sandbox, &["check", "--if-missing", "warn"]);
    ok(&sandbox, &["exec", "--if-missing", "warn", "--", "true"]);
    // A run that has something else to go on with does not stop.
    let lone =
        text(", default = \"x\"").replace("B = { provider", "B = { default = \"y\", provider");
    sandbox.write("fnox.toml", lone);
    ok(&sandbox, &["exec", "--", "true"]);
    ok(&sandbox, &["check"]);
}

#[test]
fn the_document_says_the_same() {
    let sandbox = sandbox();
    sandbox.write(
        "fnox.toml",
        "[secrets]\nA = { if_missing = \"error\" }\nB = { default = \"${NO}\" }\n",
    );
    let run = sandbox.run(["check", "--json"]).finish().exits_with(1);
    let document = json(&run.stdout);
    assert_eq!(document["healthy"], false);
    assert_eq!(document["secrets"], 2);
    assert_eq!(document["profiles"], serde_json::json!(["default"]));
    let errors = document["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{run}");
    assert_eq!(errors[0]["line"], 3);
}

#[test]
fn one_value_that_does_not_fit_does_not_hide_the_others() {
    let sandbox = with_age();
    sandbox
        .run(["set", "A"])
        .stdin("not json")
        .finish()
        .succeeds();
    let text = sandbox.read("fnox.toml").replace(
        "value =",
        "json_path = \"a.b\", if_missing = \"error\", value =",
    );
    sandbox.write(
        "fnox.toml",
        format!("{text}Z = {{ if_missing = \"error\" }}\n"),
    );
    let error = fails(&sandbox, 1, &["check"]);
    assert!(
        error.contains("2 errors:") && error.contains("`A`") && error.contains("`Z`"),
        "{error}"
    );
    assert!(!error.contains("not json"), "{error}");
}
