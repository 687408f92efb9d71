//! What the ring opens, what it refuses to open, and which keys it takes.

use std::collections::HashMap;
use std::sync::Arc;

use fnox_core::seal::Algorithm;
use fnox_core::{SecretString, SystemClock, VaultName};
use fnox_vault::key_ring::{KeyRing, KeyRingError};
use fnox_vault::key_source::{EnvKey, FileKey, KeySource};
use fnox_vault::rotation;
use fnox_vault::store::{
    KeyPurpose, KeyRingStore, KeyState, MemoryStore, RingRecord, SecretStore, StoredSecret,
};
use fnox_vault_wire::SecretId;
use fnox_vault_wire::methods::SecretKind;
use proptest::prelude::*;

use crate::keys::{Sort, record, sealed, source};

type Change<T> = fn(&mut T);

/// The largest value of a secret.
const LARGEST: usize = 512 * 1024;

async fn vault(source: Arc<dyn KeySource>) -> (Arc<MemoryStore>, KeyRing) {
    let store = Arc::new(MemoryStore::new());
    let ring = KeyRing::create(source, as_ring(&store), &SystemClock)
        .await
        .unwrap();
    (store, ring)
}

fn as_ring(store: &Arc<MemoryStore>) -> Arc<dyn KeyRingStore> {
    Arc::clone(store) as Arc<dyn KeyRingStore>
}

fn env_key(byte: &str) -> Arc<dyn KeySource> {
    let key = SecretString::from(byte.repeat(32).as_str());
    Arc::new(EnvKey::new("FNOX_TEST_KEY", Some(key)).unwrap())
}

#[tokio::test]
async fn a_wrong_key_is_refused_with_both_ids() {
    let (store, ring) = vault(env_key("01")).await;
    let expected = ring.report(&HashMap::new()).wrapping_key;
    let error = KeyRing::open(env_key("02"), as_ring(&store))
        .await
        .unwrap_err();
    let KeyRingError::WrongKey {
        key_source,
        expected_id,
        found_ids,
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(key_source, "env:FNOX_TEST_KEY");
    assert_eq!(expected_id, &expected);
    assert_eq!(found_ids.len(), 1);
    assert!(error.remedy().unwrap().contains(&expected));
    KeyRing::open(env_key("01"), as_ring(&store)).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_made_anew_for_a_vault_that_exists() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.key");
    let file = || Arc::new(FileKey::new(path.clone())) as Arc<dyn KeySource>;
    let (store, _) = vault(file()).await;
    KeyRing::open(file(), as_ring(&store)).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let error = KeyRing::open(file(), as_ring(&store)).await.unwrap_err();
    assert!(
        matches!(&error, KeyRingError::WrongKey { found_ids, .. } if found_ids.is_empty()),
        "{error}"
    );
    assert!(!path.exists());
}

#[tokio::test]
async fn a_vault_is_made_once_and_opened_only_if_made() {
    let (store, _) = vault(env_key("01")).await;
    let again = KeyRing::create(env_key("01"), as_ring(&store), &SystemClock).await;
    assert!(matches!(again, Err(KeyRingError::Exists)));
    let empty = Arc::new(MemoryStore::new());
    let open = KeyRing::open(env_key("01"), as_ring(&empty)).await;
    assert!(matches!(open, Err(KeyRingError::Missing)));
}

/// The ring after `change`, offered to the holder of the right key.
async fn opened_after(change: impl FnOnce(&mut RingRecord)) -> Result<KeyRing, KeyRingError> {
    let (store, _) = vault(env_key("01")).await;
    let mut ring = store.load().await.unwrap().unwrap();
    change(&mut ring);
    ring.generation += 1;
    store.save(&ring).await.unwrap();
    KeyRing::open(env_key("01"), as_ring(&store)).await
}

#[tokio::test]
async fn a_ring_that_was_changed_is_refused() {
    let changes: [(&str, Change<RingRecord>); 8] = [
        ("vault", |ring| ring.vault_id.push('0')),
        ("purpose", |ring| ring.keys[0].purpose = KeyPurpose::Audit),
        ("state", |ring| ring.keys[0].state = KeyState::Former),
        ("id", |ring| ring.keys[0].id.push('0')),
        ("missing", |ring| drop(ring.keys.remove(1))),
        ("double", |ring| ring.keys.push(ring.keys[0].clone())),
        ("swapped", |ring| {
            let other = ring.keys[1].clone();
            ring.keys[0].nonce = other.nonce;
            ring.keys[0].ciphertext = other.ciphertext;
        }),
        ("not hex", |ring| ring.keys[0].ciphertext.push('z')),
    ];
    for (what, change) in changes {
        let outcome = opened_after(change).await;
        assert!(
            matches!(outcome, Err(KeyRingError::Tampered)),
            "{what}: {outcome:?}"
        );
    }
    opened_after(|_| ()).await.unwrap();
}

#[tokio::test]
async fn a_reload_takes_no_ring_of_another_vault() {
    let (store, ring) = vault(env_key("01")).await;
    let (other, _) = vault(env_key("01")).await;
    let mut foreign = other.load().await.unwrap().unwrap();
    foreign.generation = 2;
    store.save(&foreign).await.unwrap();
    assert!(matches!(ring.reload().await, Err(KeyRingError::Tampered)));
    let secret = sealed(&ring, &record("a", Algorithm::Aes256Gcm), b"x");
    assert!(ring.open_secret(&secret).is_ok(), "the old keys still work");
}

#[tokio::test]
async fn a_value_opens_only_where_it_was_sealed() {
    let (store, ring) = vault(env_key("01")).await;
    for algorithm in Algorithm::ALL {
        let secret = sealed(&ring, &record("a", algorithm), b"x");
        let changes: [(&str, Change<StoredSecret>); 6] = [
            ("id", |it| it.record.id = SecretId::generate()),
            ("name", |it| {
                it.record.name = VaultName::parse("b").unwrap();
            }),
            ("version", |it| it.record.version = 2),
            ("kind", |it| it.sealed_kind = SecretKind::Pat),
            ("algorithm", |it| {
                let other = |other: &Algorithm| *other != it.record.algorithm;
                it.record.algorithm = Algorithm::ALL.into_iter().find(other).unwrap();
            }),
            ("byte", |it| it.sealed.ciphertext[0] ^= 1),
        ];
        for (what, change) in changes {
            let mut moved = secret.clone();
            change(&mut moved);
            let outcome = ring.open_secret(&moved);
            assert!(
                matches!(outcome, Err(KeyRingError::Opaque)),
                "{algorithm} {what}"
            );
        }
        assert_eq!(ring.open_secret(&secret).unwrap().expose_secret(), b"x");
    }
    // A key that exists, but is another one: while the data key changes there are two.
    let secret = sealed(&ring, &record("a", Algorithm::Aes256Gcm), b"x");
    let mut broken = sealed(&ring, &record("b", Algorithm::Aes256Gcm), b"x");
    broken.sealed.ciphertext[0] ^= 1;
    store.insert(broken).await.unwrap();
    let rotated = rotation::rotate_data(&ring, store.as_ref(), &SystemClock).await;
    assert!(matches!(rotated, Err(KeyRingError::Damaged { .. })));
    let fresh = sealed(&ring, &record("c", Algorithm::Aes256Gcm), b"x");
    assert_ne!(fresh.key_id, secret.key_id);
    assert!(ring.open_secret(&secret).is_ok() && ring.open_secret(&fresh).is_ok());
    let swapped = StoredSecret {
        key_id: fresh.key_id,
        ..secret
    };
    assert!(matches!(
        ring.open_secret(&swapped),
        Err(KeyRingError::Opaque)
    ));
}

#[tokio::test]
async fn sealed_values_cannot_change_places_in_the_store() {
    let (_, ring) = vault(env_key("01")).await;
    let first = sealed(&ring, &record("a", Algorithm::Aes256Gcm), b"first");
    let second = sealed(&ring, &record("b", Algorithm::Aes256Gcm), b"second");
    let mut newer = first.record.clone();
    newer.version = 2;
    let newer = sealed(&ring, &newer, b"newer");
    for (to, from) in [(&first, &second), (&newer, &first), (&first, &newer)] {
        let swapped = StoredSecret {
            sealed: from.sealed.clone(),
            ..to.clone()
        };
        assert!(matches!(
            ring.open_secret(&swapped),
            Err(KeyRingError::Opaque)
        ));
    }
}

#[tokio::test]
async fn the_keys_of_the_log_outlive_every_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ring) = vault(source(Sort::File, folder.path())).await;
    let audit = ring.chain_keys().current().id().to_owned();
    let public = ring.checkpoint_key().public();
    rotation::rotate_data(&ring, store.as_ref(), &SystemClock)
        .await
        .unwrap();
    rotation::rotate_source(&ring, store.as_ref(), &SystemClock)
        .await
        .unwrap();
    let again = KeyRing::open(source(Sort::File, folder.path()), as_ring(&store))
        .await
        .unwrap();
    assert_eq!(again.vault_id(), ring.vault_id());
    assert_eq!(again.chain_keys().current().id(), audit);
    assert_eq!(again.checkpoint_key().public(), public);
}

#[tokio::test]
async fn the_report_tells_of_each_key_and_of_none_of_their_bytes() {
    let (store, ring) = vault(env_key("a7")).await;
    let secret = sealed(&ring, &record("a", Algorithm::Aes256Gcm), b"x");
    store.insert(secret).await.unwrap();
    let counts = store.count_by_key().await.unwrap().into_iter().collect();
    let report = ring.report(&counts);
    let keys: Vec<_> = report
        .keys
        .iter()
        .map(|key| (key.purpose.as_str(), key.state.as_str(), key.values))
        .collect();
    assert_eq!(
        keys,
        [
            ("data", "active", Some(1)),
            ("audit", "active", None),
            ("signing", "active", None),
        ]
    );
    assert!(!report.source_can_rotate);
    let shown = format!("{ring:?} {report:?}");
    assert!(
        !shown.contains("a7a7a7") && !shown.contains("167, 167"),
        "{shown}"
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn keys_that_are_called_locked_are() {
    let (_store, ring) = vault(env_key("01")).await;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let locked = status
        .lines()
        .find_map(|line| line.strip_prefix("VmLck:")?.trim().strip_suffix(" kB"))
        .and_then(|size| size.trim().parse::<u64>().ok())
        .unwrap();
    if ring.locked() {
        assert!(locked >= 3 * 4, "three pages, found {locked} kB");
    } else {
        println!("this machine lets no page be locked");
    }
}

#[tokio::test]
async fn the_smallest_and_the_largest_value_survive() {
    let (_, ring) = vault(env_key("01")).await;
    for algorithm in Algorithm::ALL {
        for value in [vec![], vec![0xFF; LARGEST]] {
            let secret = sealed(&ring, &record("a", algorithm), &value);
            assert!(ring.open_secret(&secret).unwrap().expose_secret() == value);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_was_sealed_opens(
        value in prop::collection::vec(any::<u8>(), 0..=LARGEST),
        gcm in any::<bool>(),
        name in "[a-z][a-z0-9/ -]{0,30}[a-z]",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (_, ring) = runtime.block_on(vault(env_key("01")));
        let algorithm = Algorithm::ALL[usize::from(gcm)];
        let one = sealed(&ring, &record(&name, algorithm), &value);
        let two = sealed(&ring, &one.record, &value);
        prop_assert!(one.sealed.nonce != two.sealed.nonce);
        prop_assert!(one.sealed.ciphertext != two.sealed.ciphertext || value.is_empty());
        prop_assert!(ring.open_secret(&one).unwrap().expose_secret() == value);
    }
}
