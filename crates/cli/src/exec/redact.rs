//! Replaces secrets in a stream of bytes with `[REDACTED]`.
//!
//! The result is the same wherever the stream is cut into pieces: of all forms that begin first the
//! longest is replaced, then the search goes on behind it. Only bytes that may still become a secret are
//! held back, so a prompt shows up as soon as it is printed. The bytes need not be text.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};
use fnox_core::SecretString;
use zeroize::Zeroizing;

use super::variants;

/// What stands in the place of a secret.
pub(super) const REPLACEMENT: &[u8] = b"[REDACTED]";

/// What to look for. Made once, shared by all streams.
pub(super) struct Patterns {
    // Sorted, so that all that begin alike stand together.
    forms: Vec<Zeroizing<Vec<u8>>>,
    /// `None` if there is nothing to find.
    finder: Option<AhoCorasick>,
    first_bytes: [bool; 256],
    longest: usize,
}

impl Patterns {
    /// Prepares the search for these values and their [variants]. `None` if there is nothing to look for.
    #[must_use]
    pub(super) fn new(values: &[SecretString]) -> Option<Self> {
        Self::of_forms(variants::of(values))
    }

    /// Finds nothing.
    fn none() -> Self {
        Self {
            forms: Vec::new(),
            finder: None,
            first_bytes: [false; 256],
            longest: 0,
        }
    }

    fn of_forms(forms: Vec<Zeroizing<Vec<u8>>>) -> Option<Self> {
        // The default choice for few patterns, a DFA, would take a KiB for each byte of a secret.
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(forms.iter().map(|form| form.as_slice()))
            .ok()?;
        let mut first_bytes = [false; 256];
        for form in &forms {
            first_bytes[usize::from(*form.first()?)] = true;
        }
        let longest = forms.iter().map(|form| form.len()).max()?;
        Some(Self {
            forms,
            finder: Some(finder),
            first_bytes,
            longest,
        })
    }

    /// Where the first form that `bytes` end in the middle of begins, at `from` or later; else the end.
    fn unfinished(&self, bytes: &[u8], from: usize) -> usize {
        let longest_beginning = self.longest.saturating_sub(1);
        let earliest = from.max(bytes.len().saturating_sub(longest_beginning));
        (earliest..bytes.len())
            .find(|start| {
                self.first_bytes[usize::from(bytes[*start])] && self.begins_a_form(&bytes[*start..])
            })
            .unwrap_or(bytes.len())
    }

    /// Whether a form begins with `head` and goes on.
    fn begins_a_form(&self, head: &[u8]) -> bool {
        let after = self.forms.partition_point(|form| form.as_slice() <= head);
        self.forms
            .get(after)
            .is_some_and(|form| form.starts_with(head))
    }
}

impl std::fmt::Debug for Patterns {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Patterns")
            .field("count", &self.forms.len())
            .finish_non_exhaustive()
    }
}

/// The patterns of one run, which grow when its credentials are renewed.
#[derive(Debug)]
pub(crate) struct Redaction {
    values: Mutex<Vec<SecretString>>,
    patterns: RwLock<Arc<Patterns>>,
}

impl Redaction {
    /// Nothing is looked for yet.
    #[must_use]
    pub(crate) fn of_nothing() -> Self {
        Self {
            values: Mutex::default(),
            patterns: RwLock::new(Arc::new(Patterns::none())),
        }
    }

    /// `None` if there is nothing to look for.
    #[must_use]
    pub(super) fn new(values: Vec<SecretString>) -> Option<Self> {
        let patterns = Patterns::new(&values)?;
        Some(Self {
            values: Mutex::new(values),
            patterns: RwLock::new(Arc::new(patterns)),
        })
    }

    /// Looks for these too.
    pub(crate) fn add(&self, more: Vec<SecretString>) {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.extend(more);
        if let Some(patterns) = Patterns::new(&values) {
            *self
                .patterns
                .write()
                .unwrap_or_else(PoisonError::into_inner) = Arc::new(patterns);
        }
    }

    /// What to look for now.
    pub(super) fn patterns(&self) -> Arc<Patterns> {
        Arc::clone(&self.patterns.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One stream that is being redacted.
#[derive(Debug)]
pub(super) struct Redactor {
    patterns: Arc<Patterns>,
    held: Zeroizing<Vec<u8>>,
}

impl Redactor {
    /// A stream from its beginning.
    #[must_use]
    pub(super) fn new(patterns: Arc<Patterns>) -> Self {
        Self {
            patterns,
            held: Zeroizing::default(),
        }
    }

    /// Goes on with patterns that are these and more. What is held back stays a beginning of one of them.
    pub(super) fn adopt(&mut self, patterns: Arc<Patterns>) {
        self.patterns = patterns;
    }

    /// Takes the next bytes and gives those that may be shown now.
    #[must_use]
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.held);
        let all: Cow<'_, [u8]> = if all.is_empty() {
            Cow::Borrowed(bytes)
        } else {
            all.extend_from_slice(bytes);
            Cow::Owned(std::mem::take(&mut *all))
        };
        let mut shown = Vec::with_capacity(all.len());
        let mut done = 0;
        let mut unfinished = self.patterns.unfinished(&all, done);
        // A form that begins before the unfinished one is complete, and no longer one begins there.
        while let Some(found) = self
            .next_form(&all, done)
            .filter(|(start, _)| *start < unfinished)
        {
            shown.extend_from_slice(&all[done..found.0]);
            shown.extend_from_slice(REPLACEMENT);
            done = found.1;
            if unfinished < done {
                unfinished = self.patterns.unfinished(&all, done);
            }
        }
        shown.extend_from_slice(&all[done..unfinished]);
        self.held = Zeroizing::new(all[unfinished..].to_vec());
        shown
    }

    /// Gives what was held back: the stream is over, so nothing goes on.
    #[must_use]
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let rest = std::mem::take(&mut self.held);
        let mut shown = Vec::with_capacity(rest.len());
        let mut done = 0;
        while let Some((start, end)) = self.next_form(&rest, done) {
            shown.extend_from_slice(&rest[done..start]);
            shown.extend_from_slice(REPLACEMENT);
            done = end;
        }
        shown.extend_from_slice(&rest[done..]);
        shown
    }

    fn next_form(&self, bytes: &[u8], from: usize) -> Option<(usize, usize)> {
        self.patterns
            .finder
            .as_ref()?
            .find(Input::new(bytes).span(from..bytes.len()))
            .map(|found| (found.start(), found.end()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn patterns(forms: &[&[u8]]) -> Arc<Patterns> {
        let mut forms: Vec<_> = forms
            .iter()
            .map(|form| Zeroizing::new(form.to_vec()))
            .collect();
        forms.sort_unstable_by(|one, other| one.as_slice().cmp(other.as_slice()));
        forms.dedup();
        Arc::new(Patterns::of_forms(forms).unwrap())
    }

    /// The whole text at once: at each place the longest form, else one byte on.
    fn reference(forms: &[Vec<u8>], text: &[u8]) -> Vec<u8> {
        let mut shown = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let longest = forms
                .iter()
                .filter(|form| rest.starts_with(form))
                .map(Vec::len)
                .max();
            if let Some(length) = longest {
                shown.extend_from_slice(REPLACEMENT);
                rest = &rest[length..];
            } else {
                shown.push(rest[0]);
                rest = &rest[1..];
            }
        }
        shown
    }

    fn streamed<'a>(
        patterns: &Arc<Patterns>,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Vec<u8> {
        let mut redactor = Redactor::new(Arc::clone(patterns));
        let mut shown = Vec::new();
        for piece in pieces {
            shown.extend(redactor.feed(piece));
        }
        shown.extend(redactor.finish());
        shown
    }

    proptest! {
        // Three letters, so that forms overlap, contain and continue one another all the time.
        #[test]
        fn any_cutting_gives_what_the_whole_text_gives(
            forms in prop::collection::vec("[abc]{1,6}".prop_map(String::into_bytes), 1..8),
            text in "[abcd]{0,80}".prop_map(String::into_bytes),
            cuts in prop::collection::vec(0_usize..12, 1..60),
        ) {
            let borrowed: Vec<&[u8]> = forms.iter().map(Vec::as_slice).collect();
            let mut pieces = Vec::new();
            let mut rest = text.as_slice();
            for cut in cuts {
                let (piece, tail) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = tail;
            }
            pieces.push(rest);
            prop_assert_eq!(
                streamed(&patterns(&borrowed), pieces),
                reference(&forms, &text)
            );
        }

        #[test]
        fn bytes_that_are_no_text_pass_unchanged(
            text in prop::collection::vec(any::<u8>(), 0..200),
            size in 1_usize..20,
        ) {
            let forms = [b"\xff\xfe\x00".to_vec(), b"\x00\x00".to_vec()];
            let patterns = patterns(&[&forms[0], &forms[1]]);
            prop_assert_eq!(streamed(&patterns, text.chunks(size)), reference(&forms, &text));
        }

        #[test]
        fn never_more_is_held_back_than_the_longest_form(
            text in "[ab]{0,60}".prop_map(String::into_bytes),
        ) {
            let patterns = patterns(&[b"aabab", b"bb"]);
            let mut redactor = Redactor::new(Arc::clone(&patterns));
            for byte in &text {
                let _ = redactor.feed(&[*byte]);
                prop_assert!(redactor.held.len() < patterns.longest);
            }
        }
    }

    #[test]
    fn a_longer_secret_wins_over_one_that_it_begins_with() {
        let patterns = patterns(&[b"token", b"token-long"]);
        assert_eq!(
            streamed(&patterns, [b"a token".as_slice(), b"-long b"]),
            b"a [REDACTED] b"
        );
        assert_eq!(
            streamed(&patterns, [b"a token".as_slice(), b"-lo"]),
            b"a [REDACTED]-lo"
        );
    }

    #[test]
    fn what_cannot_become_a_secret_is_shown_at_once() {
        let patterns = patterns(&[b"hunter2"]);
        let mut redactor = Redactor::new(patterns);
        assert_eq!(redactor.feed(b"Password: "), b"Password: ");
        assert_eq!(redactor.feed(b"y hun"), b"y ");
        assert_eq!(redactor.feed(b"gry"), b"hungry");
        assert_eq!(redactor.feed(b"hunter2"), REPLACEMENT);
        assert!(redactor.finish().is_empty());
    }

    #[test]
    fn a_large_secret_is_replaced_in_reasonable_time() {
        let words: Vec<String> = (0..200_000).map(|number| number.to_string()).collect();
        let value = words.concat();
        let patterns = Arc::new(Patterns::new(&[SecretString::from(value.as_str())]).unwrap());
        let text = format!("<{value}>");
        assert_eq!(
            streamed(&patterns, text.as_bytes().chunks(65_536)),
            b"<[REDACTED]>"
        );
    }

    #[test]
    fn a_renewed_value_is_replaced_from_then_on_and_the_old_one_still() {
        let redaction = Redaction::new(vec![SecretString::from("first-value")]).unwrap();
        let mut redactor = Redactor::new(redaction.patterns());
        assert_eq!(redactor.feed(b"second-value fir"), b"second-value ");
        redaction.add(vec![SecretString::from("second-value")]);
        redactor.adopt(redaction.patterns());
        assert_eq!(
            redactor.feed(b"st-value second-value"),
            b"[REDACTED] [REDACTED]"
        );
    }

    #[test]
    fn nothing_to_look_for_is_no_pattern() {
        assert!(Patterns::new(&[SecretString::from("ab"), SecretString::from(" ")]).is_none());
    }
}
