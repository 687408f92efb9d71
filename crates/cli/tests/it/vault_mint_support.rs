//! A vault with mints, and an issuer that writes down what is asked of it.

use std::time::Duration;

use fnox_testkit::Sandbox;
use fnox_testkit::wait::until;
use serde_json::Value;

use crate::vault_support::Vault;

/// Lets some agents use some mints.
pub(crate) const POLICY: &str = r#"
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
pub(crate) fn vault(tables: &str) -> Vault {
    vault_with(tables, &[("issuer-key", "root")])
}

/// A vault with these tables in its vault.toml, and with these secrets.
pub(crate) fn vault_with(tables: &str, secrets: &[(&str, &str)]) -> Vault {
    vault_in(crate::support::sandbox(), tables, secrets)
}

/// The same, in a sandbox that is prepared already.
pub(crate) fn vault_in(sandbox: Sandbox, tables: &str, secrets: &[(&str, &str)]) -> Vault {
    let mut vault = Vault::serving_in(sandbox, POLICY, &[]);
    for (name, value) in secrets {
        vault.store(name, *value);
    }
    vault.stop();
    let path = vault.sandbox.config_folder().join("vault.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    vault
        .sandbox
        .write_private(&path, format!("{text}\n{tables}"));
    vault.start();
    vault
}

/// A table of a mint that asks this issuer.
pub(crate) fn mint(name: &str, more: &str) -> String {
    format!("[mint.{name}]\n{}{more}\n", MINT.trim_start())
}

/// What was asked of the issuer.
pub(crate) fn calls(vault: &Vault) -> Vec<String> {
    let path = vault.sandbox.config_folder().join("calls");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// How many of these there were.
pub(crate) fn count(vault: &Vault, word: &str) -> usize {
    calls(vault)
        .iter()
        .filter(|line| line.starts_with(word))
        .count()
}

/// The calls so far are this many of each.
pub(crate) fn eventually(vault: &Vault, created: usize, revoked: usize) {
    until("the calls", Duration::from_secs(30), || {
        (count(vault, "create"), count(vault, "revoke")) == (created, revoked)
    });
}

/// A lease of a token's agent.
#[track_caller]
pub(crate) fn lease(vault: &Vault, token: &str, name: &str, more: &[&str]) -> Value {
    let request = ["lease", "request", "--token-file", token];
    let target = format!("{name}@api.example.com");
    vault.json(&[&request[..], &[&target], more].concat())
}

/// Its id.
pub(crate) fn id(grant: &Value) -> String {
    grant["lease_id"].as_str().unwrap().to_owned()
}

/// What a use of it answers with.
#[track_caller]
pub(crate) fn access(vault: &Vault, token: &str, lease: &str) -> String {
    let arguments = ["lease", "access", lease, "--host", "api.example.com"];
    vault.ok(&[&arguments[..], &["--token-file", token]].concat())
}
