//! What is looked for in answers, and where in a text it may begin.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use fnox_core::secret::REDACTED;
use fnox_core::{SecretBytes, SecretString};
use zeroize::Zeroizing;

use super::form::{self, Form};
use super::symbol::{self, Comparison, Escape, compare};
use crate::prefilter::{Prefilter, SHORTEST_FORM};

/// The shortest value that is looked for. What is shorter occurs by chance, and replacing it would break answers;
/// such a value is no credential that could protect anything.
pub const SHORTEST_VALUE: usize = SHORTEST_FORM;

/// Values and their placeholders, in all forms. Cheap to clone; the values are overwritten when the last clone goes.
#[derive(Clone)]
pub struct Table(Arc<Index>);

impl Table {
    /// Begins a table.
    #[must_use]
    pub fn builder() -> TableBuilder {
        TableBuilder::default()
    }

    /// Whether there is nothing to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.forms.is_empty()
    }

    pub(super) fn index(&self) -> &Index {
        &self.0
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Table")
    }
}

/// Collects what a [`Table`] looks for.
#[derive(Default)]
pub struct TableBuilder {
    forms: Vec<Form>,
}

impl fmt::Debug for TableBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TableBuilder")
    }
}

impl TableBuilder {
    /// Replaces `value` by `placeholder`, or by `[redacted]` if the placeholder contains the value or anything but
    /// visible ASCII characters. Of one value's placeholders the first counts. Values below [`SHORTEST_VALUE`]
    /// are left out.
    #[must_use]
    pub fn replace(self, value: &SecretString, placeholder: &str) -> Self {
        self.add(value.expose_secret().as_bytes(), placeholder)
    }

    /// The same for a value that is not text.
    #[must_use]
    pub fn replace_bytes(self, value: &SecretBytes, placeholder: &str) -> Self {
        self.add(value.expose_secret(), placeholder)
    }

    /// Replaces `value` by `[redacted]`: the agent has no placeholder for it.
    #[must_use]
    pub fn redact(self, value: &SecretString) -> Self {
        self.add(value.expose_secret().as_bytes(), REDACTED)
    }

    /// The table.
    #[must_use]
    pub fn build(self) -> Table {
        Table(Arc::new(Index::new(self.forms)))
    }

    fn add(mut self, value: &[u8], placeholder: &str) -> Self {
        if value.len() >= SHORTEST_VALUE {
            let is_plain = !placeholder.is_empty()
                && placeholder.bytes().all(|byte| byte.is_ascii_graphic())
                && !placeholder
                    .as_bytes()
                    .windows(value.len())
                    .any(|part| part == value);
            let placeholder = if is_plain { placeholder } else { REDACTED };
            self.forms.extend(form::of(value, placeholder.as_bytes()));
        }
        self
    }
}

/// The forms in order, and what finds the places at which one may begin.
pub(super) struct Index {
    forms: Vec<Form>,
    /// Where the forms with a first byte lie among `forms`; one more than there are bytes.
    by_first: Vec<usize>,
    prefilter: Prefilter,
    /// Which bytes occur in the beginnings that the prefilter knows.
    early: Zeroizing<[bool; 256]>,
}

/// What stands at a place.
#[derive(Clone, Copy)]
pub(super) enum Found<'a> {
    Nothing,
    /// A form, and how much of the text it is.
    Form(&'a Form, usize),
    /// The text ends before that is decided.
    Undecided,
}

impl Index {
    fn new(mut forms: Vec<Form>) -> Self {
        // Stable, so that of equal forms the first one stays.
        forms.sort_by(|one, other| one.text.cmp(&other.text));
        forms.dedup_by(|later, earlier| later.text == earlier.text);
        let by_first = (0..=256)
            .map(|first| forms.partition_point(|form| usize::from(form.text[0]) < first))
            .collect();
        let prefilter = Prefilter::new(forms.iter().map(|form| form.text.as_slice()));
        let mut early = Zeroizing::new([false; 256]);
        for byte in prefilter.beginnings().flatten() {
            early[usize::from(*byte)] = true;
        }
        Self {
            forms,
            by_first,
            prefilter,
            early,
        }
    }

    /// All places of `text` at which a form may begin, in order. The last ones are among them however little of a form
    /// they have: more may come, or what was to come was cut off.
    pub(super) fn candidates(&self, text: &[u8], places: &mut Vec<usize>) {
        places.clear();
        self.prefilter.plain(text, places);
        self.escaped(text, places);
        // A window, whose last byte may have begun an escape sequence of six.
        let unsettled = text.len().saturating_sub(self.prefilter.window() + 5);
        places.extend((unsettled..text.len()).filter(|place| self.may_begin(text[*place])));
        places.sort_unstable();
        places.dedup();
    }

    /// Adds the places from which an escape sequence can be reached that may be within the beginning of a form.
    fn escaped(&self, text: &[u8], places: &mut Vec<usize>) {
        let mut done = 0;
        for at in memchr::memchr2_iter(b'%', b'\\', text) {
            if let Escape::Of { byte, .. } = symbol::escape(&text[at..])
                && self.early[usize::from(byte)]
            {
                places.extend(done.max((at + 1).saturating_sub(self.prefilter.window()))..=at);
                done = at + 1;
            }
        }
    }

    /// What begins `text`: of the forms that do, the one that is most of it.
    ///
    /// A text that `is_whole` decides everything. Of a value that is cut off by its end, half is taken for all:
    /// whoever lets an answer break off just before the last byte is not to get the others.
    pub(super) fn first(&self, text: &[u8], is_whole: bool) -> Found<'_> {
        let mut found = Found::Nothing;
        let mut longest = 0;
        for form in self.that_may_begin(text) {
            let Comparison { whole, begun } = compare(&form.text, text);
            if begun.is_some() && !is_whole {
                return Found::Undecided;
            }
            let cut_off = begun
                .filter(|count| *count >= SHORTEST_VALUE && count * 2 >= form.text.len())
                .map(|_| text.len());
            let Some(length) = whole.or(cut_off) else {
                continue;
            };
            if form.tail.is_some() && !is_whole && is_cut_off(&text[length..]) {
                return Found::Undecided;
            }
            if length > longest {
                longest = length;
                found = Found::Form(form, length);
            }
        }
        found
    }

    fn that_may_begin(&self, text: &[u8]) -> impl Iterator<Item = &Form> {
        let (escaped, plain) = match symbol::escape(text) {
            Escape::Absent => (0..0, self.with_first(text.first())),
            Escape::Of { byte, .. } => {
                (self.with_first(Some(&byte)), self.with_first(text.first()))
            }
            Escape::CutOff { .. } => (0..self.forms.len(), 0..0),
        };
        // An escaped backslash is both.
        let plain = if escaped == plain { 0..0 } else { plain };
        self.forms[escaped].iter().chain(&self.forms[plain])
    }

    /// Whether a form, or an escape sequence, can begin with this byte.
    fn may_begin(&self, byte: u8) -> bool {
        matches!(byte, b'%' | b'\\') || !self.with_first(Some(&byte)).is_empty()
    }

    fn with_first(&self, byte: Option<&u8>) -> Range<usize> {
        byte.map_or(0..0, |byte| {
            let byte = usize::from(*byte);
            self.by_first[byte]..self.by_first[byte + 1]
        })
    }
}

/// Whether the next byte of `text` is not there yet.
fn is_cut_off(text: &[u8]) -> bool {
    text.is_empty() || matches!(symbol::escape(text), Escape::CutOff { .. })
}
