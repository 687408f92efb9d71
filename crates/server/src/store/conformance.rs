//! What every database promises, and what the server's changes promise on every database, as a suite that each
//! database's tests run.
//!
//! Only compiled with the feature `conformance`. A database says how to make, reopen and restore it ([`Place`]);
//! [`run_all`] does the rest, or the functions of one subject. Whatever does not hold is a panic with the place of the
//! promise.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "this is test code that other crates call: it fails by panicking"
)]

pub mod approvals;
pub mod audit;
pub mod grants;
pub mod people;
pub mod questions;
pub mod restore;
pub mod secrets;
pub mod sessions;
pub mod transactions;
pub mod walk;
pub mod world;

use std::sync::Arc;

use async_trait::async_trait;
pub use fnox_api::{ApprovalStatus, Decision};
use fnox_core::Env;
use fnox_core::audit::{ChainKey, ChainKeys, Report, Verifier};
use zeroize::Zeroizing;

pub use self::world::World;
use super::Database;

/// Where databases under test are.
#[async_trait]
pub trait Place: Send + Sync {
    /// A new database with nothing in it.
    async fn fresh(&self) -> Arc<dyn Database>;

    /// Another server's way to a database. `None`: it cannot be shared.
    async fn another(&self, database: &Arc<dyn Database>) -> Option<Arc<dyn Database>>;

    /// Closes a database, by dropping it or harder, and opens it again.
    async fn reopen(&self, database: Arc<dyn Database>) -> Arc<dyn Database>;

    /// Makes a copy of what a database holds. Answers with its name, or `None` if that is not tested here.
    async fn copy(&self, database: &Arc<dyn Database>) -> Option<String>;

    /// Closes a database, puts the copy in its place and opens that.
    async fn restore(&self, database: Arc<dyn Database>, copy: String) -> Arc<dyn Database>;
}

/// Runs everything.
pub async fn run_all(place: &dyn Place) {
    transactions::run(place).await;
    audit::run(place).await;
    secrets::run(place).await;
    sessions::run(place).await;
    people::run(place).await;
    approvals::run(place).await;
    grants::run(place).await;
    questions::run(place).await;
    walk::run(place).await;
    restore::run(place).await;
}

/// How often a test repeats what it repeats: `FNOX_TEST_ROUNDS`.
#[must_use]
pub fn rounds() -> u64 {
    Env::of_process()
        .var("FNOX_TEST_ROUNDS")
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(20)
}

/// The keys of the audit logs under test.
#[must_use]
pub fn keys() -> ChainKeys {
    ChainKeys::new(chain_key("a1"), Vec::new())
}

pub(crate) fn chain_key(id: &str) -> ChainKey {
    let byte = id.bytes().fold(7_u8, u8::wrapping_add);
    ChainKey::new(id.to_owned(), Zeroizing::new([byte; 32]))
}

/// What a verifier says of the whole log, page by page.
pub async fn verify(database: &dyn Database, keys: &ChainKeys) -> Report {
    let mut verifier = Verifier::new(keys, Vec::new());
    let mut after = 0;
    loop {
        let page = database.audit_scan(after, 500).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(last.position > after, "a scan goes on");
        after = last.position;
        for scanned in page {
            verifier.record(scanned.record.unwrap());
        }
    }
    verifier.finish(database.audit_head().await.unwrap().as_ref())
}
