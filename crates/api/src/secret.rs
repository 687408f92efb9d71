//! `/v1/projects/{project}/secrets…` and `POST /v1/checks`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Ciphertext;

/// Body of `PUT /v1/projects/{project}/secrets/{key}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSecret {
    /// Standard base64 of the binary age file.
    #[schema(value_type = String, format = Byte)]
    pub ciphertext: Ciphertext,
    /// The public keys it is encrypted to, as whoever encrypted it says: age files do not tell.
    pub recipients: Vec<String>,
    /// The number that the age file is made for, since a signature inside covers it. It is stored with this one or not at
    /// all: otherwise 412, with the right one in `next_version`. Absent: whichever is next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether each use needs a person's yes, whatever the policy says. Absent: as it was; false for a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_approval: Option<bool>,
    /// Default: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

/// One version of a secret. `ciphertext` is there only where it was asked for and is allowed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SecretView {
    /// The project.
    pub project: String,
    /// The profile.
    pub profile: String,
    /// The key.
    pub key: String,
    /// Counts from 1, and goes on after a deletion.
    pub version: u64,
    /// The public keys it is said to be encrypted to.
    pub recipients: Vec<String>,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether each use needs a person's yes, whatever the policy says.
    pub require_approval: bool,
    /// When this version was stored.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who stored it.
    pub created_by: String,
    /// SHA-256 of the age file, in hex.
    pub ciphertext_sha256: String,
    /// Bytes of the age file.
    pub size: u64,
    /// The age file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Byte)]
    pub ciphertext: Option<Ciphertext>,
}

/// Answer of `GET /v1/projects/{project}/secrets`: in the order of profile and key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SecretList {
    /// This page, without ciphertexts.
    pub secrets: Vec<SecretView>,
    /// Give this as `after` for the next page. Absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Answer of `GET …/secrets/{key}/versions`: newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionList {
    /// All versions that are kept, without ciphertexts.
    pub versions: Vec<SecretView>,
}

/// Body of `POST /v1/checks`: what a run would be asked, without asking anybody.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// The project.
    pub project: String,
    /// Default: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The keys.
    pub keys: Vec<String>,
}

/// Answer of `POST /v1/checks`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Checks {
    /// One for each key, in the order of the request.
    pub keys: Vec<CheckedKey>,
}

/// What would happen to one key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CheckedKey {
    /// The key.
    pub key: String,
    /// Its newest version. Absent if there is none, or none that the caller may know of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Whether a person would be asked.
    pub needs_approval: bool,
    /// Why it would be refused. Absent if it would not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}
