//! Granting leases.

use std::sync::Arc;

use fnox_core::audit::Entry;
use fnox_core::credential::MintTerms;
use fnox_core::lease::LeaseState;
use fnox_core::{Host, VaultName};
use fnox_vault_wire::LeaseId;
use fnox_vault_wire::methods::{LeaseGrant, RequestLease};
use jiff::{SignedDuration, Timestamp};

use super::admission::Room;
use super::audit::{entry, lease_entry};
use super::{Asked, Engine};
use crate::error::VaultError;
use crate::identity::Identity;
use crate::lease::Lease;
use crate::lease_table::Moment;
use crate::policy::{Decision, Question, Rule, Terms};
use crate::store::{Caps, Change, Refusal, SessionRecord, StoreError};

impl Engine {
    /// Grants a lease, if the policy, the session and the limits allow it.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without a word on whether the secret exists; `LeaseCap`, `SessionCap`,
    /// `RateLimited`, `SecretNotFound`, `Session…`, `Invalid`; `Store` and `Audit` if it cannot be made durable.
    pub async fn request_lease(
        &self,
        identity: &Identity,
        params: &RequestLease,
    ) -> Result<LeaseGrant, VaultError> {
        let asked = Asked {
            agent: Self::agent_of(identity, &params.agent)?,
            secret: VaultName::parse(&params.secret_name)?,
            host: Host::parse(&params.domain)?,
            tool: params
                .tool_name
                .as_deref()
                .map(VaultName::parse)
                .transpose()?
                .map(|tool| Arc::from(tool.as_str())),
        };
        let wanted = Wanted::parse(params)?;
        let now = self.now();
        let denied = |event| asked.entry(event, identity);
        let session = match &params.session_token {
            None => None,
            Some(token) => match self.session_for(token.expose_secret(), &asked, now).await {
                Ok(session) => Some(session),
                Err(error) => return self.deny(denied("lease_denied"), error).await,
            },
        };
        let policy = self.policy();
        let (rule, terms) = match policy.decide(&asked.question(now.wall)) {
            Decision::Allowed { rule, terms } => (rule, terms),
            Decision::Denied { rule } => {
                let mut entry = denied("lease_denied");
                entry.rule = rule.map(|rule| rule.name().to_string());
                return self.deny(entry, asked.refusal(rule)).await;
            }
        };
        if !self.has_secret(&asked.secret).await? {
            let error = VaultError::SecretNotFound(asked.secret.to_string());
            return self.deny(denied("lease_denied"), error).await;
        }
        let mut lease = asked.lease(identity, (rule, terms), &wanted, session.as_ref(), now)?;
        if let Some(mint) = self.mint_terms(&asked.secret)
            && let Err(error) = fit_to_mint(&mut lease, mint)
        {
            return self.deny(denied("lease_denied"), error).await;
        }
        if let Err(too_fast) = self.shared.rates.check(&asked.agent, rule) {
            let error = VaultError::RateLimited {
                rule: rule.name().to_string(),
                problem: too_fast.to_string(),
            };
            return self.deny(denied("lease_denied"), error).await;
        }
        let caps = Caps {
            per_agent: self.shared.options.max_leases_per_agent,
            per_rule: terms.max_active,
            per_session: session
                .as_ref()
                .map(|session| session.max_concurrent_leases),
        };
        self.grant(identity, lease, caps).await
    }

    async fn grant(
        &self,
        identity: &Identity,
        lease: Lease,
        caps: Caps,
    ) -> Result<LeaseGrant, VaultError> {
        // In a shared store only the store knows how many there are.
        let limits_here = if self.shared.stores.leases.is_shared() {
            Caps {
                per_agent: u32::MAX,
                per_rule: None,
                per_session: None,
            }
        } else {
            caps
        };
        let mut reserved = self.table().reserve_room(&lease, limits_here);
        if reserved.is_err() {
            // Those whose time is over do not count.
            self.sweep().await;
            reserved = self.table().reserve_room(&lease, limits_here);
        }
        if let Err(refusal) = reserved {
            return self
                .deny(not_granted(identity, &lease), over_cap(&refusal))
                .await;
        }
        let grant = granted(&lease);
        let entries = self.entry_with(|| lease_entry("lease_granted", identity, &lease));
        let room = Room::reserved(self, lease.clone());
        let change = Change::Grant { lease, caps };
        let outcome = self.shared.stores.leases.commit(change, entries).await;
        match self.shared.troubles.watch(outcome) {
            Ok(_) => {
                room.admit();
                Ok(grant)
            }
            Err(StoreError::Refused(refusal)) => {
                let entry = not_granted(identity, room.lease());
                drop(room);
                self.deny(entry, over_cap(&refusal)).await
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Asked {
    pub(super) fn question(&self, now: Timestamp) -> Question<'_> {
        Question {
            agent: &self.agent,
            secret: &self.secret,
            host: &self.host,
            tool: self.tool.as_deref(),
            now,
        }
    }

    fn entry(&self, event: &str, identity: &Identity) -> Entry {
        let mut entry = entry(event, identity);
        entry.agent = Some(self.agent.to_string());
        entry.secret = Some(self.secret.to_string());
        entry.host = Some(self.host.to_string());
        entry
    }

    fn refusal(&self, rule: Option<&Rule>) -> VaultError {
        let Self {
            agent,
            secret,
            host,
            ..
        } = self;
        let why = match rule {
            Some(rule) => format!("{} denies", rule.name()),
            None => "no rule grants".to_owned(),
        };
        VaultError::Denied(format!(
            "{why} agent:{agent} the secret `{secret}` for {host}"
        ))
    }

    fn lease(
        &self,
        identity: &Identity,
        (rule, terms): (&Rule, &Terms),
        wanted: &Wanted,
        session: Option<&SessionRecord>,
        now: Moment,
    ) -> Result<Lease, VaultError> {
        let ttl = wanted
            .ttl_secs
            .unwrap_or_else(|| terms.ttl.as_secs())
            .min(terms.max_ttl.as_secs());
        let after = |seconds: u64| later(now.wall, seconds);
        // A lease outlives neither its session nor the token that asked for it.
        let bounds = [
            session.map(|session| session.expires_at),
            identity.expires_at,
        ];
        let ends_at = bounds
            .into_iter()
            .flatten()
            .fold(after(terms.max_lifetime.as_secs())?, Timestamp::min);
        let max_uses = match (wanted.max_uses, terms.max_uses) {
            (Some(wanted), Some(allowed)) => Some(wanted.min(allowed)),
            (wanted, allowed) => wanted.or(allowed),
        };
        Ok(Lease {
            id: LeaseId::generate(),
            agent: self.agent.clone(),
            peer: identity.peer,
            secret: self.secret.clone(),
            host: self.host.clone(),
            rule: rule.name(),
            tool: self.tool.clone(),
            issued_at: now.wall,
            expires_at: after(ttl)?.min(ends_at),
            ends_at,
            max_uses,
            uses: 0,
            renewable: terms.renewable,
            renewals: 0,
            session: session.map(|session| session.id),
            delivery: terms.delivery,
            state: LeaseState::Active,
            reason: None,
        })
    }
}

/// A lease is not longer than a credential can live, and not shorter if nobody could end the credential with it.
fn fit_to_mint(lease: &mut Lease, mint: &MintTerms) -> Result<(), VaultError> {
    let longest = later(lease.issued_at, mint.maximum.as_secs())?;
    lease.expires_at = lease.expires_at.min(longest);
    let shortest = later(lease.issued_at, mint.minimum.as_secs())?;
    if mint.is_withdrawable || lease.expires_at >= shortest {
        return Ok(());
    }
    let seconds = lease.expires_at.duration_since(lease.issued_at).as_secs();
    Err(VaultError::OutOfRange(format!(
        "the lease would be for {seconds} s, but the issuer of `{}` makes credentials for {} s at least and cannot \
         withdraw them: ask for a longer lease, or give the rule a longer `ttl`",
        mint.name,
        mint.minimum.as_secs()
    )))
}

/// What the caller asked for beyond the rule's own terms.
struct Wanted {
    ttl_secs: Option<u64>,
    max_uses: Option<u32>,
}

impl Wanted {
    fn parse(params: &RequestLease) -> Result<Self, VaultError> {
        if params.ttl_secs == Some(0) {
            return Err(VaultError::OutOfRange(
                "ttl_secs must be at least 1".to_owned(),
            ));
        }
        if params.max_uses == Some(0) {
            return Err(VaultError::OutOfRange(
                "max_uses must be at least 1".to_owned(),
            ));
        }
        Ok(Self {
            ttl_secs: params.ttl_secs,
            max_uses: params.max_uses,
        })
    }
}

/// A moment so many seconds after another.
pub(super) fn later(from: Timestamp, seconds: u64) -> Result<Timestamp, VaultError> {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| from.checked_add(SignedDuration::from_secs(seconds)).ok())
        .ok_or_else(|| VaultError::OutOfRange(format!("{seconds} seconds are beyond any calendar")))
}

/// A lease as its holder hears of it.
pub(super) fn granted(lease: &Lease) -> LeaseGrant {
    LeaseGrant {
        lease_id: lease.id,
        secret_name: lease.secret.to_string(),
        allowed_domains: vec![lease.host.to_string()],
        expires_at: lease.expires_at,
        renewable: lease.renewable,
        remaining_uses: lease.remaining_uses(),
        delivery: lease.delivery,
    }
}

/// A lease that there was no room for.
fn not_granted(identity: &Identity, lease: &Lease) -> Entry {
    let mut entry = lease_entry("lease_denied", identity, lease);
    entry.lease = None;
    entry
}

fn over_cap(refusal: &Refusal) -> VaultError {
    match *refusal {
        Refusal::Cap {
            what: Caps::OF_SESSION,
            limit,
        } => VaultError::SessionCap { limit },
        Refusal::Cap { what, limit } => VaultError::LeaseCap { what, limit },
        // The store knows of an end that this vault has not heard of yet.
        Refusal::NotLive(_) => VaultError::Denied(
            "the session or the token that this was asked with was withdrawn meanwhile".to_owned(),
        ),
        ref other => VaultError::Store(other.to_string()),
    }
}
