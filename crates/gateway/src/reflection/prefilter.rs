//! Finds the few places of a text at which a value may begin, faster than a body comes in.
//!
//! A window is moved over the text by as much as its last three bytes allow (Wu and Manber, "A fast algorithm for
//! multi-pattern searching", 1994): by nearly its whole length where these three occur at no place of the beginning of
//! any form. It is as long as the shortest form, up to sixteen bytes. One window would wait for memory at every step, so
//! several move at the same time, each over its own share of the text. That an automaton (Aho-Corasick) looks at every
//! byte would make it several times slower; and its tables would be full of the values, in memory that is not
//! overwritten.

use std::array;
use std::cmp::Ordering;

use zeroize::Zeroizing;

use super::SHORTEST_VALUE;
use super::symbol::{Escape, escape};

/// Bytes of a window that decide how far it moves.
const BLOCK: usize = 3;
/// The longest window. A longer one would move further, and fill the table with the blocks of many forms.
const LONGEST_WINDOW: usize = 16;
/// How many windows move at the same time.
const LANES: usize = 8;

/// Knows the beginnings of all forms.
pub(super) struct Prefilter {
    /// How much of each form is known: at least [`SHORTEST_VALUE`] bytes.
    window: usize,
    /// By the digest of a block: how far the window may move. Blocks that share a digest share the smaller one.
    shifts: Zeroizing<Vec<u8>>,
    digest_bits: u32,
    /// The beginnings themselves, in order, one after another.
    beginnings: Zeroizing<Vec<u8>>,
    /// Which bytes occur in them.
    bytes: Zeroizing<[bool; 256]>,
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
    /// For forms in order, each of [`SHORTEST_VALUE`] bytes or more.
    pub(super) fn new<'a>(forms: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let shortest = forms.clone().map(<[u8]>::len).min().unwrap_or(0);
        let window = shortest.clamp(SHORTEST_VALUE, LONGEST_WINDOW);
        let blocks = window - BLOCK + 1;
        let count = forms.clone().count();
        let mut beginnings = Zeroizing::new(Vec::with_capacity(count * window));
        for beginning in forms.filter_map(|form| form.get(..window)) {
            if !beginnings.ends_with(beginning) {
                beginnings.extend_from_slice(beginning);
            }
        }
        // Most entries stay empty, and up to some hundreds of forms all of them stay in the processor's cache.
        let all = beginnings.len() / window * blocks;
        let digest_bits = (all * 32).next_power_of_two().ilog2().clamp(12, 16);
        let full = u8::try_from(blocks).unwrap_or(1);
        let mut shifts = Zeroizing::new(vec![full; 1 << digest_bits]);
        let mut bytes = Zeroizing::new([false; 256]);
        for beginning in beginnings.chunks_exact(window) {
            for (shift, block) in (0..full).zip(beginning.windows(BLOCK).rev()) {
                let entry = &mut shifts[digest([block[0], block[1], block[2], 0], digest_bits)];
                *entry = (*entry).min(shift);
            }
            for byte in beginning {
                bytes[usize::from(*byte)] = true;
            }
        }
        Self {
            window,
            shifts,
            digest_bits,
            beginnings,
            bytes,
        }
    }

    /// How many bytes of a text tell whether a form may begin with them, if none of them is escaped.
    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// Adds the places at which the beginning of a form stands as it is, in no order.
    pub(super) fn plain(&self, text: &[u8], places: &mut Vec<usize>) {
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
        let shift = match text[..lane.end].last_chunk() {
            Some(last) => {
                let block = u32::from_le_bytes(*last) >> 8;
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
        if self.is_beginning(&text[start..end]) {
            places.push(start);
        }
    }

    /// Adds the places from which an escape sequence can be reached that may be within the beginning of a form.
    pub(super) fn escaped(&self, text: &[u8], places: &mut Vec<usize>) {
        let mut done = 0;
        for at in memchr::memchr2_iter(b'%', b'\\', text) {
            if let Escape::Of { byte, .. } = escape(&text[at..])
                && self.bytes[usize::from(byte)]
            {
                places.extend(done.max((at + 1).saturating_sub(self.window))..=at);
                done = at + 1;
            }
        }
    }

    fn is_beginning(&self, window: &[u8]) -> bool {
        let count = self.beginnings.len() / self.window;
        let of = |index: usize| &self.beginnings[index * self.window..(index + 1) * self.window];
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = usize::midpoint(low, high);
            match of(middle).cmp(window) {
                Ordering::Equal => return true,
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        false
    }
}

/// Of a block as a number: its three bytes and nothing.
#[inline]
fn digest(block: [u8; BLOCK + 1], bits: u32) -> usize {
    // Fibonacci hashing: the high bits of the product depend on all three bytes.
    (u32::from_le_bytes(block).wrapping_mul(0x9e37_79b1) >> (32 - bits)) as usize
}
