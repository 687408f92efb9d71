//! Calls to one server in one namespace: one time limit each, answers of 2 MiB at most, no redirects.

use std::time::Duration;

use fnox_core::SecretString;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, Client, Method, Url};
use zeroize::Zeroizing;

use super::answer::{Answer, Stored};
use crate::error::ProviderError;
use crate::provider::Context;
use crate::settings::Settings;

const ANSWER_LIMIT: usize = 2 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Server {
    client: Client,
    address: Url,
    path: String,
    namespace: Option<String>,
    token: SecretString,
    time_limit: Duration,
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
        let chosen = |key: &str, own: &str, plain: &str| {
            let named = |name: &str| env.var(name).filter(|text| !text.is_empty());
            settings
                .text(key)
                .map(str::to_owned)
                .or_else(|| named(own).or_else(|| named(plain)).map(str::to_owned))
        };
        if settings.text("credential_command").is_some() {
            return Err(ProviderError::misconfigured(
                "`credential_command` is not supported by providers of type `vault` yet",
            )
            .with_remedy("give the token by VAULT_TOKEN, or log in with `vault login`")
            .at_key("credential_command"));
        }
        let address = chosen("address", "FNOX_VAULT_ADDR", "VAULT_ADDR").ok_or_else(|| {
            ProviderError::misconfigured("nothing says where Vault is")
                .with_remedy("set `address`, or VAULT_ADDR")
                .at_key("address")
        })?;
        let path = settings.text("path").unwrap_or("secret").trim_matches('/');
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(
                ProviderError::misconfigured("`path` is no path of an engine").at_key("path"),
            );
        }
        let token = match chosen("token", "FNOX_VAULT_TOKEN", "VAULT_TOKEN") {
            Some(token) => SecretString::new(token),
            None => token_of_file(context)?,
        };
        let address = parse(&address)?;
        Ok(Self {
            client: client(context, is_here(&address))?,
            address,
            path: path.to_owned(),
            namespace: chosen("namespace", "FNOX_VAULT_NAMESPACE", "VAULT_NAMESPACE"),
            token,
            time_limit: context.time_limit,
        })
    }

    /// The engine that `path` is in ("/sys/internal/ui/mounts/:path", for which any right below it is enough).
    pub(super) async fn engine(&self) -> Result<Engine, ProviderError> {
        let asked = format!("sys/internal/ui/mounts/{}", self.path);
        let answer = self.call(Method::GET, &asked, None).await?;
        self.expect_success(&answer, &self.path, "read")?;
        let body = answer.json()?;
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

    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Answer, ProviderError> {
        let mut url = self.address.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path.split('/'));
        }
        let mut token = header(self.token.expose_secret(), "token")?;
        token.set_sensitive(true);
        let mut request = self
            .client
            .request(method, url)
            .header("x-vault-request", "true")
            .header("x-vault-token", token);
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", header(namespace, "namespace")?);
        }
        if let Some(body) = body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_vec());
        }
        tokio::time::timeout(self.time_limit, answer(request))
            .await
            .map_err(|_| {
                ProviderError::unavailable(format!(
                    "Vault did not answer within {} s",
                    self.time_limit.as_secs()
                ))
            })?
    }

    /// Whether a change was made: 204, or an answer in JSON, which a login page of some network is not.
    pub(super) fn expect_done(
        &self,
        answer: &Answer,
        path: &str,
        capability: &str,
    ) -> Result<(), ProviderError> {
        self.expect_success(answer, path, capability)?;
        if answer.status != 204 {
            answer.json()?;
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
        let status = answer.status;
        Err(match status {
            200..=299 => return Ok(()),
            403 if said.contains("invalid token") || said.contains("bad token") => {
                ProviderError::authentication(format!("Vault does not accept the token: {said}"))
                    .with_remedy("log in again, for example with `vault login`")
            }
            403 => ProviderError::denied(format!("Vault does not allow `{capability}` of `{path}`: {said}"))
                .with_remedy(format!("a policy of the token needs `{capability}` for `{path}`; Vault answers the same if the token has expired")),
            400 if said.contains("check-and-set") => {
                ProviderError::unavailable("somebody else changed the secret at the same time")
                    .with_remedy("try again")
            }
            404 => ProviderError::not_found(path),
            400..=499 if status != 429 => ProviderError::misconfigured(format!(
                "Vault refused `{capability}` of `{path}` (status {status}): {said}"
            )),
            503 => ProviderError::unavailable(format!("Vault is sealed or not ready (status 503): {said}")),
            _ => ProviderError::unavailable(format!("Vault failed with status {status}: {said}")),
        })
    }

    /// What Vault says of a refusal (`{"errors": […]}`): one line, without the token.
    fn said(&self, answer: &Answer) -> String {
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let errors = body["errors"].as_array().map_or(&[][..], Vec::as_slice);
        let texts: Vec<&str> = errors
            .iter()
            .filter_map(serde_json::Value::as_str)
            .collect();
        let text = texts
            .join("; ")
            .replace(self.token.expose_secret(), "[redacted]")
            .replace(char::is_control, " ");
        match text.trim() {
            "" => "no reason given".to_owned(),
            text => text.chars().take(300).collect(),
        }
    }
}

/// The token that `vault login` left.
fn token_of_file(context: &Context) -> Result<SecretString, ProviderError> {
    let file = context.folders.home().map(|home| home.join(".vault-token"));
    let text = file.and_then(|file| std::fs::read_to_string(file).ok());
    text.map(Zeroizing::new)
        .map(|text| SecretString::from(text.trim()))
        .filter(|token| !token.is_empty())
        .ok_or_else(|| {
            ProviderError::authentication("there is no token for Vault")
                .with_remedy("set VAULT_TOKEN, or log in with `vault login`")
        })
}

fn client(context: &Context, is_local: bool) -> Result<Client, ProviderError> {
    // A second call finds the provider of the first one, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .connect_timeout(context.time_limit)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .user_agent(concat!("fnox/", env!("CARGO_PKG_VERSION")));
    // What goes to this machine without TLS is for no proxy to see.
    if is_local {
        builder = builder.no_proxy();
    } else {
        builder = builder.https_only(true);
    }
    if let Some(file) = context
        .env
        .var("VAULT_CACERT")
        .filter(|file| !file.is_empty())
    {
        let unusable = |reason: String| {
            ProviderError::misconfigured(format!(
                "the certificates of VAULT_CACERT cannot be used: {reason}"
            ))
        };
        let pem = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
        let certificates =
            Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder
        .build()
        .map_err(|error| ProviderError::unavailable(format!("Vault cannot be called: {error}")))
}

fn parse(text: &str) -> Result<Url, ProviderError> {
    Url::parse(text)
        .ok()
        .filter(|url| url.scheme() == "https" || (url.scheme() == "http" && is_here(url)))
        .filter(|url| url.username().is_empty() && url.password().is_none())
        .ok_or_else(|| {
            ProviderError::misconfigured(
                "the address of Vault must be an `https://` URL (`http://` only on this machine)",
            )
            .at_key("address")
        })
}

fn is_here(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

fn header(text: &str, key: &'static str) -> Result<HeaderValue, ProviderError> {
    HeaderValue::from_str(text).map_err(|_| {
        ProviderError::misconfigured(format!("the {key} has characters that no header can have"))
            .at_key(key)
    })
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Answer, ProviderError> {
    let lost = |error: reqwest::Error| {
        ProviderError::unavailable(format!("Vault cannot be reached: {}", error.without_url()))
            .with_remedy("is the address right, and the server running?")
    };
    let mut response = request.send().await.map_err(lost)?;
    let mut body = Zeroizing::new(Vec::new());
    while let Some(part) = response.chunk().await.map_err(lost)? {
        if body.len() + part.len() > ANSWER_LIMIT {
            return Err(ProviderError::unavailable(
                "Vault's answer is larger than 2 MiB",
            ));
        }
        body.extend_from_slice(&part);
    }
    Ok(Answer {
        status: response.status().as_u16(),
        body,
    })
}
