//! What commands get from the daemon, and what they never get from it.

use std::time::Duration;

use fnox_testkit::wait;

use crate::daemon_support::{CONFIG, World};
use crate::terminal::Session;

#[test]
fn a_value_is_fetched_once_for_all_commands() {
    let world = World::new();
    assert_eq!(world.get("A"), "value-of-a");
    assert_eq!(world.get("A"), "value-of-a");
    let run = world.ok(&["exec", "--only", "A", "--", "printenv", "A"]);
    assert_eq!(run.stdout, "value-of-a\n");
    let run = world.ok(&["export", "A"]);
    assert_eq!(run.stdout, "A=value-of-a\n");
    assert_eq!(world.asked("a"), 1);
    let run = world.ok(&["list", "--values"]);
    assert!(run.stdout.contains("value-of-b"), "{run}");
    assert_eq!(
        (world.asked("a"), world.asked("b"), world.kept()),
        (1, 1, 2)
    );
}

#[test]
fn exact_bytes_come_back() {
    let world = World::new();
    let value = format!(" \n\t{}\u{1f511}\"\\\n\n ", "long ".repeat(20_000));
    world.store("a", &value);
    let script = ["exec", "--only", "A", "--", "sh", "-c", "printf %s \"$A\""];
    let first = world.ok(&["get", "--json", "A"]).stdout;
    let second = world.ok(&["get", "--json", "A"]).stdout;
    assert_eq!(first, second);
    let document: serde_json::Value = serde_json::from_str(&second).unwrap();
    assert_eq!(document["value"], value);
    assert_eq!(world.asked("a"), 1);
    world.store("a", "short");
    world.ok(&["daemon", "clear"]);
    assert_eq!(world.ok(&script).stdout, "short");
}

#[test]
fn only_who_asks_for_the_daemon_gets_it() {
    let world = World::new();
    let off = |arguments: &[&str]| world.run(arguments).env("FNOX_DAEMON", "off");
    off(&["get", "A"]).finish().succeeds();
    world.ok(&["--no-daemon", "get", "A"]);
    world
        .run(&["get", "A"])
        .without_env("FNOX_DAEMON")
        .finish()
        .succeeds();
    assert!(!world.socket().exists());
    assert_eq!(world.asked("a"), 3);

    world
        .sandbox
        .write("fnox.toml", format!("[daemon]\nenabled = true\n{CONFIG}"));
    off(&["get", "A"]).finish().succeeds();
    assert!(!world.socket().exists(), "the variable beats the file");
    for _ in 0..2 {
        world
            .run(&["get", "A"])
            .without_env("FNOX_DAEMON")
            .finish()
            .succeeds();
    }
    assert!(world.socket().exists());
    assert_eq!(world.asked("a"), 5);
    world.ok(&["--no-daemon", "get", "A"]);
    assert_eq!(world.asked("a"), 6);
}

#[test]
fn another_configuration_profile_or_identity_has_values_of_its_own() {
    let world = World::new();
    world
        .sandbox
        .write("fnox.toml", format!("{CONFIG}[profiles.other]\n"));
    world.get("A");
    world.ok(&["-P", "other", "get", "A"]);
    assert_eq!(world.asked("a"), 2, "another profile");
    world
        .run(&["get", "A"])
        .env("GNUPGHOME", "/other")
        .finish()
        .succeeds();
    assert_eq!(world.asked("a"), 3, "another identity");
    world.sandbox.write(
        "fnox.toml",
        format!("{CONFIG}[profiles.other]\n# changed\n"),
    );
    world.get("A");
    assert_eq!(world.asked("a"), 4, "another file");
    world
        .run(&["get", "A"])
        .env("TERM", "dumb")
        .finish()
        .succeeds();
    assert_eq!(world.asked("a"), 4, "a variable of no consequence");
}

#[test]
fn what_must_not_be_kept_is_not() {
    let world = World::new();
    let text = "[providers]\npass = { type = \"password-store\" }\n\
         strict = { type = \"password-store\", daemon_cache = false }\n\
         plain = { type = \"plain\" }\n[secrets]\n\
         A = { provider = \"pass\", value = \"a\", daemon_cache = false }\n\
         B = { provider = \"strict\", value = \"b\", daemon_cache = \"1h\" }\n\
         C = { provider = \"plain\", value = \"c\" }\nD = { default = \"d\" }\n\
         E = { provider = \"pass\", value = \"none\", default = \"e\" }\n";
    world.sandbox.write("fnox.toml", text);
    for _ in 0..2 {
        world.ok(&["exec", "--", "true"]);
    }
    assert_eq!((world.asked("a"), world.asked("b")), (2, 2));
    assert_eq!(world.kept(), 0);
    world.store("none", "now there");
    assert_eq!(world.get("E"), "now there");
}

#[test]
fn a_value_lives_as_long_as_it_may() {
    let world = World::new();
    world.sandbox.write(
        "fnox.toml",
        CONFIG.replace("value = \"a\"", "value = \"a\", daemon_cache = \"1s\""),
    );
    world.get("A");
    world.get("B");
    wait::until("A is forgotten", Duration::from_secs(30), || {
        world.kept() == 1
    });
    world.get("A");
    world.get("B");
    assert_eq!((world.asked("a"), world.asked("b")), (2, 1));
}

#[test]
fn what_opened_a_provider_does_not_reach_the_program_when_nothing_was_opened() {
    let world = World::new();
    world.sandbox.write_program(
        "op",
        "#!/bin/sh\necho call >> \"$HOME/calls\"\nprintf from-op",
    );
    world.sandbox.write(
        "fnox.toml",
        "[providers]\nop = { type = \"1password\" }\n[secrets]\nA = { provider = \"op\", value = \"op://v/i/f\" }\n",
    );
    for _ in 0..2 {
        let run = world
            .run(&["exec", "--", "env"])
            .env("OP_SERVICE_ACCOUNT_TOKEN", "ops_token");
        let run = run.finish().succeeds();
        assert!(run.stdout.contains("A=from-op"), "{run}");
        assert!(!run.stdout.contains("ops_token"), "{run}");
    }
    let calls = std::fs::read_to_string(world.sandbox.home().join("calls")).unwrap();
    assert_eq!(calls, "call\n");
}

#[test]
fn a_dependency_is_not_fetched_for_a_value_that_is_kept() {
    let world = World::new();
    world
        .sandbox
        .write_program("op", "#!/bin/sh\nprintf from-op");
    world.sandbox.write(
        "fnox.toml",
        "[providers]\npass = { type = \"password-store\" }\n\
         op = { type = \"1password\", token = { secret = \"TOKEN\" } }\n[secrets]\n\
         TOKEN = { provider = \"pass\", value = \"a\", env = false, daemon_cache = false }\n\
         VALUE = { provider = \"op\", value = \"op://v/i/f\" }\n",
    );
    for _ in 0..2 {
        let run = world.ok(&["exec", "--", "env"]);
        assert!(run.stdout.contains("VALUE=from-op"), "{run}");
        assert!(!run.stdout.contains("value-of-a"), "{run}");
    }
    assert_eq!(world.asked("a"), 1);
}

#[test]
fn a_value_that_fnox_changes_is_forgotten() {
    let world = World::new();
    world.get("A");
    world.get("B");
    let set = world.run(&["set", "A"]).stdin("new value").finish();
    set.succeeds();
    assert_eq!(world.get("A"), "new value");
    world.ok(&["remove", "B"]);
    assert_eq!(world.kept(), 1);
}

#[test]
fn clear_and_refresh_fetch_anew() {
    let world = World::new();
    world.get("A");
    world.get("B");
    world.store("a", "second");
    world.store("b", "second");
    assert_eq!(
        (world.get("A"), world.get("B")),
        ("value-of-a".into(), "value-of-b".into())
    );
    assert_eq!(world.ok(&["get", "--refresh", "A"]).stdout, "second\n");
    assert_eq!(
        (world.get("A"), world.get("B")),
        ("second".into(), "value-of-b".into())
    );
    world.store("a", "third");
    let fresh = ["exec", "--refresh", "A", "--", "sh", "-c", "echo $A $B"];
    assert_eq!(world.ok(&fresh).stdout, "third value-of-b\n");
    let unknown = world
        .run(&["exec", "--refresh", "AA", "--", "true"])
        .finish()
        .exits_with(3);
    assert!(unknown.stderr.contains("AA"), "{unknown}");

    let cleared = world.ok(&["daemon", "clear", "B", "NOT_THERE"]);
    assert!(cleared.stderr.contains("forgot 1 value\n"), "{cleared}");
    assert_eq!(world.get("B"), "second");
    let cleared = world.ok(&["daemon", "clear"]);
    assert!(cleared.stderr.contains("forgot 2 values"), "{cleared}");
    assert_eq!(world.kept(), 0);
    let refused = world
        .run(&["daemon", "clear", "no name"])
        .finish()
        .exits_with(2);
    assert!(refused.stderr.contains("no name"), "{refused}");
}

#[test]
fn a_question_is_asked_in_the_terminal_of_the_run_and_its_answers_value_kept() {
    let world = World::new();
    world.sandbox.write_program(
        "pass",
        "#!/bin/sh\necho \"$@\" >> \"$HOME/calls\"\n\
         [ -e \"$HOME/unlocked\" ] || { echo 'gpg: decryption failed: No secret key' >&2; exit 2; }\n\
         printf unlocked-value",
    );
    let with_login = CONFIG.replace(
        "\"password-store\" }",
        "\"password-store\", auth_command = \"touch $HOME/unlocked\" }",
    );
    world.sandbox.write("fnox.toml", with_login);
    let mut session = Session::start(&world.sandbox, "get A");
    session.answer("Run `touch $HOME/unlocked` now?", "y\r");
    assert!(session.ends_with(0).contains("unlocked-value"));
    assert_eq!(world.asked("a"), 2, "before and after");
    // Nobody is there to be asked, and nobody has to be.
    std::fs::remove_file(world.sandbox.home().join("unlocked")).unwrap();
    assert_eq!(world.get("A"), "unlocked-value");
    assert_eq!(world.asked("a"), 2);
}
