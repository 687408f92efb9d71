//! A program whose output is for somebody who asked for it: without stdin, for a limited time, its output redacted
//! and of limited length.
//!
//! It has a process group of its own, which is killed as a whole when the time is over or nobody wants the output any
//! more. What the program leaves running when it ends by itself goes on; its output is not waited for.

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fnox_core::ExitStatus;
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Child;
use zeroize::Zeroizing;

use super::child::{self, Environment, Program};
use super::redact::{Redaction, Redactor};
use crate::error::CliError;

/// How long to listen after the program's end.
const REST: Duration = Duration::from_secs(2);

/// What a program is given and allowed.
#[derive(Debug)]
pub(crate) struct Limits {
    /// How long it may run.
    pub(crate) time: Duration,
    /// How many bytes of each of its streams are kept; the rest is read and thrown away.
    pub(crate) bytes: usize,
}

/// What became of a program.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) stdout: Kept,
    pub(crate) stderr: Kept,
    pub(crate) end: End,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Killed because nobody wants its output any more.
    Abandoned,
    /// By itself, or by somebody else.
    Ended(ExitStatus),
    /// Killed because its time was over.
    TimedOut,
}

/// The beginning of a stream.
#[derive(Debug)]
pub(crate) struct Kept {
    /// As much of it as is kept, redacted. What is not UTF-8 is replaced.
    pub(crate) text: String,
    /// Whether there was more.
    pub(crate) is_cut: bool,
}

/// Runs a program to its end, to its time's end, or until `abandoned`.
///
/// # Errors
/// [`CliError`] if it was not started.
pub(crate) async fn run(
    command: &[OsString],
    environment: &Environment,
    redaction: Option<&Arc<Redaction>>,
    limits: &Limits,
    abandoned: impl Future<Output = ()>,
) -> Result<Captured, CliError> {
    let mut group = Group(Program::new(command, environment)?.start_apart()?);
    let (stdout, stderr) = (group.0.stdout.take(), group.0.stderr.take());
    let mut kept_stdout = Keeper::new(redaction, limits.bytes);
    let mut kept_stderr = Keeper::new(redaction, limits.bytes);
    let end = {
        let mut reading = pin!(async {
            tokio::join!(kept_stdout.read(stdout), kept_stderr.read(stderr));
        });
        let mut time = pin!(tokio::time::sleep(limits.time));
        let mut abandoned = pin!(abandoned);
        let mut is_read = false;
        let end = loop {
            tokio::select! {
                status = group.0.wait() => {
                    let status = status.map_err(super::system("wait for the program"))?;
                    break End::Ended(child::exit_status(status));
                }
                () = &mut reading, if !is_read => is_read = true,
                () = &mut time => break End::TimedOut,
                () = &mut abandoned => break End::Abandoned,
            }
        };
        if !matches!(end, End::Ended(_)) {
            group.kill();
            let _ = group.0.wait().await;
        }
        if !is_read {
            let _ = tokio::time::timeout(REST, &mut reading).await;
        }
        end
    };
    Ok(Captured {
        stdout: kept_stdout.finish(),
        stderr: kept_stderr.finish(),
        end,
    })
}

/// A program that leads a process group. Whatever ends the wait for it ends the group.
struct Group(Child);

impl Group {
    fn kill(&self) {
        // There is a number only as long as nobody has waited for the program, so it is still its own.
        let number = self.0.id().and_then(|number| i32::try_from(number).ok());
        if let Some(leader) = number.and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Keeps the beginning of a stream.
struct Keeper {
    redactor: Option<(Arc<Redaction>, Redactor)>,
    limit: usize,
    bytes: Vec<u8>,
    is_cut: bool,
    is_at_end: bool,
}

impl Keeper {
    fn new(redaction: Option<&Arc<Redaction>>, limit: usize) -> Self {
        Self {
            redactor: redaction
                .map(|redaction| (Arc::clone(redaction), Redactor::new(redaction.patterns()))),
            limit,
            bytes: Vec::new(),
            is_cut: false,
            is_at_end: false,
        }
    }

    /// Reads to the end. Stopped in between, it has what came so far.
    async fn read(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut buffer = Zeroizing::new(vec![0; 64 * 1024]);
        loop {
            match stream.read(&mut buffer).await {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(count) => self.take(&buffer[..count]),
            }
        }
        self.is_at_end = true;
    }

    fn take(&mut self, bytes: &[u8]) {
        match &mut self.redactor {
            None => self.keep(bytes),
            Some((redaction, redactor)) => {
                redactor.adopt(redaction.patterns());
                let shown = redactor.feed(bytes);
                self.keep(&shown);
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.limit - self.bytes.len();
        self.is_cut |= bytes.len() > room;
        self.bytes
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn finish(mut self) -> Kept {
        // What is held back may be the beginning of a value: it is shown only if nothing can follow.
        if let Some((_, mut redactor)) = self.redactor.take().filter(|_| self.is_at_end) {
            let shown = redactor.finish();
            self.keep(&shown);
        }
        // A character that the cut went through is not one of those that are no UTF-8.
        let whole = match std::str::from_utf8(&self.bytes) {
            Err(error) if self.is_cut && error.error_len().is_none() => error.valid_up_to(),
            _ => self.bytes.len(),
        };
        let mut text = String::from_utf8_lossy(&self.bytes[..whole]).into_owned();
        // A byte that is replaced becomes three.
        if text.len() > self.limit {
            text.truncate(text.floor_char_boundary(self.limit));
            self.is_cut = true;
        }
        Kept {
            text,
            is_cut: self.is_cut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(limit: usize, pieces: &[&[u8]]) -> (String, bool) {
        kept_until(true, limit, pieces)
    }

    fn kept_until(is_at_end: bool, limit: usize, pieces: &[&[u8]]) -> (String, bool) {
        let redaction = Arc::new(Redaction::of_nothing());
        redaction.add(vec!["hunter2-hunter2".into()]);
        let mut keeper = Keeper::new(Some(&redaction), limit);
        for piece in pieces {
            keeper.take(piece);
        }
        keeper.is_at_end = is_at_end;
        let Kept { text, is_cut } = keeper.finish();
        (text, is_cut)
    }

    #[test]
    fn what_is_cut_was_redacted_before() {
        let pieces: [&[u8]; 3] = [b"a hunter2-hu", b"nter2 b", b"cdef"];
        assert_eq!(kept(64, &pieces), ("a [REDACTED] bcdef".to_owned(), false));
        assert_eq!(kept(18, &pieces), ("a [REDACTED] bcdef".to_owned(), false));
        assert_eq!(kept(14, &pieces), ("a [REDACTED] b".to_owned(), true));
        assert_eq!(kept(8, &pieces), ("a [REDAC".to_owned(), true));
        // Whether it was going to be a value is known only at the end.
        assert_eq!(kept(64, &pieces[..1]), ("a hunter2-hu".to_owned(), false));
        let (text, _) = kept_until(false, 64, &pieces[..1]);
        assert_eq!(text, "a ");
    }

    #[test]
    fn a_cut_goes_through_no_character_and_other_bytes_are_replaced() {
        assert_eq!(kept(4, &["aäöü".as_bytes()]), ("aä".to_owned(), true));
        assert_eq!(
            kept(9, &[b"a\xff\xfeb"]),
            ("a\u{fffd}\u{fffd}b".to_owned(), false)
        );
        let (text, is_cut) = kept(8, &[b"\xff\xff\xff\xff"]);
        assert_eq!((text.as_str(), is_cut), ("\u{fffd}\u{fffd}", true));
        // At the stream's own end, not a cut.
        assert_eq!(kept(8, &[b"a\xc3"]), ("a\u{fffd}".to_owned(), false));
    }
}
