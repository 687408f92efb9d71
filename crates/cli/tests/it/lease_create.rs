//! `fnox lease create`: what it prints, and that `exec` uses what it made.

use fnox_testkit::Run;
use fnox_testkit::stand_in::sts::Behaviour;

use crate::lease_support::{SESSION, World, session, variable};
use crate::support::json;
use crate::terminal::Session;

/// First and last four characters, as the table shows a value.
fn masked(value: &str) -> String {
    format!("{}...{}", &value[..4], &value[value.len() - 4..])
}

fn create(world: &World, more: &[&str]) -> Run {
    let mut arguments = vec!["lease", "create", "aws"];
    arguments.extend(more);
    world.sandbox.run(&arguments).finish().succeeds()
}

#[test]
fn a_created_lease_is_shown_masked_and_exec_uses_it() {
    let world = World::with_secrets();
    let run = create(&world, &[]);
    let issued = world.issued();
    let mut lines = run.stdout.lines();
    assert_eq!(lines.next(), Some("Lease created (expires in 1h0m)"));
    assert_eq!(lines.next(), Some(""));
    for (name, value) in SESSION.iter().zip(&issued) {
        // Names are padded to 26 columns and not indented.
        let line = format!("{name:<26}{}", masked(value));
        assert_eq!(lines.next(), Some(line.as_str()));
    }
    let expires = lines.next().unwrap();
    let time = expires.strip_prefix(&format!("{:<26}", "Expires")).unwrap();
    assert!(
        time.len() == "2024-01-15T10:00:00+00:00".len() && time.ends_with("+00:00"),
        "{run}"
    );
    assert_eq!(lines.next(), None, "{run}");
    for value in &issued {
        world.sandbox.assert_no_leak(value, &[&run]);
    }

    assert_eq!(session(&world.exec().finish().succeeds()), issued);
    assert_eq!(world.mints(), 1);
}

#[test]
fn create_always_mints_and_exec_takes_the_session_that_lives_longest() {
    let world = World::with_secrets();
    create(&world, &["-d", "2h"]);
    let long = world.issued();
    create(&world, &[]);
    assert_eq!(world.mints(), 2);
    assert_eq!(session(&world.exec().finish().succeeds()), long);
    assert_eq!(world.mints(), 2);
}

#[test]
fn the_duration_and_the_label_of_the_command_line_reach_the_issuer() {
    let world = World::with_secrets();
    let run = create(&world, &["--duration", "30m", "--label", "my session"]);
    assert!(
        run.stdout.starts_with("Lease created (expires in 30m)"),
        "{run}"
    );
    let call = &world.sts.calls()[0];
    assert_eq!(call.parameter("DurationSeconds"), Some("1800"));
    assert_eq!(call.parameter("RoleSessionName"), Some("my-session"));
    assert_eq!(world.listed()[0]["label"], "my session");

    for (duration, wanted) in [("14m", "15m to 12h0m"), ("13h", "15m to 12h0m")] {
        let arguments = ["lease", "create", "aws", "-d", duration];
        let run = world.sandbox.run(arguments).finish().exits_with(3);
        assert!(run.stderr.contains(wanted), "{run}");
    }
    let arguments = ["lease", "create", "aws", "-d", "soon"];
    world.sandbox.run(arguments).finish().exits_with(2);
    assert_eq!(world.mints(), 1);
}

#[test]
fn json_and_env_print_the_values_that_were_asked_for() {
    let world = World::with_secrets();
    let document = json(&create(&world, &["-f", "json"]).stdout);
    for (name, value) in SESSION.iter().zip(world.issued()) {
        assert_eq!(document[*name], value);
    }
    assert_eq!(document["backend"], "aws");
    assert!(document["lease_id"].as_str().unwrap().starts_with("AROA"));
    assert!(document["expires_at"].as_str().unwrap().starts_with("20"));

    let run = create(&world, &["-f", "env"]);
    // A shell reads it back, whatever characters the values have.
    let shell = world
        .sandbox
        .run_program("sh", ["-c", "eval \"$1\"; env", "sh", &run.stdout]);
    assert_eq!(session(&shell.finish().succeeds()), world.issued());
    assert_eq!(run.stdout.lines().count(), 3, "{run}");
}

#[test]
fn create_says_what_is_missing_and_how_to_get_on() {
    let world = World::bare();
    let run = world
        .sandbox
        .run(["lease", "create", "aws"])
        .finish()
        .exits_with(4);
    assert!(
        run.stderr.contains("AWS credentials not found")
            && run.stderr.contains("fnox lease create aws -i"),
        "{run}"
    );
    let run = world
        .sandbox
        .run(["lease", "create", "awz"])
        .finish()
        .exits_with(3);
    assert!(
        run.stderr.contains("`awz`") && run.stderr.contains("`aws`"),
        "{run}"
    );
    let both = world.sandbox.run(["lease", "create", "aws", "--all"]);
    both.finish().exits_with(2);
    world.configure("");
    let run = world
        .sandbox
        .run(["lease", "create"])
        .finish()
        .exits_with(2);
    assert!(run.stderr.contains("[leases.aws]"), "{run}");
}

#[test]
fn all_mints_what_can_be_minted_and_fails_if_one_cannot() {
    let world = World::with_secrets();
    let text = world.sandbox.read("fnox.toml");
    world.configure(&format!(
        "{text}[leases.broken]\ntype = \"command\"\nconsumes = []\ncreate_command = \"exit 3\"\n"
    ));
    let run = world
        .sandbox
        .run(["lease", "create", "--all"])
        .finish()
        .exits_with(6);
    assert!(run.stdout.contains("Lease created"), "{run}");
    assert!(run.stderr.contains("✗ broken"), "{run}");
    let states: Vec<_> = world
        .listed()
        .iter()
        .map(|l| l["backend"].clone())
        .collect();
    assert_eq!(states, ["aws"]);
}

#[test]
fn pasted_masters_are_not_echoed_nor_kept_and_exec_uses_the_session() {
    let world = World::bare();
    let [(_, id), (_, secret)] = world.keys("alice");
    let mut terminal = Session::start(&world.sandbox, "lease create aws -i");
    terminal.answer("AWS_ACCESS_KEY_ID (AWS access key)", &format!("{id}\r"));
    terminal.answer(
        "AWS_SECRET_ACCESS_KEY (AWS secret key)",
        &format!("{secret}\r"),
    );
    terminal.answer("AWS_SESSION_TOKEN (AWS session token (optional))", "\r");
    let screen = terminal.ends_with(0);
    assert!(
        screen.contains("Lease created (expires in 1h0m)"),
        "{screen}"
    );
    assert!(!screen.contains(&secret), "{screen}");

    let issued = world.issued();
    let run = world.exec().finish().succeeds();
    assert_eq!(session(&run), issued);
    assert_eq!(world.mints(), 1);
    world.sandbox.assert_no_leak(&secret, &[&run]);
    world.sandbox.assert_no_leak(&issued[1], &[]);

    // Somebody whose own masters are there is somebody else.
    let run = world.exec().envs(world.keys("bob")).finish().succeeds();
    assert_ne!(session(&run), issued);
    assert_eq!(world.mints(), 2);
}

#[test]
fn an_interactive_creation_without_a_terminal_fails() {
    let world = World::bare();
    let run = world.sandbox.run(["lease", "create", "aws", "-i"]);
    let run = run.stdin("AKIA\nsecret\n\n").finish().exits_with(4);
    assert!(run.stderr.contains("AWS credentials not found"), "{run}");
    assert_eq!(world.mints(), 0);
}

#[test]
fn a_creation_that_fails_has_the_exit_code_of_its_reason() {
    let world = World::with_secrets();
    world.sts.behave(Behaviour::AccessDenied);
    let run = world
        .sandbox
        .run(["lease", "create", "aws"])
        .finish()
        .exits_with(7);
    assert!(run.stderr.contains("sts:AssumeRole"), "{run}");
    assert_eq!(world.listed().len(), 0);
}

#[test]
fn get_without_masters_says_what_is_missing() {
    let world = World::bare();
    let run = world
        .sandbox
        .run(["get", "AWS_SESSION_TOKEN"])
        .finish()
        .exits_with(4);
    assert!(run.stderr.contains("AWS credentials not found"), "{run}");
    assert_eq!(variable(&run, "AWS_SESSION_TOKEN"), None);
}
