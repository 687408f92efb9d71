//! `doppler`: secrets of one config of Doppler, over its API.
//!
//! A reference is a secret's name. One call serves a batch, for up to a hundred names, and brings computed values:
//! those in which references to other secrets are filled in. No leases of dynamic secrets are taken.
//!
//! The token is the key `token`, else `FNOX_DOPPLER_TOKEN`, else `DOPPLER_TOKEN`, else that of `doppler login`, which its
//! program is asked for. A service token is for one config, and needs neither `project` nor `config`.
//!
//! Facts are from Doppler's pages "API Reference", "Secrets: List", "Secrets: List Names", "Secrets" (names) and "Secret
//! Visibility".

mod login;

use std::collections::BTreeSet;

use async_trait::async_trait;
use fnox_core::SecretString;
use fnox_http::{Answer, Call, Service, Url, below};
use serde::Deserialize;
use tokio::sync::OnceCell;

use self::login::{Login, Program};
use super::rest::{self, Found};
use crate::error::{ErrorKind, ProviderError};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;
use crate::wiped::Wiped;

const API: &str = "https://api.doppler.com";

/// How many names one call asks for, so that no address becomes too long.
const NAMES: usize = 100;

/// Opens a provider of this type. Nothing is contacted yet.
///
/// # Errors
/// `Misconfigured` if the address cannot be used.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let env = &context.env;
    Ok(Box::new(Doppler {
        service: rest::service("Doppler", context, None)?,
        base: rest::base(env, &["DOPPLER_API_HOST"], API)?,
        given: Login {
            token: rest::credential(
                settings,
                "token",
                env,
                &["FNOX_DOPPLER_TOKEN", "DOPPLER_TOKEN"],
            ),
            project: settings.text("project").map(str::to_owned),
            config: settings.text("config").map(str::to_owned),
        },
        program: Program::new(context),
        login: OnceCell::new(),
    }))
}

#[derive(Debug)]
struct Doppler {
    service: Service,
    base: Url,
    /// What the configuration and the environment say.
    given: Login,
    program: Program,
    login: OnceCell<Ready>,
}

/// A token, and the config that it is used for.
#[derive(Debug)]
struct Ready {
    token: SecretString,
    project: Option<String>,
    config: Option<String>,
}

/// "Secrets: List".
#[derive(Deserialize)]
struct Listed {
    secrets: std::collections::BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Value {
    /// `null` where the token may not see the value.
    computed: Option<Wiped>,
}

/// "Secrets: List Names".
#[derive(Deserialize)]
struct Names {
    names: Vec<String>,
}

#[async_trait]
impl Provider for Doppler {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        let mut found = Found::new();
        let mut names = BTreeSet::new();
        for request in requests {
            let name = request.reference.as_str();
            if is_name(name) {
                names.insert(name);
            } else {
                found.insert(name.to_owned(), Err(no_name(name)));
            }
        }
        if let Err(error) = self.read(&names, &mut found).await {
            for name in names {
                found.insert(name.to_owned(), Err(error.clone()));
            }
        }
        rest::in_order(requests, &found)
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let service = self.service.restarted();
        let names: Names = self.call(service, "names", &[]).await?;
        tracing::debug!("the config has {} secrets", names.names.len());
        Ok(())
    }
}

impl Doppler {
    async fn read(&self, names: &BTreeSet<&str>, found: &mut Found) -> Result<(), ProviderError> {
        let service = self.service.restarted();
        let names: Vec<&str> = names.iter().copied().collect();
        for part in names.chunks(NAMES) {
            let query = [
                ("secrets", part.join(",")),
                ("include_dynamic_secrets", "false".to_owned()),
            ];
            let listed: Listed = self.call(service.clone(), "", &query).await?;
            for (name, value) in listed.secrets {
                let value = match value.computed {
                    Some(Wiped(value)) => Ok(value),
                    None => Err(restricted(&name)),
                };
                found.insert(name, value);
            }
        }
        Ok(())
    }

    /// `GET /v3/configs/config/secrets`, or what is below it.
    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        mut service: Service,
        below_secrets: &str,
        query: &[(&str, String)],
    ) -> Result<T, ProviderError> {
        let ready = self.ready().await?;
        service.hide(&ready.token);
        let mut path = vec!["v3", "configs", "config", "secrets"];
        path.extend([below_secrets].into_iter().filter(|part| !part.is_empty()));
        let mut call = Call::get(below(&self.base, &path)).bearer(&ready.token)?;
        for (name, value) in [("project", &ready.project), ("config", &ready.config)] {
            if let Some(value) = value {
                call = call.query(name, value);
            }
        }
        for (name, value) in query {
            call = call.query(name, value);
        }
        let answer = service.send(call).await?;
        if answer.is_success() {
            return Ok(answer.json(&service)?);
        }
        Err(refused(&service, &answer, ready))
    }

    async fn ready(&self) -> Result<&Ready, ProviderError> {
        self.login
            .get_or_try_init(|| async {
                let given = self.given.clone();
                let login = match given.token {
                    Some(_) => given,
                    None => self.program.complete(given).await?,
                };
                let token = login.token.ok_or_else(login::missing)?;
                Ok(Ready {
                    token,
                    project: login.project,
                    config: login.config,
                })
            })
            .await
    }
}

/// "Secret names may only contain uppercase letters, numbers, and underscores", "may not start with a number".
fn is_name(name: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().all(is_good)
        && name
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit())
}

fn no_name(name: &str) -> ProviderError {
    ProviderError::not_found(name).with_remedy(
        "names of Doppler have capital letters, digits and `_`, and begin with no digit",
    )
}

fn restricted(name: &str) -> ProviderError {
    ProviderError::denied(format!(
        "Doppler does not show the value of `{name}` to this token"
    ))
    .with_remedy("its visibility is `restricted`: only a service token reads it")
}

fn refused(service: &Service, answer: &Answer, ready: &Ready) -> ProviderError {
    let error = rest::refusal(service, answer, "/messages/0");
    let config = match (&ready.project, &ready.config) {
        (Some(project), Some(config)) => {
            format!("the config `{config}` of the project `{project}`")
        }
        _ => "the config".to_owned(),
    };
    match answer.status() {
        401 => error.with_remedy(
            "set DOPPLER_TOKEN to a token that is valid, or log in again with `doppler login`",
        ),
        403 => error.with_remedy(format!("give the token's owner access to {config}")),
        404 => error.with_remedy(format!("is there {config}, and may the token see it?")),
        400 if error.kind == ErrorKind::Misconfigured => error
            .with_remedy("set `project` and `config`; only a service token knows them by itself"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_change_the_list() {
        for good in ["A", "_A", "DATABASE_URL2"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a", "2A", "A,B", "A B", "A-B", "Ä", "A\n"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
