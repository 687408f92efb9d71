//! The keys of an `azure-token` lease, checked, so that a wrong value is an error with a line in `fnox.toml`.

use std::path::{Path, PathBuf};

use fnox_config::{ConfigError, Fields};
use fnox_core::Env;
use fnox_core::name::is_variable_name;
use reqwest::Url;

use crate::identity_token::IdentityToken;
use crate::issuer;
use crate::mint::MintError;

/// How to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Auth {
    Auto,
    ClientSecret,
    Certificate,
    Federated,
    ManagedIdentity,
    AzureCli,
}

impl Auth {
    pub(super) const ALL: [Self; 5] = [
        Self::ClientSecret,
        Self::Certificate,
        Self::Federated,
        Self::ManagedIdentity,
        Self::AzureCli,
    ];

    /// The one of a word. Other tools write `managed_identity`.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let word = word.replace('_', "-");
        let mut all = Self::ALL.into_iter().chain([Self::Auto]);
        all.find(|auth| auth.name() == word)
    }

    /// Its word in `auth`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::ClientSecret => "client-secret",
            Self::Certificate => "certificate",
            Self::Federated => "federated",
            Self::ManagedIdentity => "managed-identity",
            Self::AzureCli => "azure-cli",
        }
    }
}

/// A lease's keys.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) scope: String,
    pub(super) env_var: String,
    pub(super) auth: Auth,
    pub(super) tenant: Option<String>,
    pub(super) client: Option<String>,
    pub(super) certificate_file: Option<PathBuf>,
    pub(super) identity: IdentityToken,
    pub(super) managed_identity: Option<String>,
    pub(super) managed_identity_endpoint: Option<Url>,
    authority: Option<Url>,
    /// The cloud whose authority it is where neither the lease nor the environment names one.
    cloud: &'static str,
}

/// The suffix of a scope that stands for all that the application may do at one resource.
const DEFAULT: &str = "/.default";

/// "Federated identity credentials": the audience that Entra recommends and the portal fills in.
const AUDIENCE: &str = "api://AzureADTokenExchange";

impl Settings {
    pub(super) fn read(fields: &Fields, home: Option<&Path>) -> Result<Self, ConfigError> {
        let scope = fields.text("scope").unwrap_or_default();
        if scope.split_whitespace().count() != 1 || scope.trim() != scope {
            return Err(fields.invalid("scope", "must name one resource: one word"));
        }
        if !scope.ends_with(DEFAULT) || scope.len() == DEFAULT.len() {
            return Err(fields.invalid(
                "scope",
                "must be a resource and `/.default`, such as https://management.azure.com/.default",
            ));
        }
        let env_var = fields.text("env_var").unwrap_or("AZURE_ACCESS_TOKEN");
        if !is_variable_name(env_var) {
            return Err(fields.invalid("env_var", "must be the name of a variable"));
        }
        let variable = fields.text("identity_token_variable");
        if variable.is_some_and(|name| !is_variable_name(name)) {
            return Err(fields.invalid("identity_token_variable", "must be the name of a variable"));
        }
        for key in ["tenant_id", "client_id", "managed_identity_client_id"] {
            if fields.text(key).is_some_and(|text| !is_id(text)) {
                return Err(fields.invalid(key, "must be an id (or a tenant's domain)"));
            }
        }
        let text = |key: &str| fields.text(key).map(str::to_owned);
        Ok(Self {
            scope: scope.to_owned(),
            env_var: env_var.to_owned(),
            auth: Auth::ALL
                .into_iter()
                .find(|auth| fields.text("auth") == Some(auth.name()))
                .unwrap_or(Auth::Auto),
            tenant: text("tenant_id"),
            client: text("client_id"),
            certificate_file: fields.path("certificate_file", home),
            identity: IdentityToken::of(fields, home, AUDIENCE),
            managed_identity: text("managed_identity_client_id"),
            managed_identity_endpoint: match fields.text("managed_identity_endpoint") {
                Some(text) => Some(
                    issuer::parse_of_machine(text)
                        .map_err(|reason| fields.invalid("managed_identity_endpoint", reason))?,
                ),
                None => None,
            },
            authority: authority(fields)?,
            cloud: "public",
        })
    }

    /// What logs in for a provider, which has no keys of its own but these: `auth` in one of the words of [`Auth::name`], an
    /// identity of the machine, and the cloud that the scope is in.
    pub(super) fn of_provider(
        scope: &str,
        auth: Auth,
        managed_identity: Option<&str>,
        cloud: &'static str,
    ) -> Self {
        Self {
            scope: scope.to_owned(),
            env_var: String::new(),
            auth,
            tenant: None,
            client: None,
            certificate_file: None,
            identity: IdentityToken::of_ci(AUDIENCE),
            managed_identity: managed_identity.map(str::to_owned),
            managed_identity_endpoint: None,
            authority: None,
            cloud,
        }
    }

    /// The tenant: the lease's, or the environment's.
    pub(super) fn tenant<'a>(&'a self, env: &'a Env) -> Option<&'a str> {
        self.tenant
            .as_deref()
            .or_else(|| env.var("AZURE_TENANT_ID"))
    }

    /// The application: the lease's, or the environment's.
    pub(super) fn client<'a>(&'a self, env: &'a Env) -> Option<&'a str> {
        self.client
            .as_deref()
            .or_else(|| env.var("AZURE_CLIENT_ID"))
    }

    /// Where to log in: as the lease says, or the environment, or at the public cloud.
    pub(super) fn authority(&self, env: &Env) -> Result<Url, MintError> {
        if let Some(url) = &self.authority {
            return Ok(url.clone());
        }
        let Some(host) = env.var("AZURE_AUTHORITY_HOST") else {
            return issuer::address("cloud", &host_of(self.cloud));
        };
        // Microsoft's own libraries take it without the scheme too.
        let text = if host.contains("://") {
            host.to_owned()
        } else {
            format!("https://{host}")
        };
        issuer::parse(&text).map_err(|reason| {
            MintError::authentication(format!("the variable AZURE_AUTHORITY_HOST {reason}"))
        })
    }

    /// The resource of the scope, for endpoints that want that.
    pub(super) fn resource(&self) -> &str {
        self.scope.strip_suffix(DEFAULT).unwrap_or(&self.scope)
    }
}

fn authority(fields: &Fields) -> Result<Option<Url>, ConfigError> {
    let (key, text) = match (fields.text("authority_host"), fields.text("cloud")) {
        (Some(_), Some(_)) => {
            return Err(fields.invalid(
                "authority_host",
                "and `cloud` both say where to log in: one of them",
            ));
        }
        (Some(host), None) => ("authority_host", host.to_owned()),
        (None, Some(cloud)) => ("cloud", host_of(cloud)),
        (None, None) => return Ok(None),
    };
    match issuer::parse(&text) {
        Ok(url) => Ok(Some(url)),
        Err(reason) => Err(fields.invalid(key, reason)),
    }
}

/// "National clouds": the endpoints of Microsoft Entra.
fn host_of(cloud: &str) -> String {
    let host = match cloud {
        "government" => "login.microsoftonline.us",
        "china" => "login.chinacloudapi.cn",
        _ => "login.microsoftonline.com",
    };
    format!("https://{host}")
}

/// An id or a domain: it becomes a part of a path.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
        && !text.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::super::tests::{context, settings};
    use super::{Auth, Settings};

    #[test]
    fn what_the_lease_says_of_the_cloud_wins() {
        let at = |toml: &str, variables: &[(&str, &str)]| {
            let url = settings(toml).authority(&context(variables).env).unwrap();
            url.host_str().unwrap().to_owned()
        };
        let variable = [("AZURE_AUTHORITY_HOST", "login.microsoftonline.us")];
        assert_eq!(at("", &[]), "login.microsoftonline.com");
        assert_eq!(at("", &variable), "login.microsoftonline.us");
        assert_eq!(at("cloud = 'china'", &variable), "login.chinacloudapi.cn");
        assert_eq!(at("cloud = 'government'", &[]), "login.microsoftonline.us");
        assert_eq!(
            at("authority_host = 'https://x.example'", &variable),
            "x.example"
        );
        let plain = context(&[("AZURE_AUTHORITY_HOST", "http://x.example")]).env;
        assert!(settings("").authority(&plain).is_err());
    }

    #[test]
    fn a_provider_logs_in_in_the_cloud_that_its_store_is_in() {
        let own =
            Settings::of_provider("https://vault.azure.cn/.default", Auth::Auto, None, "china");
        let at = |variables: &[(&str, &str)]| {
            let url = own.authority(&context(variables).env).unwrap();
            url.host_str().unwrap().to_owned()
        };
        assert_eq!(at(&[]), "login.chinacloudapi.cn");
        let variable = [("AZURE_AUTHORITY_HOST", "https://x.example")];
        assert_eq!(at(&variable), "x.example");
    }

    #[test]
    fn a_resource_is_the_scope_without_its_end() {
        assert_eq!(settings("").resource(), "https://management.azure.com");
    }
}
