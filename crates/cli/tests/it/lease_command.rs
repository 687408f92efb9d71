//! Leases of the type `command`, as whole runs.

use std::time::Duration;

use fnox_testkit::{Sandbox, wait};

use crate::lease_support::{listed, refused, variable};
use crate::support::{ok, sandbox};

const PLAIN: &str = "[providers]\nplain = { type = \"plain\" }\n[secrets]\n\
    MASTER = { provider = \"plain\", value = \"master-of-the-lease\" }\n\
    OTHER = { provider = \"plain\", value = \"some-other-secret\" }\n";

/// A project with one lease `l` that runs this script.
fn project(more: &str, script: &str) -> Sandbox {
    let sandbox = sandbox();
    sandbox.write(
        "fnox.toml",
        format!(
            "{PLAIN}[leases.l]\ntype = \"command\"\n{more}\ncreate_command = '''\n{script}\n'''\n"
        ),
    );
    sandbox
}

const ANSWER: &str = r#"printf '{"credentials":{"TOKEN":"short-lived"}}'"#;

#[test]
fn the_commands_see_their_masters_and_the_program_does_not() {
    let sandbox = project("consumes = [\"MASTER\"]", &format!("env > seen; {ANSWER}"));
    let run = sandbox
        .run(["exec", "--", "env"])
        .env("INHERITED", "from-the-shell")
        .finish()
        .succeeds();
    assert_eq!(variable(&run, "TOKEN"), Some("short-lived"));
    assert_eq!(variable(&run, "OTHER"), Some("some-other-secret"));
    assert_eq!(variable(&run, "INHERITED"), Some("from-the-shell"));
    assert!(!run.stdout.contains("master-of-the-lease"), "{run}");

    let seen = sandbox.read("seen");
    assert!(seen.contains("MASTER=master-of-the-lease\n"), "{seen}");
    assert!(seen.contains("FNOX_LEASE_DURATION=900\n"), "{seen}");
    assert!(seen.contains("FNOX_LEASE_LABEL=fnox-exec-l\n"), "{seen}");
    assert!(seen.contains("HOME=") && seen.contains("PATH=") && seen.contains("LANG="));
    for absent in ["some-other-secret", "from-the-shell", "FNOX_AGE_KEY"] {
        assert!(!seen.contains(absent), "{seen}");
    }
}

#[test]
fn a_master_of_the_environment_is_withheld_from_the_program() {
    let sandbox = project("consumes = [\"TAKEN\"]", &format!("env > seen; {ANSWER}"));
    let run = sandbox
        .run(["exec", "--", "env"])
        .env("TAKEN", "a-master")
        .finish();
    let run = run.succeeds();
    assert_eq!(variable(&run, "TAKEN"), None);
    assert!(sandbox.read("seen").contains("TAKEN=a-master\n"));
    // Without it the lease is left out, by the name of what is missing.
    let run = sandbox.run(["exec", "--", "env"]).finish().succeeds();
    assert!(
        run.stderr
            .starts_with("Skipping lease 'l': TAKEN is not set."),
        "{run}"
    );
}

#[test]
fn without_consumes_the_command_gets_everything_and_check_warns() {
    let sandbox = project("", &format!("env > seen; {ANSWER}"));
    let run = sandbox
        .run(["exec", "--", "env"])
        .env("INHERITED", "from-the-shell")
        .finish()
        .succeeds();
    let seen = sandbox.read("seen");
    for there in ["master-of-the-lease", "some-other-secret", "from-the-shell"] {
        assert!(seen.contains(there), "{seen}");
    }
    assert_eq!(variable(&run, "MASTER"), Some("master-of-the-lease"));
    let check = sandbox.run(["check"]).finish();
    let shown = format!("{}{}", check.stdout, check.stderr);
    assert!(shown.contains("consumes"), "{shown}");
}

#[test]
fn the_lease_wins_over_a_secret_and_a_variable_of_the_same_name() {
    let sandbox = project(
        "consumes = [\"MASTER\"]",
        r#"printf '{"credentials":{"MASTER":"made-of-the-master","OTHER":"by-the-lease","SHELL_ONE":"by-the-lease"}}'"#,
    );
    let run = sandbox
        .run(["exec", "--", "env"])
        .env("SHELL_ONE", "inherited")
        .finish();
    let run = run.succeeds();
    assert_eq!(variable(&run, "MASTER"), Some("made-of-the-master"));
    assert_eq!(variable(&run, "OTHER"), Some("by-the-lease"));
    assert_eq!(variable(&run, "SHELL_ONE"), Some("by-the-lease"));
}

#[test]
fn values_that_are_no_text_are_left_out() {
    let sandbox = project(
        "consumes = []",
        r#"printf '{"credentials":{"TOKEN":"short-lived","PORT":5432,"NO":null,"LIST":[1]}}'"#,
    );
    let run = sandbox.run(["exec", "--", "env"]).finish().succeeds();
    assert_eq!(variable(&run, "TOKEN"), Some("short-lived"));
    for name in ["PORT", "NO", "LIST"] {
        assert_eq!(variable(&run, name), None);
    }
}

#[test]
fn answers_that_make_no_credential_stop_the_run() {
    for (answer, wanted) in [
        ("", "JSON"),
        ("garbage-that-is-secret", "JSON"),
        (r#"{"credentials":{}}"#, "no credentials"),
        (r#"{"credentials":{"PORT":1}}"#, "no credentials"),
        (r#"{"credentials":{"1BAD":"x"}}"#, "1BAD"),
        (r#"{"credentials":{"A=B":"x"}}"#, "A=B"),
        (r#"{"credentials":{"A":"nul\u0000byte"}}"#, "NUL"),
        (
            r#"{"credentials":{"A":"secret-value"},"expires_at":"2020-01-01T00:00:00Z"}"#,
            "expired",
        ),
        (
            r#"{"credentials":{"A":"secret-value"},"expires_at":"tomorrow"}"#,
            "tomorrow",
        ),
    ] {
        let sandbox = project("consumes = []", "cat answer");
        sandbox.write("answer", answer);
        let run = refused(&sandbox, 6, "exec", &[], &[]);
        assert!(run.stderr.contains(wanted), "{answer}: {run}");
        assert!(run.stderr.contains("lease `l`"), "{answer}: {run}");
        assert!(
            !run.stderr.contains("secret-value") && !run.stderr.contains("is-secret"),
            "{answer}: {run}"
        );
    }
}

#[test]
fn a_command_that_fails_is_quoted_without_its_masters() {
    let sandbox = project(
        "consumes = [\"MASTER\"]",
        "echo \"bad key $MASTER for you\" >&2; exit 3",
    );
    let run = refused(&sandbox, 6, "exec", &[], &[]);
    assert!(
        run.stderr.contains("exit code 3") && run.stderr.contains("bad key"),
        "{run}"
    );
    assert!(!run.stderr.contains("master-of-the-lease"), "{run}");
    assert_eq!(listed(&sandbox).len(), 0);
}

#[test]
fn a_command_that_hangs_is_ended_with_its_children() {
    let sandbox = project(
        "consumes = []\ntimeout = \"1s\"",
        "sleep 321 & echo $! > child; sleep 321",
    );
    let run = refused(&sandbox, 6, "exec", &[], &[]);
    assert!(
        run.stderr.contains("1 s") || run.stderr.contains("1s"),
        "{run}"
    );
    let child = sandbox.read("child").trim().to_owned();
    wait::until("the end of the child", Duration::from_secs(10), || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat"));
        // Whoever reaps orphans here may be slow: a zombie is dead.
        stat.map_or(true, |stat| {
            stat.rsplit(')').next().unwrap().starts_with(" Z")
        })
    });
    // What it may have issued is on record.
    assert_eq!(listed(&sandbox)[0]["status"], "pending");
}

#[test]
fn several_leases_are_minted_at_the_same_time() {
    // Each command waits for the other one to have begun.
    let lease = |name: &str, other: &str| {
        format!(
            "[leases.{name}]\ntype = \"command\"\nconsumes = []\ncreate_command = '''\n\
             touch begun-{name}\nfor i in $(seq 200); do [ ! -e begun-{other} ] || break; sleep 0.1; done\n\
             [ -e begun-{other} ] || exit 8\n\
             printf '{{\"credentials\":{{\"{}\":\"short-lived\"}}}}'\n'''\n",
            name.to_uppercase()
        )
    };
    let sandbox = sandbox();
    let text = format!("{}{}", lease("one", "two"), lease("two", "one"));
    sandbox.write("fnox.toml", text);
    let run = sandbox.run(["exec", "--", "env"]).finish().succeeds();
    for name in ["ONE", "TWO"] {
        assert_eq!(variable(&run, name), Some("short-lived"));
    }
}

#[test]
fn a_lease_of_a_command_is_cached_and_revoked_by_its_command() {
    let sandbox = project(
        "consumes = [\"MASTER\"]\nrevoke_command = 'echo \"$FNOX_LEASE_ID $MASTER\" > revoked'",
        &format!("echo x >> calls; {ANSWER}"),
    );
    ok(&sandbox, &["exec", "--", "true"]);
    ok(&sandbox, &["exec", "--", "true"]);
    assert_eq!(sandbox.read("calls"), "x\n");
    let id = listed(&sandbox)[0]["lease_id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("cmd-") && id.len() == 20, "{id}");
    ok(&sandbox, &["lease", "revoke", "l"]);
    assert_eq!(
        sandbox.read("revoked"),
        format!("{id} master-of-the-lease\n")
    );
    ok(&sandbox, &["exec", "--", "true"]);
    assert_eq!(sandbox.read("calls"), "x\nx\n");
}
