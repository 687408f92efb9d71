//! The methods: their names, who may call them, parameters and results.
//!
//! Adding one: a type for its parameters with [`Call`], a line in [`Method`]'s table, a handler in the vault.
//! Parameters with unknown keys are refused, so that a misspelt limit is not no limit.

mod administration;
mod approvals;
mod gateway;
mod leases;
mod secrets;
mod sessions;
mod tokens;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::administration::*;
pub use self::approvals::*;
pub use self::gateway::*;
pub use self::leases::*;
pub use self::secrets::*;
pub use self::sessions::*;
pub use self::tokens::*;

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Ask for leases in the name of any agent.
    Orchestrator,
    /// Ask for leases in its own name.
    Agent,
    /// The same, and use the leases of all agents on their behalf.
    Gateway,
}

impl Role {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Orchestrator => "orchestrator",
            Self::Agent => "agent",
            Self::Gateway => "gateway",
        }
    }

    /// Whether it may act for agents, and not for itself alone.
    #[must_use]
    pub fn is_trusted(self) -> bool {
        matches!(self, Self::Admin | Self::Orchestrator)
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Admin, Self::Orchestrator, Self::Agent, Self::Gateway]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Parameters of a method, which know the method and its result.
pub trait Call: Serialize + DeserializeOwned + Send + Sync {
    /// The method that takes them.
    const METHOD: Method;
    /// What it answers.
    type Result: Serialize + DeserializeOwned + Send;
}

/// Who may call a method at all. What exactly they may do with it is the method's own matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    /// Administrators.
    Admin,
    /// Administrators and orchestrators.
    Trusted,
    /// Gateways.
    Gateway,
    /// Everybody who is authenticated.
    Everybody,
}

impl Callers {
    /// Whether a role is among them.
    #[must_use]
    pub fn include(self, role: Role) -> bool {
        match self {
            Self::Everybody => true,
            Self::Trusted => role.is_trusted(),
            Self::Gateway => role == Role::Gateway,
            Self::Admin => role == Role::Admin,
        }
    }
}

macro_rules! methods {
    ($($variant:ident($params:ty) = $name:literal, $callers:ident, $doc:literal;)*) => {
        /// Every method.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Method { $(#[doc = $doc] $variant,)* }

        impl Method {
            /// All of them, in the order of the protocol's page.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name on the wire.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The method of a name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// Who may call it.
            #[must_use]
            pub fn callers(self) -> Callers {
                match self { $(Self::$variant => Callers::$callers,)* }
            }

            /// What it does, in one sentence.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }

            /// JSON Schemas of its parameters and of its result.
            #[must_use]
            pub fn schemas(self) -> (schemars::Schema, schemars::Schema) {
                match self {
                    $(Self::$variant => (
                        schemars::schema_for!($params),
                        schemars::schema_for!(<$params as Call>::Result),
                    ),)*
                }
            }
        }
        $(
            const _: () = {
                const fn is_call<C: Call>() {}
                is_call::<$params>();
            };
        )*
    };
}

methods! {
    StoreSecret(StoreSecret) = "store_secret", Admin, "Stores a new secret.";
    RequestLease(RequestLease) = "request_lease", Everybody, "Asks for the right to use a secret at a host.";
    AccessSecret(AccessSecret) = "access_secret", Everybody, "Spends one use of a lease and answers with the value.";
    RevokeLease(RevokeLease) = "revoke_lease", Everybody, "Withdraws a lease.";
    RevokeAllForAgent(RevokeAllForAgent) = "revoke_all_for_agent", Everybody, "Withdraws all leases of an agent.";
    ListSecrets(ListSecrets) = "list_secrets", Admin, "Lists secrets without their values.";
    RenewLease(RenewLease) = "renew_lease", Everybody, "Moves a lease's expiry, as far as the policy allows.";
    DeleteSecret(DeleteSecret) = "delete_secret", Admin, "Deletes a secret and withdraws its leases.";
    Whoami(Whoami) = "whoami", Everybody, "Tells who the vault takes the caller for.";
    Health(Health) = "health", Everybody, "Tells whether the vault can do its work.";
    SecretMetadataOf(GetMetadata) = "get_metadata", Admin, "Describes one secret without its value.";
    UpdateSecret(UpdateSecret) = "update_secret", Admin, "Gives a secret a new value or description.";
    PruneSecrets(PruneSecrets) = "prune_secrets", Admin, "Drops old versions.";
    ListLeases(ListLeases) = "list_leases", Everybody, "Lists leases that the caller may see.";
    RevokeLeases(RevokeLeases) = "revoke_leases", Everybody, "Withdraws leases by agent, secret, token or session, or all.";
    OpenSession(OpenSession) = "open_session", Trusted, "Opens a session whose leases end with it.";
    CloseSession(CloseSession) = "close_session", Trusted, "Closes a session and withdraws its leases.";
    Subscribe(Subscribe) = "subscribe", Everybody, "Sends events about leases to this connection from now on.";
    RecordRequests(RecordRequests) = "record_requests", Gateway, "Puts on record what a gateway passed on and what it refused.";
    ReturnUse(ReturnUse) = "return_use", Gateway, "Gives back a use of which nothing left the gateway.";
    AskApproval(AskApproval) = "ask_approval", Gateway, "Leaves a question for people, who say whether this request may pass.";
    AwaitApproval(AwaitApproval) = "await_approval", Gateway, "Waits a while for what was said of a question.";
    TakeBackApproval(TakeBackApproval) = "take_back_approval", Gateway, "Takes a question back.";
    ListApprovals(ListApprovals) = "list_approvals", Admin, "Lists questions that wait.";
    DecideApproval(DecideApproval) = "decide_approval", Admin, "Answers a question.";
    PolicyExplain(PolicyExplain) = "policy_explain", Everybody, "Tells which rule decides, or which comes nearest and why it does not.";
    PolicyReload(PolicyReload) = "policy_reload", Admin, "Reads the policy file again and judges existing leases by it.";
    AuditQuery(AuditQuery) = "audit_query", Admin, "Reads the audit log.";
    AuditVerify(AuditVerify) = "audit_verify", Admin, "Looks for changes in the audit log.";
    AuditCheckpoint(AuditCheckpoint) = "audit_checkpoint", Admin, "Signs how far the audit log has come.";
    CreateToken(CreateToken) = "create_token", Admin, "Makes a token for an agent, an orchestrator or an administrator.";
    ListTokens(ListTokens) = "list_tokens", Admin, "Lists tokens without their values.";
    RevokeToken(RevokeToken) = "revoke_token", Admin, "Withdraws a token, its leases and its connections.";
    KeyStatus(KeyStatus) = "key_status", Admin, "Describes the keys and how many values each seals.";
    KeyRotate(KeyRotate) = "key_rotate", Admin, "Replaces the data key, or the key source's own key.";
    KeyRewrap(KeyRewrap) = "key_rewrap", Admin, "Seals every value anew, with another algorithm if told.";
    Backup(Backup) = "backup", Admin, "Writes a consistent copy of the store to a file of the vault's machine.";
}
