//! Lists in pages.

use crate::error::VaultError;

/// How many items a caller wants: `usual` unless it says how many.
pub(super) fn size(asked: Option<u32>, usual: usize, largest: usize) -> Result<usize, VaultError> {
    let size = asked.map_or(usual, |asked| asked as usize);
    if (1..=largest).contains(&size) {
        return Ok(size);
    }
    Err(VaultError::OutOfRange(format!(
        "limit must be between 1 and {largest}"
    )))
}

/// How many items fit a frame together: at least one.
pub(super) fn fitting<T: serde::Serialize>(items: &[T]) -> usize {
    /// What is left of a frame for items.
    const ROOM: usize = 900 * 1024;
    let mut size = 0;
    let fits = items.iter().take_while(|item| {
        size += serde_json::to_vec(item).map_or(0, |bytes| bytes.len() + 1);
        size <= ROOM
    });
    fits.count().max(1)
}
