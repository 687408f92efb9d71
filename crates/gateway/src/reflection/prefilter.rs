//! Finds the few places of a text at which a value may begin, faster than a body comes in.
//!
//! All forms have eight bytes or more, so a window of eight bytes is moved over the text by as much as its last
//! three bytes allow (Wu and Manber, "A fast algorithm for multi-pattern searching", 1994): by six where these
//! three occur at no place of the first eight bytes of any form. That an automaton (Aho-Corasick) looks at every
//! byte would make it several times slower; and its tables would be full of the values, in memory that is not
//! overwritten.

use zeroize::Zeroizing;

use super::SHORTEST_VALUE;
use super::symbol::{Escape, escape};

/// Bytes of a window that decide how far it moves.
const BLOCK: usize = 3;
/// How far the window moves over a block that no form has.
const FULL_SHIFT: u8 = 6;
const _: () = assert!(SHORTEST_VALUE - BLOCK + 1 == 6);

/// Knows the first eight bytes of all forms.
pub(super) struct Prefilter {
    /// By the digest of a block: how far the window may move. Blocks that share a digest share the smaller one.
    shifts: Zeroizing<Vec<u8>>,
    digest_bits: u32,
    /// The beginnings themselves, in order.
    beginnings: Zeroizing<Vec<[u8; SHORTEST_VALUE]>>,
    /// Which bytes occur in them.
    bytes: Zeroizing<[bool; 256]>,
}

impl Prefilter {
    /// For forms in order, each of [`SHORTEST_VALUE`] bytes or more.
    pub(super) fn new<'a>(forms: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut beginnings: Zeroizing<Vec<[u8; SHORTEST_VALUE]>> = Zeroizing::new(
            forms
                .filter_map(|form| form.first_chunk().copied())
                .collect(),
        );
        beginnings.dedup();
        // Most entries stay empty, and up to some hundreds of forms all of them stay in the processor's cache.
        let blocks = beginnings.len() * (SHORTEST_VALUE - BLOCK + 1);
        let digest_bits = (blocks * 32).next_power_of_two().ilog2().clamp(12, 16);
        let mut shifts = Zeroizing::new(vec![FULL_SHIFT; 1 << digest_bits]);
        let mut bytes = Zeroizing::new([false; 256]);
        for beginning in beginnings.iter() {
            for (shift, block) in beginning.windows(BLOCK).rev().enumerate() {
                let entry = &mut shifts[digest(block, digest_bits)];
                *entry = (*entry).min(u8::try_from(shift).unwrap_or(FULL_SHIFT));
            }
            for byte in beginning {
                bytes[usize::from(*byte)] = true;
            }
        }
        Self {
            shifts,
            digest_bits,
            beginnings,
            bytes,
        }
    }

    /// Adds the places at which the first eight bytes of a form stand as they are.
    pub(super) fn plain(&self, text: &[u8], places: &mut Vec<usize>) {
        if self.beginnings.is_empty() {
            return;
        }
        let mut end = SHORTEST_VALUE;
        while let Some(block) = text.get(end - BLOCK..end) {
            let shift = self.shifts[digest(block, self.digest_bits)];
            if shift == 0 {
                let start = end - SHORTEST_VALUE;
                if self.is_beginning(&text[start..end]) {
                    places.push(start);
                }
            }
            end += usize::from(shift.max(1));
        }
    }

    /// Adds the places from which an escape sequence can be reached that may be among the first eight bytes of a
    /// form.
    pub(super) fn escaped(&self, text: &[u8], places: &mut Vec<usize>) {
        let mut done = 0;
        for at in memchr::memchr2_iter(b'%', b'\\', text) {
            if let Escape::Of { byte, .. } = escape(&text[at..])
                && self.bytes[usize::from(byte)]
            {
                places.extend(done.max((at + 1).saturating_sub(SHORTEST_VALUE))..=at);
                done = at + 1;
            }
        }
    }

    fn is_beginning(&self, window: &[u8]) -> bool {
        self.beginnings
            .binary_search_by(|beginning| beginning.as_slice().cmp(window))
            .is_ok()
    }
}

fn digest(block: &[u8], bits: u32) -> usize {
    let number = match block {
        [one, two, three] => u32::from_le_bytes([*one, *two, *three, 0]),
        _ => 0,
    };
    // Fibonacci hashing: the high bits of the product depend on all three bytes.
    (number.wrapping_mul(0x9e37_79b1) >> (32 - bits)) as usize
}
