//! A vault lends AWS sessions: "this role, for a quarter of an hour".

use fnox_testkit::services::{self, Moto};
use fnox_testkit::stand_in::Sts;
use fnox_testkit::stand_in::sts::Account;

use crate::support::json;
use crate::vault_mint_support::{access, id, lease, vault_with};
use crate::vault_support::Vault;

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
    let vault = vault_with(
        &table,
        &[("alice-id", &keys.id), ("alice-key", &keys.secret)],
    );
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

/// A mint of a role, with the secrets that are its masters.
fn role(name: &str, endpoint: &str, arn: &str, more: &str) -> String {
    format!(
        "[mint.{name}]\ntype = \"aws-sts\"\nregion = \"eu-central-1\"\nendpoint = \"{endpoint}\"\n\
         role_arn = \"{arn}\"\nduration = \"1h\"\n{more}\n"
    )
}

fn masters(of: &str) -> String {
    format!("masters = {{ AWS_ACCESS_KEY_ID = \"{of}-id\", AWS_SECRET_ACCESS_KEY = \"{of}-key\" }}")
}

fn whose(sts: &Sts, vault: &Vault, token: &str, name: &str) -> String {
    let lease = id(&lease(vault, token, name, &[]));
    let session = json(&access(vault, token, &lease));
    sts.change(|account| {
        let key = account
            .issued()
            .find(|key| session["AWS_ACCESS_KEY_ID"] == key.id.as_str());
        key.unwrap().principal.arn.clone()
    })
}

#[test]
fn a_mint_that_others_go_via_is_their_step_and_is_not_lent() {
    let sts = Sts::start();
    let keys = sts.change(|account| account.user("alice").clone());
    let tables = [
        role("m-step", sts.url(), Account::DEV_ROLE, &masters("alice")),
        role("m-ops", sts.url(), Account::OPS_ROLE, "via = \"m-step\""),
    ];
    let vault = vault_with(
        &tables.concat(),
        &[("alice-id", &keys.id), ("alice-key", &keys.secret)],
    );
    let token = vault.token_for("coder-1");
    let arn = whose(&sts, &vault, &token, "m-ops");
    assert!(arn.contains(":assumed-role/ops-role/"), "{arn}");
    assert_eq!(sts.count("AssumeRole"), 2);
    whose(&sts, &vault, &token, "m-ops");
    assert_eq!(
        sts.count("AssumeRole"),
        3,
        "the step is good for the second one too"
    );
    let request = [
        "lease",
        "request",
        "--token-file",
        &token,
        "m-step@api.example.com",
    ];
    vault.fails(5, &request);
    let listed = vault.json(&["secret", "list"]).to_string();
    assert!(
        listed.contains("m-ops") && !listed.contains("m-step"),
        "{listed}"
    );
}

#[test]
fn each_mint_has_its_own_masters() {
    let sts = Sts::start();
    let [alice, bob] =
        ["alice", "bob"].map(|name| sts.change(|account| account.user(name).clone()));
    let tables = [
        role("m-one", sts.url(), Account::DEV_ROLE, &masters("alice")),
        role("m-two", sts.url(), Account::DEV_ROLE, &masters("bob")),
    ];
    let secrets = [
        ("alice-id", alice.id.as_str()),
        ("alice-key", &alice.secret),
        ("bob-id", &bob.id),
        ("bob-key", &bob.secret),
    ];
    let vault = vault_with(&tables.concat(), &secrets);
    let token = vault.token_for("coder-1");
    for (name, key) in [("m-one", &alice), ("m-two", &bob)] {
        whose(&sts, &vault, &token, name);
        let calls = sts.calls();
        let last = calls
            .iter()
            .rfind(|call| call.action == "AssumeRole")
            .unwrap();
        assert_eq!(
            last.access_key_id.as_deref(),
            Some(key.id.as_str()),
            "{name}"
        );
    }
}

/// Says who it is, and all that it finds in its environment.
const SCRIPT: &str = "
import boto3, os
for name, value in os.environ.items():
    print(name + '=' + value)
print('ARN ' + boto3.client('sts').get_caller_identity()['Arn'])
";

#[test]
#[ignore = "needs moto"]
fn an_agents_boto3_is_the_role_under_the_name_of_the_lease() {
    let moto: Moto = services::moto();
    let arn = "arn:aws:iam::123456789012:role/dev-role";
    let table = role("m-aws", &moto.url, arn, &masters("deployer"));
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let secrets = [
        ("deployer-id", "AKIAIOSFODNN7EXAMPLE"),
        ("deployer-key", secret),
    ];
    let vault = vault_with(&table, &secrets);
    let token = vault.token_for("coder-1");
    let python = services::boto3_python();
    let run = vault
        .run(&[
            "exec",
            "--token-file",
            &token,
            "--secret",
            "m-aws@api.example.com=env:",
            "--",
            python.to_str().unwrap(),
            "-c",
            SCRIPT,
        ])
        .envs(moto.client_variables())
        .finish()
        .succeeds();
    let lent = vault.json(&["lease", "list", "--all"]);
    let lent = lent[0]["lease_id"].as_str().unwrap();
    let is = format!("ARN arn:aws:sts::123456789012:assumed-role/dev-role/fnox-vault-{lent}");
    assert!(run.stdout.lines().any(|line| line == is), "{run}");
    assert!(
        !run.stdout.contains(secret) && !run.stdout.contains("AKIAIOSFODNN7EXAMPLE"),
        "{run}"
    );
}
