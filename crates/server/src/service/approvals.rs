//! Requests: one exact set of keys, for one exact command, by one exact requester.

use std::time::Duration;

use fnox_api::{
    Approval, ApprovalCreated, ApprovalItem, ApprovalList, ApprovalStatus, CreateApproval,
    Decision, DecisionView, Problem, ProblemCode, Role,
};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::names::{self, invalid};
use super::{Caller, Service};
use crate::link;
use crate::notify::{Links, Notice};
use crate::policy::Permit;
use crate::settings::ApprovalSettings;
use crate::store::{ApprovalRecord, NewApproval, SecretPlace};

/// Who may look at approvals of others.
const DECIDERS: &[Role] = &[Role::Approver, Role::Admin];

/// A request as it was read.
pub(super) struct Ask {
    pub(super) project: String,
    pub(super) profile: String,
    pub(super) keys: Vec<String>,
    command_hash: String,
    command_display: String,
    reason: Option<String>,
}

impl Ask {
    pub(super) fn parse(body: CreateApproval) -> Result<Self, Problem> {
        let is_hash = body.command_hash.len() == 64
            && body
                .command_hash
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if !is_hash {
            return Err(invalid(
                "command_hash",
                "it is not SHA-256 in 64 lower-case hex digits",
            ));
        }
        Ok(Self {
            project: names::project(&body.project)?,
            profile: names::profile(body.profile.as_deref())?,
            keys: names::keys(&body.keys)?,
            command_hash: body.command_hash,
            command_display: names::text(&body.command_display, "command_display", 4096)?,
            reason: body
                .reason
                .map(|text| names::text(&text, "reason", 1024))
                .transpose()?,
        })
    }
}

/// What the policy and the stored secrets say about a request.
pub(super) struct Assessed {
    pub(super) items: Vec<ApprovalItem>,
    pub(super) approvers: Vec<String>,
    pub(super) approvals_needed: u32,
    rules: Vec<String>,
    pub(super) grant_lifetime: Duration,
}

impl Assessed {
    /// Without any key, and so with the terms of the settings.
    pub(super) fn begin(settings: &ApprovalSettings) -> Self {
        Self {
            items: Vec::new(),
            approvers: Vec::new(),
            approvals_needed: settings.approvals_needed,
            rules: Vec::new(),
            grant_lifetime: settings.grant_lifetime,
        }
    }

    pub(super) fn needs_approval(&self) -> bool {
        self.items.iter().any(|item| item.needs_approval)
    }

    /// Several keys may be permitted by several rules: all of their conditions hold.
    pub(super) fn narrow(&mut self, permit: &Permit) -> Result<(), Problem> {
        if !self.rules.contains(&permit.rule) {
            self.rules.push(permit.rule.clone());
        }
        if let Some(needed) = permit.approvals_needed {
            self.approvals_needed = self.approvals_needed.max(needed);
        }
        if let Some(longest) = permit.max_ttl {
            self.grant_lifetime = self.grant_lifetime.min(longest);
        }
        if permit.approvers.is_empty() {
            return Ok(());
        }
        if self.approvers.is_empty() {
            self.approvers.clone_from(&permit.approvers);
            return Ok(());
        }
        self.approvers
            .retain(|approver| permit.approvers.contains(approver));
        if self.approvers.is_empty() {
            return Err(Problem::new(ProblemCode::PolicyDenied).with_detail(
                "nobody may decide about all of these keys at once; ask for them one by one",
            ));
        }
        Ok(())
    }
}

impl Service {
    /// Asks for an approval. Tells whether it is new.
    pub(crate) async fn ask(
        &self,
        caller: &Caller,
        body: CreateApproval,
    ) -> Result<(ApprovalCreated, bool), Problem> {
        let ask = Ask::parse(body)?;
        let assessed = self.assess(caller, &ask).await?;
        let (record, is_new) = self.store_request(caller, &ask, assessed).await?;
        let asked = match record.status {
            ApprovalStatus::Pending => self.notifier().reached().await,
            _ => Vec::new(),
        };
        let created = ApprovalCreated {
            id: record.id,
            code: self.code_of(&record)?,
            expires_at: record.expires_at,
            status: record.status,
            asked,
        };
        Ok((created, is_new))
    }

    pub(super) async fn store_request(
        &self,
        caller: &Caller,
        ask: &Ask,
        assessed: Assessed,
    ) -> Result<(ApprovalRecord, bool), Problem> {
        let mut entry = caller.entry("approval_requested");
        entry.rule = Some(assessed.rules.join(", "));
        let new = self.new_approval(caller, ask, assessed);
        let asked = self.stored(self.store().ask(new, entry).await)?;
        let record = asked.approval;
        if asked.is_new {
            metrics::counter!("fnox_approvals_total", "status" => record.status.as_str())
                .increment(1);
            if record.status == ApprovalStatus::Pending {
                self.tell(&record);
            }
        }
        Ok((record, asked.is_new))
    }

    /// Holds a request against the policy and against what is stored.
    pub(super) async fn assess(&self, caller: &Caller, ask: &Ask) -> Result<Assessed, Problem> {
        let policy = self.policy().current();
        let mut assessed = Assessed::begin(&self.settings().approvals);
        for key in &ask.keys {
            let permit = policy.permit(&caller.session.subject, &ask.project, &ask.profile, key);
            let permit = match permit {
                Ok(permit) => permit,
                Err(denial) => {
                    self.deny(caller, ask, key, &denial.to_string()).await?;
                    return Err(denial.for_client().at_key(key));
                }
            };
            let item = self.item(caller, ask, key, &permit).await?;
            assessed.items.push(item);
            assessed
                .narrow(&permit)
                .map_err(|problem| problem.at_key(key))?;
        }
        Ok(assessed)
    }

    async fn item(
        &self,
        caller: &Caller,
        ask: &Ask,
        key: &str,
        permit: &Permit,
    ) -> Result<ApprovalItem, Problem> {
        let place = SecretPlace {
            project: ask.project.clone(),
            profile: ask.profile.clone(),
            key: key.to_owned(),
        };
        let found = self.store().secret(place, false).await;
        let record = self.stored(found)?.ok_or_else(|| {
            Problem::new(ProblemCode::NotFound)
                .with_detail(format!(
                    "the project `{}` has no `{key}` in the profile `{}`",
                    ask.project, ask.profile
                ))
                .at_key(key)
        })?;
        if let Some(wanted) = &permit.recipient
            && !record.recipients.contains(wanted)
        {
            let why = format!("`{key}` is not encrypted to {wanted}");
            self.deny(caller, ask, key, &why).await?;
            return Err(Problem::new(ProblemCode::RecipientMissing)
                .with_detail(format!(
                    "`{key}` lacks {wanted}; `fnox secret rekey {key}` adds it"
                ))
                .at_key(key));
        }
        Ok(ApprovalItem {
            key: key.to_owned(),
            version: record.version,
            ciphertext_sha256: hex::encode(record.sha256),
            needs_approval: permit.require_approval || record.require_approval,
            is_new: false,
        })
    }

    /// Records that the policy said no.
    async fn deny(&self, caller: &Caller, ask: &Ask, key: &str, why: &str) -> Result<(), Problem> {
        tracing::warn!(principal = %caller.session.subject.principal(), key, why, "request denied");
        let mut entry = caller.entry("approval_requested");
        entry.outcome = fnox_core::audit::Outcome::Denied;
        entry.project = Some(ask.project.clone());
        entry.secret = Some(format!("{}/{key}", ask.profile));
        entry.reason = Some(why.to_owned());
        let recorded = self.store().record(vec![entry]).await;
        self.stored(recorded)
    }

    fn new_approval(&self, caller: &Caller, ask: &Ask, assessed: Assessed) -> NewApproval {
        let now = self.now();
        let settings = &self.settings().approvals;
        let subject = &caller.session.subject;
        let is_free = !assessed.needs_approval();
        let approval = ApprovalRecord {
            id: Uuid::now_v7(),
            status: if is_free {
                ApprovalStatus::Approved
            } else {
                ApprovalStatus::Pending
            },
            question: None,
            project: ask.project.clone(),
            profile: ask.profile.clone(),
            items: assessed.items,
            command_hash: ask.command_hash.clone(),
            command_display: ask.command_display.clone(),
            reason: ask.reason.clone(),
            requester: subject.requester(),
            binding: subject.binding(),
            session: caller.session.id,
            address: Some(caller.address.to_string()),
            created_at: now,
            expires_at: later(now, settings.lifetime),
            approvals_needed: assessed.approvals_needed,
            approvers: assessed.approvers,
            code_key: self.keys().current(),
            wrong_codes: 0,
            decisions: if is_free {
                vec![by_policy(now)]
            } else {
                Vec::new()
            },
        };
        NewApproval {
            request: exactly(&approval),
            quiet: roughly(&approval),
            pending_limit: settings.pending_limit,
            quiet_time: settings.quiet_time,
            often: None,
            approval,
        }
    }

    /// An approval, for whoever asked and for those who decide. With `wait`, the answer comes when it is no longer
    /// pending, after that time, or when the server ends.
    pub(crate) async fn approval(
        &self,
        caller: &Caller,
        id: Uuid,
        wait: Duration,
    ) -> Result<Approval, Problem> {
        let (record, now) = self.waited(caller, id, wait, Self::may_look).await?;
        Ok(record.view(now))
    }

    /// The approval, once it is no longer pending or the time is over, and the moment of the look.
    pub(super) async fn waited(
        &self,
        caller: &Caller,
        id: Uuid,
        wait: Duration,
        may_look: fn(&Caller, &ApprovalRecord) -> bool,
    ) -> Result<(ApprovalRecord, Timestamp), Problem> {
        let wait = wait.min(LONGEST_WAIT);
        let mut changes = self.store().database().changes();
        let mut closing = std::pin::pin!(self.closing());
        let mut is_closing = false;
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            changes.borrow_and_update();
            let record = self.stored(self.store().approval(id).await)?;
            let record = record
                .filter(|record| may_look(caller, record))
                .ok_or_else(|| Problem::new(ProblemCode::NotFound))?;
            let now = self.now();
            if record.status_at(now) != ApprovalStatus::Pending
                || tokio::time::Instant::now() >= deadline
                || is_closing
            {
                return Ok((record, now));
            }
            // Its own end is no change in the database.
            let end = record.expires_at.duration_since(now).unsigned_abs();
            let until = deadline.min(tokio::time::Instant::now() + end);
            tokio::select! {
                // A closed channel only means that nobody tells; the deadline still comes.
                _ = tokio::time::timeout_at(until, changes.changed()) => {
                    // It is told of every commit, also of others: many who wait do not all look after each one.
                    tokio::time::sleep(RECHECK_PAUSE).await;
                }
                () = &mut closing => is_closing = true,
            }
        }
    }

    fn may_look(caller: &Caller, record: &ApprovalRecord) -> bool {
        let subject = &caller.session.subject;
        // Who asked a question looks at it as one.
        let is_own = record.question.is_none() && record.binding == subject.binding();
        is_own || caller.is(DECIDERS)
    }

    /// Approvals for those who decide: pending ones, or the newest.
    pub(crate) async fn approvals(
        &self,
        caller: &Caller,
        pending_only: bool,
    ) -> Result<ApprovalList, Problem> {
        caller.must_be(DECIDERS)?;
        let now = self.now();
        let found = self
            .store()
            .approvals(pending_only.then_some(now), LISTED)
            .await;
        Ok(ApprovalList {
            approvals: self
                .stored(found)?
                .into_iter()
                .map(|record| record.view(now))
                .collect(),
        })
    }

    /// Takes the caller's own request back.
    pub(crate) async fn cancel(&self, caller: &Caller, id: Uuid) -> Result<(), Problem> {
        let found = self.stored(self.store().approval(id).await)?;
        if found.is_none_or(|record| record.question.is_some()) {
            return Err(Problem::new(ProblemCode::NotFound));
        }
        self.take_back(caller, id).await
    }

    /// Ends what the caller asked and nobody used yet.
    pub(super) async fn take_back(&self, caller: &Caller, id: Uuid) -> Result<(), Problem> {
        let entry = caller.entry("approval_cancelled");
        let binding = caller.session.subject.binding();
        let cancelled = self.store().cancel(id, binding, self.now(), entry).await;
        self.stored(cancelled)?;
        metrics::counter!("fnox_approvals_total", "status" => "cancelled").increment(1);
        Ok(())
    }

    /// Tells approvers that somebody asks.
    pub(super) fn tell(&self, record: &ApprovalRecord) {
        let now = self.now();
        self.notifier().send(Notice::Asked {
            links: Links {
                base: self.settings().public_url.clone(),
                keys: self.keys().clone(),
                approval: record.id,
                expires_at: record.expires_at,
            },
            approval: Box::new(record.clone().view(now)),
        });
    }

    /// The match code. It goes to whoever asked, and to nobody else.
    pub(super) fn code_of(&self, record: &ApprovalRecord) -> Result<String, Problem> {
        link::match_code(self.keys(), record.code_key, record.id).ok_or_else(|| {
            Problem::new(ProblemCode::Internal)
                .with_detail("the key that made the match code is gone; ask again")
        })
    }
}

fn by_policy(now: Timestamp) -> DecisionView {
    DecisionView {
        by: "policy".to_owned(),
        decision: Decision::Approve,
        at: now,
        reason: None,
    }
}

/// The same request by the same run.
fn exactly(approval: &ApprovalRecord) -> [u8; 32] {
    let mut digest = Parts::new("fnox request v1");
    digest.add(&approval.binding);
    digest.add(approval.project.as_bytes());
    digest.add(approval.profile.as_bytes());
    digest.add(approval.command_hash.as_bytes());
    digest.add(approval.command_display.as_bytes());
    digest.add(approval.reason.as_deref().unwrap_or_default().as_bytes());
    for item in &approval.items {
        digest.add(item.key.as_bytes());
        digest.add(&item.version.to_be_bytes());
        digest.add(item.ciphertext_sha256.as_bytes());
    }
    digest.finish()
}

/// Requester, keys and command: what a no is remembered for.
fn roughly(approval: &ApprovalRecord) -> [u8; 32] {
    let mut digest = Parts::new("fnox quiet request v1");
    digest.add(approval.requester.principal.as_bytes());
    digest.add(approval.project.as_bytes());
    digest.add(approval.profile.as_bytes());
    digest.add(approval.command_hash.as_bytes());
    let mut keys: Vec<&str> = approval
        .items
        .iter()
        .map(|item| item.key.as_str())
        .collect();
    keys.sort_unstable();
    for key in keys {
        digest.add(key.as_bytes());
    }
    digest.finish()
}

/// SHA-256 over parts, each preceded by its length.
pub(super) struct Parts(Sha256);

impl Parts {
    pub(super) fn new(label: &str) -> Self {
        let mut parts = Self(Sha256::new());
        parts.add(label.as_bytes());
        parts
    }

    pub(super) fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

pub(super) fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(now)
}

/// How often whoever waits looks again at most.
const RECHECK_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_mins(1);
const LISTED: u32 = 100;
