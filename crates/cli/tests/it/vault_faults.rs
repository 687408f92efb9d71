//! Disks that are full, that fail, that cannot be written: nothing is answered that is not durable, the vault
//! says what is wrong, and goes on by itself once it can.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use fnox_testkit::wait::until;
use fnox_vault_wire::methods::{LeaseStatus, ListLeases};
use fnox_vault_wire::{Client, ClientError, Code, LeaseId};

use crate::vault_process::{
    self, Home, LIMIT, Process, SmallDisk, access, health, refuses, request, verify_audit,
};

/// More grants than any disk here holds.
const MANY: usize = 20_000;

/// What a client was answered while a disk was at its end.
#[derive(Debug, Default)]
struct Answered {
    granted: Vec<LeaseId>,
    uses: u32,
}

/// The code must say that it is the store, and the message what is wrong with it.
#[track_caller]
fn is_clear(error: &ClientError, words: &[&str]) {
    let ClientError::Remote(error) = error else {
        panic!("not the vault's own error: {error:?}");
    };
    let code = error.known_code();
    assert!(
        matches!(code, Some(Code::Storage | Code::AuditUnavailable)),
        "{error:?}"
    );
    assert!(
        words.iter().any(|word| error.message.contains(word)),
        "{error:?}"
    );
}

/// Grants until it fails; the error.
async fn fill(agent: &Client, answered: &mut Answered) -> ClientError {
    loop {
        match request(agent, "agent-1", Some(1_000_000)).await {
            Ok(grant) => answered.granted.push(grant.lease_id),
            Err(error) => return error,
        }
        assert!(answered.granted.len() < MANY, "the disk never was full");
    }
}

/// A vault, an administrator, an agent, and a lease that the agent has used.
async fn prepare(vault: &Process) -> (Client, Client, Answered) {
    let administrator = vault.administrator().await;
    vault_process::store(&administrator, "value").await;
    let token = vault_process::token(&administrator, "agent-1").await;
    let agent = vault.agent(&token.unwrap().token).await.unwrap();
    let grant = request(&agent, "agent-1", Some(1_000_000)).await.unwrap();
    access(&agent, grant.lease_id).await.unwrap();
    let answered = Answered {
        granted: vec![grant.lease_id],
        uses: 1,
    };
    (administrator, agent, answered)
}

/// What was answered is there after a crash, and nothing else but what an error left open.
async fn is_there(home: &Home, answered: &Answered, open: u32) {
    let vault = home.serve();
    let administrator = vault.administrator().await;
    verify_audit(&administrator).await;
    let mut query = ListLeases {
        all: true,
        ..ListLeases::default()
    };
    let mut leases = Vec::new();
    loop {
        let page = administrator.call(&query).await.unwrap();
        leases.extend(page.leases);
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    for id in &answered.granted {
        let lease = leases.iter().find(|lease| lease.lease_id == *id);
        let lease = lease.unwrap_or_else(|| panic!("{id} was granted and is lost"));
        assert_eq!(lease.status, LeaseStatus::Active);
    }
    let first = answered.granted[0];
    let first = leases.iter().find(|lease| lease.lease_id == first).unwrap();
    let range = answered.uses..=answered.uses + open;
    assert!(range.contains(&first.uses), "{range:?}: {first:?}");
    let most = answered.granted.len() + usize::try_from(open).unwrap();
    assert!(leases.len() <= most, "{} leases of {most}", leases.len());
    vault.end();
}

/// Fills the disk, makes room by `make_room`, and sees the vault go on.
async fn a_full_disk_heals(home: &Home, vault: Process, make_room: impl FnOnce(&Process)) {
    let words = ["full", "space", "disk"];
    let (administrator, agent, mut answered) = prepare(&vault).await;
    assert_eq!(health(&administrator).await.status, "ok");
    let error = fill(&agent, &mut answered).await;
    is_clear(&error, &words);
    let report = health(&administrator).await;
    assert_eq!(report.status, "degraded");
    let problems = report.details.unwrap().problems.join("\n");
    assert!(
        words.iter().any(|word| problems.contains(word)),
        "{problems}"
    );
    // A use cannot be put on record, so there is no value; what is not durable is no answer.
    let mut open = 0;
    let error = access(&agent, answered.granted[0]).await.unwrap_err();
    is_clear(&error, &words);
    open += 1;
    // Another connection is told the same, unless the record of its coming in just fits.
    let shown = home.sandbox.run(["vault", "status"]).finish();
    let refused = shown.code == Some(6) && shown.stderr.contains("vault::unavailable");
    assert!(refused || shown.code == Some(0), "{shown}");

    make_room(&vault);
    let grant = request(&agent, "agent-1", None).await.unwrap();
    answered.granted.push(grant.lease_id);
    access(&agent, answered.granted[0]).await.unwrap();
    answered.uses += 1;
    assert_eq!(health(&administrator).await.status, "ok");
    verify_audit(&administrator).await;
    vault.kill();
    // The request that found no room is open too.
    is_there(home, &answered, open + 1).await;
}

#[tokio::test]
async fn a_full_disk_stops_the_vault_from_answering_until_there_is_room() {
    let home = Home::without_vault();
    let Some(_disk) = SmallDisk::mount(&home.data_folder(), "2m") else {
        eprintln!("only root can mount a small disk; the limit on file sizes is tested instead");
        return;
    };
    home.settle(&[]);
    let ballast = home.data_folder().join("ballast");
    std::fs::write(&ballast, vec![0; 600 * 1024]).unwrap();
    let vault = home.serve();
    a_full_disk_heals(&home, vault, |_| std::fs::remove_file(&ballast).unwrap()).await;
}

#[tokio::test]
async fn a_limit_on_file_sizes_is_told_as_a_full_disk_and_does_not_end_the_vault() {
    let home = Home::new();
    let vault = home.serve_through(&["prlimit", "--fsize=600000:unlimited"]);
    a_full_disk_heals(&home, vault, |vault| {
        let raised = Command::new("prlimit")
            .args(["--fsize=unlimited", "--pid", &vault.id().to_string()])
            .output()
            .unwrap();
        assert!(raised.status.success(), "{raised:?}");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs strace"]
async fn a_sync_that_fails_is_an_error_and_never_an_answer() {
    for failing in ["20..24", "20+"] {
        let home = Home::new();
        let rule = format!("inject=fdatasync,fsync:error=EIO:when={failing}");
        // strace as a grandchild (-D), so that the vault is the process that is killed.
        let vault = home.serve_through(&[
            "strace",
            "-D",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=fdatasync,fsync",
            "-e",
            &rule,
        ]);
        let (administrator, agent, mut answered) = prepare(&vault).await;
        let mut errors = 0;
        let mut recovered = false;
        for _ in 0..40 {
            let granted = request(&agent, "agent-1", None).await;
            let used = access(&agent, answered.granted[0]).await;
            recovered |= errors > 0 && granted.is_ok();
            for error in [granted.as_ref().err(), used.as_ref().err()] {
                let Some(error) = error else { continue };
                is_clear(error, &["disk", "I/O", "sync"]);
                errors += 1;
            }
            answered.granted.extend(granted.map(|grant| grant.lease_id));
            answered.uses += u32::from(used.is_ok());
        }
        assert!(errors > 0, "no sync failed");
        assert_eq!(recovered, failing != "20+", "{failing}: {errors} errors");
        let expected = if recovered { "ok" } else { "degraded" };
        assert_eq!(health(&administrator).await.status, expected);
        vault.kill();
        is_there(&home, &answered, errors).await;
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_told_at_the_start() {
    let home = Home::without_vault();
    let disk = SmallDisk::mount(&home.data_folder(), "4m");
    home.settle(&[]);
    home.serve().end();
    let mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(home.data_folder(), permissions).unwrap();
    };
    if let Some(disk) = &disk {
        // Nothing is forbidden to root but a file system that is read-only.
        disk.make_read_only();
    } else {
        // With them there the store itself could be written, and the vault would serve.
        for log in ["vault.db-wal", "vault.db-shm"] {
            let _ = std::fs::remove_file(home.data_folder().join(log));
        }
        mode(0o500);
    }
    let error = refuses(home.sandbox.run(["vault", "serve"]), 6);
    assert!(error.contains("vault::store"), "{error}");
    assert!(error.contains("vault.db"), "{error}");
    if disk.is_none() {
        mode(0o700);
        home.serve().end();
    }
}

#[tokio::test]
async fn a_store_that_fills_up_between_two_starts_says_so_and_keeps_what_it_has() {
    let home = Home::new();
    let vault = home.serve();
    let (_administrator, _agent, answered) = prepare(&vault).await;
    vault.kill();
    // What the killed vault left must be written home first, for which there is no room.
    let mut limited = home.wrapped(&["prlimit", "--fsize=4096:unlimited"]);
    limited = limited.limit(LIMIT);
    let mut running = limited.start();
    let socket = home.agents_socket();
    until("a refusal, or a vault", LIMIT, || {
        !running.is_running() || std::os::unix::net::UnixStream::connect(&socket).is_ok()
    });
    if running.is_running() {
        running.signal(rustix::process::Signal::KILL);
    }
    let ended = running.finish();
    assert!(!ended.stderr.contains("panicked"), "{ended}");
    assert!(ended.signal == Some(9) || ended.code == Some(6), "{ended}");
    is_there(&home, &answered, 0).await;
}
