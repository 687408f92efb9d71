//! A program whose credentials are renewed while it runs, by each way in which it gets them.
//!
//! The issuer is a command that counts: its first credential is `token-1`. Credentials live for a few seconds, so each
//! test sees renewals; nothing here asserts how long anything takes.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::exec_harness::{Harness, finish, read_error_until, read_until, signal, until};

/// Prints the next credential, which lives for three seconds.
const ISSUE: &str = r#"
n=$(($(cat count 2>/dev/null || echo 0) + 1)); echo $n > count
if [ -e broken ]; then echo 'the issuer is down' >&2; exit 1; fi
end=$(date -u -d '+3 sec' +%Y-%m-%dT%H:%M:%S.%NZ)
printf '{"credentials":{"TOKEN":"token-%s"},"lease_id":"id-%s","expires_at":"%s"}' $n $n "$end"
"#;

fn with_lease(keys: &str) -> Harness {
    let harness = Harness::new();
    std::fs::write(harness.project().join("issue.sh"), ISSUE).unwrap();
    harness.table(&format!(
        "[leases.short]\ntype = 'command'\ncreate_command = 'sh issue.sh'\nconsumes = []\n\
         produces = ['TOKEN']\nduration = '3s'\n{keys}\n"
    ))
}

fn count(project: &Path) -> u32 {
    let text = std::fs::read_to_string(project.join("count")).unwrap();
    text.trim().parse().unwrap()
}

const FILE: &str = "deliver = ['file']\n\
                    [[leases.short.files]]\nvariable = 'TOKEN'\npath_variable = 'TOKEN_FILE'\n";

#[test]
fn a_file_is_replaced_past_three_renewals_and_is_always_whole() {
    let harness = with_lease(FILE);
    let script = r#"
        echo "<${TOKEN-unset}>"
        while :; do
          now=$(cat "$TOKEN_FILE")
          case "$now" in token-[0-9]*) ;; *) echo "torn: $now"; exit 9;; esac
          [ "$now" = token-4 ] && exit 0
        done"#;
    let ended = harness.run(script);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "<unset>\n"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stderr, "");
    assert!(harness.run_folders().is_empty());
}

#[test]
fn a_program_is_told_of_a_new_file_by_the_signal_that_it_wants() {
    let harness = with_lease(&format!("{FILE}signal = 'USR1'\n"));
    let script = r#"
        trap 'seen=$(cat "$TOKEN_FILE")' USR1
        while [ "${seen-}" != token-3 ]; do sleep 0.05; done"#;
    let ended = harness.run(script);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn a_program_is_started_again_with_each_new_credential() {
    let harness = with_lease("restart = true");
    let script = r#"
        echo "$TOKEN" >> seen
        trap 'echo ended >> seen; exit 0' TERM
        [ "$TOKEN" = token-3 ] && exit 7
        while :; do sleep 0.05; done"#;
    let ended = harness.run(script);
    assert_eq!(ended.code, Some(7), "{}", ended.stderr);
    let seen = std::fs::read_to_string(harness.project().join("seen")).unwrap();
    assert_eq!(seen, "token-1\nended\ntoken-2\nended\ntoken-3\n");
    assert_eq!(
        ended.stderr.matches("starting the program again").count(),
        2
    );
}

#[test]
fn whoever_ends_fnox_does_not_get_the_program_again() {
    let harness = with_lease("restart = true");
    // It takes its time to end when it is restarted, and the signal comes meanwhile.
    let script = r#"
        echo "$TOKEN" >> seen
        trap 'echo "ending"; while [ ! -e go ]; do sleep 0.05; done; exit 0' TERM
        while :; do sleep 0.05; done"#;
    let mut child = harness.command(script).spawn().unwrap();
    read_until(&mut child, "ending");
    signal(child.id(), Signal::INT);
    std::fs::write(harness.project().join("go"), "").unwrap();
    let ended = finish(child);
    let seen = std::fs::read_to_string(harness.project().join("seen")).unwrap();
    assert_eq!(seen, "token-1\n", "{}", ended.stderr);
}

#[test]
fn a_variable_that_is_not_delivered_anew_is_not_renewed() {
    let harness = with_lease("");
    let ended = harness.run("[ \"$TOKEN\" = token-1 ] && sleep 3");
    assert_eq!(
        (ended.code, count(&harness.project())),
        (Some(0), 1),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_failing_issuer_is_told_once_and_its_recovery_too() {
    let harness = with_lease(FILE);
    let script = r#"
        touch broken
        while [ "$(cat count)" -lt 3 ]; do sleep 0.05; done
        rm broken
        while [ "$(cat "$TOKEN_FILE")" = token-1 ]; do sleep 0.05; done"#;
    let ended = harness.run(script);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(
        ended.stderr.matches("cannot be renewed").count(),
        1,
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("the issuer is down"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("is renewed again"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_program_without_a_credential_that_works_is_warned_of_or_ended_as_it_wants() {
    let script =
        "touch broken; trap 'exit 3' TERM; while [ ! -e stop ]; do sleep 0.05; done; exit 5";
    let harness = with_lease(FILE).flag("--on-renewal-failure=kill");
    let ended = harness.run(script);
    // 6: a credential cannot be had.
    assert_eq!(ended.code, Some(6), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("ending the program"),
        "{}",
        ended.stderr
    );

    let harness = with_lease(FILE);
    let mut child = harness.command(script).spawn().unwrap();
    let told = read_error_until(&mut child, "has none that works");
    assert!(told.contains("cannot be renewed"), "{told}");
    std::fs::write(harness.project().join("stop"), "").unwrap();
    assert_eq!(finish(child).code, Some(5));
}

#[test]
fn a_program_that_does_not_end_is_killed() {
    let harness = with_lease(&format!("on_renewal_failure = 'kill'\n{FILE}"));
    let ended = harness.run("touch broken; trap '' TERM; while :; do sleep 0.05; done");
    assert_eq!(ended.code, Some(6), "{}", ended.stderr);
}

#[test]
fn every_credential_of_a_run_is_withdrawn_at_its_end() {
    let harness = with_lease(&format!(
        "revoke_command = 'echo $FNOX_LEASE_ID >> revoked'\nrevoke_on_exit = true\n{FILE}"
    ));
    let ended =
        harness.run("while [ \"$(cat \"$TOKEN_FILE\")\" != token-3 ]; do sleep 0.05; done; exit 4");
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    let revoked = std::fs::read_to_string(harness.project().join("revoked")).unwrap();
    let mut ids: Vec<&str> = revoked.lines().collect();
    ids.sort_unstable();
    assert_eq!(ids, ["id-1", "id-2", "id-3"]);
}

#[test]
fn what_is_withdrawn_at_the_end_is_nobody_elses() {
    let harness =
        with_lease("revoke_command = 'echo $FNOX_LEASE_ID >> revoked'\n").flag("--revoke-on-exit");
    let mut child = harness
        .command("echo ready; read line; exit 0")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    read_until(&mut child, "ready");
    // The same run without the flag would take a cached credential.
    let flagged = harness.command("echo \"$TOKEN\"");
    let mut plain = Command::new(flagged.get_program());
    plain
        .args(
            flagged
                .get_args()
                .filter(|word| *word != "--revoke-on-exit"),
        )
        .env_clear()
        .envs(
            flagged
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(harness.project())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let other = finish(plain.spawn().unwrap());
    assert_eq!(other.stdout, "token-2\n", "{}", other.stderr);
    drop(child.stdin.take());
    assert_eq!(finish(child).code, Some(0));
    let revoked = std::fs::read_to_string(harness.project().join("revoked")).unwrap();
    assert_eq!(revoked, "id-1\n");
}

#[test]
fn renewed_values_are_redacted_too() {
    let harness = with_lease(FILE).flag("--redact");
    let script = r#"while [ "${now-}" != token-3 ]; do now=$(cat "$TOKEN_FILE"); echo "$now"; sleep 0.05; done"#;
    let ended = harness.run(script);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stdout.contains("token-"), "{}", ended.stdout);
}

#[test]
fn a_file_outside_goes_away_even_if_fnox_is_killed() {
    let harness = with_lease(
        "deliver = ['file']\n[[leases.short.files]]\nvariable = 'TOKEN'\npath = 'token.txt'\n",
    );
    let path = harness.project().join("token.txt");
    let ended = harness.run("stat -c %a token.txt");
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "600\n"),
        "{}",
        ended.stderr
    );
    assert!(!path.exists());

    let mut child = harness
        .command("echo ready; exec sleep 60")
        .spawn()
        .unwrap();
    read_until(&mut child, "ready");
    let taken = harness.run("true");
    assert_eq!(taken.code, Some(3), "{}", taken.stderr);
    assert!(taken.stderr.contains("exists already"), "{}", taken.stderr);
    signal(child.id(), Signal::KILL);
    drop(finish(child));
    until("the file is gone", || !path.exists());
}

#[test]
fn two_leases_with_one_variable_are_an_error_unless_one_overrides() {
    let other = |keys: &str| {
        with_lease("").table(&format!(
            "[leases.other]\ntype = 'command'\ncreate_command = \
             '''echo '{{\"credentials\":{{\"TOKEN\":\"other\"}}}}' '''\nconsumes = []\nproduces = ['TOKEN']\n{keys}\n"
        ))
    };
    let ended = other("").run("echo \"$TOKEN\"");
    assert_eq!(ended.code, Some(3), "{}", ended.stdout);
    assert!(
        ended.stderr.contains("`short` and `other` make `TOKEN`")
            && ended.stderr.contains("override = true"),
        "{}",
        ended.stderr
    );
    assert_eq!(
        other("override = true").run("echo \"$TOKEN\"").stdout,
        "other\n"
    );
    assert_eq!(
        other("deliver = ['helper']").run("echo \"$TOKEN\"").stdout,
        "token-1\n"
    );
}
