//! Processes killed in the middle of a write, full disks, folders that cannot be written.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use fnox_core::Env;
use fnox_core::lease::LeaseState;
use fnox_testkit::stand_in::Sts;
use fnox_testkit::stand_in::sts::Behaviour;

use crate::child;
use crate::support::{Project, aws_lease, borrowed, keys_of, minted};

fn rounds() -> u32 {
    Env::of_process()
        .var("FNOX_TEST_ROUNDS")
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(100)
}

/// Starts a writer, kills it in the middle of its work, and returns what it said last is on record.
fn killed_writer(project: &Project, round: u32) -> Option<(String, LeaseState)> {
    let mut child = child::start("write", &project.root, &[]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut last = None;
    let mut note = |line: &str| {
        let (state, record) = line.split_once(' ').unwrap_or_default();
        let state = match state {
            "pending" => LeaseState::Pending,
            "active" => LeaseState::Active,
            _ => return,
        };
        last = Some((record.to_owned(), state));
    };
    // A different moment each time: after some lines, and a sweep of microseconds.
    for line in lines.by_ref().take(4 + round as usize % 9) {
        note(&line.unwrap());
    }
    let moment = Instant::now() + Duration::from_micros(u64::from(round) * 83 % 5000);
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines.map_while(Result::ok) {
        note(&line);
    }
    last
}

#[tokio::test]
async fn a_killed_writer_loses_track_of_nothing() {
    let project = Project::new("");
    let manager = project.manager();
    let mut promises = 0;
    for round in 0..rounds() {
        let Some((record, state)) = killed_writer(&project, round) else {
            continue;
        };
        promises += 1;
        let entries = manager.ledger().open().await.unwrap().entries;
        let found = entries.iter().find(|entry| entry.record == record);
        let found = found.unwrap_or_else(|| panic!("round {round}: {record} is lost"));
        // It may have come one step further than it had time to say.
        assert!(
            found.state == state || found.state == LeaseState::Active,
            "round {round}: {record} is {}",
            found.state
        );
        let active = entries
            .iter()
            .filter(|entry| entry.state == LeaseState::Active);
        for entry in active {
            assert_eq!(entry.variables[0].1.len(), 2000, "round {round}");
        }
    }
    assert!(promises > rounds() / 2, "{promises} of {} rounds", rounds());
    // The next writer removes what the killed ones left.
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    manager.ledger().update(now, |_| ()).await.unwrap();
    for file in std::fs::read_dir(project.leases_folder()).unwrap() {
        let name = file.unwrap().file_name().to_string_lossy().into_owned();
        assert!(!name.contains(".toml."), "{name}");
    }
}

#[tokio::test]
async fn a_process_killed_while_the_issuer_thinks_leaves_an_intent_and_no_lock() {
    let sts = Sts::start();
    sts.behave(Behaviour::Silence);
    let keys = keys_of(&sts, "alice");
    let project = Project::with_env(&aws_lease(&sts, ""), &borrowed(&keys));
    let mut child = child::start("acquire", &project.root, &borrowed(&keys));
    fnox_testkit::wait::until("the call", Duration::from_secs(20), || {
        sts.count("AssumeRole") > 0
    });
    let manager = project.manager();
    let records = manager.list().await.unwrap();
    assert_eq!(records[0].state, LeaseState::Pending);
    assert_eq!(manager.cleanup().await.unwrap().settled.len(), 0);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(manager.cleanup().await.unwrap().settled.len(), 1);
    sts.behave(Behaviour::Answer);
    minted(project.exec("aws").await.unwrap());
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_the_ledger_stays_whole() {
    let project = Project::new("");
    let manager = project.manager();
    let entry = child::intent("first");
    manager
        .ledger()
        .update(entry.created_at, |entries| entries.push(entry))
        .await
        .unwrap();
    let before = std::fs::read(manager.ledger().path()).unwrap();

    // No file of the child may grow beyond nothing: what a full disk looks like to a writer.
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"")
        .arg(child::program())
        .args(child::ARGUMENTS);
    child::dress(&mut command, "append", &project.root, &[]);
    let answer = child::answer(command.spawn().unwrap());
    assert!(answer.starts_with("ledger::io cannot write"), "{answer}");
    assert!(answer.contains("free some space"), "{answer}");

    assert_eq!(before, std::fs::read(manager.ledger().path()).unwrap());
    assert_eq!(manager.ledger().open().await.unwrap().entries.len(), 1);
    let leftovers = std::fs::read_dir(project.leases_folder())
        .unwrap()
        .filter(|file| {
            file.as_ref()
                .unwrap()
                .path()
                .extension()
                .is_some_and(|end| end == "tmp")
        });
    assert_eq!(leftovers.count(), 0);
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_that_names_it() {
    const NOBODY: u32 = 65534;
    let project = Project::new("");
    let folder = project.leases_folder();
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o500)).unwrap();
    let mut command = child::command("append", &project.root, &[]);
    if rustix::process::geteuid().is_root() {
        // Root may write anywhere, so somebody else tries.
        for path in folder
            .ancestors()
            .take_while(|path| path.starts_with(&project.root))
        {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    let answer = child::answer(command.spawn().unwrap());
    assert!(
        answer.starts_with("ledger::io cannot open the lock"),
        "{answer}"
    );
    assert!(answer.contains(folder.to_str().unwrap()), "{answer}");
    assert!(answer.contains("FNOX_STATE_DIR"), "{answer}");
    assert_eq!(std::fs::metadata(&folder).unwrap().mode() & 0o777, 0o500);
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
}
