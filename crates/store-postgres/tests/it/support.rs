//! Databases of their own, clusters of their own, and things to store.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fnox_core::audit::{ChainKey, ChainKeys, Entry, Outcome, Verifier};
use fnox_core::lease::LeaseState;
use fnox_core::seal::{Algorithm, Sealed};
use fnox_core::{AgentId, Env, Host, VaultName};
use fnox_store_postgres::{PostgresOptions, PostgresStore};
use fnox_testkit::clock::FakeClock;
use fnox_vault::store::{
    AuditLog, Caps, Change, KeyPurpose, KeyState, RingRecord, SecretRecord, StoreError,
    StoredSecret, WrappedKey,
};
use fnox_vault::{Lease, PeerBinding};
use fnox_vault_wire::methods::{Delivery, SecretKind};
use fnox_vault_wire::{LeaseId, SecretId};
use jiff::{SignedDuration, Timestamp};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Any wait in these tests ends with a failure after this.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

fn variable(name: &str) -> String {
    Env::of_process()
        .var(name)
        .unwrap_or_else(|| panic!("this test needs {name}: run ./scripts/test"))
        .to_owned()
}

/// A fresh database, dropped at the end.
pub(crate) struct Database {
    pub(crate) url: String,
    administrator: String,
    pub(crate) name: String,
}

impl Database {
    pub(crate) async fn create() -> Self {
        Self::create_in(&variable("FNOX_TEST_POSTGRES_URL")).await
    }

    pub(crate) async fn create_in(administrator: &str) -> Self {
        let name = format!("test_{}", Uuid::now_v7().simple());
        connect(administrator)
            .await
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        let (server, _) = administrator.rsplit_once('/').unwrap();
        Self {
            url: format!("{server}/{name}"),
            administrator: administrator.to_owned(),
            name,
        }
    }

    /// A copy, as a dump that is played back would be. Nobody may be connected to the original.
    pub(crate) async fn copy(&self) -> Self {
        let name = format!("test_{}", Uuid::now_v7().simple());
        let administrator = connect(&self.administrator).await;
        // Connections that were dropped may take a moment to end.
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        administrator.query(end, &[&self.name]).await.unwrap();
        let sql = format!("CREATE DATABASE {name} TEMPLATE {}", self.name);
        administrator.batch_execute(&sql).await.unwrap();
        let (server, _) = self.administrator.rsplit_once('/').unwrap();
        Self {
            url: format!("{server}/{name}"),
            administrator: self.administrator.clone(),
            name,
        }
    }

    /// What `pg_dump` writes of it.
    pub(crate) fn dump(&self) -> String {
        let output = self.program("pg_dump").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Drops it, whoever uses it, and makes it of a dump.
    pub(crate) async fn play_back(&self, dump: &str) {
        let administrator = connect(&self.administrator).await;
        let name = &self.name;
        for sql in [
            format!("DROP DATABASE {name} WITH (FORCE)"),
            format!("CREATE DATABASE {name}"),
        ] {
            administrator.batch_execute(&sql).await.unwrap();
        }
        let mut psql = self.program("psql");
        psql.args(["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1"]);
        let mut psql = psql
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut psql.stdin.take().unwrap(), dump.as_bytes()).unwrap();
        assert!(psql.wait().unwrap().success());
    }

    /// One of PostgreSQL's programs, told of the database by its environment.
    fn program(&self, name: &str) -> Command {
        let (user, place) = self
            .url
            .split_once("://")
            .unwrap()
            .1
            .split_once('@')
            .unwrap();
        let (user, password) = user.split_once(':').unwrap();
        let (host, database) = place.split_once('/').unwrap();
        let (host, port) = host.split_once(':').unwrap();
        let mut program = Command::new(name);
        program
            .env("PGUSER", user)
            .env("PGPASSWORD", password)
            .env("PGHOST", host)
            .env("PGPORT", port)
            .env("PGDATABASE", database);
        program
    }

    /// One more vault's store on it, with keys.
    pub(crate) async fn store(&self) -> Arc<PostgresStore> {
        let store = self.locked_store().await.unwrap();
        store.unlock(keys()).await.unwrap();
        store
    }

    /// A store without keys.
    pub(crate) async fn locked_store(&self) -> Result<Arc<PostgresStore>, StoreError> {
        PostgresStore::open(&self.url, options())
            .await
            .map(Arc::new)
    }

    /// A connection past the store.
    pub(crate) async fn client(&self) -> Client {
        connect(&self.url).await
    }

    /// Runs statements past the store.
    pub(crate) async fn tamper(&self, sql: &str) {
        self.client().await.batch_execute(sql).await.unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (administrator, name) = (self.administrator.clone(), self.name.clone());
        // A runtime of its own: this one may be in the middle of a panic.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                connect(&administrator).await.batch_execute(&sql).await
            })
        });
        let _ = dropped.join();
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A cluster of its own, to be stopped and started.
pub(crate) struct Cluster {
    program: String,
    folder: String,
    pub(crate) url: String,
}

impl Cluster {
    pub(crate) fn create() -> Self {
        let program = variable("FNOX_TEST_POSTGRES_CTL");
        let output = Command::new(&program).arg("create").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let (folder, url) = text.trim().split_once('\n').unwrap();
        Self {
            program,
            folder: folder.to_owned(),
            url: url.to_owned(),
        }
    }

    pub(crate) fn run(&self, action: &str) {
        let status = Command::new(&self.program)
            .args([action, &self.folder])
            .status()
            .unwrap();
        assert!(status.success(), "{action}: {status}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = Command::new(&self.program)
            .args(["remove", &self.folder])
            .status();
    }
}

pub(crate) fn options() -> PostgresOptions {
    PostgresOptions::new(Arc::new(FakeClock::at("2026-03-01T12:00:00Z"))).migrating()
}

pub(crate) fn now() -> Timestamp {
    "2026-03-01T12:00:00.123456789Z".parse().unwrap()
}

pub(crate) fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

pub(crate) fn keys() -> ChainKeys {
    ChainKeys::new(key("a1", 7), Vec::new())
}

pub(crate) fn key(id: &str, byte: u8) -> ChainKey {
    ChainKey::new(id.to_owned(), Zeroizing::new([byte; 32]))
}

pub(crate) fn entry(event: &str) -> Entry {
    Entry::new(event, "admin uid:1000", Outcome::Ok)
}

pub(crate) fn entries(event: &str) -> Vec<Entry> {
    vec![entry(event)]
}

pub(crate) fn lease(agent: &str) -> Lease {
    Lease {
        id: LeaseId::generate(),
        agent: AgentId::parse(agent).unwrap(),
        peer: PeerBinding::Uid(1000),
        secret: VaultName::parse("github-token").unwrap(),
        host: Host::parse("api.github.com:443").unwrap(),
        rule: Arc::from("rule 1"),
        tool: Some(Arc::from("git")),
        issued_at: now(),
        expires_at: after(900),
        ends_at: after(3600),
        max_uses: Some(10),
        uses: 0,
        renewable: true,
        renewals: 0,
        session: None,
        delivery: Delivery::Value,
        state: LeaseState::Active,
        reason: None,
    }
}

pub(crate) fn caps(per_agent: u32) -> Caps {
    Caps {
        per_agent,
        per_rule: None,
        per_session: None,
    }
}

pub(crate) fn grant(lease: &Lease) -> Change {
    Change::Grant {
        lease: lease.clone(),
        caps: caps(1000),
    }
}

pub(crate) fn secret(name: &str, version: u32, key_id: &str) -> StoredSecret {
    static NONCE: AtomicU32 = AtomicU32::new(0);
    let mut nonce = vec![0; 24];
    nonce[..4].copy_from_slice(&NONCE.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    StoredSecret {
        record: SecretRecord {
            id: id_of(name),
            name: VaultName::parse(name).unwrap(),
            kind: SecretKind::Opaque,
            description: Some("for tests".to_owned()),
            tags: BTreeMap::from([("team".to_owned(), "infra".to_owned())]),
            created_at: now(),
            updated_at: now(),
            version,
            algorithm: Algorithm::XChaCha20Poly1305,
        },
        key_id: key_id.to_owned(),
        sealed_kind: SecretKind::Opaque,
        sealed: Sealed {
            nonce,
            ciphertext: vec![0xfe; 40],
        },
    }
}

/// The same id for the same name.
fn id_of(name: &str) -> SecretId {
    let mut bytes = [0; 16];
    for (index, byte) in name.bytes().enumerate() {
        bytes[index % 16] ^= byte;
    }
    SecretId(Uuid::from_bytes(bytes))
}

pub(crate) fn ring(generation: u64, active: &str) -> RingRecord {
    RingRecord {
        generation,
        vault_id: "0195a1b2-0000-7000-8000-000000000000".to_owned(),
        wrapping_key: "w1".to_owned(),
        stored_wrapping_keys: Vec::new(),
        keys: vec![WrappedKey {
            id: active.to_owned(),
            purpose: KeyPurpose::Data,
            state: KeyState::Active,
            created_at: now(),
            wrapped_by: "w1".to_owned(),
            nonce: "00".to_owned(),
            ciphertext: "00".to_owned(),
        }],
        rotation: None,
    }
}

/// Reads the whole log and compares it with its chain.
pub(crate) async fn verify(store: &PostgresStore, keys: &ChainKeys) -> fnox_core::audit::Report {
    let mut verifier = Verifier::new(keys, Vec::new());
    let mut position = 0;
    loop {
        let found = store.scan(position, 100).await.unwrap();
        let Some(last) = found.last() else { break };
        position = last.position;
        for scanned in found {
            verifier.record(scanned.record.unwrap());
        }
    }
    verifier.finish(store.head().await.unwrap().as_ref())
}
