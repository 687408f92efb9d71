//! Decisions: by people who logged in, and by whoever has a link and the match code.

use std::net::IpAddr;

use fnox_api::{Approval, ApprovalStatus, Decide, Decision, Problem, ProblemCode, Role};
use fnox_core::audit::{Entry, Outcome};
use fnox_core::question::USUAL_ACCESS;
use uuid::Uuid;

use super::approvals::later;
use super::{Caller, Service, names};
use crate::link::{self, Link, LinkPurpose};
use crate::notify::Notice;
use crate::settings::ApproveBy;
use crate::store::{ApprovalRecord, NewDecision};
use crate::subject::Subject;

/// How the audit log calls whoever has a link.
pub(super) const LINK_HOLDER: &str = "link holder";

/// What a link leads to.
#[derive(Debug, Clone)]
pub struct LinkView {
    /// The approval.
    pub record: ApprovalRecord,
    /// The link.
    pub link: Link,
    /// Whether the person has to log in first.
    pub needs_login: bool,
}

/// Somebody who decides.
struct Decider<'a> {
    by: String,
    address: IpAddr,
    /// `None` for whoever has a link.
    subject: Option<&'a Subject>,
}

impl Service {
    /// Decides in the name of a person who logged in.
    pub(crate) async fn decide(
        &self,
        caller: &Caller,
        id: Uuid,
        body: Decide,
    ) -> Result<Approval, Problem> {
        // First of all, so that others learn nothing.
        caller.must_be(&[Role::Approver])?;
        let subject = &caller.session.subject;
        let found = self.stored(self.store().approval(id).await)?;
        let record = found.ok_or_else(|| Problem::new(ProblemCode::NotFound))?;
        let record = self.at_present(record).await?;
        may_decide(caller, &record)?;
        let decider = Decider {
            by: subject.principal(),
            address: caller.address,
            subject: Some(subject),
        };
        self.settle(&record, decider, body).await
    }

    /// What a link leads to; one answer for every link that leads nowhere.
    pub(crate) async fn follow(&self, text: &str) -> Result<LinkView, Problem> {
        let gone = || Problem::new(ProblemCode::NotFound).with_detail("this link leads nowhere");
        let link = Link::verify(self.keys(), text, self.now()).ok_or_else(gone)?;
        let found = self.stored(self.store().approval(link.approval).await)?;
        let record = self.at_present(found.ok_or_else(gone)?).await?;
        let needs_login = self.settings().approvals.approve_by == ApproveBy::Login
            || record.approvals_needed > 1
            || !record.approvers.is_empty();
        Ok(LinkView {
            record,
            link,
            needs_login,
        })
    }

    /// Decides in the name of whoever has a link: with the form of the page, or with one tap where that is switched on.
    pub(crate) async fn decide_by_link(
        &self,
        view: &LinkView,
        address: IpAddr,
        body: Decide,
    ) -> Result<Approval, Problem> {
        if view.needs_login {
            return Err(Problem::new(ProblemCode::RoleMissing)
                .with_detail("deciding about this needs a person who logged in"));
        }
        let decider = Decider {
            by: LINK_HOLDER.to_owned(),
            address,
            subject: None,
        };
        match view.link.purpose {
            LinkPurpose::Page => self.settle(&view.record, decider, body).await,
            // The link itself says what was decided, and only a topic that was made for it carries such links.
            LinkPurpose::Approve | LinkPurpose::Deny => {
                let decision = if view.link.purpose == LinkPurpose::Approve {
                    Decision::Approve
                } else {
                    Decision::Deny
                };
                let lasting = lasting(&view.record, None)?;
                self.commit(&view.record, &decider, decision, body.reason, lasting)
                    .await
            }
        }
    }

    /// Checks the match code and decides.
    async fn settle(
        &self,
        record: &ApprovalRecord,
        decider: Decider<'_>,
        body: Decide,
    ) -> Result<Approval, Problem> {
        let reason = body
            .reason
            .map(|text| names::text(&text, "reason", 1024))
            .transpose()?;
        let lasting = lasting(record, body.lasting_seconds)?;
        let code = body.code.filter(|code| !code.trim().is_empty());
        // A person who logged in may say no without the code; whoever only has a link may not.
        let may_go_without = body.decision == Decision::Deny && decider.subject.is_some();
        match code {
            None if may_go_without => {}
            None => {
                return Err(Problem::new(ProblemCode::CodeMissing)
                    .with_detail("type the six characters that the log of whoever asks shows")
                    .at_field("code"));
            }
            Some(typed) => {
                let expected = self.code_of(record)?;
                if !link::codes_match(&expected, &typed) {
                    return self.wrong_code(record, &decider).await;
                }
            }
        }
        self.commit(record, &decider, body.decision, reason, lasting)
            .await
    }

    async fn commit(
        &self,
        record: &ApprovalRecord,
        decider: &Decider<'_>,
        decision: Decision,
        reason: Option<String>,
        lasting: u32,
    ) -> Result<Approval, Problem> {
        let now = self.now();
        let event = match decision {
            Decision::Approve => "approval_approved",
            Decision::Deny => "approval_denied",
        };
        let approved_until = match &record.question {
            // Whoever asked waits, or asks again in a moment: a yes does not outlive the question.
            Some(_) => record.expires_at,
            None => later(now, self.settings().approvals.lifetime),
        };
        let new = NewDecision {
            approval: record.id,
            by: decider.by.clone(),
            decision,
            reason,
            now,
            approved_until,
            lasting,
            approvals_needed: Some(record.approvals_needed),
        };
        let outcome = self.stored(self.store().decide(new, entry(decider, event)).await)?;
        if outcome.changed {
            metrics::counter!("fnox_approvals_total", "status" => outcome.approval.status.as_str())
                .increment(1);
        }
        Ok(outcome.approval.view(now))
    }

    /// The first wrong code is told to whoever typed it; the second ends the approval and is told to all approvers.
    async fn wrong_code(
        &self,
        record: &ApprovalRecord,
        decider: &Decider<'_>,
    ) -> Result<Approval, Problem> {
        let mut entry = entry(decider, "approval_wrong_code");
        entry.outcome = Outcome::Denied;
        let now = self.now();
        let after = self.stored(self.store().wrong_code(record.id, now, entry).await)?;
        let mut problem = Problem::new(ProblemCode::CodeWrong);
        if after.status == ApprovalStatus::Denied {
            metrics::counter!("fnox_approvals_total", "status" => "denied").increment(1);
            self.notifier().send(Notice::Alarm {
                title: "A match code was wrong twice".to_owned(),
                text: format!(
                    "The request of {} was denied, because a wrong code was given twice. If it was not you, somebody \
                     else can read these messages.",
                    after.requester.name
                ),
                approval: Some(Box::new(after.view(now))),
            });
            problem = problem.with_detail("for the second time, so the request is denied");
        } else {
            problem = problem.with_detail(
                "look at the log of whoever asks; a second wrong code denies the request",
            );
        }
        Err(problem.at_field("code"))
    }
}

/// For how long a yes covers the same request, or the use of a credential: no longer than the policy said when it was asked.
fn lasting(record: &ApprovalRecord, wanted: Option<u32>) -> Result<u32, Problem> {
    let wrong = |why: &str| Err(names::invalid("lasting_seconds", why));
    match (&record.question, wanted) {
        (Some(question), wanted) if question.request.as_access().is_some() => match wanted {
            None => Ok(question.longest.min(USUAL_ACCESS)),
            Some(0) => wrong("the use of a credential is for a time"),
            Some(wanted) if wanted > question.longest => wrong(&too_long(question.longest)),
            Some(wanted) => Ok(wanted),
        },
        (_, None) => Ok(0),
        (None, Some(_)) => wrong("a yes to a request for secrets is for one fetch"),
        (Some(question), Some(wanted)) if wanted > question.longest => {
            wrong(&too_long(question.longest))
        }
        (Some(_), Some(wanted)) => Ok(wanted),
    }
}

fn too_long(longest: u32) -> String {
    format!("the policy allows {longest} seconds at most")
}

fn entry(decider: &Decider<'_>, event: &str) -> Entry {
    let mut entry = Entry::new(event, &decider.by, Outcome::Ok);
    entry.peer = Some(decider.address.to_string());
    entry.agent = decider.subject.map(Subject::name);
    entry
}

/// Whether somebody may decide about a request at all. The request has the terms of the policy as it is now.
pub(crate) fn may_decide(caller: &Caller, record: &ApprovalRecord) -> Result<(), Problem> {
    caller.must_be(&[Role::Approver])?;
    let subject = &caller.session.subject;
    if record.binding == subject.binding() {
        if !record.may_be_own() {
            return Err(Problem::new(ProblemCode::SelfApproval));
        }
        // The session that asks lies where agents run.
        if record.session == caller.session.id {
            return Err(Problem::new(ProblemCode::SelfApproval).with_detail(
                "this login is the one that asked; decide on the server's page, with a login of its own",
            ));
        }
    }
    must_be_named(subject, record)
}

/// Whether a person is one of those whom the policy's rules name.
fn must_be_named(subject: &Subject, record: &ApprovalRecord) -> Result<(), Problem> {
    if record.approvers.is_empty() || record.approvers.iter().any(|name| subject.is_called(name)) {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::RoleMissing)
        .with_detail("the policy names other people who may decide about this"))
}
