//! `keeper-sm` through the binary: from a one-time token to programs that run with values.

use std::os::unix::fs::PermissionsExt as _;

use fnox_testkit::Sandbox;
use fnox_testkit::stand_in::issuer::Issuer;
use fnox_testkit::stand_in::keeper::Keeper;

use crate::support::{fails, ok, sandbox};

const VALUE: &str = "correct horse battery staple";

const CONFIG: &str = r#"
[providers]
keeper = { type = "keeper-sm", config_file = "ksm.json" }

[secrets]
PASSWORD = { provider = "keeper", value = "Shop/field/password" }
"#;

/// A project with a one-time token, and a tenant with one record.
fn with_token() -> (Issuer<Keeper>, Sandbox, String) {
    let server = Issuer::start(Keeper::new());
    server.change(|keeper| keeper.login("Shop", VALUE));
    let token = format!("{}:{}", server.url(), Keeper::TOKEN);
    let sandbox = sandbox().with_env("KSM_TOKEN", &token);
    sandbox.write("fnox.toml", CONFIG);
    sandbox.write("ksm.json", Keeper::service_config().to_string());
    (server, sandbox, token)
}

#[test]
fn a_one_time_token_is_used_once_and_values_are_read_written_and_run_with() {
    let (server, sandbox, token) = with_token();
    let told = fails(&sandbox, 4, &["provider", "test", "keeper"]);
    assert!(told.contains("is not used yet"), "{told}");
    let get = sandbox.run(["get", "PASSWORD"]).finish().succeeds();
    assert_eq!(get.stdout, format!("{VALUE}\n"), "{get}");
    let file = sandbox.project().join("ksm.json");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let place = "Shop/custom_field/New one";
    let set = sandbox
        .run(["set", "NEW", "--provider", "keeper", "--key-name", place])
        .stdin("another value of the test")
        .finish()
        .succeeds();
    let test = sandbox.run(["provider", "test", "keeper"]);
    let test = test.finish().succeeds();
    let script = "printf '%s %s' \"$PASSWORD\" \"$NEW\"";
    let exec = sandbox.run(["exec", "--no-redact", "--", "sh", "-c", script]);
    let exec = exec.finish().succeeds();
    assert_eq!(exec.stdout, format!("{VALUE} another value of the test"));
    sandbox.assert_no_leak(VALUE, &[&set, &test]);
    sandbox.assert_no_leak("another value of the test", &[&set, &test]);
    for run in [&get, &set, &test, &exec] {
        assert!(!run.stdout.contains(&token) && !run.stderr.contains(Keeper::TOKEN));
    }
    assert_eq!(server.change(|keeper| keeper.devices.len()), 2);
    assert_eq!(server.complaints(), Vec::<String>::new());
}

#[test]
fn the_token_is_not_for_the_program_that_is_run() {
    let (server, sandbox, _) = with_token();
    let script = "test \"$PASSWORD\" && test -z \"${KSM_TOKEN+set}\" && echo good";
    assert_eq!(ok(&sandbox, &["exec", "--", "sh", "-c", script]), "good\n");
    assert_eq!(server.complaints(), Vec::<String>::new());
}

#[test]
fn a_device_that_was_removed_is_told_what_to_do() {
    let (server, sandbox, _) = with_token();
    ok(&sandbox, &["get", "PASSWORD"]);
    server.change(|keeper| keeper.devices.clear());
    let told = fails(&sandbox, 4, &["get", "PASSWORD"]);
    assert!(told.contains("does not know this device"), "{told}");
    assert!(!told.contains(VALUE), "{told}");
}
