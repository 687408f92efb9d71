//! `POST /v1/grants` and `POST /v1/fetch`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Ciphertext;

/// Body of `POST /v1/grants`: an approval's id, or a request for keys for which nobody has to be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateGrant {
    /// The approval that is exchanged, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<Uuid>,
    /// Instead of an approval: the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Instead of an approval: the profile. Default: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Instead of an approval: the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<String>>,
    /// Instead of an approval: as in an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_hash: Option<String>,
    /// Instead of an approval: as in an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_display: Option<String>,
}

impl CreateGrant {
    /// Exchanges an approval.
    #[must_use]
    pub fn of(approval: Uuid) -> Self {
        Self {
            approval_id: Some(approval),
            project: None,
            profile: None,
            keys: None,
            command_hash: None,
            command_display: None,
        }
    }
}

/// Answer of `POST /v1/grants`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct GrantCreated {
    /// `fxg_…`: the bearer of one `POST /v1/fetch`. Shown once.
    pub grant_token: String,
    /// When it ends, used or not.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for GrantCreated {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("GrantCreated")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Answer of `POST /v1/fetch`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Fetched {
    /// All keys of the approval, in its order.
    pub secrets: Vec<FetchedSecret>,
}

/// One released secret: still encrypted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FetchedSecret {
    /// The key.
    pub key: String,
    /// The version that was approved.
    pub version: u64,
    /// The age file.
    #[schema(value_type = String, format = Byte)]
    pub ciphertext: Ciphertext,
    /// The public keys it is said to be encrypted to.
    pub recipients: Vec<String>,
}
