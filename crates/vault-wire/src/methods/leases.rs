//! Leases.

use fnox_core::SecretString;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, Method};
use crate::ids::{LeaseId, SessionId, TokenId};
use crate::value::SecretValue;

/// Parameters of `request_lease`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestLease {
    /// For whom. An agent always asks for itself, whatever stands here.
    pub agent: String,
    /// Which secret.
    pub secret_name: String,
    /// For which host, for example `api.github.com` or `db.internal:5432`. Never a pattern.
    pub domain: String,
    /// How many seconds are wanted; the rule's `ttl` if absent. The rule's `max_ttl` is the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_secs: Option<u64>,
    /// How many uses are wanted; the rule's `max_uses` is the default and the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
    /// The session it belongs to, as `open_session` answered.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::value::secret_text"
    )]
    #[schemars(with = "Option<String>")]
    pub session_token: Option<SecretString>,
    /// The tool that will use it; a rule or a session may allow only some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_name: Option<String>,
}

impl RequestLease {
    /// A request with the rule's own terms.
    #[must_use]
    pub fn new(agent: &str, secret_name: &str, domain: &str) -> Self {
        Self {
            agent: agent.to_owned(),
            secret_name: secret_name.to_owned(),
            domain: domain.to_owned(),
            ttl_secs: None,
            max_uses: None,
            session_token: None,
            tool_name: None,
        }
    }
}

impl Call for RequestLease {
    const METHOD: Method = Method::RequestLease;
    type Result = LeaseGrant;
}

/// How a value reaches whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// The holder receives the value.
    Value,
    /// Only a gateway uses the value, on the holder's behalf.
    Inject,
}

/// A lease as it was granted or renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaseGrant {
    /// The handle.
    pub lease_id: LeaseId,
    /// The secret.
    pub secret_name: String,
    /// The one host that was asked for.
    pub allowed_domains: Vec<String>,
    /// When it ends.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
    /// Whether `renew_lease` may move that.
    pub renewable: bool,
    /// How often it can still be used; absent means without limit.
    pub remaining_uses: Option<u32>,
    /// How the value is delivered.
    #[serde(default = "by_value")]
    pub delivery: Delivery,
}

fn by_value() -> Delivery {
    Delivery::Value
}

/// Parameters of `access_secret`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessSecret {
    /// The lease.
    pub lease_id: LeaseId,
    /// Where the value will be used. Must be the lease's host.
    pub target_domain: String,
    /// For a credential of several variables: the one whose value is wanted, in the place of all as a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
}

impl AccessSecret {
    /// One use, where the lease allows it.
    #[must_use]
    pub fn new(lease_id: LeaseId, target_domain: impl Into<String>) -> Self {
        Self {
            lease_id,
            target_domain: target_domain.into(),
            variable: None,
        }
    }
}

impl Call for AccessSecret {
    const METHOD: Method = Method::AccessSecret;
    type Result = Accessed;
}

/// The value.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Accessed {
    /// The secret's bytes.
    pub secret: SecretValue,
}

/// Why a lease was withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RevocationReason {
    /// Its time was over.
    Expired,
    /// Somebody withdrew it.
    AdminRevoked,
    /// The secret was deleted.
    SecretDeleted,
    /// Its uses were spent.
    UseLimitReached,
    /// The vault ended.
    VaultShutdown,
    /// Its session ended.
    SessionRevoked,
    /// Its holder gave it back.
    Released,
    /// The policy no longer grants it.
    PolicyChanged,
    /// The token that asked for it was withdrawn.
    TokenRevoked,
    /// The store was restored from a backup.
    Restored,
}

impl RevocationReason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::Expired,
        Self::AdminRevoked,
        Self::SecretDeleted,
        Self::UseLimitReached,
        Self::VaultShutdown,
        Self::SessionRevoked,
        Self::Released,
        Self::PolicyChanged,
        Self::TokenRevoked,
        Self::Restored,
    ];

    /// The word that is stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "Expired",
            Self::AdminRevoked => "AdminRevoked",
            Self::SecretDeleted => "SecretDeleted",
            Self::UseLimitReached => "UseLimitReached",
            Self::VaultShutdown => "VaultShutdown",
            Self::SessionRevoked => "SessionRevoked",
            Self::Released => "Released",
            Self::PolicyChanged => "PolicyChanged",
            Self::TokenRevoked => "TokenRevoked",
            Self::Restored => "Restored",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// Parameters of `revoke_lease`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeLease {
    /// The lease.
    pub lease_id: LeaseId,
    /// Why, in the caller's words; only an administrator's word is kept as the reason.
    pub reason: RevocationReason,
}

impl Call for RevokeLease {
    const METHOD: Method = Method::RevokeLease;
    type Result = Done;
}

/// An empty result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {}

/// Parameters of `revoke_all_for_agent`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeAllForAgent {
    /// Whose. An agent always means itself.
    pub agent: String,
}

impl Call for RevokeAllForAgent {
    const METHOD: Method = Method::RevokeAllForAgent;
    type Result = RevokedCount;
}

/// How many leases were withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevokedCount {
    /// Only those that were live.
    pub revoked_count: u64,
}

/// Parameters of `revoke_leases`: all leases that fit every key that is given. At least one key, or `all`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeLeases {
    /// Leases of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Leases of this secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Leases that this token asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<TokenId>,
    /// Leases of this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// Every lease that the caller may withdraw.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

impl Call for RevokeLeases {
    const METHOD: Method = Method::RevokeLeases;
    type Result = RevokedCount;
}

/// Parameters of `renew_lease`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewLease {
    /// The lease.
    pub lease_id: LeaseId,
    /// How long it shall live from now: 1 to 86 400 seconds. The rule may give less; an expiry never moves
    /// backwards.
    pub extension_secs: i64,
}

impl Call for RenewLease {
    const METHOD: Method = Method::RenewLease;
    type Result = LeaseGrant;
}

/// Where a lease is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LeaseStatus {
    /// It can be used.
    Active,
    /// Its time is over.
    Expired,
    /// Its uses are spent.
    Exhausted,
    /// It was withdrawn.
    Revoked,
}

/// Parameters of `list_leases`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListLeases {
    /// Only those of this agent. An agent sees only its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Only those of this secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Also those that are over, as long as the vault remembers them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Go on after this lease, as `next` said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<LeaseId>,
    /// At most so many; 500 if absent, 1000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl Call for ListLeases {
    const METHOD: Method = Method::ListLeases;
    type Result = LeaseList;
}

/// A page of leases, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaseList {
    /// The leases.
    pub leases: Vec<LeaseInfo>,
    /// Ask again with `after` set to this; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<LeaseId>,
}

/// A lease as it stands. Knowing it gives no right to use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaseInfo {
    /// The handle.
    pub lease_id: LeaseId,
    /// For whom.
    pub agent: String,
    /// Who asked, for example `uid:1000` or `token:ID`.
    pub peer: String,
    /// The secret.
    pub secret_name: String,
    /// The host.
    pub domain: String,
    /// The rule that granted it.
    pub rule: String,
    /// Where it is in its life.
    pub status: LeaseStatus,
    /// Why it was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RevocationReason>,
    /// When it was granted.
    #[schemars(with = "String")]
    pub issued_at: Timestamp,
    /// When it ends or ended.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
    /// How often it was used.
    pub uses: u32,
    /// How often it may be used; absent means without limit.
    pub max_uses: Option<u32>,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// How often it was renewed.
    pub renewals: u32,
    /// Its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// How the value is delivered.
    pub delivery: Delivery,
}

/// Parameters of `subscribe`. Agents hear of their own leases, the others of all.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {}

impl Call for Subscribe {
    const METHOD: Method = Method::Subscribe;
    type Result = Done;
}

/// What subscribers hear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LeaseEvent {
    /// A lease was withdrawn.
    LeaseRevoked {
        /// Which.
        lease_id: LeaseId,
        /// Whose.
        agent: String,
        /// Why.
        reason: RevocationReason,
    },
    /// A lease's time is over.
    LeaseExpired {
        /// Which.
        lease_id: LeaseId,
        /// Whose.
        agent: String,
    },
    /// A lease lives longer now.
    LeaseRenewed {
        /// Which.
        lease_id: LeaseId,
        /// Whose.
        agent: String,
        /// Until when.
        #[schemars(with = "String")]
        expires_at: Timestamp,
    },
    /// Events were lost because this connection did not read them: ask for the state anew.
    Lagged {
        /// How many.
        missed: u64,
    },
}
