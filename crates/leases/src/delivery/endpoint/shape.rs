//! Which SDK will ask for a lease's credential, and what it needs to find its way here.
//!
//! - AWS: variables `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, from whatever type of lease. AWS
//!   SDKs and Tools Reference Guide, "Container credential provider".
//! - Azure: type `azure-token`. Azure App Service, "REST endpoint reference" of managed identities.
//! - Google: type `gcp-iam` with an access token. google.aip.dev/auth/4117 (external account credentials).

use std::io;
use std::sync::Arc;

use fnox_config::LeaseConfig;
use fnox_core::{LeaseName, SecretString};

use crate::delivery::Current;
use crate::manager::Held;

/// Where programs look for the region: the SDKs' own variable, and that of the AWS CLI and botocore.
const AWS_REGION: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// What AWS SDKs would look at before the container (protocol page, "AWS").
pub(super) const AWS_CONFLICTS: [&str; 15] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_SSO_SESSION",
    "AWS_ACCOUNT_ID",
    "AWS_CREDENTIAL_FILE",
];

/// What azure-identity would look at before the managed identity, or which other managed identity.
pub(super) const AZURE_CONFLICTS: [&str; 14] = [
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN",
    "AZURE_USERNAME",
    "AZURE_PASSWORD",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "IDENTITY_SERVER_THUMBPRINT",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
    "MSI_SECRET",
    "AZURE_ACCESS_TOKEN",
];

/// What Google's libraries, gcloud and Terraform would look at before the file.
pub(super) const GOOGLE_CONFLICTS: [&str; 6] = [
    "CLOUDSDK_AUTH_ACCESS_TOKEN",
    "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
    "GOOGLE_CREDENTIALS",
    "GOOGLE_CLOUD_KEYFILE_JSON",
    "GCLOUD_KEYFILE_JSON",
];

/// The one identity and the one resource of an Azure token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AzureIdentity {
    /// Without `/.default` and slashes at the end.
    pub(super) resource: String,
    /// Client ids by which the program may name the identity.
    pub(super) client_ids: Vec<String>,
}

/// Which SDK asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// None: whoever knows fnox.
    Plain,
    Aws,
    Azure(AzureIdentity),
    Google,
}

/// A lease that an endpoint serves.
#[derive(Debug)]
pub struct Served {
    current: Arc<dyn Current>,
    shape: Shape,
    first: Held,
}

impl Served {
    pub(super) fn with_shape(current: Arc<dyn Current>, shape: Shape, held: &Held) -> Self {
        Self {
            current,
            shape,
            first: held.clone(),
        }
    }

    /// The lease.
    #[must_use]
    pub fn lease(&self) -> &LeaseName {
        self.current.lease()
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(super) fn google_token(&self) -> io::Result<SecretString> {
        google_token(&self.first)
    }

    /// The region that the lease makes, if it does.
    pub(super) fn aws_region(&self) -> Vec<(String, SecretString)> {
        let variables = self.first.credential.variables.iter();
        let regions = variables.filter(|(name, _)| AWS_REGION.contains(&name.as_str()));
        regions.cloned().collect()
    }

    pub(super) fn into_current(self) -> Arc<dyn Current> {
        self.current
    }
}

impl Shape {
    pub(super) fn of(lease: &LeaseConfig, held: &Held) -> io::Result<Self> {
        let has = |name: &str| held.credential.variable(name).is_some();
        let shape = match lease.spec.name {
            "azure-token" => Self::Azure(AzureIdentity {
                resource: resource(lease.fields.text("scope").unwrap_or_default()).to_owned(),
                client_ids: ["client_id", "managed_identity_client_id"]
                    .into_iter()
                    .filter_map(|key| lease.fields.text(key))
                    .map(str::to_owned)
                    .collect(),
            }),
            "gcp-iam" if lease.fields.text("token") != Some("id") => Self::Google,
            _ if has("AWS_ACCESS_KEY_ID") && has("AWS_SECRET_ACCESS_KEY") => Self::Aws,
            _ => return Ok(Self::Plain),
        };
        if held.credential.expires_at.is_none() {
            return Err(unfit(
                &lease.name,
                "makes a credential that never expires, which no SDK takes from an endpoint",
            ));
        }
        if shape == Self::Aws && !has("AWS_SESSION_TOKEN") {
            return Err(unfit(
                &lease.name,
                "makes AWS keys without AWS_SESSION_TOKEN, which AWS SDKs do not take from an endpoint",
            ));
        }
        Ok(shape)
    }
}

fn unfit(lease: &LeaseName, reason: &str) -> io::Error {
    let message = format!("the lease `{lease}` {reason}; use `deliver = [\"env\"]`");
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// The resource of a scope: `https://vault.azure.net` of `https://vault.azure.net/.default`. Clients differ in slashes.
pub(super) fn resource(scope: &str) -> &str {
    scope
        .strip_suffix(".default")
        .unwrap_or(scope)
        .trim_end_matches('/')
}

/// The access token among a credential's variables: the only one.
pub(super) fn google_token(held: &Held) -> io::Result<SecretString> {
    match held.credential.variables.as_slice() {
        [(_, token)] => Ok(token.clone()),
        _ => Err(unfit(&held.lease, "makes more than one token")),
    }
}

/// Configuration of an external account whose subject token and whose exchange are here, so that the exchange ends in
/// the access token that the lease is.
///
/// The audience names no project: google-auth would look one up that is named (`get_project_id`), at Google, with the
/// token. `.invalid` is nobody's (RFC 2606).
pub(super) fn external_account(
    number: usize,
    subject_url: &str,
    token_url: &str,
    bearer: &SecretString,
) -> SecretString {
    let document = serde_json::json!({
        "type": "external_account",
        "audience": format!("//fnox.invalid/leases/{number}"),
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": token_url,
        "credential_source": {
            "url": subject_url,
            "headers": { "Authorization": format!("Bearer {}", bearer.expose_secret()) },
            "format": { "type": "json", "subject_token_field_name": "subject_token" },
        },
    });
    SecretString::new(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_the_same_with_and_without_slashes() {
        for scope in [
            "https://vault.azure.net/.default",
            "https://vault.azure.net//.default",
            "https://vault.azure.net/",
            "https://vault.azure.net",
        ] {
            assert_eq!(resource(scope), "https://vault.azure.net");
        }
        assert_eq!(resource("api://app-id/.default"), "api://app-id");
    }
}
