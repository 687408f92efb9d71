//! A team server that is set up in a folder, for tests of `fnox serve`.

use std::path::PathBuf;
use std::time::Duration;

use fnox_api::client::{ApiClient, ClientOptions};
use fnox_testkit::wait::until_some;
use fnox_testkit::{Invocation, Run, Running, Sandbox};
use rustix::process::Signal;

use crate::support;

/// How long anything here may take before it counts as never.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// What `serve init` made.
#[derive(Debug)]
pub(crate) struct Home {
    pub sandbox: Sandbox,
    /// The first administrator's token.
    pub token: String,
}

impl Home {
    /// Sets a server up in the folder `server` of the project.
    #[track_caller]
    pub(crate) fn new() -> Self {
        let sandbox = support::sandbox();
        let made = support::ok(&sandbox, &["serve", "init", "--dir", "server", "--json"]);
        let token = support::json(&made)["bootstrap_token"]
            .as_str()
            .expect("a token")
            .to_owned();
        Self { sandbox, token }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.sandbox.project().join("server").join(name)
    }

    /// Replaces server.toml. Keys, database and policy stay where they are.
    pub(crate) fn configure(&self, text: &str) {
        self.sandbox.write_private(self.file("server.toml"), text);
    }

    /// `fnox serve … --config server/server.toml`
    pub(crate) fn run(&self, arguments: &[&str]) -> Invocation {
        let config = ["--config", "server/server.toml"];
        self.sandbox
            .run([&["serve"], arguments, &config].concat())
            .limit(LIMIT)
    }

    /// It must succeed; its stdout.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments).finish().succeeds().stdout
    }

    /// The JSON document that it prints.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        support::json(&self.ok(&[arguments, &["--json"]].concat()))
    }

    /// It must end with this code; its stderr.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        self.run(arguments).finish().exits_with(code).stderr
    }

    /// Starts the server on a port of its own.
    #[track_caller]
    pub(crate) fn serve(&self, arguments: &[&str]) -> Server {
        let listen = ["--listen", "127.0.0.1:0"];
        let mut running = self.run(&[&listen, arguments].concat()).start();
        let url = until_some("the server's address", LIMIT, || {
            let said = running.stderr_so_far();
            if let Some((_, rest)) = said.split_once("serving at ") {
                let end = |c: char| c.is_whitespace() || c == '"';
                // Half a line is none.
                return rest.split_once(end).map(|(url, _)| Some(url.to_owned()));
            }
            (!running.is_running()).then_some(None)
        });
        let Some(url) = url else {
            panic!("the server did not start: {}", running.finish());
        };
        Server { running, url }
    }
}

/// A server that runs. It is killed when the test ends.
#[derive(Debug)]
pub(crate) struct Server {
    running: Running,
    pub url: String,
}

impl Server {
    pub(crate) fn id(&self) -> u32 {
        self.running.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// Waits until it has said something.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) {
        until_some(text, LIMIT, || {
            self.running.stderr_so_far().contains(text).then_some(())
        });
    }

    /// A client in the name of whoever has the token.
    pub(crate) fn client(&self, token: &str) -> ApiClient {
        self.trusting(None).with_bearer(token.into())
    }

    /// A client in nobody's name, which trusts one more certificate.
    pub(crate) fn trusting(&self, certificate: Option<PathBuf>) -> ApiClient {
        let options = ClientOptions {
            ca_file: certificate,
            ..ClientOptions::default()
        };
        ApiClient::new(&self.url.replace("127.0.0.1", "localhost"), &options).unwrap()
    }

    /// Ends it as a service manager does.
    #[track_caller]
    pub(crate) fn end(self) -> Run {
        self.running.signal(Signal::TERM);
        self.running.finish().exits_with(0)
    }
}
