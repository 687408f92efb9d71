//! A team server that lies: it swaps values, hands out old ones, puts its own in their place, or holds them back. The
//! real server, whose database somebody edits behind its back; the client must refuse and say what to do.

use std::process::Command;

use fnox_testkit::services::program;
use fnox_testkit::{Invocation, Run, Sandbox};
use rusqlite::{Connection, params};
use serde_json::Value;
use sha2::Digest as _;

use crate::support;
use crate::team_process::{Home, LIMIT, Process};

const OLD: &str = "the-first-value-of-a";
const NEW: &str = "the-second-value-of-a";
const OTHER: &str = "the-value-of-b";
const FOREIGN: &str = "a-value-of-somebody-else";

/// A server, a writer, and the keys of the reader.
struct World {
    home: Home,
    server: Process,
    /// An identity, as `fnox age keygen` writes it.
    identity: String,
    recipient: String,
    writer: String,
}

/// An age file as the server has it.
#[derive(Clone)]
struct Stored {
    version: u64,
    ciphertext: Vec<u8>,
}

impl World {
    fn start() -> Self {
        let home = Home::new();
        let server = home.serve();
        let keys = keygen(&home.sandbox);
        let text = |key: &str| keys[key].as_str().unwrap().to_owned();
        let identity = home
            .sandbox
            .read(home.sandbox.config_folder().join("age.txt"));
        let world = Self {
            recipient: text("recipient"),
            writer: text("writer"),
            identity,
            home,
            server,
        };
        project(&world.home.sandbox, &world.writer, "");
        world.set(&world.home.sandbox, "FREE_A", OLD);
        world.set(&world.home.sandbox, "FREE_A", NEW);
        world.set(&world.home.sandbox, "FREE_B", OTHER);
        world
    }

    /// Stores a value in the name of the administrator, signed with the writer's key of a sandbox.
    fn set(&self, sandbox: &Sandbox, key: &str, value: &str) {
        sandbox.write_private("admin.token", &self.home.admin);
        let words = [
            "secret",
            "set",
            key,
            "--from-stdin",
            "--recipients",
            &self.recipient,
        ];
        self.reaching(sandbox.run(words))
            .env(
                "FNOX_SERVER_TOKEN_FILE",
                sandbox.project().join("admin.token"),
            )
            .stdin(value)
            .finish()
            .succeeds();
    }

    fn reaching(&self, invocation: Invocation) -> Invocation {
        invocation.env("FNOX_SERVER_URL", format!("http://{}", self.server.address))
    }

    /// A machine that has the identity, and has seen nothing.
    fn fresh_job(&self, more: &str) -> Sandbox {
        let sandbox = support::sandbox();
        sandbox.write_private(sandbox.config_folder().join("age.txt"), &self.identity);
        project(&sandbox, &self.writer, more);
        sandbox
    }

    /// Starts a program with both secrets.
    fn run(&self, job: &Sandbox) -> Run {
        let words = ["run", "--", "sh", "-c", "echo started $FREE_A $FREE_B"];
        self.reaching(job.run(words))
            .env("FNOX_OIDC_TOKEN", self.home.token())
            .finish()
    }

    /// Nothing is started, nothing of a value is shown, and the person is told what is wrong and what to do.
    #[track_caller]
    fn refuses(&self, job: &Sandbox, code: i32, words: &[&str]) {
        let run = self.run(job).exits_with(code);
        assert!(!run.stdout.contains("started"), "{run}");
        for value in [OLD, NEW, OTHER, FOREIGN] {
            let masked = run.stdout.replace(&format!("::add-mask::{value}"), "");
            assert!(!masked.contains(value), "{run}");
            assert!(!run.stderr.contains(value), "{run}");
        }
        for word in words.iter().chain(&["help"]) {
            assert!(run.stderr.contains(word), "{word}: {run}");
        }
    }

    #[track_caller]
    fn gives(&self, job: &Sandbox, value: &str) {
        let run = self.run(job).succeeds();
        let line = format!("started {value} {OTHER}");
        assert!(run.stdout.contains(&line), "{run}");
    }

    fn database(&self) -> Connection {
        let database = Connection::open(self.home.database()).unwrap();
        database.busy_timeout(LIMIT).unwrap();
        database
    }

    fn stored(&self, key: &str, version: u64) -> Stored {
        let ciphertext = self
            .database()
            .query_row(
                "SELECT ciphertext FROM secret_versions WHERE key = ? AND version = ?",
                params![key, i64::try_from(version).unwrap()],
                |row| row.get(0),
            )
            .unwrap();
        Stored {
            version,
            ciphertext,
        }
    }

    /// Makes an age file the newest version of a key.
    fn plant(&self, key: &str, planted: &Stored) {
        let database = self.database();
        let version = i64::try_from(planted.version).unwrap();
        let digest = sha2::Sha256::digest(&planted.ciphertext).to_vec();
        database
            .execute(
                "DELETE FROM secret_versions WHERE key = ? AND version > ?",
                params![key, version],
            )
            .unwrap();
        let changed = database
            .execute(
                "UPDATE secret_versions SET ciphertext = ?, sha256 = ?, size = length(?1) \
                 WHERE key = ? AND version = ?",
                params![planted.ciphertext, digest, key, version],
            )
            .unwrap();
        assert_eq!(changed, 1, "{key} {version}");
        let changed = database
            .execute(
                "UPDATE secrets SET version = ? WHERE key = ?",
                params![version, key],
            )
            .unwrap();
        assert_eq!(changed, 1);
    }
}

fn keygen(sandbox: &Sandbox) -> Value {
    let made = sandbox.run(["age", "keygen", "--json"]).finish();
    support::json(&made.succeeds().stdout)
}

fn project(sandbox: &Sandbox, writer: &str, more: &str) {
    let text = format!(
        "[project]\nname = \"my-app\"\nwriters = [\"{writer}\"]\n{more}\n\n[profiles.default]\n\
         FREE_A = {{ description = \"a\" }}\nFREE_B = {{ description = \"b\" }}\n"
    );
    sandbox.write("fnox.toml", text);
}

#[test]
fn values_that_were_swapped_are_refused() {
    let world = World::start();
    let job = world.fresh_job("");
    world.gives(&job, NEW);
    let (a, b) = (world.stored("FREE_A", 2), world.stored("FREE_B", 1));
    let swapped = |version, from: &Stored| Stored {
        version,
        ciphertext: from.ciphertext.clone(),
    };
    world.plant("FREE_A", &swapped(2, &b));
    world.plant("FREE_B", &swapped(1, &a));
    world.refuses(
        &job,
        7,
        &["FREE_A", "was signed for the key", "compromised"],
    );
    world.refuses(&world.fresh_job(""), 7, &["was signed for the key"]);
    world.plant("FREE_A", &a);
    world.plant("FREE_B", &b);
    world.gives(&job, NEW);
}

#[test]
fn an_old_value_is_refused_by_whoever_has_seen_or_wants_a_newer_one() {
    let world = World::start();
    let job = world.fresh_job("");
    world.gives(&job, NEW);
    let (old, new) = (world.stored("FREE_A", 1), world.stored("FREE_A", 2));

    // As the newest version, under the number of the newer one: whoever reads it sees what was signed.
    let renumbered = Stored {
        version: 2,
        ..old.clone()
    };
    world.plant("FREE_A", &renumbered);
    world.refuses(&job, 7, &["FREE_A", "rolled back"]);
    let words = ["calls it version 2", "signed version 1"];
    world.refuses(&world.fresh_job(""), 7, &words);

    // Under its own number: whoever has seen a newer one notices, and whoever wants a newer one.
    world.plant("FREE_A", &new);
    world.plant("FREE_A", &old);
    let words = ["FREE_A", "version 1", "version 2 or later", "rolled back"];
    world.refuses(&job, 7, &words);
    let demanding = world.fresh_job("min_versions = { FREE_A = 2 }");
    world.refuses(&demanding, 7, &words);
    // A machine that has neither cannot know: this is what `min_versions` is for.
    world.gives(&world.fresh_job(""), OLD);
    // What was seen is still known after all of that.
    world.refuses(&job, 7, &words);
    // The way out: a newer version.
    world.set(&world.home.sandbox, "FREE_A", NEW);
    world.set(&world.home.sandbox, "FREE_A", NEW);
    world.gives(&job, NEW);
    world.gives(&demanding, NEW);
}

#[test]
#[ignore = "needs age"]
fn values_of_others_are_refused() {
    let world = World::start();
    let job = world.fresh_job("");
    // Whoever knows the recipient can encrypt to it.
    let foreign = Command::new(program("age"))
        .args(["-r", &world.recipient])
        .stdin({
            let file = world.home.sandbox.write("foreign", FOREIGN);
            std::fs::File::open(file).unwrap()
        })
        .output()
        .unwrap();
    assert!(foreign.status.success());
    let planted = Stored {
        version: 2,
        ciphertext: foreign.stdout,
    };
    world.plant("FREE_A", &planted);
    world.refuses(&job, 7, &["FREE_A", "not signed", "fnox secret set"]);

    // So can whoever has a writer's key that nobody here accepts.
    let mallory = support::sandbox();
    let keys = keygen(&mallory);
    project(&mallory, keys["writer"].as_str().unwrap(), "");
    world.set(&mallory, "FREE_A", FOREIGN);
    world.refuses(&job, 7, &["FREE_A", "not an accepted writer", "rotate"]);

    // Bytes that were changed do not decrypt.
    let mut broken = world.stored("FREE_A", 3);
    let last = broken.ciphertext.len() - 1;
    broken.ciphertext[last] ^= 1;
    world.plant("FREE_A", &broken);
    world.refuses(&job, 7, &["FREE_A", "was changed", "compromised"]);
}

#[test]
fn a_value_that_is_held_back_starts_nothing() {
    let mut world = World::start();
    let job = world.fresh_job("");
    world.gives(&job, NEW);
    world
        .database()
        .execute_batch(
            "DELETE FROM secret_versions WHERE key = 'FREE_B'; DELETE FROM secrets WHERE key = 'FREE_B'",
        )
        .unwrap();
    world.refuses(&job, 5, &["FREE_B"]);
    // A server that is gone holds back everything.
    assert!(world.server.runs());
    world.server.signal(rustix::process::Signal::TERM);
    fnox_testkit::wait::until("its end", LIMIT, || !world.server.runs());
    world.refuses(&job, 6, &["does not answer", "whether `fnox serve` runs"]);
}
