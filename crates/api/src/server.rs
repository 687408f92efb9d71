//! What the server tells about itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Answer of `GET /healthz` and `GET /readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`, or `unavailable` if decisions and fetches are refused at the moment.
    pub status: String,
}

/// Answer of `GET /v1/login`: how people log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginOptions {
    /// The OpenID provider.
    pub issuer: String,
    /// This server's client id there.
    pub client_id: String,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
}

/// Answer of `POST /v1/admin/freeze`, `unfreeze`, `revoke-all` and `GET /v1/admin/state`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerState {
    /// Whether nothing is released at the moment.
    pub frozen: bool,
    /// Sessions that `revoke-all` ended, tokens of identity providers among them.
    #[serde(default)]
    pub sessions_ended: u64,
    /// Approvals that `revoke-all` cancelled.
    #[serde(default)]
    pub approvals_cancelled: u64,
}

/// Body of `POST /v1/admin/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// `scim` for an identity provider, `gateway` for a gateway, `admin` for an administrator.
    pub role: String,
    /// The name of the gateway, as `[[gateway]]` of the policy has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How long it lives; by default a year for `scim`, 30 days for `gateway`, a day for `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
}

/// Answer of `POST /v1/admin/tokens`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenCreated {
    /// By what it is ended.
    pub id: Uuid,
    /// `fxp_…`, `fxw_…` or `fxb_…`. Shown once.
    pub token: String,
    /// As in the request.
    pub role: String,
    /// When it ends, at the latest.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for TokenCreated {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TokenCreated")
            .field("id", &self.id)
            .field("role", &self.role)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Answer of `GET /v1/admin/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenList {
    /// Those that are good at the moment, the oldest first.
    pub tokens: Vec<TokenView>,
}

/// A token of the server's own, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// By what it is ended.
    pub id: Uuid,
    /// `scim`, `gateway` or `admin`.
    pub role: String,
    /// The name of the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ends, at the latest.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}
