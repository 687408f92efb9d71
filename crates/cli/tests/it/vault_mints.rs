//! The vault lends what mints make: `[mint.NAME]` of vault.toml, and the leases of a project.

use std::time::Duration;

use crate::support;
use crate::vault_mint_support::{POLICY, access, calls, count, eventually, id, lease, mint, vault};
use crate::vault_support::Vault;
use fnox_testkit::wait::until;

#[test]
fn a_lease_has_one_credential_that_ends_with_it() {
    let vault = vault(&mint("m-deploy", "description = 'Deployments'"));
    let token = vault.token_for("coder-1");
    let listed = vault.json(&["secret", "list"]);
    let listed = listed.as_array().unwrap();
    let deploy = listed.iter().find(|one| one["name"] == "m-deploy").unwrap();
    assert_eq!(deploy["tags"]["mint"], "command");
    assert_eq!(deploy["description"], "Deployments");
    let row = vault.ok(&["secret", "list"]);
    let row = row
        .lines()
        .find(|line| line.starts_with("m-deploy"))
        .unwrap();
    assert!(
        row.contains("made by command") && row.contains("Deployments"),
        "{row}"
    );
    let details = vault.ok(&["secret", "get-metadata", "m-deploy"]);
    assert!(details.contains("a mint of type command"), "{details}");

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
        (
            "[mint.x]\ntype = 'gitlab'\nproject = '1'\nscopes = ['api']\nmasters = { GITHUB_TOKEN = 'x' }",
            "it reads GITLAB_TOKEN",
        ),
        (
            "[mint.x]\ntype = 'aws-sts'\nregion = 'r'\nrole_arn = 'arn:aws:iam::123456789012:role/x'\nvia = 'y'",
            "names `y`",
        ),
        (
            "[mint.x]\ntype = 'aws-sts'\nregion = 'r'\nrole_arn = 'arn:aws:iam::123456789012:role/x'\nvia = 'x'",
            "x → x",
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
