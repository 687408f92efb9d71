//! `fnox env --json`: a contract with tools that start programs themselves.

use serde_json::{Value, json};

use crate::schemas::assert_fits;
use crate::support::{fails, json as parsed, ok, sandbox};

const CONFIG: &str = r#"root = true
[providers]
plain = { type = "plain" }
[secrets]
URL = { provider = "plain", value = "postgres://h/d", description = "the database" }
PART = { provider = "plain", value = "it's\n\"two\" lines €", env = "exec" }
MASTER = { provider = "plain", value = "hunter2-master", env = false }
CERT = { provider = "plain", value = "-----BEGIN-----\n", as_file = true }
GONE = {}
[leases.demo]
type = "command"
consumes = []
produces = ["TOKEN", "URL"]
create_command = """printf '{"credentials":{"TOKEN":"t-1","URL":"leased"},"lease_id":"l"}'"""
[leases.dynamic]
type = "command"
consumes = []
create_command = """printf '{"credentials":{"EXTRA":"e"},"lease_id":"m"}'"""
"#;

fn home() -> fnox_testkit::Sandbox {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", CONFIG);
    sandbox
}

#[track_caller]
fn one_line(text: &str) -> Value {
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    let document = parsed(text);
    // Compact: what a writer without spaces would print.
    assert_eq!(text.trim_end().len(), document.to_string().len(), "{text}");
    assert_fits("schemas/env.json", &document);
    document
}

#[test]
fn the_document_is_what_exec_would_give_a_program() {
    let sandbox = home();
    let run = sandbox.run(["env", "--json"]).finish().succeeds();
    let document = one_line(&run.stdout);
    assert_eq!(document["schema"], 1);
    assert_eq!(document["fnox_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document["scope"], "exec");
    assert_eq!(document["profile"], json!(["default"]));
    // A lease's variable wins over a secret of its name.
    let set = json!({
        "URL": "leased", "PART": "it's\n\"two\" lines €", "TOKEN": "t-1", "EXTRA": "e"
    });
    assert_eq!(document["set"], set);
    assert_eq!(document["files"], json!({"CERT": "-----BEGIN-----\n"}));
    assert_eq!(document["missing"], json!(["GONE"]));
    assert_eq!(document["leases"], json!(["demo", "dynamic"]));
    let removed = document["remove"].as_array().unwrap();
    for name in [
        "MASTER",
        "FNOX_AGE_KEY",
        "FNOX_AGE_KEY_FILE",
        "ENPASS_PASSWORD",
    ] {
        assert!(removed.iter().any(|one| one == name), "{name}: {removed:?}");
    }
    assert!(!removed.iter().any(|one| one == "URL" || one == "CERT"));
    assert!(run.stderr.contains("GONE"), "{}", run.stderr);
    let values = "env | grep -v '^_=' | sort";
    let given = ok(&sandbox, &["exec", "--", "sh", "-c", values]);
    for name in ["URL=leased", "TOKEN=t-1", "EXTRA=e"] {
        assert!(given.lines().any(|line| line == name), "{name} in {given}");
    }
    sandbox.assert_no_leak("hunter2-master", &[&run]);
}

#[test]
fn a_shell_gets_neither_leases_nor_what_only_programs_may_have() {
    let sandbox = home();
    let text = ok(&sandbox, &["env", "--json", "--for", "shell"]);
    let document = one_line(&text);
    assert_eq!(document["scope"], "shell");
    assert_eq!(document["set"], json!({"URL": "postgres://h/d"}));
    assert_eq!(document["leases"], json!([]));
    let removed = document["remove"].as_array().unwrap();
    assert!(removed.iter().any(|one| one == "PART") && removed.iter().any(|one| one == "MASTER"));
}

#[test]
fn keys_are_given_exactly_and_all_that_is_wrong_with_them_is_told_at_once() {
    let sandbox = home();
    let text = ok(&sandbox, &["env", "--json", "--keys", "TOKEN,PART,TOKEN"]);
    let document = one_line(&text);
    assert_eq!(
        document["set"],
        json!({"PART": "it's\n\"two\" lines €", "TOKEN": "t-1"})
    );
    assert_eq!(
        (&document["files"], &document["leases"]),
        (&json!({}), &json!(["demo"]))
    );
    let asked = [
        "env",
        "--json",
        "--keys",
        "MASTER,TOKNE",
        "--keys",
        "EXTRA,URL",
    ];
    let run = sandbox.run(asked).finish().exits_with(1);
    let error = one_line(&run.stdout)["error"].clone();
    assert_eq!(error["kind"], "invalid_keys");
    assert_eq!(error["unknown"], json!(["TOKNE", "EXTRA"]));
    assert_eq!(error["suggestions"]["TOKNE"], json!(["TOKEN"]));
    assert_eq!(
        error["not_injectable"],
        json!([{"key": "MASTER", "env": false}])
    );
    assert!(run.stderr.contains("cli::unknown_keys"), "{}", run.stderr);
    let asked = ["env", "--json", "--for", "shell", "--keys", "PART,TOKEN"];
    let error = one_line(&sandbox.run(asked).finish().exits_with(1).stdout)["error"].clone();
    let expected = json!([{"key": "PART", "env": "exec"}, {"key": "TOKEN", "env": "exec"}]);
    assert_eq!(
        (&error["not_injectable"], &error["unknown"]),
        (&expected, &Value::Null)
    );
    let empty = sandbox.run(["env", "--json", "--keys", ""]).finish();
    let error = one_line(&empty.exits_with(1).stdout)["error"].clone();
    assert_eq!(error["unknown"], json!([""]));
}

#[test]
fn a_description_resolves_nothing() {
    let sandbox = home();
    sandbox.write(
        sandbox.config_folder().join("config.toml"),
        "[providers]\nown = { type = \"plain\" }\n[secrets]\nMINE = { provider = \"own\", value = \"m\" }\n",
    );
    let broken = CONFIG.replace("printf", "touch ran; printf");
    let broken = format!("{broken}[secrets.BASED]\ndefault = \"${{MINE}}\"\n");
    sandbox.write("fnox.toml", broken);
    let document = one_line(&ok(&sandbox, &["env", "--json", "--describe"]));
    assert_eq!(document["dynamic_leases"], json!(["dynamic"]));
    assert_eq!(document["daemon_enabled"], false);
    let key = |name: &str| {
        let keys = document["keys"].as_array().unwrap();
        let found = keys.iter().find(|key| key["key"] == name);
        found
            .unwrap_or_else(|| panic!("{name} in {document}"))
            .clone()
    };
    let url = key("URL");
    assert_eq!(
        (&url["kind"], &url["lease"]),
        (&json!("lease"), &json!("demo"))
    );
    assert_eq!(url["injectable"], json!({"exec": true, "shell": true}));
    assert_eq!(url["description"], "the database");
    assert_eq!(
        key("PART")["injectable"],
        json!({"exec": true, "shell": false})
    );
    assert_eq!(key("PART")["env"], "exec");
    assert_eq!(
        key("MASTER")["injectable"],
        json!({"exec": false, "shell": false})
    );
    assert_eq!(
        key("TOKEN")["injectable"],
        json!({"exec": true, "shell": false})
    );
    assert_eq!(key("TOKEN").get("env"), None);
    assert_eq!(key("CERT")["as_file"], true);
    // Whatever takes part in a value counts.
    for (name, global) in [
        ("PART", false),
        ("MINE", true),
        ("BASED", true),
        ("TOKEN", false),
    ] {
        assert_eq!(key(name)["source"]["global"], global, "{name}");
    }
    assert!(!sandbox.project().join("ran").exists());
    let one = one_line(&ok(
        &sandbox,
        &["env", "--json", "--describe", "--keys", "CERT"],
    ));
    assert_eq!(one["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn each_failure_has_its_kind_and_the_exit_code_1() {
    let sandbox = sandbox();
    let failure = |arguments: &[&str]| {
        let run = sandbox.run(arguments).finish().exits_with(1);
        one_line(&run.stdout)["error"].clone()
    };
    assert_eq!(failure(&["env", "--json"])["kind"], "config");
    sandbox.write("fnox.toml", "[secrets]\nA = { valeu = 'hunter2-x' }\n");
    let error = failure(&["env", "--json"]);
    assert_eq!(
        (&error["kind"], &error["code"]),
        (&json!("config"), &json!("config::unknown_key"))
    );
    assert!(!error.to_string().contains("hunter2-x"));
    sandbox.write("fnox.toml", "[secrets]\nA = {}\n");
    let missing = failure(&["env", "--json", "--if-missing", "error"]);
    assert_eq!(
        (&missing["kind"], &missing["code"]),
        (&json!("resolution"), &json!("secret::missing"))
    );
    assert_eq!(
        failure(&["env", "--json", "-P", "nowhere"])["kind"],
        "config"
    );
    // Nothing of these is a document.
    for (code, arguments) in [
        (1, vec!["env"]),
        (2, vec!["env", "--json", "--for", "nobody"]),
        (2, vec!["env", "--json", "--wrong"]),
    ] {
        let run = sandbox.run(&arguments).finish().exits_with(code);
        assert_eq!(run.stdout, "", "{arguments:?}");
    }
    let told = fails(&sandbox, 1, &["env"]);
    assert!(
        told.contains("`--json`") && told.contains("`fnox export`"),
        "{told}"
    );
}
