//! What other processes can take from a running vault: not its memory, not its key, not a value, token or key from
//! anything that it leaves behind.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::time::Duration;

use fnox_testkit::{Canary, Invocation, Run};
use fnox_vault_wire::methods::{
    AccessSecret, RenewLease, RevocationReason, RevokeLease, RevokeToken,
};
use rustix::process::geteuid;

use crate::support;
use crate::vault_process::{self, Home, SECRET, access, request, verify_audit};

const NOBODY: u32 = 65534;
const VALUE: &str = "canary-of-a-value-under-load-5d1f0a77";
const LENT: &str = "LENT_TOKEN";
const NEW: &str = "canary-of-its-next-version-90c3be14";

/// Gives a folder and everything in it to a user.
fn give(folder: &Path, user: u32) {
    chown(folder, Some(user), Some(user)).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            give(&entry.path(), user);
        } else {
            std::os::unix::fs::lchown(entry.path(), Some(user), Some(user)).unwrap();
        }
    }
}

/// Lets a command run as a user without rights, since nothing is hidden from root.
fn without_rights(mut invocation: Invocation) -> Invocation {
    if geteuid().is_root() {
        invocation.command().uid(NOBODY).gid(NOBODY);
    }
    invocation
}

/// What the same user reads of a process.
fn spied(home: &Home, id: u32, file: &str) -> Run {
    let path = format!("/proc/{id}/{file}");
    let spy = home.sandbox.run_program("cat", [path]);
    without_rights(spy).limit(Duration::from_mins(1)).finish()
}

#[test]
fn other_processes_of_the_user_read_nothing_of_the_vault() {
    let home = Home::new();
    if geteuid().is_root() {
        give(home.sandbox.root(), NOBODY);
    }
    let vault = home.started(without_rights(home.sandbox.run(["vault", "serve"])));
    for file in ["environ", "maps", "auxv", "mem"] {
        let run = spied(&home, vault.id(), file);
        assert_ne!(run.code, Some(0), "{file}: {run}");
        assert!(run.stderr.contains("ermission denied"), "{file}: {run}");
        assert_eq!(run.stdout, "");
    }
    // What belongs to a process that may not be dumped belongs to root (proc(5)).
    let user = if geteuid().is_root() {
        NOBODY
    } else {
        geteuid().as_raw()
    };
    let owner = std::fs::metadata(format!("/proc/{}/mem", vault.id()))
        .unwrap()
        .uid();
    assert_ne!(owner, user);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", vault.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{limits}");
    assert_eq!(vault.status("Umask"), 77);
    // The test can fail: any other program can be read.
    let sleeper = home.sandbox.run_program("sleep", ["600"]);
    let sleeper = without_rights(sleeper).start();
    assert!(
        spied(&home, sleeper.id(), "environ")
            .stdout
            .contains("HOME=")
    );
    vault.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_variable_with_the_key_reaches_no_program_that_the_vault_lends_to() {
    let key = "4bd1".repeat(16);
    let home = Home::within(support::sandbox().with_env("THE_VAULTS_KEY", &key));
    let source = "env:THE_VAULTS_KEY";
    home.settle_with(&["--key", source], &[&format!("key = \"{source}\"")]);
    let vault = home.serve();
    vault_process::store(&vault.administrator().await, VALUE).await;
    let secret = format!("{SECRET}@{}=LENT", vault_process::HOST);
    let lend = [
        "exec", "--agent", "agent-1", "--secret", &secret, "--", "env",
    ];
    let agents = home.agents_socket();
    for (name, value) in [
        ("NOTHING", ""),
        // Neither hides what vault.toml says.
        ("FNOX_VAULT_AGENT_SOCKET", agents.to_str().unwrap()),
        ("FNOX_VAULT_KEY", "env:ANOTHER_KEY"),
    ] {
        let arguments = [&["vault"], &lend[..]].concat();
        let run = home.sandbox.run(arguments).env(name, value);
        let run = run.env("ANOTHER_KEY", &key).finish().succeeds();
        assert!(
            run.stdout.contains(&format!("LENT={VALUE}")),
            "{name}: {run}"
        );
        assert!(!run.stdout.contains("THE_VAULTS_KEY"), "{name}: {run}");
        let is_kept = run.stdout.contains("ANOTHER_KEY=");
        assert_eq!(is_kept, name != "FNOX_VAULT_KEY", "{name}: {run}");
    }
    let ended = vault.end();
    let outputs = [
        ("stdout", ended.stdout.as_bytes()),
        ("stderr", ended.stderr.as_bytes()),
    ];
    Canary::new(&key).assert_absent(
        &outputs,
        &[&home.sandbox.home(), &home.sandbox.runtime_folder()],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_variable_with_the_key_reaches_no_program_that_the_vault_asks() {
    let key = "e7a0".repeat(16);
    let home = Home::within(support::sandbox().with_env("THE_VAULTS_KEY", &key));
    let source = "env:THE_VAULTS_KEY";
    home.settle_with(&["--key", source], &[&format!("key = \"{source}\"")]);
    home.sandbox.write(
        "fnox.toml",
        format!(
            "[providers]\npass = {{ type = \"password-store\" }}\n\
             [secrets]\n{LENT} = {{ provider = \"pass\", value = \"x\" }}\n"
        ),
    );
    let policy = home.sandbox.config_folder().join("policy.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    home.sandbox
        .write_private(&policy, text.replace(SECRET, LENT));
    let store = home.sandbox.home().join(".password-store");
    home.sandbox.write(store.join(".gpg-id"), "nobody\n");
    home.sandbox.write(store.join("x.gpg"), "sealed");
    let script = "#!/bin/sh\nenv > \"$HOME/seen\"\necho a-value\n";
    home.sandbox.write_program("pass", script);
    let serve = ["vault", "serve", "--from-project"];
    let vault = home.started(home.sandbox.run(serve));
    let secret = format!("{LENT}@{}", vault_process::HOST);
    let lend = [
        "exec", "--agent", "agent-1", "--secret", &secret, "--", "env",
    ];
    let run = home.run(&lend).succeeds();
    assert!(run.stdout.contains("a-value"), "{run}");
    let seen = std::fs::read_to_string(home.sandbox.home().join("seen")).unwrap();
    assert!(seen.contains("HOME="), "{seen}");
    assert!(!seen.contains("THE_VAULTS_KEY"), "{seen}");
    vault.end();
}

/// All kinds of requests, good and bad; the tokens that were made, and the outputs of commands.
async fn everything(home: &Home, vault: &vault_process::Process) -> (Vec<String>, Vec<Run>) {
    let administrator = vault.administrator().await;
    vault_process::store(&administrator, VALUE).await;
    let created = vault_process::token(&administrator, "agent-1")
        .await
        .unwrap();
    let withdrawn = vault_process::token(&administrator, "agent-2")
        .await
        .unwrap();
    let agent = vault.agent(&created.token).await.unwrap();
    let grant = request(&agent, "agent-1", Some(2)).await.unwrap();
    assert_eq!(access(&agent, grant.lease_id).await.unwrap(), VALUE);
    let elsewhere = AccessSecret::new(grant.lease_id, "evil.example");
    agent.call(&elsewhere).await.unwrap_err();
    let set = home
        .sandbox
        .run(["vault", "secret", "set", SECRET])
        .stdin(NEW);
    let mut runs = vec![set.env("RUST_LOG", "trace").finish().succeeds()];
    let renewal = RenewLease {
        lease_id: grant.lease_id,
        extension_secs: 600,
    };
    agent.call(&renewal).await.unwrap();
    assert_eq!(access(&agent, grant.lease_id).await.unwrap(), NEW);
    access(&agent, grant.lease_id).await.unwrap_err();
    let release = RevokeLease {
        lease_id: grant.lease_id,
        reason: RevocationReason::Released,
    };
    agent.call(&release).await.unwrap();
    let id = withdrawn.id;
    administrator.call(&RevokeToken { id }).await.unwrap();
    vault.agent(&withdrawn.token).await.unwrap_err();
    verify_audit(&administrator).await;
    let backup = home.sandbox.home().join("backup.db");
    for arguments in [
        vec!["key", "rotate"],
        vec!["backup", backup.to_str().unwrap()],
        vec!["audit", "export"],
        vec!["audit", "checkpoint"],
    ] {
        let run = home.sandbox.run([&["vault"], &arguments[..]].concat());
        runs.push(run.env("RUST_LOG", "trace").finish().succeeds());
    }
    let tokens = [created.token, withdrawn.token].map(|token| token.expose_secret().to_owned());
    (tokens.to_vec(), runs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_that_logs_everything_and_is_killed_leaves_no_secret_behind() {
    let home = Home::without_vault();
    home.settle(&["[audit]", "stdout = true"]);
    let vault = home.serve_through(&["env", "RUST_LOG=trace"]);
    let (tokens, mut runs) = everything(&home, &vault).await;
    // With the write-ahead log as it is.
    runs.push(vault.kill());
    let wal = home.data_folder().join("vault.db-wal");
    assert!(wal.metadata().unwrap().len() > 0);
    let outputs: Vec<(&str, &[u8])> = runs
        .iter()
        .flat_map(|run| {
            [
                ("stdout", run.stdout.as_bytes()),
                ("stderr", run.stderr.as_bytes()),
            ]
        })
        .collect();
    let served = runs.last().unwrap();
    assert!(served.stderr.contains("DEBUG"), "it did not log everything");
    assert!(served.stdout.contains("secret_accessed"), "no audit stream");
    let folders = [
        home.sandbox.home(),
        home.sandbox.runtime_folder(),
        home.sandbox.root().join("tmp"),
    ];
    let folders: Vec<&Path> = folders.iter().map(AsRef::as_ref).collect();
    let values = [VALUE.to_owned(), NEW.to_owned()];
    for canary in values.iter().chain(&tokens) {
        Canary::new(canary).assert_absent(&outputs, &folders);
    }
    // The key's own file is the one place for it.
    let file = home.sandbox.config_folder().join("vault.key");
    let key = std::fs::read_to_string(&file).unwrap();
    let key = key.split_whitespace().last().unwrap().to_owned();
    assert_eq!(key.len(), 64);
    let sightings = Canary::new(&key).sightings(&outputs, &folders);
    let places: Vec<&str> = sightings.iter().map(|one| one.place.as_str()).collect();
    assert_eq!(places, [file.to_str().unwrap()]);
    let bytes = hex(&key);
    Canary::new(bytes).assert_absent(&outputs, &[&home.data_folder()]);
}

fn hex(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}
