//! `vault`: fields of a KV engine (version 1 and 2) of HashiCorp Vault or OpenBao, over their HTTP API.
//!
//! A reference is `secret` or `secret/field`, below `path`; without a field it is `value`. A secret is read once for all
//! of its fields that are wanted. The token is one that somebody got, or one of a login that `auth` names. Writing one
//! field keeps the others: version 2 is written with check-and-set, so that nobody's change is lost; version 1 has no
//! such thing. Facts are from HashiCorp's pages "KV secrets
//! engine version 1 (API)", "KV secrets engine version 2 (API)" and "/sys/internal/ui/mounts".

mod answer;
mod login;
mod server;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use fnox_core::{Env, SecretString};
use fnox_http::Method;
use futures_util::StreamExt as _;
use futures_util::stream;

use self::answer::Stored;
use self::server::{Engine, Server};
use crate::error::{ErrorKind, ProviderError};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;

/// How many secrets are read at once.
const CONCURRENT: usize = 8;

/// Opens a provider of this type. Nothing is contacted yet.
///
/// # Errors
/// `Misconfigured` if address, path or certificates cannot be used, `AuthenticationNeeded` if there is no token.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    Ok(Box::new(Vault {
        server: Server::new(settings, context)?,
    }))
}

/// Whether it would be asked with the token that `vault login` leaves.
pub(crate) fn uses_login_of_others(settings: &Settings, env: &Env) -> bool {
    login::uses_login_of_others(settings, env)
}

/// The variables that tell a command where to log in, as `credential_command` has them.
pub(crate) fn place(settings: &Settings, env: &Env) -> Vec<(String, SecretString)> {
    server::place(settings, env)
}

#[derive(Debug)]
struct Vault {
    server: Server,
}

#[async_trait]
impl Provider for Vault {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        let engine = match self.server.engine().await {
            Ok(engine) => engine,
            Err(error) => return requests.iter().map(|_| Err(error.clone())).collect(),
        };
        let wanted: Vec<_> = requests
            .iter()
            .map(|request| parts(&request.reference))
            .collect();
        let secrets = wanted.iter().flatten().map(|(secret, _)| *secret).collect();
        let read = self.read(&engine, secrets).await;
        wanted
            .into_iter()
            .zip(requests)
            .map(|(wanted, request)| {
                let (secret, field) = wanted?;
                let stored = read.get(secret).map(Result::as_ref).transpose();
                stored
                    .map_err(Clone::clone)?
                    .and_then(|stored| stored.text(field))
                    .ok_or_else(|| ProviderError::not_found(&request.reference))
            })
            .collect()
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.server.engine().await.map(drop)
    }

    async fn put(&self, reference: &str, value: &SecretString) -> Result<String, ProviderError> {
        let (secret, field) = parts(reference)?;
        let engine = self.server.engine().await?;
        let mut stored = self.stored(&engine, secret).await?;
        stored.set(field, value);
        self.server.write(&engine, secret, &stored).await?;
        Ok(reference.to_owned())
    }

    async fn delete(&self, reference: &str) -> Result<(), ProviderError> {
        let (secret, field) = parts(reference)?;
        let engine = self.server.engine().await?;
        let mut stored = self.stored(&engine, secret).await?;
        if !stored.remove(field) {
            return Err(ProviderError::not_found(reference));
        }
        if stored.is_empty() {
            let path = engine.secret(secret);
            let answer = self.server.call(Method::DELETE, &path, None).await?;
            return self.server.expect_done(&answer, &path, "delete");
        }
        self.server.write(&engine, secret, &stored).await
    }
}

impl Vault {
    /// Reads each secret once, so that its fields are of one version.
    async fn read<'a>(
        &self,
        engine: &Engine,
        secrets: BTreeSet<&'a str>,
    ) -> BTreeMap<&'a str, Result<Stored, ProviderError>> {
        let reads: Vec<_> = secrets
            .into_iter()
            .map(|secret| async move { (secret, self.stored(engine, secret).await) })
            .collect();
        stream::iter(reads).buffered(CONCURRENT).collect().await
    }

    /// What is stored under a name, with its version; nothing if there is none, or its newest version was deleted.
    async fn stored(&self, engine: &Engine, secret: &str) -> Result<Stored, ProviderError> {
        let path = engine.secret(secret);
        let answer = self.server.call(Method::GET, &path, None).await?;
        if answer.status() != 404 {
            self.server.expect_success(&answer, &path, "read")?;
        }
        Stored::read(&answer, engine.is_second)
    }
}

/// The secret and its field.
fn parts(reference: &str) -> Result<(&str, &str), ProviderError> {
    let (secret, field) = reference.split_once('/').unwrap_or((reference, "value"));
    let is_name = |text: &str| !matches!(text, "" | "." | "..") && !text.contains(char::is_control);
    if is_name(secret) && is_name(field) && !field.contains('/') {
        return Ok((secret, field));
    }
    Err(ProviderError::new(
        ErrorKind::Misconfigured,
        format!(
            "`{}` is not `secret` or `secret/field`",
            reference.escape_debug()
        ),
    )
    .with_remedy("folders belong to the provider's `path`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_secret_and_a_field() {
        assert_eq!(parts("app").unwrap(), ("app", "value"));
        assert_eq!(parts("app/user").unwrap(), ("app", "user"));
        for wrong in ["", "/", "a/", "/a", "a/b/c", "..", ".", "../x", "a\nb"] {
            assert_eq!(
                parts(wrong).unwrap_err().kind,
                ErrorKind::Misconfigured,
                "{wrong}"
            );
        }
    }
}
