//! `fnox import` of files in which other tools keep ciphertexts, or names alone.

use std::path::{Path, PathBuf};

use fnox_testkit::Sandbox;
use insta::assert_snapshot;

use crate::support::{fails, json, ok, sandbox, shown, with_age};

/// Files that the tests of the readers open too; how they were made stands there.
fn file(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = folder.join("../providers/tests/it").join(name);
    path.canonicalize().unwrap().display().to_string()
}

fn values(sandbox: &Sandbox) -> serde_json::Value {
    json(&ok(sandbox, &["export", "-f", "json", "--all"]))["secrets"].clone()
}

#[test]
fn files_of_sops_open_with_a_key_where_sops_looks_for_it() {
    let nested = file("sops/nested.yaml");
    let identity = std::fs::read_to_string(file("sops/identity.txt")).unwrap();
    for (variable, value) in [
        ("SOPS_AGE_KEY", identity.clone()),
        ("SOPS_AGE_KEY_FILE", file("sops/identity.txt")),
        ("FNOX_AGE_KEY_FILE", file("sops/identity.txt")),
    ] {
        let sandbox = with_age();
        let import = ["import", "sops", "-i", &nested, "-p", "age", "-f"];
        sandbox
            .run(import)
            .env(variable, &value)
            .finish()
            .succeeds();
        if variable == "SOPS_AGE_KEY" {
            let wanted = serde_json::json!({
                "API_KEY": "k-1 with spaces ", "port": "5432", "ratio": "0.25", "debug": "true", "empty": "",
                "region_unencrypted": "eu-west-1", "replicas_unencrypted": "3", "verbose_unencrypted": "false", "answer_unencrypted": "yes",
                "DATABASE_USER_NAME": "shop", "DATABASE_CERTIFICATE": "-----BEGIN-----\nä€😀\n-----END-----\n",
                "HOSTS_0": "one", "HOSTS_1": "two",
                "ACCOUNTS_0_NAME": "a", "ACCOUNTS_0_PASSWORD": "hunter2-canary",
                "ACCOUNTS_1_NAME": "b", "ACCOUNTS_1_PASSWORD": "hunter3-canary",
            });
            assert_eq!(values(&sandbox), wanted);
        }
        sandbox.assert_no_leak("hunter2-canary", &[]);
    }
    // The usual file, and a dotenv file.
    let sandbox = with_age();
    sandbox.write(sandbox.home().join(".config/sops/age/keys.txt"), identity);
    let flat = file("sops/flat.env");
    ok(
        &sandbox,
        &[
            "import", "sops", "-i", &flat, "-p", "age", "-f", "--filter", "^[A-Z]+",
        ],
    );
    assert_eq!(ok(&sandbox, &["get", "LINES"]), "one\ntwo\n");
    assert_eq!(ok(&sandbox, &["get", "QUOTED"]), "x y\n");
}

#[test]
fn a_file_of_sops_that_does_not_open_changes_nothing() {
    let sandbox = with_age();
    let before = sandbox.read("fnox.toml");
    let nested = file("sops/nested.yaml");
    let import = ["import", "sops", "-i", &nested, "-p", "age", "-f"];
    let error = fails(&sandbox, 1, &import);
    assert!(error.contains("its data key does not open"), "{error}");
    let text = std::fs::read_to_string(&nested).unwrap();
    sandbox.write(
        "changed.yaml",
        text.replace("region_unencrypted: \"eu", "region_unencrypted: \"us"),
    );
    let import = ["import", "sops", "-i", "changed.yaml", "-p", "age", "-f"];
    let run = sandbox
        .run(import)
        .env("SOPS_AGE_KEY_FILE", file("sops/identity.txt"))
        .finish()
        .exits_with(1);
    assert!(
        run.stderr.contains("authentication code does not fit"),
        "{run}"
    );
    sandbox.assert_no_leak("hunter2-canary", &[&run]);
    sandbox.write("clear.yaml", "A: hunter2-canary\n");
    let error = fails(
        &sandbox,
        1,
        &["import", "sops", "-i", "clear.yaml", "-p", "age", "-f"],
    );
    assert!(error.contains("not encrypted by sops"), "{error}");
    assert_eq!(sandbox.read("fnox.toml"), before);
}

#[test]
fn files_of_dotenvx_open_with_their_private_key() {
    let encrypted = std::fs::read_to_string(file("dotenvx/encrypted.env")).unwrap();
    let keys = std::fs::read_to_string(file("dotenvx/keys.env")).unwrap();
    let sandbox = with_age();
    sandbox.write("app/.env", &encrypted);
    let import = ["import", "dotenvx", "-i", "app/.env", "-p", "age", "-f"];
    let error = fails(&sandbox, 1, &import);
    assert!(
        error.contains("its private key DOTENV_PRIVATE_KEY is not there"),
        "{error}"
    );
    sandbox.write("app/.env.keys", &keys);
    ok(&sandbox, &import);
    let wanted = serde_json::json!({
        "API_KEY": "k-1 with spaces", "DATABASE_URL": "postgres://shop@db/shop?x=1", "MULTI": "line one\nline two\n",
        "EMPTY": "", "UNI": "häßlich € 😀", "DOLLAR": "$HOME `id` \\ x",
    });
    assert_eq!(values(&sandbox), wanted);
    // The key in the environment wins over the file, and does not open what is for another one.
    let run = sandbox
        .run(import)
        .env("DOTENV_PRIVATE_KEY", "11".repeat(32))
        .finish()
        .exits_with(1);
    assert!(run.stderr.contains("`API_KEY` does not open"), "{run}");
    sandbox.write("clear.env", "A=1\n");
    let error = fails(
        &sandbox,
        1,
        &["import", "dotenvx", "-i", "clear.env", "-p", "age", "-f"],
    );
    assert!(error.contains("not encrypted by dotenvx"), "{error}");
}

const SECRETSPEC: &str = r#"
[project]
name = "shop"
revision = "1.0"
extends = ["../shared"]

[profiles.default]
DATABASE_URL = { description = "PostgreSQL", required = true }
REDIS_URL = { description = "Cache", required = false, default = "redis://localhost:6379" }
SENTRY_DSN = { description = "Errors", required = false }
CERTIFICATE = { description = "TLS", as_path = true, providers = ["keyring"] }
GREETING = { description = "Text", default = "hello ${USER}" }

[profiles.production]
REDIS_URL = { default = "redis://cache:6379" }
SENTRY_DSN = { required = true }
"#;

#[test]
fn a_secretspec_becomes_entries_with_the_same_meaning() {
    let sandbox = with_age();
    sandbox.write("secretspec.toml", SECRETSPEC);
    let import = ["import", "secretspec", "-i", "secretspec.toml"];
    let run = sandbox
        .run([&import[..], &["-n"]].concat())
        .finish()
        .succeeds();
    assert_snapshot!(shown(&sandbox, &run), @r#"
    [dry-run] would import 7 secrets into [project]/fnox.toml
      + DATABASE_URL (new)
      + REDIS_URL (new)
      + SENTRY_DSN (new)
      + CERTIFICATE (new)
      + GREETING (new)
      + REDIS_URL of profile production (new)
      + SENTRY_DSN of profile production (new)
    ----
    warning: `extends` is not followed: import the files that it names too
    warning: `providers` of `CERTIFICATE` left out: fnox has no counterpart
    warning: the default of `GREETING` is left out: `${` in it stands for another secret in fnox
    "#);
    ok(&sandbox, &[&import[..], &["-f"]].concat());
    assert_snapshot!(sandbox.filters().and(r"age1[a-z0-9]{58}", "[recipient]").apply(&sandbox.read("fnox.toml")), @r#"
    # kept
    [providers]
    age = { type = "age", recipients = ["[recipient]"] } # kept too

    [secrets]
    DATABASE_URL = { description = "PostgreSQL", if_missing = "error" }
    REDIS_URL = { description = "Cache", default = "redis://localhost:[port]" }
    SENTRY_DSN = { description = "Errors", if_missing = "ignore" }
    CERTIFICATE = { description = "TLS", if_missing = "error", as_file = true }
    GREETING = { description = "Text" }

    [profiles.production.secrets]
    REDIS_URL = { description = "Cache", default = "redis://cache:6379" }
    SENTRY_DSN = { description = "Errors", if_missing = "error" }
    "#);
    let again = json(&ok(&sandbox, &[&import[..], &["-n", "--json"]].concat()));
    let entries = again["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 7);
    assert!(
        entries.iter().all(|entry| entry["change"] == "same"),
        "{again}"
    );
    assert_eq!(
        ok(&sandbox, &["get", "REDIS_URL"]),
        "redis://localhost:6379\n"
    );
    assert_eq!(
        ok(&sandbox, &["get", "REDIS_URL", "-P", "production"]),
        "redis://cache:6379\n"
    );
    sandbox.write("other.toml", "[secrets]\nA = \"hunter2-canary\"\n");
    let error = fails(
        &sandbox,
        1,
        &["import", "secretspec", "-i", "other.toml", "-f"],
    );
    assert!(
        error.contains("there is no `[project]`") && !error.contains("hunter2-canary"),
        "{error}"
    );
    let error = fails(&sandbox, 2, &[&import[..], &["-f", "-p", "age"]].concat());
    assert!(error.contains("this format has none"), "{error}");
}

const TELLER: &str = r#"
providers:
  hashi_1:
    kind: hashicorp
    options:
      address: https://vault.example.com
      token: hunter2-canary
    maps:
      - id: pg
        path: secret/dev/postgres
        keys:
          USER: PG_USER
          PASSWORD: ==
  sm_1:
    kind: aws_secretsmanager
    options: { region: us-east-1 }
    maps:
      - id: api
        path: prod/api
        keys: { key: API_KEY, "odd.key": ODD }
      - id: all
        path: prod/all
  ssm_1:
    kind: ssm
    maps:
      - { id: flags, path: /prod/flags, keys: { level: LOG_LEVEL } }
  local:
    kind: dotenv
    maps:
      - { id: dev, path: dev.env }
  late:
    kind: dotenv
    maps:
      - { id: stage, path: "VAR_{{ get_env(name=\"STAGE\") }}" }
  other:
    kind: etcd
    maps:
      - { id: x, path: /x }
"#;

#[test]
fn a_tellerfile_becomes_providers_and_references() {
    let sandbox = sandbox().with_env("AWS_REGION", "eu-west-1");
    sandbox.write(".teller.yml", TELLER);
    sandbox.write("dev.env", "FROM_FILE='in the file'\nmy-key=2\n");
    let import = ["import", "teller", "-i", ".teller.yml"];
    let run = sandbox
        .run([&import[..], &["-n"]].concat())
        .finish()
        .succeeds();
    assert_snapshot!(shown(&sandbox, &run), @r#"
    [dry-run] would import 4 providers and 6 secrets into [project]/fnox.toml
      + provider hashi_1 (new)
      + PG_USER (new)
      + PASSWORD (new)
      + provider sm_1-api (new)
      + API_KEY (new)
      + provider ssm_1 (new)
      + LOG_LEVEL (new)
      + provider local (new)
      + FROM_FILE (new)
      + MY_KEY (new)
    ----
    warning: `token` of `hashi_1` left out; what opens the store comes from the environment or another secret
    warning: `odd.key` of `sm_1-api` is left out: its name has characters that fnox cannot ask for
    warning: the map `all` of `sm_1` is left out: it takes every key that the store has; name them in `keys`
    warning: the map `stage` of `late` is left out: there is a template in its path
    warning: the map `x` of `other` is left out: fnox has no counterpart of `etcd`
    "#);
    assert!(!Path::new(&sandbox.project().join("fnox.toml")).exists());
    ok(&sandbox, &[&import[..], &["-f"]].concat());
    assert_snapshot!(sandbox.read("fnox.toml"), @r#"
    [providers]
    hashi_1 = { type = "vault", path = "secret/dev", address = "https://vault.example.com" }
    sm_1-api = { type = "aws-sm", region = "us-east-1" }
    ssm_1 = { type = "aws-ps", region = "eu-west-1" }
    local = { type = "plain", file = "dev.env", format = "env" }

    [secrets]
    PG_USER = { provider = "hashi_1", value = "postgres/USER" }
    PASSWORD = { provider = "hashi_1", value = "postgres/PASSWORD" }
    API_KEY = { provider = "sm_1-api", value = "prod/api", json_path = "key" }
    LOG_LEVEL = { provider = "ssm_1", value = "/prod/flags/level" }
    FROM_FILE = { provider = "local", value = "FROM_FILE" }
    MY_KEY = { provider = "local", value = "my-key" }
    "#);
    assert_eq!(ok(&sandbox, &["get", "FROM_FILE"]), "in the file\n");
    assert_eq!(ok(&sandbox, &["get", "MY_KEY"]), "2\n");
    sandbox.assert_no_leak("hunter2-canary", &[&run]);
    sandbox.write(
        "old.yml",
        "project: x\nproviders:\n  dotenv:\n    env_sync:\n      path: ~/x.env\n- broken",
    );
    let error = fails(&sandbox, 1, &["import", "teller", "-i", "old.yml", "-f"]);
    assert!(error.contains("teller export json"), "{error}");
}

const AWS_CONFIG: &str = "
[default]
region = eu-central-1

[profile me]
mfa_serial = arn:aws:iam::111111111111:mfa/me

[profile deploy]
source_profile = me
role_arn = arn:aws:iam::222222222222:role/deploy
duration_seconds = 3600
include_profile = shared
s3 =
  max_queue_size = 1000

[profile shared]
region = us-east-1

[profile corp]
sso_session = corp
sso_account_id = 333333333333
sso_role_name = Developer

[profile chained]
source_profile = corp
role_arn = arn:aws:iam::444444444444:role/chained

[profile round]
source_profile = trip
role_arn = arn:aws:iam::444444444444:role/a
[profile trip]
source_profile = round
role_arn = arn:aws:iam::444444444444:role/b

[profile tool]
credential_process = /opt/tool

[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
";

#[test]
fn profiles_of_aws_vault_become_profiles_with_leases() {
    let sandbox = with_age();
    sandbox.write("config", AWS_CONFIG);
    let import = ["import", "aws-vault", "-i", "config"];
    let run = sandbox
        .run([&import[..], &["-n"]].concat())
        .finish()
        .succeeds();
    assert_snapshot!(shown(&sandbox, &run), @r#"
    [dry-run] would import 5 leases into [project]/fnox.toml
      + lease aws of profile me (new)
      + lease aws of profile deploy (new)
      + lease aws of profile corp (new)
      + lease aws of profile chained (new)
      + lease aws-corp of profile chained (new)
    ----
    warning: `me` has its access key in aws-vault's keyring: store it with `fnox set AWS_ACCESS_KEY_ID -P me` and `fnox set AWS_SECRET_ACCESS_KEY -P me`
    warning: `me` has its access key in aws-vault's keyring: store it with `fnox set AWS_ACCESS_KEY_ID -P deploy` and `fnox set AWS_SECRET_ACCESS_KEY -P deploy`
    warning: the profile `round` is left out: its profiles lead to one another in a circle, or through too many
    warning: the profile `trip` is left out: its profiles lead to one another in a circle, or through too many
    warning: the profile `tool` is left out: `tool` has a `credential_process`; a lease of type `command` can run it
    "#);
    ok(&sandbox, &[&import[..], &["-f"]].concat());
    assert_snapshot!(sandbox.filters().and(r"age1[a-z0-9]{58}", "[recipient]").apply(&sandbox.read("fnox.toml")), @r#"
    # kept
    [providers]
    age = { type = "age", recipients = ["[recipient]"] } # kept too

    [profiles.me.leases]
    aws = { type = "aws-sts", region = "eu-central-1", mfa_serial = "arn:aws:iam::111111111111:mfa/me", mode = "session-token", required = true }

    [profiles.deploy.leases]
    aws = { type = "aws-sts", region = "us-east-1", role_arn = "arn:aws:iam::222222222222:role/deploy", duration = "3600s", required = true }

    [profiles.corp.leases]
    aws = { type = "aws-sso", profile = "corp", required = true }

    [profiles.chained.leases]
    aws = { type = "aws-sts", region = "eu-central-1", role_arn = "arn:aws:iam::444444444444:role/chained", required = true, via = "aws-corp" }
    aws-corp = { type = "aws-sso", profile = "corp", required = true }
    "#);
    let explained = ok(
        &sandbox,
        &["lease", "create", "aws", "--explain", "-P", "deploy"],
    );
    assert!(
        explained.contains("arn:aws:iam::222222222222:role/deploy"),
        "{explained}"
    );
    let filtered = ["--filter", "^deploy$", "-n", "--json"];
    let document = json(&ok(&sandbox, &[&import[..], &filtered].concat()));
    assert_eq!(
        document["entries"],
        serde_json::json!([{ "kind": "lease", "name": "aws", "profile": "deploy", "change": "same" }])
    );
    sandbox.write("empty", "x = 1\n");
    let error = fails(&sandbox, 1, &["import", "aws-vault", "-i", "empty", "-f"]);
    assert!(error.contains("not an AWS configuration file"), "{error}");
}
