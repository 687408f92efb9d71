//! Many runs at once, runs that are killed, and folders that cannot be written.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::time::Duration;

use fnox_core::Env;
use fnox_testkit::stand_in::sts::Behaviour;
use fnox_testkit::{Running, Sandbox, wait};
use rustix::process::Signal;

use crate::lease_support::{World, listed, session};
use crate::support::{ok, sandbox};

const NOBODY: u32 = 65534;

#[test]
fn sixty_four_runs_at_once_make_one_session() {
    let world = World::with_secrets();
    world
        .sts
        .behave(Behaviour::AnswerAfter(Duration::from_millis(300)));
    let running: Vec<Running> = (0..64).map(|_| world.exec().start()).collect();
    let mut sessions: Vec<_> = running
        .into_iter()
        .map(|run| session(&run.finish().succeeds()))
        .collect();
    sessions.dedup();
    assert_eq!(sessions, [world.issued()]);
    assert_eq!(world.mints(), 1);
    assert_eq!(world.listed().len(), 1);
}

#[test]
fn another_lease_is_not_held_up_by_one_that_is_slow() {
    let world = World::with_secrets();
    let text = world.sandbox.read("fnox.toml");
    world.configure(&format!(
        "{text}[leases.quick]\ntype = \"command\"\nconsumes = []\nproduces = [\"QUICK\"]\n\
         create_command = \"\"\"printf '{{\"credentials\":{{\"QUICK\":\"short-lived\"}}}}'\"\"\"\n"
    ));
    world.sts.behave(Behaviour::Silence);
    let mut slow = world.sandbox.run(["lease", "create", "aws"]).start();
    wait::until("the call", Duration::from_secs(20), || world.mints() > 0);
    ok(&world.sandbox, &["lease", "create", "quick"]);
    assert!(slow.is_running());
}

#[test]
fn a_run_that_is_killed_while_it_mints_leaves_an_intent_for_cleanup() {
    let world = World::with_secrets();
    world.sts.behave(Behaviour::Silence);
    let mut running = world.exec().start();
    wait::until("the call", Duration::from_secs(20), || world.mints() > 0);
    assert_eq!(world.listed()[0]["status"], "pending");
    // Whoever still mints is left alone.
    let run = world.sandbox.run(["lease", "cleanup"]).finish().succeeds();
    assert!(run.stderr.contains("Nothing to clean up"), "{run}");
    assert!(running.is_running());

    running.signal(Signal::KILL);
    assert_eq!(running.finish().signal, Some(9));
    let shown = ok(&world.sandbox, &["lease", "cleanup"]);
    assert!(shown.contains("(aws)"), "{shown}");
    // What was issued, if anything was, works until its end.
    assert_eq!(world.listed()[0]["status"], "forgotten");
    world.sts.behave(Behaviour::Answer);
    session(&world.exec().finish().succeeds());
}

/// A fifth of `FNOX_TEST_ROUNDS`, 20 at least.
fn rounds() -> u64 {
    let env = Env::of_process();
    let rounds = env
        .var("FNOX_TEST_ROUNDS")
        .and_then(|text| text.parse().ok());
    rounds.unwrap_or(100_u64).div_euclid(5).max(20)
}

#[test]
fn runs_that_are_killed_anywhere_lose_no_credential() {
    let sandbox = sandbox();
    // Each round is another principal, so each mints; the issuer keeps a list of its own.
    sandbox.write(
        "fnox.toml",
        "[leases.l]\ntype = \"command\"\nconsumes = [\"ROUND\"]\ncreate_command = '''\n\
         echo \"$FNOX_LEASE_ID\" >> issued\n\
         printf '{\"credentials\":{\"TOKEN\":\"token-%s\"},\"lease_id\":\"%s\"}' \"$ROUND\" \"$FNOX_LEASE_ID\"\n'''\n",
    );
    ok(&sandbox, &["lease", "list"]);
    for round in 0..rounds() {
        let run = sandbox
            .run(["exec", "--", "true"])
            .env("ROUND", round.to_string());
        let mut running = run.start();
        // From its first moments to its end, which comes after some 30 ms in a debug build.
        let moment = Duration::from_micros(round.wrapping_mul(7919) % 50_000);
        let _ = wait::within(moment, || (!running.is_running()).then_some(()));
        if running.is_running() {
            running.signal(Signal::KILL);
        }
        drop(running.finish());
        let known: Vec<String> = listed(&sandbox)
            .iter()
            .map(|lease| lease["lease_id"].as_str().unwrap().to_owned())
            .collect();
        let issued = std::fs::read_to_string(sandbox.project().join("issued"));
        for id in issued.unwrap_or_default().lines() {
            assert!(
                known.iter().any(|known| known == id),
                "round {round}: {id} is lost"
            );
        }
    }
    // Nothing is left of the writers that were killed.
    ok(&sandbox, &["lease", "cleanup"]);
    let folder = sandbox.state_folder().join("leases");
    let leftovers = std::fs::read_dir(folder).unwrap().flatten().filter(|file| {
        Path::new(&file.file_name())
            .extension()
            .is_some_and(|end| end == "tmp")
    });
    assert_eq!(leftovers.count(), 0);
}

/// The content of each file of the ledger's folder but locks.
fn ledger_files(sandbox: &Sandbox) -> Vec<(String, Vec<u8>)> {
    let folder = sandbox.state_folder().join("leases");
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|file| {
            let name = file.file_name().into_string().unwrap();
            (name, std::fs::read(file.path()).unwrap())
        })
        .filter(|(name, _)| Path::new(name).extension().is_none_or(|end| end != "lock"))
        .collect();
    files.sort();
    files
}

#[test]
fn a_full_disk_stops_the_run_before_anything_is_issued_and_truncates_nothing() {
    let world = World::with_secrets();
    let first = session(&world.exec().finish().succeeds());
    let before = ledger_files(&world.sandbox);
    let fnox = env!("CARGO_BIN_EXE_fnox");
    // No file may grow beyond nothing: what a full disk looks like to a writer.
    let script = format!("ulimit -f 0; exec {fnox} \"$@\"");
    let full = |arguments: &[&str]| {
        let mut all = vec!["-c", script.as_str(), "sh"];
        all.extend(arguments);
        world.sandbox.run_program("sh", &all).finish()
    };
    // What is in the cache needs no write.
    let run = full(&["exec", "--", "env"]).succeeds();
    assert_eq!(session(&run), first);

    // The program meets the limit as it was.
    let run = full(&["exec", "--", "sh", "-c", "echo much > file"]);
    assert!(run.code == Some(128 + 25) || run.code == Some(1), "{run}");
    let run = full(&["exec", "--", "grep", "SigIgn", "/proc/self/status"]).succeeds();
    let ignored = run.stdout.trim().rsplit('\t').next().unwrap().to_owned();
    let ignored = u64::from_str_radix(&ignored, 16).unwrap();
    assert_eq!(ignored & (1 << 24), 0, "{run}");

    let run = full(&["lease", "create", "aws"]).exits_with(1);
    assert!(
        run.stderr.contains("free some space") && run.stderr.contains("leases"),
        "{run}"
    );
    let run = full(&["lease", "revoke", "aws"]).exits_with(1);
    assert!(run.stderr.contains("free some space"), "{run}");
    assert_eq!(world.mints(), 1);
    assert_eq!(ledger_files(&world.sandbox), before);
    assert_eq!(session(&world.exec().finish().succeeds()), first);
}

/// Makes a folder and all below it somebody else's.
fn give(folder: &Path) {
    chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    if folder.is_dir() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            give(&entry.path());
        }
    }
}

#[test]
fn a_state_folder_that_cannot_be_written_stops_the_run_and_says_what_to_do() {
    let world = World::with_secrets();
    let first = session(&world.exec().finish().succeeds());
    let before = ledger_files(&world.sandbox);
    let folder = world.sandbox.state_folder().join("leases");
    let set_mode = |mode| {
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(0o500);
    // Root may write anywhere, so somebody else tries.
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        give(world.sandbox.root());
    }
    let somebody = |arguments: &[&str]| {
        let mut run = world.sandbox.run(arguments);
        if is_root {
            run.command().uid(NOBODY).gid(NOBODY);
        }
        run.finish()
    };
    let run = somebody(&["exec", "--", "env"]).succeeds();
    assert_eq!(session(&run), first);
    let run = somebody(&["lease", "create", "aws"]).exits_with(1);
    assert!(
        run.stderr.contains(folder.to_str().unwrap()) && run.stderr.contains("FNOX_STATE_DIR"),
        "{run}"
    );
    assert_eq!(world.mints(), 1);
    assert_eq!(ledger_files(&world.sandbox), before);
    set_mode(0o700);
}
