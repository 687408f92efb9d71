//! A gateway of a vault's agents, in front of an upstream on loopback.

use std::time::Duration;

use fnox_testkit::stand_in::Upstream;
use fnox_testkit::wait::until;
use fnox_testkit::{Run, Running};
use serde_json::Value;

use crate::support;
use crate::vault_support::Vault;

pub(crate) const VALUE: &str = "the-vaults-own-value";

/// A vault, a gateway and what it reaches.
pub(crate) struct World {
    pub(crate) vault: Vault,
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Option<Running>,
    pub(crate) port: u16,
    /// A port of localhost that a rule reaches, where nobody is.
    pub(crate) vacant: u16,
    /// Of `coder-1`.
    pub(crate) token: String,
}

impl World {
    /// The rule of the vault's policy gets `terms`.
    pub(crate) fn new(terms: &str) -> Self {
        Self::lending_for("10m", terms)
    }

    pub(crate) fn lending_for(ttl: &str, terms: &str) -> Self {
        let policy = format!(
            "[[rule]]\nname = \"api\"\nagent = \"coder-*\"\nsecret = \"api-token\"\nhosts = [\"localhost\"]\n\
             delivery = \"inject\"\nttl = \"{ttl}\"\n{terms}\n"
        );
        let vault = Vault::with_policy(&policy);
        vault.store("api-token", VALUE);
        let upstream = Upstream::start();
        let folder = vault.sandbox.config_folder();
        let authority = upstream.write_authority(&folder);
        let gateway_token = folder.join("gateway.token");
        vault.ok(&[
            "token",
            "create",
            "--agent",
            "gateway",
            "--role",
            "gateway",
            "--output",
            gateway_token.to_str().unwrap(),
        ]);
        let (port, vacant) = (support::free_port(), support::free_port());
        let guest = vault.token_for("coder-guest");
        let text = format!(
            "listen = [\"127.0.0.1:{port}\"]\ntoken_file = \"gateway.token\"\ncertificate_file = \"gateway.pem\"\n\
             allow_private = [\"127.0.0.1:{up}\", \"127.0.0.1:{vacant}\"]\n\
             [[rules]]\nsecret = \"api-token\"\ndomain = \"localhost\"\nport = {up}\nca_file = \"{}\"\nenv = \"API_TOKEN\"\n\
             [[rules]]\nsecret = \"api-token\"\ndomain = \"localhost\"\nport = {vacant}\n\
             [[guests]]\nsocket = \"guest.sock\"\ntoken_file = \"{guest}\"\n",
            authority.display(),
            up = upstream.port()
        );
        vault
            .sandbox
            .write_private(folder.join("gateway.toml"), text);
        let mut world = Self {
            vault,
            upstream,
            gateway: None,
            port,
            vacant,
            token: String::new(),
        };
        world.start();
        world.token = world.token_of("coder-1");
        world
    }

    /// Ends the gateway, and changes its `gateway.toml`.
    pub(crate) fn configure(&mut self, change: impl FnOnce(&str) -> String) {
        let gateway = self.gateway.take().unwrap();
        gateway.signal(rustix::process::Signal::TERM);
        gateway.finish().exits_with(0);
        let path = self.vault.sandbox.config_folder().join("gateway.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let changed = change(&text);
        assert_ne!(changed, text);
        self.vault.sandbox.write_private(&path, changed);
    }

    pub(crate) fn start(&mut self) {
        let address = ("127.0.0.1", self.port);
        self.start_with(|| std::net::TcpStream::connect(address).is_ok());
    }

    /// The same, with another way to see that it has begun.
    pub(crate) fn start_with(&mut self, is_open: impl Fn() -> bool) {
        let certificate = self.vault.sandbox.config_folder().join("gateway.pem");
        let _ = std::fs::remove_file(&certificate);
        let mut running = self.vault.sandbox.run(["gateway", "serve"]).start();
        until("the gateway's door", Duration::from_secs(30), || {
            // The door is open before the certificate is there, and a certificate of an earlier start is of no use.
            let is_written = std::fs::metadata(&certificate).is_ok_and(|file| file.len() > 0);
            is_written && is_open() || !running.is_running()
        });
        let runs = running.is_running();
        assert!(runs, "the gateway did not start: {}", running.finish());
        self.gateway = Some(running);
    }

    pub(crate) fn token_of(&self, agent: &str) -> String {
        let path = self.vault.token_for(agent);
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    }

    /// What the gateway tells a client about itself.
    pub(crate) fn session(&self) -> Value {
        let run = self.curl(&["-fsS", "http://gateway.fnox.invalid/session"]);
        support::json(&run.succeeds().stdout)
    }

    pub(crate) fn placeholder(&self) -> String {
        let session = self.session();
        session["variables"]["API_TOKEN"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn curl(&self, arguments: &[&str]) -> Run {
        self.curl_as(&self.token, arguments).finish()
    }

    pub(crate) fn curl_as(&self, token: &str, arguments: &[&str]) -> fnox_testkit::Invocation {
        let certificate = self.vault.sandbox.config_folder().join("gateway.pem");
        self.vault
            .sandbox
            .run_program("curl", arguments)
            .env("CURL_CA_BUNDLE", certificate)
            .env(
                "HTTPS_PROXY",
                format!("http://agent:{token}@127.0.0.1:{}", self.port),
            )
            .env(
                "http_proxy",
                format!("http://agent:{token}@127.0.0.1:{}", self.port),
            )
            .env("NO_PROXY", "")
            .env("no_proxy", "")
    }

    pub(crate) fn call(&self, placeholder: &str) -> String {
        let header = format!("Authorization: Bearer {placeholder}");
        let run = self.curl(&["-sS", "-i", "-H", &header, &self.upstream.url("/a")]);
        run.succeeds().stdout
    }

    pub(crate) fn lease(&self) -> String {
        let leases = self.vault.json(&["lease", "list"]);
        leases[0]["lease_id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn session_is_there(&self) -> bool {
        let run = self.curl(&["-fsS", "http://gateway.fnox.invalid/session"]);
        run.code == Some(0)
    }
}
