//! Secrets in the program's output are replaced on its way through fnox.

use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::exec_harness::{Harness, finish, read_until, until};

fn redacting() -> Harness {
    Harness::new()
        .flag("--redact")
        .set("TOKEN", "hunter2-hunter2")
}

#[test]
fn values_and_their_encodings_are_replaced_on_both_streams() {
    let script =
        r#"echo "<$TOKEN>"; echo "<$TOKEN>" >&2; printf %s "user:$TOKEN" | base64; exit 6"#;
    let ended = redacting().run(script);
    assert_eq!(ended.code, Some(6));
    assert!(
        ended.stdout.starts_with("<[REDACTED]>\n"),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.stderr, "<[REDACTED]>\n");
    assert!(
        ended.stdout.lines().nth(1).unwrap().contains("[REDACTED]"),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_value_that_is_printed_in_pieces_is_replaced() {
    let script = "for c in h u n t e r 2 - h u n t e r 2; do printf %s $c; sleep 0.01; done";
    assert_eq!(redacting().run(script).stdout, "[REDACTED]");
}

#[test]
fn a_prompt_is_shown_before_the_answer_is_given() {
    let harness = redacting();
    let mut command = harness.command("printf 'Name? '; read name; echo \"hello $name\"");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    read_until(&mut child, "Name? ");
    child.stdin.take().unwrap().write_all(b"you\n").unwrap();
    assert_eq!(finish(child).stdout, "hello you\n");
}

#[test]
fn much_output_arrives_whole() {
    let ended = redacting().run("seq 1 200000; echo $TOKEN");
    let mut lines: Vec<String> = (1..=200_000).map(|number| number.to_string()).collect();
    lines.push("[REDACTED]\n".to_owned());
    assert!(ended.stdout == lines.join("\n"));
}

#[test]
fn streams_that_lead_to_one_place_keep_their_order() {
    let harness = redacting();
    let path = harness.project().join("log");
    let log = std::fs::File::create(&path).unwrap();
    let script = "for n in 1 2 3 4 5 6 7 8; do echo out $n; echo err $n $TOKEN >&2; done";
    let mut command = harness.command(script);
    command.stdout(log.try_clone().unwrap()).stderr(log);
    assert!(command.status().unwrap().success());
    let text = std::fs::read_to_string(path).unwrap();
    let expected: Vec<String> = (1..=8)
        .map(|n| format!("out {n}\nerr {n} [REDACTED]\n"))
        .collect();
    assert!(text.ends_with(&expected.concat()), "{text}");
}

#[test]
fn a_background_process_that_keeps_the_output_does_not_keep_fnox() {
    let started = Instant::now();
    let ended = redacting().run("sleep 60 & printf hunter2-hun");
    // What looked like the beginning of a value is shown, since nothing followed.
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "hunter2-hun")
    );
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_slow_reader_loses_nothing() {
    // 1.3 MiB do not fit into the pipe: fnox has to wait for the reader long after the program's end.
    let harness = redacting();
    let mut child = harness.start("seq 1 200000; echo ended > ended; echo $TOKEN");
    let ended = harness.project().join("ended");
    until("the program to end", || {
        read_some(&mut child);
        ended.exists()
    });
    // Longer than fnox listens to silence.
    std::thread::park_timeout(Duration::from_secs(3));
    let rest = finish(child).stdout;
    assert!(rest.ends_with("\n200000\n[REDACTED]\n"), "{}", rest.len());
}

/// Reads a little, so that the program can go on.
fn read_some(child: &mut Child) {
    let mut piece = vec![0; 64 * 1024];
    assert!(child.stdout.as_mut().unwrap().read(&mut piece).unwrap() > 0);
}

#[test]
fn a_large_value_costs_little() {
    let words: Vec<String> = (0..20_000).map(|number| number.to_string()).collect();
    let value = words.concat();
    let harness = redacting().file("LARGE", &value);
    let ended = harness.run("cat $LARGE; grep VmHWM /proc/$PPID/status");
    let peak = ended.stdout.strip_prefix("[REDACTED]VmHWM:").unwrap();
    let kilobytes: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    assert!(
        kilobytes < 200 * 1024,
        "{kilobytes} KiB for {} bytes",
        value.len()
    );
}

#[test]
fn what_a_background_process_says_soon_after_is_still_shown() {
    let ended = redacting().run("(sleep 1; echo late $TOKEN) & echo first");
    assert_eq!(ended.stdout, "first\nlate [REDACTED]\n");
}

#[test]
fn when_the_reader_goes_away_the_program_notices() {
    let harness = redacting();
    let mut child = harness.start("echo ready; while echo more; do :; done 2>/dev/null");
    read_until(&mut child, "ready");
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    // A broken pipe ends the shell, by signal or by a failed write.
    assert!(status.code().is_some());
}
