//! Locks between processes: with a time limit, and with a holder who can be named.
//!
//! An advisory lock on an open file (flock) dies with its holder, so a crash leaves no stale lock. The
//! file's text says who holds it and is only ever used for messages. Lock files are not removed: two
//! processes could then hold locks on two files of the same name.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::LedgerError;

/// Waiting begins with the first of these and doubles up to the second.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// A held lock. Dropping it releases it.
#[derive(Debug)]
#[must_use]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would release it too, but not while a child that was forked meanwhile and has not reached
        // its exec holds a copy of the descriptor: flock(2) belongs to the open file description, and
        // unlocking ends it for every copy.
        let _ = self.file.unlock();
    }
}

impl Lock {
    /// Takes the lock, waiting at most `limit`. `holder` is what others are told while it is held.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] names the holder; [`LedgerError::Io`] if the file cannot be opened.
    pub async fn acquire(path: &Path, limit: Duration, holder: &str) -> Result<Self, LedgerError> {
        Self::wait(path, limit, holder, File::try_lock).await
    }

    /// The same with others who share it: as long as one of them has it, nobody gets it alone.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub async fn share(path: &Path, limit: Duration, holder: &str) -> Result<Self, LedgerError> {
        Self::wait(path, limit, holder, File::try_lock_shared).await
    }

    async fn wait(
        path: &Path,
        limit: Duration,
        holder: &str,
        way: fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Self, LedgerError> {
        let file = open(path)?;
        let begun = Instant::now();
        let mut pause = SHORTEST_PAUSE;
        loop {
            if is_taken(way(&file), path)? {
                return Ok(Self::held(file, holder));
            }
            if begun.elapsed() >= limit {
                return Err(LedgerError::Locked {
                    path: path.to_owned(),
                    holder: holder_of(path),
                    waited: limit,
                });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Takes the lock if nobody holds it.
    ///
    /// # Errors
    /// [`LedgerError::Io`] if the file cannot be opened.
    pub fn try_acquire(path: &Path, holder: &str) -> Result<Option<Self>, LedgerError> {
        let file = open(path)?;
        Ok(is_taken(file.try_lock(), path)?.then(|| Self::held(file, holder)))
    }

    fn held(mut file: File, holder: &str) -> Self {
        // Only a courtesy to those who wait; a full disk must not keep the lock from being taken.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{holder}"));
        Self { file }
    }
}

/// How this process introduces itself to those who wait for its locks.
#[must_use]
pub fn introduction(command: &str) -> String {
    format!(
        "process {} ({})",
        std::process::id(),
        command.escape_debug()
    )
}

/// Who holds a lock, in words.
#[must_use]
pub fn holder_of(path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(200).read_to_string(&mut text));
    match read {
        Ok(_) if !text.trim().is_empty() => text.trim().escape_debug().to_string(),
        _ => "another process".to_owned(),
    }
}

fn open(path: &Path) -> Result<File, LedgerError> {
    fnox_system::open_lock_file(path)
        .map_err(|source| LedgerError::io("open the lock", path, source))
}

fn is_taken(outcome: Result<(), TryLockError>, path: &Path) -> Result<bool, LedgerError> {
    match outcome {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(LedgerError::io(
            "take the lock",
            PathBuf::from(path),
            source,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    }

    #[test]
    fn the_second_one_waits_and_is_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        runtime().block_on(async {
            let first = Lock::acquire(&path, Duration::ZERO, "process 7 (fnox exec)")
                .await
                .unwrap();
            let error = Lock::acquire(&path, Duration::from_millis(5), "me")
                .await
                .unwrap_err();
            let text = error.to_string();
            assert!(text.contains("process 7 (fnox exec)"), "{text}");
            assert!(Lock::try_acquire(&path, "me").unwrap().is_none());
            drop(first);
            assert!(Lock::try_acquire(&path, "me").unwrap().is_some());
        });
    }

    #[test]
    fn a_shared_lock_is_had_by_several_and_then_by_nobody_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        runtime().block_on(async {
            let first = Lock::share(&path, Duration::ZERO, "a").await.unwrap();
            let second = Lock::share(&path, Duration::ZERO, "b").await.unwrap();
            drop(first);
            assert!(Lock::try_acquire(&path, "c").unwrap().is_none());
            drop(second);
            let alone = Lock::try_acquire(&path, "c").unwrap().unwrap();
            assert!(Lock::share(&path, Duration::ZERO, "d").await.is_err());
            drop(alone);
        });
    }

    #[test]
    fn a_released_lock_is_free_although_a_copy_of_its_descriptor_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let first = Lock::try_acquire(&path, "a").unwrap().unwrap();
        // What a child has between its fork and its exec.
        let copy = first.file.try_clone().unwrap();
        drop(first);
        assert!(Lock::try_acquire(&path, "b").unwrap().is_some());
        drop(copy);
    }

    #[test]
    fn whoever_waits_gets_it_when_it_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        runtime().block_on(async {
            let first = Lock::acquire(&path, Duration::ZERO, "a").await.unwrap();
            let second = Lock::acquire(&path, Duration::from_mins(1), "b");
            let release = async {
                tokio::task::yield_now().await;
                drop(first);
            };
            let (second, ()) = tokio::join!(second, release);
            assert!(second.is_ok());
        });
    }
}
