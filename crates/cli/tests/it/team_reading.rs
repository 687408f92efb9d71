//! Commands that read values themselves, of a secret that a person has to release: whoever watches them sees the match
//! code, and a signal takes the request back.

use fnox_testkit::wait::until_some;
use fnox_testkit::{Invocation, Running};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support;
use crate::team_http::Client;
use crate::team_process::{Home, LIMIT, Process};
use crate::team_support::match_code;

const VALUE: &str = "npm_canary_4c0d83ae71f9";

/// A server with a secret, and a job that may ask for it.
struct World {
    home: Home,
    server: Process,
}

/// What the log of a job shows.
struct Shown {
    id: String,
    code: String,
}

impl World {
    fn start() -> Self {
        let home = Home::new();
        let server = home.serve();
        let keys = support::json(&support::ok(&home.sandbox, &["age", "keygen", "--json"]));
        let text = |key: &str| keys[key].as_str().unwrap().to_owned();
        let project = format!(
            "[project]\nname = \"my-app\"\nwriters = [\"{}\"]\n\n[secrets]\nNPM_TOKEN = {{}}\n",
            text("writer")
        );
        home.sandbox.write("fnox.toml", project);
        home.sandbox.write_private("admin.token", &home.admin);
        let world = Self { home, server };
        let recipient = text("recipient");
        let words = [
            "secret",
            "set",
            "NPM_TOKEN",
            "--from-stdin",
            "--recipients",
            &recipient,
        ];
        let token = world.home.sandbox.project().join("admin.token");
        world
            .client(&words)
            .env("FNOX_SERVER_TOKEN_FILE", token)
            .stdin(VALUE)
            .finish()
            .succeeds();
        world
    }

    fn client(&self, words: &[&str]) -> Invocation {
        let url = format!("http://{}", self.server.address);
        self.home
            .sandbox
            .run(words)
            .limit(LIMIT)
            .env("FNOX_SERVER_URL", url)
    }

    /// Starts a command of a new job, and waits until it shows what was asked.
    fn asking(&self, words: &[&str]) -> (Running, Shown) {
        let token = self.home.token();
        let mut job = self.client(words).env("FNOX_OIDC_TOKEN", token).start();
        let shown = until_some("a match code", LIMIT, || {
            let said = job.stderr_so_far();
            assert!(job.is_running(), "{words:?}: {said}");
            let (_, rest) = said.split_once("  approval ")?;
            // Half a line is none.
            let (id, _) = rest.split_once('\n')?;
            Some(Shown {
                id: id.trim().to_owned(),
                code: match_code(&said)?,
            })
        });
        (job, shown)
    }

    async fn approval(&self, client: &mut Client, id: &str) -> Value {
        let path = format!("/v1/approvals/{id}");
        client.get(&path, &self.home.admin).await.ok().body
    }
}

#[tokio::test]
async fn an_export_shows_the_match_code_and_is_asked_for_as_what_it_is() {
    let world = World::start();
    let mut client = world.server.client();
    let (job, shown) = world.asking(&["export", "--format", "gha", "NPM_TOKEN"]);
    let asked = world.approval(&mut client, &shown.id).await;
    assert_eq!(asked["command_display"], "fnox export NPM_TOKEN");
    let request = json!({"id": shown.id, "code": shown.code});
    let decided = world.server.decide(&mut client, &request, "approve").await;
    decided.ok();
    let run = job.finish().succeeds();
    assert!(run.stdout.contains(VALUE), "{run}");
    // What is read into a file holds nothing but variables.
    assert!(!run.stdout.contains(&shown.code), "{run}");
}

#[tokio::test]
async fn a_signal_takes_back_what_a_command_that_reads_has_asked() {
    let world = World::start();
    let mut client = world.server.client();
    // A program reads `env`, whose every failure is 1.
    for (words, code) in [
        (&["get", "NPM_TOKEN"][..], 143),
        (&["export"], 143),
        (&["list", "--values"], 143),
        (&["env", "--json"], 1),
    ] {
        let (job, shown) = world.asking(words);
        job.signal(Signal::TERM);
        let run = job.finish().exits_with(code);
        assert!(run.stderr.contains("was taken back"), "{words:?}: {run}");
        assert!(!run.stdout.contains(VALUE), "{words:?}: {run}");
        let asked = world.approval(&mut client, &shown.id).await;
        assert_eq!(asked["status"], "cancelled", "{words:?}");
    }
}
