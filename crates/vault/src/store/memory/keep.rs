//! What is kept, and the changes of it.

use std::collections::BTreeMap;

use fnox_core::VaultName;
use fnox_core::audit::{Chain, ChainKeys, Entry, Head, Record};
use fnox_core::lease::LeaseState;
use fnox_core::seal::Algorithm;
use fnox_vault_wire::methods::AuditQuery;
use fnox_vault_wire::{LeaseId, SessionId, TokenId};
use jiff::Timestamp;

use super::{NAME, REMEMBERED, State};
use crate::lease::Lease;
use crate::store::moves::{self, Live, Withdrawn};
use crate::store::{Caps, Change, Described, Refusal, Resealed, StoreError, StoredSecret};

impl State {
    pub(super) fn newest(&self, name: &VaultName) -> Option<&StoredSecret> {
        self.secrets.get(name)?.last()
    }

    pub(super) fn insert(&mut self, secret: StoredSecret) -> Result<(), Refusal> {
        if self.secrets.contains_key(&secret.record.name) {
            return Err(Refusal::Exists);
        }
        self.must_be_active(&secret.key_id)?;
        self.secrets
            .insert(secret.record.name.clone(), vec![secret]);
        Ok(())
    }

    pub(super) fn add_version(&mut self, secret: StoredSecret, keep: u32) -> Result<(), Refusal> {
        let newest = self.newest(&secret.record.name).ok_or(Refusal::Missing)?;
        let follows = newest.record.id == secret.record.id
            && newest.record.version.checked_add(1) == Some(secret.record.version);
        if !follows {
            return Err(Refusal::Moved);
        }
        self.must_be_active(&secret.key_id)?;
        let name = secret.record.name.clone();
        let versions = self.secrets.entry(name.clone()).or_default();
        versions.push(secret);
        self.prune(Some(&name), keep);
        Ok(())
    }

    pub(super) fn describe_secret(
        &mut self,
        name: &VaultName,
        change: &Described,
    ) -> Result<(), Refusal> {
        let newest = self.secrets.get_mut(name).and_then(|it| it.last_mut());
        let record = &mut newest.ok_or(Refusal::Missing)?.record;
        if let Some(kind) = &change.kind {
            record.kind = kind.clone();
        }
        if let Some(description) = &change.description {
            record.description = Some(description.clone());
        }
        if let Some(tags) = &change.tags {
            record.tags.clone_from(tags);
        }
        record.updated_at = change.updated_at;
        Ok(())
    }

    pub(super) fn prune(&mut self, name: Option<&VaultName>, keep: u32) -> u64 {
        let mut dropped = 0;
        let keep = usize::try_from(keep.max(1)).unwrap_or(usize::MAX);
        for (_, versions) in self
            .secrets
            .iter_mut()
            .filter(|(candidate, _)| name.is_none_or(|name| *candidate == name))
        {
            let surplus = versions.len().saturating_sub(keep);
            versions.drain(..surplus);
            dropped += surplus as u64;
        }
        dropped
    }

    pub(super) fn sealed_otherwise(
        &self,
        key_id: &str,
        algorithm: Option<Algorithm>,
        limit: usize,
    ) -> Vec<StoredSecret> {
        self.secrets
            .values()
            .flatten()
            .filter(|secret| {
                secret.key_id != key_id
                    || algorithm.is_some_and(|algorithm| secret.record.algorithm != algorithm)
            })
            .take(limit)
            .cloned()
            .collect()
    }

    /// Whether the version still was what it should be, and is resealed now.
    pub(super) fn reseal(&mut self, item: Resealed) -> bool {
        let version = self.secrets.get_mut(&item.name).and_then(|versions| {
            versions.iter_mut().find(|secret| {
                secret.record.id == item.id
                    && secret.record.version == item.version
                    && secret.sealed.nonce == item.old_nonce
            })
        });
        let Some(version) = version else {
            return false;
        };
        version.key_id = item.key_id;
        version.record.algorithm = item.algorithm;
        version.sealed = item.sealed;
        true
    }

    pub(super) fn count_by_key(&self) -> Vec<(String, u64)> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for secret in self.secrets.values().flatten() {
            *counts.entry(&secret.key_id).or_default() += 1;
        }
        counts
            .into_iter()
            .map(|(key, count)| (key.to_owned(), count))
            .collect()
    }

    /// A new value must be sealed by the ring's active key. A store without a ring cannot judge.
    fn must_be_active(&self, key_id: &str) -> Result<(), Refusal> {
        match &self.ring {
            Some(ring) if ring.active_data_key() != Some(key_id) => Err(Refusal::StaleKey),
            _ => Ok(()),
        }
    }
}

impl State {
    /// Makes a change, or refuses it and changes nothing. Answers with the leases that it moved.
    pub(super) fn change(&mut self, change: Change) -> Result<Vec<Lease>, Refusal> {
        let moved = self.make(change)?;
        for lease in &moved {
            self.note(lease);
        }
        Ok(moved)
    }

    fn make(&mut self, change: Change) -> Result<Vec<Lease>, Refusal> {
        match change {
            Change::Grant { lease, caps } => {
                if self.leases.contains_key(&lease.id) {
                    return Err(Refusal::Exists);
                }
                moves::grant(self.beside(&lease, caps), caps, &lease)?;
                self.leases.insert(lease.id, lease.clone());
                Ok(vec![lease])
            }
            Change::Spend { id, now } => self.one(id, |lease| moves::spend(lease, now)),
            Change::Refund { id } => self.one(id, |lease| {
                moves::refund(lease);
                Ok(())
            }),
            Change::Renew {
                id,
                now,
                expires_at,
            } => self.one(id, |lease| moves::renew(lease, now, expires_at)),
            Change::Shorten { id, expires_at } => {
                Ok(self.many(&[id], |lease| moves::shorten(lease, expires_at)))
            }
            Change::Revoke { ids, reason } => Ok(self.many(&ids, |lease| {
                moves::revoke(lease, reason) == Withdrawn::Live
            })),
            Change::Expire { ids } => Ok(self.many(&ids, moves::expire)),
            other => self.change_of_access(other).map(|()| Vec::new()),
        }
    }

    /// The changes of tokens and sessions.
    fn change_of_access(&mut self, change: Change) -> Result<(), Refusal> {
        match change {
            Change::CreateToken(token) => {
                let is_taken = self
                    .tokens
                    .values()
                    .any(|other| other.id == token.id || other.hash == token.hash);
                if is_taken {
                    return Err(Refusal::Exists);
                }
                self.tokens.insert(token.id, token);
            }
            Change::UseToken { id, now } => {
                let token = self.tokens.get_mut(&id).ok_or(Refusal::NotLive(None))?;
                moves::use_token(token, now)?;
            }
            Change::RevokeToken { id } => {
                self.tokens.get_mut(&id).ok_or(Refusal::Missing)?.revoked = true;
            }
            Change::OpenSession(session) => {
                let is_taken = self
                    .sessions
                    .values()
                    .any(|other| other.id == session.id || other.hash == session.hash);
                if is_taken {
                    return Err(Refusal::Exists);
                }
                self.sessions.insert(session.id, session);
            }
            Change::CloseSession { id } => {
                self.sessions.get_mut(&id).ok_or(Refusal::Missing)?.closed = true;
            }
            // The other changes are those of leases.
            _ => {}
        }
        Ok(())
    }

    /// What lives beside a new lease, as far as it can matter: who has fewer leases than any limit, their time
    /// over or not, needs no closer look.
    fn beside(&self, lease: &Lease, caps: Caps) -> Live {
        let mut live = Live::default();
        if caps.per_session.is_some() && lease.session.is_some() {
            for other in self.leases.values() {
                live.count(other, lease);
            }
            return live;
        }
        let own = self.active.get(&lease.agent);
        let smallest = caps
            .per_rule
            .map_or(caps.per_agent, |limit| limit.min(caps.per_agent));
        if own.is_some_and(|own| own.len() as u64 >= u64::from(smallest)) {
            for other in own
                .into_iter()
                .flatten()
                .filter_map(|id| self.leases.get(id))
            {
                live.count(other, lease);
            }
        }
        live
    }

    /// Keeps the index of active leases true, and forgets all but the last of those that are over.
    fn note(&mut self, lease: &Lease) {
        let is_active = self
            .leases
            .get(&lease.id)
            .is_some_and(|lease| lease.state == LeaseState::Active);
        if is_active {
            self.active
                .entry(lease.agent.clone())
                .or_default()
                .insert(lease.id);
            return;
        }
        if let Some(own) = self.active.get_mut(&lease.agent) {
            own.remove(&lease.id);
            if own.is_empty() {
                self.active.remove(&lease.agent);
            }
        }
        self.over.push_back(lease.id);
        while self.over.len() > REMEMBERED {
            if let Some(oldest) = self.over.pop_front()
                && self
                    .leases
                    .get(&oldest)
                    .is_some_and(|lease| lease.state != LeaseState::Active)
            {
                self.leases.remove(&oldest);
            }
        }
    }

    fn one(
        &mut self,
        id: LeaseId,
        change: impl FnOnce(&mut Lease) -> Result<(), Refusal>,
    ) -> Result<Vec<Lease>, Refusal> {
        let lease = self.leases.get_mut(&id).ok_or(Refusal::NotLive(None))?;
        change(lease)?;
        Ok(vec![lease.clone()])
    }

    fn many(&mut self, ids: &[LeaseId], mut change: impl FnMut(&mut Lease) -> bool) -> Vec<Lease> {
        let mut moved = Vec::new();
        for id in ids {
            if let Some(lease) = self.leases.get_mut(id)
                && change(lease)
            {
                moved.push(lease.clone());
            }
        }
        moved
    }

    pub(super) fn live_leases(&self) -> Vec<Lease> {
        self.leases
            .values()
            .filter(|lease| lease.state == LeaseState::Active)
            .cloned()
            .collect()
    }

    pub(super) fn forget(&mut self, before: Timestamp) -> u64 {
        let count = self.leases.len() + self.tokens.len() + self.sessions.len();
        self.leases
            .retain(|_, lease| lease.state == LeaseState::Active || lease.expires_at >= before);
        self.tokens.retain(|_, token| token.expires_at >= before);
        self.sessions
            .retain(|_, session| session.expires_at >= before);
        (count - self.leases.len() - self.tokens.len() - self.sessions.len()) as u64
    }
}

impl State {
    pub(super) fn unlock(&mut self, keys: &ChainKeys) -> Result<(), StoreError> {
        self.chain = Some(match self.head() {
            None => Chain::empty(keys.current().clone()),
            Some(head) => Chain::resume(keys, &head).map_err(|forged| StoreError::Corrupt {
                store: NAME.to_owned(),
                problem: forged.to_string(),
            })?,
        });
        Ok(())
    }

    pub(super) fn must_be_unlocked(&self, entries: &[Entry]) -> Result<(), StoreError> {
        if entries.is_empty() || self.chain.is_some() {
            return Ok(());
        }
        Err(StoreError::Unavailable {
            store: NAME.to_owned(),
            problem: "the audit log's key is not loaded yet".to_owned(),
        })
    }

    pub(super) fn record(&mut self, entries: Vec<Entry>, now: Timestamp) {
        if let Some(chain) = &mut self.chain {
            self.records
                .extend(entries.into_iter().map(|entry| chain.append(entry, now)));
        }
    }

    pub(super) fn head(&self) -> Option<Head> {
        let chain = self.chain.as_ref()?;
        (!self.records.is_empty()).then(|| chain.head())
    }

    pub(super) fn query(&self, query: &AuditQuery, limit: usize) -> Vec<Record> {
        let fits = |record: &&Record| fits(record, query);
        let records = self.records.iter();
        if query.newest_first {
            records.rev().filter(fits).take(limit).cloned().collect()
        } else {
            records.filter(fits).take(limit).cloned().collect()
        }
    }
}

fn fits(record: &Record, query: &AuditQuery) -> bool {
    fn same<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
        wanted.is_none() || wanted == found
    }
    let entry = &record.entry;
    let lease = query.lease.map(|lease| lease.0);
    let begins = query.from_sequence.is_none_or(|from| {
        if query.newest_first {
            record.sequence < from
        } else {
            record.sequence > from
        }
    });
    begins
        && same(query.agent.as_ref(), entry.agent.as_ref())
        && same(query.secret.as_ref(), entry.secret.as_ref())
        && same(lease.as_ref(), entry.lease.as_ref())
        && same(query.event.as_ref(), Some(&entry.event))
        && same(query.outcome.as_ref(), Some(&entry.outcome))
        && query.since.is_none_or(|since| record.time >= since)
        && query.until.is_none_or(|until| record.time < until)
}

/// How to take back a change that gave somebody a right and could not be recorded.
#[derive(Clone, Copy)]
pub(super) enum Undo {
    Nothing,
    Grant,
    Spend,
    Renew,
    Refund,
    Token(TokenId),
    Session(SessionId),
}

impl Undo {
    pub(super) fn of(change: &Change) -> Self {
        match change {
            Change::Grant { .. } => Self::Grant,
            Change::Spend { .. } => Self::Spend,
            Change::Renew { .. } => Self::Renew,
            Change::Refund { .. } => Self::Refund,
            Change::CreateToken(token) => Self::Token(token.id),
            Change::OpenSession(session) => Self::Session(session.id),
            _ => Self::Nothing,
        }
    }

    /// What is taken back once the record ended so. A use that may be on record is spent.
    pub(super) fn after(self, error: &StoreError) -> Self {
        match (self, error) {
            (Self::Spend, StoreError::NotWritten { .. }) => Self::Spend,
            (Self::Spend, _) => Self::Nothing,
            (undo, _) => undo,
        }
    }

    /// Whether everything is afterwards as it was.
    pub(super) fn is_whole(&self) -> bool {
        matches!(
            self,
            Self::Grant | Self::Spend | Self::Token(_) | Self::Session(_)
        )
    }
}

impl State {
    pub(super) fn undo(&mut self, undo: Undo, moved: &[Lease]) {
        self.take_back(undo, moved);
        for lease in moved {
            self.note(lease);
        }
    }

    fn take_back(&mut self, undo: Undo, moved: &[Lease]) {
        match undo {
            Undo::Nothing => {}
            Undo::Grant => {
                for lease in moved {
                    self.leases.remove(&lease.id);
                }
            }
            Undo::Spend => {
                for lease in moved {
                    if let Some(lease) = self.leases.get_mut(&lease.id) {
                        moves::refund(lease);
                    }
                }
            }
            // The old expiry is not known any more and other changes may have followed: the worse for
            // whoever wanted the right is that the lease ends.
            Undo::Renew => {
                for lease in moved {
                    if let Some(lease) = self.leases.get_mut(&lease.id) {
                        moves::expire(lease);
                    }
                }
            }
            Undo::Refund => {
                for lease in moved {
                    if let Some(lease) = self.leases.get_mut(&lease.id) {
                        lease.uses = lease.uses.saturating_add(1);
                        if lease.state == LeaseState::Active && lease.remaining_uses() == Some(0) {
                            lease.state = LeaseState::Exhausted;
                        }
                    }
                }
            }
            Undo::Token(id) => {
                self.tokens.remove(&id);
            }
            Undo::Session(id) => {
                self.sessions.remove(&id);
            }
        }
    }
}
