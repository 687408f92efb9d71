//! The placeholders of a gateway that runs, to which agents come and go.

use std::sync::{Arc, PoisonError, RwLock};

use super::Placeholders;

/// Placeholders that can be read while others are issued.
#[derive(Debug, Clone, Default)]
pub struct PlaceholderBook(Arc<RwLock<Arc<Placeholders>>>);

impl PlaceholderBook {
    /// As they are now.
    #[must_use]
    pub fn current(&self) -> Arc<Placeholders> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes them for whoever asks from now on.
    pub fn change<T>(&self, with: impl FnOnce(&mut Placeholders) -> T) -> T {
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Placeholders::clone(&place);
        let outcome = with(&mut changed);
        *place = Arc::new(changed);
        outcome
    }
}

impl From<Placeholders> for PlaceholderBook {
    fn from(placeholders: Placeholders) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(placeholders))))
    }
}
