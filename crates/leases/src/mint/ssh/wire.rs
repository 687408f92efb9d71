//! The `string` of RFC 4251 section 5: a length in four bytes, and so many bytes.

/// The string at the beginning, and what comes after it.
pub(crate) fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// Adds a string. `None`: it is longer than four bytes can say.
pub(crate) fn add_string(bytes: &mut Vec<u8>, string: &[u8]) -> Option<()> {
    bytes.extend(u32::try_from(string.len()).ok()?.to_be_bytes());
    bytes.extend(string);
    Some(())
}
