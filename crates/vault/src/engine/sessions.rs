//! Sessions: an orchestrator's bracket around the leases of one task, and what each tool may ask for within it.

use fnox_core::HostPattern;
use fnox_vault_wire::SessionId;
use fnox_vault_wire::methods::{
    CloseSession, OpenSession, RevocationReason, Role, SessionOpened, ToolBinding,
};

use super::audit::entry;
use super::request::later;
use super::tokens::{digest, random_token};
use super::{Asked, Engine};
use crate::error::VaultError;
use crate::identity::Identity;
use crate::lease_table::Moment;
use crate::store::{Change, Refusal, SessionRecord, StoreError};

/// The longest session, in seconds.
const LONGEST: u64 = 86_400;
/// Bounds of what one session may say.
const MAX_BINDINGS: usize = 256;
const MAX_WORD: usize = 256;
/// What a session's token begins with.
const PREFIX: &str = "fxvs_";

impl Engine {
    /// Opens a session.
    ///
    /// # Errors
    /// `OutOfRange`, `Invalid`; `Store`, `Audit`.
    pub async fn open_session(
        &self,
        identity: &Identity,
        params: OpenSession,
    ) -> Result<SessionOpened, VaultError> {
        check(&params)?;
        let now = self.now().wall;
        let expires_at = later(now, params.max_session_secs)?;
        let (token, hash) = random_token(PREFIX)?;
        let session = SessionRecord {
            id: SessionId::generate(),
            hash,
            user: params.user,
            channel: params.channel,
            owner: identity.peer,
            created_at: now,
            expires_at: identity
                .expires_at
                .map_or(expires_at, |end| end.min(expires_at)),
            max_concurrent_leases: params.max_concurrent_leases,
            max_renewals_per_lease: params.max_renewals_per_lease,
            tool_bindings: params.tool_bindings,
            closed: false,
        };
        let opened = SessionOpened {
            session_id: session.id,
            session_token: token,
            expires_at: session.expires_at,
        };
        let mut entry = entry("session_opened", identity);
        entry.reason = Some(format!(
            "session {} of {} in {}",
            session.id, session.user, session.channel
        ));
        let outcome = self
            .shared
            .stores
            .leases
            .commit(Change::OpenSession(session), self.entries(vec![entry]))
            .await;
        self.shared.troubles.watch(outcome)?;
        Ok(opened)
    }

    /// Closes a session and withdraws its leases; tells how many were live. One that is closed or over already is closed
    /// once more: whoever repeats it has what they want, and leases that an earlier try left are withdrawn.
    ///
    /// # Errors
    /// `SessionNotFound`, also for an orchestrator that asks for the session of another; `Store`, `Audit`.
    pub async fn close_session(
        &self,
        identity: &Identity,
        params: &CloseSession,
    ) -> Result<u64, VaultError> {
        let id = params.session_id;
        let mut entry = entry("session_closed", identity);
        entry.reason = Some(format!("session {id}"));
        let session = self.session_of(id).await?;
        let may = session
            .is_some_and(|session| identity.role == Role::Admin || session.owner == identity.peer);
        if !may {
            return self.deny(entry, VaultError::SessionNotFound).await;
        }
        let outcome = self
            .shared
            .stores
            .leases
            .commit(Change::CloseSession { id }, self.entries(vec![entry]))
            .await;
        match self.shared.troubles.watch(outcome) {
            Ok(_) => {}
            Err(StoreError::Refused(Refusal::Missing)) => return Err(VaultError::SessionNotFound),
            Err(error) => return Err(error.into()),
        }
        let revoked = super::audit::entry("lease_revoked", identity);
        self.withdraw_all(
            |lease| lease.session == Some(id),
            RevocationReason::SessionRevoked,
            &revoked,
        )
        .await
    }

    /// The session of a token, if it is live and lets this tool ask for this.
    pub(super) async fn session_for(
        &self,
        token: &str,
        asked: &Asked,
        now: Moment,
    ) -> Result<SessionRecord, VaultError> {
        let found = self
            .shared
            .stores
            .leases
            .session(&digest(token))
            .await
            .map_err(|error| self.failed(error))?;
        let session = live(found, now)?;
        let Some(tool) = &asked.tool else {
            return Err(VaultError::Denied(
                "within a session, tool_name says which tool asks".to_owned(),
            ));
        };
        if session
            .tool_bindings
            .iter()
            .any(|binding| allows(binding, tool, asked))
        {
            return Ok(session);
        }
        Err(VaultError::Denied(format!(
            "the session lets the tool `{tool}` have no secret `{}` for {}",
            asked.secret, asked.host
        )))
    }

    pub(super) async fn live_session(
        &self,
        id: SessionId,
        now: Moment,
    ) -> Result<SessionRecord, VaultError> {
        live(self.session_of(id).await?, now)
    }

    async fn session_of(&self, id: SessionId) -> Result<Option<SessionRecord>, VaultError> {
        let found = self.shared.stores.leases.session_by_id(id).await;
        found.map_err(|error| self.failed(error))
    }
}

fn live(session: Option<SessionRecord>, now: Moment) -> Result<SessionRecord, VaultError> {
    let session = session.ok_or(VaultError::SessionNotFound)?;
    if session.closed {
        return Err(VaultError::SessionClosed);
    }
    if now.wall >= session.expires_at {
        return Err(VaultError::SessionExpired);
    }
    Ok(session)
}

fn allows(binding: &ToolBinding, tool: &str, asked: &Asked) -> bool {
    binding.tool_name == tool
        && binding
            .allowed_secrets
            .iter()
            .any(|secret| secret == asked.secret.as_str())
        && binding
            .allowed_domains
            .iter()
            .filter_map(|domain| HostPattern::parse(domain).ok())
            .any(|pattern| pattern.matches(&asked.host))
}

fn check(params: &OpenSession) -> Result<(), VaultError> {
    if !(1..=LONGEST).contains(&params.max_session_secs) {
        return Err(VaultError::OutOfRange(format!(
            "max_session_secs must be between 1 and {LONGEST}"
        )));
    }
    if params.max_concurrent_leases == 0 {
        return Err(VaultError::OutOfRange(
            "max_concurrent_leases must be at least 1".to_owned(),
        ));
    }
    if params.tool_bindings.len() > MAX_BINDINGS {
        return Err(VaultError::Invalid(format!(
            "a session has at most {MAX_BINDINGS} tool bindings"
        )));
    }
    for word in [&params.user, &params.channel] {
        if word.len() > MAX_WORD || word.chars().any(char::is_control) {
            return Err(VaultError::Invalid(format!(
                "user and channel have at most {MAX_WORD} bytes and no control characters"
            )));
        }
    }
    for binding in &params.tool_bindings {
        for domain in &binding.allowed_domains {
            HostPattern::parse(domain)?;
        }
    }
    Ok(())
}
