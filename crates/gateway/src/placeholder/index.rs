//! Where in a text placeholders stand, in capital and in small letters.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use super::Placeholder;
use crate::prefilter::Prefilter;

/// Knows all placeholders. None is a part of another, so that at most one begins at a place.
#[derive(Debug)]
pub(super) struct Index {
    /// In small letters and in order, each with its place among the entries that the index was made from.
    texts: Vec<(String, usize)>,
    prefilter: Prefilter,
    longest: usize,
}

impl Index {
    pub(super) fn new(entries: &[Arc<Placeholder>]) -> Self {
        let texts = entries.iter().map(|entry| entry.text.to_ascii_lowercase());
        let mut texts: Vec<_> = texts.zip(0..).collect();
        texts.sort_unstable();
        let bytes = texts.iter().map(|(text, _)| text.as_bytes());
        Self {
            prefilter: Prefilter::of_any_case(bytes.clone()),
            longest: bytes.map(<[u8]>::len).max().unwrap_or(0),
            texts,
        }
    }

    /// The length of the longest of them.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// All that stand in `text`, in order: where, and the entry's place.
    pub(super) fn find(&self, text: &[u8]) -> Vec<(Range<usize>, usize)> {
        let mut places = Vec::new();
        self.prefilter.plain(text, &mut places);
        places.sort_unstable();
        let found = places.into_iter().filter_map(|place| {
            let (known, entry) = self.first(&text[place..])?;
            Some((place..place + known.len(), *entry))
        });
        found.collect()
    }

    /// Whether one stands in `text`. `places` is room that is used again.
    pub(super) fn is_in(&self, text: &[u8], places: &mut Vec<usize>) -> bool {
        places.clear();
        self.prefilter.plain(text, places);
        places
            .iter()
            .any(|place| self.first(&text[*place..]).is_some())
    }

    /// The one that begins `text`.
    fn first(&self, text: &[u8]) -> Option<&(String, usize)> {
        let compare = |known: &str| -> Ordering {
            let seen = text.iter().take(known.len());
            known.bytes().cmp(seen.map(u8::to_ascii_lowercase))
        };
        let at = self.texts.binary_search_by(|(known, _)| compare(known));
        at.ok().map(|at| &self.texts[at])
    }
}
