//! The daemon as a process: its life, many clients, bad clients, and other users.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::time::Duration;

use fnox_testkit::{Canary, Invocation, wait};
use rustix::process::{Signal, geteuid, test_kill_process};
use serde_json::json;

use crate::daemon_support::{Client, World};

const LIMIT: Duration = Duration::from_secs(30);
const NOBODY: u32 = 65534;
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

#[test]
fn it_is_started_once_and_stopped() {
    let world = World::new();
    assert_eq!(world.ok(&["daemon", "status"]).stdout, "not running\n");
    assert_eq!(world.status()["running"], false);
    for command in ["stop", "clear"] {
        let run = world.ok(&["daemon", command]);
        assert!(run.stderr.contains("not running"), "{run}");
    }
    let run = world.ok(&["daemon", "start", "--idle-timeout", "90s"]);
    assert!(run.stderr.contains("is started (pid "), "{run}");
    let run = world.ok(&["daemon", "start"]);
    assert!(run.stderr.contains("already running (pid "), "{run}");
    let status = world.status();
    assert_eq!(status["idle_timeout_seconds"], 90);
    // Scripts of the established program look for this word.
    let said = world.ok(&["daemon", "status"]).stdout;
    assert!(said.contains("\n  cached_entries: 0\n"), "{said}");
    assert_eq!(status["socket"], world.socket().to_str().unwrap());
    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
    assert_eq!(mode(&world.socket()), 0o600);
    assert_eq!(mode(world.socket().parent().unwrap()), 0o700);

    let daemon = world.daemon();
    world.ok(&["daemon", "stop"]);
    wait::until("the daemon is gone", LIMIT, || {
        test_kill_process(daemon).is_err()
    });
    assert!(!world.socket().exists());
}

#[test]
fn signals_end_it_and_a_hang_up_clears_it() {
    let world = World::new();
    for signal in [Signal::TERM, Signal::INT] {
        world.get("A");
        let daemon = world.signal(signal);
        wait::until("the daemon is gone", LIMIT, || {
            test_kill_process(daemon).is_err()
        });
        assert!(!world.socket().exists());
    }
    world.get("A");
    let daemon = world.signal(Signal::HUP);
    wait::until("everything is forgotten", LIMIT, || world.kept() == 0);
    assert_eq!(world.daemon(), daemon);
}

#[test]
fn a_daemon_that_nobody_uses_ends() {
    let world = World::new();
    let run = world
        .run(&["get", "A"])
        .env("FNOX_DAEMON_IDLE_TIMEOUT", "1s");
    run.finish().succeeds();
    wait::until("the daemon is gone", LIMIT, || !world.socket().exists());
}

#[test]
fn of_many_that_start_it_at_once_one_wins_and_all_are_served() {
    let world = World::new();
    let clients: Vec<_> = (0..50)
        .map(|number| {
            let name = if number % 2 == 0 { "A" } else { "B" };
            world
                .run(&["get", name])
                .limit(Duration::from_mins(2))
                .start()
        })
        .collect();
    for (number, client) in clients.into_iter().enumerate() {
        let run = client.finish().succeeds();
        let wanted = if number % 2 == 0 {
            "value-of-a\n"
        } else {
            "value-of-b\n"
        };
        assert_eq!(run.stdout, wanted);
    }
    assert_eq!(world.kept(), 2);
    let asked = world.asked("a");
    world.get("A");
    assert_eq!(world.asked("a"), asked);
}

#[test]
fn a_killed_daemons_socket_is_taken_over() {
    let world = World::new();
    world.get("A");
    let daemon = world.signal(Signal::KILL);
    wait::until("the daemon is gone", LIMIT, || {
        test_kill_process(daemon).is_err()
    });
    assert!(world.socket().exists(), "it could not tidy up");
    assert_eq!(world.ok(&["daemon", "status"]).stdout, "not running\n");
    assert_eq!(world.get("A"), "value-of-a");
    assert_eq!(world.asked("a"), 2);
    assert_ne!(world.daemon(), daemon);
}

#[test]
fn a_daemon_that_cannot_be_used_costs_one_line() {
    let world = World::new();
    world.sandbox.write("not-a-folder", "");
    let file = world.sandbox.project().join("not-a-folder");
    let get = |more: &[&str]| {
        let arguments = [&["get", "A"][..], more].concat();
        world
            .run(&arguments)
            .env("FNOX_DAEMON_SOCKET_DIR", &file)
            .finish()
            .succeeds()
    };
    let run = get(&[]);
    assert_eq!(
        (run.stdout.as_str(), run.stderr.as_str()),
        ("value-of-a\n", "")
    );
    let run = get(&["-v"]);
    assert_eq!(run.stdout, "value-of-a\n");
    let lines = run.stderr.lines();
    let told = lines.filter(|line| line.contains("resolving without the daemon"));
    assert_eq!(told.count(), 1, "{run}");
}

#[test]
fn a_daemon_that_hangs_is_not_waited_for() {
    let world = World::new();
    world.get("A");
    let daemon = world.signal(Signal::STOP);
    let run = world.ok(&["-v", "get", "A"]);
    assert_eq!(run.stdout, "value-of-a\n");
    assert!(run.stderr.contains("did not answer within"), "{run}");
    assert_eq!(world.asked("a"), 2);
    let refused = world.run(&["daemon", "status"]).finish().exits_with(6);
    assert!(refused.stderr.contains("daemon::unreachable"), "{refused}");
    rustix::process::kill_process(daemon, Signal::CONT).unwrap();
    world.get("A");
    assert_eq!(world.asked("a"), 2);
}

#[test]
fn clients_that_hang_or_talk_nonsense_hinder_nobody() {
    let world = World::new();
    world.get("A");
    let mut hanging = Vec::new();
    for _ in 0..20 {
        let mut client = world.speak();
        client.0.write_all(&[0, 0, 1]).unwrap();
        hanging.push(client);
    }
    for nonsense in [&b""[..], b"{", b"null", b"GET / HTTP/1.1", &[0xff; 64]] {
        let mut client = world.speak();
        client.send(nonsense);
        assert_eq!(client.receive().unwrap()["error"]["code"], "malformed");
        assert_eq!(client.receive(), None, "the connection is closed");
    }
    let mut too_large = world.speak();
    too_large.0.write_all(&u32::MAX.to_be_bytes()).unwrap();
    assert_eq!(too_large.receive().unwrap()["error"]["code"], "malformed");
    assert_eq!(world.get("A"), "value-of-a");
    assert_eq!((world.asked("a"), world.kept()), (1, 1));
}

#[test]
fn an_independent_client_speaks_the_protocol() {
    let world = World::new();
    world.ok(&["daemon", "start"]);
    let mut client = world.speak();
    let find = json!({ "find": { "keys": [KEY] } });
    let found = client.ask(&find).unwrap();
    let generation = found["found"]["generation"].as_u64().unwrap();
    assert_eq!(found["found"]["values"], json!([]));
    let entry = json!({ "key": KEY, "name": "TOKEN", "seconds": 60, "value": "aHVudGVyMg==" });
    let keep = json!({ "keep": { "generation": generation, "entries": [entry] } });
    assert_eq!(
        client.ask(&keep).unwrap(),
        json!({ "kept": { "count": 1 } })
    );
    let found = client.ask(&find).unwrap();
    let value = json!({ "key": KEY, "value": "aHVudGVyMg==" });
    assert_eq!(found["found"]["values"], json!([value]));
    assert_eq!(found["found"]["more"], json!([]));

    let clear = json!({ "clear": { "names": ["TOKEN"] } });
    assert_eq!(
        client.ask(&clear).unwrap(),
        json!({ "cleared": { "count": 1 } })
    );
    assert_eq!(
        client.ask(&keep).unwrap(),
        json!({ "kept": { "count": 0 } })
    );
    assert_eq!(
        client.ask(&json!({ "clear": {} })).unwrap(),
        json!({ "cleared": { "count": 0 } })
    );
    let status = client.ask(&json!("status")).unwrap();
    assert_eq!(status["status"]["versions"], json!([1]));

    let mut newer = world.speak();
    newer.send(br#"{"version":2,"request":"status"}"#);
    let refused = newer.receive().unwrap();
    assert_eq!(refused["error"]["code"], "unsupported_version");
    assert_eq!(refused["error"]["versions"], json!([1]));
    let mut newer = world.speak();
    newer.send(br#"{"version":2,"request":"stop"}"#);
    assert_eq!(newer.receive().unwrap(), json!("stopping"));
    wait::until("the socket is gone", LIMIT, || !world.socket().exists());
}

#[test]
fn the_daemon_has_nothing_of_the_environment_and_leaves_no_value_behind() {
    const VALUE: &str = "canary-of-a-kept-value-77aa01";
    const TOKEN: &str = "canary-of-a-token-5566ee";
    let world = World::new();
    world.store("a", VALUE);
    let get = || {
        let run = world
            .run(&["-v", "get", "A"])
            .env("OP_SERVICE_ACCOUNT_TOKEN", TOKEN);
        run.env("SOMETHING", TOKEN).finish().succeeds()
    };
    let runs = [get(), get()];
    assert_eq!(world.asked("a"), 1);
    let id = world.daemon().as_raw_nonzero();
    let read = |file: &str| std::fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
    let (environment, arguments) = (read("environ"), read("cmdline"));
    for canary in [VALUE, TOKEN] {
        let outputs = [
            ("environment", &environment[..]),
            ("arguments", &arguments[..]),
        ];
        Canary::new(canary).assert_absent(&outputs, &[]);
    }
    let stderr = &runs[1].stderr;
    assert!(!stderr.contains(VALUE), "{stderr}");
    std::fs::remove_file(world.sandbox.home().join(".password-store/a.gpg")).unwrap();
    world.sandbox.assert_no_leak(VALUE, &[]);
    let limits = String::from_utf8(read("limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    assert_eq!(core.unwrap().split_whitespace().nth(4), Some("0"));
}

#[test]
fn it_leaves_the_terminal_and_holds_nobodys_pipe() {
    let world = World::new();
    // `$( … )` ends only when nobody has its pipe any more, also one that the shell left open under another number.
    let script = format!(
        "exec 7>&1; value=$({} get A 8>&1); echo \"$value\"",
        env!("CARGO_BIN_EXE_fnox")
    );
    let run = world
        .sandbox
        .run_program("sh", ["-c", &script])
        .finish()
        .succeeds();
    assert_eq!(run.stdout, "value-of-a\n");
    let daemon = world.daemon();
    assert_eq!(rustix::process::getsid(Some(daemon)).unwrap(), daemon);
    let cwd = std::fs::read_link(format!("/proc/{}/cwd", daemon.as_raw_nonzero())).unwrap();
    assert_eq!(cwd, Path::new("/"));
}

/// Gives a folder and everything in it to a user.
fn give(folder: &Path, user: u32) {
    chown(folder, Some(user), Some(user)).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            give(&path, user);
        } else {
            chown(path, Some(user), Some(user)).unwrap();
        }
    }
}

fn as_nobody(mut invocation: Invocation) -> Invocation {
    invocation.command().uid(NOBODY).gid(NOBODY);
    invocation
}

/// Nothing but a user's number keeps root away from a socket, so root is the best of all other users.
#[test]
#[ignore = "needs root"]
fn another_user_is_refused_by_both_ends() {
    assert!(
        geteuid().is_root(),
        "only root starts another user's daemon"
    );
    let world = World::new();
    give(world.sandbox.root(), NOBODY);
    as_nobody(world.run(&["get", "A"])).finish().succeeds();
    let mut client = Client(std::os::unix::net::UnixStream::connect(world.socket()).unwrap());
    let message = json!({ "version": 1, "request": { "find": { "keys": [KEY] } } });
    let message = message.to_string();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    // The daemon may have closed the connection before anything was sent.
    drop(
        client
            .0
            .write_all(&[&length[..], message.as_bytes()].concat()),
    );
    let mut answer = Vec::new();
    drop(client.0.read_to_end(&mut answer));
    assert_eq!(answer, b"", "the daemon answers nobody but its user");

    for command in ["status", "clear", "stop"] {
        let refused = world.run(&["daemon", command]).finish().exits_with(7);
        assert!(refused.stderr.contains("daemon::foreign_peer"), "{refused}");
        assert!(refused.stderr.contains("65534"), "{refused}");
    }
    let run = world.run(&["-v", "get", "A"]).finish().succeeds();
    assert!(run.stderr.contains("resolving without the daemon"), "{run}");
    assert_eq!(run.stdout, "value-of-a\n");
    as_nobody(world.run(&["daemon", "stop"]))
        .finish()
        .succeeds();
}
