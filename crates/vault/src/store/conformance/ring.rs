//! Promises of [`KeyRingStore`](crate::store::KeyRingStore).

use super::{Subject, moment, reopened, unlocked};
use crate::key_source::StoredKey;
use crate::store::{KeyPurpose, KeyState, Refusal, RingRecord, RotationRecord, WrappedKey};

/// Runs all of them.
pub async fn run(subject: &dyn Subject) {
    is_replaced_only_by_its_next_generation(subject).await;
    changes_once(subject).await;
    survives(subject).await;
}

/// A ring with one active data key, and a former one if it is not the first.
pub(crate) fn ring(generation: u64, active: &str) -> RingRecord {
    let key = |id: &str, purpose, state| WrappedKey {
        id: id.to_owned(),
        purpose,
        state,
        created_at: moment(0),
        wrapped_by: "w1".to_owned(),
        nonce: "00".repeat(24),
        ciphertext: "ab".repeat(48),
    };
    RingRecord {
        generation,
        vault_id: "0198c0de-0000-7000-8000-000000000000".to_owned(),
        wrapping_key: "w1".to_owned(),
        stored_wrapping_keys: vec![StoredKey {
            id: "w1".to_owned(),
            blob: "b64".to_owned(),
        }],
        keys: vec![
            key("old", KeyPurpose::Data, KeyState::Retiring),
            key("audit", KeyPurpose::Audit, KeyState::Active),
            key(active, KeyPurpose::Data, KeyState::Active),
        ],
        rotation: Some(RotationRecord::Data {
            started_at: moment(1),
        }),
    }
}

async fn is_replaced_only_by_its_next_generation(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    assert_eq!(stores.ring.load().await.unwrap(), None);
    for wrong in [0, 2] {
        let error = stores.ring.save(&ring(wrong, "k1")).await.unwrap_err();
        assert_eq!(error.refusal(), Some(&Refusal::Moved));
    }
    assert_eq!(stores.ring.load().await.unwrap(), None);
    stores.ring.save(&ring(1, "k1")).await.unwrap();
    for wrong in [0, 1, 3, u64::MAX] {
        let error = stores.ring.save(&ring(wrong, "k9")).await.unwrap_err();
        assert_eq!(error.refusal(), Some(&Refusal::Moved), "{wrong}");
    }
    assert_eq!(stores.ring.load().await.unwrap(), Some(ring(1, "k1")));
    stores.ring.save(&ring(2, "k2")).await.unwrap();
    assert_eq!(stores.ring.load().await.unwrap(), Some(ring(2, "k2")));
}

async fn changes_once(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    let tasks: Vec<_> = (0..16)
        .map(|number| {
            let store = std::sync::Arc::clone(&stores.ring);
            tokio::spawn(async move { store.save(&ring(1, &format!("k{number}"))).await })
        })
        .collect();
    let mut saved = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => saved += 1,
            Err(error) => assert_eq!(error.refusal(), Some(&Refusal::Moved), "{error}"),
        }
    }
    assert_eq!(saved, 1);
}

async fn survives(subject: &dyn Subject) {
    let stores = unlocked(subject).await;
    stores.ring.save(&ring(1, "k1")).await.unwrap();
    stores.ring.save(&ring(2, "k2")).await.unwrap();
    if let Some(stores) = reopened(subject, stores).await {
        assert_eq!(stores.ring.load().await.unwrap(), Some(ring(2, "k2")));
    }
}
