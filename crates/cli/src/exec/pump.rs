//! Carries the program's output through the [redactor](super::redact) to fnox's own.
//!
//! A stream that is a terminal is left to the program. If stdout and stderr lead to the same place, they
//! share one pipe, so that their lines stay in the order in which they were printed. When the program has
//! ended, a background process that it left may still hold the pipe: after two seconds without a word
//! from it fnox stops listening. When fnox's output is closed, the pipe is closed too, so that the program
//! notices as it would without fnox.

use std::fs::File;
use std::io::{self, IsTerminal as _, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Stdio;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zeroize::Zeroizing;

use super::redact::{Patterns, Redactor};

/// How long to listen to silence after the program's end.
const IDLE: Timespec = Timespec {
    tv_sec: 2,
    tv_nsec: 0,
};

/// The program's ends of the streams, and the threads that carry them.
#[derive(Debug)]
pub(super) struct Pumps {
    threads: Vec<JoinHandle<()>>,
    // Closing it tells the threads that the program has ended.
    running: Option<PipeWriter>,
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
        (
            streams,
            Self {
                threads: Vec::new(),
                running: None,
            },
        )
    }

    /// Streams whose output is redacted, where they are no terminals.
    ///
    /// # Errors
    /// If pipes or threads cannot be made.
    pub(super) fn redacting(patterns: Patterns) -> io::Result<(Streams, Self)> {
        let (streams, mut pumps) = Self::none();
        let Streams {
            mut stdout,
            mut stderr,
        } = streams;
        let patterns = Arc::new(patterns);
        let (ended, running) = io::pipe()?;
        pumps.running = Some(running);
        let (own_stdout, own_stderr) = (io::stdout(), io::stderr());
        let one_place = same_place(own_stdout.as_fd(), own_stderr.as_fd());
        if !own_stdout.is_terminal() {
            let writer = pumps.add(own_stdout.as_fd(), &ended, &patterns)?;
            if one_place {
                stderr = writer.try_clone()?.into();
            }
            stdout = writer.into();
        }
        if !own_stderr.is_terminal() && !one_place {
            stderr = pumps.add(own_stderr.as_fd(), &ended, &patterns)?.into();
        }
        Ok((Streams { stdout, stderr }, pumps))
    }

    fn add(
        &mut self,
        target: BorrowedFd<'_>,
        ended: &PipeReader,
        patterns: &Arc<Patterns>,
    ) -> io::Result<PipeWriter> {
        let (reader, writer) = io::pipe()?;
        let ended = ended.try_clone()?;
        let target = File::from(target.try_clone_to_owned()?);
        let patterns = Arc::clone(patterns);
        let pump = std::thread::Builder::new().name("redact".to_owned());
        let pump = pump.spawn(move || {
            // A write fails when nobody reads any more; returning closes the program's end as well.
            let _ = carry(&reader, &target, &ended, &patterns);
        })?;
        self.threads.push(pump);
        Ok(writer)
    }

    /// The program has ended: carries the rest and returns when all is written.
    pub(super) fn finish(mut self) {
        self.running = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn carry(
    source: &PipeReader,
    target: &File,
    ended: &PipeReader,
    patterns: &Patterns,
) -> io::Result<()> {
    let mut redactor = Redactor::new(patterns);
    let mut buffer = Zeroizing::new(vec![0; 64 * 1024]);
    let mut program_ended = false;
    loop {
        let mut watched = [
            PollFd::new(source, PollFlags::IN),
            PollFd::new(ended, PollFlags::IN),
        ];
        let (count, limit) = if program_ended {
            (1, Some(&IDLE))
        } else {
            (2, None)
        };
        match poll(&mut watched[..count], limit) {
            Ok(0) => break,
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        program_ended |= !watched[1].revents().is_empty();
        if watched[0].revents().is_empty() {
            continue;
        }
        let read = match (&*source).read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        write_all(target, &redactor.feed(&buffer[..read]))?;
    }
    write_all(target, &redactor.finish())
}

/// Writes also to what another process has made non-blocking.
fn write_all(mut target: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match target.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let _ = poll(&mut [PollFd::new(target, PollFlags::OUT)], None);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn same_place(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    match (rustix::fs::fstat(one), rustix::fs::fstat(other)) {
        (Ok(one), Ok(other)) => one.st_dev == other.st_dev && one.st_ino == other.st_ino,
        _ => false,
    }
}
