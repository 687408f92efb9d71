//! Finds the few places of a text at which a value or a placeholder may begin, faster than a body comes in.
//!
//! A window is moved over the text by as much as its last three bytes allow (Wu and Manber, "A fast algorithm for
//! multi-pattern searching", 1994): by nearly its whole length where these three occur at no place of the beginning of
//! any form. It is as long as the shortest form, up to sixteen bytes. One window would wait for memory at every step, so
//! several move at the same time, each over its own share of the text. That an automaton (Aho-Corasick) looks at every
//! byte would make it several times slower, by how much depending on the letters of the text and of what is looked for;
//! and its tables would be full of the values, in memory that is not overwritten.

use std::{array, fmt};

use zeroize::Zeroizing;

/// The shortest form that can be looked for.
pub(crate) const SHORTEST_FORM: usize = 8;
/// Bytes of a window that decide how far it moves.
const BLOCK: usize = 3;
/// The longest window. A longer one would move further, and fill the table with the blocks of many forms.
const LONGEST_WINDOW: usize = 16;
/// How many windows move at the same time.
const LANES: usize = 8;

/// Knows the beginnings of all forms.
pub(crate) struct Prefilter {
    /// How much of each form is known: at least [`SHORTEST_FORM`] bytes.
    window: usize,
    /// The bits that are set in every byte before it is looked at, so that letters differ in nothing but their case.
    folded: u8,
    /// By the digest of a block: how far the window may move. Blocks that share a digest share the smaller one.
    shifts: Zeroizing<Vec<u8>>,
    digest_bits: u32,
    /// The beginnings themselves in order, with zeros up to the longest.
    beginnings: Zeroizing<Vec<[u8; LONGEST_WINDOW]>>,
}

/// Without the beginnings, which may be those of credentials.
impl fmt::Debug for Prefilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Prefilter")
    }
}

/// A window on its way.
#[derive(Clone, Copy)]
struct Lane {
    /// Where it ends.
    end: usize,
    /// Where it is no longer this lane's.
    stop: usize,
}

impl Prefilter {
    /// For forms of [`SHORTEST_FORM`] bytes or more.
    pub(crate) fn new<'a>(forms: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        Self::folding(forms, 0)
    }

    /// For such forms with letters of any case. A few more places are found: some signs fall together too.
    pub(crate) fn of_any_case<'a>(forms: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        Self::folding(forms, b'a' ^ b'A')
    }

    fn folding<'a>(forms: impl Iterator<Item = &'a [u8]> + Clone, folded: u8) -> Self {
        let shortest = forms.clone().map(<[u8]>::len).min().unwrap_or(0);
        let window = shortest.clamp(SHORTEST_FORM, LONGEST_WINDOW);
        let blocks = window - BLOCK + 1;
        // Room for all at once: what a vector grows out of is not overwritten.
        let mut beginnings = Zeroizing::new(Vec::with_capacity(forms.clone().count()));
        beginnings.extend(forms.filter_map(|form| Some(padded(form.get(..window)?, folded))));
        beginnings.sort_unstable();
        beginnings.dedup();
        // Most entries stay empty, and up to some hundreds of forms all of them stay in the processor's cache.
        let all = beginnings.len() * blocks;
        let digest_bits = (all * 32).next_power_of_two().ilog2().clamp(12, 16);
        let full = u8::try_from(blocks).unwrap_or(1);
        let mut shifts = Zeroizing::new(vec![full; 1 << digest_bits]);
        for beginning in beginnings.iter() {
            for (shift, block) in (0..full).zip(beginning[..window].windows(BLOCK).rev()) {
                let entry = &mut shifts[digest([block[0], block[1], block[2], 0], digest_bits)];
                *entry = (*entry).min(shift);
            }
        }
        Self {
            window,
            folded,
            shifts,
            digest_bits,
            beginnings,
        }
    }

    /// How many bytes of a text tell whether a form may begin with them, if none of them is escaped.
    pub(crate) fn window(&self) -> usize {
        self.window
    }

    /// Adds the places at which the beginning of a form stands as it is, in no order.
    pub(crate) fn plain(&self, text: &[u8], places: &mut Vec<usize>) {
        if self.beginnings.is_empty() {
            return;
        }
        let share = (text.len() + 1).saturating_sub(self.window) / LANES;
        let mut lanes: [Lane; LANES] = array::from_fn(|lane| Lane {
            end: self.window + lane * share,
            stop: self.window + (lane + 1) * share,
        });
        lanes[LANES - 1].stop = text.len() + 1;
        while lanes.iter().all(|lane| lane.end < lane.stop) {
            for lane in &mut lanes {
                self.step(text, lane, places);
            }
        }
        for lane in &mut lanes {
            while lane.end < lane.stop {
                self.step(text, lane, places);
            }
        }
    }

    /// Moves a window.
    #[inline]
    fn step(&self, text: &[u8], lane: &mut Lane, places: &mut Vec<usize>) {
        // A byte more than the block, and shifted out: one load instead of three.
        let folded = u32::from_le_bytes([self.folded; BLOCK + 1]);
        let shift = match text[..lane.end].last_chunk() {
            Some(last) => {
                let block = (u32::from_le_bytes(*last) | folded) >> 8;
                self.shifts[digest(block.to_le_bytes(), self.digest_bits)]
            }
            None => 0,
        };
        if shift == 0 {
            self.look(text, lane.end, places);
        }
        lane.end += usize::from(shift.max(1));
    }

    /// Adds the window that ends there if it is a beginning.
    #[cold]
    fn look(&self, text: &[u8], end: usize, places: &mut Vec<usize>) {
        let start = end - self.window;
        let seen = padded(&text[start..end], self.folded);
        if self.beginnings.binary_search(&seen).is_ok() {
            places.push(start);
        }
    }

    /// The beginnings of all forms.
    pub(crate) fn beginnings(&self) -> impl Iterator<Item = &[u8]> {
        self.beginnings.iter().map(|it| &it[..self.window])
    }
}

/// A beginning as it is compared.
fn padded(beginning: &[u8], folded: u8) -> [u8; LONGEST_WINDOW] {
    let mut padded = [0; LONGEST_WINDOW];
    for (to, from) in padded.iter_mut().zip(beginning) {
        *to = from | folded;
    }
    padded
}

/// Of a block as a number: its three bytes and nothing.
#[inline]
fn digest(block: [u8; BLOCK + 1], bits: u32) -> usize {
    // Fibonacci hashing: the high bits of the product depend on all three bytes.
    (u32::from_le_bytes(block).wrapping_mul(0x9e37_79b1) >> (32 - bits)) as usize
}
