//! Stored secrets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, Done, Method};
use crate::ids::SecretId;
use crate::value::SecretValue;

/// What a secret is. For people and tools; the vault treats all kinds alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecretKind {
    /// A personal access token.
    Pat,
    /// A token of OAuth 2.0.
    OAuth2 {
        /// Kept as given.
        #[serde(default)]
        refresh_ciphertext: Option<Vec<u8>>,
        /// Kept as given.
        #[serde(default)]
        refresh_nonce: Option<Vec<u8>>,
    },
    /// A key of an API.
    ApiKey,
    /// JSON with `username` and `password`.
    BasicAuth,
    /// A private SSH key.
    SshKey,
    /// A client certificate.
    ClientCert,
    /// Anything.
    Opaque,
}

/// How a value is sealed at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SealAlgorithm {
    /// AES-256-GCM
    #[serde(rename = "AES-256-GCM")]
    Aes256Gcm,
    /// XChaCha20-Poly1305
    #[serde(rename = "XChaCha20-Poly1305")]
    XChaCha20Poly1305,
}

/// Parameters of `store_secret`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreSecret {
    /// 1 to 128 bytes, no control characters.
    pub name: String,
    /// The value, at most 512 KiB.
    pub plaintext: SecretValue,
    /// What it is.
    pub kind: SecretKind,
    /// For people; at most 1024 bytes. Not secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// For tools; at most 32, keys and values at most 128 bytes. Not secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// How to seal it; the vault's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<SealAlgorithm>,
}

impl Call for StoreSecret {
    const METHOD: Method = Method::StoreSecret;
    type Result = SecretMetadata;
}

/// Parameters of `update_secret`. What is absent stays as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateSecret {
    /// Which.
    pub name: String,
    /// A new value; the version counts up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plaintext: Option<SecretValue>,
    /// A new kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<SecretKind>,
    /// A new description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// New tags, in the place of all old ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// Another algorithm; needs a new value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<SealAlgorithm>,
    /// Refuse unless this is the newest version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<u32>,
}

impl Call for UpdateSecret {
    const METHOD: Method = Method::UpdateSecret;
    type Result = SecretMetadata;
}

/// A secret without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretMetadata {
    /// The same for its whole life.
    pub id: SecretId,
    /// The name.
    pub name: String,
    /// What it is.
    pub kind: SecretKind,
    /// For people.
    pub description: Option<String>,
    /// When it was stored.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// When value or description changed.
    #[schemars(with = "String")]
    pub updated_at: Timestamp,
    /// Counts values from 1.
    pub version: u32,
    /// For tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// How it is sealed; absent for secrets that live elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<SealAlgorithm>,
}

/// Parameters of `get_metadata`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetMetadata {
    /// Which.
    pub name: String,
}

impl Call for GetMetadata {
    const METHOD: Method = Method::SecretMetadataOf;
    type Result = SecretMetadata;
}

/// Parameters of `list_secrets`. Unknown keys are ignored here, as zerolease does.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ListSecrets {
    /// Go on after this name, as `next` said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most so many; as many as fit a frame if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl Call for ListSecrets {
    const METHOD: Method = Method::ListSecrets;
    type Result = SecretList;
}

/// A page of secrets, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretList {
    /// The secrets.
    pub secrets: Vec<SecretMetadata>,
    /// Ask again with `after` set to this; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Parameters of `delete_secret`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteSecret {
    /// Which.
    pub name: String,
}

impl Call for DeleteSecret {
    const METHOD: Method = Method::DeleteSecret;
    type Result = Done;
}

/// Parameters of `prune_secrets`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PruneSecrets {
    /// Which; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many versions of each to keep; the vault's own setting (3) if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<u32>,
}

impl Call for PruneSecrets {
    const METHOD: Method = Method::PruneSecrets;
    type Result = Pruned;
}

/// What was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pruned {
    /// How many versions.
    pub versions: u64,
}
