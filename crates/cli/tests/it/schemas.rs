//! The committed JSON Schemas fit what is written for them and what is printed.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{json, ok, sandbox};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned()
}

fn validator(path: &str) -> jsonschema::Validator {
    let text = std::fs::read_to_string(root().join("docs/reference").join(path)).unwrap();
    jsonschema::validator_for(&json(&text)).unwrap()
}

#[track_caller]
pub(crate) fn assert_fits(schema: &str, document: &Value) {
    let errors: Vec<String> = validator(schema)
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path))
        .collect();
    assert!(errors.is_empty(), "{schema}: {errors:#?}");
}

fn toml(text: &str) -> Value {
    toml_edit::de::from_str(text).unwrap()
}

#[test]
fn the_examples_fit_the_schema_of_the_configuration() {
    let example = std::fs::read_to_string(root().join("examples/quickstart/fnox.toml")).unwrap();
    assert_fits("fnox.schema.json", &toml(&example));
    assert_fits("fnox.schema.json", &toml(EVERYTHING));
}

#[test]
fn the_schema_refuses_what_the_parser_refuses() {
    for text in [
        "colour = 1\n",
        "[secrets]\nA = \"x\"\n",
        "[secrets]\nA = { valeu = \"x\" }\n",
        "[providers.p]\ntype = \"agge\"\n",
        "[leases.l]\ntype = \"aws-sts\"\n",
        "if_missing = \"wran\"\n",
    ] {
        assert!(
            !validator("fnox.schema.json").is_valid(&toml(text)),
            "{text}"
        );
    }
}

#[test]
fn every_document_that_is_printed_fits_its_schema() {
    let sandbox = sandbox();
    sandbox.write(
        "fnox.toml",
        "[providers]\nplain = { type = \"plain\" }\n[secrets]\nA = { value = \"a\", description = \"d\" }\nB = {}\n\
         [leases.demo]\ntype = \"command\"\nconsumes = []\n\
         create_command = \"\"\"printf '{\"credentials\":{\"T\":\"t\"},\"lease_id\":\"l\"}'\"\"\"\n[profiles.p]\n",
    );
    sandbox.write("in.env", "A=a\nB=b\nC=c\n");
    let lease = ok(&sandbox, &["lease", "create", "demo", "-f", "json"]);
    assert_fits("schemas/lease-create.json", &json(&lease));
    for (schema, arguments) in [
        ("get", vec!["get", "A", "--json"]),
        ("list", vec!["list", "--json", "--values"]),
        ("lease-list", vec!["lease", "list", "--json"]),
        ("lease-cleanup", vec!["lease", "cleanup", "--json"]),
        ("lease-revoke", vec!["lease", "revoke", "--all", "--json"]),
        ("lease-revoke", vec!["lease", "revoke", "--all", "--json"]),
        ("provider-list", vec!["provider", "--json"]),
        ("plugin-list", vec!["plugin", "--json"]),
        ("files-list", vec!["files", "--json"]),
        ("files-write", vec!["files", "write", "--json"]),
        ("provider-list", vec!["provider", "list", "--json"]),
        ("provider-test", vec!["provider", "test", "--all", "--json"]),
        ("profiles", vec!["profiles", "--json"]),
        ("config-files", vec!["config-files", "--json"]),
        ("version", vec!["version", "--json"]),
        ("age-keygen", vec!["age", "keygen", "--json"]),
        ("export", vec!["export", "--format", "json"]),
        (
            "import",
            vec!["import", "-n", "--json", "-p", "plain", "-i", "in.env"],
        ),
        ("diff", vec!["diff", "default", "p", "--all", "--json"]),
        ("scan", vec!["scan", "--json"]),
        ("check", vec!["check", "--json"]),
        ("doctor", vec!["doctor", "--json"]),
    ] {
        assert_fits(
            &format!("schemas/{schema}.json"),
            &json(&ok(&sandbox, &arguments)),
        );
    }
}

#[test]
fn what_serve_prints_fits_its_schema_and_so_does_the_file_that_it_writes() {
    let home = crate::serve_support::Home::new();
    for (schema, arguments) in [
        ("serve-policy-check", vec!["policy", "check"]),
        ("serve-token", vec!["token", "--role", "scim"]),
        ("serve-token-list", vec!["token", "list"]),
        ("serve-state", vec!["freeze"]),
        ("serve-audit-verify", vec!["audit", "verify"]),
        ("serve-backup", vec!["backup", "copy.db"]),
        ("serve-restore", vec!["restore", "copy.db"]),
    ] {
        assert_fits(&format!("schemas/{schema}.json"), &home.json(&arguments));
    }
    let again = ok(
        &home.sandbox,
        &["serve", "init", "--dir", "server", "--json"],
    );
    assert_fits("schemas/serve-init.json", &json(&again));
    home.configure("[notify.ntfy]\nurl = \"http://127.0.0.1:1\"\ntopic = \"t\"\n");
    let run = home.run(&["notify", "test", "--json"]).finish();
    assert_fits(
        "schemas/serve-notify-test.json",
        &json(&run.exits_with(6).stdout),
    );
    let home = crate::serve_support::Home::new();
    let text = std::fs::read_to_string(home.file("server.toml")).unwrap();
    assert_fits("server.schema.json", &toml(&text));
}

/// Something of everything that may stand in a project's file.
const EVERYTHING: &str = r#"
import = ["other.toml"]
root = true
default_provider = "age"
if_missing = "warn"
env = "exec"
redact_exec = true

[project]
name = "my-app"
revision = "1.0"

[ledger]
key = "keychain"

[providers.age]
type = "age"
recipients = ["age1xyz"]
bind_names = true

[providers.op]
type = "1password"
vault = "Development"
token = { secret = "OP_TOKEN" }
auth_command = ""

[secrets]
BARE = {}
KEY = { provider = "age", value = "YWdl", env = false, as_file = true, push = ["gh"] }
REF = { provider = "op", ref = "op://v/i/f", json_path = "a.b", if_missing = "error" }
COPY = { provider = "op", value = "i", sync = { provider = "age", value = "YWdl" } }

[leases.aws]
type = "aws-sts"
region = "eu-west-1"
role_arn = "arn:aws:iam::123456789012:role/dev"
duration = "1h30m"
required = true
tags = { team = "a" }

[leases.vault]
type = "vault"
secret_path = "aws/creds/x"
env_map = { access_key = "AWS_ACCESS_KEY_ID" }

[profiles.production]
inherits = ["base"]
NPM_TOKEN = { description = "d", require_approval = true }

[profiles.base.secrets]
A = { default = "x" }

[targets.gh]
type = "github-actions"
repo = "o/r"

[proxy]
egress = "strict"
[[proxy.rules]]
secret = "KEY"
domain = "api.example.com"
"#;
