//! Replaces values in a stream of bytes.

use std::borrow::Cow;
use std::fmt;

use zeroize::Zeroizing;

use super::form::{Form, json};
use super::symbol::{Escape, escape};
use super::table::{Found, Table};

/// Replaces the values of a [`Table`] in a text that comes in pieces.
///
/// What comes out does not depend on where the pieces end. Bytes are held back only while they may be the beginning of a
/// value, and no longer than the pieces that follow leave that open.
///
/// ```
/// # use fnox_core::SecretString;
/// # use fnox_gateway::reflection::{Scrubber, Table};
/// let table = Table::builder()
///     .replace(&SecretString::from("ghp_realrealreal"), "ghp_placeholder0")
///     .build();
/// let mut scrubber = Scrubber::new(&table);
/// let mut out = scrubber.push(b"{\"token\":\"ghp_real");
/// assert_eq!(out, b"{\"token\":\"");
/// out.extend(scrubber.push(b"realreal\"}"));
/// out.extend(scrubber.finish());
/// assert_eq!(out, b"{\"token\":\"ghp_placeholder0\"}");
/// ```
pub struct Scrubber {
    table: Table,
    held: Zeroizing<Vec<u8>>,
    /// Kept for its memory.
    places: Vec<usize>,
    replaced: u64,
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Scrubber")
            .field("held", &self.held.len())
            .field("replaced", &self.replaced)
            .finish_non_exhaustive()
    }
}

impl Scrubber {
    /// For the values of `table`.
    #[must_use]
    pub fn new(table: &Table) -> Self {
        Self {
            table: table.clone(),
            held: Zeroizing::default(),
            places: Vec::new(),
            replaced: 0,
        }
    }

    /// Takes the next piece, and gives what may leave.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.held.len() + piece.len());
        if self.held.is_empty() {
            let undecided = self.scan(piece, false, &mut out);
            self.held = Zeroizing::new(piece[undecided..].to_vec());
        } else {
            // A new vector: one that grows would leave the old bytes behind.
            let text = Zeroizing::new([self.held.as_slice(), piece].concat());
            let undecided = self.scan(&text, false, &mut out);
            self.held = Zeroizing::new(text[undecided..].to_vec());
        }
        out
    }

    /// The end: gives what was held back.
    pub fn finish(&mut self) -> Vec<u8> {
        let text = std::mem::take(&mut self.held);
        let mut out = Vec::with_capacity(text.len());
        self.scan(&text, true, &mut out);
        out
    }

    /// How many values have been replaced.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    /// Writes what is decided to `out`, and gives the place from which `text` is not.
    fn scan(&mut self, text: &[u8], is_whole: bool, out: &mut Vec<u8>) -> usize {
        if self.table.is_empty() {
            out.extend_from_slice(text);
            return text.len();
        }
        let index = self.table.index();
        index.candidates(text, is_whole, &mut self.places);
        let mut written = 0;
        for place in &self.places {
            if *place < written {
                continue;
            }
            match index.first(&text[*place..], is_whole) {
                Found::Nothing => {}
                Found::Undecided => {
                    out.extend_from_slice(&text[written..*place]);
                    return *place;
                }
                Found::Form(form, length) => {
                    out.extend_from_slice(&text[written..*place]);
                    written = place + replace(form, &text[*place..], length, out);
                    self.replaced += 1;
                }
            }
        }
        out.extend_from_slice(&text[written..]);
        text.len()
    }
}

/// `text` without the values of `table`.
#[must_use]
pub fn scrub<'a>(table: &Table, text: &'a [u8]) -> Cow<'a, [u8]> {
    let mut scrubber = Scrubber::new(table);
    let mut out = Vec::with_capacity(text.len());
    scrubber.scan(text, true, &mut out);
    match scrubber.replaced {
        0 => Cow::Borrowed(text),
        _ => Cow::Owned(out),
    }
}

/// Writes what stands for `form`, the first `length` bytes of `text`, and gives how many bytes it stands for.
fn replace(form: &Form, text: &[u8], length: usize, out: &mut Vec<u8>) -> usize {
    let style = Style::of(&form.text, &text[..length]);
    style.write(&form.replacement, out);
    let Some(tail) = form.tail else {
        return length;
    };
    let rest = &text[length..];
    let (digit, width) = match escape(rest) {
        Escape::Of { byte, length } => (Some(byte), length),
        _ => (rest.first().copied(), 1),
    };
    match digit.and_then(|digit| tail.rewrite(digit)) {
        Some(digit) => {
            style.write(&[digit], out);
            length + width
        }
        None => length,
    }
}

/// How the bytes of an occurrence are escaped.
#[derive(Debug, Clone, Copy)]
enum Style {
    Plain,
    Percent,
    Json,
}

impl Style {
    /// That of its first escaped byte.
    fn of(form: &[u8], text: &[u8]) -> Self {
        let first = form.iter().zip(text).find(|(meant, read)| meant != read);
        match first {
            Some((_, b'%')) => Self::Percent,
            Some((_, b'\\')) => Self::Json,
            _ => Self::Plain,
        }
    }

    fn write(self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Plain => out.extend_from_slice(bytes),
            Self::Json => out.extend_from_slice(&json(bytes)),
            Self::Percent => {
                for byte in bytes {
                    // Unreserved characters (RFC 3986, section 2.3).
                    if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
                        out.push(*byte);
                    } else {
                        out.extend(format!("%{byte:02X}").into_bytes());
                    }
                }
            }
        }
    }
}
