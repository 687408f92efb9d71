//! AWS KMS: data keys, and short values as they are.
//!
//! KMS makes a data key, gives it once in the clear and once wrapped by a key that never leaves KMS. The
//! *encryption context* is bound into the wrapped form as associated data: KMS opens it only for a caller who
//! names the same context, and records it in its log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::blob::Blob;
use crate::client::{AwsClient, Operation, Repeat, Service};
use crate::error::{AwsError, AwsErrorKind};

/// What a data key is bound to. Not secret.
pub type EncryptionContext = BTreeMap<String, String>;

const GENERATE_DATA_KEY: Operation = Operation {
    service: Service::Kms,
    name: "GenerateDataKey",
    repeat: Repeat::Safe,
};

const DESCRIBE_KEY: Operation = Operation {
    service: Service::Kms,
    name: "DescribeKey",
    repeat: Repeat::Safe,
};

const DECRYPT: Operation = Operation {
    service: Service::Kms,
    name: "Decrypt",
    repeat: Repeat::Safe,
};

/// A new data key.
#[derive(Debug)]
pub struct DataKey {
    /// The key.
    pub plaintext: Zeroizing<[u8; 32]>,
    /// The key, wrapped.
    pub blob: Vec<u8>,
    /// ARN of the key that wrapped it.
    pub key_arn: String,
}

/// Makes a 256-bit data key. `key_id` is an id, an ARN or an alias (`alias/NAME`).
///
/// # Errors
/// [`AwsError`].
pub async fn generate_data_key(
    client: &AwsClient,
    key_id: &str,
    context: &EncryptionContext,
) -> Result<DataKey, AwsError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input<'a> {
        key_id: &'a str,
        encryption_context: &'a EncryptionContext,
        key_spec: &'static str,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Output {
        ciphertext_blob: Blob,
        plaintext: Blob,
        key_id: String,
    }
    let input = Input {
        key_id,
        encryption_context: context,
        key_spec: "AES_256",
    };
    let output: Output = client.call(GENERATE_DATA_KEY, &input).await?;
    Ok(DataKey {
        plaintext: key(GENERATE_DATA_KEY, &output.plaintext)?,
        blob: output.ciphertext_blob.expose_bytes().to_vec(),
        key_arn: output.key_id,
    })
}

/// Unwraps a data key. Naming the key is not needed by KMS, but refuses what another key wrapped.
///
/// # Errors
/// [`AwsError`]; `InvalidCiphertextException` for another context or a changed blob,
/// `IncorrectKeyException` for another key.
pub async fn decrypt(
    client: &AwsClient,
    blob: &[u8],
    context: &EncryptionContext,
    key_id: Option<&str>,
) -> Result<Zeroizing<[u8; 32]>, AwsError> {
    key(DECRYPT, &decrypted(client, blob, context, key_id).await?)
}

async fn decrypted(
    client: &AwsClient,
    blob: &[u8],
    context: &EncryptionContext,
    key_id: Option<&str>,
) -> Result<Blob, AwsError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input<'a> {
        ciphertext_blob: Blob,
        encryption_context: &'a EncryptionContext,
        #[serde(skip_serializing_if = "Option::is_none")]
        key_id: Option<&'a str>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Output {
        plaintext: Blob,
    }
    let input = Input {
        ciphertext_blob: Blob::new(blob.to_vec()),
        encryption_context: context,
        key_id,
    };
    let output: Output = client.call(DECRYPT, &input).await?;
    Ok(output.plaintext)
}

/// Decrypts a value that was encrypted as it is, at most 4096 bytes. Naming the key refuses what another key
/// encrypted.
///
/// # Errors
/// As [`decrypt`].
pub async fn decrypt_value(
    client: &AwsClient,
    blob: &[u8],
    context: &EncryptionContext,
    key_id: Option<&str>,
) -> Result<Zeroizing<Vec<u8>>, AwsError> {
    let output = decrypted(client, blob, context, key_id).await?;
    Ok(output.into_bytes())
}

/// Asks whether a key can be used, without using it.
///
/// # Errors
/// [`AwsError`]; `NotFoundException` if there is no such key.
pub async fn key_is_enabled(client: &AwsClient, key_id: &str) -> Result<bool, AwsError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input<'a> {
        key_id: &'a str,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Output {
        key_metadata: Metadata,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Metadata {
        enabled: bool,
    }
    let output: Output = client.call(DESCRIBE_KEY, &Input { key_id }).await?;
    Ok(output.key_metadata.enabled)
}

fn key(operation: Operation, plaintext: &Blob) -> Result<Zeroizing<[u8; 32]>, AwsError> {
    let bytes = plaintext.expose_bytes();
    let mut key = Zeroizing::new([0; 32]);
    if bytes.len() != key.len() {
        let text = format!("a key of {} bytes, where 32 are needed", bytes.len());
        return Err(AwsError::new(
            operation.action(),
            AwsErrorKind::Malformed,
            text,
        ));
    }
    key.copy_from_slice(bytes);
    Ok(key)
}
