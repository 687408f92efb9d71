//! Access tokens.

use fnox_core::SecretString;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, Method, Role};
use crate::ids::TokenId;

/// Parameters of `create_token`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Whose it is. Agents must have one; for others it is a label.
    pub agent: String,
    /// What it allows.
    pub role: Role,
    /// How long it lives, in seconds: at most 90 days.
    pub ttl_secs: u64,
    /// How many connections it may open; absent means without limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
    /// Only from this peer: `uid:1000` or `cid:7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
}

impl Call for CreateToken {
    const METHOD: Method = Method::CreateToken;
    type Result = TokenCreated;
}

/// A new token.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenCreated {
    /// The token itself: `fxv_` and 256 random bits. Shown once.
    #[serde(with = "shown_once")]
    #[schemars(with = "String")]
    pub token: SecretString,
    /// Names it in lists and in `revoke_token`.
    pub id: TokenId,
    /// Whose it is.
    pub agent: String,
    /// What it allows.
    pub role: Role,
    /// When it ends.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
}

/// Parameters of `list_tokens`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListTokens {}

impl Call for ListTokens {
    const METHOD: Method = Method::ListTokens;
    type Result = TokenList;
}

/// All tokens that are not long over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenList {
    /// Oldest first.
    pub tokens: Vec<TokenInfo>,
}

/// A token without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenInfo {
    /// Its name.
    pub id: TokenId,
    /// Whose it is.
    pub agent: String,
    /// What it allows.
    pub role: Role,
    /// When it was made.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// When it ends.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
    /// How many connections it opened.
    pub uses: u32,
    /// How many it may open; absent means without limit.
    pub max_uses: Option<u32>,
    /// The only peer that may present it.
    pub peer: Option<String>,
    /// Whether it was withdrawn.
    pub revoked: bool,
}

/// Parameters of `revoke_token`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeToken {
    /// Which.
    pub id: TokenId,
}

impl Call for RevokeToken {
    const METHOD: Method = Method::RevokeToken;
    type Result = TokenRevoked;
}

/// What ended with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenRevoked {
    /// Leases that were live.
    pub leases_revoked: u64,
    /// Connections of this vault that were closed.
    pub connections_closed: u64,
}

/// A token in the one result that carries it.
pub(crate) mod shown_once {
    use fnox_core::SecretString;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        token: &SecretString,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(token.expose_secret())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SecretString, D::Error> {
        String::deserialize(deserializer).map(SecretString::from)
    }
}
