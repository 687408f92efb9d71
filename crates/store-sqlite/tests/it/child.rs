//! This test program as a child process: a test starts it again with a task in the environment.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fnox_core::Env;
use fnox_store_sqlite::SqliteStore;
use fnox_vault::store::{Change, LeaseStore as _};
use fnox_vault_wire::methods::RevocationReason;

use crate::support::{entry, grant, is_unavailable, lease, open, spend};

const TASK: &str = "FNOX_TEST_CHILD_TASK";
const ROOT: &str = "FNOX_TEST_CHILD_ROOT";

/// The command that starts a task on a store.
pub(crate) fn command(task: &str, store: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child::does_its_task", "--nocapture", "--quiet"])
        .env(TASK, task)
        .env(ROOT, store)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

pub(crate) fn start(task: &str, store: &Path) -> Child {
    command(task, store).spawn().unwrap()
}

/// Does nothing unless it was started by another test.
#[test]
fn does_its_task() {
    let env = Env::of_process();
    let (Some(task), Some(root)) = (env.var(TASK), env.var(ROOT)) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let path = Path::new(root);
    runtime.block_on(async {
        match task {
            "load" => load(path).await,
            "fill" => fill(path).await,
            "team" => crate::server::durable::load(path).await,
            other => panic!("unknown task {other}"),
        }
    });
}

/// Grants, spends and withdraws until it is killed, and says what was answered.
async fn load(path: &Path) {
    let store = open(path).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|number| tokio::spawn(cycle(store.clone(), number)))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn cycle(store: SqliteStore, number: u32) {
    for round in 0..100_000 {
        let one = lease(&format!("agent {number}"));
        grant(&store, &one).await.unwrap();
        say(&format!("granted {}", one.id));
        for uses in 1..=3 {
            spend(&store, one.id).await.unwrap();
            say(&format!("spent {} {uses}", one.id));
        }
        if round % 2 == 0 {
            let revoke = Change::Revoke {
                ids: vec![one.id],
                reason: RevocationReason::Released,
            };
            store.commit(revoke, vec![entry("x")]).await.unwrap();
            say(&format!("revoked {}", one.id));
        }
    }
}

/// Writes until the disk is full, says so, waits for a line that there is room, and writes again.
async fn fill(path: &Path) {
    let store = open(path).await.unwrap();
    let mut granted = 0;
    let error = loop {
        match grant(&store, &lease("a")).await {
            Ok(()) => granted += 1,
            Err(error) => break error,
        }
        assert!(granted < 200_000, "the limit was never reached");
    };
    let is_clear = is_unavailable(&error);
    say(&format!("full {granted} {is_clear} {error}"));
}

pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}
