//! What becomes of credentials when a vault is killed, or when an issuer does not withdraw them.

use std::time::Duration;

use fnox_testkit::wait::until;

use crate::support;
use crate::vault_mint_support::{POLICY, access, calls, count, eventually, id, lease, mint, vault};
use crate::vault_support::Vault;

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

/// The issuer has made it, and the vault does not know yet.
#[test]
fn a_vault_that_is_killed_before_the_issuers_answer_ends_what_was_made() {
    let text = mint("m-deploy", "").replace(
        ">> calls\n",
        ">> calls\nwhile test -e held; do sleep 0.05; done\n",
    );
    let mut vault = vault(&text);
    let held = vault.sandbox.config_folder().join("held");
    std::fs::write(&held, "").unwrap();
    let token = vault.token_for("coder-1");
    let lease = id(&lease(&vault, &token, "m-deploy", &[]));
    let arguments = ["lease", "access", &lease, "--host", "api.example.com"];
    let asking = vault.run(&[&arguments[..], &["--token-file", &token]].concat());
    let asking = asking.start();
    until("the issuer is asked", Duration::from_secs(30), || {
        count(&vault, "create") == 1
    });
    vault.kill();
    let asked = asking.finish();
    assert!(asked.code != Some(0) && asked.stdout.is_empty(), "{asked}");
    vault.start();
    eventually(&vault, 1, 1);
    let said = calls(&vault);
    let made = said[0].split(' ').nth(1).unwrap();
    assert_eq!(said[1], format!("revoke {made}"), "by the id of the intent");
    std::fs::remove_file(held).unwrap();
    let audit = vault.ok(&["audit", "export"]);
    let end = audit
        .lines()
        .find(|line| line.contains("credential_withdrawn"));
    assert!(
        end.is_some_and(|line| line.contains(&lease) && line.contains(made)),
        "{audit}"
    );
    assert_eq!(access(&vault, &token, &lease), "made-with-root-2");
}

#[test]
fn what_an_issuer_does_not_withdraw_is_told_and_tried_again() {
    let text = mint("m-deploy", "").replace(
        "'echo \"revoke",
        "'cat refuses >&2 && exit 1; echo \"revoke",
    );
    let mut vault = vault(&text);
    let refuses = vault.sandbox.config_folder().join("refuses");
    std::fs::write(&refuses, "not today\n").unwrap();
    let token = vault.token_for("coder-1");
    let lease = id(&lease(&vault, &token, "m-deploy", &[]));
    access(&vault, &token, &lease);
    vault.ok(&["lease", "revoke", &lease]);
    let problems = || vault.json(&["status"])["health"]["details"]["problems"].to_string();
    until("the trouble", Duration::from_secs(30), || {
        problems().contains("1 credential")
    });
    let audit = vault.ok(&["audit", "export"]);
    let failed = audit
        .lines()
        .find(|line| line.contains("credential_withdrawn"));
    assert!(
        failed.is_some_and(|line| line.contains("not today")),
        "{audit}"
    );
    std::fs::remove_file(refuses).unwrap();
    vault.stop();
    vault.start();
    eventually(&vault, 1, 1);
    assert_eq!(
        vault.json(&["status"])["health"]["details"]["problems"].to_string(),
        "[]"
    );
}

/// Else one would end what the other has lent.
#[test]
fn two_vaults_do_not_lend_from_the_same_mints() {
    let sandbox = support::sandbox();
    let project = "[leases.m-deploy]\ntype = \"command\"\ncreate_command = \"true\"\n";
    sandbox.write("fnox.toml", project);
    let mut vault = Vault::serving_in(sandbox, POLICY, &["--from-project"]);
    let second = [
        "vault",
        "serve",
        "--from-project",
        "--socket",
        "second.sock",
        "--store",
        "sqlite:second.db",
    ];
    let run = vault.sandbox.run(second).finish().exits_with(6);
    assert!(run.stderr.contains("another vault lends"), "{run}");
    vault.kill();
    vault.start();
}
