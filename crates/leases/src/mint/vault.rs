//! `vault`: what a path of HashiCorp Vault or OpenBao issues.
//!
//! Guarantees: a lease ends here no later than the token that it hangs from; a token of our own login is kept with the
//! record of the lease, sealed, and revoked with it; a token that somebody gave is used and never revoked; a server whose
//! certificate cannot be checked gets nothing. An answer without a lease (KV) is not a credential that ends: fnox reads it
//! anew when the lease's `duration` is over.
//!
//! Vault has no place for a name of ours in a lease. When the answer is lost after a login, the login's token is revoked
//! at once, which ends what hangs from it. After a crash nothing can be found: it ends by its own time to live.
//!
//! Facts are from HashiCorp's pages "HTTP API", "/sys/leases", "Lease, renew, and revoke", "Token auth method (API)",
//! "KV secrets engine (API)" and the pages of the auth methods. OpenBao's API is the same in all that is used here.

mod answer;
mod lease;
mod login;
mod server;
mod settings;

use std::path::Path;

use async_trait::async_trait;
use fnox_config::LeaseConfig;
use fnox_core::{Credential, Lifetime};
use jiff::Timestamp;
use reqwest::Method;

use self::answer::Envelope;
use self::lease::Kind;
use self::login::Token;
use self::server::Server;
use self::settings::{ADDRESSES, Auth, NAMESPACES, Settings, TOKENS, TRUST};
use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, MintErrorKind, PlannedCall,
    Prerequisite, PromptField, RenewRequest, RenewalKind, RevocationKind, RevokeRequest,
};
use crate::error::LeaseError;

#[derive(Debug)]
struct Vault {
    settings: Settings,
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for a value that could lead elsewhere, [`LeaseError::NotBuilt`] for `wrapped`.
pub(crate) fn open(lease: &LeaseConfig, home: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    if lease.fields.flag("wrapped") == Some(true) {
        return Err(LeaseError::not_built(lease));
    }
    Ok(Box::new(Vault {
        settings: Settings::read(&lease.fields, home)?,
    }))
}

impl Vault {
    /// The variables with which fnox logs in.
    fn masters(&self) -> Vec<String> {
        match &self.settings.auth {
            Auth::Token => TOKENS.map(str::to_owned).to_vec(),
            Auth::TokenFile | Auth::Kubernetes { .. } => Vec::new(),
            Auth::AppRole { secret_id, .. } => {
                vec!["VAULT_ROLE_ID".to_owned(), secret_id.clone()]
            }
            Auth::Jwt { identity, .. } => identity.variables(),
            Auth::Userpass { password, .. } => vec![password.clone()],
        }
    }

    async fn issue(
        &self,
        server: &Server,
        context: &MintContext,
        request: &CreateRequest,
        token: &mut Token,
    ) -> Result<Credential, MintError> {
        let settings = &self.settings;
        let ttl = format!("{}s", request.duration.as_secs());
        let mut parameters = settings.parameters.clone();
        parameters.entry("ttl".to_owned()).or_insert(ttl);
        let mut call = server.call(settings.method.clone(), &settings.path, Some(&token.value))?;
        if settings.method == Method::GET {
            for (name, value) in &parameters {
                call = call.query(name, value);
            }
        } else {
            call = call.json(&parameters)?;
        }
        let asked_at = context.clock.now();
        let answer = server.issuer.send(call.issues()).await?;
        if !answer.is_success() {
            let capability = if settings.method == Method::GET {
                "read"
            } else {
                "update"
            };
            return Err(server.refusal(&answer, &settings.path, capability));
        }
        let envelope: Envelope = answer.json(&server.issuer)?;
        let variables = match &envelope.data {
            Some(data) => data.variables(&settings.variables, &settings.path),
            None => Err(MintError::unavailable("Vault answered without `data`").maybe_issued()),
        };
        let variables = match variables {
            Ok(variables) => variables,
            Err(error) => return Err(undo(server, &envelope, token, asked_at, error).await),
        };
        let (kind, id, end) = if envelope.lease_id.is_empty() {
            let asked = i64::try_from(request.duration.as_secs()).unwrap_or(i64::MAX);
            let seconds = match envelope.lease_duration {
                hint if hint > 0 => hint.min(asked),
                _ => asked,
            };
            let end = login::after(asked_at, seconds);
            (Kind::Stored, request.provisional_id.clone(), end)
        } else {
            if !token.is_own {
                token.expires_at = end_of(server, context, token).await;
            }
            let kind = if envelope.renewable {
                Kind::Renewable
            } else {
                Kind::Fixed
            };
            let end = login::after(asked_at, envelope.lease_duration);
            let end = lease::sooner(end, token.expires_at);
            (kind, envelope.lease_id.clone(), end)
        };
        if end.is_some_and(|end| end <= context.clock.now()) {
            let error = MintError::unavailable("what Vault issued has expired already")
                .with_remedy("is this machine's clock right, and the server's?");
            return Err(undo(server, &envelope, token, asked_at, error).await);
        }
        Ok(Credential {
            variables,
            expires_at: end,
            id,
            private: lease::kept(kind, token),
        })
    }

    /// The token for what is done with a lease later: the one that it hangs from, else the configured one.
    async fn token_of(
        &self,
        server: &mut Server,
        context: &MintContext,
        credential: Option<&Credential>,
    ) -> Result<Token, MintError> {
        match credential.and_then(lease::own_token) {
            Some(token) => {
                server.issuer.hide(&token.value);
                Ok(token)
            }
            None => login::token(&self.settings, context, server).await,
        }
    }
}

/// When a given token ends: a lease dies with it. Unknown if Vault does not tell (the policy `default` lets it).
async fn end_of(server: &Server, context: &MintContext, token: &Token) -> Option<Timestamp> {
    let asked_at = context.clock.now();
    let call = server
        .call(Method::GET, "auth/token/lookup-self", Some(&token.value))
        .ok()?;
    let answer = server.issuer.send(call).await.ok()?;
    if !answer.is_success() {
        tracing::debug!(
            "Vault does not tell when the token ends: status {}",
            answer.status()
        );
        return None;
    }
    let envelope: Envelope = answer.json(&server.issuer).ok()?;
    login::after(asked_at, envelope.data?.number("ttl")?)
}

/// Withdraws what cannot be handed out. Where that fails, the error says that it may exist.
async fn undo(
    server: &Server,
    envelope: &Envelope,
    token: &Token,
    now: Timestamp,
    error: MintError,
) -> MintError {
    let id = Some(envelope.lease_id.as_str()).filter(|id| !id.is_empty());
    match lease::revoke(server, id, token, now).await {
        Ok(()) if !error.maybe_issued || token.is_own => MintError {
            maybe_issued: false,
            ..error
        },
        _ => error.maybe_issued(),
    }
}

#[async_trait]
impl Mint for Vault {
    fn limits(&self) -> Limits {
        Limits {
            minimum: Lifetime::from_secs(1),
            maximum: Lifetime::from_secs(24 * 3600),
        }
    }

    fn produces(&self) -> Vec<String> {
        self.settings.variables.keys().cloned().collect()
    }

    fn consumes(&self) -> Consumes {
        let common = ADDRESSES.iter().chain(&NAMESPACES).chain(&TRUST);
        let common = common.map(|name| (*name).to_owned());
        Consumes::Names(self.masters().into_iter().chain(common).collect())
    }

    fn surroundings(&self, env: &fnox_core::Env) -> Vec<String> {
        // Whoever logs in anew is somebody else. The digest is of the token's file, which is no master's value itself.
        let is_given = TOKENS.iter().any(|name| env.var(name).is_some());
        let file = match &self.settings.auth {
            Auth::TokenFile => self.settings.token_file.as_deref(),
            Auth::Token if !is_given && self.settings.token.is_none() => {
                self.settings.token_file.as_deref()
            }
            _ => None,
        };
        file.and_then(|file| crate::identity_token::read(file).ok())
            .map(|token| blake3::hash(token.expose_secret().as_bytes()).to_string())
            .into_iter()
            .collect()
    }

    fn withholds(&self, _: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut names = self.masters();
        names.extend(TOKENS.map(str::to_owned));
        names.sort_unstable();
        names.dedup();
        names
    }

    fn revocation(&self) -> RevocationKind {
        RevocationKind::Supported
    }

    fn renewal(&self) -> RenewalKind {
        RenewalKind::Prolonged
    }

    fn prerequisites(&self, context: &MintContext) -> Prerequisite {
        let settings = &self.settings;
        let env = &context.env;
        let mut missing: Vec<(String, &str, bool)> = Vec::new();
        if !settings.has_address(env) {
            missing.push(("VAULT_ADDR".to_owned(), "address of the server", false));
        }
        let lacks = |name: &str| env.var(name).is_none();
        match &settings.auth {
            Auth::Token => {
                let is_there = settings.token.is_some()
                    || settings.credential_command.is_some()
                    || TOKENS.iter().any(|name| !lacks(name))
                    || settings
                        .token_file
                        .as_ref()
                        .is_some_and(|file| file.exists());
                if !is_there {
                    missing.push(("VAULT_TOKEN".to_owned(), "token", true));
                }
            }
            Auth::AppRole { role_id, .. } if role_id.is_none() && lacks("VAULT_ROLE_ID") => {
                missing.push(("VAULT_ROLE_ID".to_owned(), "role id", false));
            }
            Auth::Userpass { password, .. } if lacks(password) => {
                missing.push((password.clone(), "password", true));
            }
            Auth::Jwt { identity, .. } if !identity.is_present(env) => {
                return Prerequisite::Missing {
                    message: "Identity token for Vault not found. Set `identity_token_file` or \
                              `identity_token_variable`, or run in a CI that gives its jobs one."
                        .to_owned(),
                    prompts: Vec::new(),
                };
            }
            _ => {}
        }
        if missing.is_empty() {
            return Prerequisite::Present;
        }
        let names: Vec<&str> = missing.iter().map(|(name, _, _)| name.as_str()).collect();
        Prerequisite::Missing {
            message: format!("Vault credentials not found. Set {}.", names.join(" and ")),
            prompts: missing
                .into_iter()
                .map(|(variable, description, secret)| PromptField {
                    variable,
                    description: description.to_owned(),
                    secret,
                    optional: false,
                })
                .collect(),
        }
    }

    fn explain(&self, context: &MintContext, request: &CreateRequest) -> Vec<PlannedCall> {
        let settings = &self.settings;
        let address = match settings.address(&context.env) {
            Ok(url) => url.as_str().trim_end_matches('/').to_owned(),
            Err(_) => "VAULT_ADDR".to_owned(),
        };
        let namespace = settings.namespace(&context.env);
        let masters = self.masters().join(", ");
        let mut calls = Vec::new();
        if !matches!(settings.auth, Auth::Token | Auth::TokenFile) {
            calls.push(PlannedCall {
                action: "POST".to_owned(),
                target: format!("{address}/v1/auth/{}/login", settings.mount),
                purpose: "log in".to_owned(),
                master: masters.clone(),
                details: Vec::new(),
            });
        }
        let mut details: Vec<(String, String)> = settings
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !settings.parameters.contains_key("ttl") {
            details.push(("ttl".to_owned(), format!("{}s", request.duration.as_secs())));
        }
        details.extend(namespace.map(|name| ("namespace".to_owned(), name.to_owned())));
        calls.push(PlannedCall {
            action: settings.method.to_string(),
            target: format!("{address}/v1/{}", settings.path),
            purpose: "issue the credential".to_owned(),
            master: if calls.is_empty() {
                masters
            } else {
                "the token of the login".to_owned()
            },
            details,
        });
        calls
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        let mut server = Server::new(&self.settings, context)?;
        let mut token = login::token(&self.settings, context, &mut server).await?;
        let issued = self.issue(&server, context, request, &mut token).await;
        let Err(error) = issued else {
            return issued;
        };
        if !token.is_own {
            return Err(error);
        }
        // A new start of the clock: the one of the call may be over.
        let server = Server::new(&self.settings, context)?;
        Err(
            match lease::revoke(&server, None, &token, context.clock.now()).await {
                Ok(()) => MintError {
                    maybe_issued: false,
                    ..error
                },
                Err(_) => error.maybe_issued(),
            },
        )
    }

    async fn renew(
        &self,
        context: &MintContext,
        request: &RenewRequest,
    ) -> Result<Credential, MintError> {
        if Kind::of(&request.credential) != Some(Kind::Renewable) {
            return Err(MintError::new(
                MintErrorKind::Denied,
                "Vault does not prolong this one: it is no renewable lease",
            ));
        }
        let mut server = Server::new(&self.settings, context)?;
        let mut token = self
            .token_of(&mut server, context, Some(&request.credential))
            .await?;
        if !token.is_own {
            token.expires_at = end_of(&server, context, &token).await;
        }
        lease::renew(&server, context, request, token).await
    }

    async fn revoke(
        &self,
        context: &MintContext,
        request: &RevokeRequest,
    ) -> Result<(), MintError> {
        if request.is_intent {
            return Err(MintError::unavailable(
                "Vault may have issued a lease before its answer was lost, and a lease has no name by which it could be found",
            )
            .with_remedy(format!(
                "it ends by itself at its time to live; `vault list sys/leases/lookup/{}` lists the leases",
                self.settings.path
            )));
        }
        let credential = request.credential.as_ref();
        let kind = credential.and_then(Kind::of);
        let is_stored = kind == Some(Kind::Stored);
        if is_stored && credential.and_then(lease::own_token).is_none() {
            return Ok(());
        }
        let mut server = Server::new(&self.settings, context)?;
        let token = self.token_of(&mut server, context, credential).await?;
        let id = Some(request.lease_id.as_str()).filter(|_| !is_stored);
        lease::revoke(&server, id, &token, context.clock.now()).await
    }
}
