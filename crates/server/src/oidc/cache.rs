//! The keys of one issuer, kept for a while.
//!
//! Guarantees: at most one refresh runs at a time, and one starts at most every 30 seconds, however many tokens with
//! unknown key ids come; its place is taken before anything is fetched, and whatever comes of it. A refresh that fails
//! takes no keys away. Keys are used for as long as the issuer says, but 5 minutes to 12 hours; if the issuer cannot be
//! reached, 24 hours; then nothing is accepted any more. A key that the issuer removed is gone with the next refresh.
//!
//! Defended against: strangers who make this server flood an issuer, or throw away good keys. Left out: a file of keys
//! is read again whenever it changed, since only whoever runs the server can change it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fnox_core::Clock;
use reqwest::Url;
use tokio::sync::watch;

use super::discovery;
use super::error::{OidcError, quoted};
use super::fetch::{Fetcher, LARGEST_BODY};
use super::keys::{Key, KeySet};
use crate::settings::Algorithm;

/// The least time from one refresh to the next.
const COOL_DOWN: Duration = Duration::from_secs(30);
const SHORTEST: Duration = Duration::from_mins(5);
const LONGEST: Duration = Duration::from_hours(12);
/// If the issuer does not say.
const USUAL: Duration = Duration::from_hours(1);
const STALE: Duration = Duration::from_hours(24);
/// How long an id that the issuer did not know starts no refresh.
const UNKNOWN_FOR: Duration = Duration::from_mins(1);
const MOST_UNKNOWN: usize = 1024;

/// Where keys come from.
#[derive(Debug)]
pub(super) enum Source {
    /// Found by OpenID Connect Discovery.
    Discovery {
        /// The issuer.
        issuer: String,
        /// Gets it.
        fetcher: Fetcher,
    },
    /// A file that is there already.
    File(PathBuf),
}

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct IssuerKeys {
    name: String,
    algorithms: Vec<Algorithm>,
    source: Source,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Counts refreshes that ended.
    ended: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    keys: KeySet,
    /// When to refresh without anybody waiting for it.
    refresh_at: Duration,
    fresh_until: Duration,
    stale_until: Duration,
    /// When the next refresh may start.
    allowed_at: Duration,
    running: bool,
    /// Why the last refresh failed, if it did.
    failure: Option<String>,
    /// Ids that the issuer did not know, and until when that counts.
    unknown: HashMap<String, Duration>,
    /// Where the keys were found, and until when that counts.
    address: Option<(Url, Duration)>,
    stamp: Option<Stamp>,
}

/// Tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<std::time::SystemTime>,
    length: u64,
    #[cfg(unix)]
    inode: (u64, i64, i64),
}

struct Loaded {
    keys: KeySet,
    good_for: Duration,
    address: Option<Url>,
}

/// What to do about a key id.
enum Step {
    Take(Key),
    Wait(watch::Receiver<u64>),
    Refuse(OidcError),
}

impl IssuerKeys {
    pub(super) fn new(
        name: &str,
        algorithms: Vec<Algorithm>,
        source: Source,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            algorithms,
            source,
            clock,
            state: Mutex::default(),
            ended: watch::Sender::new(0),
        }
    }

    /// The key of this id.
    pub(super) async fn key(self: &Arc<Self>, id: &str) -> Result<Key, OidcError> {
        self.follow_file().await;
        match self.step(id) {
            Step::Take(key) => Ok(key),
            Step::Refuse(error) => Err(error),
            Step::Wait(mut ended) => {
                // The sender lives as long as `self`.
                drop(ended.changed().await);
                self.after_refresh(id)
            }
        }
    }

    /// Fetches, if there are no keys yet. The error says why there are still none.
    pub(super) async fn warm_up(self: &Arc<Self>) -> Result<(), String> {
        let ended = {
            let mut state = self.lock();
            let now = self.clock.monotonic();
            if state.usable(now).is_some() {
                return Ok(());
            }
            self.join_or_start(&mut state, now)
        };
        if let Some(mut ended) = ended {
            drop(ended.changed().await);
        }
        let state = self.lock();
        match state.usable(self.clock.monotonic()) {
            Some(_) => Ok(()),
            None => Err(state.why_none()),
        }
    }

    fn step(self: &Arc<Self>, id: &str) -> Step {
        let mut state = self.lock();
        let now = self.clock.monotonic();
        let found = state.usable(now).and_then(|keys| keys.find(id)).cloned();
        let Some(key) = found else {
            let known_to_be_unknown = state.unknown.get(id).is_some_and(|until| now < *until);
            if known_to_be_unknown && now < state.fresh_until {
                return Step::Refuse(self.refusal(&state, id, now));
            }
            return match self.join_or_start(&mut state, now) {
                Some(ended) => Step::Wait(ended),
                None => Step::Refuse(self.refusal(&state, id, now)),
            };
        };
        if now < state.refresh_at {
            return Step::Take(key);
        }
        let refresh = self.join_or_start(&mut state, now);
        match refresh {
            // The key may be gone by now. But an issuer that could not be reached last time delays nobody.
            Some(ended) if now >= state.fresh_until && state.failure.is_none() => Step::Wait(ended),
            _ => Step::Take(key),
        }
    }

    fn after_refresh(&self, id: &str) -> Result<Key, OidcError> {
        let mut state = self.lock();
        let now = self.clock.monotonic();
        if let Some(key) = state.usable(now).and_then(|keys| keys.find(id)) {
            return Ok(key.clone());
        }
        if state.failure.is_none() {
            state.remember_unknown(id, now);
        }
        Err(self.refusal(&state, id, now))
    }

    fn refusal(&self, state: &State, id: &str, now: Duration) -> OidcError {
        if state.usable(now).is_none() || state.failure.is_some() {
            return OidcError::Unavailable {
                issuer: self.name.clone(),
                why: state.why_none(),
            };
        }
        OidcError::UnknownKey {
            issuer: self.name.clone(),
            kid: quoted(id),
        }
    }

    /// Waits for the refresh that runs, or for a new one. None if there may be none now.
    fn join_or_start(
        self: &Arc<Self>,
        state: &mut State,
        now: Duration,
    ) -> Option<watch::Receiver<u64>> {
        let ended = self.ended.subscribe();
        if state.running {
            return Some(ended);
        }
        if now < state.allowed_at {
            return None;
        }
        self.start(state, now);
        Some(ended)
    }

    /// A task of its own: it goes on when whoever waits for it goes away.
    fn start(self: &Arc<Self>, state: &mut State, now: Duration) {
        state.running = true;
        state.allowed_at = now + COOL_DOWN;
        let running = Running(Arc::clone(self));
        tokio::spawn(async move {
            let keys = &running.0;
            let loaded = keys.load().await;
            keys.apply(loaded);
            drop(running);
        });
    }

    async fn load(&self) -> Result<Loaded, String> {
        match &self.source {
            Source::Discovery { issuer, fetcher } => self.fetch(issuer, fetcher).await,
            Source::File(path) => {
                let keys = self.parse(&read_file(path).await?)?;
                Ok(Loaded {
                    keys,
                    good_for: LONGEST,
                    address: None,
                })
            }
        }
    }

    async fn fetch(&self, issuer: &str, fetcher: &Fetcher) -> Result<Loaded, String> {
        let known = {
            let state = self.lock();
            let now = self.clock.monotonic();
            state.address.clone().filter(|(_, until)| now < *until)
        };
        // A known address is asked alone, so that a refresh is one request.
        let address = match known {
            Some((address, _)) => address,
            None => discovery::keys_address(fetcher, issuer).await?,
        };
        let answer = fetcher
            .get(&address)
            .await
            .map_err(|error| error.to_string())?;
        let keys = self
            .parse(&answer.body)
            .map_err(|why| format!("{address}: {why}"))?;
        Ok(Loaded {
            keys,
            good_for: answer.max_age.unwrap_or(USUAL),
            address: Some(address),
        })
    }

    fn parse(&self, document: &[u8]) -> Result<KeySet, String> {
        let keys = KeySet::parse(document, &self.algorithms)?;
        if keys.is_empty() {
            return Err(match keys.refused() {
                [] => "it lists no keys".to_owned(),
                refused => refused.join("; "),
            });
        }
        Ok(keys)
    }

    fn apply(&self, loaded: Result<Loaded, String>) {
        let mut state = self.lock();
        let now = self.clock.monotonic();
        match loaded {
            Ok(loaded) => {
                tracing::info!(
                    issuer = self.name,
                    keys = loaded.keys.len(),
                    refused = ?loaded.keys.refused(),
                    "read the issuer's keys"
                );
                // Some servers of one issuer shall not all ask in the same second.
                let good_for = loaded
                    .good_for
                    .clamp(SHORTEST, LONGEST)
                    .mul_f64(rand::random_range(0.9..=1.0))
                    .max(SHORTEST);
                state.refresh_at = now + good_for.mul_f64(0.75);
                state.fresh_until = now + good_for;
                state.stale_until = now + STALE;
                let keep = match state.address.take() {
                    Some((old, until)) if Some(&old) == loaded.address.as_ref() && now < until => {
                        until
                    }
                    _ => now + STALE,
                };
                state.address = loaded.address.map(|address| (address, keep));
                state.keys = loaded.keys;
                state.failure = None;
                let State { keys, unknown, .. } = &mut *state;
                unknown.retain(|id, until| now < *until && keys.find(id).is_none());
            }
            Err(why) => {
                tracing::warn!(
                    issuer = self.name,
                    why,
                    "cannot read the issuer's keys; the keys from before are used for 24 hours at most"
                );
                state.address = None;
                state.failure = Some(why);
            }
        }
    }

    /// Reads a file again if it is not the one that was read.
    async fn follow_file(self: &Arc<Self>) {
        let Source::File(path) = &self.source else {
            return;
        };
        let stamp = tokio::fs::metadata(path)
            .await
            .ok()
            .map(|it| Stamp::of(&it));
        let mut ended = {
            let mut state = self.lock();
            if state.stamp == stamp || state.running {
                return;
            }
            // Also for a file that cannot be read: once is enough for each change.
            state.stamp = stamp;
            let ended = self.ended.subscribe();
            self.start(&mut state, self.clock.monotonic());
            ended
        };
        drop(ended.changed().await);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn usable(&self, now: Duration) -> Option<&KeySet> {
        (!self.keys.is_empty() && now < self.stale_until).then_some(&self.keys)
    }

    fn why_none(&self) -> String {
        self.failure
            .clone()
            .unwrap_or_else(|| "they were not read for 24 hours, or never".to_owned())
    }

    fn remember_unknown(&mut self, id: &str, now: Duration) {
        if self.unknown.len() >= MOST_UNKNOWN {
            self.unknown.retain(|_, until| now < *until);
        }
        if self.unknown.len() < MOST_UNKNOWN {
            self.unknown.insert(id.to_owned(), now + UNKNOWN_FOR);
        }
    }
}

/// However a refresh ends, also by a panic, nobody waits for it any more.
struct Running(Arc<IssuerKeys>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().running = false;
        self.0.ended.send_modify(|ended| *ended += 1);
    }
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt as _;
        Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            #[cfg(unix)]
            inode: (metadata.ino(), metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

async fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let named = |error: std::io::Error| format!("{}: {error}", path.display());
    let length = tokio::fs::metadata(path).await.map_err(named)?.len();
    if length > LARGEST_BODY as u64 {
        return Err(format!(
            "{}: it is larger than {LARGEST_BODY} bytes",
            path.display()
        ));
    }
    tokio::fs::read(path).await.map_err(named)
}
