//! Placeholders in bodies, which arrive piece by piece.

use std::sync::Arc;

use aho_corasick::AhoCorasick;

use super::Placeholders;
use crate::refusal::{Reason, Refusal};

/// Looks for placeholders in a body as it goes by: one that nothing was put in for ends the body. It finds them as
/// they are, whatever the case of their letters; texts within compressed bodies it cannot see.
#[derive(Debug)]
pub struct BodyWatch {
    automaton: Arc<AhoCorasick>,
    longest: usize,
    /// The end of what went by, in which one may have begun.
    tail: Vec<u8>,
}

impl Placeholders {
    /// A watch for one body; none if there is nothing to look for.
    #[must_use]
    pub fn watch(&self) -> Option<BodyWatch> {
        let longest = self.entries.iter().map(|entry| entry.text.len()).max()?;
        Some(BodyWatch {
            automaton: self.automaton()?,
            longest,
            tail: Vec::new(),
        })
    }
}

impl BodyWatch {
    /// Looks at the next piece.
    ///
    /// # Errors
    /// [`Reason::Placeholder`]
    pub fn look(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        let overlap = self.longest - 1;
        self.tail
            .extend_from_slice(&piece[..piece.len().min(overlap)]);
        if self.automaton.is_match(&self.tail) || self.automaton.is_match(piece) {
            let message = "there is a placeholder in the body, where no rule puts a credential";
            return Err(Refusal::new(Reason::Placeholder, message).with_remedy(
                "Leave it out of the body, or send it in the place that its rule names.",
            ));
        }
        if piece.len() >= overlap {
            self.tail.clear();
            self.tail.extend_from_slice(&piece[piece.len() - overlap..]);
        } else {
            let surplus = self.tail.len().saturating_sub(overlap);
            self.tail.drain(..surplus);
        }
        Ok(())
    }
}
