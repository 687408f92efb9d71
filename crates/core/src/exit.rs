//! The exit-code table. Scripts rely on it; `docs/reference/exit-codes.md` is generated from it.

/// What a command's end means to a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// Everything asked for was done.
    Success,
    /// Something failed that has no code of its own.
    Failure,
    /// The command line was wrong.
    Usage,
    /// The configuration is wrong, or a part of it is not built yet.
    Configuration,
    /// Somebody must log in, unlock or present a key first.
    AuthenticationNeeded,
    /// A secret that is needed has no value.
    SecretMissing,
    /// A provider or a mint did not answer or failed.
    Unavailable,
    /// A policy or a person said no.
    Denied,
    /// An approval is pending and `--no-wait` was given.
    ApprovalPending,
    /// The program exists but cannot be run.
    CommandNotRunnable,
    /// The program does not exist.
    CommandNotFound,
    /// The child's own exit code, or 128 plus the number of the signal that ended it.
    Child(u8),
}

impl ExitStatus {
    /// Every status but [`ExitStatus::Child`], with the sentence that documents it.
    pub const TABLE: [(Self, &'static str); 11] = [
        (Self::Success, "Success."),
        (Self::Failure, "Failure that has no code of its own."),
        (
            Self::Usage,
            "The command line is wrong: unknown flag, missing argument.",
        ),
        (
            Self::Configuration,
            "The configuration is wrong, not trusted, or names something that does not exist.",
        ),
        (
            Self::AuthenticationNeeded,
            "Authentication needed: log in, unlock the store, present the key.",
        ),
        (
            Self::SecretMissing,
            "A secret that is needed has no value anywhere.",
        ),
        (
            Self::Unavailable,
            "A provider or a mint is unavailable or failed.",
        ),
        (Self::Denied, "Denied by a policy or by a person."),
        (
            Self::ApprovalPending,
            "An approval is pending and `--no-wait` was given.",
        ),
        (
            Self::CommandNotRunnable,
            "The program was found but could not be run.",
        ),
        (Self::CommandNotFound, "The program was not found."),
    ];

    /// The process exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Configuration => 3,
            Self::AuthenticationNeeded => 4,
            Self::SecretMissing => 5,
            Self::Unavailable => 6,
            Self::Denied => 7,
            Self::ApprovalPending => 8,
            Self::CommandNotRunnable => 126,
            Self::CommandNotFound => 127,
            Self::Child(code) => code,
        }
    }
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_code_once() {
        let mut codes: Vec<u8> = ExitStatus::TABLE
            .iter()
            .map(|(status, _)| status.code())
            .collect();
        codes.dedup();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 126, 127]);
    }
}
