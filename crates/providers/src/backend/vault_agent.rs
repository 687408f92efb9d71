//! `vault-agent`: secrets that an agents' vault lends.
//!
//! The reference is `NAME@HOST`: which secret, and the host at which it will be used. Each value is had by a
//! lease of its own, which is given back at once; the vault's policy and audit log decide and tell about every
//! one. The token comes from a file, from another secret, or from `FNOX_VAULT_TOKEN_FILE` and
//! `FNOX_VAULT_TOKEN`, never from the configuration itself.

use std::path::PathBuf;

use async_trait::async_trait;
use fnox_config::{TextOrSecret, Value};
use fnox_core::{Host, SecretString, VaultName};
use fnox_vault_wire::client::{
    CredentialProvider as _, CredentialRequest, ProviderError as LeaseError, VaultProvider,
};
use fnox_vault_wire::methods::{Role, Whoami};
use fnox_vault_wire::{Client, ClientError, ClientOptions, Code, Connector};
use futures_util::future::join_all;
use zeroize::Zeroizing;

use crate::error::ProviderError;
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;

/// Longest file that is taken for a token.
const TOKEN_LIMIT: u64 = 4096;

/// Opens a provider of this type. Nothing is contacted and no token is read yet.
///
/// # Errors
/// `Misconfigured` if `socket` is no place of a vault, or if the token is written out.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let literal = settings
        .fields()
        .iter()
        .any(|(key, value)| key == "token" && matches!(value, Value::Text(TextOrSecret::Text(_))));
    if literal {
        return Err(ProviderError::misconfigured(
            "`token` must not be written out: use `{ secret = \"NAME\" }` or `token_file`",
        )
        .at_key("token"));
    }
    let token = match (settings.secret("token"), settings.path("token_file")) {
        (Some(token), _) => Token::Given(token),
        (None, Some(path)) => Token::File(path),
        (None, None) => match context.env.var("FNOX_VAULT_TOKEN_FILE") {
            Some(path) => Token::File(path.into()),
            None => context
                .env
                .secret("FNOX_VAULT_TOKEN")
                .map_or(Token::None, Token::Given),
        },
    };
    Ok(Box::new(LentSecrets {
        connector: connector(settings, context)?,
        token,
        agent: settings.text("agent").map(str::to_owned),
        time_limit: context.time_limit,
    }))
}

fn connector(settings: &Settings, context: &Context) -> Result<Connector, ProviderError> {
    let (text, from_file) = match settings.text("socket") {
        Some(text) => (text, true),
        None => match context.env.var("FNOX_VAULT_SOCKET") {
            Some(text) => (text, false),
            None => return Ok(Connector::Unix(context.folders.runtime.join("vault.sock"))),
        },
    };
    let connector: Connector = text
        .parse()
        .map_err(|error| ProviderError::misconfigured(format!("{error}")).at_key("socket"))?;
    Ok(match connector {
        // A path alone is meant as every path of the file is.
        Connector::Unix(path) if from_file && !text.starts_with("unix:") => {
            Connector::Unix(settings.path("socket").unwrap_or(path))
        }
        other => other,
    })
}

#[derive(Debug)]
enum Token {
    Given(SecretString),
    File(PathBuf),
    /// The vault knows the user by its socket.
    None,
}

impl Token {
    fn read(&self) -> Result<Option<SecretString>, ProviderError> {
        use std::io::Read as _;
        let path = match self {
            Self::Given(token) => return Ok(Some(token.clone())),
            Self::None => return Ok(None),
            Self::File(path) => path,
        };
        let mut text = Zeroizing::new(String::new());
        std::fs::File::open(path)
            .and_then(|file| file.take(TOKEN_LIMIT).read_to_string(&mut text))
            .map_err(|error| {
                ProviderError::authentication(format!(
                    "the token cannot be read from {}: {error}",
                    path.display()
                ))
                .with_remedy("`fnox vault token create --output FILE` makes one")
            })?;
        Ok(Some(text.trim_end().into()))
    }
}

#[derive(Debug)]
struct LentSecrets {
    connector: Connector,
    token: Token,
    agent: Option<String>,
    time_limit: std::time::Duration,
}

impl LentSecrets {
    async fn connect(&self) -> Result<Client, ProviderError> {
        let mut options = ClientOptions::new(self.connector.clone());
        options.token = self.token.read()?;
        options.connect_timeout = options.connect_timeout.min(self.time_limit);
        options.request_timeout = self.time_limit;
        Client::connect(options)
            .await
            .map_err(|error| explain(&error))
    }

    /// Connects, and learns in whose name to ask.
    async fn lender(&self) -> Result<(VaultProvider, String), ProviderError> {
        let client = self.connect().await?;
        if let Some(agent) = &self.agent {
            return Ok((VaultProvider::new(client), agent.clone()));
        }
        let identity = client
            .call(&Whoami {})
            .await
            .map_err(|error| explain(&error))?;
        let is_agent = identity.role == Role::Agent;
        let agent = identity.agent.filter(|_| is_agent).ok_or_else(|| {
            ProviderError::misconfigured(
                "it is not clear in whose name to ask: set `agent`, or use an agent's token",
            )
            .at_key("agent")
        })?;
        Ok((VaultProvider::new(client), agent))
    }
}

#[async_trait]
impl Provider for LentSecrets {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        let asked: Vec<_> = requests
            .iter()
            .map(|request| target(&request.reference))
            .collect();
        if !asked.iter().any(Result::is_ok) {
            return asked
                .into_iter()
                .map(|target| Err(target.err().unwrap_or_else(|| ProviderError::not_found(""))))
                .collect();
        }
        let (lender, agent) = match self.lender().await {
            Ok(lender) => lender,
            Err(error) => return requests.iter().map(|_| Err(error.clone())).collect(),
        };
        let answers = asked.into_iter().map(|target| async {
            let (secret, host) = target?;
            fetch(&lender, &agent, &secret, &host).await
        });
        join_all(answers).await
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.lender().await.map(|_| ())
    }
}

/// Reads `NAME@HOST`.
fn target(reference: &str) -> Result<(String, String), ProviderError> {
    let wrong = |reason: &str| {
        ProviderError::misconfigured(format!(
            "the reference `{}` is not NAME@HOST: {reason}",
            reference.escape_debug()
        ))
    };
    let (name, host) = reference
        .rsplit_once('@')
        .ok_or_else(|| wrong("there is no `@`"))?;
    VaultName::parse(name).map_err(|error| wrong(&error.to_string()))?;
    let host = Host::parse(host).map_err(|error| wrong(&error.to_string()))?;
    Ok((name.to_owned(), host.to_string()))
}

async fn fetch(
    lender: &VaultProvider,
    agent: &str,
    secret: &str,
    host: &str,
) -> Result<SecretString, ProviderError> {
    let guard = lender
        .acquire(CredentialRequest::new(agent, secret, host))
        .await
        .map_err(|error| match error {
            LeaseError::Vault(error) => explain(&error),
            LeaseError::InjectOnly { .. } => ProviderError::denied(error.to_string()),
            other => ProviderError::unavailable(other.to_string()),
        })?;
    let value = guard
        .expose_str(|text: &str| SecretString::new(text.to_owned()))
        .map_err(|error| ProviderError::misconfigured(format!("`{secret}`: {error}")));
    // The value is here; if the vault does not hear that the lease is over, it only expires.
    if let Err(error) = guard.release().await {
        tracing::debug!("the lease of {secret} was not given back: {error}");
    }
    value
}

fn explain(error: &ClientError) -> ProviderError {
    match (error, error.known_code()) {
        (ClientError::Connect { to, source }, _) => {
            ProviderError::unavailable(format!("no vault answers at {to}: {source}"))
                .with_remedy("start it: fnox vault serve")
        }
        (_, Some(Code::AuthenticationFailed)) => ProviderError::authentication(error.to_string())
            .with_remedy("`fnox vault token create --output FILE` makes a token"),
        (_, Some(Code::AccessDenied | Code::RateLimited)) => {
            ProviderError::denied(error.to_string())
                .with_remedy("`fnox vault policy explain` tells which rule decides")
        }
        (_, Some(Code::SecretNotFound)) => {
            ProviderError::new(crate::error::ErrorKind::NotFound, error.to_string())
        }
        _ => ProviderError::unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_a_secret_and_a_host() {
        assert_eq!(
            target("a@b@API.github.com:443").unwrap(),
            ("a@b".to_owned(), "api.github.com:443".to_owned())
        );
        for reference in [
            "",
            "github-token",
            "@h.example",
            "t@",
            "t@*.example.com",
            "t@a/b",
        ] {
            let error = target(reference).unwrap_err();
            assert_eq!(error.code(), "provider::misconfigured", "{reference:?}");
        }
    }
}
