//! The terms of a request as the policy has them now: the file may have been replaced since somebody asked.
//!
//! Whoever the policy does not name any more does not decide, and what was decided on easier terms releases nothing.

use fnox_api::{ApprovalStatus, Decision, Problem, ProblemCode};

use super::Service;
use super::approvals::Assessed;
use super::decisions::LINK_HOLDER;
use crate::store::ApprovalRecord;
use crate::subject::Subject;

impl Service {
    /// A request that may still be decided, with those who may and how many have to as the policy is now.
    pub(super) async fn at_present(
        &self,
        record: ApprovalRecord,
    ) -> Result<ApprovalRecord, Problem> {
        let is_open = matches!(
            record.status,
            ApprovalStatus::Pending | ApprovalStatus::Approved
        );
        if !is_open {
            return Ok(record);
        }
        let asked_by = self.store().subject_of(record.session).await;
        // Forgotten: whoever asked asks the policy again before anything is released.
        let Some(subject) = self.stored(asked_by)? else {
            return Ok(record);
        };
        if record.question.is_some() {
            return self.question_at_present(&subject, record);
        }
        self.keys_at_present(&subject, record)
    }

    fn keys_at_present(
        &self,
        subject: &Subject,
        mut record: ApprovalRecord,
    ) -> Result<ApprovalRecord, Problem> {
        let policy = self.policy().current();
        let mut terms = Assessed::begin(&self.settings().approvals);
        for item in &record.items {
            let permit = policy.permit(subject, &record.project, &record.profile, &item.key);
            let Ok(permit) = permit else {
                // Nothing is released for a yes to this; a no is still worth something.
                return Ok(record);
            };
            terms
                .narrow(&permit)
                .map_err(|problem| problem.at_key(&item.key))?;
        }
        record.approvers = terms.approvers;
        record.approvals_needed = terms.approvals_needed;
        Ok(record)
    }

    /// Fails if fewer than `needed` of those who may decide now said yes to what was approved.
    pub(super) async fn still_enough(
        &self,
        record: &ApprovalRecord,
        approvers: &[String],
        needed: u32,
    ) -> Result<(), Problem> {
        if record.status != ApprovalStatus::Approved {
            // The store says what it is instead.
            return Ok(());
        }
        let mut enough = 0_u32;
        for said in &record.decisions {
            if said.decision == Decision::Approve
                && self.counts(&said.by, approvers, needed).await?
            {
                enough += 1;
            }
        }
        if enough >= needed {
            return Ok(());
        }
        Err(Problem::new(ProblemCode::ApprovalChanged)
            .with_detail("the policy wants other or more people to say yes now; ask anew"))
    }

    /// Whether the yes of somebody counts on terms that may be others than when it was said.
    async fn counts(&self, by: &str, approvers: &[String], needed: u32) -> Result<bool, Problem> {
        if by == LINK_HOLDER {
            return Ok(approvers.is_empty() && needed <= 1);
        }
        if approvers.is_empty() {
            return Ok(true);
        }
        let found = self.store().newest_subject(by).await;
        let subject = self.stored(found)?;
        Ok(subject.is_some_and(|subject| approvers.iter().any(|name| subject.is_called(name))))
    }
}
