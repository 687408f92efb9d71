//! The ledger at rest: sealed, bound to its folder, with its key where the ledger says.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fnox_core::{ExitStatus, SecretString};
use fnox_leases::ledger::key::KeyStore;
use fnox_leases::{LedgerError, Manager};

use crate::child::intent;
use crate::support::Project;

/// A keychain in memory that can be locked.
#[derive(Debug, Clone, Default)]
struct Keychain {
    text: Arc<Mutex<Option<SecretString>>>,
    locked: Arc<Mutex<bool>>,
}

#[async_trait]
impl KeyStore for Keychain {
    fn origin(&self) -> String {
        "the keychain".to_owned()
    }

    async fn load(&self) -> Result<Option<SecretString>, LedgerError> {
        if *self.locked.lock().unwrap() {
            return Err(LedgerError::KeyUnavailable {
                origin: self.origin(),
                reason: "it is locked".to_owned(),
                ledger: None,
            });
        }
        Ok(self.text.lock().unwrap().clone())
    }

    async fn create(&self, text: &SecretString) -> Result<(), LedgerError> {
        self.text.lock().unwrap().get_or_insert(text.clone());
        Ok(())
    }
}

fn manager<'p>(project: &'p Project, keychain: &Keychain) -> Manager<'p> {
    Manager::with_keychain(project.options(), Box::new(keychain.clone()))
}

async fn add(manager: &Manager<'_>, record: &str) -> Result<(), LedgerError> {
    let entry = intent(record);
    manager
        .ledger()
        .update(entry.created_at, |entries| entries.push(entry))
        .await
}

async fn count(manager: &Manager<'_>) -> usize {
    manager.ledger().open().await.unwrap().entries.len()
}

#[tokio::test]
async fn nothing_but_the_header_can_be_read() {
    let project = Project::new("");
    let manager = project.manager();
    add(&manager, "a-record-name").await.unwrap();
    let text = std::fs::read_to_string(manager.ledger().path()).unwrap();
    for wanted in ["version = 1", "source = \"file\"", "XChaCha20-Poly1305"] {
        assert!(text.contains(wanted), "{text}");
    }
    fnox_testkit::Canary::new("a-record-name").assert_absent(&[], &[&project.root]);
    for (path, mode) in [
        (project.leases_folder(), 0o700),
        (project.leases_folder().join("ledger.key"), 0o600),
        (manager.ledger().path().to_owned(), 0o600),
    ] {
        let found = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{}", path.display());
    }
}

#[tokio::test]
async fn the_path_is_the_one_of_the_established_cli() {
    let project = Project::new("");
    let folder = project.config.project_dir.to_str().unwrap();
    let hash = blake3::hash(folder.as_bytes()).to_hex();
    let wanted = project
        .leases_folder()
        .join(format!("{}.toml", &hash[..16]));
    assert_eq!(project.manager().ledger().path(), wanted);
}

#[tokio::test]
async fn a_ledger_of_another_folder_does_not_open_here() {
    let (one, two) = (Project::new(""), Project::new(""));
    add(&one.manager(), "a").await.unwrap();
    add(&two.manager(), "b").await.unwrap();
    let key = "ledger.key";
    std::fs::copy(one.leases_folder().join(key), two.leases_folder().join(key)).unwrap();
    std::fs::copy(one.manager().ledger().path(), two.manager().ledger().path()).unwrap();
    let error = two.manager().ledger().open().await.unwrap_err();
    assert_eq!(error.code(), "ledger::sealed");
}

#[tokio::test]
async fn a_key_that_is_gone_or_open_to_others_stops_the_run_and_changes_nothing() {
    let project = Project::new("");
    let manager = project.manager();
    add(&manager, "a").await.unwrap();
    let before = std::fs::read(manager.ledger().path()).unwrap();
    let key = project.leases_folder().join("ledger.key");

    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = add(&manager, "b").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert!(error.to_string().contains("ledger.key"), "{error}");

    let text = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let error = add(&manager, "b").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert!(error.to_string().contains("ledger.key"), "{error}");
    assert!(
        !key.exists(),
        "a new key must not be made over an old ledger"
    );

    std::fs::write(
        &key,
        "0123456789abcdef bm90IHRoZSBrZXkgbm90IHRoZSBrZXkgbm90IHRoZSE=\n",
    )
    .unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let error = add(&manager, "b").await.unwrap_err();
    assert!(
        matches!(error, LedgerError::KeyUnavailable { .. }),
        "{error}"
    );

    std::fs::write(&key, text).unwrap();
    assert_eq!(before, std::fs::read(manager.ledger().path()).unwrap());
    assert_eq!(count(&manager).await, 1);
}

#[tokio::test]
async fn a_locked_keychain_stops_the_run_and_names_itself() {
    let project = Project::new("[ledger]\nkey = 'keychain'\n");
    let keychain = Keychain::default();
    add(&manager(&project, &keychain), "a").await.unwrap();
    assert!(!project.leases_folder().join("ledger.key").exists());
    *keychain.locked.lock().unwrap() = true;
    let error = manager(&project, &keychain).list().await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    assert!(
        error.to_string().contains("the keychain: it is locked"),
        "{error}"
    );
}

#[tokio::test]
async fn another_source_takes_over_with_the_next_write() {
    let mut project = Project::new("");
    let keychain = Keychain::default();
    add(&manager(&project, &keychain), "a").await.unwrap();
    project.edit("[ledger]\nkey = 'keychain'\n");
    assert_eq!(count(&manager(&project, &keychain)).await, 1);
    assert!(keychain.text.lock().unwrap().is_none());
    add(&manager(&project, &keychain), "b").await.unwrap();
    std::fs::remove_file(project.leases_folder().join("ledger.key")).unwrap();
    assert_eq!(count(&manager(&project, &keychain)).await, 2);
    // The ledger says where its key is, whatever the configuration says by now.
    project.edit("");
    assert_eq!(count(&manager(&project, &keychain)).await, 2);
}

#[tokio::test]
async fn a_plain_ledger_is_taken_over_and_sealed_by_the_next_write() {
    let project = Project::new("");
    let manager = project.manager();
    let path = manager.ledger().path().to_owned();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(
        &path,
        "[[leases]]\nlease_id = 'AROA-1'\nbackend_name = 'aws'\nlabel = 'l'\nrevoked = false\n\
         created_at = '2098-12-31T23:00:00Z'\nexpires_at = '2099-01-01T00:00:00Z'\n\
         config_hash = '0123456789abcdef'\n[leases.cached_credentials]\nAWS_SECRET_ACCESS_KEY = 'plain-text-secret'\n",
    )
    .unwrap();
    assert_eq!(manager.list().await.unwrap()[0].lease_id, "AROA-1");
    add(&manager, "b").await.unwrap();
    assert_eq!(count(&manager).await, 2);
    fnox_testkit::Canary::new("plain-text-secret").assert_absent(&[], &[&project.root]);
    let done = manager.revoke("AROA-1").await.unwrap();
    assert!(done[0].failure().is_none(), "{done:?}");
}

#[tokio::test]
async fn what_is_no_ledger_is_left_as_it_is() {
    let project = Project::new("");
    let manager = project.manager();
    let path = manager.ledger().path().to_owned();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    for text in ["version = 2\n", "garbage", "[key]\nid = 'x'\n"] {
        std::fs::write(&path, text).unwrap();
        let error = add(&manager, "b").await.unwrap_err();
        assert_eq!(error.code(), "ledger::malformed", "{text}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[tokio::test]
async fn many_first_writers_agree_on_one_key() {
    let project = Project::new("");
    let names: Vec<String> = (0..32).map(|number| format!("r{number}")).collect();
    let managers: Vec<Manager<'_>> = names.iter().map(|_| project.manager()).collect();
    let all = managers
        .iter()
        .zip(&names)
        .map(|(manager, name)| add(manager, name));
    for result in futures_util::future::join_all(all).await {
        result.unwrap();
    }
    assert_eq!(count(&project.manager()).await, 32);
}

#[tokio::test]
async fn a_headless_machine_is_told_what_is_missing() {
    let project = Project::new("[ledger]\nkey = 'keychain'\n");
    let error = add(&project.manager(), "a").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    let text = error.to_string();
    assert!(
        text.contains("fnox-ledger") && text.contains("session bus"),
        "{text}"
    );
}

#[tokio::test]
#[ignore = "needs dbus-daemon and gnome-keyring-daemon"]
async fn a_real_keyring_keeps_the_key() {
    let session = fnox_testkit::services::Session::with_keyring();
    let variables = session.variables();
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let project = Project::with_env("[ledger]\nkey = 'keychain'\n", &variables);
    add(&project.manager(), "a").await.unwrap();
    add(&project.manager(), "b").await.unwrap();
    assert_eq!(count(&project.manager()).await, 2);
    assert!(!project.leases_folder().join("ledger.key").exists());
}
