//! `aws-sm`: AWS Secrets Manager.
//!
//! Read by `BatchGetSecretValue`, at most twenty secrets a call; where a policy allows only
//! `GetSecretValue`, one by one. Written as text. Deleted with AWS's window of 30 days, in which a
//! secret can be restored; `fnox set` restores one by itself.

use async_trait::async_trait;
use fnox_aws::secrets_manager::{
    self as service, BATCH_LIMIT, Batch, Deletion, VALUE_LIMIT, Value,
};
use fnox_aws::{AwsClient, AwsError, Text};
use fnox_core::SecretString;
use futures_util::future::BoxFuture;

use super::aws::{self, Connection, Found, Names};
use crate::error::{ErrorKind, ProviderError};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;

/// AWS's own window, in days.
const WINDOW: Deletion = Deletion::Days(30);

/// Opens a provider of this type. Nothing is contacted yet.
///
/// # Errors
/// `Misconfigured` if `region` is empty or `role_arn` is none.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    Ok(Box::new(SecretsManager {
        connection: Connection::of(settings, context)?,
        names: Names::of(settings),
    }))
}

#[derive(Debug)]
struct SecretsManager {
    connection: Connection,
    names: Names,
}

#[async_trait]
impl Provider for SecretsManager {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        self.connection
            .read_in_parts(&self.names, requests, BATCH_LIMIT, |client, names| {
                Box::pin(part(client, names))
            })
            .await
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let client = self.connection.client().await?;
        aws::is_reachable(service::describe_secret(client, &self.names.unused()).await)
    }

    async fn put(&self, reference: &str, value: &SecretString) -> Result<String, ProviderError> {
        let name = self.names.of_reference(reference);
        acceptable(&name, value)?;
        let client = self.connection.client().await?;
        let text = Text::new(value.clone());
        let stored = put(client, &name, &text).await;
        stored.map_err(|error| aws::explain(&error, Some(&name)))?;
        Ok(reference.to_owned())
    }

    async fn delete(&self, reference: &str) -> Result<(), ProviderError> {
        let name = self.names.of_reference(reference);
        let client = self.connection.client().await?;
        let gone = |error: AwsError| aws::explain(&error, Some(&name));
        // AWS deletes one that is being deleted once more without a word.
        let told = service::describe_secret(client, &name)
            .await
            .map_err(gone)?;
        if told.deleted_date.is_some() {
            return Err(ProviderError::not_found(&name));
        }
        service::delete_secret(client, &name, WINDOW)
            .await
            .map_err(gone)
    }
}

async fn put(client: &AwsClient, name: &str, text: &Text) -> Result<(), AwsError> {
    let token = hex::encode(rand::random::<[u8; 16]>());
    let Err(error) = service::put_text(client, name, &token, text).await else {
        return Ok(());
    };
    let is_arn = name.starts_with("arn:");
    if error.is("ResourceNotFoundException") && !is_arn {
        return service::create_text(client, name, &token, text).await;
    }
    if aws::is_being_deleted(&error) {
        service::restore_secret(client, name).await?;
        return service::put_text(client, name, &token, text).await;
    }
    Err(error)
}

/// Reads at most [`BATCH_LIMIT`] secrets.
async fn part(client: &AwsClient, names: Vec<String>) -> Found {
    let together = |names: Vec<String>| -> BoxFuture<'_, _> {
        Box::pin(async move { service::batch(client, &names).await })
    };
    let single = |name: String| -> BoxFuture<'_, _> { Box::pin(one(client, name)) };
    aws::read_together(names, together, sort, single).await
}

/// What a batch told about each name, and the names about which it told nothing.
fn sort(names: Vec<String>, batch: &Batch) -> (Found, Vec<String>) {
    let mut found = Found::new();
    let mut rest = Vec::new();
    for name in names {
        let value = batch
            .secret_values
            .iter()
            .find(|it| it.name == name || it.arn == name);
        let error = batch.errors.iter().find(|it| it.secret_id == name);
        match (value, error) {
            (Some(value), _) => found.push((name.clone(), text(&name, value.clone()))),
            (None, Some(error)) if error.error_code == "ResourceNotFoundException" => {
                found.push((name.clone(), Err(ProviderError::not_found(&name))));
            }
            // Asked for alone, AWS says more.
            _ => rest.push(name),
        }
    }
    (found, rest)
}

async fn one(client: &AwsClient, name: String) -> Result<SecretString, ProviderError> {
    let value = service::get_secret_value(client, &name).await;
    text(
        &name,
        value.map_err(|error| aws::explain(&error, Some(&name)))?,
    )
}

fn text(name: &str, value: Value) -> Result<SecretString, ProviderError> {
    if let Some(text) = value.secret_string {
        return Ok(text.into_secret());
    }
    let bytes = value
        .secret_binary
        .ok_or_else(|| ProviderError::not_found(name))?;
    std::str::from_utf8(bytes.expose_bytes())
        .map(SecretString::from)
        .map_err(|_| {
            ProviderError::misconfigured(format!(
                "`{}` holds bytes that are not UTF-8 text",
                name.escape_debug()
            ))
        })
}

/// Refuses what AWS would refuse: `SecretStringType`, and `CreateSecret`, `Name`.
fn acceptable(name: &str, value: &SecretString) -> Result<(), ProviderError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c);
    if !name.starts_with("arn:")
        && (name.is_empty() || name.len() > service::NAME_LIMIT || !name.chars().all(allowed))
    {
        return Err(ProviderError::misconfigured(format!(
            "`{}` cannot be the name of a secret of AWS: letters, digits and any of /_+=.@- can, 512 at most",
            name.escape_debug()
        )));
    }
    let length = value.expose_secret().len();
    if length == 0 || length > VALUE_LIMIT {
        return Err(ProviderError::new(
            ErrorKind::Misconfigured,
            format!("a secret of AWS has 1 to {VALUE_LIMIT} bytes, this value has {length}"),
        ));
    }
    Ok(())
}
