//! `kms:KEY_ID`: the vault's wrapping key, wrapped by a key of AWS KMS.
//!
//! KMS makes the key and wraps it with one that never leaves KMS; the wrapped form stands beside the key ring.
//! It is bound to the vault's id by the encryption context, so that another vault's wrapped key does not open
//! here, and KMS's log tells which vault asked. Only the configured key is accepted: who can write the store
//! cannot make the vault use a wrapping key that another KMS key wraps.
//!
//! The role needs `kms:GenerateDataKey` and `kms:Decrypt` on the key; a key policy can demand the context
//! (`kms:EncryptionContext:fnox:vault`).

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fnox_aws::kms::{self, EncryptionContext};
use fnox_aws::{AwsClient, AwsError, AwsErrorKind};
use fnox_core::seal::SealingKey;
use fnox_vault::key_source::{KeySource, KeySourceError, NewKey, StoredKey, wrapping_key};
use serde::{Deserialize, Serialize};

/// The form of what is stored.
const FORMAT: u32 = 1;
const PURPOSE: &str = "vault wrapping key";

/// A wrapping key in KMS.
#[derive(Debug)]
pub struct KmsKeySource {
    client: Arc<AwsClient>,
    key_id: String,
}

/// What is stored of a wrapping key, as JSON in base64.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped {
    format: u32,
    /// The vault that the key was made for.
    vault: String,
    /// ARN of the key that wraps it, for people.
    kms_key: String,
    /// Base64 of KMS's own form.
    blob: String,
}

impl KmsKeySource {
    /// A source that uses this KMS key: an id, an ARN, or an alias as `alias/NAME`.
    #[must_use]
    pub fn new(client: Arc<AwsClient>, key_id: impl Into<String>) -> Self {
        Self {
            client,
            key_id: key_id.into(),
        }
    }

    async fn unwrap(&self, stored: &StoredKey) -> Result<SealingKey, KeySourceError> {
        let broken = || {
            self.error(format!(
                "has a stored key {} that cannot be read",
                stored.id
            ))
        };
        let json = BASE64.decode(&stored.blob).map_err(|_| broken())?;
        let wrapped: Wrapped = serde_json::from_slice(&json).map_err(|_| broken())?;
        if wrapped.format != FORMAT {
            return Err(self.error(format!(
                "has a stored key {} of format {}, which this program does not know",
                stored.id, wrapped.format
            )));
        }
        let blob = BASE64.decode(&wrapped.blob).map_err(|_| broken())?;
        let context = context(&wrapped.vault);
        let bytes = kms::decrypt(&self.client, &blob, &context, Some(&self.key_id)).await;
        let bytes = bytes.map_err(|error| self.explain(&error, Some(&wrapped.kms_key)))?;
        let key = wrapping_key(bytes);
        if key.id() != stored.id {
            return Err(self.error(format!(
                "gives another key than {}, under which it is stored",
                stored.id
            )));
        }
        Ok(key)
    }

    fn error(&self, problem: String) -> KeySourceError {
        KeySourceError::new(&self.describe(), problem)
    }

    fn explain(&self, error: &AwsError, wrapped_by: Option<&str>) -> KeySourceError {
        let told = self.error(format!("does not answer with a key: {error}"));
        let remedy = match (error.kind, error.code.as_deref()) {
            (_, Some("IncorrectKeyException")) => format!(
                "name the key that wrapped it: kms:{}",
                wrapped_by.unwrap_or_default()
            ),
            (_, Some("InvalidCiphertextException")) => {
                "the stored key was changed, or belongs to another vault: restore the key ring".to_owned()
            }
            (_, Some("AccessDeniedException")) => {
                "allow kms:GenerateDataKey and kms:Decrypt on the key".to_owned()
            }
            (_, Some("DisabledException" | "KMSInvalidStateException")) => {
                "enable the key in KMS, or cancel its deletion".to_owned()
            }
            (AwsErrorKind::Unreachable | AwsErrorKind::Interrupted, _) => {
                "is AWS reachable from here? AWS_REGION and AWS_ENDPOINT_URL decide where it is sought"
                    .to_owned()
            }
            _ => return told,
        };
        told.with_remedy(remedy)
    }
}

#[async_trait]
impl KeySource for KmsKeySource {
    fn describe(&self) -> String {
        format!("kms:{}", self.key_id)
    }

    fn can_rotate(&self) -> bool {
        true
    }

    async fn load(&self, stored: &[StoredKey]) -> Result<Vec<SealingKey>, KeySourceError> {
        let mut keys = Vec::with_capacity(stored.len());
        for stored in stored {
            keys.push(self.unwrap(stored).await?);
        }
        Ok(keys)
    }

    async fn add(&self, vault_id: &str) -> Result<NewKey, KeySourceError> {
        let made = kms::generate_data_key(&self.client, &self.key_id, &context(vault_id)).await;
        let made = made.map_err(|error| self.explain(&error, None))?;
        let json = serde_json::to_vec(&Wrapped {
            format: FORMAT,
            vault: vault_id.to_owned(),
            kms_key: made.key_arn,
            blob: BASE64.encode(&made.blob),
        });
        let json = json.map_err(|_| self.error("gave a key that cannot be stored".to_owned()))?;
        let key = wrapping_key(made.plaintext);
        let stored = StoredKey {
            id: key.id().to_owned(),
            blob: BASE64.encode(json),
        };
        Ok(NewKey {
            key,
            stored: Some(stored),
        })
    }

    /// Nothing is kept here: what the ring no longer names is gone.
    async fn retain(&self, _keep: &str) -> Result<(), KeySourceError> {
        Ok(())
    }
}

fn context(vault_id: &str) -> EncryptionContext {
    [("fnox:purpose", PURPOSE), ("fnox:vault", vault_id)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}
