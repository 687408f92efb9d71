//! fnox is killed after the issuer has made a credential and before it is on record: `cleanup` finds what nobody got
//! and withdraws it, or says until when it works.

use std::time::Duration;

use fnox_testkit::Run;
use fnox_testkit::stand_in::issuer::Misbehaviour;
use fnox_testkit::wait::until;
use rustix::process::Signal;

use crate::lease_issuers::{KINDS, Subject, vault_by_child, vault_by_login};
use crate::lease_support::listed;
use crate::support::{json, ok, sandbox};

/// Types whose credentials have a name at the issuer, by which an orphan is found.
const NAMED: [&str; 3] = ["cloudflare", "gitlab", "tailscale"];

/// Types whose credentials have no name but themselves.
const NAMELESS: [&str; 2] = ["github-app", "oauth2-client-credentials"];

#[test]
fn each_type_that_can_be_withdrawn_is_tried() {
    let revocable = |kind: &str| {
        let subject = Subject::new(kind);
        let run = subject.run(&["lease", "create", "x", "--explain", "-f", "json"]);
        json(&run.finish().stdout)["revocable"].as_bool().unwrap()
    };
    let mut types: Vec<&str> = KINDS.into_iter().filter(|kind| revocable(kind)).collect();
    types.sort_unstable();
    let mut tried = [&NAMED[..], &NAMELESS, &["vault"]].concat();
    tried.sort_unstable();
    assert_eq!(tried, types);
    // `command` is below; PostgreSQL and MariaDB are in the tests of fnox-leases, on real servers.
    assert!(revocable("database"));
}

/// A subject whose issuer has just made what nobody was given.
fn killed(kind: &str) -> Subject {
    killed_by(Subject::new(kind), Misbehaviour::Silence)
}

fn killed_by(subject: Subject, silence: Misbehaviour) -> Subject {
    let before = subject.live();
    // It does what it is asked, and the answer is on its way for ever.
    subject.issuer().misbehave(Some(silence));
    let mark = subject.sandbox.root().join("started");
    let run = subject
        .run(&["exec", "--", "touch", mark.to_str().unwrap()])
        .env("FNOX_HTTP_TIMEOUT", "10m")
        .start();
    until("the credential", Duration::from_mins(1), || {
        subject.live() == before + 1
    });
    run.signal(Signal::KILL);
    let run = run.finish();
    assert_eq!(run.signal, Some(9), "{run}");
    assert!(!mark.exists(), "{run}");
    subject.issuer().misbehave(None);
    let records = listed(&subject.sandbox);
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["status"], "pending", "{records:?}");
    subject
}

#[track_caller]
fn cleaned(subject: &Subject, code: i32) -> Run {
    let run = subject.run(&["lease", "cleanup"]).finish();
    assert_eq!(run.code, Some(code), "{run}");
    subject.no_master_in(&run);
    run
}

#[test]
fn an_orphan_with_a_name_is_found_and_withdrawn() {
    for kind in NAMED {
        let subject = killed(kind);
        let before = subject.live();
        cleaned(&subject, 0);
        assert_eq!(subject.live(), before - 1, "{kind}");
        assert_eq!(listed(&subject.sandbox)[0]["status"], "revoked", "{kind}");
        let again = cleaned(&subject, 0);
        assert!(again.stderr.contains("Nothing to clean up"), "{again}");
        // The next run gets another one, by the same issuer.
        subject.run(&["exec", "--", "true"]).finish().succeeds();
        assert_eq!(subject.issuer().complaints(), Vec::<String>::new());
    }
}

/// The only name of such a token is the token itself, which nobody has.
#[test]
fn an_orphan_without_a_name_is_forgotten_and_its_end_is_told() {
    for kind in NAMELESS {
        let subject = killed(kind);
        let before = subject.live();
        let run = cleaned(&subject, 0);
        assert!(run.stdout.contains("it only expires, at 20"), "{run}");
        assert_eq!(run.stderr, "1 forgotten.\n", "{kind}");
        assert_eq!(subject.live(), before, "{kind}");
    }
}

/// The token that asked for it is on record, and what hangs from it ends with it.
#[test]
fn an_orphan_of_vault_ends_with_the_token_of_ours_that_asked_for_it() {
    for subject in [vault_by_login(), vault_by_child()] {
        let subject = killed_by(subject, Misbehaviour::SilenceAfter(1));
        assert_eq!(subject.live(), 1);
        cleaned(&subject, 0);
        assert_eq!(subject.live(), 0);
        assert_eq!(listed(&subject.sandbox)[0]["status"], "revoked");
        // The token itself is over as well: nothing is left to ask with.
        let again = cleaned(&subject, 0);
        assert!(again.stderr.contains("Nothing to clean up"), "{again}");
        subject.run(&["exec", "--", "true"]).finish().succeeds();
        assert_eq!(subject.issuer().complaints(), Vec::<String>::new());
    }
}

/// A lease that a given token asked for can be found by an administrator, so it is told of for as long as it may live.
#[test]
fn an_orphan_of_a_token_that_was_given_to_vault_stays_on_record_until_it_ends() {
    let subject = killed("vault");
    for _ in 0..2 {
        let run = cleaned(&subject, 6);
        assert!(run.stderr.contains("it ends by itself, at 20"), "{run}");
        assert!(
            run.stderr.contains("sys/leases/lookup/database/creds/app"),
            "{run}"
        );
        assert_eq!(listed(&subject.sandbox)[0]["status"], "pending");
    }
}

#[test]
fn a_command_is_asked_to_withdraw_what_it_made_under_the_id_on_record() {
    let sandbox = sandbox();
    let issued = sandbox.root().join("issued");
    std::fs::create_dir(&issued).unwrap();
    // The command outlives fnox, as an issuer does, and ends with the folder.
    let lease = format!(
        "[leases.x]\ntype = 'command'\nconsumes = []\n\
         create_command = 'touch \"{0}/$FNOX_LEASE_ID\"; while [ -d \"{0}\" ]; do sleep 0.1; done'\n\
         revoke_command = 'rm \"{0}/$FNOX_LEASE_ID\"'\n",
        issued.display()
    );
    sandbox.write("fnox.toml", &lease);
    let count = || std::fs::read_dir(&issued).unwrap().count();
    let run = sandbox.run(["exec", "--", "true"]).start();
    until("the credential", Duration::from_mins(1), || count() == 1);
    run.signal(Signal::KILL);
    run.finish();
    ok(&sandbox, &["lease", "cleanup"]);
    assert_eq!(count(), 0);
    assert_eq!(listed(&sandbox)[0]["status"], "revoked");
}

#[test]
fn what_a_killed_run_had_for_itself_is_withdrawn_and_what_a_living_one_has_is_not() {
    let sandbox = sandbox();
    let answer = "{\"credentials\":{\"TOKEN\":\"t0ken-value\"}}";
    sandbox.write("answer.json", answer);
    sandbox.write(
        "fnox.toml",
        "[leases.x]\ntype = 'command'\nconsumes = []\n\
         create_command = 'cat answer.json'\n\
         revoke_command = 'echo \"$FNOX_LEASE_ID\" >> revoked'\n",
    );
    let started = sandbox.project().join("started");
    // It outlives fnox, and must not keep the test's pipes open.
    let program = "exec >/dev/null 2>&1; touch started; while [ -e started ]; do sleep 0.1; done";
    let run = sandbox
        .run(["exec", "--revoke-on-exit", "--", "sh", "-c", program])
        .start();
    until("the program", Duration::from_mins(1), || started.exists());
    ok(&sandbox, &["lease", "cleanup"]);
    assert_eq!(listed(&sandbox)[0]["status"], "active");
    run.signal(Signal::KILL);
    run.finish();
    ok(&sandbox, &["lease", "cleanup"]);
    let record = &listed(&sandbox)[0];
    assert_eq!(record["status"], "revoked");
    let id = record["lease_id"].as_str().unwrap();
    assert_eq!(sandbox.read("revoked").trim(), id);
    std::fs::remove_file(started).unwrap();
    let folder = std::fs::read_dir(sandbox.state_folder().join("leases")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let runs: Vec<String> = names.filter(|name| name.contains(".run-")).collect();
    assert!(runs.is_empty(), "{runs:?}");
}
