//! What is opened, and what is refused.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use fnox_store_sqlite::{SqliteOptions, SqliteStore};
use fnox_vault::store::{LeaseStore as _, StoreError};
use rusqlite::Connection;

use crate::support::{CLOCK, Place, create, grant, lease, verify};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn refusal(path: &Path) -> StoreError {
    SqliteStore::open(path, create()).unwrap_err()
}

#[tokio::test]
async fn a_new_file_and_all_beside_it_are_the_users_alone() {
    let place = Place::new();
    let path = place.beside("deep/er/vault.db");
    let store = crate::support::open(&path).await.unwrap();
    grant(&store, &lease("a")).await.unwrap();
    let folder = path.parent().unwrap();
    assert_eq!(mode(folder), 0o700);
    let mut names = Vec::new();
    for found in fs::read_dir(folder).unwrap() {
        let found = found.unwrap().path();
        assert_eq!(mode(&found), 0o600, "{}", found.display());
        names.push(found.file_name().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(
        names,
        [
            "vault.db",
            "vault.db-shm",
            "vault.db-wal",
            "vault.db.lock",
            "vault.db.mark"
        ]
    );
}

#[test]
fn a_file_that_is_not_there_is_only_created_if_told() {
    let place = Place::new();
    let error = SqliteStore::open(&place.path(), SqliteOptions::default()).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!(!place.path().exists());
}

#[tokio::test]
async fn a_file_of_others_or_open_to_them_is_refused() {
    let place = Place::new();
    drop(place.open().await);
    for wide in [0o640, 0o604, 0o660] {
        set_mode(&place.path(), wide);
        let error = refusal(&place.path()).to_string();
        assert!(error.contains("other users can open it"), "{error}");
    }
    set_mode(&place.path(), 0o600);
    set_mode(place.folder.path(), 0o777);
    let error = refusal(&place.path()).to_string();
    assert!(error.contains("other users can replace files"), "{error}");
    set_mode(place.folder.path(), 0o700);
    let link = place.beside("link.db");
    symlink(place.path(), &link).unwrap();
    let error = refusal(&link).to_string();
    assert!(error.contains("not a regular file"), "{error}");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(place.path(), Some(12_345), None).unwrap();
        let error = refusal(&place.path()).to_string();
        assert!(
            error.contains("belongs to another user (uid 12345)"),
            "{error}"
        );
        std::os::unix::fs::chown(place.path(), Some(0), None).unwrap();
    }
    place.open().await;
}

#[test]
fn what_is_not_a_vault_is_refused_and_left_alone() {
    let place = Place::new();
    let path = place.path();
    let text = "this is no database at all, and long enough to be sure of it".repeat(20);
    let database = {
        let db = Connection::open(place.beside("other.db")).unwrap();
        db.execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
        drop(db);
        fs::read(place.beside("other.db")).unwrap()
    };
    for content in [text.into_bytes(), database] {
        fs::write(&path, &content).unwrap();
        set_mode(&path, 0o600);
        let error = refusal(&path);
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[test]
fn an_empty_file_is_a_creation_that_was_cut_short() {
    let place = Place::new();
    fs::write(place.path(), "").unwrap();
    set_mode(&place.path(), 0o600);
    let error = SqliteStore::open(&place.path(), SqliteOptions::default()).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    drop(SqliteStore::open(&place.path(), create()).unwrap());
    drop(SqliteStore::open(&place.path(), SqliteOptions::default()).unwrap());
}

#[tokio::test]
async fn a_store_of_a_newer_fnox_is_refused() {
    let place = Place::new();
    drop(place.open().await);
    let db = Connection::open(place.path()).unwrap();
    db.execute(
        "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
         VALUES (99, 'future', '2030-01-01T00:00:00Z', '0')",
        [],
    )
    .unwrap();
    drop(db);
    let error = refusal(&place.path());
    assert!(
        matches!(
            error,
            StoreError::Newer {
                found: 99,
                known: 2,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let place = Place::new();
    let store = place.open().await;
    for number in 0..200 {
        grant(&store, &lease(&format!("agent {number}")))
            .await
            .unwrap();
    }
    drop(store);
    let mut content = fs::read(place.path()).unwrap();
    assert!(content.len() > 20 * 4096);
    for page in 5..20 {
        content[page * 4096..page * 4096 + 64].fill(0xa5);
    }
    fs::write(place.path(), content).unwrap();
    let error = refusal(&place.path());
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn one_vault_at_a_time_has_the_file() {
    let place = Place::new();
    let store = place.open().await;
    let error = refusal(&place.path());
    let StoreError::Locked { holder, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(holder, &std::process::id().to_string());
    let error = SqliteStore::restore(&place.path(), &place.path(), &CLOCK).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    let copy = store.clone();
    drop(store);
    assert!(SqliteStore::open(&place.path(), create()).is_err());
    drop(copy);
    place.open().await;
}

#[tokio::test]
async fn closing_waits_for_what_was_asked() {
    let place = Place::new();
    let store = place.open().await;
    for number in 0..100 {
        let one = lease(&format!("agent {number}"));
        grant(&store, &one).await.unwrap();
    }
    drop(store);
    assert!(
        !place.beside("vault.db-wal").exists(),
        "one whole file is left"
    );
    let store = place.open().await;
    assert_eq!(store.live_leases().await.unwrap().len(), 100);
    assert_eq!(verify(&store).await.records, 100);
}
