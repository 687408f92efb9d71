//! This test program as a child process: a test starts it again with a task in the environment.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fnox_core::Env;
use fnox_core::lease::LeaseState;
use fnox_leases::Acquired;
use fnox_leases::ledger::entry::{Entry, RevocationKind};

use crate::support::Project;

const TASK: &str = "FNOX_TEST_CHILD_TASK";
const ROOT: &str = "FNOX_TEST_CHILD_ROOT";
/// Names of the variables that its project has, with spaces between.
const VARIABLES: &str = "FNOX_TEST_CHILD_VARIABLES";

/// The arguments with which this program does the task that its environment names, and nothing else.
pub(crate) const ARGUMENTS: [&str; 4] =
    ["--exact", "child::does_its_task", "--nocapture", "--quiet"];

/// The command that starts a task.
pub(crate) fn command(task: &str, root: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program());
    command.args(ARGUMENTS);
    dress(&mut command, task, root, variables);
    command
}

/// Gives a command the environment of a task.
pub(crate) fn dress(command: &mut Command, task: &str, root: &Path, variables: &[(&str, &str)]) {
    let names: Vec<&str> = variables.iter().map(|(name, _)| *name).collect();
    command
        .env(TASK, task)
        .env(ROOT, root)
        .env(VARIABLES, names.join(" "))
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
}

pub(crate) fn program() -> PathBuf {
    std::env::current_exe().unwrap()
}

pub(crate) fn start(task: &str, root: &Path, variables: &[(&str, &str)]) -> Child {
    command(task, root, variables).spawn().unwrap()
}

/// The line that a child answered with.
pub(crate) fn answer(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .find_map(|line| line.split_once("answer: "))
        .map_or_else(
            || panic!("no answer in {text:?}"),
            |(_, line)| line.to_owned(),
        )
}

/// Does nothing unless it was started by another test.
#[test]
fn does_its_task() {
    let env = Env::of_process();
    let (Some(task), Some(root)) = (env.var(TASK), env.var(ROOT)) else {
        return;
    };
    let names = env.var(VARIABLES).unwrap_or_default();
    let variables: Vec<(&str, &str)> = names
        .split_whitespace()
        .filter_map(|name| Some((name, env.var(name)?)))
        .collect();
    let project = Project::at(Path::new(root), &variables);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        match task {
            "acquire" => acquire(&project).await,
            "write" => write(&project).await,
            "append" => append(&project).await,
            other => panic!("unknown task {other}"),
        }
    });
}

/// Acquires the project's only lease.
async fn acquire(project: &Project) {
    let lease = project.config.leases.keys().next().unwrap().to_string();
    match project.exec(&lease).await {
        Ok(Acquired::Minted(held) | Acquired::Cached(held)) => {
            say(&format!("answer: ok {}", held.credential.id));
        }
        other => say(&format!("answer: {other:?}")),
    }
}

/// Writes intents and completes them until it is killed, and says what is safely on record.
async fn write(project: &Project) {
    let manager = project.manager();
    let ledger = manager.ledger();
    for number in 0..100_000 {
        let intent = intent(&format!("{}-{number}", std::process::id()));
        let record = intent.record.clone();
        let now = intent.created_at;
        ledger
            .update(now, |entries| {
                // Small enough that a round is short.
                let surplus = entries.len().saturating_sub(20);
                entries.drain(..surplus);
                entries.push(intent);
            })
            .await
            .unwrap();
        say(&format!("pending {record}"));
        let copy = record.clone();
        ledger
            .update(now, move |entries| {
                let entry = entries.iter_mut().find(|entry| entry.record == copy);
                let credential = fnox_core::Credential {
                    variables: vec![("TOKEN".to_owned(), "x".repeat(2000).into())],
                    expires_at: None,
                    id: "issued".to_owned(),
                    private: Vec::new(),
                };
                entry.unwrap().complete(&credential, now).unwrap();
            })
            .await
            .unwrap();
        say(&format!("active {record}"));
    }
}

async fn append(project: &Project) {
    let manager = project.manager();
    let entry = intent("appended");
    let result = manager
        .ledger()
        .update(entry.created_at, |entries| entries.push(entry))
        .await;
    match result {
        Ok(()) => say("answer: ok"),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let help = error.help();
            say(&format!(
                "answer: {} {error} {cause:?} {help:?}",
                error.code()
            ));
        }
    }
}

pub(crate) fn intent(record: &str) -> Entry {
    Entry {
        record: record.to_owned(),
        lease_id: format!("intent-{record}"),
        lease: "aws".to_owned(),
        kind: "aws-sts".to_owned(),
        label: "x".to_owned(),
        state: LeaseState::Pending,
        created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        expires_at: None,
        revoked_at: None,
        revocation: RevocationKind::ExpiresOnly,
        revocation_failure: None,
        identity: None,
        run: None,
        variables: Vec::new(),
        private: Vec::new(),
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}
