//! Starts that must be refused, each for its own reason, with nothing changed; and copies of a store that revive
//! no right.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use fnox_vault_wire::methods::{
    LeaseGrant, LeaseStatus, ListLeases, RevocationReason, RevokeLease, RevokeToken,
};
use fnox_vault_wire::{Client, Code, TokenId};

use crate::support;
use crate::vault_process::{self, Home, Process, access, health, refuses, request, verify_audit};

fn serve(home: &Home, arguments: &[&str]) -> fnox_testkit::Invocation {
    home.sandbox.run([&["vault", "serve"], arguments].concat())
}

#[test]
fn a_wrong_key_is_refused_and_the_right_one_is_named() {
    let home = Home::new();
    let vault = home.serve();
    let report = support::json(&home.run(&["key", "status", "--json"]).succeeds().stdout);
    let expected = report["wrapping_key"].as_str().unwrap().to_owned();
    assert_eq!(expected.len(), 16);
    vault.end();
    let before = std::fs::read(home.store()).unwrap();
    home.sandbox
        .write_private("other.key", "11".repeat(32) + "\n");
    let error = refuses(serve(&home, &["--key", "file:other.key"]), 4);
    assert!(error.contains("vault::key"), "{error}");
    assert!(
        error.contains(&expected),
        "{error} does not name {expected}"
    );
    assert!(!error.contains("1111111111111111"), "{error}");
    assert_eq!(std::fs::read(home.store()).unwrap(), before);
    assert!(!home.socket().exists());
    home.serve().end();
}

#[tokio::test]
async fn a_second_vault_on_the_store_is_refused_and_the_first_goes_on() {
    let home = Home::new();
    let vault = home.serve();
    let administrator = vault.administrator().await;
    let sockets = ["--socket", "second.sock", "--agent-socket", "agents.sock"];
    let error = refuses(serve(&home, &sockets), 6);
    assert!(error.contains("in use by another vault"), "{error}");
    assert!(!home.sandbox.project().join("second.sock").exists());
    // By another name of the same file too.
    let link = home.sandbox.project().join("link.db");
    std::os::unix::fs::symlink(home.store(), link).unwrap();
    let by_link = [&["--store", "sqlite:link.db"], &sockets[..]].concat();
    refuses(serve(&home, &by_link), 6);
    assert_eq!(health(&administrator).await.status, "ok");
    vault.kill();
    // A lock of a process that is gone holds nobody up.
    home.serve().end();
}

#[test]
fn a_store_of_a_newer_version_is_left_as_it_is() {
    let home = Home::new();
    home.serve().end();
    let db = rusqlite::Connection::open(home.store()).unwrap();
    db.execute("UPDATE refinery_schema_history SET version = 99 WHERE version = (SELECT max(version) FROM refinery_schema_history)", [])
        .unwrap();
    drop(db);
    let before = std::fs::read(home.store()).unwrap();
    let error = refuses(serve(&home, &[]), 3);
    assert!(error.contains("99") && error.contains("newer"), "{error}");
    assert_eq!(std::fs::read(home.store()).unwrap(), before);
}

#[test]
fn another_programs_database_is_left_as_it_is() {
    let home = Home::new();
    let file = home.sandbox.project().join("notes.db");
    let db = rusqlite::Connection::open(&file).unwrap();
    db.execute_batch("CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('mine')")
        .unwrap();
    drop(db);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let before = std::fs::read(&file).unwrap();
    let error = refuses(serve(&home, &["--store", "sqlite:notes.db"]), 3);
    assert!(error.contains("another program's"), "{error}");
    // `init` does not take it over either.
    let init = [
        "vault",
        "init",
        "--store",
        "sqlite:notes.db",
        "--config",
        "new.toml",
    ];
    let run = home.sandbox.run(init).finish();
    assert!(run.code.is_some_and(|code| code != 0), "{run}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    for suffix in ["-wal", "-shm", "-journal"] {
        assert!(
            !home
                .sandbox
                .project()
                .join(format!("notes.db{suffix}"))
                .exists()
        );
    }
}

#[test]
fn a_place_that_cannot_be_the_vaults_socket_is_left_as_it_is() {
    let home = Home::new();
    let long = "x".repeat(120);
    let error = refuses(serve(&home, &["--agent-socket", &long]), 6);
    assert!(
        error.contains("vault::socket") && error.contains("107"),
        "{error}"
    );
    assert!(!home.socket().exists(), "the first socket stays behind");
    // A file that is no socket.
    home.sandbox.write("file.sock", "mine");
    let error = refuses(serve(&home, &["--socket", "file.sock"]), 6);
    assert!(error.contains("file.sock"), "{error}");
    assert_eq!(home.sandbox.read("file.sock"), "mine");
    // A socket on which another program listens.
    let path = home.sandbox.project().join("taken.sock");
    let listener = UnixListener::bind(&path).unwrap();
    refuses(serve(&home, &["--socket", "taken.sock"]), 6);
    drop(listener);
    // One of another user, on which nobody listens.
    if rustix::process::geteuid().is_root() {
        chown(&path, Some(65534), Some(65534)).unwrap();
        let error = refuses(serve(&home, &["--socket", "taken.sock"]), 6);
        assert!(error.contains("taken.sock"), "{error}");
        assert!(path.metadata().unwrap().file_type().is_socket());
        chown(&path, Some(0), Some(0)).unwrap();
    }
    // One's own is what a killed vault leaves.
    let agents = home.agents_socket();
    let sockets = [
        "--socket",
        "taken.sock",
        "--agent-socket",
        agents.to_str().unwrap(),
    ];
    home.started(serve(&home, &sockets)).end();
    assert!(!path.exists());
}

/// Rights of every kind, all of them still good.
struct Rights {
    copy: PathBuf,
    token: fnox_core::SecretString,
    token_id: TokenId,
    /// To be spent, to be withdrawn, to be left as it is; of the agent and of the administrator.
    of_agent: [LeaseGrant; 3],
    of_administrator: [LeaseGrant; 3],
}

async fn three(client: &Client) -> [LeaseGrant; 3] {
    let one = async || request(client, "agent-1", Some(1)).await.unwrap();
    [one().await, one().await, one().await]
}

/// Grants rights, takes a copy while others are served, and then uses and withdraws what was granted.
async fn copied_and_used(home: &Home, vault: &Process) -> Rights {
    let administrator = vault.administrator().await;
    vault_process::store(&administrator, "value").await;
    let created = vault_process::token(&administrator, "agent-1")
        .await
        .unwrap();
    let agent = vault.agent(&created.token).await.unwrap();
    let rights = Rights {
        copy: home.sandbox.home().join("copy.db"),
        token: created.token,
        token_id: created.id,
        of_agent: three(&agent).await,
        of_administrator: three(&administrator).await,
    };
    let busy = tokio::spawn({
        let agent = agent.clone();
        async move { while request(&agent, "agent-1", None).await.is_ok() {} }
    });
    let run = home.run(&["backup", rights.copy.to_str().unwrap()]);
    run.succeeds();
    for (client, [used, withdrawn, _]) in [
        (&agent, &rights.of_agent),
        (&administrator, &rights.of_administrator),
    ] {
        assert_eq!(access(client, used.lease_id).await.unwrap(), "value");
        let params = RevokeLease {
            lease_id: withdrawn.lease_id,
            reason: RevocationReason::Released,
        };
        client.call(&params).await.unwrap();
    }
    let id = rights.token_id;
    administrator.call(&RevokeToken { id }).await.unwrap();
    busy.await.unwrap();
    rights
}

/// Nothing of it is good any more, and the vault grants and serves anew.
async fn nothing_is_revived(home: &Home, rights: &Rights) {
    let vault = home.serve();
    let administrator = vault.administrator().await;
    let refused = vault.agent(&rights.token).await.unwrap_err();
    assert_eq!(refused.known_code(), Some(Code::AuthenticationFailed));
    for grant in &rights.of_administrator {
        let refused = access(&administrator, grant.lease_id).await.unwrap_err();
        assert_eq!(refused.known_code(), Some(Code::LeaseRevoked), "{refused}");
    }
    let all = ListLeases {
        all: true,
        ..ListLeases::default()
    };
    let list = administrator.call(&all).await.unwrap();
    for grant in rights.of_agent.iter().chain(&rights.of_administrator) {
        let lease = list
            .leases
            .iter()
            .find(|lease| lease.lease_id == grant.lease_id);
        let lease = lease.unwrap();
        assert_eq!(lease.status, LeaseStatus::Revoked, "{lease:?}");
        assert_eq!(lease.reason, Some(RevocationReason::Restored), "{lease:?}");
    }
    let live = administrator.call(&ListLeases::default()).await.unwrap();
    assert!(live.leases.is_empty(), "{:?}", live.leases);
    verify_audit(&administrator).await;
    let grant = request(&administrator, "agent-1", Some(1)).await.unwrap();
    assert_eq!(
        access(&administrator, grant.lease_id).await.unwrap(),
        "value"
    );
    vault.kill();
    // Told once; a right of the restored vault outlives its restarts.
    let vault = home.serve();
    let administrator = vault.administrator().await;
    let spent = access(&administrator, grant.lease_id).await.unwrap_err();
    assert_eq!(spent.known_code(), Some(Code::LeaseExpired), "{spent}");
    vault.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_restored_revives_no_right() {
    let home = Home::new();
    let vault = home.serve();
    let rights = copied_and_used(&home, &vault).await;
    let copy = rights.copy.to_str().unwrap();
    // Not while a vault has the store open.
    home.run(&["restore", copy]).exits_with(6);
    vault.kill();
    home.run(&["restore", copy]).succeeds();
    nothing_is_revived(&home, &rights).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_somebody_puts_in_the_stores_place_revives_no_right() {
    let home = Home::new();
    let vault = home.serve();
    let rights = copied_and_used(&home, &vault).await;
    vault.end();
    replace(&rights.copy, &home.store());
    nothing_is_revived(&home, &rights).await;
}

/// What a person does who does not know of `fnox vault restore`.
fn replace(copy: &Path, store: &Path) {
    for suffix in ["-wal", "-shm"] {
        let mut beside = store.as_os_str().to_owned();
        beside.push(suffix);
        let _ = std::fs::remove_file(beside);
    }
    std::fs::copy(copy, store).unwrap();
}
