//! A whole vault on a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fnox_core::{AgentId, SecretBytes, SecretString, SystemClock};
use fnox_store_sqlite::{SqliteOptions, SqliteStore};
use fnox_vault::key_source::EnvKey;
use fnox_vault::policy::Policy;
use fnox_vault::{Engine, EngineOptions, EngineParts, Identity, PeerBinding};
use fnox_vault_wire::SecretValue;
use fnox_vault_wire::methods::{AccessSecret, RequestLease, Role, SecretKind, StoreSecret};

const POLICY: &str =
    "[[rule]]\nagent = \"coder\"\nsecret = \"token\"\nhosts = [\"a.com\"]\nmax_uses = 10\n";

fn parts(path: &Path, create: bool) -> EngineParts {
    let options = SqliteOptions {
        create,
        ..SqliteOptions::default()
    };
    let key = SecretString::from("5a".repeat(32).as_str());
    EngineParts {
        stores: SqliteStore::open(path, options).unwrap().stores(),
        live: None,
        source: Arc::new(EnvKey::new("FNOX_TEST_VAULT_KEY", Some(key)).unwrap()),
        policy: Policy::load(POLICY, "policy.toml").unwrap().policy,
        clock: Arc::new(SystemClock),
        options: EngineOptions::default(),
    }
}

fn coder() -> Identity {
    Identity {
        role: Role::Agent,
        agent: Some(AgentId::parse("coder").unwrap()),
        peer: PeerBinding::Uid(1000),
        origin: "unix(uid=1000)".to_owned(),
        expires_at: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_accesses_of_ten_uses_give_ten_values_and_none_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.db");
    let engine = Engine::create(parts(&path, true)).await.unwrap();
    let params = StoreSecret {
        name: "token".to_owned(),
        plaintext: SecretValue(SecretBytes::new(b"hunter2".to_vec())),
        kind: SecretKind::Opaque,
        description: None,
        tags: BTreeMap::new(),
        algorithm: None,
    };
    engine
        .store_secret(&Identity::local(), params)
        .await
        .unwrap();
    let request = RequestLease::new("coder", "token", "a.com");
    let lease_id = engine
        .request_lease(&coder(), &request)
        .await
        .unwrap()
        .lease_id;
    let params = AccessSecret::new(lease_id, "a.com");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let (engine, params) = (engine.clone(), params.clone());
        tasks.spawn(async move { engine.access_secret(&coder(), &params).await.is_ok() });
    }
    let delivered = tasks
        .join_all()
        .await
        .into_iter()
        .filter(|delivered| *delivered)
        .count();
    assert_eq!(delivered, 10);
    drop(engine);

    let engine = Engine::open(parts(&path, false)).await.unwrap();
    assert!(engine.access_secret(&coder(), &params).await.is_err());
    assert!(
        engine
            .audit_verify(&Identity::local(), &[])
            .await
            .unwrap()
            .intact
    );
}
