//! Questions: what a gateway asks people about the requests of its agents, and about credentials that they want to use.
//!
//! A question is an approval in all that people do with it. It releases nothing: its yes is used here, by the gateway that
//! asked, once.

mod said;

use std::time::Duration;

use fnox_api::{
    ApprovalStatus, Asked, CreateQuestion, Problem, ProblemCode, Question, QuestionCreated,
    QuestionUsed,
};
use fnox_core::audit::Outcome;
use uuid::Uuid;

use self::said::{Said, exactly, roughly};
use super::approvals::later;
use super::{Caller, GATEWAY, Service};
use crate::policy::{QuestionDenial, QuestionPermit};
use crate::store::{ApprovalRecord, NewApproval, QuestionRecord, UsedYes};
use crate::subject::Subject;

impl Caller {
    /// Fails unless the caller is somebody whose agents people may be asked about: a gateway, or a person.
    pub(crate) fn must_have_agents(&self) -> Result<(), Problem> {
        let subject = &self.session.subject;
        if subject.issuer == GATEWAY || subject.is_person() {
            return Ok(());
        }
        Err(Problem::new(ProblemCode::RoleMissing).with_detail(
            "questions are asked with the token of a gateway, or by a person who logged in with `fnox login`",
        ))
    }
}

impl Service {
    /// Asks people about a request. Tells whether that is new.
    pub(crate) async fn ask_question(
        &self,
        caller: &Caller,
        body: CreateQuestion,
    ) -> Result<(QuestionCreated, bool), Problem> {
        let said = Said::parse(body.request)?;
        let permit = self.permit(caller, &said);
        let request = said.asked;
        let permit = match permit {
            Ok(permit) => permit,
            Err(denial) => {
                return Err(self
                    .deny_question(caller, "approval_requested", &request, denial)
                    .await?);
            }
        };
        let mut entry = caller.entry("approval_requested");
        entry.rule = Some(permit.rule.clone());
        let new = self.new_question(caller, body.key, request, permit);
        let asked = self.stored(self.store().ask(new, entry).await)?;
        let record = asked.approval;
        if asked.is_new {
            metrics::counter!("fnox_approvals_total", "status" => record.status.as_str())
                .increment(1);
            self.tell(&record);
        }
        let created = QuestionCreated {
            id: record.id,
            code: self.code_of(&record)?,
            expires_at: record.expires_at,
            status: record.status,
            asked: self.notifier().reached().await,
        };
        Ok((created, asked.is_new))
    }

    /// What the policy says of it now. A yes to the use of a credential lasts, so it has to let a yes last.
    fn permit(&self, caller: &Caller, said: &Said) -> Result<QuestionPermit, QuestionDenial> {
        let policy = self.policy().current();
        let permit = policy.question(&caller.session.subject, &said.agent, &said.host)?;
        if said.asked.as_access().is_some() && permit.longest == 0 {
            return Err(QuestionDenial::Lasting);
        }
        Ok(permit)
    }

    /// How many have to say yes.
    fn needed(&self, permit: &QuestionPermit) -> u32 {
        let least = self.settings().approvals.approvals_needed;
        permit
            .approvals_needed
            .map_or(least, |needed| needed.max(least))
    }

    /// A question with the terms of the policy as it is now; as it was asked if that does not let it be asked any more.
    pub(super) fn question_at_present(
        &self,
        subject: &Subject,
        mut record: ApprovalRecord,
    ) -> Result<ApprovalRecord, Problem> {
        let Some(question) = &mut record.question else {
            return Ok(record);
        };
        let said = Said::parse(question.request.clone())?;
        let policy = self.policy().current();
        if let Ok(permit) = policy.question(subject, &said.agent, &said.host) {
            question.own = question.own && permit.own;
            record.approvals_needed = self.needed(&permit);
            record.approvers = permit.approvers;
        }
        Ok(record)
    }

    /// Records that the policy said no, and says so.
    async fn deny_question(
        &self,
        caller: &Caller,
        event: &str,
        asked: &Asked,
        denial: QuestionDenial,
    ) -> Result<Problem, Problem> {
        let principal = caller.session.subject.principal();
        tracing::warn!(%principal, agent = %asked.agent(), host = %asked.host(), %denial, "question denied");
        let mut entry = caller.entry(event);
        entry.outcome = Outcome::Denied;
        entry.agent = Some(asked.agent().to_owned());
        entry.host = Some(asked.host().to_owned());
        entry.reason = Some(denial.to_string());
        let recorded = self.store().record(vec![entry]).await;
        self.stored(recorded)?;
        Ok(Problem::new(ProblemCode::PolicyDenied)
            .with_detail(format!("{denial}; ask whoever keeps the policy")))
    }

    fn new_question(
        &self,
        caller: &Caller,
        key: Uuid,
        request: Asked,
        permit: QuestionPermit,
    ) -> NewApproval {
        let now = self.now();
        let settings = &self.settings().approvals;
        let subject = &caller.session.subject;
        let binding = subject.binding();
        let requester = subject.requester();
        let quiet = roughly(&requester.principal, &request);
        let approval = ApprovalRecord {
            id: Uuid::now_v7(),
            status: ApprovalStatus::Pending,
            question: Some(QuestionRecord {
                request,
                longest: permit.longest,
                own: permit.own && subject.is_person(),
                lasting: None,
            }),
            project: String::new(),
            profile: String::new(),
            items: Vec::new(),
            command_hash: String::new(),
            command_display: String::new(),
            reason: None,
            requester,
            binding,
            session: caller.session.id,
            address: Some(caller.address.to_string()),
            created_at: now,
            expires_at: later(now, settings.lifetime.min(LONGEST)),
            approvals_needed: self.needed(&permit),
            approvers: permit.approvers,
            code_key: self.keys().current(),
            wrong_codes: 0,
            decisions: Vec::new(),
        };
        NewApproval {
            request: exactly(&binding, key, &approval),
            quiet,
            pending_limit: settings.pending_limit,
            quiet_time: settings.quiet_time,
            often: Some((OFTEN, OFTEN_WITHIN)),
            approval,
        }
    }

    /// A question, for whoever asked it. With `wait`, the answer comes when it is no longer pending, after that time, or
    /// when the server ends.
    pub(crate) async fn question(
        &self,
        caller: &Caller,
        id: Uuid,
        wait: Duration,
    ) -> Result<Question, Problem> {
        let (record, now) = self.waited(caller, id, wait, is_own).await?;
        record
            .question_view(now)
            .ok_or_else(|| Problem::new(ProblemCode::NotFound))
    }

    /// Uses a yes up.
    pub(crate) async fn use_question(
        &self,
        caller: &Caller,
        id: Uuid,
    ) -> Result<QuestionUsed, Problem> {
        let longest = self.still_asked(caller, id).await?;
        let used = UsedYes {
            approval: id,
            binding: caller.session.subject.binding(),
            session: caller.session.id,
            now: self.now(),
        };
        let entry = caller.entry("question_used");
        let record = self.stored(self.store().use_yes(used, entry).await)?;
        metrics::counter!("fnox_approvals_total", "status" => "fetched").increment(1);
        Ok(QuestionUsed {
            id,
            lasting_seconds: record
                .question
                .and_then(|it| it.lasting)
                .map_or(0, |lasting| lasting.min(longest)),
        })
    }

    /// The policy may have been replaced since the question: what it does not let ask any more is not sent either. Tells
    /// for how long a yes may be now.
    async fn still_asked(&self, caller: &Caller, id: Uuid) -> Result<u32, Problem> {
        let found = self.stored(self.store().approval(id).await)?;
        let missing = || Problem::new(ProblemCode::NotFound);
        let record = found
            .filter(|record| is_own(caller, record))
            .ok_or_else(missing)?;
        let question = record.question.as_ref().ok_or_else(missing)?;
        let said = Said::parse(question.request.clone())?;
        let permit = match self.permit(caller, &said) {
            Ok(permit) => permit,
            Err(denial) => {
                return Err(self
                    .deny_question(caller, "question_used", &said.asked, denial)
                    .await?);
            }
        };
        let needed = self.needed(&permit);
        self.still_enough(&record, &permit.approvers, needed)
            .await?;
        Ok(permit.longest)
    }

    /// Takes the caller's own question back.
    pub(crate) async fn cancel_question(&self, caller: &Caller, id: Uuid) -> Result<(), Problem> {
        let found = self.stored(self.store().approval(id).await)?;
        if found.is_none_or(|record| record.question.is_none()) {
            return Err(Problem::new(ProblemCode::NotFound));
        }
        self.take_back(caller, id).await
    }
}

fn is_own(caller: &Caller, record: &ApprovalRecord) -> bool {
    record.question.is_some() && record.binding == caller.session.subject.binding()
}

/// A gateway forgets a question after this time.
const LONGEST: Duration = Duration::from_mins(10);
/// So many questions of one requester in this time and no more, whatever became of them.
const OFTEN: u32 = 60;
const OFTEN_WITHIN: Duration = Duration::from_mins(10);
