//! A vault whose key is in the desktop's keychain, with a real gnome-keyring.

use fnox_testkit::services::Session;

use crate::support;
use crate::vault_support::{GITHUB, Vault};

#[test]
#[ignore = "needs gnome-keyring"]
fn the_keychain_keeps_the_vaults_key_through_its_changes() {
    let keyring = Session::with_keyring();
    let mut sandbox = support::sandbox().with_env("FNOX_VAULT_KEY", "keychain:fnox-test/vault");
    for (name, value) in keyring.variables() {
        sandbox = sandbox.with_env(name, value);
    }
    let mut vault = Vault::serving_in(sandbox, GITHUB, &[]);
    vault.store("github-token", "hunter2");
    vault.ok(&["key", "rotate"]);
    vault.ok(&["key", "rotate", "--source"]);
    vault.stop();
    vault.start();
    let exec = [
        "exec",
        "--agent",
        "coder-1",
        "--secret",
        "github-token@github.com=T",
        "--",
        "sh",
        "-c",
        "echo $T",
    ];
    assert_eq!(vault.ok(&exec), "hunter2\n");
    assert!(!vault.sandbox.config_folder().join("vault.key").exists());
    vault.stop();
    // With the keyring gone, nothing opens.
    drop(keyring);
    vault.run(&["serve"]).finish().exits_with(4);
}
