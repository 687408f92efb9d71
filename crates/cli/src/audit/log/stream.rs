//! Records of a process that has no time to wait for the disk: a gateway, for each request.
//!
//! A record is written before its request goes on, so that it outlives the process; whoever waits at the same time is
//! written for together. Every [`FLUSH`] the file is brought to the disk, every [`SEAL`] the head is. A machine that loses
//! its power loses what is younger than that.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fnox_core::audit::Entry;
use fnox_core::{Clock as _, SystemClock};
use tokio::sync::oneshot;

use super::{Growing, Log, LogError};

/// Between two flushes of the file.
const FLUSH: Duration = Duration::from_millis(100);

/// After so many flushes the head is stored too, for which others have to wait.
const SEAL: u32 = 10;

/// A log that a running process appends to.
#[derive(Debug)]
pub(crate) struct Stream {
    log: Log,
    waiting: Mutex<Vec<Waiting>>,
    writer: tokio::sync::Mutex<Option<Growing>>,
    is_unsealed: AtomicBool,
}

#[derive(Debug)]
struct Waiting {
    entry: Entry,
    done: oneshot::Sender<Result<(), String>>,
}

impl Stream {
    pub(crate) fn new(log: Log) -> Self {
        Self {
            log,
            waiting: Mutex::default(),
            writer: tokio::sync::Mutex::default(),
            is_unsealed: AtomicBool::new(false),
        }
    }

    /// Writes a record. The error is the reason why that was not possible.
    pub(crate) async fn record(&self, entry: Entry) -> Result<(), String> {
        let (done, written) = oneshot::channel();
        self.waiting().push(Waiting { entry, done });
        self.write_waiting().await;
        let written = written.await;
        written.unwrap_or_else(|_| Err("whoever wrote it gave up".to_owned()))
    }

    /// Brings to the disk what was written, again and again; never ends.
    pub(crate) async fn keep(&self) {
        let mut flushes = 0;
        loop {
            tokio::time::sleep(FLUSH).await;
            if !self.is_unsealed.load(Ordering::Acquire) {
                continue;
            }
            flushes += 1;
            let outcome = if flushes % SEAL == 0 {
                self.finish().await
            } else {
                self.flush().await
            };
            if let Err(error) = outcome {
                tracing::warn!("the log of uses: {error}");
            }
        }
    }

    /// Brings everything to the disk, the head too.
    pub(crate) async fn finish(&self) -> Result<(), LogError> {
        let mut writer = self.writer.lock().await;
        if !self.is_unsealed.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let settled = self.settle(&mut writer).await;
        if settled.is_err() {
            self.is_unsealed.store(true, Ordering::Release);
        }
        settled
    }

    async fn settle(&self, writer: &mut Option<Growing>) -> Result<(), LogError> {
        let _lock = self.log.lock().await?;
        let growing = self.growing(writer.take())?;
        self.log.settle(&growing)?;
        *writer = Some(growing);
        Ok(())
    }

    /// Only the file, and while others write.
    async fn flush(&self) -> Result<(), LogError> {
        let file = {
            let writer = self.writer.lock().await;
            let file = writer.as_ref().map(|growing| growing.file.try_clone());
            file.transpose()
                .map_err(|error| self.log.io("flush", error))?
        };
        let Some(file) = file else { return Ok(()) };
        let flushed = tokio::task::spawn_blocking(move || File::sync_data(&file)).await;
        flushed
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(|error| self.log.io("flush", error))
    }

    /// Writes for all that wait. Whoever was before may have written for this one too.
    async fn write_waiting(&self) {
        let mut writer = self.writer.lock().await;
        if self.waiting().is_empty() {
            return;
        }
        let locked = self.log.lock().await;
        // From here on nothing is waited for: who gives up before leaves what waits to the next one.
        let (entries, told): (Vec<Entry>, Vec<_>) = std::mem::take(&mut *self.waiting())
            .into_iter()
            .map(|one| (one.entry, one.done))
            .unzip();
        let outcome = locked.and_then(|_lock| self.write(&mut writer, entries));
        let outcome = outcome.map_err(|error| error.to_string());
        for done in told {
            // Who does not wait any more has no use for it.
            let _ = done.send(outcome.clone());
        }
    }

    /// Call it under the log's lock.
    fn write(&self, writer: &mut Option<Growing>, entries: Vec<Entry>) -> Result<(), LogError> {
        let mut growing = self.growing(writer.take())?;
        self.log.write(&mut growing, entries, SystemClock.now())?;
        self.is_unsealed.store(true, Ordering::Release);
        *writer = Some(growing);
        Ok(())
    }

    /// The end as it was left here, or read anew if others have written since. Call it under the log's lock.
    fn growing(&self, left: Option<Growing>) -> Result<Growing, LogError> {
        match left.filter(|growing| self.is_as_left(growing)) {
            Some(growing) => Ok(growing),
            None => self.log.resume(),
        }
    }

    fn is_as_left(&self, growing: &Growing) -> bool {
        let path = &self.log.path;
        path.symlink_metadata()
            .is_ok_and(|there| there.is_file() && there.len() == growing.bytes)
            && fnox_system::is_same_file(&growing.file, path).is_ok_and(|is_same| is_same)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
