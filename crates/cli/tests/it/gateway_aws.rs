//! `fnox gateway serve` with a mint of the vault: AWS tools sign with a placeholder, and their requests are signed anew with a
//! session that only the gateway holds.

use std::time::Duration;

use fnox_testkit::stand_in::Sts;
use fnox_testkit::stand_in::sts::Account;
use fnox_testkit::wait::until;
use fnox_testkit::{Running, services};
use serde_json::Value;

use crate::support;
use crate::vault_support::Vault;

/// A vault whose role only the gateway uses, and the gateway.
struct World {
    sts: Sts,
    vault: Vault,
    _gateway: Running,
    token: String,
    port: u16,
}

impl World {
    fn new() -> Self {
        let sts = Sts::start();
        let keys = sts.change(|account| account.user("alice").clone());
        let place = sts
            .url()
            .trim_start_matches("http://")
            .trim_end_matches('/');
        let (host, port) = place.split_once(':').unwrap();
        let mut vault = Vault::with_policy(&format!(
            "[[rule]]\nname = \"aws\"\nagent = \"coder-*\"\nsecret = \"m-aws\"\nhosts = [\"{place}\"]\n\
             delivery = \"inject\"\nttl = \"30m\"\nmax_uses = 20\n"
        ));
        vault.store("alice-id", keys.id.as_str());
        vault.store("alice-key", keys.secret.as_str());
        vault.stop();
        let folder = vault.sandbox.config_folder();
        let settings = std::fs::read_to_string(folder.join("vault.toml")).unwrap();
        let mint = format!(
            "[mint.m-aws]\ntype = \"aws-sts\"\nregion = \"eu-central-1\"\nendpoint = \"{}\"\nrole_arn = \"{}\"\n\
             duration = \"1h\"\n\
             masters = {{ AWS_ACCESS_KEY_ID = \"alice-id\", AWS_SECRET_ACCESS_KEY = \"alice-key\" }}\n",
            sts.url(),
            Account::DEV_ROLE
        );
        let settings = format!("{settings}\n{mint}");
        vault
            .sandbox
            .write_private(folder.join("vault.toml"), settings);
        vault.start();
        let gateway_token = folder.join("gateway.token");
        let path = gateway_token.to_str().unwrap();
        let of = ["--agent", "gateway", "--role", "gateway", "--output", path];
        vault.ok(&[&["token", "create"], &of[..]].concat());
        let own = support::free_port();
        let text = format!(
            "listen = [\"127.0.0.1:{own}\"]\ntoken_file = \"gateway.token\"\nallow_private = [\"{place}\"]\n\
             [[rules]]\nsecret = \"m-aws\"\ndomain = \"{host}\"\nport = {port}\ninject = \"aws-sigv4:sts\"\n"
        );
        vault
            .sandbox
            .write_private(folder.join("gateway.toml"), text);
        let mut gateway = vault.sandbox.run(["gateway", "serve"]).start();
        until("the gateway's port", Duration::from_secs(30), || {
            std::net::TcpStream::connect(("127.0.0.1", own)).is_ok() || !gateway.is_running()
        });
        let token = std::fs::read_to_string(vault.token_for("coder-1")).unwrap();
        Self {
            sts,
            vault,
            _gateway: gateway,
            token: token.trim().to_owned(),
            port: own,
        }
    }

    fn proxy(&self) -> String {
        format!("http://agent:{}@127.0.0.1:{}", self.token, self.port)
    }

    /// The variables that the agent's programs get.
    fn variables(&self) -> Vec<(String, String)> {
        let session = "http://gateway.fnox.invalid/session";
        let run = self.vault.sandbox.run_program("curl", ["-fsS", session]);
        let run = run
            .env("http_proxy", self.proxy())
            .env("NO_PROXY", "")
            .env("no_proxy", "");
        let session = support::json(&run.finish().succeeds().stdout);
        let variables = session["variables"].as_object().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        variables
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    }
}

#[test]
#[ignore = "needs the AWS CLI: ./scripts/test"]
fn the_aws_cli_is_the_role_by_a_session_of_the_gateway() {
    let world = World::new();
    let variables = world.variables();
    let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
    let arguments = [
        "sts",
        "get-caller-identity",
        "--endpoint-url",
        world.sts.url(),
        "--output",
        "text",
        "--region",
        "eu-central-1",
    ];
    let mut run = world
        .vault
        .sandbox
        .run_program(services::aws_cli(), arguments);
    for (name, value) in &variables {
        run = run.env(name, value);
    }
    let run = run
        .env("HTTP_PROXY", world.proxy())
        .env("http_proxy", world.proxy())
        .env("NO_PROXY", "")
        .env("no_proxy", "")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let run = run.finish().succeeds();
    assert!(run.stdout.contains("assumed-role/"), "{}", run.stdout);
    let issued = world
        .sts
        .change(|account| account.issued().next().unwrap().clone());
    assert!(!variables.iter().any(|(_, value)| *value == issued.id));
    assert_eq!(world.sts.count("AssumeRole"), 1);
}
