//! `aws-ps`: AWS Systems Manager Parameter Store.
//!
//! Read by `GetParameters` with decryption, at most ten parameters a call, and one by one if a call is
//! refused as a whole. Written as `SecureString` over what is there, in the advanced tier if a value does not
//! fit into the standard one. A reference may name a version or label: `NAME:3`.

use async_trait::async_trait;
use fnox_aws::parameter_store::{self as service, BATCH_LIMIT, Parameters, VALUE_LIMIT};
use fnox_aws::{AwsClient, Text};
use fnox_core::SecretString;
use futures_util::future::BoxFuture;

use super::aws::{self, Connection, Found, Names};
use crate::error::ProviderError;
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;

/// Opens a provider of this type. Nothing is contacted yet.
///
/// # Errors
/// `Misconfigured` if `region` is empty or `role_arn` is none.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    Ok(Box::new(ParameterStore {
        connection: Connection::of(settings, context)?,
        names: Names::of(settings),
    }))
}

#[derive(Debug)]
struct ParameterStore {
    connection: Connection,
    names: Names,
}

#[async_trait]
impl Provider for ParameterStore {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        self.connection
            .read_in_parts(&self.names, requests, BATCH_LIMIT, |client, names| {
                Box::pin(part(client, names))
            })
            .await
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let client = self.connection.client().await?;
        aws::is_reachable(service::parameter(client, &self.names.unused()).await)
    }

    async fn put(&self, reference: &str, value: &SecretString) -> Result<String, ProviderError> {
        let name = self.names.of_reference(reference);
        acceptable(&name, value)?;
        let client = self.connection.client().await?;
        let (text, length) = (Text::new(value.clone()), value.expose_secret().len());
        let stored = service::put_parameter(client, &name, &text, length).await;
        stored.map_err(|error| aws::explain(&error, Some(&name)))?;
        Ok(reference.to_owned())
    }

    async fn delete(&self, reference: &str) -> Result<(), ProviderError> {
        let name = self.names.of_reference(reference);
        let client = self.connection.client().await?;
        let deleted = service::delete_parameter(client, &name).await;
        deleted.map_err(|error| aws::explain(&error, Some(&name)))
    }
}

/// Reads at most [`BATCH_LIMIT`] parameters.
async fn part(client: &AwsClient, names: Vec<String>) -> Found {
    let together = |names: Vec<String>| -> BoxFuture<'_, _> {
        Box::pin(async move { service::parameters(client, &names).await })
    };
    let single = |name: String| -> BoxFuture<'_, _> { Box::pin(one(client, name)) };
    aws::read_together(names, together, sort, single).await
}

/// What a call told about each name, and the names about which it told nothing.
fn sort(names: Vec<String>, answer: &Parameters) -> (Found, Vec<String>) {
    let mut found = Found::new();
    let mut rest = Vec::new();
    for name in names {
        let value = answer.parameters.iter().find(|it| {
            let selector = it.selector.as_deref().unwrap_or_default();
            [&it.name, &it.arn]
                .into_iter()
                .any(|own| *own == name || format!("{own}{selector}") == name)
        });
        match value {
            Some(parameter) => found.push((name, Ok(parameter.value.clone().into_secret()))),
            None if answer.invalid_parameters.contains(&name) => {
                let error = ProviderError::not_found(&name);
                found.push((name, Err(error)));
            }
            None => rest.push(name),
        }
    }
    (found, rest)
}

async fn one(client: &AwsClient, name: String) -> Result<SecretString, ProviderError> {
    let parameter = service::parameter(client, &name).await;
    let parameter = parameter.map_err(|error| aws::explain(&error, Some(&name)))?;
    Ok(parameter.value.into_secret())
}

/// Refuses what AWS would refuse (Systems Manager User Guide, "About requirements and constraints for
/// parameter names", and `PutParameter`, `Value`).
fn acceptable(name: &str, value: &SecretString) -> Result<(), ProviderError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_.-".contains(c);
    if !name.starts_with("arn:")
        && (name.is_empty() || name.len() > service::NAME_LIMIT || !name.chars().all(allowed))
    {
        return Err(ProviderError::misconfigured(format!(
            "`{}` cannot be the name of a parameter: letters, digits and any of /_.- can",
            name.escape_debug()
        )));
    }
    let length = value.expose_secret().len();
    if length == 0 || length > VALUE_LIMIT {
        return Err(ProviderError::misconfigured(format!(
            "a parameter has 1 to {VALUE_LIMIT} bytes, this value has {length}"
        ))
        .with_remedy(
            "a provider of type `aws-sm` takes 64 KiB, one of type `aws-kms` any length",
        ));
    }
    Ok(())
}
