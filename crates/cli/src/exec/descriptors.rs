//! Secrets that a program gets through a pipe, as a file descriptor with a number of its own.
//!
//! The number is taken first, before anything else of fnox can have it, by a descriptor that no program
//! inherits. The pipe replaces it right before the program starts; dup2(2) leaves the copy without
//! `FD_CLOEXEC`, so exactly this one is inherited. A pipe can be read once, is in no environment and no file,
//! and is gone with its last reader.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};

use fnox_core::SecretBytes;

/// What a pipe takes for certain without a reader (`PIPE_BUF`, pipe(7)).
const ALWAYS_FITS: usize = 4096;

/// A number that is taken, and the pipe behind it once there is one.
#[derive(Debug)]
pub(crate) struct Descriptor {
    end: OwnedFd,
}

impl Descriptor {
    /// Takes a number.
    ///
    /// # Errors
    /// If something else has it, or as the system says.
    pub(crate) fn reserve(number: i32) -> io::Result<Self> {
        let nothing = File::open("/dev/null")?;
        let end = rustix::io::fcntl_dupfd_cloexec(&nothing, number)?;
        if end.as_raw_fd() == number {
            return Ok(Self { end });
        }
        // `nothing` itself may be what has it.
        drop(nothing);
        let other = rustix::io::fcntl_dupfd_cloexec(&end, number)?;
        if other.as_raw_fd() == number {
            return Ok(Self { end: other });
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "fnox was started with something else there",
        ))
    }

    /// Puts a pipe there out of which the value comes. From now on programs inherit it.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn fill(&mut self, value: SecretBytes) -> io::Result<()> {
        let (reader, mut writer) = io::pipe()?;
        rustix::io::dup2(&reader, &mut self.end)?;
        drop(reader);
        if value.expose_secret().len() <= ALWAYS_FITS {
            return writer.write_all(value.expose_secret());
        }
        // Ends when everything was read, or when the last reader is gone.
        std::thread::Builder::new()
            .name("fnox-pipe".to_owned())
            .spawn(move || {
                let _nobody_reads = writer.write_all(value.expose_secret());
            })
            .map(|_detached| ())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Numbers that tests run at the same time do not share.
    fn read_by_a_program(number: i32, value: &[u8]) -> Vec<u8> {
        let mut descriptor = Descriptor::reserve(number).unwrap();
        assert!(Descriptor::reserve(number).is_err(), "taken");
        descriptor.fill(SecretBytes::new(value.to_vec())).unwrap();
        let output = Command::new("sh")
            .args(["-c", &format!("cat /dev/fd/{number}")])
            .output()
            .unwrap();
        output.stdout
    }

    #[test]
    fn a_program_reads_small_and_large_values_from_the_number() {
        assert_eq!(read_by_a_program(210, b"hunter2\0\xff"), b"hunter2\0\xff");
        let large = vec![7; 512 * 1024];
        assert!(read_by_a_program(211, &large) == large);
    }

    #[test]
    fn what_was_only_reserved_is_not_inherited() {
        let _reserved = Descriptor::reserve(212).unwrap();
        let status = Command::new("sh")
            .args(["-c", "test ! -e /dev/fd/212"])
            .status()
            .unwrap();
        assert!(status.success());
    }
}
