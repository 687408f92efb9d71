//! Why a chore failed.

/// Something that the reader has to mend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A file cannot be read or written.
    #[error("cannot read or write: {path}: {error}")]
    File {
        /// From the root.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// `cargo metadata` failed.
    #[error("cargo metadata failed: {0}")]
    Metadata(String),
    /// Generated files differ from what would be generated.
    #[error("not up to date, run `cargo xtask gen`:\n  {}", .0.join("\n  "))]
    Outdated(Vec<String>),
    /// A rule of the repository is broken.
    #[error("{rule}:\n  {}", .broken.join("\n  "))]
    Rule {
        /// The rule.
        rule: &'static str,
        /// Where it is broken.
        broken: Vec<String>,
    },
}

impl Failure {
    pub(crate) fn file(path: &str, error: std::io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            error,
        }
    }

    /// Fails if a rule is broken anywhere, else says `good`.
    pub(crate) fn unless_empty(
        rule: &'static str,
        broken: Vec<String>,
        good: impl FnOnce() -> String,
    ) -> Result<String, Self> {
        if broken.is_empty() {
            Ok(good())
        } else {
            Err(Self::Rule { rule, broken })
        }
    }
}
