//! `POST /v1/sessions`, `GET` and `DELETE /v1/sessions/current`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a person may do. A CI job has none of these: the policy says what it may ask for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads which secrets there are, and may ask for what the policy allows.
    Reader,
    /// Decides about approvals.
    Approver,
    /// Stores secrets, manages people, reads the audit log.
    Admin,
}

impl Role {
    /// The word in JSON and in configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Reader, Self::Approver, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

/// Answer of `POST /v1/sessions`, whose `Authorization: Bearer` is an OIDC token.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionCreated {
    /// `fxs_…`: the bearer of everything else. Shown once.
    pub token: String,
    /// When it ends, at the latest.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// Who the server takes the caller for.
    pub principal: String,
    /// What the caller may do, if it is a person.
    #[serde(default)]
    pub roles: Vec<Role>,
}

impl std::fmt::Debug for SessionCreated {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SessionCreated")
            .field("principal", &self.principal)
            .field("roles", &self.roles)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Answer of `GET /v1/sessions/current`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// Who the server takes the caller for.
    pub principal: String,
    /// The configured name of the issuer; `bootstrap` for the first administrator.
    pub issuer: String,
    /// What the caller may do, if it is a person.
    pub roles: Vec<Role>,
    /// When the session ends.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// The claims that the policy sees.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub claims: BTreeMap<String, serde_json::Value>,
}
