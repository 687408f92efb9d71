//! Where a running vault reads its policy again.

/// The place that a vault's policy came from.
///
/// Whoever can write the policy can lend every secret to anybody. Whether what lies there may be believed is
/// therefore for the source to judge, each time that it is read; the engine takes over whatever it is given.
pub trait PolicySource: std::fmt::Debug + Send + Sync {
    /// What messages call the place, such as the path of a file.
    fn origin(&self) -> String;

    /// The text as it is now. It may block.
    ///
    /// # Errors
    /// Why it cannot be read or must not be believed, and what to do about it. It names the place.
    fn read(&self) -> Result<String, String>;
}
