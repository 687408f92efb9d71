//! The length of what will be written, found before it is.
//!
//! A buffer that grows leaves copies of its beginning behind. Whoever writes a document with a secret in it writes it here
//! first, makes a buffer of that length, and writes it there.

use std::io::{self, Write};

/// Counts the bytes that are written to it, and forgets them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Length(usize);

impl Length {
    /// How many bytes there were.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.0
    }
}

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_parts_counts_as_a_whole() {
        let mut length = Length::default();
        let number = 10;
        write!(length, "ä-{number}").unwrap();
        length.write_all(b"+").unwrap();
        assert_eq!(length.bytes(), "ä-10+".len());
    }
}
