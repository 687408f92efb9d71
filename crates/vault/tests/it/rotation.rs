//! Keys change and nothing is lost: with a crash at any single step, with writers, with another vault.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use fnox_core::SystemClock;
use fnox_core::seal::{Algorithm, SealingKey};
use fnox_vault::key_ring::{KeyRing, KeyRingError};
use fnox_vault::key_source::KeySource;
use fnox_vault::rotation;
use fnox_vault::store::{KeyRingStore, KeyState, MemoryStore, RingRecord, SecretStore};
use fnox_vault_wire::methods::KeyRotated;

use crate::failing::{Death, FailingSource, FailingStore, Fuse};
use crate::keys::{Meddled, Sort, assert_all_there, everything, fill, read, source, write};

/// With the versions that `fill` adds, more than one batch of a rotation.
const SECRETS: usize = 90;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Source,
    Rewrap,
}

async fn run(
    kind: Kind,
    ring: &KeyRing,
    secrets: &dyn SecretStore,
) -> Result<KeyRotated, KeyRingError> {
    match kind {
        Kind::Data => rotation::rotate_data(ring, secrets, &SystemClock).await,
        Kind::Source => rotation::rotate_source(ring, secrets, &SystemClock).await,
        Kind::Rewrap => rotation::rewrap(ring, secrets, Some(Algorithm::XChaCha20Poly1305)).await,
    }
}

async fn stored_ring(store: &MemoryStore) -> RingRecord {
    store.load().await.unwrap().unwrap()
}

/// Nothing is under way, and nothing of what was is left.
async fn assert_settled(store: &MemoryStore, source: &dyn KeySource) {
    let ring = stored_ring(store).await;
    assert_eq!(ring.rotation, None);
    assert!(ring.keys.iter().all(|key| key.state == KeyState::Active));
    assert_eq!(ring.keys.len(), 3);
    assert!(
        ring.keys
            .iter()
            .all(|key| key.wrapped_by == ring.wrapping_key)
    );
    let held = source.load(&ring.stored_wrapping_keys).await.unwrap();
    let held: Vec<&str> = held.iter().map(SealingKey::id).collect();
    assert_eq!(held, [ring.wrapping_key.as_str()]);
    let active = ring.active_data_key().unwrap();
    let stale = store.sealed_otherwise(active, None, 1).await.unwrap();
    assert!(stale.is_empty());
}

/// Lets the process die at step `at`, and another one go on; or, without `restart`, lets the same one go on, as
/// after an error of the store. Tells whether the change was through before.
async fn die_at(at: usize, death: Death, kind: Kind, sort: Sort, restart: bool) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let source = source(sort, folder.path());
    let fuse = Fuse::new(death);
    let failing = Arc::new(FailingStore {
        store: Arc::clone(&store),
        fuse: Arc::clone(&fuse),
    });
    let failing_source = Arc::new(FailingSource {
        source: Arc::clone(&source),
        fuse: Arc::clone(&fuse),
    });
    let ring_store = Arc::clone(&failing) as Arc<dyn KeyRingStore>;
    let mut ring = KeyRing::create(failing_source, ring_store, &SystemClock)
        .await
        .unwrap();
    let versions = fill(&ring, store.as_ref(), SECRETS).await;
    let before = stored_ring(&store).await;

    fuse.arm(at);
    let finished = run(kind, &ring, failing.as_ref()).await.is_ok();
    fuse.disarm();
    let begun = stored_ring(&store).await.rotation.is_some();

    if restart {
        let ring_store = Arc::clone(&store) as Arc<dyn KeyRingStore>;
        ring = KeyRing::open(Arc::clone(&source), ring_store)
            .await
            .unwrap();
    }
    assert_all_there(&ring, &everything(store.as_ref()).await, versions);
    rotation::resume(&ring, store.as_ref()).await.unwrap();
    assert_all_there(&ring, &everything(store.as_ref()).await, versions);
    assert_settled(&store, source.as_ref()).await;

    let after = stored_ring(&store).await;
    let changed = match kind {
        Kind::Data => after.active_data_key() != before.active_data_key(),
        Kind::Source => after.wrapping_key != before.wrapping_key,
        Kind::Rewrap => false,
    };
    if kind != Kind::Rewrap {
        assert!(changed || !begun, "what was begun is finished");
        assert!(changed || !finished);
    }
    run(kind, &ring, store.as_ref()).await.unwrap();
    assert_all_there(&ring, &everything(store.as_ref()).await, versions);
    assert_settled(&store, source.as_ref()).await;
    finished
}

/// Each step in turn, and each way to die there.
async fn die_everywhere(kind: Kind, sort: Sort, least: usize) {
    for death in [Death::Before, Death::After, Death::Half] {
        for restart in [true, false] {
            let mut at = 0;
            while !die_at(at, death, kind, sort, restart).await {
                at += 1;
                assert!(at < 100, "it ends");
            }
            assert!(at >= least, "{kind:?} of {sort:?} took only {at} steps");
        }
    }
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_data_rotation_loses_nothing_with_a_key_in_the_environment() {
    die_everywhere(Kind::Data, Sort::Env, 10).await;
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_data_rotation_loses_nothing_with_a_file_of_keys() {
    die_everywhere(Kind::Data, Sort::File, 10).await;
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_data_rotation_loses_nothing_with_a_stored_key() {
    die_everywhere(Kind::Data, Sort::Stored, 10).await;
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_source_rotation_loses_nothing_with_a_file_of_keys() {
    die_everywhere(Kind::Source, Sort::File, 8).await;
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_source_rotation_loses_nothing_with_a_stored_key() {
    die_everywhere(Kind::Source, Sort::Stored, 8).await;
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_rewrap_loses_nothing() {
    die_everywhere(Kind::Rewrap, Sort::Env, 3).await;
}

/// A vault over a store in memory.
struct World {
    store: Arc<MemoryStore>,
    source: Arc<dyn KeySource>,
    ring: Arc<KeyRing>,
    _folder: tempfile::TempDir,
}

async fn world(sort: Sort) -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let source = source(sort, folder.path());
    let ring_store = Arc::clone(&store) as Arc<dyn KeyRingStore>;
    let ring = KeyRing::create(Arc::clone(&source), ring_store, &SystemClock)
        .await
        .unwrap();
    World {
        store,
        source,
        ring: Arc::new(ring),
        _folder: folder,
    }
}

impl World {
    async fn another_vault(&self) -> KeyRing {
        let ring_store = Arc::clone(&self.store) as Arc<dyn KeyRingStore>;
        KeyRing::open(Arc::clone(&self.source), ring_store)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_source_that_holds_one_key_refuses_before_anything_is_changed() {
    let world = world(Sort::Env).await;
    let before = stored_ring(&world.store).await;
    let outcome = run(Kind::Source, &world.ring, world.store.as_ref()).await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, KeyRingError::CannotRotate { .. }));
    assert!(error.to_string().contains("env:FNOX_TEST_KEY"), "{error}");
    assert!(error.remedy().unwrap().contains("file:PATH"));
    assert_eq!(stored_ring(&world.store).await, before);
}

#[tokio::test]
async fn a_rewrap_seals_every_version_with_the_algorithm() {
    let world = world(Sort::Env).await;
    let versions = fill(&world.ring, world.store.as_ref(), SECRETS).await;
    for algorithm in Algorithm::ALL {
        let done = rotation::rewrap(&world.ring, world.store.as_ref(), Some(algorithm))
            .await
            .unwrap();
        let all = everything(world.store.as_ref()).await;
        assert!(
            all.iter()
                .all(|stored| stored.record.algorithm == algorithm)
        );
        assert!(done.rewrapped > 0);
        assert_all_there(&world.ring, &all, versions);
    }
    let again = rotation::rewrap(&world.ring, world.store.as_ref(), Some(Algorithm::ALL[1]));
    assert_eq!(again.await.unwrap().rewrapped, 0);
}

#[tokio::test]
async fn a_damaged_value_keeps_the_old_key_and_holds_up_no_other() {
    let world = world(Sort::Env).await;
    let secrets = world.store.as_ref();
    fill(&world.ring, secrets, 5).await;
    let mut broken = crate::keys::sealed(
        &world.ring,
        &crate::keys::record("broken", Algorithm::Aes256Gcm),
        b"x",
    );
    broken.sealed.ciphertext[0] ^= 1;
    let name = broken.record.name.clone();
    secrets.insert(broken).await.unwrap();

    let error = run(Kind::Data, &world.ring, secrets).await.unwrap_err();
    assert!(error.to_string().contains("broken version 1"), "{error}");
    let active = stored_ring(&world.store).await;
    let active = active.active_data_key().unwrap();
    assert_eq!(
        secrets
            .sealed_otherwise(active, None, 10)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(stored_ring(&world.store).await.keys.len(), 4);

    secrets.delete(&name).await.unwrap();
    rotation::resume(&world.ring, secrets).await.unwrap();
    assert_settled(&world.store, world.source.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn values_written_and_read_while_keys_change_are_all_there() {
    let world = world(Sort::File).await;
    let versions = fill(&world.ring, world.store.as_ref(), 30).await;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (ring, store) = (Arc::clone(&world.ring), Arc::clone(&world.store));
            tokio::spawn(async move {
                for number in 0..50 {
                    let name = format!("written-{writer}-{number}");
                    write(&ring, store.as_ref(), &name).await;
                    let name = fnox_core::VaultName::parse(&name).unwrap();
                    read(&ring, store.as_ref(), &name).await;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for round in 0..10 {
        let kind = if round % 3 == 2 {
            Kind::Source
        } else {
            Kind::Data
        };
        run(kind, &world.ring, world.store.as_ref()).await.unwrap();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    run(Kind::Data, &world.ring, world.store.as_ref())
        .await
        .unwrap();
    assert_settled(&world.store, world.source.as_ref()).await;
    let all = everything(world.store.as_ref()).await;
    assert_all_there(&world.another_vault().await, &all, versions + 200);
}

#[tokio::test]
async fn a_vault_that_missed_a_rotation_is_refused_and_learns_the_new_key() {
    let world = world(Sort::File).await;
    let late = world.another_vault().await;
    write(&world.ring, world.store.as_ref(), "early").await;
    let value = everything(world.store.as_ref()).await.remove(0);
    run(Kind::Source, &world.ring, world.store.as_ref())
        .await
        .unwrap();
    run(Kind::Data, &world.ring, world.store.as_ref())
        .await
        .unwrap();

    let unknown = late.open_secret(&everything(world.store.as_ref()).await[0]);
    assert!(matches!(unknown, Err(KeyRingError::UnknownKey { .. })));
    read(&late, world.store.as_ref(), &value.record.name).await;
    let gone = late.open_secret(&value);
    assert!(matches!(gone, Err(KeyRingError::UnknownKey { .. })));
    write(&late, world.store.as_ref(), "late").await;
    assert_settled(&world.store, world.source.as_ref()).await;
    assert_all_there(&world.ring, &everything(world.store.as_ref()).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_vaults_that_rotate_at_once_lose_nothing() {
    let world = world(Sort::File).await;
    let versions = fill(&world.ring, world.store.as_ref(), 30).await;
    let other = Arc::new(world.another_vault().await);
    let rotate = |ring: &Arc<KeyRing>, kinds: [Kind; 2]| {
        let (ring, store) = (Arc::clone(ring), Arc::clone(&world.store));
        tokio::spawn(async move {
            for round in 0..20 {
                // One may be told to repeat it, because the other was faster.
                let _ = run(kinds[round % 2], &ring, store.as_ref()).await;
            }
        })
    };
    let one = rotate(&world.ring, [Kind::Data, Kind::Source]);
    let two = rotate(&other, [Kind::Source, Kind::Data]);
    one.await.unwrap();
    two.await.unwrap();
    rotation::resume(&world.ring, world.store.as_ref())
        .await
        .unwrap();
    run(Kind::Source, &world.ring, world.store.as_ref())
        .await
        .unwrap();
    assert_settled(&world.store, world.source.as_ref()).await;
    let all = everything(world.store.as_ref()).await;
    assert_all_there(&world.another_vault().await, &all, versions);
}

#[tokio::test]
async fn no_key_is_dropped_while_somebody_is_writing() {
    let world = world(Sort::Env).await;
    let writing = world.ring.writing().await;
    let (ring, store) = (Arc::clone(&world.ring), Arc::clone(&world.store));
    let rotation = tokio::spawn(async move { run(Kind::Data, &ring, store.as_ref()).await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let states: Vec<KeyState> = stored_ring(&world.store)
        .await
        .keys
        .iter()
        .map(|key| key.state)
        .collect();
    assert!(states.contains(&KeyState::Retiring), "{states:?}");
    drop(writing);
    rotation.await.unwrap().unwrap();
    assert_settled(&world.store, world.source.as_ref()).await;
}

#[tokio::test]
async fn a_wrapping_key_that_another_vault_drops_at_once_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let file = source(Sort::File, folder.path());
    let meddled = Arc::new(Meddled {
        source: Arc::clone(&file),
        left: AtomicUsize::new(2),
    });
    let ring_store = Arc::clone(&store) as Arc<dyn KeyRingStore>;
    let ring = KeyRing::create(meddled, ring_store, &SystemClock)
        .await
        .unwrap();
    let versions = fill(&ring, store.as_ref(), 3).await;
    run(Kind::Source, &ring, store.as_ref()).await.unwrap();
    assert_settled(&store, file.as_ref()).await;
    let ring_store = Arc::clone(&store) as Arc<dyn KeyRingStore>;
    let again = KeyRing::open(file, ring_store).await.unwrap();
    assert_all_there(&again, &everything(store.as_ref()).await, versions);
}
