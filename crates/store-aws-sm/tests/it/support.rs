//! Stores for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fnox_aws::secrets_manager::Deletion;
use fnox_aws::{AwsClient, AwsOptions};
use fnox_core::seal::{Algorithm, Sealed};
use fnox_core::{Clock, Env, VaultName};
use fnox_store_aws_sm::{AwsSmOptions, AwsSmStore};
use fnox_testkit::{FakeClock, services};
use fnox_vault::store::{SecretRecord, StoredSecret};
use fnox_vault_wire::SecretId;
use fnox_vault_wire::methods::SecretKind;

pub(crate) async fn client(url: &str) -> Arc<AwsClient> {
    let env: Env = [
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "eu-central-1"),
    ]
    .into_iter()
    .collect();
    let options = AwsOptions {
        endpoint_url: Some(url.to_owned()),
        pause: Duration::from_millis(1),
        ..AwsOptions::default()
    };
    Arc::new(AwsClient::connect(&env, options).await.unwrap())
}

pub(crate) async fn moto() -> Arc<AwsClient> {
    client(&services::moto().url).await
}

/// A prefix of its own: the server is shared, and may have seen earlier runs.
pub(crate) fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_nanos();
    format!("t{nanos}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A store that keeps nothing in memory.
pub(crate) fn forgetful(client: &Arc<AwsClient>, prefix: &str) -> AwsSmStore {
    let options = AwsSmOptions {
        cache: Duration::ZERO,
        ..AwsSmOptions::new(prefix).unwrap()
    };
    AwsSmStore::new(Arc::clone(client), options)
}

pub(crate) fn with_clock(
    client: &Arc<AwsClient>,
    prefix: &str,
    clock: &Arc<FakeClock>,
) -> AwsSmStore {
    let options = AwsSmOptions {
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        deletion: Deletion::Force,
        ..AwsSmOptions::new(prefix).unwrap()
    };
    AwsSmStore::new(Arc::clone(client), options)
}

pub(crate) fn name(text: &str) -> VaultName {
    VaultName::parse(text).unwrap()
}

/// A secret at its first version, of so many bytes that are no UTF-8.
pub(crate) fn secret(text: &str, length: usize) -> StoredSecret {
    StoredSecret {
        record: SecretRecord {
            id: SecretId::generate(),
            name: name(text),
            kind: SecretKind::Pat,
            description: Some("for tests".to_owned()),
            tags: [("team".to_owned(), "a\"b".to_owned())].into(),
            created_at: "2026-01-01T00:00:00.5Z".parse().unwrap(),
            updated_at: "2026-01-01T00:00:00.5Z".parse().unwrap(),
            version: 1,
            algorithm: Algorithm::Aes256Gcm,
        },
        key_id: "k1".to_owned(),
        sealed_kind: SecretKind::Pat,
        sealed: Sealed {
            nonce: vec![0xfe; 12],
            ciphertext: vec![0xff; length],
        },
    }
}

pub(crate) fn next(of: &StoredSecret) -> StoredSecret {
    let mut next = of.clone();
    next.record.version += 1;
    next.sealed.nonce = vec![u8::try_from(next.record.version).unwrap(); 12];
    next
}
