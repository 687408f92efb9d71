//! How many durable changes the writer makes: `cargo bench -p fnox-store-sqlite -- [FOLDER]`.
//!
//! A cycle is a grant, a use and a withdrawal, each with an audit record and each answered only when it is on
//! the disk. With a folder in memory (`/dev/shm`) what remains is the writer's own work.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its figures, and ends when something fails"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fnox_core::audit::{ChainKey, ChainKeys, Entry, Outcome};
use fnox_core::lease::LeaseState;
use fnox_core::{AgentId, Host, VaultName};
use fnox_store_sqlite::{SqliteOptions, SqliteStore};
use fnox_vault::store::{AuditLog as _, Caps, Change, LeaseStore as _};
use fnox_vault::{Lease, PeerBinding};
use fnox_vault_wire::LeaseId;
use fnox_vault_wire::methods::{Delivery, RevocationReason};
use jiff::{SignedDuration, Timestamp};
use zeroize::Zeroizing;

const RUN: Duration = Duration::from_secs(5);

/// What comes first is not counted: the log on the disk grows to its size only once.
const WARM_UP: Duration = Duration::from_secs(2);

fn main() {
    let folder = std::env::args().skip(1).find(|it| !it.starts_with('-'));
    let folder = tempfile::tempdir_in(folder.as_deref().unwrap_or("/var/tmp")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    println!("{}", folder.path().display());
    for connections in [1, 8, 64, 256] {
        let path = folder.path().join(format!("{connections}.db"));
        runtime.block_on(measure(&path, connections));
    }
}

async fn measure(path: &Path, connections: usize) {
    let options = SqliteOptions {
        create: true,
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open(path, options).unwrap();
    let key = ChainKey::new("a1".to_owned(), Zeroizing::new([7; 32]));
    store.unlock(ChainKeys::new(key, Vec::new())).await.unwrap();
    let begun = Instant::now();
    let tasks: Vec<_> = (0..connections)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let agent = format!("agent-{number}");
                let mut times = Vec::new();
                while begun.elapsed() < WARM_UP + RUN {
                    let start = Instant::now();
                    cycle(&store, &agent).await;
                    if begun.elapsed() > WARM_UP {
                        times.push(start.elapsed());
                    }
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    let seconds = begun.elapsed().saturating_sub(WARM_UP).as_secs_f64();
    times.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a figure for people to read")]
    let rate = times.len() as f64 / seconds;
    println!(
        "{connections:>4} at once: {rate:>8.0} cycles/s, {:>6.1} µs per change, p50 {:?}, p99 {:?}",
        1e6 / rate / 3.0,
        times[times.len() / 2],
        times[times.len() * 99 / 100],
    );
}

async fn cycle(store: &SqliteStore, agent: &str) {
    let lease = lease(agent);
    let id = lease.id;
    let now = lease.issued_at;
    let changes = [
        (
            Change::Grant {
                lease,
                caps: Caps {
                    per_agent: 100,
                    per_rule: None,
                    per_session: None,
                },
            },
            "lease_granted",
        ),
        (Change::Spend { id, now }, "secret_accessed"),
        (
            Change::Revoke {
                ids: vec![id],
                reason: RevocationReason::Released,
            },
            "lease_revoked",
        ),
    ];
    for (change, event) in changes {
        let entry = Entry {
            peer: Some("uid:1000".to_owned()),
            agent: Some(agent.to_owned()),
            secret: Some("github-token".to_owned()),
            host: Some("api.github.com".to_owned()),
            lease: Some(id.0),
            rule: Some("rule 1".to_owned()),
            ..Entry::new(event, "agent", Outcome::Ok)
        };
        store.commit(change, vec![entry]).await.unwrap();
    }
}

fn lease(agent: &str) -> Lease {
    let now = Timestamp::from_second(1_767_225_600).unwrap();
    Lease {
        id: LeaseId::generate(),
        agent: AgentId::parse(agent).unwrap(),
        peer: PeerBinding::Uid(1000),
        secret: VaultName::parse("github-token").unwrap(),
        host: Host::parse("api.github.com").unwrap(),
        rule: Arc::from("rule 1"),
        tool: None,
        issued_at: now,
        expires_at: now + SignedDuration::from_mins(15),
        ends_at: now + SignedDuration::from_hours(24),
        max_uses: None,
        uses: 0,
        renewable: true,
        renewals: 0,
        session: None,
        delivery: Delivery::Value,
        state: LeaseState::Active,
        reason: None,
    }
}
