//! Replacing keys while the vault serves.
//!
//! A *data key* is replaced in three steps: the ring gets a new one and the old one retires; every value is
//! sealed anew, in batches; retired keys are dropped once they seal nothing. The *wrapping key* is replaced in
//! four: the intention is stored; the source makes a second key; one change of the ring wraps everything by it;
//! the source drops the first. Between any two steps everything can be opened, so a crash loses nothing, and
//! [`resume`] goes on from wherever it happened.

use std::collections::BTreeSet;

use fnox_core::Clock;
use fnox_core::seal::Algorithm;
use fnox_vault_wire::methods::KeyRotated;

use crate::key_ring::{KeyRing, KeyRingError};
use crate::store::{
    KeyPurpose, KeyState, Resealed, RingRecord, RotationRecord, SecretStore, StoredSecret,
};

/// How many values are sealed anew in one go.
const BATCH: usize = 100;
/// How often a batch may be refused as a whole before it counts as stuck: each time, others were faster.
const PATIENCE: usize = 100;
/// How often another vault may be faster with a step of the ring.
const TRIES: usize = 5;

/// Replaces the data key. A replacement that was interrupted is finished first.
///
/// # Errors
/// Errors of store and source; [`KeyRingError::Damaged`] if values cannot be opened: the old key is then kept.
pub async fn rotate_data(
    ring: &KeyRing,
    secrets: &dyn SecretStore,
    clock: &dyn Clock,
) -> Result<KeyRotated, KeyRingError> {
    let _one_at_a_time = ring.changing.lock().await;
    let before = resume_locked(ring, secrets).await?;
    let mut record = ring.record();
    let wrapping = ring.wrapping_key(&record).await?;
    for key in data_keys(&mut record) {
        key.state = KeyState::Retiring;
    }
    record.keys.push(ring.new_data_key(&wrapping, clock.now())?);
    record.rotation = Some(RotationRecord::Data {
        started_at: clock.now(),
    });
    ring.save(record, &wrapping).await?;
    let rewrapped = before + resume_locked(ring, secrets).await?;
    Ok(KeyRotated {
        key_id: active_data_key(&ring.record()),
        rewrapped,
    })
}

/// Replaces the source's own key, which wraps all others.
///
/// # Errors
/// [`KeyRingError::CannotRotate`] before anything is changed; errors of store and source.
pub async fn rotate_source(
    ring: &KeyRing,
    secrets: &dyn SecretStore,
    clock: &dyn Clock,
) -> Result<KeyRotated, KeyRingError> {
    if !ring.source().can_rotate() {
        return Err(KeyRingError::CannotRotate {
            key_source: ring.source().describe(),
        });
    }
    let _one_at_a_time = ring.changing.lock().await;
    resume_locked(ring, secrets).await?;
    let mut record = ring.record();
    let wrapping = ring.wrapping_key(&record).await?;
    let from = record.wrapping_key.clone();
    record.rotation = Some(RotationRecord::Source {
        started_at: clock.now(),
        from,
    });
    ring.save(record, &wrapping).await?;
    resume_locked(ring, secrets).await?;
    let record = ring.record();
    Ok(KeyRotated {
        key_id: record.wrapping_key,
        rewrapped: record.keys.len() as u64,
    })
}

/// Seals every value anew with the active data key, and with `algorithm` if one is given.
///
/// # Errors
/// As [`rotate_data`].
pub async fn rewrap(
    ring: &KeyRing,
    secrets: &dyn SecretStore,
    algorithm: Option<Algorithm>,
) -> Result<KeyRotated, KeyRingError> {
    let _one_at_a_time = ring.changing.lock().await;
    let mut rewrapped = resume_locked(ring, secrets).await?;
    let record = ring.record();
    reseal_all(ring, &record, secrets, algorithm, &mut rewrapped).await?;
    Ok(KeyRotated {
        key_id: active_data_key(&record),
        rewrapped,
    })
}

/// Finishes what was interrupted. Does nothing if nothing was.
///
/// # Errors
/// As [`rotate_data`]; the vault can work all the same, and it can be tried again.
pub async fn resume(ring: &KeyRing, secrets: &dyn SecretStore) -> Result<u64, KeyRingError> {
    let _one_at_a_time = ring.changing.lock().await;
    resume_locked(ring, secrets).await
}

async fn resume_locked(ring: &KeyRing, secrets: &dyn SecretStore) -> Result<u64, KeyRingError> {
    let mut rewrapped = 0;
    for _ in 0..TRIES {
        // Another vault on the same store may have gone on with it.
        ring.reload().await?;
        let outcome = match ring.record().rotation {
            None => return Ok(rewrapped),
            Some(RotationRecord::Data { .. }) => finish_data(ring, secrets, &mut rewrapped).await,
            Some(RotationRecord::Source { .. }) => finish_source(ring).await,
        };
        match outcome {
            Ok(()) | Err(KeyRingError::Moved) => {}
            Err(error) => return Err(error),
        }
    }
    Err(KeyRingError::Moved)
}

/// Seals values anew until none is left, then drops the retired keys, or keeps them where one may be left unseen.
async fn finish_data(
    ring: &KeyRing,
    secrets: &dyn SecretStore,
    rewrapped: &mut u64,
) -> Result<(), KeyRingError> {
    // Who sealed with the old ring has stored it before the last look.
    ring.writers_done().await;
    let mut record = ring.record();
    reseal_all(ring, &record, secrets, None, rewrapped).await?;
    let wrapping = ring.wrapping_key(&record).await?;
    if secrets.lists_everything() {
        record
            .keys
            .retain(|key| key.purpose != KeyPurpose::Data || key.state == KeyState::Active);
    } else {
        for key in data_keys(&mut record).filter(|key| key.state == KeyState::Retiring) {
            key.state = KeyState::Former;
        }
    }
    record.rotation = None;
    ring.save(record, &wrapping).await
}

/// Has the source make the second key, moves the ring to it, drops the first.
async fn finish_source(ring: &KeyRing) -> Result<(), KeyRingError> {
    let mut record = ring.record();
    let Some(RotationRecord::Source { from, .. }) = record.rotation.clone() else {
        return Ok(());
    };
    if record.wrapping_key == from || !holds(ring, &record).await? {
        // Always a new one: a key that is there already may be an older one that somebody knows. One that was
        // made before a crash opens nothing and is dropped with the first.
        let next = ring.source().add(&record.vault_id).await?;
        record.keys = ring.rewrapped(&next.key)?;
        next.key.id().clone_into(&mut record.wrapping_key);
        // The first one stays stored until the source has been told to drop it.
        record.stored_wrapping_keys.extend(next.stored);
        ring.save(record, &next.key).await?;
    }
    let mut record = ring.record();
    if let Err(error) = ring.source().retain(&record.wrapping_key).await {
        // Another vault that was slow to finish an earlier rotation may have dropped the new key just now. As
        // long as this one knows what it wrapped, nothing is lost: it goes round again with a newer one.
        let lost = matches!(holds(ring, &record).await, Ok(false));
        return Err(if lost {
            KeyRingError::Moved
        } else {
            error.into()
        });
    }
    let wrapping = ring.wrapping_key(&record).await?;
    record
        .stored_wrapping_keys
        .retain(|stored| stored.id == record.wrapping_key);
    record.rotation = None;
    ring.save(record, &wrapping).await
}

/// Whether the source holds the key by which the ring is wrapped.
async fn holds(ring: &KeyRing, record: &RingRecord) -> Result<bool, KeyRingError> {
    match ring.wrapping_key(record).await {
        Ok(_) => Ok(true),
        Err(KeyRingError::WrongKey { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Seals every version anew that is not sealed by the active key, or not with the algorithm.
/// Fails with [`KeyRingError::Moved`] as soon as the ring is another one than `record`.
async fn reseal_all(
    ring: &KeyRing,
    record: &RingRecord,
    secrets: &dyn SecretStore,
    algorithm: Option<Algorithm>,
    rewrapped: &mut u64,
) -> Result<(), KeyRingError> {
    let active = active_data_key(record);
    let mut idle = 0;
    let mut damaged = BTreeSet::new();
    loop {
        if ring.generation() != record.generation {
            return Err(KeyRingError::Moved);
        }
        // Those that cannot be opened are met again each time: look past them.
        let found = secrets
            .sealed_otherwise(&active, algorithm, BATCH + damaged.len())
            .await?;
        let mut items = Vec::with_capacity(found.len());
        for stored in &found {
            match resealed(ring, stored, algorithm) {
                Ok(item) => items.push(item),
                Err(KeyRingError::Opaque | KeyRingError::UnknownKey { .. }) => {
                    damaged.insert(format!(
                        "{} version {}",
                        stored.record.name, stored.record.version
                    ));
                }
                Err(error) => return Err(error),
            }
        }
        if items.is_empty() {
            if damaged.is_empty() {
                return Ok(());
            }
            return Err(KeyRingError::Damaged {
                values: damaged.into_iter().collect(),
            });
        }
        let done = secrets.reseal(items).await?;
        *rewrapped += done;
        idle = if done == 0 { idle + 1 } else { 0 };
        if idle > PATIENCE {
            return Err(KeyRingError::Stuck);
        }
    }
}

fn resealed(
    ring: &KeyRing,
    stored: &StoredSecret,
    algorithm: Option<Algorithm>,
) -> Result<Resealed, KeyRingError> {
    let value = ring.open_secret(stored)?;
    let record = &stored.record;
    let algorithm = algorithm.unwrap_or(record.algorithm);
    let (key_id, sealed) = ring.seal(
        record.id,
        &record.name,
        record.version,
        &stored.sealed_kind,
        algorithm,
        &value,
    )?;
    Ok(Resealed {
        id: record.id,
        name: record.name.clone(),
        version: record.version,
        old_nonce: stored.sealed.nonce.clone(),
        key_id,
        algorithm,
        sealed,
    })
}

fn data_keys(record: &mut RingRecord) -> impl Iterator<Item = &mut crate::store::WrappedKey> {
    record
        .keys
        .iter_mut()
        .filter(|key| key.purpose == KeyPurpose::Data)
}

fn active_data_key(record: &RingRecord) -> String {
    // invariant: an opened ring has exactly one active data key.
    record.active_data_key().unwrap_or_default().to_owned()
}
