//! One configuration of mints, and the calls of the lease manager that serve a vault.

use std::path::Path;
use std::sync::Arc;

use fnox_config::Config;
use fnox_config::mints::{MintConfig, configuration};
use fnox_core::credential::{
    IsLive, IssueError, IssueErrorKind, Loan, Masters, MintTerms, Settled, Withdrawal,
};
use fnox_core::lease::LeaseState;
use fnox_core::prompt::NoPrompt;
use fnox_core::{Clock as _, Credential, LeaseName, Lifetime};
use fnox_leases::ledger::lock::Lock;
use fnox_leases::{
    Acquire, Acquired, Held, LeaseError, LeaseSummary, Manager, ManagerOptions, MasterSource,
    Revocation, RevocationOutcome, Sharing,
};
use fnox_providers::resolve::Resolver;
use indexmap::IndexMap;

use super::configured;
use super::masters::{MasterNames, VaultMasters};
use crate::app::App;
use crate::commands::masters::Masters as ProjectMasters;
use crate::error::CliError;

/// What credentials of a vault's leases are called, before the lease's id. The ledger of a project has others too.
const LABEL: &str = "fnox-vault-";

/// Mints with one ledger.
pub(super) struct Source {
    app: App,
    place: String,
    terms: Vec<MintTerms>,
    masters: MastersAt,
    /// All of its mints; for those of a vault also the names of their masters, without values.
    config: Config,
    /// That what is on record and that no lease of this vault holds is nobody's: no other vault has it.
    _claim: Lock,
}

/// Where masters are.
enum MastersAt {
    /// In the vault, under these names.
    Vault(MasterNames),
    /// Where the project's providers keep them.
    Project,
}

impl Source {
    /// Those of `vault.toml`.
    pub(super) fn of_vault(
        app: &App,
        file: &Path,
        mints: Vec<MintConfig>,
    ) -> Result<Option<Self>, CliError> {
        let home = app.folders.home();
        let Some(first) = mints.first() else {
            return Ok(None);
        };
        let place = first.lease.fields.location().clone();
        let mut variables = Vec::new();
        for mint in &mints {
            variables.extend(configured::masters_of(mint, home)?);
        }
        let described: IndexMap<LeaseName, Option<String>> = mints
            .iter()
            .map(|mint| (mint.lease.name.clone(), mint.description.clone()))
            .collect();
        let (leases, names): (Vec<_>, Vec<_>) = mints
            .into_iter()
            .map(|mint| (mint.lease.clone(), (mint.lease.name, mint.masters)))
            .unzip();
        // The ledger is named after the file, so that two vaults of one user have two.
        let config = configuration(leases, variables, &place, file);
        let masters = MastersAt::Vault(names.into_iter().collect());
        let place = file.display().to_string();
        Self::new(app, place, config, masters, |name| {
            described.get(name).cloned()?
        })
    }

    /// The leases of the project that is found from here.
    pub(super) fn of_project(app: &App) -> Result<Option<Self>, CliError> {
        let config = app.load()?;
        let last = config.files.last();
        let place = last.map_or_else(String::new, |file| file.path.display().to_string());
        Self::new(app, place, config, MastersAt::Project, |_| None)
    }

    fn new(
        app: &App,
        place: String,
        config: Config,
        masters: MastersAt,
        description: impl Fn(&LeaseName) -> Option<String>,
    ) -> Result<Option<Self>, CliError> {
        let resolver = Resolver::new(&config, app.resolver_options(&config));
        let nobody = ProjectMasters::new(app, &config, &resolver);
        let manager = manager(app, &config, &nobody);
        let terms = configured::terms(&manager, &config, app.folders.home(), description)?;
        if terms.is_empty() {
            return Ok(None);
        }
        let claimed = manager.ledger().try_claim().map_err(LeaseError::from)?;
        let claim = claimed.map_err(|holder| configured::claimed(&place, &holder))?;
        Ok(Some(Self {
            app: app.clone(),
            place,
            terms,
            masters,
            config,
            _claim: claim,
        }))
    }

    /// The file that has them.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// What a vault must know of each.
    pub(super) fn terms(&self) -> &[MintTerms] {
        &self.terms
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
            .with_manager(vault, async |manager| manager.acquire(&name, request).await)
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
        let request = wanted(&loan.holder, loan.lifetime);
        let held = Held {
            lease: lease_name(name)?,
            credential: held,
            created_at: self.app.clock.now(),
            withhold: Vec::new(),
        };
        let renewed = self
            .with_manager(vault, async |manager| manager.renew(&held, request).await)
            .await?;
        Ok(renewed.credential)
    }

    /// Withdraws what one holder has on record, intents and earlier failures included.
    pub(super) async fn withdraw(
        &self,
        holder: &str,
        vault: Arc<dyn Masters>,
    ) -> Result<Vec<Withdrawal>, IssueError> {
        self.withdraw_where(vault, |record| holder_of(&record.label) == Some(holder))
            .await
    }

    /// The same for what nobody holds who is live. Of a vault's own mints also the credentials of mere steps, which
    /// nobody holds, once they are over: there is no `fnox lease cleanup` for that ledger.
    pub(super) async fn settle(
        &self,
        is_live: Arc<IsLive>,
        vault: Arc<dyn Masters>,
    ) -> Result<Vec<Withdrawal>, IssueError> {
        let is_own = matches!(self.masters, MastersAt::Vault(_));
        self.withdraw_where(vault, |record| match holder_of(&record.label) {
            Some(holder) => !is_live(holder),
            None => is_own && needs_settling(record),
        })
        .await
    }

    async fn withdraw_where(
        &self,
        vault: Arc<dyn Masters>,
        fits: impl Fn(&LeaseSummary) -> bool,
    ) -> Result<Vec<Withdrawal>, IssueError> {
        let done = self
            .with_manager(vault, async |manager| manager.revoke_where(&fits).await)
            .await?;
        Ok(done.into_iter().filter_map(withdrawal).collect())
    }

    /// Works with a manager for which each mint finds its own masters and no others.
    async fn with_manager<T>(
        &self,
        vault: Arc<dyn Masters>,
        work: impl AsyncFnOnce(&Manager<'_>) -> Result<T, LeaseError>,
    ) -> Result<T, IssueError> {
        let done = match &self.masters {
            MastersAt::Project => {
                let mut options = self.app.resolver_options(&self.config);
                options.prompt_auth = false;
                let resolver = Resolver::new(&self.config, options);
                let masters = ProjectMasters::new(&self.app, &self.config, &resolver);
                work(&manager(&self.app, &self.config, &masters)).await
            }
            MastersAt::Vault(names) => {
                let masters = VaultMasters { vault, names };
                work(&manager(&self.app, &self.config, &masters)).await
            }
        };
        done.map_err(|error| issue_error(&error))
    }
}

fn manager<'a>(app: &'a App, config: &'a Config, masters: &'a dyn MasterSource) -> Manager<'a> {
    Manager::new(ManagerOptions {
        config,
        folders: &app.folders,
        env: &app.env,
        clock: Arc::new(app.clock),
        prompt: Arc::new(NoPrompt),
        masters,
        command_name: "fnox vault serve",
        limits: app.lease_time_limits(),
    })
}

/// Whose credential it is that has this label.
fn holder_of(label: &str) -> Option<&str> {
    label.strip_prefix(LABEL)
}

/// Whether a credential that nobody holds has to be withdrawn.
fn needs_settling(record: &LeaseSummary) -> bool {
    record.state != LeaseState::Active || record.revocation_failure.is_some()
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
        sharing: Sharing::Nobody,
    }
}

/// `None` for what needed nothing.
fn withdrawal(revocation: Revocation) -> Option<Withdrawal> {
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
        holder: holder_of(&revocation.label).map(str::to_owned),
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
