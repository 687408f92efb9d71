//! What mints make for a vault's leases: those of `vault.toml` (`[mint.NAME]`) and those of a project (`[leases.NAME]`,
//! with `vault serve --from-project`).
//!
//! A vault's lease and a mint's credential know each other by the lease's id, which is a part of what the credential is
//! called at its issuer and in the ledger. Every call runs on a thread of its own and goes on where nobody waits for it
//! any more, so that nothing is issued that is on no record.

mod configured;
mod masters;
mod source;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use fnox_core::Credential;
use fnox_core::credential::{
    CredentialMints, IsLive, IssueError, IssueErrorKind, Loan, Masters, MintTerms, Withdrawal,
};

use self::source::Source;
use crate::app::App;
use crate::error::CliError;
use crate::vault::settings::Settings;

/// The mints of one vault.
pub(crate) struct VaultMints {
    sources: Vec<Arc<Source>>,
    terms: Vec<MintTerms>,
}

impl VaultMints {
    /// Checks their configuration; nobody is asked for anything yet. `app` is what mints may see of the world.
    pub(crate) fn new(
        app: &App,
        settings: &Settings,
        from_project: bool,
    ) -> Result<Self, CliError> {
        let of_vault = Source::of_vault(app, &settings.file, settings.mints.clone())?;
        let of_project = if from_project {
            Source::of_project(app)?
        } else {
            None
        };
        let sources: Vec<Arc<Source>> = of_vault
            .into_iter()
            .chain(of_project)
            .map(Arc::new)
            .collect();
        let terms: Vec<MintTerms> = sources
            .iter()
            .flat_map(|source| source.terms())
            .cloned()
            .collect();
        for (number, one) in terms.iter().enumerate() {
            if terms[number + 1..].iter().any(|two| two.name == one.name) {
                return Err(configured::twice(&one.name));
            }
        }
        Ok(Self { sources, terms })
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    fn source(&self, name: &str) -> Result<Arc<Source>, IssueError> {
        let found = self
            .sources
            .iter()
            .find(|source| source.terms().iter().any(|terms| terms.name == name));
        found.cloned().ok_or_else(|| IssueError {
            kind: IssueErrorKind::Refused,
            message: format!("there is no mint `{name}`"),
        })
    }
}

impl fmt::Debug for VaultMints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.terms.iter().map(|terms| terms.name.as_str()).collect();
        formatter
            .debug_struct("VaultMints")
            .field("mints", &names)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl CredentialMints for VaultMints {
    fn describe(&self) -> String {
        let places: Vec<&str> = self.sources.iter().map(|source| source.place()).collect();
        places.join(" and ")
    }

    fn terms(&self) -> &[MintTerms] {
        &self.terms
    }

    async fn issue(
        &self,
        name: &str,
        loan: &Loan,
        masters: Arc<dyn Masters>,
    ) -> Result<Credential, IssueError> {
        let source = self.source(name)?;
        let (name, loan) = (name.to_owned(), loan.clone());
        on_a_thread(move || async move { source.issue(&name, &loan, masters).await }).await?
    }

    async fn renew(
        &self,
        name: &str,
        loan: &Loan,
        held: &Credential,
        masters: Arc<dyn Masters>,
    ) -> Result<Credential, IssueError> {
        let source = self.source(name)?;
        let (name, loan, held) = (name.to_owned(), loan.clone(), held.clone());
        on_a_thread(move || async move { source.renew(&name, &loan, held, masters).await }).await?
    }

    async fn withdraw(
        &self,
        holder: &str,
        masters: Arc<dyn Masters>,
    ) -> Result<Vec<Withdrawal>, IssueError> {
        let mut all = Vec::new();
        for source in &self.sources {
            let (source, masters) = (Arc::clone(source), Arc::clone(&masters));
            let holder = holder.to_owned();
            let work = move || async move { source.withdraw(&holder, masters).await };
            all.extend(on_a_thread(work).await??);
        }
        Ok(all)
    }

    async fn settle(
        &self,
        is_live: Arc<IsLive>,
        masters: Arc<dyn Masters>,
    ) -> Result<Vec<Withdrawal>, IssueError> {
        let mut all = Vec::new();
        for source in &self.sources {
            let (source, masters) = (Arc::clone(source), Arc::clone(&masters));
            let is_live = Arc::clone(&is_live);
            let work = move || async move { source.settle(is_live, masters).await };
            all.extend(on_a_thread(work).await??);
        }
        Ok(all)
    }
}

/// Runs to its end, whether somebody waits for it or not. Mints run programs and lock files, so it is a thread where that
/// holds up nobody; what they do over the network runs where the vault's own does.
async fn on_a_thread<F, T>(work: impl FnOnce() -> F + Send + 'static) -> Result<T, IssueError>
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(work()))
        .await
        .map_err(|_| IssueError {
            kind: IssueErrorKind::Unavailable,
            message: "the mint ended before it was done".to_owned(),
        })
}
