//! AWS Secrets Manager: the operations that a store needs.
//!
//! Every write carries a `ClientRequestToken`, which becomes the version's id: repeating the same write is
//! then no second write, and another value under the same token is refused by AWS.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::blob::Blob;
use crate::client::{AwsClient, Operation, Repeat, Service};
use crate::error::AwsError;
use crate::text::Text;

/// The largest value that Secrets Manager takes, in bytes (`SecretBinaryType`).
pub const VALUE_LIMIT: usize = 65_536;
/// The longest name, in characters (`NameType`).
pub const NAME_LIMIT: usize = 512;
/// How many secrets one [`batch`] may name (`SecretIdListType`).
pub const BATCH_LIMIT: usize = 20;

/// How soon a deleted secret is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// At once, without a way back.
    Force,
    /// After so many days, 7 to 30; until then it can be restored.
    Days(u8),
}

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    /// At most 128 characters; `aws:…` is reserved.
    pub key: String,
    /// At most 256 characters.
    pub value: String,
}

/// A new secret.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NewSecret {
    /// Its name.
    pub name: String,
    /// The first version's id, 32 to 64 characters.
    pub client_request_token: String,
    /// Its value.
    pub secret_binary: Blob,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The KMS key that Secrets Manager encrypts it with; its own one if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// A new value.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NewValue {
    /// Which secret.
    pub secret_id: String,
    /// The version's id, 32 to 64 characters.
    pub client_request_token: String,
    /// The value.
    pub secret_binary: Blob,
    /// A new description; only [`update_secret`] takes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A value as it is stored.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Value {
    /// The secret's name.
    pub name: String,
    /// The version's id.
    pub version_id: String,
    /// Its ARN.
    #[serde(default, rename = "ARN")]
    pub arn: String,
    /// The bytes, unless it holds text.
    #[serde(default)]
    pub secret_binary: Option<Blob>,
    /// The text, unless it holds bytes.
    #[serde(default)]
    pub secret_string: Option<Text>,
}

/// A secret without its value.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metadata {
    /// Its name.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// When it goes, if it was deleted: seconds since 1970.
    #[serde(default)]
    pub deleted_date: Option<f64>,
    /// Its tags.
    #[serde(default)]
    pub tags: Option<Vec<Tag>>,
    /// Which version has which labels, as `DescribeSecret` tells it.
    #[serde(default)]
    version_ids_to_stages: Option<BTreeMap<String, Vec<String>>>,
    /// The same, as `ListSecrets` tells it.
    #[serde(default)]
    secret_versions_to_stages: Option<BTreeMap<String, Vec<String>>>,
}

impl Metadata {
    /// The version with a label (`AWSCURRENT`, `AWSPREVIOUS`).
    #[must_use]
    pub fn version(&self, label: &str) -> Option<&str> {
        let versions = self.version_ids_to_stages.as_ref();
        versions
            .or(self.secret_versions_to_stages.as_ref())?
            .iter()
            .find(|(_, labels)| labels.iter().any(|it| it == label))
            .map(|(id, _)| id.as_str())
    }

    /// The value of a tag.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<&str> {
        let tags = self.tags.as_ref()?;
        let found = tags.iter().find(|tag| tag.key == key);
        found.map(|tag| tag.value.as_str())
    }
}

/// Which secrets to list. Everything that is set must fit.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// What their names begin with.
    pub name_prefix: Option<String>,
    /// What a tag's key begins with.
    pub tag_key: Option<String>,
}

/// A page of [`list_secrets`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Page {
    /// The secrets.
    pub secret_list: Vec<Metadata>,
    /// How to ask for the next page.
    #[serde(default)]
    pub next_token: Option<String>,
}

/// What [`batch`] found.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Batch {
    /// The values.
    #[serde(default)]
    pub secret_values: Vec<Value>,
    /// What could not be read.
    #[serde(default)]
    pub errors: Vec<BatchError>,
}

/// One secret that could not be read.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BatchError {
    /// Which one.
    #[serde(default)]
    pub secret_id: String,
    /// Why.
    #[serde(default)]
    pub error_code: String,
    /// Why, in words.
    #[serde(default)]
    pub message: String,
}

/// Makes a secret.
///
/// # Errors
/// [`AwsError`]; `ResourceExistsException` if the name is taken, `InvalidRequestException` if it is that of a
/// secret that is being deleted.
pub async fn create_secret(client: &AwsClient, secret: &NewSecret) -> Result<(), AwsError> {
    done(client, operation("CreateSecret"), secret).await
}

/// Makes a secret of text.
///
/// # Errors
/// As [`create_secret`].
pub async fn create_text(
    client: &AwsClient,
    name: &str,
    token: &str,
    text: &Text,
) -> Result<(), AwsError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input<'a> {
        name: &'a str,
        client_request_token: &'a str,
        secret_string: &'a Text,
    }
    let input = Input {
        name,
        client_request_token: token,
        secret_string: text,
    };
    done(client, operation("CreateSecret"), &input).await
}

/// Makes a text the current value of a secret.
///
/// # Errors
/// [`AwsError`]; `ResourceNotFoundException` if there is none, `InvalidRequestException` if it is being
/// deleted.
pub async fn put_text(
    client: &AwsClient,
    secret_id: &str,
    token: &str,
    text: &Text,
) -> Result<(), AwsError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input<'a> {
        secret_id: &'a str,
        client_request_token: &'a str,
        secret_string: &'a Text,
    }
    let input = Input {
        secret_id,
        client_request_token: token,
        secret_string: text,
    };
    done(client, operation("PutSecretValue"), &input).await
}

/// Reads the current version of a secret.
///
/// # Errors
/// [`AwsError`]; `ResourceNotFoundException` if there is none, `InvalidRequestException` if it is being
/// deleted.
pub async fn get_secret_value(client: &AwsClient, secret_id: &str) -> Result<Value, AwsError> {
    client
        .call(operation("GetSecretValue"), &Named { secret_id })
        .await
}

/// Makes a value the current one. `description` is not taken.
///
/// # Errors
/// [`AwsError`].
pub async fn put_secret_value(client: &AwsClient, value: &NewValue) -> Result<(), AwsError> {
    let value = NewValue {
        description: None,
        ..value.clone()
    };
    done(client, operation("PutSecretValue"), &value).await
}

/// Makes a value the current one and changes the description, both at once.
///
/// # Errors
/// [`AwsError`].
pub async fn update_secret(client: &AwsClient, value: &NewValue) -> Result<(), AwsError> {
    done(client, operation("UpdateSecret"), value).await
}

/// Sets tags; others stay.
///
/// # Errors
/// [`AwsError`].
pub async fn tag_resource(
    client: &AwsClient,
    secret_id: &str,
    tags: &[Tag],
) -> Result<(), AwsError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input<'a> {
        secret_id: &'a str,
        tags: &'a [Tag],
    }
    done(client, operation("TagResource"), &Input { secret_id, tags }).await
}

/// Takes tags away.
///
/// # Errors
/// [`AwsError`].
pub async fn untag_resource(
    client: &AwsClient,
    secret_id: &str,
    tag_keys: &[&str],
) -> Result<(), AwsError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input<'a> {
        secret_id: &'a str,
        tag_keys: &'a [&'a str],
    }
    let input = Input {
        secret_id,
        tag_keys,
    };
    done(client, operation("UntagResource"), &input).await
}

/// Deletes a secret. Not repeated after a failure of which it is not known whether it came too late.
///
/// # Errors
/// [`AwsError`].
pub async fn delete_secret(
    client: &AwsClient,
    secret_id: &str,
    deletion: Deletion,
) -> Result<(), AwsError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input<'a> {
        secret_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        recovery_window_in_days: Option<u8>,
        #[serde(skip_serializing_if = "Option::is_none")]
        force_delete_without_recovery: Option<bool>,
    }
    let operation = Operation {
        repeat: Repeat::OnlyUndone,
        ..operation("DeleteSecret")
    };
    let input = match deletion {
        Deletion::Force => Input {
            secret_id,
            recovery_window_in_days: None,
            force_delete_without_recovery: Some(true),
        },
        Deletion::Days(days) => Input {
            secret_id,
            recovery_window_in_days: Some(days),
            force_delete_without_recovery: None,
        },
    };
    done(client, operation, &input).await
}

/// Takes a deletion back.
///
/// # Errors
/// [`AwsError`].
pub async fn restore_secret(client: &AwsClient, secret_id: &str) -> Result<(), AwsError> {
    done(client, operation("RestoreSecret"), &Named { secret_id }).await
}

/// Describes a secret, also one that is being deleted.
///
/// # Errors
/// [`AwsError`]; `ResourceNotFoundException` if there is none.
pub async fn describe_secret(client: &AwsClient, secret_id: &str) -> Result<Metadata, AwsError> {
    client
        .call(operation("DescribeSecret"), &Named { secret_id })
        .await
}

/// One page of the secrets that fit and are not being deleted. AWS: may miss changes of the last minutes.
///
/// # Errors
/// [`AwsError`].
pub async fn list_secrets(
    client: &AwsClient,
    filter: &Filter,
    next_token: Option<&str>,
) -> Result<Page, AwsError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Condition<'a> {
        key: &'static str,
        values: [&'a str; 1],
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input<'a> {
        max_results: u8,
        filters: Vec<Condition<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_token: Option<&'a str>,
    }
    let conditions = [
        ("name", filter.name_prefix.as_deref()),
        ("tag-key", filter.tag_key.as_deref()),
    ];
    let input = Input {
        max_results: 100,
        filters: conditions
            .into_iter()
            .filter_map(|(key, value)| {
                let values = [value?];
                Some(Condition { key, values })
            })
            .collect(),
        next_token,
    };
    client.call(operation("ListSecrets"), &input).await
}

/// The current versions of at most [`BATCH_LIMIT`] secrets.
///
/// # Errors
/// [`AwsError`]; what cannot be read is told in the answer.
pub async fn batch(client: &AwsClient, secret_ids: &[String]) -> Result<Batch, AwsError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input<'a> {
        secret_id_list: &'a [String],
    }
    let input = Input {
        secret_id_list: secret_ids,
    };
    client.call(operation("BatchGetSecretValue"), &input).await
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Named<'a> {
    secret_id: &'a str,
}

fn operation(name: &'static str) -> Operation {
    Operation {
        service: Service::SecretsManager,
        name,
        repeat: Repeat::Safe,
    }
}

async fn done<I: Serialize + Sync>(
    client: &AwsClient,
    operation: Operation,
    input: &I,
) -> Result<(), AwsError> {
    let _: serde_json::Value = client.call(operation, input).await?;
    Ok(())
}
