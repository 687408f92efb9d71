//! What a type of lease must be able to do.
//!
//! A mint says as data how long its credentials may live, which variables it needs and which it makes,
//! and whether it can withdraw them; only `create`, `renew` and `revoke` reach out. It gets the masters as an
//! overlay of the environment in its [`MintContext`] and keeps nothing.

pub mod aws_roles_anywhere;
pub mod aws_sso;
pub mod aws_sts;
pub mod azure_token;
pub mod cloudflare;
pub mod command;
pub mod database;
pub mod gcp_iam;
mod github;
pub mod github_app;
pub mod github_oauth;
pub mod gitlab;
pub mod kubernetes;
mod naming;
pub mod oauth2_client_credentials;
pub mod ssh;
pub mod tailscale;
pub mod vault;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fnox_config::Folders;
use fnox_core::prompt::Prompt;
use fnox_core::{Clock, Credential, Env, ExitStatus, LeaseName, Lifetime, SecretString};
use fnox_providers::{ErrorKind, ProviderError};
use jiff::Timestamp;

pub use crate::ledger::entry::RevocationKind;

/// How long a mint's credentials may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The shortest life.
    pub minimum: Lifetime,
    /// The longest life.
    pub maximum: Lifetime,
}

/// Which variables and secrets a mint takes its masters from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consumes {
    /// These, if they are there.
    Names(Vec<String>),
    /// The whole environment and every secret of the profile.
    Everything,
}

/// What a mint may use of the world around it.
#[derive(Debug, Clone)]
pub struct MintContext {
    /// The environment, with the resolved masters on top.
    pub env: Env,
    /// The values of the resolved masters, to be kept out of messages.
    pub masters: Vec<SecretString>,
    /// fnox's folders.
    pub folders: Folders,
    /// The person at the terminal, if there is one.
    pub prompt: Arc<dyn Prompt>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How long to wait for a connection.
    pub connect_limit: Duration,
    /// How long one call may take in all, retries included.
    pub call_limit: Duration,
    /// The file in which the machine's firmware names its vendor.
    pub firmware_vendor: PathBuf,
}

/// What to create.
#[derive(Debug, Clone)]
pub struct CreateRequest {
    /// How long the credential should live.
    pub duration: Lifetime,
    /// What to call it at the issuer.
    pub label: String,
    /// The id under which the intent is on record.
    pub provisional_id: String,
    /// What [`Mint::prepare`] made for it, on record by now.
    pub prepared: Prepared,
}

/// What a mint keeps, with the intent, of what it did before the call that issues: enough to withdraw whatever that call
/// issues, should its answer be lost. Sealed with the record.
pub type Prepared = Vec<(String, SecretString)>;

/// How a credential that nears its end is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewalKind {
    /// By a new one.
    Replaced,
    /// The issuer prolongs the same one, as long as it likes; after that by a new one.
    Prolonged,
}

/// What to prolong.
#[derive(Debug, Clone)]
pub struct RenewRequest {
    /// The credential as it is on record.
    pub credential: Credential,
    /// How long it should live from now on.
    pub duration: Lifetime,
}

/// A call that a mint would make, for people. Without secrets.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PlannedCall {
    /// What is done: an HTTP method, an action of an API, `run`, `connect`.
    pub action: String,
    /// To whom: a URL without secrets, a program, a server.
    pub target: String,
    /// What for, as a sentence part: `create an installation token`.
    pub purpose: String,
    /// As whom: which master, by its name, never its value.
    pub master: String,
    /// What is asked for: names and values, such as `role` and an ARN.
    pub details: Vec<(String, String)>,
}

/// What to withdraw.
#[derive(Debug, Clone)]
pub struct RevokeRequest {
    /// The issuer's handle, or the provisional id if the issuer's answer was lost.
    pub lease_id: String,
    /// Whether `lease_id` is only the provisional id: nobody knows whether the issuer issued anything, and if it did, it
    /// is found by the name that has this id in it.
    pub is_intent: bool,
    /// The label under which it was asked for.
    pub label: String,
    /// The credential itself, if it is known.
    pub credential: Option<Credential>,
    /// Of an intent: what [`Mint::prepare`] had made when it was last on record.
    pub prepared: Prepared,
    /// When it ends by itself, as far as is on record. Of an intent, when it would have ended that was asked for.
    pub expires_at: Option<Timestamp>,
}

/// Something to ask a person for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptField {
    /// The variable that the answer becomes.
    pub variable: String,
    /// What it is.
    pub description: String,
    /// Whether it must not be seen while it is typed.
    pub secret: bool,
    /// Whether it may be left empty.
    pub optional: bool,
}

/// Whether there is anything to mint with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prerequisite {
    /// Something is configured or present. Whether it works, `create` finds out.
    Present,
    /// Nothing is configured or present.
    Missing {
        /// What is missing, as a sentence for people.
        message: String,
        /// What a person could be asked for instead.
        prompts: Vec<PromptField>,
    },
}

/// A type of lease with one lease's configuration.
#[async_trait]
pub trait Mint: Send + Sync + fmt::Debug {
    /// How long its credentials may live.
    fn limits(&self) -> Limits;

    /// The variables it makes, as far as they are known beforehand.
    fn produces(&self) -> Vec<String>;

    /// Where its masters come from. They name the principal behind a credential.
    fn consumes(&self) -> Consumes;

    /// What else decides whose credential it is: facts outside of the lease's keys, of variables and of secrets, such as
    /// what a profile of another program's files says. Contacts nobody; is digested with what names the masters.
    fn surroundings(&self, env: &Env) -> Vec<String> {
        let _ = env;
        Vec::new()
    }

    /// The variables that a program which gets the credential must not have, where `present` says which
    /// variables and secrets there are.
    fn withholds(&self, present: &dyn Fn(&str) -> bool) -> Vec<String>;

    /// Another lease whose credential is this one's master.
    fn via(&self) -> Option<&LeaseName> {
        None
    }

    /// Whether its credentials can be withdrawn.
    fn revocation(&self) -> RevocationKind;

    /// How long a credential works at most whose issuer's answer was lost, if it cannot be found then because it has no
    /// name at its issuer. `None`: it is found by the name that has the provisional id in it.
    fn unfindable(&self) -> Option<Lifetime> {
        None
    }

    /// Whether a credential works only once, so that one which was handed out is not handed out again.
    fn is_single_use(&self) -> bool {
        false
    }

    /// How its credentials are renewed.
    fn renewal(&self) -> RenewalKind {
        RenewalKind::Replaced
    }

    /// Whether there is anything to mint with. Contacts nobody.
    fn prerequisites(&self, context: &MintContext) -> Prerequisite;

    /// The calls that `create` would make, in their order. Contacts nobody and reads no secret.
    fn explain(&self, context: &MintContext, request: &CreateRequest) -> Vec<PlannedCall>;

    /// The first of two steps, for issuers that give a handle before they issue: what this answers is on record before
    /// [`Mint::create`] begins, and comes back to [`Mint::revoke`] if the process dies in between.
    ///
    /// # Errors
    /// [`MintError`] as of `create`.
    async fn prepare(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Prepared, MintError> {
        let _ = (context, request);
        Ok(Prepared::new())
    }

    /// Creates a credential.
    ///
    /// # Errors
    /// [`MintError`] says also whether something may have been issued all the same.
    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError>;

    /// Prolongs a credential. The answer is the same credential with its new end, which may be sooner than asked for.
    ///
    /// # Errors
    /// [`MintError`]; the credential then works until its old end.
    async fn renew(
        &self,
        context: &MintContext,
        request: &RenewRequest,
    ) -> Result<Credential, MintError> {
        let _ = (context, request);
        Err(MintError::new(
            MintErrorKind::Misconfigured,
            "credentials of this type are not prolonged, they are replaced",
        ))
    }

    /// Withdraws a credential. One that the issuer does not know any more counts as withdrawn.
    ///
    /// # Errors
    /// [`MintError`]; the credential must then be taken to work still.
    async fn revoke(
        &self,
        context: &MintContext,
        request: &RevokeRequest,
    ) -> Result<(), MintError> {
        let _ = (context, request);
        Err(MintError::new(
            MintErrorKind::Misconfigured,
            "credentials of this type cannot be withdrawn: they only expire",
        ))
    }
}

/// The classes of failure of a mint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MintErrorKind {
    /// The lease's configuration is wrong.
    Misconfigured,
    /// The masters are missing, wrong or expired.
    AuthenticationNeeded,
    /// The issuer said no.
    Denied,
    /// The issuer did not answer, or not with a credential.
    Unavailable,
}

/// A mint made no credential. The message has no secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MintError {
    /// The class of failure.
    pub kind: MintErrorKind,
    /// What failed, lower case, without full stop, without the lease's name.
    pub message: String,
    /// What to do next.
    pub remedy: Option<String>,
    /// The configuration key at fault, if one is.
    pub key: Option<&'static str>,
    /// Whether the issuer may have issued something although no credential came back.
    pub maybe_issued: bool,
}

impl MintError {
    /// An error of a class, after which nothing was issued.
    #[must_use]
    pub fn new(kind: MintErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            remedy: None,
            key: None,
            maybe_issued: false,
        }
    }

    /// The lease's configuration is wrong.
    #[must_use]
    pub fn misconfigured(key: &'static str, message: impl Into<String>) -> Self {
        Self {
            key: Some(key),
            ..Self::new(MintErrorKind::Misconfigured, message)
        }
    }

    /// The masters are missing, wrong or expired.
    #[must_use]
    pub fn authentication(message: impl Into<String>) -> Self {
        Self::new(MintErrorKind::AuthenticationNeeded, message)
    }

    /// The issuer did not answer, or not with a credential.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(MintErrorKind::Unavailable, message)
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Notes that something may have been issued.
    #[must_use]
    pub fn maybe_issued(mut self) -> Self {
        self.maybe_issued = true;
        self
    }

    /// The stable code, `area::reason`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.kind {
            MintErrorKind::Misconfigured => "lease::misconfigured",
            MintErrorKind::AuthenticationNeeded => "lease::authentication_needed",
            MintErrorKind::Denied => "lease::denied",
            MintErrorKind::Unavailable => "lease::unavailable",
        }
    }

    /// What a script is told.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self.kind {
            MintErrorKind::Misconfigured => ExitStatus::Configuration,
            MintErrorKind::AuthenticationNeeded => ExitStatus::AuthenticationNeeded,
            MintErrorKind::Denied => ExitStatus::Denied,
            MintErrorKind::Unavailable => ExitStatus::Unavailable,
        }
    }
}

impl fmt::Display for MintError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for MintError {}

/// What providers and mints share, such as files of tokens and kubeconfigs. Nothing was issued yet.
impl From<ProviderError> for MintError {
    fn from(error: ProviderError) -> Self {
        Self {
            remedy: error.remedy,
            key: error.key,
            ..Self::new(
                match error.kind {
                    ErrorKind::Misconfigured => MintErrorKind::Misconfigured,
                    ErrorKind::AuthenticationNeeded => MintErrorKind::AuthenticationNeeded,
                    ErrorKind::Denied => MintErrorKind::Denied,
                    ErrorKind::NotFound
                    | ErrorKind::Unavailable
                    | ErrorKind::Pending
                    | ErrorKind::Interrupted => MintErrorKind::Unavailable,
                },
                error.message,
            )
        }
    }
}
