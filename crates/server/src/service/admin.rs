//! Emergencies and the audit log.

use fnox_api::{AuditPage, LoginOptions, Problem, ProblemCode, Role, ServerState};

use super::{Caller, Service, names};
use crate::store::{AuditFilter, Ended};

impl Service {
    /// Stops releasing anything, or starts again.
    pub(crate) async fn set_frozen(
        &self,
        caller: &Caller,
        frozen: bool,
    ) -> Result<ServerState, Problem> {
        caller.must_be(&[Role::Admin])?;
        let entry = caller.entry(if frozen {
            "server_frozen"
        } else {
            "server_unfrozen"
        });
        self.stored(self.store().set_frozen(frozen, entry).await)?;
        tracing::warn!(principal = %caller.session.subject.principal(), frozen, "an administrator froze or unfroze");
        Ok(state(frozen, Ended::default()))
    }

    /// Ends all sessions but the caller's, all approvals and all grants.
    pub(crate) async fn revoke_all(&self, caller: &Caller) -> Result<ServerState, Problem> {
        caller.must_be(&[Role::Admin])?;
        let entry = caller.entry("everything_revoked");
        let revoked = self
            .store()
            .revoke_all(Some(caller.session.id), self.now(), entry)
            .await;
        let ended = self.stored(revoked)?;
        let frozen = self.stored(self.store().frozen().await)?;
        Ok(state(frozen, ended))
    }

    /// Whether anything is released at the moment.
    pub(crate) async fn state(&self, caller: &Caller) -> Result<ServerState, Problem> {
        caller.must_be(&[Role::Admin])?;
        let frozen = self.stored(self.store().frozen().await)?;
        Ok(state(frozen, Ended::default()))
    }

    /// Lets a name belong to another id.
    pub(crate) async fn forget_name(
        &self,
        caller: &Caller,
        issuer: &str,
        name: &str,
    ) -> Result<(), Problem> {
        caller.must_be(&[Role::Admin])?;
        let mut entry = caller.entry("name_forgotten");
        entry.agent = Some(format!("{issuer}:{name}"));
        let forgotten = self
            .store()
            .forget_name(issuer.to_owned(), name.to_owned(), entry)
            .await;
        self.stored(forgotten)
    }

    /// A page of the audit log.
    pub(crate) async fn audit(
        &self,
        caller: &Caller,
        filter: AuditFilter,
        limit: Option<u32>,
    ) -> Result<AuditPage, Problem> {
        caller.must_be(&[Role::Admin])?;
        let limit = limit.unwrap_or(AUDIT_PAGE);
        if !(1..=AUDIT_PAGE).contains(&limit) {
            return Err(names::invalid(
                "limit",
                &format!("it must be between 1 and {AUDIT_PAGE}"),
            ));
        }
        let found = self
            .store()
            .database()
            .audit_query(&filter, limit as usize)
            .await;
        let records = self.stored(found)?;
        let next = records
            .last()
            .filter(|_| records.len() == limit as usize)
            .map(|last| last.sequence);
        Ok(AuditPage { records, next })
    }

    /// How people log in.
    pub(crate) fn login_options(&self) -> Result<LoginOptions, Problem> {
        let settings = self.settings();
        let login = settings.login.as_ref().ok_or_else(|| {
            Problem::new(ProblemCode::NotFound).with_detail(
                "people cannot log in here, since the server's configuration has no `[login]`",
            )
        })?;
        let issuer = settings
            .issuers
            .iter()
            .find(|issuer| issuer.name == login.issuer)
            .ok_or_else(|| Problem::new(ProblemCode::Internal))?;
        Ok(LoginOptions {
            issuer: issuer.url.clone(),
            client_id: login.client_id.clone(),
            scopes: login.scopes.clone(),
        })
    }
}

fn state(frozen: bool, ended: Ended) -> ServerState {
    ServerState {
        frozen,
        sessions_ended: ended.sessions,
        approvals_cancelled: ended.approvals,
    }
}

const AUDIT_PAGE: u32 = 500;
