//! Leases, tokens and sessions: reading them. Changes go to the writer.

use std::fmt::Write as _;

use async_trait::async_trait;
use fnox_core::audit::Entry;
use fnox_core::{AgentId, VaultName};
use fnox_vault::Lease;
use fnox_vault::store::{
    Change, Foreign, LeaseStore, QuestionChange, QuestionRecord, SessionRecord, StoreError,
    TokenRecord,
};
use fnox_vault_wire::{ApprovalId, LeaseId, SessionId};
use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::PostgresStore;
use crate::audit::limited;
use crate::problem::Failure;
use crate::questions;
use crate::rows::{self, LEASE, Unreadable};
use crate::writer::Work;

const TOKEN: &str = "id, hash, agent, role, created_at, expires_at, max_uses, uses, peer, revoked";

const SESSION: &str = "id, hash, user_name, channel, owner, created_at, expires_at, max_concurrent_leases, \
     max_renewals_per_lease, tool_bindings, closed";

impl PostgresStore {
    async fn all<T>(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
        read: impl Fn(&Row) -> Result<T, Unreadable>,
    ) -> Result<Vec<T>, StoreError> {
        self.connections
            .query(sql, parameters)
            .await?
            .iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|unreadable| Failure::from(unreadable).of(self.connections.name()))
    }

    async fn first<T>(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
        read: impl Fn(&Row) -> Result<T, Unreadable>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.all(sql, parameters, read).await?.into_iter().next())
    }
}

#[async_trait]
impl LeaseStore for PostgresStore {
    fn is_shared(&self) -> bool {
        true
    }

    fn is_durable(&self) -> bool {
        true
    }

    async fn commit(&self, change: Change, entries: Vec<Entry>) -> Result<Vec<Lease>, StoreError> {
        let done = self
            .queue
            .write(Work::Change(Box::new(change)), entries)
            .await?;
        Ok(done.leases)
    }

    async fn live_leases(&self) -> Result<Vec<Lease>, StoreError> {
        let sql = format!("SELECT {LEASE} FROM fnox_vault.lease WHERE state = 'active'");
        self.all(&sql, &[], rows::lease).await
    }

    async fn lease(&self, id: LeaseId) -> Result<Option<Lease>, StoreError> {
        let sql = format!("SELECT {LEASE} FROM fnox_vault.lease WHERE id = $1");
        self.first(&sql, &[&id.0], rows::lease).await
    }

    async fn leases(
        &self,
        agent: Option<&AgentId>,
        secret: Option<&VaultName>,
        after: Option<LeaseId>,
        limit: usize,
    ) -> Result<Vec<Lease>, StoreError> {
        let agent = agent.map(AgentId::as_str);
        let secret = secret.map(VaultName::as_str);
        let after = after.map(|id| id.0);
        let mut sql = format!("SELECT {LEASE} FROM fnox_vault.lease WHERE true");
        let limit = limited(limit);
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&limit];
        let optional: [(&str, Option<&(dyn ToSql + Sync)>); 3] = [
            ("agent =", agent.as_ref().map(|agent| agent as _)),
            ("secret =", secret.as_ref().map(|secret| secret as _)),
            ("id >", after.as_ref().map(|after| after as _)),
        ];
        for (comparison, value) in optional {
            if let Some(value) = value {
                parameters.push(value);
                let _ = write!(sql, " AND {comparison} ${}", parameters.len());
            }
        }
        sql.push_str(" ORDER BY id LIMIT $1");
        self.all(&sql, &parameters, rows::lease).await
    }

    async fn token(&self, hash: &[u8; 32]) -> Result<Option<TokenRecord>, StoreError> {
        let sql = format!("SELECT {TOKEN} FROM fnox_vault.token WHERE hash = $1");
        self.first(&sql, &[&hash.as_slice()], rows::token).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        let sql = format!("SELECT {TOKEN} FROM fnox_vault.token ORDER BY created_at, id");
        self.all(&sql, &[], rows::token).await
    }

    async fn session(&self, hash: &[u8; 32]) -> Result<Option<SessionRecord>, StoreError> {
        let sql = format!("SELECT {SESSION} FROM fnox_vault.session WHERE hash = $1");
        self.first(&sql, &[&hash.as_slice()], rows::session).await
    }

    async fn session_by_id(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        let sql = format!("SELECT {SESSION} FROM fnox_vault.session WHERE id = $1");
        self.first(&sql, &[&id.0], rows::session).await
    }

    async fn sessions(&self) -> Result<Vec<SessionRecord>, StoreError> {
        let sql = format!("SELECT {SESSION} FROM fnox_vault.session WHERE NOT closed ORDER BY id");
        self.all(&sql, &[], rows::session).await
    }

    async fn forget(&self, before: Timestamp) -> Result<u64, StoreError> {
        let done = self.queue.write(Work::Forget(before), Vec::new()).await?;
        Ok(done.dropped)
    }

    async fn questions(&self, id: Option<ApprovalId>) -> Result<Vec<QuestionRecord>, StoreError> {
        let id = id.map(|id| id.0);
        self.all(questions::SELECT, &[&id], questions::read).await
    }

    async fn change_question(
        &self,
        change: QuestionChange,
        entries: Vec<Entry>,
    ) -> Result<(), StoreError> {
        let work = Work::Question(Box::new(change));
        self.queue.write(work, entries).await.map(drop)
    }

    fn foreign_changes(&self) -> Option<broadcast::Receiver<Foreign>> {
        Some(self.foreign.subscribe())
    }
}
