//! Replaces values in a stream of bytes.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use zeroize::{Zeroize as _, Zeroizing};

use super::form::{Form, json};
use super::symbol::{Escape, escape};
use super::table::{Found, Table};

/// Replaces the values of a [`Table`] in a text that comes in pieces.
///
/// What comes out does not depend on where the pieces end. Bytes are held back only while they may be the
/// beginning of a value, and no longer than the pieces that follow leave that open: an event of a stream whose
/// end is no beginning of a value leaves with the piece that ends it. No more is held back than the longest
/// value has bytes when every byte of it is escaped in six.
///
/// ```
/// # use bytes::Bytes;
/// # use fnox_core::SecretString;
/// # use fnox_gateway::reflection::{Scrubber, Table};
/// let table = Table::builder()
///     .replace(&SecretString::from("ghp_realrealreal"), "ghp_placeholder0")
///     .build();
/// let mut scrubber = Scrubber::new(&table);
/// assert_eq!(scrubber.push(&Bytes::from("{\"token\":\"ghp_real")), "{\"token\":\"");
/// assert_eq!(scrubber.push(&Bytes::from("realreal\"}")), "ghp_placeholder0\"}");
/// assert_eq!(scrubber.finish(), "");
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

    /// Takes the next piece, and gives what may leave: a part of the piece itself if there is nothing to replace.
    pub fn push(&mut self, piece: &Bytes) -> Bytes {
        if self.held.is_empty() {
            let scan = self.scan(piece, false);
            self.held = Zeroizing::new(piece[scan.decided..].to_vec());
            return match scan.out {
                None => piece.slice(..scan.decided),
                Some(out) => out.into(),
            };
        }
        // A new vector: one that grows would leave the old bytes behind.
        let mut text = [self.held.as_slice(), piece].concat();
        let scan = self.scan(&text, false);
        self.held = Zeroizing::new(text[scan.decided..].to_vec());
        let Some(out) = scan.out else {
            // Only what may be the beginning of a value is overwritten: the rest leaves.
            text[scan.decided..].zeroize();
            text.truncate(scan.decided);
            return text.into();
        };
        text.zeroize();
        out.into()
    }

    /// The end: gives what was held back.
    pub fn finish(&mut self) -> Bytes {
        let text = std::mem::take(&mut self.held);
        self.scan(&text, true).of(&text).into_owned().into()
    }

    /// How many values have been replaced.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    /// Looks through `text`, to which more may be added unless it `is_whole`.
    fn scan(&mut self, text: &[u8], is_whole: bool) -> Scan {
        let mut scan = Scan {
            out: None,
            decided: text.len(),
        };
        if self.table.is_empty() {
            return scan;
        }
        let index = self.table.index();
        index.candidates(text, &mut self.places);
        let mut written = 0;
        for place in &self.places {
            if *place < written {
                continue;
            }
            match index.first(&text[*place..], is_whole) {
                Found::Nothing => {}
                Found::Undecided => {
                    scan.decided = *place;
                    break;
                }
                Found::Form(form, length) => {
                    let out = scan
                        .out
                        .get_or_insert_with(|| Vec::with_capacity(text.len()));
                    out.extend_from_slice(&text[written..*place]);
                    written = place + replace(form, &text[*place..], length, out);
                    self.replaced += 1;
                }
            }
        }
        if let Some(out) = &mut scan.out {
            out.extend_from_slice(&text[written..scan.decided]);
        }
        scan
    }
}

/// What has been decided about a text.
struct Scan {
    /// What takes the place of the decided part, if anything in it is replaced.
    out: Option<Vec<u8>>,
    /// How much is decided.
    decided: usize,
}

impl Scan {
    /// What leaves of `text`, which was looked through.
    fn of(self, text: &[u8]) -> Cow<'_, [u8]> {
        match self.out {
            None => Cow::Borrowed(&text[..self.decided]),
            Some(out) => Cow::Owned(out),
        }
    }
}

/// `text` without the values of `table`: borrowed if none was in it.
#[must_use]
pub fn scrub<'a>(table: &Table, text: &'a [u8]) -> Cow<'a, [u8]> {
    Scrubber::new(table).scan(text, true).of(text)
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
