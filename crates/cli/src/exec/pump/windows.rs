//! Carries the program's output through the [redactor](super::redact) to fnox's own.
//!
//! A stream that is a console is left to the program. When the program has ended, a background process that it left may
//! still hold the pipe: after two seconds without a word from it fnox stops listening. When fnox's output is closed, the
//! pipe is closed too, so that the program notices as it would without fnox.
//!
//! Windows has no wait for one of two pipes, so one thread reads each stream and another carries it. Whether stdout and
//! stderr lead to the same place is not asked: their lines may then change places.

use std::fs::File;
use std::io::{self, IsTerminal as _, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::windows::io::{AsHandle as _, BorrowedHandle};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::redact::{Redaction, Redactor};

/// How long to listen to silence after the program's end.
const IDLE: Duration = Duration::from_secs(2);

/// Pause between two looks whether the program has ended.
const PAUSE: Duration = Duration::from_millis(50);

type Piece = Zeroizing<Vec<u8>>;

/// The program's ends of the streams, and the threads that carry them.
#[derive(Debug)]
pub(super) struct Pumps {
    threads: Vec<JoinHandle<()>>,
    has_ended: Arc<AtomicBool>,
}

/// What the program gets as stdout and stderr.
#[derive(Debug)]
pub(super) struct Streams {
    /// Its stdout.
    pub(super) stdout: Stdio,
    /// Its stderr.
    pub(super) stderr: Stdio,
}

impl Pumps {
    /// Streams that are inherited: nothing is redacted.
    #[must_use]
    pub(super) fn none() -> (Streams, Self) {
        let streams = Streams {
            stdout: Stdio::inherit(),
            stderr: Stdio::inherit(),
        };
        let pumps = Self {
            threads: Vec::new(),
            has_ended: Arc::default(),
        };
        (streams, pumps)
    }

    /// Streams whose output is redacted, where they are no consoles.
    ///
    /// # Errors
    /// If pipes or threads cannot be made.
    pub(super) fn redacting(redaction: &Arc<Redaction>) -> io::Result<(Streams, Self)> {
        let (mut streams, mut pumps) = Self::none();
        let (own_stdout, own_stderr) = (io::stdout(), io::stderr());
        if !own_stdout.is_terminal() {
            streams.stdout = pumps.add(own_stdout.as_handle(), redaction)?.into();
        }
        if !own_stderr.is_terminal() {
            streams.stderr = pumps.add(own_stderr.as_handle(), redaction)?.into();
        }
        Ok((streams, pumps))
    }

    fn add(
        &mut self,
        target: BorrowedHandle<'_>,
        redaction: &Arc<Redaction>,
    ) -> io::Result<PipeWriter> {
        let (reader, writer) = io::pipe()?;
        let target = File::from(target.try_clone_to_owned()?);
        let redaction = Arc::clone(redaction);
        let has_ended = Arc::clone(&self.has_ended);
        let (sender, pieces) = sync_channel(1);
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        // Ends with the last writer, or with its first piece that nobody takes.
        thread("read").spawn(move || read(reader, &sender))?;
        self.threads.push(thread("redact").spawn(move || {
            // A write fails when nobody reads any more.
            let _ = carry(&pieces, &target, &has_ended, &redaction);
        })?);
        Ok(writer)
    }

    /// The program has ended: carries the rest and returns when all is written.
    pub(super) fn finish(mut self) {
        self.has_ended.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn read(mut source: PipeReader, sender: &SyncSender<Piece>) {
    let mut buffer = Zeroizing::new(vec![0; 64 * 1024]);
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                if sender
                    .send(Zeroizing::new(buffer[..count].to_vec()))
                    .is_err()
                {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn carry(
    pieces: &Receiver<Piece>,
    mut target: &File,
    has_ended: &AtomicBool,
    redaction: &Redaction,
) -> io::Result<()> {
    let mut redactor = Redactor::new(redaction.patterns());
    let mut silent_since: Option<Instant> = None;
    loop {
        match pieces.recv_timeout(PAUSE) {
            Ok(piece) => {
                silent_since = None;
                redactor.adopt(redaction.patterns());
                target.write_all(&redactor.feed(&piece))?;
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if has_ended.load(Ordering::Acquire) => {
                let since = *silent_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= IDLE {
                    break;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    target.write_all(&redactor.finish())
}
