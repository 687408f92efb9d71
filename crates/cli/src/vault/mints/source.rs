//! One configuration of mints, and the calls of the lease manager that serve a vault.

use std::path::Path;
use std::sync::Arc;

use fnox_config::mints::{MintConfig, configuration};
use fnox_config::{Config, LeaseConfig};
use fnox_core::credential::{
    IssueError, IssueErrorKind, Loan, Masters, MintTerms, Settled, Withdrawal,
};
use fnox_core::lease::LeaseState;
use fnox_core::prompt::NoPrompt;
use fnox_core::{Clock as _, Credential, LeaseName, Lifetime, SecretName};
use fnox_leases::mint::{Consumes, RevocationKind};
use fnox_leases::{
    Acquire, Acquired, Held, LeaseError, Manager, ManagerOptions, MasterSource, Registry,
    Revocation, RevocationOutcome,
};
use fnox_providers::resolve::Resolver;
use indexmap::IndexMap;

use super::masters::{MasterNames, VaultMasters};
use crate::app::App;
use crate::commands::masters::Masters as ProjectMasters;
use crate::error::CliError;
use crate::vault::error::{StartProblem, VaultFailure};

/// What credentials of a vault's leases are called, before the lease's id. The ledger of a project has others too.
const LABEL: &str = "fnox-vault-";

/// Mints with one ledger.
pub(super) struct Source {
    app: App,
    place: String,
    terms: Vec<MintTerms>,
    masters: MastersAt,
    /// All of its mints; for those of a vault without any secrets.
    config: Config,
}

/// Where masters are.
enum MastersAt {
    /// In the vault: for each mint what it and the mints that it goes via call their masters.
    Vault(IndexMap<LeaseName, MasterNames>),
    /// Where the project's providers keep them.
    Project,
}

impl Source {
    /// Those of `vault.toml`.
    pub(super) fn of_vault(
        app: &App,
        file: &Path,
        mints: Vec<MintConfig>,
    ) -> Result<Self, CliError> {
        let mut own = IndexMap::new();
        let mut descriptions = IndexMap::new();
        let mut leases = Vec::new();
        for mint in mints {
            let name = mint.lease.name.clone();
            own.insert(name.clone(), mint.masters);
            descriptions.insert(name, mint.description);
            leases.push(mint.lease);
        }
        let Some(first) = leases.first() else {
            return Err(CliError::Output(std::io::Error::other("no mint")));
        };
        let place = first.fields.location().clone();
        // The ledger is named after the file, so that two vaults of one user have two.
        let config = configuration(leases, [], &place, file);
        let mut source = Self {
            app: app.clone(),
            place: file.display().to_string(),
            terms: Vec::new(),
            masters: MastersAt::Project,
            config,
        };
        source.terms =
            source.read_terms(|lease| descriptions.get(&lease.name).cloned().flatten())?;
        source.masters = MastersAt::Vault(source.chained(&own)?);
        Ok(source)
    }

    /// The leases of the project that is found from here.
    pub(super) fn of_project(app: &App) -> Result<Self, CliError> {
        let config = app.load()?;
        let last = config.files.last();
        let place = last.map_or_else(String::new, |file| file.path.display().to_string());
        let mut source = Self {
            app: app.clone(),
            place,
            terms: Vec::new(),
            masters: MastersAt::Project,
            config,
        };
        source.terms = source.read_terms(|_| None)?;
        Ok(source)
    }

    /// The file that has them.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// What a vault must know of each.
    pub(super) fn terms(&self) -> &[MintTerms] {
        &self.terms
    }

    fn read_terms(
        &self,
        describe: impl Fn(&LeaseConfig) -> Option<String>,
    ) -> Result<Vec<MintTerms>, CliError> {
        let leases = self.config.leases.values();
        leases
            .map(|lease| {
                let mint = Registry.open(lease, self.app.folders.home())?;
                let limits = mint.limits();
                let wanted = lease.duration.unwrap_or(limits.maximum);
                if wanted < limits.minimum || wanted > limits.maximum {
                    let reason = format!(
                        "is out of range: `{}` allows {} to {}",
                        lease.spec.name, limits.minimum, limits.maximum
                    );
                    return Err(lease.fields.invalid("duration", reason).into());
                }
                Ok(MintTerms {
                    name: lease.name.to_string(),
                    kind: lease.spec.name.to_owned(),
                    description: describe(lease),
                    minimum: limits.minimum,
                    maximum: wanted,
                    is_withdrawable: mint.revocation() == RevocationKind::Supported,
                    per_operation: lease.per_operation,
                    variable: lease.variable.clone(),
                })
            })
            .collect()
    }

    /// For each mint the masters of all mints on its way: first its own.
    fn chained(
        &self,
        own: &IndexMap<LeaseName, IndexMap<SecretName, String>>,
    ) -> Result<IndexMap<LeaseName, MasterNames>, CliError> {
        let mut all = IndexMap::new();
        for name in self.config.leases.keys() {
            let mut names = MasterNames::new();
            for lease in self.way(name)? {
                let given = own.get(&lease.name);
                for (variable, secret) in given.into_iter().flatten() {
                    names
                        .entry(variable.clone())
                        .or_insert_with(|| Some(secret.clone()));
                }
                let mint = Registry.open(lease, self.app.folders.home())?;
                // One that takes everything gets what its `masters` say, and not every secret of the vault.
                if let Consumes::Names(consumed) = mint.consumes() {
                    for variable in consumed {
                        if let Ok(variable) = SecretName::parse(&variable) {
                            names.entry(variable).or_insert(None);
                        }
                    }
                }
            }
            all.insert(name.clone(), names);
        }
        Ok(all)
    }

    /// A mint, and those that it goes via. A circle ends where it began; the manager refuses it.
    fn way(&self, name: &LeaseName) -> Result<Vec<&LeaseConfig>, CliError> {
        let mut way: Vec<&LeaseConfig> = Vec::new();
        let mut next = Some(name.clone());
        while let Some(name) = next {
            if way.iter().any(|lease| lease.name == name) {
                break;
            }
            let lease = self.config.lease(name.as_str())?;
            way.push(lease);
            next = Registry
                .open(lease, self.app.folders.home())?
                .via()
                .cloned();
        }
        Ok(way)
    }

    /// A new credential, on record.
    pub(super) async fn issue(
        &self,
        name: &str,
        loan: &Loan,
        vault: Arc<dyn Masters>,
    ) -> Result<Credential, IssueError> {
        let name = lease_name(name)?;
        let request = wanted(&loan.holder, loan.lifetime);
        let acquired = self
            .with_manager(&name, vault, async |manager| {
                manager.acquire(&name, request).await
            })
            .await?;
        match acquired {
            Acquired::Minted(held) | Acquired::Cached(held) => Ok(held.credential),
            Acquired::Skipped(skip) => Err(IssueError {
                kind: IssueErrorKind::Refused,
                message: skip.message,
            }),
        }
    }

    /// A credential that outlives `held`.
    pub(super) async fn renew(
        &self,
        name: &str,
        loan: &Loan,
        held: Credential,
        vault: Arc<dyn Masters>,
    ) -> Result<Credential, IssueError> {
        let name = lease_name(name)?;
        let request = wanted(&loan.holder, loan.lifetime);
        let held = Held {
            lease: name.clone(),
            credential: held,
            created_at: self.app.clock.now(),
            withhold: Vec::new(),
        };
        let renewed = self
            .with_manager(&name, vault, async |manager| {
                manager.renew(&held, request).await
            })
            .await?;
        Ok(renewed.credential)
    }

    /// Withdraws what these holders have on record, intents and earlier failures included.
    pub(super) async fn withdraw_from(
        &self,
        is_meant: impl Fn(&str) -> bool,
        vault: Arc<dyn Masters>,
    ) -> Result<Vec<Withdrawal>, IssueError> {
        let records = self
            .bare_manager(async |manager| manager.list().await)
            .await?;
        let mut all = Vec::new();
        for record in records {
            let Some(holder) = record.label.strip_prefix(LABEL) else {
                continue;
            };
            if record.state == LeaseState::Revoked || !is_meant(holder) {
                continue;
            }
            let id = record.lease_id.clone();
            let work = async |manager: &Manager<'_>| manager.revoke(&id).await;
            let done = match LeaseName::parse(&record.lease) {
                Ok(name) if self.config.leases.contains_key(&name) => {
                    self.with_manager(&name, Arc::clone(&vault), work).await
                }
                // Of a mint that is gone: the record stays, and says so.
                _ => self.bare_manager(work).await,
            };
            let holder = holder.to_owned();
            match done {
                Ok(revocations) => all.extend(
                    revocations
                        .into_iter()
                        .filter_map(|one| withdrawal(&holder, one)),
                ),
                Err(error) => all.push(Withdrawal {
                    holder: Some(holder),
                    name: record.lease,
                    credential: record.lease_id,
                    outcome: Settled::Failed(error.message),
                }),
            }
        }
        Ok(all)
    }

    /// Works with the manager of a mint, which finds that mint's masters and no others.
    async fn with_manager<T>(
        &self,
        name: &LeaseName,
        vault: Arc<dyn Masters>,
        work: impl AsyncFnOnce(&Manager<'_>) -> Result<T, LeaseError>,
    ) -> Result<T, IssueError> {
        let done = match &self.masters {
            MastersAt::Project => {
                let mut options = self.app.resolver_options(&self.config);
                options.prompt_auth = false;
                let resolver = Resolver::new(&self.config, options);
                let masters = ProjectMasters::new(&self.app, &self.config, &resolver);
                work(&self.manager(&self.config, &masters)).await
            }
            MastersAt::Vault(chained) => {
                let none = MasterNames::new();
                let names = chained.get(name).unwrap_or(&none);
                let config = self.config_with(names.keys().cloned());
                let masters = VaultMasters { vault, names };
                work(&self.manager(&config, &masters)).await
            }
        };
        done.map_err(|error| issue_error(&error))
    }

    /// Works with a manager that has no masters.
    async fn bare_manager<T>(
        &self,
        work: impl AsyncFnOnce(&Manager<'_>) -> Result<T, LeaseError>,
    ) -> Result<T, IssueError> {
        let resolver = Resolver::new(&self.config, self.app.resolver_options(&self.config));
        let masters = ProjectMasters::new(&self.app, &self.config, &resolver);
        work(&self.manager(&self.config, &masters))
            .await
            .map_err(|error| issue_error(&error))
    }

    fn config_with(&self, masters: impl Iterator<Item = SecretName>) -> Config {
        let leases = self.config.leases.values().cloned();
        let place = self.config.leases.values().next();
        match place.map(|lease| lease.fields.location().clone()) {
            Some(place) => configuration(leases, masters, &place, &self.config.project_dir),
            None => self.config.clone(),
        }
    }

    fn manager<'a>(&'a self, config: &'a Config, masters: &'a dyn MasterSource) -> Manager<'a> {
        Manager::new(ManagerOptions {
            config,
            folders: &self.app.folders,
            env: &self.app.env,
            clock: Arc::new(self.app.clock),
            prompt: Arc::new(NoPrompt),
            masters,
            command_name: "fnox vault serve",
            limits: self.app.lease_time_limits(),
        })
    }
}

/// Two mints have one name.
pub(super) fn twice(name: &str) -> CliError {
    VaultFailure::Start {
        message: format!("the mint `{name}` is in vault.toml and in the project"),
        reason: StartProblem::Settings,
        help: Some("give one of them another name".to_owned()),
    }
    .into()
}

fn lease_name(name: &str) -> Result<LeaseName, IssueError> {
    LeaseName::parse(name).map_err(|error| IssueError {
        kind: IssueErrorKind::Refused,
        message: error.to_string(),
    })
}

/// A credential for one holder alone.
fn wanted(holder: &str, lifetime: Lifetime) -> Acquire {
    Acquire {
        label: format!("{LABEL}{holder}"),
        duration: Some(lifetime),
        reuse: false,
        interactive: false,
        require: true,
        exclusive: true,
    }
}

/// `None` for what needed nothing.
fn withdrawal(holder: &str, revocation: Revocation) -> Option<Withdrawal> {
    let outcome = match revocation.outcome {
        RevocationOutcome::Revoked => Settled::Withdrawn,
        RevocationOutcome::ExpiresOnly { expires_at } => Settled::ExpiresOnly(expires_at),
        RevocationOutcome::AlreadyRevoked => return None,
        RevocationOutcome::InProgress { holder } => {
            Settled::Failed(format!("it is being created by {holder}"))
        }
        RevocationOutcome::Failed(error) => Settled::Failed(error.to_string()),
    };
    Some(Withdrawal {
        holder: Some(holder.to_owned()),
        name: revocation.lease,
        credential: revocation.lease_id,
        outcome,
    })
}

/// What the vault's log says. Whoever asked is told only which class it is.
fn issue_error(error: &LeaseError) -> IssueError {
    let kind = match error.exit_status() {
        fnox_core::ExitStatus::Unavailable => IssueErrorKind::Unavailable,
        _ => IssueErrorKind::Refused,
    };
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = inner.source();
    }
    if let Some(help) = error.help() {
        message = format!("{message} ({help})");
    }
    IssueError { kind, message }
}
