//! How a program ended, and what comes next.

use std::process::ExitStatus;

use super::plan::EnvironmentPlan;

/// How the program ended, and what comes next.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) then: Then,
}

/// What comes after the program's end.
#[derive(Debug)]
pub(super) enum Then {
    /// fnox ends as the program did.
    Nothing,
    /// The program is started again with this environment.
    StartAgain(Box<EnvironmentPlan>),
    /// There is to be another run in place of this one.
    AnotherRun,
    /// fnox ends with the code for a credential that cannot be had.
    FailAsUnavailable,
}

impl Then {
    /// Whoever asks fnox to end does not want the program again.
    pub(super) fn is_asked_to_end(&mut self) {
        if matches!(self, Self::StartAgain(_) | Self::AnotherRun) {
            *self = Self::Nothing;
        }
    }
}
