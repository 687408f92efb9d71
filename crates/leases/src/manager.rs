//! Leases for `exec` and the `lease` commands.
//!
//! Every path that mints writes to the ledger first, and no lock of the ledger is held while an issuer is
//! called. Reading (a cached lease, `list`) takes no lock, writes nothing and resolves no master.

mod acquire;
mod ahead;
mod chain;
mod explain;
mod issue;
mod renew;
mod withdraw;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fnox_config::{Config, Folders, LeaseConfig};
use fnox_core::lease::LeaseState;
use fnox_core::prompt::Prompt;
use fnox_core::{Clock, Env, ExitStatus, LeaseName, SecretName, SecretString};
use jiff::Timestamp;

pub use self::acquire::{Acquire, Acquired, Held, Sharing, Skip};
pub use self::explain::{Explanation, Master};
pub use self::withdraw::{CleanupReport, Revocation, RevocationOutcome};
use crate::error::LeaseError;
use crate::ledger::entry::Entry;
use crate::ledger::entry::RevocationKind;
use crate::ledger::key::KeyStore;
use crate::ledger::keychain::KeychainKey;
use crate::ledger::lock::introduction;
use crate::ledger::run::Run;
use crate::ledger::{Ledger, LedgerError, LedgerOptions};
use crate::mint::{Consumes, Mint, MintContext, aws_sts};
use crate::registry::Registry;

/// Resolves masters when a mint needs them.
#[async_trait]
pub trait MasterSource: Send + Sync {
    /// The values of configured secrets, `as_file` ones as paths of files that hold them. One without
    /// a value that may be missing is left out. Several leases may ask at the same time; `lease` is the one that does.
    ///
    /// `all_named` says that the lease names these masters. Then a source that fails is an error, whatever
    /// the configuration says of missing values: the program would run with somebody else's credentials.
    ///
    /// # Errors
    /// [`MasterError`] if a source that is configured fails.
    async fn resolve(
        &self,
        lease: &LeaseName,
        names: &[SecretName],
        all_named: bool,
    ) -> Result<Vec<(SecretName, SecretString)>, MasterError>;
}

/// A configured master could not be had.
#[derive(Debug)]
pub struct MasterError {
    /// What a script is told.
    pub exit_status: ExitStatus,
    /// What to do about it.
    pub help: Option<String>,
    /// Why.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl std::fmt::Display for MasterError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.source.fmt(formatter)
    }
}

// It has the words of what it wraps, so its source is the source of that: nothing is told twice.
impl std::error::Error for MasterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    /// Waiting for the ledger's lock, which is held only while the file is changed.
    pub ledger_lock: Duration,
    /// Waiting for somebody else who mints the same lease.
    pub lease_lock: Duration,
    /// Connecting to an issuer.
    pub connect: Duration,
    /// One call of an issuer in all.
    pub call: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            ledger_lock: Duration::from_secs(10),
            lease_lock: Duration::from_mins(2),
            connect: Duration::from_secs(3),
            call: Duration::from_secs(30),
        }
    }
}

/// What a [`Manager`] works with.
pub struct ManagerOptions<'a> {
    /// The configuration of this run.
    pub config: &'a Config,
    /// fnox's folders.
    pub folders: &'a Folders,
    /// The environment that fnox was started with.
    pub env: &'a Env,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The person at the terminal, if there is one.
    pub prompt: Arc<dyn Prompt>,
    /// The masters.
    pub masters: &'a dyn MasterSource,
    /// The command that runs, for those who wait for its locks: `fnox exec`.
    pub command_name: &'a str,
    /// How long things may take.
    pub limits: TimeLimits,
}

impl std::fmt::Debug for ManagerOptions<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ManagerOptions")
            .field("command_name", &self.command_name)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Creates, finds and withdraws the leases of one configuration.
#[derive(Debug)]
pub struct Manager<'a> {
    options: ManagerOptions<'a>,
    ledger: Ledger,
    /// Begun with the first credential that nobody else gets.
    run: Mutex<Option<Run>>,
}

/// A record as `lease list` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseSummary {
    /// The issuer's handle.
    pub lease_id: String,
    /// Name of the lease in the configuration.
    pub lease: String,
    /// The label under which it was asked for.
    pub label: String,
    /// Where it is in its life now.
    pub state: LeaseState,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it stops working. `None`: never.
    pub expires_at: Option<Timestamp>,
    /// A withdrawal that has not succeeded, and why, if that is known.
    pub revocation_failure: Option<String>,
    /// Whether it was withdrawn here alone: its issuer has no way to, so the credential works until its end.
    pub is_forgotten: bool,
}

impl LeaseSummary {
    fn of(entry: &Entry, now: Timestamp) -> Self {
        Self {
            lease_id: entry.lease_id.clone(),
            lease: entry.lease.clone(),
            label: entry.label.clone(),
            state: entry.state_at(now),
            created_at: entry.created_at,
            expires_at: entry.expires_at,
            revocation_failure: entry.revocation_failure.clone(),
            is_forgotten: entry.state == LeaseState::Revoked
                && entry.revocation == RevocationKind::ExpiresOnly
                && entry.expires_at.is_none_or(|end| end > now),
        }
    }

    /// Where it is in its life, in a word.
    #[must_use]
    pub fn status(&self) -> String {
        if self.is_forgotten {
            return "forgotten".to_owned();
        }
        self.state.to_string()
    }
}

impl<'a> Manager<'a> {
    /// Nothing is read or contacted yet.
    #[must_use]
    pub fn new(options: ManagerOptions<'a>) -> Self {
        let interactive = options.prompt.is_interactive();
        let keychain = Box::new(KeychainKey::new(options.env, interactive));
        Self::with_keychain(options, keychain)
    }

    /// The same with another place for `[ledger] key = "keychain"`.
    #[must_use]
    pub fn with_keychain(options: ManagerOptions<'a>, keychain: Box<dyn KeyStore>) -> Self {
        let ledger = Ledger::new(LedgerOptions {
            state: &options.folders.state,
            project_dir: &options.config.project_dir,
            key: options.config.settings.ledger_key.unwrap_or_default(),
            keychain,
            holder: introduction(options.command_name),
            lock_limit: options.limits.ledger_lock,
        });
        Self {
            options,
            ledger,
            run: Mutex::default(),
        }
    }

    /// The ledger, for `doctor`.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The run for all of which this manager is there.
    fn run(&self) -> Result<String, LedgerError> {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        match &*run {
            Some(run) => Ok(run.id().to_owned()),
            None => Ok(run.insert(self.ledger.begin_run()?).id().to_owned()),
        }
    }

    /// The names of the masters of a lease: variables, or secrets of the configuration.
    ///
    /// # Errors
    /// [`LeaseError`] if the lease's keys are wrong.
    pub fn consumed(&self, lease: &LeaseConfig) -> Result<Consumes, LeaseError> {
        Ok(self.mint(lease)?.consumes())
    }

    /// The variables that a lease makes, as far as they are known beforehand.
    ///
    /// # Errors
    /// As [`Self::consumed`].
    pub fn produced(&self, lease: &LeaseConfig) -> Result<Vec<String>, LeaseError> {
        Ok(self.mint(lease)?.produces())
    }

    /// The variables that a program which gets the lease's credential must not have.
    ///
    /// # Errors
    /// As [`Self::consumed`].
    pub fn withheld(&self, lease: &LeaseConfig) -> Result<Vec<String>, LeaseError> {
        Ok(self.withheld_by(self.mint(lease)?.as_ref()))
    }

    /// All records, oldest first.
    ///
    /// # Errors
    /// [`LeaseError::Ledger`]
    pub async fn list(&self) -> Result<Vec<LeaseSummary>, LeaseError> {
        let now = self.options.clock.now();
        let mut entries = self.ledger.open().await?.entries;
        entries.sort_by_key(|entry| entry.created_at);
        let summary = |entry: &Entry| LeaseSummary::of(entry, now);
        Ok(entries.iter().map(summary).collect())
    }

    fn mint(&self, lease: &LeaseConfig) -> Result<Box<dyn Mint>, LeaseError> {
        Registry.open(lease, self.options.folders.home())
    }

    fn withheld_by(&self, mint: &dyn Mint) -> Vec<String> {
        mint.withholds(&|name| {
            self.options.env.var(name).is_some() || self.options.config.secrets.contains_key(name)
        })
    }

    /// The secrets of the configuration that a mint's masters are.
    fn master_names(&self, mint: &dyn Mint) -> Vec<SecretName> {
        let secrets = &self.options.config.secrets;
        match mint.consumes() {
            Consumes::Everything => secrets.keys().cloned().collect(),
            Consumes::Names(names) => names
                .iter()
                .filter_map(|name| secrets.get_key_value(name.as_str()))
                .map(|(name, _)| name.clone())
                .collect(),
        }
    }

    /// What a mint gets to see: the environment with its masters on top.
    async fn context(&self, lease: &LeaseName, mint: &dyn Mint) -> Result<MintContext, LeaseError> {
        let masters = self.master_names(mint);
        let all_named = matches!(mint.consumes(), Consumes::Names(_));
        let values = if masters.is_empty() {
            Vec::new()
        } else {
            let source = self.options.masters;
            let resolved = source.resolve(lease, &masters, all_named).await;
            resolved.map_err(|source| LeaseError::Masters {
                lease: lease.clone(),
                source,
            })?
        };
        let overlay = values
            .into_iter()
            .map(|(name, value)| (name.to_string(), value));
        Ok(self.context_with(overlay.collect()))
    }

    /// The environment with masters on top.
    fn context_with(&self, masters: Vec<(String, SecretString)>) -> MintContext {
        MintContext {
            masters: masters.iter().map(|(_, value)| value.clone()).collect(),
            env: self.options.env.with_overlay(masters),
            folders: self.options.folders.clone(),
            prompt: Arc::clone(&self.options.prompt),
            clock: Arc::clone(&self.options.clock),
            connect_limit: self.options.limits.connect,
            call_limit: self.options.limits.call,
            firmware_vendor: aws_sts::firmware_vendor(),
        }
    }
}
