//! How many connections each token has open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fnox_vault_wire::TokenId;

#[derive(Debug, Clone, Default)]
pub(super) struct OpenTokens(Arc<Mutex<HashMap<TokenId, u64>>>);

impl OpenTokens {
    /// Counts one connection for as long as the answer lives.
    pub(super) fn enter(&self, token: TokenId) -> OpenToken {
        *self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(token)
            .or_insert(0) += 1;
        OpenToken {
            tokens: self.clone(),
            token,
        }
    }

    pub(super) fn count(&self, token: TokenId) -> u64 {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&token)
            .copied()
            .unwrap_or(0)
    }
}

pub(super) struct OpenToken {
    tokens: OpenTokens,
    token: TokenId,
}

impl Drop for OpenToken {
    fn drop(&mut self) {
        let mut counts = self.tokens.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.token) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.token);
            }
        }
    }
}
