//! `vault`: what a path of HashiCorp Vault or OpenBao issues.
//!
//! Guarantees: a lease ends here no later than the token that it hangs from; a token of our own login is kept with the
//! record of the lease, sealed, and revoked with it; a token that somebody gave is used and never revoked; a server whose
//! certificate cannot be checked gets nothing. An answer without a lease (KV) is not a credential that ends: fnox reads it
//! anew when the lease's `duration` is over.
//!
//! Vault has no place for a name of ours in a lease. So the token of our own, from a login or a child of the one that was
//! given (`child_token`), is on record before it asks for the lease: whatever hangs from it ends when it is revoked, by us
//! at once when an answer is lost, by `cleanup` after a crash. A lease that a given token itself asked for cannot be found.
//!
//! Facts are from HashiCorp's pages "HTTP API", "/sys/leases", "Lease, renew, and revoke", "Token auth method (API)",
//! "KV secrets engine (API)" and the pages of the auth methods. OpenBao's API is the same in all that is used here.

mod answer;
mod explain;
mod issue;
mod lease;
mod login;
mod server;
mod settings;
mod wrapping;

use std::path::Path;

use async_trait::async_trait;
use fnox_config::LeaseConfig;
use fnox_core::{Credential, Lifetime};
use jiff::Timestamp;

use self::issue::Question;
use self::lease::Kind;
use self::login::Token;
use self::server::Server;
use self::settings::{ADDRESSES, Auth, NAMESPACES, Settings, TOKENS, TRUST};
use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, MintErrorKind, PlannedCall,
    Prepared, Prerequisite, PromptField, RenewRequest, RenewalKind, RevocationKind, RevokeRequest,
};
use crate::error::LeaseError;

#[derive(Debug)]
struct Vault {
    settings: Settings,
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for a value that could lead elsewhere.
pub(crate) fn open(lease: &LeaseConfig, home: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
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

    /// Nothing can be withdrawn where the answer was lost and no token of ours is on record: a lease has no name of ours.
    /// Nobody has what was issued, and it ends at the time to live that was asked for.
    fn end_of_intent(&self, request: &RevokeRequest, now: Timestamp) -> Result<(), MintError> {
        if request.expires_at.is_some_and(|end| end <= now) {
            return Ok(());
        }
        let end = request
            .expires_at
            .map_or_else(String::new, |end| format!(", at {end}"));
        Err(MintError::unavailable(format!(
            "Vault may have issued a lease before its answer was lost, and a lease has no name by which it could be found; \
             it ends by itself{end}"
        ))
        .with_remedy(format!(
            "`vault list sys/leases/lookup/{}` lists the leases; a later `fnox lease cleanup` forgets this one; with \
             `child_token = true` or a login (`auth`) fnox can withdraw such a lease",
            self.settings.path
        )))
    }

    /// The token for what is done with a lease later: the one that it hangs from, else the configured one.
    async fn token_of(
        &self,
        server: &mut Server,
        context: &MintContext,
        credential: Option<&Credential>,
    ) -> Result<Token, MintError> {
        match credential.and_then(|credential| lease::own_token(&credential.private)) {
            Some(token) => {
                server.issuer.hide(&token.value);
                Ok(token)
            }
            None => login::token(&self.settings, context, server).await,
        }
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
        explain::calls(&self.settings, context, request)
    }

    async fn prepare(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Prepared, MintError> {
        let mut server = Server::new(&self.settings, context)?;
        let token = login::own(&self.settings, context, &mut server, request).await?;
        Ok(token.as_ref().map(lease::kept_token).unwrap_or_default())
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        let mut server = Server::new(&self.settings, context)?;
        let mut token = match lease::own_token(&request.prepared) {
            Some(token) => {
                server.issuer.hide(&token.value);
                token
            }
            None => login::token(&self.settings, context, &mut server).await?,
        };
        let question = Question {
            settings: &self.settings,
            context,
            request,
        };
        let issued = issue::issue(question, &mut server, &mut token).await;
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
            token.expires_at = issue::end_of(&server, context, &token).await;
        }
        lease::renew(&server, context, request, token).await
    }

    async fn revoke(
        &self,
        context: &MintContext,
        request: &RevokeRequest,
    ) -> Result<(), MintError> {
        let now = context.clock.now();
        if request.is_intent {
            let token = lease::own_token(&request.prepared);
            let Some(token) = token.filter(|token| !lease::is_batch(&token.value)) else {
                return self.end_of_intent(request, now);
            };
            let mut server = Server::new(&self.settings, context)?;
            server.issuer.hide(&token.value);
            return lease::revoke(&server, None, &token, now).await;
        }
        let credential = request.credential.as_ref();
        let kind = credential.and_then(Kind::of);
        let is_stored = kind == Some(Kind::Stored);
        let has_own = credential.is_some_and(|it| lease::own_token(&it.private).is_some());
        if is_stored && !has_own {
            return Ok(());
        }
        let mut server = Server::new(&self.settings, context)?;
        let token = self.token_of(&mut server, context, credential).await?;
        let id = Some(request.lease_id.as_str()).filter(|_| !is_stored);
        let done = lease::revoke(&server, id, &token, now).await;
        let has_ended = credential
            .is_some_and(|credential| credential.expires_at.is_some_and(|end| end <= now));
        match done {
            // Vault withdraws what ends by itself, and whoever was refused may have a token that ended with it.
            Err(error) if has_ended && is_refusal(error.kind) => {
                tracing::debug!("the lease has ended by itself: {error}");
                Ok(())
            }
            done => done,
        }
    }
}

fn is_refusal(kind: MintErrorKind) -> bool {
    matches!(
        kind,
        MintErrorKind::Denied | MintErrorKind::AuthenticationNeeded
    )
}
