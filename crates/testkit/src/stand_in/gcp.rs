//! Google Cloud, as far as fnox calls it: the token endpoint, the token exchange, the IAM Service Account Credentials API, the
//! metadata server, Secret Manager and Cloud KMS.
//!
//! Where its checks come from:
//! - `POST /v1/token` and `POST /v1/projects/-/serviceAccounts/…`: Google's discovery documents `sts` v1 and
//!   `iamcredentials` v1. [`EXCHANGE_FIELDS`], [`ACCESS_TOKEN_FIELDS`] and [`ID_TOKEN_FIELDS`] are the request schemas of
//!   these; a test holds them against the documents.
//! - `POST /token`: "Using OAuth 2.0 for Server to Server Applications" (claims of the signed request) and RFC 6749
//!   section 6 (refresh tokens).
//! - `/v1/projects/…/secrets/…` and `/v1/projects/…/keyRings/…`: the discovery documents `secretmanager` v1 and `cloudkms` v1,
//!   "Data integrity assurance" (Secret Manager) and "Verify end-to-end data integrity" (Cloud KMS).
//! - `GET /computeMetadata/v1/…`: Compute Engine, "About VM metadata".
//! - Errors: RFC 6749 section 5.2 for the first two, AIP-193 for the API. Texts are those that users of Google's libraries
//!   report.
//!
//! It also serves `GET /subject`, a place where an `external_account` has its token from.

mod api;
mod kms;
mod login;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::issuer::{Reply, Request, Service};
use super::jwt::KeyPair;

/// The fields of `GoogleIdentityStsV1ExchangeTokenRequest`, as RFC 8693 spells them.
pub const EXCHANGE_FIELDS: [&str; 9] = [
    "actor_token",
    "actor_token_type",
    "audience",
    "grant_type",
    "options",
    "requested_token_type",
    "scope",
    "subject_token",
    "subject_token_type",
];

/// The fields of `GenerateAccessTokenRequest` and their types.
pub const ACCESS_TOKEN_FIELDS: [(&str, &str); 3] = [
    ("delegates", "array"),
    ("lifetime", "string"),
    ("scope", "array"),
];

/// The fields of `GenerateIdTokenRequest` and their types.
pub const ID_TOKEN_FIELDS: [(&str, &str); 4] = [
    ("audience", "string"),
    ("delegates", "array"),
    ("includeEmail", "boolean"),
    ("organizationNumberIncluded", "boolean"),
];

/// Somebody who signs tokens.
#[derive(Debug, Clone)]
struct Signer {
    key: KeyPair,
    kid: String,
}

/// A provider of a workload identity pool.
#[derive(Debug, Clone)]
struct Provider {
    issuer: String,
    signer: Signer,
}

/// A user's login.
#[derive(Debug, Clone)]
struct User {
    name: String,
    client_id: String,
    client_secret: String,
    refresh_token: String,
}

/// Where an `external_account` has its token from.
#[derive(Debug, Clone)]
struct Subject {
    header: (String, String),
    body: String,
}

/// An access token that is out.
#[derive(Debug, Clone)]
struct Issued {
    principal: String,
    scopes: Vec<String>,
    expires_at: Timestamp,
}

/// The service.
#[derive(Debug, Default)]
pub struct Gcp {
    keys: BTreeMap<String, Signer>,
    users: Vec<User>,
    providers: BTreeMap<String, Provider>,
    machine: Option<String>,
    subject: Option<Subject>,
    accounts: BTreeSet<String>,
    may_impersonate: BTreeSet<(String, String)>,
    extended: BTreeSet<String>,
    issued: BTreeMap<String, Issued>,
    secrets: secrets::Secrets,
    keys_of_kms: kms::Keys,
    closed: BTreeSet<String>,
    is_damaging: bool,
}

impl Gcp {
    /// With nothing and nobody in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a service account.
    pub fn add_account(&mut self, email: &str) {
        self.accounts.insert(email.to_owned());
    }

    /// Gives a service account a key; the answer is the key's file, with this token endpoint.
    pub fn add_key(&mut self, email: &str, key: KeyPair, token_uri: &str) -> Value {
        self.add_account(email);
        let kid = format!("kid-of-{email}");
        self.keys.insert(
            email.to_owned(),
            Signer {
                key,
                kid: kid.clone(),
            },
        );
        json!({
            "type": "service_account",
            "project_id": "p",
            "private_key_id": kid,
            "private_key": key.private,
            "client_email": email,
            "client_id": "1",
            "token_uri": token_uri,
        })
    }

    /// Logs a user in; the answer is the file of the login.
    pub fn add_user(&mut self, name: &str) -> Value {
        let user = User {
            name: name.to_owned(),
            client_id: "764086051850.apps.googleusercontent.com".to_owned(),
            client_secret: format!("secret-{}", random()),
            refresh_token: format!("1//0{}", random()),
        };
        let file = json!({
            "type": "authorized_user",
            "client_id": user.client_id,
            "client_secret": user.client_secret,
            "refresh_token": user.refresh_token,
        });
        self.users.push(user);
        file
    }

    /// Creates a provider of a workload identity pool that trusts an issuer.
    pub fn add_provider(&mut self, audience: &str, issuer: &str, key: KeyPair, kid: &str) {
        let signer = Signer {
            key,
            kid: kid.to_owned(),
        };
        let provider = Provider {
            issuer: issuer.to_owned(),
            signer,
        };
        self.providers.insert(audience.to_owned(), provider);
    }

    /// Gives the machine a service account.
    pub fn set_machine(&mut self, email: &str) {
        self.add_account(email);
        self.machine = Some(format!("serviceAccount:{email}"));
    }

    /// Serves this body to whoever sends the header.
    pub fn set_subject(&mut self, header: (&str, &str), body: &str) {
        self.subject = Some(Subject {
            header: (header.0.to_owned(), header.1.to_owned()),
            body: body.to_owned(),
        });
    }

    /// Lets a principal impersonate a service account.
    pub fn grant(&mut self, principal: &str, account: &str) {
        self.add_account(account);
        self.may_impersonate
            .insert((principal.to_owned(), account.to_owned()));
    }

    /// Lets a service account have tokens of up to twelve hours.
    pub fn extend(&mut self, account: &str) {
        self.extended.insert(account.to_owned());
    }

    /// An access token of somebody who has logged in, for those who do not test logins.
    pub fn log_in(&mut self, principal: &str, now: Timestamp) -> String {
        let scopes = vec![api::CLOUD_PLATFORM.to_owned()];
        self.issue(principal, scopes, after(now, 3599))
    }

    /// Takes everybody's right to a secret, to a key, or to all of a project.
    pub fn close(&mut self, name: &str) {
        self.closed.insert(name.to_owned());
    }

    /// Sends from now on, or no longer, bytes that do not fit their checksums.
    pub fn damage(&mut self, is_damaging: bool) {
        self.is_damaging = is_damaging;
    }

    /// Whose access token this is.
    #[must_use]
    pub fn holder(&self, token: &str) -> Option<&str> {
        Some(self.issued.get(token)?.principal.as_str())
    }

    /// Which scopes an access token has.
    #[must_use]
    pub fn scopes(&self, token: &str) -> Option<&[String]> {
        Some(&self.issued.get(token)?.scopes)
    }

    fn issue(&mut self, principal: &str, scopes: Vec<String>, expires_at: Timestamp) -> String {
        let token = format!("ya29.c.{}", random());
        let issued = Issued {
            principal: principal.to_owned(),
            scopes,
            expires_at,
        };
        self.issued.insert(token.clone(), issued);
        token
    }

    /// GCE: "All requests must have the header `Metadata-Flavor: Google`", and none may be forwarded.
    fn metadata(&mut self, request: &Request, now: Timestamp) -> Reply {
        if request.header("metadata-flavor") != Some("Google")
            || request.header("x-forwarded-for").is_some()
        {
            return Reply::undocumented("a request without `Metadata-Flavor: Google`");
        }
        let scopes = match request.query().as_slice() {
            [(name, scopes)] if name == "scopes" => scopes.split(',').map(str::to_owned).collect(),
            [] => Vec::new(),
            _ => return Reply::undocumented("parameters that the metadata server does not have"),
        };
        let Some(machine) = self.machine.clone() else {
            return Reply::json(404, &json!({}));
        };
        let token = self.issue(&machine, scopes, after(now, 3599));
        let answer = json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"});
        Reply::json(200, &answer).with("metadata-flavor", "Google")
    }

    fn subject(&self, request: &Request) -> Reply {
        match &self.subject {
            Some(subject) if request.header(&subject.header.0) == Some(&subject.header.1) => {
                Reply {
                    body: subject.body.clone().into_bytes(),
                    ..Reply::empty(200)
                }
            }
            _ => Reply::empty(403),
        }
    }
}

impl Service for Gcp {
    fn answer(&mut self, request: &Request, now: Timestamp, is_expired: bool) -> Reply {
        let (method, path) = (request.method.as_str(), request.path.as_str());
        match (method, path) {
            ("POST", "/token") => self.grant_token(request, now),
            ("POST", "/v1/token") => self.exchange(request, now),
            ("GET", "/subject") => self.subject(request),
            ("GET", "/computeMetadata/v1/instance/service-accounts/default/token") => {
                self.metadata(request, now)
            }
            ("POST", _) if path.starts_with("/v1/projects/-/") => {
                self.api(request, now, is_expired)
            }
            _ if path.contains("/keyRings/") => self.kms(request, now),
            _ if path.starts_with("/v1/projects/") => self.secret_manager(request, now),
            _ => Reply::undocumented("no such method"),
        }
    }
}

fn random() -> String {
    hex::encode(rand::random::<[u8; 20]>())
}

/// A moment of whole seconds: Google's own library can read no others.
fn after(now: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(now.as_second() + seconds).expect("a moment of this age")
}
