//! What a reference can mean: a title, or a title and a field behind the last `/` that fits.

use crate::error::ProviderError;

/// A title, and the field that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) title: String,
    /// `None`: the password.
    pub(super) field: Option<String>,
}

impl Place {
    /// All ways to read it, the longest title first. Titles may have a `/` in them.
    pub(super) fn readings(reference: &str) -> Result<Vec<Self>, ProviderError> {
        if reference.is_empty() || reference.starts_with('/') || reference.ends_with('/') {
            return Err(ProviderError::misconfigured(format!(
                "the reference `{}` has an empty part",
                reference.escape_debug()
            ))
            .with_remedy("write `title` or `title/field`"));
        }
        let whole = Self {
            title: reference.to_owned(),
            field: None,
        };
        let parts = reference.rmatch_indices('/').map(|(at, _)| Self {
            title: reference[..at].to_owned(),
            field: Some(reference[at + 1..].to_owned()),
        });
        Ok(std::iter::once(whole).chain(parts).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_title_comes_first() {
        let read: Vec<_> = Place::readings("a/b/c")
            .unwrap()
            .into_iter()
            .map(|place| (place.title, place.field.unwrap_or_default()))
            .collect();
        let wanted = [("a/b/c", ""), ("a/b", "c"), ("a", "b/c")];
        assert_eq!(
            read,
            wanted.map(|(title, field)| (title.to_owned(), field.to_owned()))
        );
        for bad in ["", "/", "/a", "a/"] {
            assert!(Place::readings(bad).is_err(), "{bad}");
        }
    }
}
