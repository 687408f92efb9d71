//! `azure-ac`: key-values of Azure App Configuration, over its REST API.
//!
//! A reference is a key below `prefix`; `label` chooses among values of one key. A key-value that refers to a secret of Key
//! Vault (`application/vnd.microsoft.appconfig.keyvaultref+json`) gives that secret's value: whoever writes the store says
//! where fnox goes then, so it goes only to vaults of the same cloud. Nothing is written: who may change configuration need
//! not be whoever reads it.

use async_trait::async_trait;
use fnox_core::SecretString;
use fnox_http::{Call, Url};
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;

use super::azure::{AT_ONCE, CONFIGURATION, Facts, Login, Place, Session, VAULT};
use super::azure_sm;
use crate::error::{ErrorKind, ProviderError};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;
use crate::wiped::Wiped;

/// The content type of references to secrets ("Use Key Vault references"); parameters may follow.
const VAULT_REFERENCE: &str = "application/vnd.microsoft.appconfig.keyvaultref+json";

const READER: &str = "App Configuration Data Reader";

/// Opens a provider of this type. Nothing is contacted yet.
///
/// # Errors
/// `Misconfigured` if `endpoint` is no store's.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let store = CONFIGURATION.place(settings, "endpoint")?;
    Ok(Box::new(Configuration {
        login: Login::of(settings, context, &CONFIGURATION, &store),
        vaults: Login::in_cloud(settings, context, &VAULT, store.cloud),
        store,
        label: settings.text("label").map(str::to_owned),
        prefix: settings.text("prefix").unwrap_or_default().to_owned(),
    }))
}

#[derive(Debug)]
struct Configuration {
    login: Login,
    vaults: Login,
    store: Place,
    label: Option<String>,
    prefix: String,
}

#[derive(Deserialize)]
struct KeyValue {
    value: Option<Wiped>,
    content_type: Option<String>,
}

#[derive(Deserialize)]
struct VaultReference {
    uri: String,
}

#[async_trait]
impl Provider for Configuration {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        let session = match self.login.session(&self.store).await {
            Ok(session) => session,
            Err(error) => return vec![Err(error); requests.len()],
        };
        let reads: Vec<_> = requests
            .iter()
            .map(|request| self.read(&session, &request.reference))
            .collect();
        stream::iter(reads).buffered(AT_ONCE).collect().await
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let session = self.login.session(&self.store).await?;
        // A key that nobody has: the answer tells whether there is a way. Roles are about whole stores.
        match self.key_value(&session, "fnox-check-of-access").await {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Configuration {
    async fn read(
        &self,
        session: &Session,
        reference: &str,
    ) -> Result<SecretString, ProviderError> {
        let found = self.key_value(session, reference).await?;
        let none = || ProviderError::not_found(reference);
        let value = found.value.ok_or_else(none)?.0;
        let kind = found.content_type.unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case(VAULT_REFERENCE) {
            return self.follow(reference, &value).await;
        }
        Ok(value)
    }

    /// "Get key-value". Without a label, it is the one that has none.
    async fn key_value(
        &self,
        session: &Session,
        reference: &str,
    ) -> Result<KeyValue, ProviderError> {
        let key = format!("{}{reference}", self.prefix);
        // "`.` and `..`" are no keys (Keys and values), and would lead elsewhere in a path.
        if reference.is_empty() || matches!(key.as_str(), "." | "..") || key.contains('%') {
            return Err(ProviderError::misconfigured(format!(
                "`{}` cannot be a key of App Configuration",
                key.escape_debug()
            ))
            .with_remedy("any text can but `.`, `..` and one with `%` in it"));
        }
        let mut call = Call::get(session.url(&["kv", &key]));
        if let Some(label) = &self.label {
            call = call.query("label", label);
        }
        let facts = Facts {
            what: "key-value",
            name: reference,
            permission: "",
            role: READER,
        };
        session.ask(call, &facts).await
    }

    /// The secret that a value refers to.
    async fn follow(
        &self,
        reference: &str,
        value: &SecretString,
    ) -> Result<SecretString, ProviderError> {
        let shown = reference.escape_debug();
        let no_reference = || {
            ProviderError::misconfigured(format!(
                "the key-value `{shown}` says that it refers to a secret of Key Vault, and does not name one"
            ))
            .with_remedy("it must be `{\"uri\": \"https://VAULT.vault.azure.net/secrets/NAME\"}`")
        };
        let target: VaultReference =
            serde_json::from_str(value.expose_secret()).map_err(|_| no_reference())?;
        let url = Url::parse(&target.uri).map_err(|_| no_reference())?;
        let vault = self.vault(&url).ok_or_else(|| {
            ProviderError::denied(format!(
                "the key-value `{shown}` refers to {}, which is no vault of the store's cloud",
                url.host_str().unwrap_or("nowhere").escape_debug()
            ))
            .with_remedy("correct it in the store; fnox's tokens go to vaults alone")
        })?;
        let path = url.path().strip_prefix("/secrets/");
        let name = path.and_then(|path| azure_sm::Name::parse(path.trim_end_matches('/')));
        let name = name.ok_or_else(no_reference)?;
        let session = self.vaults.session(&vault).await?;
        let read = azure_sm::read(&session, &name).await;
        read.map_err(|error| about(error, reference, &vault, &name))
    }

    /// A vault of the store's cloud. A store on this machine may lead to one on this machine, no other one.
    fn vault(&self, url: &Url) -> Option<Place> {
        let is_local = fnox_http::address::is_loopback;
        let vault = VAULT.place_of(url)?;
        let is_safe = url.scheme() == "https" || is_local(url);
        let is_near = !is_local(url) || is_local(&self.store.url);
        (vault.cloud == self.store.cloud && is_safe && is_near).then_some(vault)
    }
}

fn about(
    error: ProviderError,
    reference: &str,
    vault: &Place,
    name: &azure_sm::Name,
) -> ProviderError {
    let (shown, vault, secret) = (reference.escape_debug(), vault.name(), &name.secret);
    ProviderError {
        message: format!(
            "the key-value `{shown}` refers to the secret `{secret}` of the vault {vault}: {}",
            error.message
        ),
        ..error
    }
}
