//! Mints as a vault sees them: named things that issue, prolong and withdraw credentials for its leases.
//!
//! A vault must not know how a credential is made, and a mint must not know what a vault is. What passes between
//! them is here. A vault promises to tell when a lease is over. Whoever implements [`CredentialMints`] promises that
//! everything it issued is on a durable record before it is handed out, so that [`CredentialMints::settle`] finds what
//! a crash left behind.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Credential;
use crate::{Lifetime, SecretString};

/// What a vault must know of a mint before it promises anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MintTerms {
    /// Its name: what a lease is asked for, and what a policy's rule names.
    pub name: String,
    /// Its type, such as `aws-sts`.
    pub kind: String,
    /// What it is for.
    pub description: Option<String>,
    /// The shortest life that its issuer gives.
    pub minimum: Lifetime,
    /// The longest life that a credential, and so a lease of it, may have.
    pub maximum: Lifetime,
    /// Whether its issuer can withdraw a credential. If not, a credential works until it expires.
    pub is_withdrawable: bool,
    /// Whether each use of a lease gets a credential of its own.
    pub per_operation: bool,
    /// The one variable that a use answers with. `None`: the only one, or all of them as a JSON object.
    pub variable: Option<String>,
}

/// For whom and for how long a credential is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loan {
    /// Who will hold it: the id of a vault's lease, in letters, digits and `-`. It becomes a part of what the issuer
    /// calls the credential, so that a record on either side leads to the other.
    pub holder: String,
    /// How long it is needed. Cut to what the issuer gives.
    pub lifetime: Lifetime,
}

/// Reads the long-lived secrets that a mint needs.
#[async_trait]
pub trait Masters: Send + Sync + fmt::Debug {
    /// A secret by its name. `None`: there is none of that name.
    ///
    /// # Errors
    /// [`IssueError`] if it is not known whether there is one, or its value cannot be had.
    async fn master(&self, name: &str) -> Result<Option<SecretString>, IssueError>;
}

/// Issues credentials by name.
#[async_trait]
pub trait CredentialMints: Send + Sync + fmt::Debug {
    /// Where they are configured, for people.
    fn describe(&self) -> String;

    /// All of them.
    fn terms(&self) -> &[MintTerms];

    /// Issues a new credential. It is on record before this answers. The call goes on where its future is dropped.
    ///
    /// # Errors
    /// [`IssueError`]
    async fn issue(
        &self,
        name: &str,
        loan: &Loan,
        masters: Arc<dyn Masters>,
    ) -> Result<Credential, IssueError>;

    /// A credential that outlives `held`: the same one, prolonged by its issuer, or a new one. The old one works until
    /// its own end or the holder's.
    ///
    /// # Errors
    /// [`IssueError`]; the old one is then as it was.
    async fn renew(
        &self,
        name: &str,
        loan: &Loan,
        held: &Credential,
        masters: Arc<dyn Masters>,
    ) -> Result<Credential, IssueError>;

    /// Withdraws everything that a holder got, intents included. What the issuer refuses stays on record.
    ///
    /// # Errors
    /// [`IssueError`] if the record cannot be read or written. What came of each credential is in the answer.
    async fn withdraw(
        &self,
        holder: &str,
        masters: Arc<dyn Masters>,
    ) -> Result<Vec<Withdrawal>, IssueError>;

    /// Withdraws everything on record whose holder is not live: what a crash left behind, and what could not be
    /// withdrawn before. A holder is asked about after the record was read, because others issue meanwhile.
    ///
    /// # Errors
    /// As [`Self::withdraw`].
    async fn settle(
        &self,
        is_live: Arc<IsLive>,
        masters: Arc<dyn Masters>,
    ) -> Result<Vec<Withdrawal>, IssueError>;
}

/// Whether a holder is one still.
pub type IsLive = dyn Fn(&str) -> bool + Send + Sync;

/// What came of withdrawing one credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    /// Who held it, as it was told; `None` if nobody did.
    pub holder: Option<String>,
    /// The mint.
    pub name: String,
    /// The issuer's handle, or the id of the intent.
    pub credential: String,
    /// What came of it.
    pub outcome: Settled,
}

/// What came of withdrawing one credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The issuer withdrew it, or does not know it any more.
    Withdrawn,
    /// The issuer cannot: it works until this moment. `None`: for ever.
    ExpiresOnly(Option<Timestamp>),
    /// It may still work. It stays on record, to be withdrawn later.
    Failed(String),
}

/// The classes of failure of a mint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueErrorKind {
    /// The issuer, or who keeps a master, said no, or the configuration is wrong: trying again changes nothing.
    Refused,
    /// The issuer, or who keeps a master, did not answer: later it may.
    Unavailable,
}

/// No credential. The message has no secret in it, but may name roles and masters: it is for administrators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueError {
    /// The class.
    pub kind: IssueErrorKind,
    /// What failed, and what to do about it.
    pub message: String,
}

impl fmt::Display for IssueError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for IssueError {}
