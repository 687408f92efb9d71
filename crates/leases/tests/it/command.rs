//! The `command` mint.

use std::time::{Duration, Instant};

use fnox_core::ExitStatus;
use fnox_core::lease::LeaseState;

use crate::support::{Project, cached, minted, skipped};

fn lease(create: &str, more: &str) -> String {
    format!(
        "[providers.p]\ntype = 'plain'\n[secrets]\nMASTER = {{ provider = 'p', value = 'r' }}\n\
         OTHER = {{ provider = 'p', value = 'o' }}\n[leases.db]\ntype = 'command'\n\
         create_command = '''{create}'''\n{more}\n"
    )
}

const PRINT: &str = r#"printf '{"credentials":{"TOKEN":"short-lived-%s"}}' "$MASTER""#;

fn project(create: &str, more: &str) -> Project {
    let project = Project::with_env(&lease(create, more), &[("INHERITED", "i"), ("LC_ALL", "C")]);
    project
        .masters
        .set(&[("MASTER", "m4ster-value"), ("OTHER", "other-value")]);
    project
}

#[tokio::test]
async fn prints_a_credential_from_its_masters() {
    let project = project(PRINT, "consumes = ['MASTER']");
    let held = minted(project.exec("db").await.unwrap());
    assert_eq!(
        held.credential.variable("TOKEN").unwrap().expose_secret(),
        "short-lived-m4ster-value"
    );
    assert!(held.credential.id.starts_with("cmd-"));
    assert_eq!(held.credential.expires_at, None);
    assert_eq!(held.withhold, ["MASTER"]);
    cached(project.exec("db").await.unwrap());
}

#[tokio::test]
async fn gets_only_what_it_consumes() {
    let project = project(
        "env > seen; pwd > folder; echo '{\"credentials\":{\"A\":\"b\"}}'",
        "consumes = ['MASTER']\nduration = '2m'",
    );
    let held = minted(project.exec("db").await.unwrap());
    let seen = std::fs::read_to_string(project.root.join("project/seen")).unwrap();
    let mut names: Vec<&str> = seen
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "FNOX_LEASE_DURATION",
            "FNOX_LEASE_ID",
            "FNOX_LEASE_LABEL",
            "HOME",
            "LC_ALL",
            "MASTER",
            "PATH"
        ]
    );
    assert!(seen.contains("FNOX_LEASE_DURATION=120\n"), "{seen}");
    assert!(seen.contains("FNOX_LEASE_LABEL=fnox-exec-db\n"), "{seen}");
    assert!(
        seen.contains(&format!("FNOX_LEASE_ID={}\n", held.credential.id)),
        "{seen}"
    );
}

#[tokio::test]
async fn gets_everything_if_it_does_not_say() {
    let project = project("env > seen; echo '{\"credentials\":{\"A\":\"b\"}}'", "");
    let held = minted(project.exec("db").await.unwrap());
    let seen = std::fs::read_to_string(project.root.join("project/seen")).unwrap();
    for wanted in ["MASTER=m4ster-value", "OTHER=other-value", "INHERITED=i"] {
        assert!(seen.lines().any(|line| line == wanted), "{wanted}: {seen}");
    }
    assert!(held.withhold.is_empty());
}

#[tokio::test]
async fn a_master_that_is_nowhere_skips_the_lease() {
    let project = project(PRINT, "consumes = ['MASTER', 'NOWHERE']");
    let skip = skipped(project.exec("db").await.unwrap());
    assert!(skip.message.contains("NOWHERE is not set"), "{skip}");
}

#[tokio::test]
async fn takes_id_and_expiry_from_the_answer() {
    let project = project(
        r#"printf '{"credentials":{"TOKEN":"x","N":5},"lease_id":"db/1","expires_at":"2099-01-01T00:00:00+02:00"}'"#,
        "consumes = ['MASTER']",
    );
    let held = minted(project.exec("db").await.unwrap());
    assert_eq!(held.credential.id, "db/1");
    assert_eq!(
        held.credential.expires_at.unwrap().to_string(),
        "2098-12-31T22:00:00Z"
    );
    assert_eq!(held.credential.variables.len(), 1);
}

#[tokio::test]
async fn a_wrong_answer_is_named_and_never_repeated() {
    for (answer, wanted) in [
        ("not json s3cret-answer", "not the expected JSON"),
        (
            r#"{"credentials":"s3cret-answer"}"#,
            "not the expected JSON",
        ),
        (r#"{"credentials":{}}"#, "no credentials"),
        (r#"{"credentials":{"A-B":"s3cret-answer"}}"#, "`A-B`"),
        (r#"{"credentials":{"A":"s3cret-answer\u0000"}}"#, "NUL"),
        (
            r#"{"credentials":{"A":"s3cret-answer"},"expires_at":"tomorrow"}"#,
            "`tomorrow`",
        ),
        (
            r#"{"credentials":{"A":"s3cret-answer"},"expires_at":"2001-01-01T00:00:00Z"}"#,
            "already expired",
        ),
    ] {
        let project = project("cat answer", "");
        std::fs::write(project.root.join("project/answer"), answer).unwrap();
        let error = project.exec("db").await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{answer}: {error}");
        assert!(
            !format!("{error} {error:?}").contains("s3cret-answer"),
            "{error:?}"
        );
        assert_eq!(error.exit_status(), ExitStatus::Unavailable);
        // The command says that it issued something, so the record stays open.
        let records = project.manager().list().await.unwrap();
        assert_eq!(records[0].state, LeaseState::Pending);
    }
}

#[tokio::test]
async fn produces_is_held_against_the_answer() {
    for (produces, wanted) in [
        ("['OTHER_TOKEN']", "not in `produces`"),
        ("['TOKEN', 'MORE']", "lacks `MORE`"),
    ] {
        let project = project(PRINT, &format!("produces = {produces}"));
        let error = project.exec("db").await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[tokio::test]
async fn a_failing_command_is_quoted_without_its_masters_and_leaves_no_record() {
    let project = project(
        "echo \"no access for $MASTER\" >&2; exit 3",
        "consumes = ['MASTER']",
    );
    let error = project.exec("db").await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("exit code 3") && text.contains("no access for"),
        "{text}"
    );
    assert!(!text.contains("m4ster"), "{text}");
    assert_eq!(error.exit_status(), ExitStatus::Unavailable);
    assert_eq!(project.manager().list().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_command_that_hangs_is_ended_with_all_that_it_started() {
    let project = project("sleep 300 & echo $! > pid; wait", "timeout = '1s'");
    let begin = Instant::now();
    let error = project.exec("db").await.unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert_eq!(error.exit_status(), ExitStatus::Unavailable);
    assert!(error.to_string().contains("within 1 s"), "{error}");
    let pid = std::fs::read_to_string(project.root.join("project/pid")).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    fnox_testkit::wait::until("the helper's end", Duration::from_secs(10), || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
    });
    assert_eq!(
        project.manager().list().await.unwrap()[0].state,
        LeaseState::Pending
    );
}

#[tokio::test]
async fn wrong_keys_are_errors_with_a_line() {
    for (text, key) in [
        (lease(" ", ""), "create_command"),
        (lease("x", "consumes = ['A=B']"), "consumes"),
        (lease("x", "produces = ['9']"), "produces"),
    ] {
        let error = Project::new(&text).exec("db").await.unwrap_err();
        assert!(
            error.to_string().contains(key) && error.location().is_some(),
            "{error}"
        );
        assert_eq!(error.exit_status(), ExitStatus::Configuration);
    }
}
