//! Microsoft Entra's token endpoint, the endpoints of managed identities, a Key Vault and an App Configuration store, as far as
//! fnox calls them.
//!
//! Where its checks come from:
//! - `POST /TENANT/oauth2/v2.0/token`: "OAuth 2.0 client credentials flow on the Microsoft identity platform"; the form of
//!   a certificate's assertion: "Microsoft identity platform application authentication certificate credentials"; which
//!   token of another issuer is taken: "Workload identity federation".
//! - `GET /TENANT/v2.0/.well-known/openid-configuration`: OpenID Connect Discovery 1.0, as far as MSAL reads it.
//! - `GET /metadata/identity/oauth2/token`: "How to use managed identities for Azure resources on an Azure VM to acquire an
//!   access token"; `GET /msi/token`: "How to use managed identities for App Service and Azure Functions".
//! - `/secrets/…` and `/keys/…`: "Azure Key Vault REST API reference", version 7.4; errors: "Authentication, requests and
//!   responses", "Common error codes for Azure Key Vault".
//! - `/kv/…`: "Azure App Configuration REST API", version 1.0.
//! - Errors of Entra: "Microsoft Entra authentication and authorization error codes". Texts are those that users of Microsoft's
//!   libraries report.

mod application;
mod configuration;
mod machine;
mod vault;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;

use super::issuer::{Reply, Request, Service};
use super::jwt::KeyPair;

/// A federated identity credential of an application.
#[derive(Debug, Clone)]
struct Federated {
    issuer: String,
    subject: String,
    audience: String,
}

/// An application registration.
#[derive(Debug, Clone, Default)]
struct Application {
    secrets: BTreeSet<String>,
    /// Thumbprints of certificates and the public keys of these.
    certificates: BTreeMap<String, String>,
    federated: Vec<Federated>,
}

/// Somebody else whose tokens are taken.
#[derive(Debug, Clone)]
struct Trusted {
    key: KeyPair,
    kid: String,
}

/// A token that is out.
#[derive(Debug, Clone)]
struct Issued {
    who: String,
    resource: String,
}

/// The service.
#[derive(Debug)]
pub struct Azure {
    applications: BTreeMap<(String, String), Application>,
    issuers: BTreeMap<String, Trusted>,
    resources: BTreeSet<String>,
    identity_header: String,
    identities: BTreeSet<String>,
    seconds: i64,
    as_text: bool,
    issued: BTreeMap<String, Issued>,
    vault: vault::Vault,
    key_values: configuration::KeyValues,
    is_configuration_closed: bool,
}

impl Default for Azure {
    fn default() -> Self {
        Self::new()
    }
}

impl Azure {
    /// Resources that exist from the start: the Resource Manager,
    pub const RESOURCE: &'static str = "https://management.azure.com";
    /// vaults,
    pub const VAULT: &'static str = "https://vault.azure.net";
    /// and App Configuration.
    pub const CONFIGURATION: &'static str = "https://appconfig.azure.com";

    /// With these resources, a machine that has an identity of its own, and nobody else.
    #[must_use]
    pub fn new() -> Self {
        Self {
            applications: BTreeMap::new(),
            issuers: BTreeMap::new(),
            resources: [Self::RESOURCE, Self::VAULT, Self::CONFIGURATION]
                .map(str::to_owned)
                .into(),
            identity_header: format!("header-{}", random()),
            identities: BTreeSet::from([String::new()]),
            seconds: 4200,
            as_text: false,
            issued: BTreeMap::new(),
            vault: vault::Vault::default(),
            key_values: BTreeMap::new(),
            is_configuration_closed: false,
        }
    }

    fn application(&mut self, tenant: &str, client: &str) -> &mut Application {
        let place = (tenant.to_owned(), client.to_owned());
        self.applications.entry(place).or_default()
    }

    /// Gives an application a secret.
    pub fn add_secret(&mut self, tenant: &str, client: &str) -> String {
        let secret = format!("xyz8Q~{}", random());
        let application = self.application(tenant, client);
        application.secrets.insert(secret.clone());
        secret
    }

    /// Gives an application a certificate.
    pub fn add_certificate(&mut self, tenant: &str, client: &str, thumbprint: &str, public: &str) {
        let application = self.application(tenant, client);
        let certificates = &mut application.certificates;
        certificates.insert(thumbprint.to_owned(), public.to_owned());
    }

    /// Gives an application a federated credential.
    pub fn add_federated(&mut self, tenant: &str, client: &str, issuer: &str, subject: &str) {
        let federated = Federated {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            audience: "api://AzureADTokenExchange".to_owned(),
        };
        self.application(tenant, client).federated.push(federated);
    }

    /// Makes an issuer known, as its published keys would.
    pub fn add_issuer(&mut self, issuer: &str, key: KeyPair, kid: &str) {
        let trusted = Trusted {
            key,
            kid: kid.to_owned(),
        };
        self.issuers.insert(issuer.to_owned(), trusted);
    }

    /// Gives the machine an identity of this client id.
    pub fn add_identity(&mut self, client: &str) {
        self.identities.insert(client.to_owned());
    }

    /// What the machine's programs have in `IDENTITY_HEADER`.
    #[must_use]
    pub fn identity_header(&self) -> &str {
        &self.identity_header
    }

    /// How long its tokens live, and whether `expires_in` is a text.
    pub fn set_life(&mut self, seconds: i64, as_text: bool) {
        self.seconds = seconds;
        self.as_text = as_text;
    }

    /// Whose token this is, and for what.
    #[must_use]
    pub fn holder(&self, token: &str) -> Option<(&str, &str)> {
        let issued = self.issued.get(token)?;
        Some((&issued.who, &issued.resource))
    }

    /// A token of somebody who has logged in for a resource, for those who do not test logins.
    pub fn log_in(&mut self, who: &str, resource: &str) -> String {
        self.issue(who, resource)
    }

    /// The refusal of a call without a token for this resource.
    fn authorised(&self, request: &Request, resource: &str) -> Result<(), Reply> {
        let issued = request.bearer().and_then(|token| self.issued.get(token));
        match issued {
            Some(issued) if issued.resource == resource => Ok(()),
            Some(_) => {
                let message = "[TokenExpired] Error validating token: audience did not match.";
                Err(vault::refused(401, "Unauthorized", "", message))
            }
            None => {
                let message = "AKV10000: Request is missing a Bearer or PoP token.";
                Err(vault::refused(401, "Unauthorized", "", message))
            }
        }
    }

    fn issue(&mut self, who: &str, resource: &str) -> String {
        let token = format!("eyJ0.{}.{}", random(), random());
        let issued = Issued {
            who: who.to_owned(),
            resource: resource.to_owned(),
        };
        self.issued.insert(token.clone(), issued);
        token
    }
}

impl Service for Azure {
    fn answer(&mut self, request: &Request, now: Timestamp, is_expired: bool) -> Reply {
        let parts: Vec<&str> = request.path.split('/').skip(1).collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("POST", [tenant, "oauth2", "v2.0", "token"]) => {
                let tenant = (*tenant).to_owned();
                self.token(request, &tenant, (now, is_expired))
            }
            ("GET", [tenant, "v2.0", ".well-known", "openid-configuration"]) => {
                let base = format!(
                    "https://{}/{tenant}",
                    request.header("host").unwrap_or_default()
                );
                Reply::json(
                    200,
                    &json!({
                        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
                        "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
                        "device_authorization_endpoint": format!("{base}/oauth2/v2.0/devicecode"),
                        "issuer": format!("{base}/v2.0"),
                    }),
                )
            }
            ("GET", ["metadata", "identity", "oauth2", "token"]) => {
                self.metadata(request, now, is_expired)
            }
            (_, ["secrets" | "keys", ..]) => self.vault(request, now),
            (_, ["kv", ..]) => self.configuration(request),
            ("GET", ["msi", "token"]) => self.app_service(request, now, is_expired),
            _ => Reply::undocumented("no such method"),
        }
    }
}

fn random() -> String {
    hex::encode(rand::random::<[u8; 20]>())
}
