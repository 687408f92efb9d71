//! What stores say, as problems.

use std::time::Duration;

use fnox_api::{ApprovalStatus, Problem, ProblemCode};
use jiff::Timestamp;

use crate::store::{Refusal, StoreError};

/// A store's error as clients see it: nothing about where or what the database is.
pub(super) fn of_store(error: StoreError, now: Timestamp) -> Problem {
    match error {
        StoreError::Refused(refusal) => of_refusal(&refusal, now),
        StoreError::Unfit { .. } => Problem::new(ProblemCode::InvalidRequest)
            .with_detail("a text holds a character that cannot be stored (NUL)"),
        _ => Problem::new(ProblemCode::StoreUnavailable)
            .with_detail("nothing was changed or released; try again later"),
    }
}

fn of_refusal(refusal: &Refusal, now: Timestamp) -> Problem {
    match refusal {
        Refusal::Missing | Refusal::NotTheirs => Problem::new(ProblemCode::NotFound),
        Refusal::Exists => Problem::new(ProblemCode::Exists),
        Refusal::Moved { found: 0 } => Problem::new(ProblemCode::VersionMismatch)
            .with_detail("there is no such secret now; leave `If-Match` out to create it"),
        Refusal::Moved { found } => Problem::new(ProblemCode::VersionMismatch)
            .with_detail(format!("its version is {found} now; read it again and decide anew")),
        Refusal::NotNext { next } => Problem::new(ProblemCode::VersionMismatch)
            .with_detail(format!("its next version is {next}; make the age file for that one"))
            .with_next_version(*next),
        Refusal::Replayed => Problem::new(ProblemCode::TokenReplayed)
            .with_detail("each token opens one session"),
        Refusal::Resurrected { name, .. } => Problem::new(ProblemCode::PolicyDenied)
            .with_detail(format!(
                "the name `{name}` belonged to something with another id before; an administrator has to look at it"
            )),
        Refusal::SessionEnded => Problem::new(ProblemCode::TokenInvalid)
            .with_detail("its session has ended"),
        Refusal::Frozen => Problem::new(ProblemCode::Frozen)
            .with_detail("nothing is released until whoever runs it calls `fnox serve unfreeze`"),
        Refusal::TooManyPending { limit } => Problem::new(ProblemCode::TooManyPending)
            .with_detail(format!(
                "{limit} requests wait for a decision already; cancel some, or wait until they end"
            )),
        Refusal::TooOften { limit, until } => Problem::new(ProblemCode::RateLimited)
            .with_detail(format!(
                "{limit} questions were asked in the last ten minutes; people are asked again from {until} on"
            ))
            .after(wait(now, *until)),
        Refusal::Quiet { until } => Problem::new(ProblemCode::QuietTime)
            .with_detail(format!("the same request may be made again at {until}"))
            .after(wait(now, *until)),
        Refusal::Status(status) => of_status(*status),
        Refusal::Changed { key } => Problem::new(ProblemCode::ApprovalChanged)
            .with_detail(format!(
                "`{key}` is not what was approved any more"
            ))
            .at_key(key),
        Refusal::GrantUsed { .. } => Problem::new(ProblemCode::GrantUsed)
            .with_detail("a grant works once; the approvers were told of this second use"),
        Refusal::GrantExpired => Problem::new(ProblemCode::GrantExpired)
            .with_detail("ask for a new approval"),
        Refusal::SelfApproval => Problem::new(ProblemCode::SelfApproval),
        Refusal::Deactivated => Problem::new(ProblemCode::PolicyDenied)
            .with_detail("this person is deactivated, or was never provisioned here"),
    }
}

fn wait(now: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or_default()
}

fn of_status(status: ApprovalStatus) -> Problem {
    let (code, detail) = match status {
        ApprovalStatus::Pending => (
            ProblemCode::ApprovalNotApproved,
            "nobody has decided yet".to_owned(),
        ),
        ApprovalStatus::Expired => (
            ProblemCode::ApprovalNotApproved,
            "it has expired; ask for a new one".to_owned(),
        ),
        status => (
            ProblemCode::ApprovalDecided,
            format!("it is {}", status.as_str()),
        ),
    };
    Problem::new(code).with_detail(detail)
}
