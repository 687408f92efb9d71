//! The vault lends what mints make: `[mint.NAME]` of vault.toml, and the leases of a project.

use std::time::Duration;

use fnox_testkit::stand_in::Sts;
use fnox_testkit::stand_in::sts::Account;
use fnox_testkit::wait::until;
use serde_json::Value;

use crate::support;
use crate::vault_support::Vault;

const POLICY: &str = r#"
[[rule]]
name = "minted"
agent = "coder-*"
secret = "m-*"
hosts = ["api.example.com"]
ttl = "30m"
max_ttl = "30m"
max_uses = 20
renewable = true
"#;

/// Writes what was asked of it beside itself, and shows what it knows of its master.
const MINT: &str = r#"
type = "command"
masters = { ISSUER_KEY = "issuer-key" }
consumes = ["ISSUER_KEY"]
create_command = '''
echo "create $FNOX_LEASE_ID $FNOX_LEASE_LABEL $FNOX_LEASE_DURATION" >> calls
printf '{"credentials":{"TOKEN":"made-with-%s-%s"},"lease_id":"%s","expires_at":"2099-01-01T00:00:00Z"}' \
  "$ISSUER_KEY" "$(grep -c create calls)" "$FNOX_LEASE_ID"
'''
revoke_command = 'echo "revoke $FNOX_LEASE_ID" >> calls'
"#;

/// A vault with these tables in its vault.toml, and with the master.
fn vault(tables: &str) -> Vault {
    let mut vault = Vault::with_policy(POLICY);
    vault.store("issuer-key", "root");
    vault.stop();
    let path = vault.sandbox.config_folder().join("vault.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    vault
        .sandbox
        .write_private(&path, format!("{text}\n{tables}"));
    vault.start();
    vault
}

fn mint(name: &str, more: &str) -> String {
    format!("[mint.{name}]\n{}{more}\n", MINT.trim_start())
}

fn calls(vault: &Vault) -> Vec<String> {
    let path = vault.sandbox.config_folder().join("calls");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn count(vault: &Vault, word: &str) -> usize {
    calls(vault)
        .iter()
        .filter(|line| line.starts_with(word))
        .count()
}

/// The calls so far are this many of each.
fn eventually(vault: &Vault, created: usize, revoked: usize) {
    until("the calls", Duration::from_secs(30), || {
        (count(vault, "create"), count(vault, "revoke")) == (created, revoked)
    });
}

/// A lease of a token's agent.
#[track_caller]
fn lease(vault: &Vault, token: &str, name: &str, more: &[&str]) -> Value {
    let request = ["lease", "request", "--token-file", token];
    let target = format!("{name}@api.example.com");
    vault.json(&[&request[..], &[&target], more].concat())
}

fn id(grant: &Value) -> String {
    grant["lease_id"].as_str().unwrap().to_owned()
}

#[track_caller]
fn access(vault: &Vault, token: &str, lease: &str) -> String {
    let arguments = ["lease", "access", lease, "--host", "api.example.com"];
    vault.ok(&[&arguments[..], &["--token-file", token]].concat())
}

#[test]
fn a_lease_has_one_credential_that_ends_with_it() {
    let vault = vault(&mint("m-deploy", "description = 'Deployments'"));
    let token = vault.token_for("coder-1");
    let listed = vault.json(&["secret", "list"]);
    let listed = listed.as_array().unwrap();
    let deploy = listed.iter().find(|one| one["name"] == "m-deploy").unwrap();
    assert_eq!(deploy["tags"]["mint"], "command");
    assert_eq!(deploy["description"], "Deployments");

    let grant = lease(&vault, &token, "m-deploy", &["--ttl", "10m"]);
    assert_eq!(count(&vault, "create"), 0, "before it is used");
    let lease = id(&grant);
    assert_eq!(access(&vault, &token, &lease), "made-with-root-1");
    assert_eq!(access(&vault, &token, &lease), "made-with-root-1");
    let call = calls(&vault).remove(0);
    let words: Vec<&str> = call.split(' ').collect();
    assert_eq!(words[2], format!("fnox-vault-{lease}"), "{call}");
    let life: u64 = words[3].parse().unwrap();
    assert!((540..=600).contains(&life), "cut to the lease's: {call}");

    vault.ok(&["lease", "revoke", &lease, "--token-file", &token]);
    eventually(&vault, 1, 1);
    let issued = words[1];
    assert_eq!(calls(&vault)[1], format!("revoke {issued}"));
    joined(&vault, &lease, issued);
}

/// The audit log has both ids on the records of issue and end.
fn joined(vault: &Vault, lease: &str, credential: &str) {
    let export = || vault.ok(&["audit", "export"]);
    until("the record of the end", Duration::from_secs(30), || {
        export().contains("credential_withdrawn")
    });
    for event in ["credential_issued", "credential_withdrawn"] {
        let text = export();
        let line = text.lines().find(|line| line.contains(event)).unwrap();
        assert!(line.contains(lease) && line.contains(credential), "{line}");
        assert!(!text.contains("made-with-root"), "{line}");
    }
    vault.ok(&["audit", "verify"]);
}

#[test]
fn each_operation_can_have_its_own() {
    let vault = vault(&mint("m-each", "per_operation = true"));
    let token = vault.token_for("coder-1");
    let lease = id(&lease(&vault, &token, "m-each", &[]));
    let values: Vec<String> = (0..3).map(|_| access(&vault, &token, &lease)).collect();
    assert_eq!(
        values,
        ["made-with-root-1", "made-with-root-2", "made-with-root-3"]
    );
    vault.ok(&["lease", "revoke", &lease]);
    eventually(&vault, 3, 3);
}

#[test]
fn the_same_rules_judge_a_mint_and_a_secret() {
    let vault = vault(&[mint("m-deploy", ""), mint("other", "")].concat());
    let token = vault.token_for("coder-1");
    let stranger = vault.token_for("somebody");
    for (token, target) in [
        (&stranger, "m-deploy@api.example.com"),
        (&token, "m-deploy@evil.example"),
        (&token, "other@api.example.com"),
        // Who may use what is made from a master may not have the master.
        (&token, "issuer-key@api.example.com"),
    ] {
        let request = ["lease", "request", "--token-file", token, target];
        vault.fails(7, &request);
    }
    assert_eq!(calls(&vault), [""; 0]);
}

#[test]
fn a_killed_vault_ends_what_it_left_behind() {
    let mut vault = vault(&mint("m-deploy", ""));
    let token = vault.token_for("coder-1");
    let lease = id(&lease(&vault, &token, "m-deploy", &[]));
    access(&vault, &token, &lease);
    vault.kill();
    assert_eq!(count(&vault, "revoke"), 0);
    vault.start();
    eventually(&vault, 1, 1);
    // The lease is good still, and has a credential of its own again.
    assert_eq!(access(&vault, &token, &lease), "made-with-root-2");
    vault.stop();
    assert_eq!(count(&vault, "revoke"), 2, "a vault that ends ends them");
}

#[test]
fn a_failing_issuer_spends_no_use_and_tells_the_agent_no_details() {
    let text =
        mint("m-deploy", "").replace("echo \"create", "cat broken >&2 && exit 3; echo \"create");
    let vault = vault(&text);
    let broken = vault.sandbox.config_folder().join("broken");
    std::fs::write(&broken, "the inner details\n").unwrap();
    let token = vault.token_for("coder-1");
    let lease = id(&lease(&vault, &token, "m-deploy", &["--uses", "1"]));
    let arguments = ["lease", "access", &lease, "--host", "api.example.com"];
    let said = vault.fails(6, &[&arguments[..], &["--token-file", &token]].concat());
    assert!(
        said.contains("m-deploy") && !said.contains("inner"),
        "{said}"
    );
    std::fs::remove_file(broken).unwrap();
    assert_eq!(access(&vault, &token, &lease), "made-with-root-1");
}

#[test]
fn a_missing_master_is_named_in_the_log_alone() {
    let text = mint("m-deploy", "").replace("issuer-key", "gone-key");
    let mut vault = vault(&text);
    let token = vault.token_for("coder-1");
    let lease = id(&lease(&vault, &token, "m-deploy", &[]));
    let arguments = ["lease", "access", &lease, "--host", "api.example.com"];
    let said = vault
        .run(&[&arguments[..], &["--token-file", &token]].concat())
        .finish();
    assert_ne!(said.code, Some(0), "{said}");
    assert!(!said.stderr.contains("gone-key"), "{said}");
    assert!(vault.ok(&["audit", "export"]).contains("gone-key"));
    vault.stop();
}

#[test]
fn programs_get_all_variables_of_an_aws_session() {
    let sts = Sts::start();
    let keys = sts.change(|account| account.user("alice").clone());
    let table = format!(
        "[mint.m-aws]\ntype = \"aws-sts\"\nregion = \"eu-central-1\"\nendpoint = \"{}\"\nrole_arn = \"{}\"\n\
         duration = \"1h\"\n\
         masters = {{ AWS_ACCESS_KEY_ID = \"alice-id\", AWS_SECRET_ACCESS_KEY = \"alice-key\" }}\n",
        sts.url(),
        Account::DEV_ROLE
    );
    let vault = vault(&table);
    vault.store("alice-id", keys.id.as_str());
    vault.store("alice-key", keys.secret.as_str());
    let token = vault.token_for("coder-1");
    let run = vault
        .run(&[
            "exec",
            "--token-file",
            &token,
            "--secret",
            "m-aws@api.example.com=env:",
            "--",
            "sh",
            "-c",
            "echo $AWS_ACCESS_KEY_ID; test -n \"$AWS_SESSION_TOKEN\" && env",
        ])
        .finish()
        .succeeds();
    let issued = sts.change(|account| account.issued().next().unwrap().clone());
    assert_eq!(run.stdout.lines().next(), Some(issued.id.as_str()));
    assert!(!run.stdout.contains(&keys.id) && !run.stdout.contains(&keys.secret));
    assert_eq!(sts.count("AssumeRole"), 1);
    let call = sts
        .calls()
        .into_iter()
        .find(|call| call.action == "AssumeRole");
    let seconds = call
        .unwrap()
        .parameter("DurationSeconds")
        .map(str::to_owned);
    assert_eq!(seconds.as_deref(), Some("1800"), "the lease's half an hour");
}

#[test]
fn a_projects_leases_are_lent_with_the_projects_masters() {
    let sandbox = support::sandbox();
    sandbox.write(
        "fnox.toml",
        "[providers]\nplain = { type = \"plain\" }\n\
         [secrets]\nISSUER_KEY = { provider = \"plain\", value = \"of-the-project\", env = false }\n\
         [leases.m-deploy]\ntype = \"command\"\nconsumes = [\"ISSUER_KEY\"]\n\
         create_command = '''printf '{\"credentials\":{\"TOKEN\":\"made-with-%s\"}}' \"$ISSUER_KEY\"'''\n",
    );
    let vault = Vault::serving_in(sandbox, POLICY, &["--from-project"]);
    let token = vault.token_for("coder-1");
    let lease = id(&lease(&vault, &token, "m-deploy", &[]));
    assert_eq!(access(&vault, &token, &lease), "made-with-of-the-project");
    // A master that goes to no program goes to no agent either.
    let names = vault.json(&["secret", "list"]).to_string();
    assert!(
        names.contains("m-deploy") && !names.contains("ISSUER_KEY"),
        "{names}"
    );
}

#[test]
fn a_wrong_table_is_shown_with_its_line() {
    let sandbox = support::sandbox();
    support::ok(&sandbox, &["vault", "init"]);
    let path = sandbox.config_folder().join("vault.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    for (table, wanted) in [
        ("[mint.x]\ntype = 'comand'", "comand"),
        ("[mint.x]\ntype = 'aws-sts'\nregion = 'r'\nrol = 'x'", "rol"),
        (
            "[mint.x]\ntype = 'aws-sts'\nregion = 'r'\nrole_arn = 'arn:aws:iam::123456789012:role/x'\nduration = '1m'",
            "15m",
        ),
        (
            "[mint.x]\ntype = 'command'\ncreate_command = 'x'\ndeliver = ['env']",
            "hands out values",
        ),
    ] {
        sandbox.write_private(&path, format!("{good}\n{table}\n"));
        let run = sandbox.run(["vault", "serve"]).finish().exits_with(3);
        assert!(run.stderr.contains(wanted), "{table}: {run}");
        assert!(run.stderr.contains("vault.toml:"), "{run}");
    }
}

#[test]
fn twenty_uses_at_once_make_one_credential() {
    let vault = vault(&mint("m-deploy", ""));
    let token = vault.token_for("coder-1");
    let lease = id(&lease(&vault, &token, "m-deploy", &[]));
    let values: Vec<String> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| access(&vault, &token, &lease)))
            .collect();
        started
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(values, vec!["made-with-root-1".to_owned(); 20]);
    assert_eq!(count(&vault, "create"), 1);
}
