//! Near misses.

/// The candidate nearest to what was written, if one is near enough to have been meant.
///
/// ```
/// # use fnox_config::suggest::nearest;
/// assert_eq!(nearest("recipient", ["type", "recipients"]), Some("recipients"));
/// assert_eq!(nearest("colour", ["type", "recipients"]), None);
/// ```
#[must_use]
pub fn nearest<'a, I>(written: &str, candidates: I) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&written.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|one, two| one.0.total_cmp(&two.0))
        .map(|(_, candidate)| candidate)
}
