//! A database with requesters, secrets and approvals in it, made as the server makes them.

use std::sync::Arc;
use std::time::Duration;

use fnox_api::{ApprovalItem, ApprovalStatus, Ciphertext, Decision};
use fnox_core::audit::{Entry, Outcome, Record};
use fnox_core::{Token, TokenHash, TokenKind};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{Place, keys, verify};
use crate::settings::Preset;
use crate::store::{
    ApprovalRecord, AuditFilter, Condition, Database, GrantRecord, NewApproval, NewDecision,
    NewGrant, NewSecret, NewSession, Redeemed, Refusal, SecretPlace, SecretRecord, SessionRecord,
    Store, StoreError,
};
use crate::subject::{Claims, Subject};

/// A database under test, as one server or several see it.
#[derive(Debug, Clone)]
pub struct World {
    /// Every server's way to it.
    pub stores: Vec<Store>,
}

impl World {
    /// A new one, unlocked, with a second server where that is possible.
    pub async fn fresh(place: &dyn Place) -> Self {
        let database = place.fresh().await;
        let another = place.another(&database).await;
        Self::of(std::iter::once(database).chain(another)).await
    }

    /// These ways to one database, unlocked.
    pub async fn of(databases: impl IntoIterator<Item = Arc<dyn Database>>) -> Self {
        let mut stores = Vec::new();
        for database in databases {
            database.unlock(keys()).await.unwrap();
            stores.push(Store::new(database));
        }
        Self { stores }
    }

    /// The store of one server.
    #[must_use]
    pub fn store(&self, number: usize) -> &Store {
        &self.stores[number % self.stores.len()]
    }

    /// The database of the first server, given back: everything else is closed.
    #[must_use]
    pub fn into_database(mut self) -> Arc<dyn Database> {
        self.stores.truncate(1);
        Arc::clone(self.stores[0].database())
    }

    /// A session of one run of one job.
    pub async fn session(&self, run: u64) -> SessionRecord {
        let new = new_session(run);
        let session = new.session.clone();
        let opened = self.store(0).open_session(new, entry("login"));
        opened.await.unwrap();
        session
    }

    /// Stores a version of a secret.
    pub async fn put(&self, key: &str, content: &str) -> SecretRecord {
        let put = self
            .store(0)
            .put_secret(new_secret(key, content), entry("secret_stored"));
        put.await.unwrap()
    }

    /// Asks for a new approval.
    pub async fn ask(&self, new: NewApproval) -> Result<ApprovalRecord, Refusal> {
        let asked = self.store(0).ask(new, entry("approval_asked")).await;
        answer(asked).map(|asked| asked.approval)
    }

    /// Where an approval stands, by the stored word.
    pub async fn status(&self, id: Uuid) -> ApprovalStatus {
        self.store(0).approval(id).await.unwrap().unwrap().status
    }

    /// Decides.
    pub async fn decide(&self, id: Uuid, by: &str, decision: Decision) -> Result<bool, Refusal> {
        let new = new_decision(id, by, decision, moment(1));
        let decided = self.store(0).decide(new, entry("approval_decided")).await;
        answer(decided).map(|decided| decided.changed)
    }

    /// Exchanges an approval for a grant.
    pub async fn grant(
        &self,
        approval: Uuid,
        session: &SessionRecord,
    ) -> Result<TokenHash, Refusal> {
        let new = new_grant(approval, session, moment(2));
        let hash = new.grant.hash;
        let granted = self.store(0).grant(new, entry("grant_made")).await;
        answer(granted).map(|_| hash)
    }

    /// Uses a grant.
    pub async fn redeem(&self, number: usize, hash: TokenHash) -> Result<Redeemed, Refusal> {
        let redeemed = self.store(number).redeem(hash, moment(3), entry("fetched"));
        answer(redeemed.await)
    }

    /// An approval that nobody had to be asked for, and its grant.
    pub async fn granted(&self, session: &SessionRecord, secrets: &[SecretRecord]) -> TokenHash {
        let mut new = new_approval(session, secrets);
        new.approval.status = ApprovalStatus::Approved;
        let approval = self.ask(new).await.unwrap();
        self.grant(approval.id, session).await.unwrap()
    }

    /// Records of an event, oldest first.
    pub async fn records(&self, event: &str) -> Vec<Record> {
        let filter = AuditFilter {
            event: Some(event.to_owned()),
            ..AuditFilter::default()
        };
        let found = self.store(0).database().audit_query(&filter, 1_000_000);
        found.await.unwrap()
    }

    /// Checks the log, and tells how many records it has.
    pub async fn log_is_whole(&self) -> u64 {
        let report = verify(&**self.store(0).database(), &keys()).await;
        assert!(report.is_intact(), "{:?}", report.flaws);
        report.records
    }
}

/// What a store did, or why it refused; it must not fail.
pub fn answer<T>(result: Result<T, StoreError>) -> Result<T, Refusal> {
    if let Err(error) = &result {
        assert!(error.refusal().is_some(), "{error}");
    }
    result.map_err(|error| error.refusal().cloned().unwrap())
}

/// Some moment, to the nanosecond.
#[must_use]
pub fn moment(seconds: i64) -> Timestamp {
    let base = Timestamp::from_nanosecond(1_767_225_600_123_456_789).unwrap();
    base + SignedDuration::from_secs(seconds)
}

/// An entry that names only what happened.
#[must_use]
pub fn entry(event: &str) -> Entry {
    Entry::new(event, "test", Outcome::Ok)
}

/// One run of the job of a repository.
#[must_use]
pub fn subject(run: u64) -> Subject {
    let claims: Claims = [
        ("repository_id", "1296269".to_owned()),
        ("repository", "octo-org/hello".to_owned()),
        ("run_id", run.to_string()),
        ("run_attempt", "1".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.into()))
    .collect();
    Subject {
        issuer: "github".to_owned(),
        preset: Preset::Github,
        subject: "repo:octo-org/hello:ref:refs/heads/main".to_owned(),
        claims,
        roles: Vec::new(),
    }
}

/// A session to open.
#[must_use]
pub fn new_session(run: u64) -> NewSession {
    NewSession {
        session: SessionRecord {
            id: Uuid::now_v7(),
            hash: Token::generate(TokenKind::Session).unwrap().hash(),
            subject: subject(run),
            created_at: moment(0),
            expires_at: moment(900),
            ended: false,
        },
        replay: None,
        name: None,
        logins: [None, None, None],
        must_be_provisioned: false,
    }
}

/// Where a secret of the tests stands.
#[must_use]
pub fn secret_place(key: &str) -> SecretPlace {
    SecretPlace {
        project: "my-app".to_owned(),
        profile: "default".to_owned(),
        key: key.to_owned(),
    }
}

/// A version to store. It is no age file: databases never look inside.
#[must_use]
pub fn new_secret(key: &str, content: &str) -> NewSecret {
    NewSecret {
        place: secret_place(key),
        condition: Condition::Any,
        version: None,
        ciphertext: Ciphertext::stored(content.as_bytes().to_vec()),
        recipients: vec!["age1example".to_owned()],
        description: None,
        require_approval: None,
        now: moment(0),
        created_by: "test".to_owned(),
        keep: 10,
    }
}

/// A request for secrets, unlike every other one.
#[must_use]
pub fn new_approval(session: &SessionRecord, secrets: &[SecretRecord]) -> NewApproval {
    let id = Uuid::now_v7();
    let mut digest = [0; 32];
    digest[..16].copy_from_slice(id.as_bytes());
    NewApproval {
        approval: ApprovalRecord {
            id,
            status: ApprovalStatus::Pending,
            question: None,
            project: "my-app".to_owned(),
            profile: "default".to_owned(),
            items: secrets.iter().map(item).collect(),
            command_hash: "c0ffee".to_owned(),
            command_display: "npm publish".to_owned(),
            reason: None,
            requester: session.subject.requester(),
            binding: session.subject.binding(),
            session: session.id,
            address: Some("192.0.2.1".to_owned()),
            created_at: moment(0),
            expires_at: moment(600),
            approvals_needed: 1,
            approvers: Vec::new(),
            code_key: [7; 4],
            wrong_codes: 0,
            decisions: Vec::new(),
        },
        request: digest,
        quiet: digest,
        pending_limit: 100_000,
        quiet_time: Duration::from_mins(5),
        often: None,
    }
}

fn item(secret: &SecretRecord) -> ApprovalItem {
    ApprovalItem {
        key: secret.place.key.clone(),
        version: secret.version,
        ciphertext_sha256: hex::encode(secret.sha256),
        needs_approval: true,
        is_new: false,
    }
}

/// A decision to make; a yes lasts ten minutes from it.
#[must_use]
pub fn new_decision(approval: Uuid, by: &str, decision: Decision, now: Timestamp) -> NewDecision {
    NewDecision {
        approval,
        by: by.to_owned(),
        decision,
        reason: None,
        now,
        approved_until: now + SignedDuration::from_mins(10),
        lasting: 0,
        approvals_needed: None,
    }
}

/// A grant to make, for a minute.
#[must_use]
pub fn new_grant(approval: Uuid, session: &SessionRecord, now: Timestamp) -> NewGrant {
    NewGrant {
        approval,
        binding: session.subject.binding(),
        session: session.id,
        grant: GrantRecord {
            id: Uuid::now_v7(),
            hash: Token::generate(TokenKind::Grant).unwrap().hash(),
            expires_at: now + SignedDuration::from_mins(1),
        },
        now,
    }
}
