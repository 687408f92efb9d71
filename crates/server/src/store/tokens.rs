//! Tokens of this server's own. They are sessions of nobody who logged in.

use fnox_core::audit::Entry;
use jiff::Timestamp;
use uuid::Uuid;

use super::{Refusal, SessionRecord, Store, StoreError, sessions};

impl Store {
    /// The tokens of administrators, identity providers and gateways that may be used at `now`, the oldest first.
    ///
    /// # Errors
    /// As every read.
    pub async fn own_tokens(&self, now: Timestamp) -> Result<Vec<SessionRecord>, StoreError> {
        self.find(now, |transaction, now| {
            Box::pin(async move {
                let rows = transaction
                    .query(
                        "SELECT id, hash, subject, created_at, expires_at, ended FROM sessions \
                         WHERE (principal LIKE 'bootstrap:%' OR principal LIKE 'scim:%' \
                         OR principal LIKE 'gateway:%') \
                         AND ended = 0 AND expires_at > $1 ORDER BY created_at, id",
                        &[(*now).into()],
                    )
                    .await?;
                rows.iter().map(sessions::record).collect()
            })
        })
        .await
    }

    /// Ends one of these tokens, and no other session.
    ///
    /// # Errors
    /// Refused with [`Refusal::Missing`] if there is none, or it has ended.
    pub async fn end_own_token(&self, id: Uuid, entry: Entry) -> Result<(), StoreError> {
        self.change(entry, id, |transaction, _, id| {
            Box::pin(async move {
                let ended = transaction
                    .execute(
                        "UPDATE sessions SET ended = 1 WHERE id = $1 AND ended = 0 \
                         AND (principal LIKE 'bootstrap:%' OR principal LIKE 'scim:%' \
                         OR principal LIKE 'gateway:%')",
                        &[(*id).into()],
                    )
                    .await?;
                Ok(if ended == 1 {
                    Ok(())
                } else {
                    Err(Refusal::Missing)
                })
            })
        })
        .await
    }
}
