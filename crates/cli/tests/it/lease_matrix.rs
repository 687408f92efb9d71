//! Whatever an issuer does, the program starts with a good credential or not at all, the exit code says why, and no
//! master is in the program's environment, arguments and files, nor in what fnox prints.
//!
//! Types whose issuer is not asked over HTTP have more tests in `lease_others`. What a mint says of each failure is tested in
//! `fnox-leases`.

use std::sync::Arc;

use fnox_config::spec::LEASES;
use fnox_core::{Clock as _, SystemClock};
use fnox_testkit::stand_in::issuer::Misbehaviour;
use fnox_testkit::{FakeClock, Run};
use jiff::SignedDuration;

use crate::lease_issuers::{KINDS, Subject};
use crate::lease_support::listed;

/// Types whose issuer is not asked over HTTP, or only by a person, and the tests for them; `ssh` has no issuer, and its tests are
/// in `fnox-leases`.
const OTHERS: [(&str, &str); 4] = [
    ("command", "lease_others"),
    ("database", "here"),
    ("github-oauth", "here"),
    ("ssh", "ssh"),
];

/// What an issuer does, and the exit codes that fit.
const FAILURES: [(Misbehaviour, &[i32]); 11] = [
    (Misbehaviour::Status(401), &[4]),
    (Misbehaviour::Status(403), &[7, 4]),
    (Misbehaviour::TooManyFor(3600), &[6]),
    (Misbehaviour::Status(500), &[6]),
    (Misbehaviour::Status(503), &[6]),
    (Misbehaviour::Silence, &[6]),
    (Misbehaviour::HangUp, &[6]),
    (Misbehaviour::Garbage, &[6]),
    (Misbehaviour::EmptyAnswer, &[6]),
    (Misbehaviour::Redirect, &[6]),
    (Misbehaviour::ExpiredAnswer, &[6]),
];

#[test]
fn each_type_is_tried() {
    let mut tried: Vec<&str> = KINDS.to_vec();
    tried.extend(OTHERS.map(|(kind, _)| kind));
    tried.sort_unstable();
    let mut types: Vec<&str> = LEASES.iter().map(|spec| spec.name).collect();
    types.sort_unstable();
    assert_eq!(tried, types);
}

/// One test for each of [`KINDS`], and for some of [`OTHERS`].
macro_rules! fails_closed {
    ($($name:ident: $kind:literal,)*) => {
        $(
            #[test]
            fn $name() {
                fails_closed($kind);
            }
        )*

        #[test]
        fn each_kind_has_its_test() {
            let mut tried: Vec<&str> = KINDS.to_vec();
            tried.extend(OTHERS.iter().filter(|(_, tests)| *tests == "here").map(|(kind, _)| *kind));
            tried.sort_unstable();
            assert_eq!([$($kind),*], *tried);
        }
    };
}

fails_closed! {
    aws_roles_anywhere: "aws-roles-anywhere",
    aws_sso: "aws-sso",
    aws_sts: "aws-sts",
    azure_token: "azure-token",
    cloudflare: "cloudflare",
    database: "database",
    gcp_iam: "gcp-iam",
    github_app: "github-app",
    github_oauth: "github-oauth",
    gitlab: "gitlab",
    kubernetes: "kubernetes",
    oauth2_client_credentials: "oauth2-client-credentials",
    tailscale: "tailscale",
    vault: "vault",
}

fn fails_closed(kind: &str) {
    let mut subject = Subject::new(kind);
    for (misbehaviour, codes) in FAILURES {
        subject.issuer().misbehave(Some(misbehaviour));
        refused(&subject, codes, &format!("{misbehaviour:?}"));
    }
    // A database that is full does not say until when.
    let wait = (kind != "database").then_some(Misbehaviour::TooMany(1));
    subject.issuer().misbehave(wait);
    started(&subject, "told to wait a second");
    // What is there and good is used, whatever the issuer does now.
    let asked = subject.issuer().request_count();
    subject.issuer().misbehave(Some(Misbehaviour::Status(500)));
    started(&subject, "with a cached credential");
    assert_eq!(subject.issuer().request_count(), asked);
    assert_eq!(subject.issuer().complaints(), Vec::<String>::new());
    unreachable(&mut subject);
    for seconds in [-600, 600] {
        clock_differs(kind, seconds);
    }
}

/// The program does not start.
#[track_caller]
pub(crate) fn refused(subject: &Subject, codes: &[i32], why: &str) -> Run {
    let mark = subject.sandbox.root().join("started");
    let run = subject
        .run(&["exec", "--", "touch", mark.to_str().unwrap()])
        .finish();
    assert!(!mark.exists(), "{why}: the program started: {run}");
    let code = run.code.unwrap_or_default();
    assert!(codes.contains(&code), "{why}: not {codes:?}: {run}");
    subject.no_master_in(&run);
    run
}

/// The program starts, and finds no master in its environment, in its and fnox's arguments, and in the files of the time.
#[track_caller]
pub(crate) fn started(subject: &Subject, why: &str) {
    let root = subject.sandbox.root();
    let exclusions: Vec<String> = subject
        .given()
        .iter()
        .map(|file| format!("--exclude={file}"))
        .collect();
    let look = format!(
        "env; cat /proc/$$/cmdline /proc/$PPID/cmdline; mkdir -p {root}/seen; \
         tar -C {root} {} -cf {root}/seen/files.tar home run tmp || :",
        exclusions.join(" "),
        root = root.display()
    );
    let run = subject.run(&["exec", "--", "sh", "-c", &look]).finish();
    assert_eq!(run.code, Some(0), "{why}: {run}");
    assert!(run.stdout.contains("HOME="), "{run}");
    let files = std::fs::metadata(root.join("seen/files.tar")).unwrap();
    assert!(files.len() > 0);
    subject.no_master_in(&run);
}

/// Nobody listens at the issuer's address.
fn unreachable(subject: &mut Subject) {
    // Nothing is cached any more.
    std::fs::remove_dir_all(subject.sandbox.state_folder()).unwrap();
    subject.end_issuer();
    let run = refused(subject, &[6], "unreachable");
    // Where a client tries again for as long as it may, its time can be over between two tries.
    let said = ["cannot be reached", "did not answer"];
    assert!(said.iter().any(|text| shown(&run).contains(text)), "{run}");
}

/// The credential works by this machine's clock, or the error tells of the clock.
pub(crate) fn clock_differs(kind: &str, seconds: i64) {
    let there = SystemClock.now() + SignedDuration::from_secs(seconds);
    let subject = Subject::by_clock(kind, Arc::new(FakeClock::at(&there.to_string())));
    let mark = subject.sandbox.root().join("started");
    let run = subject
        .run(&["exec", "--", "touch", mark.to_str().unwrap()])
        .finish();
    if run.code == Some(0) {
        assert!(mark.exists(), "{seconds}: {run}");
        let listed = listed(&subject.sandbox);
        assert_eq!(listed[0]["status"], "active", "{seconds}: {listed:?}");
    } else {
        assert!(!mark.exists(), "{seconds}: {run}");
        assert!(shown(&run).contains("clock"), "{seconds}: {run}");
    }
    subject.no_master_in(&run);
}

/// All that was printed: on a terminal, errors are among the rest.
fn shown(run: &Run) -> String {
    format!("{}{}", run.stdout, run.stderr)
}
