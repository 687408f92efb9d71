//! Calls to one server in one namespace, and where and what its engine is.
//!
//! Each call has `X-Vault-Request: true`, which a Vault Agent or Proxy may ask for against forged requests, and the namespace
//! ("Namespaces": `X-Vault-Namespace`).

use std::path::PathBuf;

use fnox_core::{Env, SecretString};
use fnox_http::header::{CONTENT_TYPE, HeaderName};
use fnox_http::{Answer, Call, Method, Service, Url, address, below};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::answer::{Stored, json};
use super::login::Login;
use crate::backend::rest;
use crate::error::{ErrorKind, ProviderError};
use crate::provider::Context;
use crate::settings::Settings;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

const ADDRESSES: [&str; 3] = ["FNOX_VAULT_ADDR", "VAULT_ADDR", "BAO_ADDR"];
const NAMESPACES: [&str; 3] = ["FNOX_VAULT_NAMESPACE", "VAULT_NAMESPACE", "BAO_NAMESPACE"];

#[derive(Debug)]
pub(super) struct Server {
    service: Service,
    pub(super) address: Url,
    path: String,
    pub(super) namespace: Option<String>,
    login: Login,
    token: OnceCell<SecretString>,
}

/// A KV engine, and the folder below it.
pub(super) struct Engine {
    mount: String,
    folder: String,
    /// Whether it is of version 2.
    pub(super) is_second: bool,
}

impl Engine {
    /// The API's path of a secret.
    pub(super) fn secret(&self, name: &str) -> String {
        let data = ["", "data/"][usize::from(self.is_second)];
        format!("{}{data}{}{name}", self.mount, self.folder)
    }
}

impl Server {
    pub(super) fn new(settings: &Settings, context: &Context) -> Result<Self, ProviderError> {
        let env = &context.env;
        let text = chosen(settings, env, "address", &ADDRESSES).ok_or_else(|| {
            ProviderError::misconfigured("nothing says where Vault is")
                .with_remedy("set `address`, or VAULT_ADDR")
                .at_key("address")
        })?;
        let address = address::parse(text).map_err(|reason| {
            ProviderError::misconfigured(format!("the address of Vault {reason}")).at_key("address")
        })?;
        let path = settings.text("path").unwrap_or("secret").trim_matches('/');
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(
                ProviderError::misconfigured("`path` is no path of an engine").at_key("path"),
            );
        }
        let ca_file = ca_file(settings, env)?;
        let namespace = namespace(settings, env);
        let values = [
            ("address", address.as_str()),
            ("path", path),
            ("namespace", namespace.as_deref().unwrap_or_default()),
        ];
        let login = Login::new(settings, context, &values)?;
        Ok(Self {
            service: rest::service("Vault", context, ca_file.as_deref())?,
            path: path.to_owned(),
            address,
            namespace,
            login,
            token: OnceCell::new(),
        })
    }

    /// The engine that `path` is in ("/sys/internal/ui/mounts/:path", for which any right below it is enough).
    pub(super) async fn engine(&self) -> Result<Engine, ProviderError> {
        let asked = format!("sys/internal/ui/mounts/{}", self.path);
        let answer = self.call(Method::GET, &asked, None).await?;
        self.expect_success(&answer, &self.path, "read")?;
        let body = json(&answer)?;
        let data = &body["data"];
        let whole = format!("{}/", self.path);
        let folder = data["path"]
            .as_str()
            .and_then(|mount| Some((mount, whole.strip_prefix(mount)?)));
        let (Some((mount, folder)), Some("kv" | "generic")) = (folder, data["type"].as_str())
        else {
            return Err(ProviderError::misconfigured(format!(
                "`{}` is not in a KV engine of Vault",
                self.path.escape_debug()
            ))
            .at_key("path"));
        };
        Ok(Engine {
            mount: mount.to_owned(),
            folder: folder.to_owned(),
            is_second: data["options"]["version"].as_str() == Some("2"),
        })
    }

    /// Writes all fields of a secret.
    pub(super) async fn write(
        &self,
        engine: &Engine,
        secret: &str,
        stored: &Stored,
    ) -> Result<(), ProviderError> {
        let path = engine.secret(secret);
        let answer = self.call(Method::POST, &path, Some(stored.body())).await?;
        self.expect_done(&answer, &path, "update")
    }

    /// A call with the token, after a login if there is none yet.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Answer, ProviderError> {
        let token = self.token().await?;
        let mut service = self.service.restarted();
        service.hide(token);
        let is_read = method == Method::GET;
        let mut call = self.prepared(method, path)?.secret_header(TOKEN, token)?;
        if let Some(body) = body {
            call = call
                .header(CONTENT_TYPE, "application/json")?
                .body(body.to_vec());
        }
        if !is_read {
            call = call.changes();
        }
        Ok(service.send(call).await?)
    }

    /// A call without a token.
    pub(super) fn prepared(&self, method: Method, path: &str) -> Result<Call, ProviderError> {
        let segments: Vec<&str> = std::iter::once("v1").chain(path.split('/')).collect();
        let call = Call::new(method, below(&self.address, &segments)).header(REQUEST, "true")?;
        match &self.namespace {
            Some(namespace) => Ok(call.header(NAMESPACE, namespace)?),
            None => Ok(call),
        }
    }

    async fn token(&self) -> Result<&SecretString, ProviderError> {
        self.token
            .get_or_try_init(|| self.login.token(self, self.service.restarted()))
            .await
    }

    /// Whether a change was made: 204, or an answer in JSON, which a login page of some network is not.
    pub(super) fn expect_done(
        &self,
        answer: &Answer,
        path: &str,
        capability: &str,
    ) -> Result<(), ProviderError> {
        self.expect_success(answer, path, capability)?;
        if answer.status() != 204 {
            json(answer)?;
        }
        Ok(())
    }

    pub(super) fn expect_success(
        &self,
        answer: &Answer,
        path: &str,
        capability: &str,
    ) -> Result<(), ProviderError> {
        let said = self.said(answer);
        let status = answer.status();
        Err(match status {
            200..=299 => return Ok(()),
            403 if is_bad_token(&said) => {
                ProviderError::authentication(format!("Vault does not accept the token: {said}"))
                    .with_remedy("log in again, for example with `vault login`")
            }
            401 => ProviderError::authentication(format!("Vault does not accept the token (status 401): {said}"))
                .with_remedy("log in again, for example with `vault login`"),
            403 => ProviderError::denied(format!("Vault does not allow `{capability}` of `{path}`: {said}"))
                .with_remedy(format!("a policy of the token needs `{capability}` for `{path}`; Vault answers the same if the token has expired")),
            400 if said.contains("check-and-set") => {
                ProviderError::unavailable("somebody else changed the secret at the same time")
                    .with_remedy("try again")
            }
            404 => ProviderError::not_found(path),
            412 | 472 | 473 => ProviderError::unavailable(format!(
                "this node of Vault cannot answer yet (status {status}): {said}"
            ))
            .with_remedy("try again, or use the address of the active node"),
            400..=499 => ProviderError::new(ErrorKind::Misconfigured, format!(
                "Vault refused `{capability}` of `{path}` (status {status}): {said}"
            )),
            _ => ProviderError::unavailable(format!(
                "Vault sends to another address or answers strangely (status {status})"
            ))
            .with_remedy("use the address of the active node or of the load balancer"),
        })
    }

    /// What Vault says of a refusal (`{"errors": […]}`): one line, without the token.
    pub(super) fn said(&self, answer: &Answer) -> String {
        let said = answer
            .said()
            .unwrap_or_else(|| "no reason given".to_owned());
        let token = self.token.get().cloned();
        fnox_http::cleaned(&said, token.as_slice())
    }
}

/// What Vault's own programs read where the server is from ("Commands (CLI)", "Environment variables").
pub(super) fn place(settings: &Settings, env: &Env) -> Vec<(String, SecretString)> {
    let address = chosen(settings, env, "address", &ADDRESSES).map(SecretString::from);
    let namespace = namespace(settings, env).map(SecretString::new);
    [("VAULT_ADDR", address), ("VAULT_NAMESPACE", namespace)]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn namespace(settings: &Settings, env: &Env) -> Option<String> {
    let text = chosen(settings, env, "namespace", &NAMESPACES)?.trim_matches('/');
    (!text.is_empty()).then(|| text.to_owned())
}

/// A key, else the first of these variables.
fn chosen<'a>(settings: &'a Settings, env: &'a Env, key: &str, names: &[&str]) -> Option<&'a str> {
    let of_key = settings.text(key);
    of_key.or_else(|| rest::variable(env, names))
}

/// Whether a refusal is of the token itself: newer servers say so beside "permission denied".
fn is_bad_token(said: &str) -> bool {
    [
        "invalid token",
        "bad token",
        "missing client token",
        "token not found",
    ]
    .iter()
    .any(|text| said.contains(text))
}

/// The file of trusted certificates. What would weaken the check of the server's certificate is refused.
fn ca_file(settings: &Settings, env: &Env) -> Result<Option<PathBuf>, ProviderError> {
    for name in ["VAULT_SKIP_VERIFY", "BAO_SKIP_VERIFY"] {
        if env.var(name).is_some_and(|text| !text.is_empty()) && env.switch(name) != Some(false) {
            return Err(ProviderError::misconfigured(format!(
                "{name} is set, and fnox sends no token to a server that it cannot tell from another one"
            ))
            .with_remedy(format!(
                "unset {name} and name the server's certificate with `ca_file` or VAULT_CACERT"
            )));
        }
    }
    Ok(settings
        .path("ca_file")
        .or_else(|| rest::variable(env, &["VAULT_CACERT", "BAO_CACERT"]).map(PathBuf::from)))
}
