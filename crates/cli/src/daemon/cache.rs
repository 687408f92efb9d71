//! The values themselves.
//!
//! Each value is sealed (XChaCha20-Poly1305) under a key that is drawn at random, lies in a page of its own that is not
//! written to disk where the system allows it, and is overwritten when everything is cleared. So one locked page is
//! enough for any number of values, within the few pages that an ordinary user may lock, and what the system swaps out
//! is ciphertext. A value is in clear for as long as one answer takes, in buffers that are overwritten.
//!
//! Time is counted by two clocks, and the value ends when either says so: the wall clock goes on while the machine
//! sleeps, and the steady one cannot be set back.

use std::collections::HashMap;
use std::time::Duration;

use fnox_core::seal::{Algorithm, SealError, Sealed, SealingKey};
use fnox_core::{Clock, SecretBytes, SecretName};
use fnox_vault::key_ring::KeyPage;
use jiff::Timestamp;
use rand::Rng as _;

use super::protocol::{Entry, FRAME_ROOM, Key, MAX_VALUE, Value};
use fnox_vault_wire::SecretValue;

/// Most values that are kept.
const MAX_ENTRIES: usize = 10_000;

/// Most bytes of ciphertext that are kept.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// No value is kept longer, whatever a client says.
const MAX_LIFETIME: Duration = Duration::from_hours(24);

const ALGORITHM: Algorithm = Algorithm::XChaCha20Poly1305;

/// A point in time by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    wall: Timestamp,
    steady: Duration,
}

impl Moment {
    pub(super) fn now(clock: &dyn Clock) -> Self {
        Self {
            wall: clock.now(),
            steady: clock.monotonic(),
        }
    }

    pub(super) fn after(self, lifetime: Duration) -> Self {
        Self {
            wall: self.wall.saturating_add(lifetime).unwrap_or(self.wall),
            steady: self.steady.saturating_add(lifetime),
        }
    }

    /// Whether it is over at `now`, by either clock.
    pub(super) fn is_over(self, now: Self) -> bool {
        now.wall >= self.wall || now.steady >= self.steady
    }
}

#[derive(Debug)]
struct Kept {
    name: SecretName,
    sealed: Sealed,
    end: Moment,
}

/// Values by digest.
#[derive(Debug)]
pub(super) struct Cache {
    entries: HashMap<Key, Kept>,
    bytes: usize,
    page: KeyPage,
    /// Goes up with each clearing. Its start is random, so that what an earlier daemon told means nothing to this one.
    generation: u64,
    /// At which generation everything was cleared last.
    all_cleared: u64,
    /// At which generation a secret was cleared last.
    cleared: HashMap<SecretName, u64>,
}

/// What [`Cache::find`] found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) values: Vec<Value>,
    pub(super) more: Vec<Key>,
}

impl Cache {
    pub(super) fn new() -> Result<Self, SealError> {
        // JSON's numbers are exact up to 2^53 in every language.
        let generation = rand::rng().random_range(1..1 << 52);
        Ok(Self {
            entries: HashMap::new(),
            bytes: 0,
            page: new_page()?,
            generation,
            all_cleared: generation,
            cleared: HashMap::new(),
        })
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_locked(&self) -> bool {
        self.page.is_locked()
    }

    /// The values under these digests, as many as one frame holds.
    pub(super) fn find(&mut self, keys: &[Key], now: Moment) -> Found {
        self.drop_old(now);
        let mut found = Found {
            values: Vec::new(),
            more: Vec::new(),
        };
        let mut room = FRAME_ROOM;
        for key in keys {
            let Some(kept) = self.entries.get(key) else {
                continue;
            };
            let size = on_wire(kept.sealed.ciphertext.len());
            if size > room {
                found.more.push(*key);
                continue;
            }
            // What does not open is of no use to anybody.
            if let Ok(value) = open(&self.page, *key, kept) {
                room -= size;
                found.values.push(Value {
                    key: *key,
                    value: SecretValue(value),
                });
            }
        }
        found
    }

    /// Keeps values that were resolved since `generation`; how many. What was cleared since then may be old, and a
    /// number that this daemon never told comes from a mistake: neither is kept.
    pub(super) fn keep(&mut self, generation: u64, entries: Vec<Entry>, now: Moment) -> usize {
        if generation < self.all_cleared || generation > self.generation {
            return 0;
        }
        self.drop_old(now);
        let mut count = 0;
        for entry in entries {
            let name = entry.name.0;
            let is_stale = self.cleared.get(&name).is_some_and(|at| *at > generation);
            let lifetime = Duration::from_secs(entry.seconds).min(MAX_LIFETIME);
            let size = entry.value.0.expose_secret().len();
            if is_stale || lifetime.is_zero() || size > MAX_VALUE {
                continue;
            }
            let place = [entry.key.to_string(), name.to_string()];
            let place = [place[0].as_str(), place[1].as_str()];
            let sealed = self
                .page
                .key()
                .seal_bytes(ALGORITHM, &place, &entry.value.0);
            let Ok(sealed) = sealed else { continue };
            self.make_room(sealed.ciphertext.len());
            self.bytes += sealed.ciphertext.len();
            let kept = Kept {
                name,
                sealed,
                end: now.after(lifetime),
            };
            if let Some(old) = self.entries.insert(entry.key, kept) {
                self.bytes -= old.sealed.ciphertext.len();
            }
            count += 1;
        }
        count
    }

    /// Forgets all, the key too; how many values there were.
    pub(super) fn clear(&mut self) -> usize {
        let count = self.entries.len();
        self.entries = HashMap::new();
        self.bytes = 0;
        self.cleared = HashMap::new();
        self.generation += 1;
        self.all_cleared = self.generation;
        // Without randomness the old key stays, which opens nothing that is left.
        if let Ok(page) = new_page() {
            self.page = page;
        }
        count
    }

    /// Forgets the values of these secrets; how many.
    pub(super) fn clear_names(&mut self, names: &[SecretName]) -> usize {
        let before = self.entries.len();
        self.entries.retain(|_, kept| !names.contains(&kept.name));
        self.count_bytes();
        self.generation += 1;
        if self.cleared.len() + names.len() > MAX_ENTRIES {
            // Too many to remember one by one: whatever was resolved before now is not kept.
            self.cleared = HashMap::new();
            self.all_cleared = self.generation;
        } else {
            let now = self.generation;
            self.cleared
                .extend(names.iter().map(|name| (name.clone(), now)));
        }
        before - self.entries.len()
    }

    /// Forgets what is over.
    pub(super) fn drop_old(&mut self, now: Moment) {
        let before = self.entries.len();
        self.entries.retain(|_, kept| !kept.end.is_over(now));
        if self.entries.len() != before {
            self.count_bytes();
        }
    }

    /// Forgets whatever ends first until there is room.
    fn make_room(&mut self, size: usize) {
        while self.entries.len() >= MAX_ENTRIES || self.bytes + size > MAX_BYTES {
            let first = self
                .entries
                .iter()
                .min_by_key(|(_, kept)| kept.end.steady)
                .map(|(key, _)| *key);
            let Some(old) = first.and_then(|key| self.entries.remove(&key)) else {
                return;
            };
            self.bytes -= old.sealed.ciphertext.len();
        }
    }

    fn count_bytes(&mut self) {
        let sizes = self.entries.values();
        self.bytes = sizes.map(|kept| kept.sealed.ciphertext.len()).sum();
    }
}

/// Length of a value as base64, with its digest and punctuation.
pub(super) fn on_wire(length: usize) -> usize {
    length.div_ceil(3) * 4 + 256
}

fn open(page: &KeyPage, key: Key, kept: &Kept) -> Result<SecretBytes, SealError> {
    let place = [key.to_string(), kept.name.to_string()];
    let place = [place[0].as_str(), place[1].as_str()];
    page.key().open_bytes(ALGORITHM, &place, &kept.sealed)
}

fn new_page() -> Result<KeyPage, SealError> {
    SealingKey::generate("daemon".to_owned()).map(KeyPage::new)
}

#[cfg(test)]
mod tests {
    use fnox_core::SecretString;
    use fnox_testkit::clock::FakeClock;
    use jiff::SignedDuration;

    use super::*;
    use crate::daemon::protocol::{Name, to_wire};

    fn key(number: u8) -> Key {
        Key([number; 32])
    }

    fn name(text: &str) -> SecretName {
        SecretName::parse(text).unwrap()
    }

    fn entry(number: u8, text: &str, value: &str, seconds: u64) -> Entry {
        Entry {
            key: key(number),
            name: Name(name(text)),
            seconds,
            value: to_wire(&SecretString::from(value)),
        }
    }

    fn found(cache: &mut Cache, number: u8, now: Moment) -> Option<Vec<u8>> {
        let mut found = cache.find(&[key(number)], now);
        let value = found.values.pop()?;
        Some(value.value.0.expose_secret().to_vec())
    }

    fn clock() -> FakeClock {
        FakeClock::at("2026-01-02T03:04:05Z")
    }

    #[test]
    fn a_value_is_there_until_its_time_is_over() {
        let (clock, mut cache) = (clock(), Cache::new().unwrap());
        let generation = cache.generation();
        let now = Moment::now(&clock);
        assert_eq!(
            cache.keep(generation, vec![entry(1, "A", "a\n", 60)], now),
            1
        );
        clock.advance(SignedDuration::from_secs(59));
        assert_eq!(found(&mut cache, 1, Moment::now(&clock)).unwrap(), b"a\n");
        assert_eq!(found(&mut cache, 2, Moment::now(&clock)), None);
        clock.advance(SignedDuration::from_secs(1));
        assert_eq!(found(&mut cache, 1, Moment::now(&clock)), None);
        assert_eq!((cache.len(), cache.bytes), (0, 0));
    }

    #[test]
    fn sleep_counts_and_setting_the_clock_back_gains_nothing() {
        let (clock, mut cache) = (clock(), Cache::new().unwrap());
        let generation = cache.generation();
        let start = Moment::now(&clock);
        cache.keep(generation, vec![entry(1, "A", "a", 60)], start);
        // The wall clock alone goes on while the machine sleeps.
        clock.set_wall("2026-01-02T03:05:05Z".parse().unwrap());
        assert_eq!(found(&mut cache, 1, Moment::now(&clock)), None);

        let now = Moment::now(&clock);
        cache.keep(generation, vec![entry(1, "A", "a", 60)], now);
        clock.advance(SignedDuration::from_secs(61));
        clock.set_wall("2020-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(found(&mut cache, 1, Moment::now(&clock)), None);
    }

    #[test]
    fn no_client_keeps_a_value_for_longer_than_a_day() {
        let (clock, mut cache) = (clock(), Cache::new().unwrap());
        let generation = cache.generation();
        cache.keep(
            generation,
            vec![entry(1, "A", "a", u64::MAX)],
            Moment::now(&clock),
        );
        clock.advance(SignedDuration::from_hours(24));
        assert_eq!(found(&mut cache, 1, Moment::now(&clock)), None);
    }

    #[test]
    fn what_was_cleared_while_it_was_resolved_is_not_kept() {
        let (clock, mut cache) = (clock(), Cache::new().unwrap());
        let now = Moment::now(&clock);
        let before = cache.generation();
        assert_eq!(cache.clear_names(&[name("A")]), 0);
        let both = vec![entry(1, "A", "old", 60), entry(2, "B", "b", 60)];
        assert_eq!(cache.keep(before, both, now), 1, "only B");
        assert_eq!(found(&mut cache, 1, now), None);
        let current = cache.generation();
        assert_eq!(cache.keep(current, vec![entry(1, "A", "new", 60)], now), 1);

        assert_eq!(cache.clear(), 2);
        assert_eq!(cache.keep(current, vec![entry(1, "A", "new", 60)], now), 0);
        let never_told = cache.generation() + 1;
        assert_eq!(cache.keep(never_told, vec![entry(1, "A", "a", 60)], now), 0);
    }

    #[test]
    fn clearing_a_name_forgets_it_under_every_digest() {
        let (clock, mut cache) = (clock(), Cache::new().unwrap());
        let now = Moment::now(&clock);
        let entries = vec![
            entry(1, "A", "one", 60),
            entry(2, "A", "two", 60),
            entry(3, "B", "b", 60),
        ];
        cache.keep(cache.generation(), entries, now);
        assert_eq!(cache.clear_names(&[name("A")]), 2);
        assert_eq!(
            (cache.len(), found(&mut cache, 3, now)),
            (1, Some(b"b".to_vec()))
        );
    }

    #[test]
    fn what_does_not_fit_into_a_frame_is_named() {
        let (clock, mut cache) = (clock(), Cache::new().unwrap());
        let now = Moment::now(&clock);
        let large = "x".repeat(MAX_VALUE);
        let generation = cache.generation();
        let both = vec![entry(1, "A", &large, 60), entry(2, "B", &large, 60)];
        assert_eq!(cache.keep(generation, both, now), 2);
        let too_large = entry(3, "C", &"x".repeat(MAX_VALUE + 1), 60);
        assert_eq!(cache.keep(generation, vec![too_large], now), 0);
        let first = cache.find(&[key(1), key(2)], now);
        assert_eq!((first.values.len(), &first.more), (1, &vec![key(2)]));
        assert_eq!(cache.find(&first.more, now).values.len(), 1);
    }

    #[test]
    fn memory_is_bounded_and_what_ends_first_goes_first() {
        let (clock, mut cache) = (clock(), Cache::new().unwrap());
        let now = Moment::now(&clock);
        let large = "x".repeat(MAX_VALUE);
        let fits = MAX_BYTES / MAX_VALUE;
        let generation = cache.generation();
        for number in 0..=u8::try_from(fits).unwrap() {
            let seconds = 1000 - u64::from(number);
            cache.keep(generation, vec![entry(number, "A", &large, seconds)], now);
        }
        assert!(cache.bytes <= MAX_BYTES);
        assert!(found(&mut cache, 0, now).is_some(), "lives longest");
        assert!(cache.len() < fits + 1);
    }

    #[test]
    fn memory_between_answers_holds_no_value_in_clear() {
        let (clock, mut cache) = (clock(), Cache::new().unwrap());
        let generation = cache.generation();
        cache.keep(
            generation,
            vec![entry(1, "A", "hunter2", 60)],
            Moment::now(&clock),
        );
        let kept = &cache.entries[&key(1)];
        assert!(
            !kept
                .sealed
                .ciphertext
                .windows(7)
                .any(|part| part == b"hunter2")
        );
        assert!(!format!("{cache:?}").contains("hunter2"));
    }
}
