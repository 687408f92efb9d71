//! Placeholders in bodies, which arrive piece by piece.

use std::sync::Arc;

use super::Placeholders;
use super::index::Index;
use crate::refusal::{Reason, Refusal};

/// Looks for placeholders in a body as it goes by: one that nothing was put in for ends the body. It finds them as
/// they are, whatever the case of their letters; texts within compressed bodies it cannot see.
#[derive(Debug)]
pub struct BodyWatch {
    index: Arc<Index>,
    /// The end of what went by, in which one may have begun.
    tail: Vec<u8>,
    places: Vec<usize>,
}

impl Placeholders {
    /// A watch for one body; none if there is nothing to look for.
    #[must_use]
    pub fn watch(&self) -> Option<BodyWatch> {
        let watch = || BodyWatch {
            index: self.index(),
            tail: Vec::new(),
            places: Vec::new(),
        };
        (!self.entries.is_empty()).then(watch)
    }
}

impl BodyWatch {
    /// Looks at the next piece.
    ///
    /// # Errors
    /// [`Reason::Placeholder`]
    pub fn look(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        let overlap = self.index.longest() - 1;
        self.tail
            .extend_from_slice(&piece[..piece.len().min(overlap)]);
        let places = &mut self.places;
        if self.index.is_in(&self.tail, places) || self.index.is_in(piece, places) {
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
