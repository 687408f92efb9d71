//! The calls of `/v1`, one method each.

use std::time::Duration;

use fnox_core::SecretString;
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header;
use uuid::Uuid;

use super::ClientError;
use super::transport::{ApiClient, Call};
use crate::{
    Approval, ApprovalCreated, ApprovalList, ApprovalStatus, AuditPage, CheckRequest, Checks,
    CreateApproval, CreateGrant, CreateToken, Decide, Fetched, GrantCreated, Health, LoginOptions,
    PutSecret, Role, SecretList, SecretView, ServerState, SessionCreated, SessionView,
    TokenCreated, TokenList, VersionList,
};

/// A session, its token still secret.
#[derive(Debug, Clone)]
pub struct OpenedSession {
    /// The bearer of everything else.
    pub token: SecretString,
    /// When it ends, at the latest.
    pub expires_at: Timestamp,
    /// Who the server takes the caller for.
    pub principal: String,
    /// What the caller may do, if it is a person.
    pub roles: Vec<Role>,
}

/// The right to fetch once.
#[derive(Debug, Clone)]
pub struct OpenedGrant {
    /// The bearer of one fetch.
    pub token: SecretString,
    /// When it ends, used or not.
    pub expires_at: Timestamp,
}

/// A token of the server's own, still secret.
#[derive(Debug, Clone)]
pub struct IssuedToken {
    /// By what it is ended.
    pub id: Uuid,
    /// It.
    pub token: SecretString,
    /// When it ends, at the latest.
    pub expires_at: Timestamp,
}

/// What a change expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// Whatever there is.
    #[default]
    Any,
    /// Nothing.
    Absent,
    /// This version as the newest one.
    Version(u64),
}

/// Which part of the audit log.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Only records with a higher number; with [`Self::newest_first`], with a lower one.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: Option<u32>,
    /// Only this event.
    pub event: Option<String>,
    /// Only what this actor did.
    pub actor: Option<String>,
    /// Only what was about this project.
    pub project: Option<String>,
    /// Only what was about this approval.
    pub approval: Option<Uuid>,
    /// Only this outcome.
    pub outcome: Option<String>,
    /// Only from this moment on.
    pub since: Option<Timestamp>,
    /// Only until this moment.
    pub until: Option<Timestamp>,
    /// The newest record first.
    pub newest_first: bool,
}

impl ApiClient {
    /// Opens a session with an OIDC token. Each token opens one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn open_session(
        &self,
        oidc_token: &SecretString,
    ) -> Result<OpenedSession, ClientError> {
        let call = self.call(Method::POST, &["v1", "sessions"]);
        let created: SessionCreated = call.bearer(oidc_token).read().await?;
        Ok(OpenedSession {
            token: SecretString::new(created.token),
            expires_at: created.expires_at,
            principal: created.principal,
            roles: created.roles,
        })
    }

    /// Ends the session of this client.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn end_session(&self) -> Result<(), ClientError> {
        let path = ["v1", "sessions", "current"];
        self.call(Method::DELETE, &path).finish().await
    }

    /// Who the server takes this client for.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn current_session(&self) -> Result<SessionView, ClientError> {
        let path = ["v1", "sessions", "current"];
        self.call(Method::GET, &path).read().await
    }

    /// Stores a secret's next version. The answer has its number.
    ///
    /// # Errors
    /// [`ClientError`]; a problem `version_mismatch` if the condition does not hold.
    pub async fn put_secret(
        &self,
        project: &str,
        key: &str,
        secret: &PutSecret,
        condition: Condition,
    ) -> Result<SecretView, ClientError> {
        let path = ["v1", "projects", project, "secrets", key];
        let call = self.call(Method::PUT, &path).json(secret)?;
        conditional(call, condition).read().await
    }

    /// A secret's newest version; with its age file for administrators.
    ///
    /// # Errors
    /// [`ClientError`]; a problem `not_found` if there is none, or none for this caller.
    pub async fn secret(
        &self,
        project: &str,
        profile: Option<&str>,
        key: &str,
    ) -> Result<SecretView, ClientError> {
        let path = ["v1", "projects", project, "secrets", key];
        let call = self.call(Method::GET, &path);
        call.query("profile", profile).read().await
    }

    /// All secrets of a project that the caller may know of: every page.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn secrets(
        &self,
        project: &str,
        profile: Option<&str>,
    ) -> Result<Vec<SecretView>, ClientError> {
        let path = ["v1", "projects", project, "secrets"];
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page: SecretList = self
                .call(Method::GET, &path)
                .query("profile", profile)
                .query("after", after.as_deref())
                .read()
                .await?;
            all.extend(page.secrets);
            // A server that sends the same page for ever is not read for ever.
            if page.next.is_none() || page.next == after || all.len() > MOST_SECRETS {
                return Ok(all);
            }
            after = page.next;
        }
    }

    /// All kept versions of a secret, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn versions(
        &self,
        project: &str,
        profile: Option<&str>,
        key: &str,
    ) -> Result<Vec<SecretView>, ClientError> {
        let path = ["v1", "projects", project, "secrets", key, "versions"];
        let call = self.call(Method::GET, &path).query("profile", profile);
        Ok(call.read::<VersionList>().await?.versions)
    }

    /// Deletes all versions of a secret.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete_secret(
        &self,
        project: &str,
        profile: Option<&str>,
        key: &str,
        condition: Condition,
    ) -> Result<(), ClientError> {
        let path = ["v1", "projects", project, "secrets", key];
        let call = self.call(Method::DELETE, &path).query("profile", profile);
        conditional(call, condition).finish().await
    }

    /// What a request would be asked, without asking anybody.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn check(&self, request: &CheckRequest) -> Result<Checks, ClientError> {
        let call = self.call(Method::POST, &["v1", "checks"]);
        call.json(request)?.read().await
    }

    /// Asks for an approval. The same request that is pending already is not asked twice.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_approval(
        &self,
        request: &CreateApproval,
    ) -> Result<ApprovalCreated, ClientError> {
        let call = self.call(Method::POST, &["v1", "approvals"]);
        call.json(request)?.read().await
    }

    /// Where an approval stands. With a wait, the answer comes when it is no longer pending, or after that time.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn approval(
        &self,
        id: Uuid,
        wait: Option<Duration>,
    ) -> Result<Approval, ClientError> {
        let id = id.to_string();
        let seconds = wait.map(|wait| wait.as_secs().min(LONGEST_POLL));
        let text = seconds.map(|seconds| seconds.to_string());
        self.call(Method::GET, &["v1", "approvals", &id])
            .query("wait", text.as_deref())
            .waiting(Duration::from_secs(seconds.unwrap_or(0)))
            .read()
            .await
    }

    /// Approvals, newest first: for those who decide. Without a status, the newest of any.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn approvals(
        &self,
        status: Option<ApprovalStatus>,
    ) -> Result<Vec<Approval>, ClientError> {
        // The server tells those that are pending apart from the others, and no more.
        let which = match status {
            Some(ApprovalStatus::Pending) => "pending",
            _ => "all",
        };
        let call = self
            .call(Method::GET, &["v1", "approvals"])
            .query("status", Some(which));
        let mut approvals = call.read::<ApprovalList>().await?.approvals;
        approvals.retain(|approval| status.is_none_or(|status| approval.status == status));
        Ok(approvals)
    }

    /// Takes a request for approval back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cancel(&self, id: Uuid) -> Result<(), ClientError> {
        let id = id.to_string();
        let path = ["v1", "approvals", &id];
        self.call(Method::DELETE, &path).finish().await
    }

    /// Decides about an approval, as somebody who may.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn decide(&self, id: Uuid, decision: &Decide) -> Result<Approval, ClientError> {
        let id = id.to_string();
        let path = ["v1", "approvals", &id, "decision"];
        self.call(Method::POST, &path).json(decision)?.read().await
    }

    /// Exchanges an approval for a grant, once.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_grant(&self, request: &CreateGrant) -> Result<OpenedGrant, ClientError> {
        let call = self.call(Method::POST, &["v1", "grants"]).json(request)?;
        let created: GrantCreated = call.read().await?;
        Ok(OpenedGrant {
            token: SecretString::new(created.grant_token),
            expires_at: created.expires_at,
        })
    }

    /// Uses a grant up: the age files of all keys of its approval.
    ///
    /// # Errors
    /// [`ClientError`]; a problem `grant_used` at the second time.
    pub async fn fetch(&self, grant: &SecretString) -> Result<Fetched, ClientError> {
        let call = self.call(Method::POST, &["v1", "fetch"]);
        call.bearer(grant).read().await
    }

    /// One page of the audit log, for administrators.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn audit(&self, query: &AuditQuery) -> Result<AuditPage, ClientError> {
        fn text<T: ToString>(value: Option<T>) -> Option<String> {
            value.map(|value| value.to_string())
        }
        self.call(Method::GET, &["v1", "audit"])
            .query("after", text(query.after).as_deref())
            .query("limit", text(query.limit).as_deref())
            .query("event", query.event.as_deref())
            .query("actor", query.actor.as_deref())
            .query("project", query.project.as_deref())
            .query("approval", text(query.approval).as_deref())
            .query("outcome", query.outcome.as_deref())
            .query("since", text(query.since).as_deref())
            .query("until", text(query.until).as_deref())
            .query("newest_first", query.newest_first.then_some("true"))
            .read()
            .await
    }

    /// Whether the server is frozen, for administrators.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn state(&self) -> Result<ServerState, ClientError> {
        let path = ["v1", "admin", "state"];
        self.call(Method::GET, &path).read().await
    }

    /// Stops all releases.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn freeze(&self) -> Result<ServerState, ClientError> {
        self.administer("freeze").await
    }

    /// Allows releases again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn unfreeze(&self) -> Result<ServerState, ClientError> {
        self.administer("unfreeze").await
    }

    /// Ends all sessions and cancels all approvals.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_all(&self) -> Result<ServerState, ClientError> {
        self.administer("revoke-all").await
    }

    /// Makes a token of the server's own, as an administrator.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_token(&self, wanted: &CreateToken) -> Result<IssuedToken, ClientError> {
        let call = self.call(Method::POST, &["v1", "admin", "tokens"]);
        let created: TokenCreated = call.json(wanted)?.read().await?;
        Ok(IssuedToken {
            id: created.id,
            token: SecretString::new(created.token),
            expires_at: created.expires_at,
        })
    }

    /// The tokens of the server's own that are good at the moment.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tokens(&self) -> Result<TokenList, ClientError> {
        let path = ["v1", "admin", "tokens"];
        self.call(Method::GET, &path).read().await
    }

    /// Ends one of them at once.
    ///
    /// # Errors
    /// [`ClientError`]; a problem `not_found` if there is none.
    pub async fn end_token(&self, id: Uuid) -> Result<(), ClientError> {
        let id = id.to_string();
        let path = ["v1", "admin", "tokens", &id];
        self.call(Method::DELETE, &path).finish().await
    }

    /// How people log in.
    ///
    /// # Errors
    /// [`ClientError`]; a problem `not_found` if people cannot.
    pub async fn login_options(&self) -> Result<LoginOptions, ClientError> {
        self.call(Method::GET, &["v1", "login"]).read().await
    }

    /// Whether the server works.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.call(Method::GET, &["healthz"]).read().await
    }

    async fn administer(&self, what: &str) -> Result<ServerState, ClientError> {
        let path = ["v1", "admin", what];
        self.call(Method::POST, &path).read().await
    }
}

fn conditional(call: Call<'_>, condition: Condition) -> Call<'_> {
    match condition {
        Condition::Any => call,
        Condition::Absent => call.header(header::IF_NONE_MATCH, "*"),
        Condition::Version(version) => call.header(header::IF_MATCH, &format!("\"{version}\"")),
    }
}

/// Seconds: what servers and proxies bear.
pub(super) const LONGEST_POLL: u64 = 30;
const MOST_SECRETS: usize = 100_000;
