//! Logins at clouds for providers that keep secrets there: the same as those of the mints.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use fnox_providers::{
    AccessToken, Accounts, AzureLogin, Context, ErrorKind, GoogleAccess, ProviderError,
};

use crate::mint::{MintContext, MintError, MintErrorKind, aws_sts, azure_token, gcp_iam};

/// Keys of an Azure provider that a login may be wrong about. Leases have others.
const KEYS: [&str; 2] = ["auth", "managed_identity_client_id"];

/// Logs in as mints do: with what the environment, files and the machine itself have.
#[derive(Debug, Clone)]
pub struct CloudAccounts {
    firmware_vendor: PathBuf,
}

impl Default for CloudAccounts {
    fn default() -> Self {
        Self {
            firmware_vendor: aws_sts::firmware_vendor(),
        }
    }
}

impl CloudAccounts {
    fn mint_context(&self, context: &Context) -> MintContext {
        let limits = context.http_limits();
        MintContext {
            env: context.env.clone(),
            masters: Vec::new(),
            folders: context.folders.clone(),
            prompt: Arc::clone(&context.prompt),
            clock: Arc::clone(&context.clock),
            connect_limit: limits.connect,
            call_limit: limits.operation,
            firmware_vendor: self.firmware_vendor.clone(),
        }
    }
}

#[async_trait]
impl Accounts for CloudAccounts {
    async fn google(&self, context: &Context) -> Result<GoogleAccess, ProviderError> {
        let access = gcp_iam::access(&self.mint_context(context)).await;
        access.map_err(|error| explained(error, "run `gcloud auth application-default login`"))
    }

    async fn azure(
        &self,
        context: &Context,
        login: &AzureLogin,
    ) -> Result<AccessToken, ProviderError> {
        let access = azure_token::access(login, &self.mint_context(context)).await;
        access.map_err(|error| explained(error, "run `az login`"))
    }
}

fn explained(error: MintError, remedy: &str) -> ProviderError {
    let kind = match error.kind {
        MintErrorKind::Misconfigured => ErrorKind::Misconfigured,
        MintErrorKind::AuthenticationNeeded => ErrorKind::AuthenticationNeeded,
        MintErrorKind::Denied => ErrorKind::Denied,
        MintErrorKind::Unavailable => ErrorKind::Unavailable,
    };
    let mut explained = ProviderError::new(kind, error.message);
    explained.key = error.key.filter(|key| KEYS.contains(key));
    explained.remedy = error.remedy;
    if kind == ErrorKind::AuthenticationNeeded && explained.remedy.is_none() {
        return explained.with_remedy(remedy);
    }
    explained
}
