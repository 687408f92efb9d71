//! The local log of secret uses.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use fnox_testkit::Sandbox;

use crate::schemas::assert_fits;
use crate::support::{fails, json, ok, sandbox};

const CONFIG: &str = r#"root = true
[providers]
plain = { type = "plain" }
[secrets]
A = { provider = "plain", value = "hunter2-a" }
B = { provider = "plain", value = "hunter2-b" }
C = { default = "no secret" }
[profiles.prod.secrets]
B = { provider = "plain", value = "hunter2-prod" }
[leases.demo]
type = "command"
consumes = []
produces = ["TOKEN"]
create_command = """printf '{"credentials":{"TOKEN":"hunter2-t"},"lease_id":"l"}'"""
"#;

fn home(global: &str) -> Sandbox {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", CONFIG);
    sandbox.write(sandbox.config_folder().join("config.toml"), global);
    sandbox
}

pub(crate) const ON: &str = "[audit]\nenabled = true\n";

/// The files of the log, the head and the lock left out.
pub(crate) fn log_files(sandbox: &Sandbox) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(sandbox.state_folder()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_log = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let rest = name.strip_prefix("audit.log");
        rest.is_some_and(|rest| {
            rest.bytes()
                .all(|byte| byte == b'.' || byte.is_ascii_digit())
        })
    };
    let mut paths: Vec<PathBuf> = paths.filter(is_log).collect();
    paths.sort();
    paths
}

#[test]
fn uses_are_recorded_without_values_and_found_again() {
    let sandbox = home(ON);
    let exec = sandbox.run(["exec", "--", "true"]).finish().succeeds();
    let get = sandbox.run(["get", "B", "-P", "prod"]).finish().succeeds();
    assert_eq!(get.stdout, "hunter2-prod\n");
    let text = ok(&sandbox, &["audit", "--json"]);
    assert_fits("schemas/audit.json", &json(&text));
    let uses = json(&text);
    let told: Vec<String> = uses
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let of = |key: &str| one[key].as_str().unwrap_or("-").to_owned();
            [
                of("command"),
                of("secret"),
                of("lease"),
                of("provider"),
                of("profile"),
            ]
            .join(" ")
        })
        .collect();
    assert_eq!(
        told,
        [
            "exec - demo - default",
            "exec A - plain default",
            "exec B - plain default",
            "get B - plain prod"
        ]
    );
    for (arguments, count) in [
        (vec!["audit"], 4),
        (vec!["audit", "-n", "2"], 2),
        (vec!["audit", "-c", "get"], 1),
        (vec!["audit", "--command", "exec"], 3),
        (vec!["audit", "-s", "B"], 2),
        (vec!["audit", "-p", "plain"], 3),
        (vec!["audit", "-p", "other"], 0),
    ] {
        let shown = ok(&sandbox, &arguments);
        assert_eq!(shown.lines().count(), count, "{arguments:?}: {shown}");
    }
    let line = ok(&sandbox, &["audit", "-s", "A"]);
    assert!(
        line.contains("  exec      A  provider=plain  profile=default\n"),
        "{line}"
    );
    let path = ok(&sandbox, &["audit", "--path"]);
    let log = sandbox.state_folder().join("audit.log");
    assert_eq!(path.trim(), log.to_str().unwrap());
    assert_eq!(log.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let verified = ok(&sandbox, &["audit", "--verify", "--json"]);
    assert_fits("schemas/audit-verify.json", &json(&verified));
    assert_eq!(json(&verified)["records"], 4);
    for value in ["hunter2-a", "hunter2-b", "hunter2-prod", "hunter2-t"] {
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(!log.contains(value) && !exec.stderr.contains(value));
    }
}

#[test]
fn it_is_off_unless_somebody_turns_it_on_and_a_project_cannot_turn_it_off() {
    let sandbox = home("");
    let log = sandbox.state_folder().join("audit.log");
    ok(&sandbox, &["get", "A"]);
    assert!(!log.exists());
    sandbox
        .run(["get", "A"])
        .env("FNOX_AUDIT", "on")
        .finish()
        .succeeds();
    assert!(log.exists());
    let other = sandbox.write("other/uses.log", "");
    let run = sandbox.run(["get", "A"]).env("FNOX_AUDIT", "1");
    run.env("FNOX_AUDIT_PATH", "other/uses.log")
        .finish()
        .succeeds();
    assert_eq!(std::fs::read_to_string(&other).unwrap().lines().count(), 1);

    let sandbox = home(ON);
    let log = sandbox.state_folder().join("audit.log");
    let off = format!("{CONFIG}[audit]\nenabled = false\npath = 'elsewhere'\n");
    sandbox.write("fnox.toml", off);
    sandbox
        .run(["get", "A"])
        .env("FNOX_AUDIT", "off")
        .env("FNOX_AUDIT_PATH", "elsewhere")
        .finish()
        .succeeds();
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 1);
    assert!(!sandbox.project().join("elsewhere").exists());
}

#[test]
fn what_cannot_be_recorded_is_not_given_out() {
    let sandbox = home(ON);
    ok(&sandbox, &["get", "A"]);
    // A disk that takes no more: the next record does not fit.
    let fnox = env!("CARGO_BIN_EXE_fnox");
    let script = format!("ulimit -f 1; while '{fnox}' get A; do :; done");
    let run = sandbox
        .run_program("sh", ["-c", &script])
        .finish()
        .succeeds();
    assert!(
        run.stderr.contains("secret::not_recorded"),
        "{}",
        run.stderr
    );
    let verified = json(&ok(&sandbox, &["audit", "--verify", "--json"]));
    let printed = run.stdout.lines().count() + 1;
    assert_eq!(verified["records"], printed, "{run}");
    // Nothing that is no log is written to.
    let sandbox = home("");
    let link = sandbox.project().join("link.log");
    std::os::unix::fs::symlink("/dev/full", &link).unwrap();
    std::fs::create_dir(sandbox.project().join("folder.log")).unwrap();
    for path in ["link.log", "folder.log"] {
        let run = sandbox
            .run(["exec", "--", "touch", "ran"])
            .env("FNOX_AUDIT", "on")
            .env("FNOX_AUDIT_PATH", path);
        let run = run.finish().exits_with(1);
        assert!(
            run.stderr.contains("secret::not_recorded"),
            "{}",
            run.stderr
        );
    }
    assert!(!sandbox.project().join("ran").exists());
}

#[test]
fn a_changed_log_is_noticed_and_goes_no_further() {
    let sandbox = home(ON);
    for name in ["A", "B", "A"] {
        ok(&sandbox, &["get", name]);
    }
    ok(&sandbox, &["audit", "--verify"]);
    let log = sandbox.state_folder().join("audit.log");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, text.replace("\"B\"", "\"A\"")).unwrap();
    let told = fails(&sandbox, 1, &["audit", "--verify"]);
    assert!(told.contains("cli::audit_broken"), "{told}");
    let lines: Vec<&str> = text.lines().collect();
    std::fs::write(&log, format!("{}\n{}\n", lines[0], lines[1])).unwrap();
    fails(&sandbox, 1, &["audit", "--verify"]);
    let told = fails(&sandbox, 1, &["get", "A"]);
    assert!(told.contains("newest records were removed"), "{told}");
}

#[test]
fn fifty_processes_that_record_at_once_leave_one_chain() {
    let sandbox = home("[audit]\nenabled = true\nmax_size = 4000\n");
    let running: Vec<_> = (0..50)
        .map(|number| {
            let arguments: &[&str] = match number % 2 {
                0 => &["exec", "--only", "A,B", "--", "true"],
                _ => &["get", "A"],
            };
            sandbox.run(arguments).start()
        })
        .collect();
    for one in running {
        one.finish().succeeds();
    }
    let verified = json(&ok(&sandbox, &["audit", "--verify", "--json"]));
    assert_eq!(verified["records"], verified["verified"]);
    let uses = json(&ok(&sandbox, &["audit", "--json", "-n", "1000"]));
    assert_eq!(uses.as_array().unwrap().len(), 75);
    assert!(log_files(&sandbox).len() > 3);
}
