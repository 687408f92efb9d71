//! What the server tells about itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// Sessions that `revoke-all` ended.
    #[serde(default)]
    pub sessions_ended: u64,
    /// Approvals that `revoke-all` cancelled.
    #[serde(default)]
    pub approvals_cancelled: u64,
}
