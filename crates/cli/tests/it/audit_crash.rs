//! The local log while its writers are killed and its disk is full: no use goes unrecorded, and the chain stays whole over all
//! files.

use std::time::{Duration, Instant};

use fnox_testkit::Sandbox;
use fnox_testkit::wait::until;
use rustix::process::Signal;

use crate::audit::log_files;
use crate::kill_rounds::{Trace, rounds, seed};
use crate::support::{json, ok, sandbox};
use crate::vault_load::Dice;

const CONFIG: &str = "root = true\n[providers]\nplain = { type = 'plain' }\n\
                      [secrets]\nA = { provider = 'plain', value = 'hunter2-a' }\n";

fn home(audit: &str) -> Sandbox {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", CONFIG);
    let global = format!("[audit]\nenabled = true\n{audit}");
    sandbox.write(sandbox.config_folder().join("config.toml"), global);
    sandbox
}

/// How many uses are on record; the log is whole.
#[track_caller]
fn uses(sandbox: &Sandbox) -> usize {
    ok(sandbox, &["audit", "--verify"]);
    let uses = json(&ok(sandbox, &["audit", "--json", "-n", "1000000"]));
    uses.as_array().unwrap().len()
}

#[test]
fn writers_that_are_killed_at_random_moments_leave_a_whole_log() {
    let sandbox = home("max_size = 900\n");
    let seed = seed();
    let mut dice = Dice::new(seed);
    let mut given_out = 0;
    for round in 0..rounds() {
        let _trace = Trace { seed, round };
        let running: Vec<_> = (0..8).map(|_| sandbox.run(["get", "A"]).start()).collect();
        for one in running {
            let moment = Instant::now() + Duration::from_millis(dice.below(40));
            until("the moment", Duration::from_mins(1), || {
                Instant::now() >= moment
            });
            one.signal(Signal::KILL);
            given_out += one.finish().stdout.lines().count();
        }
        // What was printed is on record; what was killed before it printed may be.
        let recorded = uses(&sandbox);
        assert!(recorded >= given_out, "{recorded} of {given_out}");
        ok(&sandbox, &["get", "A"]);
        given_out += 1;
    }
    assert!(given_out == 0 || !log_files(&sandbox).is_empty());
}

#[test]
fn a_full_disk_ends_the_uses_also_in_a_new_file() {
    let sandbox = home("max_size = 1\n");
    let fnox = env!("CARGO_BIN_EXE_fnox");
    // Files of more than 512 bytes cannot be written: one record fits, and the two with which a new file begins do not.
    let script = format!("ulimit -f 1; while '{fnox}' get A; do :; done");
    let run = sandbox
        .run_program("sh", ["-c", &script])
        .finish()
        .succeeds();
    assert!(run.stderr.contains("secret::not_recorded"), "{run}");
    assert_eq!(uses(&sandbox), run.stdout.lines().count(), "{run}");
    // There is room again.
    let before = uses(&sandbox);
    for _ in 0..4 {
        ok(&sandbox, &["get", "A"]);
    }
    assert_eq!(uses(&sandbox), before + 4);
    assert!(log_files(&sandbox).len() > 1);
}

#[test]
fn files_beyond_the_number_that_is_kept_go_and_what_somebody_else_removes_is_missed() {
    let sandbox = home("max_size = 1\nkeep = 3\n");
    for _ in 0..6 {
        ok(&sandbox, &["get", "A"]);
    }
    assert_eq!(log_files(&sandbox).len(), 4);
    assert_eq!(uses(&sandbox), 4);
    // The oldest is sorted after the growing one, which has no number.
    std::fs::remove_file(&log_files(&sandbox)[1]).unwrap();
    let run = sandbox.run(["audit", "--verify"]).finish().exits_with(1);
    assert!(run.stderr.contains("cli::audit_broken"), "{run}");
}
