//! Leases whose master is another lease's credential (`via`).

use fnox_config::LeaseConfig;
use fnox_core::{Credential, LeaseName, SecretString};

use super::Manager;
use super::acquire::{Acquire, Acquired, Plan, Sharing};
use crate::error::LeaseError;
use crate::mint::{Mint, MintContext};

impl Manager<'_> {
    /// The lease that makes a mint's master.
    pub(super) fn parent_of(&self, mint: &dyn Mint) -> Result<Option<&LeaseConfig>, LeaseError> {
        match mint.via() {
            None => Ok(None),
            Some(name) => Ok(Some(self.options.config.lease(name.as_str())?)),
        }
    }

    /// The leases that a lease goes via, the nearest first.
    ///
    /// # Errors
    /// [`LeaseError`] if one of them is not there, or the chain has no end.
    pub fn steps(&self, lease: &LeaseConfig) -> Result<Vec<LeaseName>, LeaseError> {
        let mut seen = vec![lease.name.clone()];
        let mut current = lease;
        loop {
            let mint = self.mint(current)?;
            let Some(next) = mint.via() else {
                seen.remove(0);
                return Ok(seen);
            };
            let leases = &self.options.config.leases;
            let Some(parent) = leases.get(next) else {
                let reason = format!("names `{next}`, which is no lease here");
                return Err(current.fields.invalid("via", reason).into());
            };
            if seen.contains(next) {
                let chain: Vec<&str> = seen.iter().map(LeaseName::as_str).collect();
                let reason = format!("leads back to itself: {} → {next}", chain.join(" → "));
                return Err(lease.fields.invalid("via", reason).into());
            }
            seen.push(next.clone());
            current = parent;
        }
    }

    /// What a plan's mint gets to see. The credential of the lease that it names as `via` is on top of everything else,
    /// and none of that lease's own masters is there.
    pub(super) async fn context_of(
        &self,
        plan: &Plan<'_>,
        request: &Acquire,
    ) -> Result<MintContext, LeaseError> {
        let (name, mint) = (&plan.lease.name, plan.mint.as_ref());
        match self.parent_of(mint)? {
            None => self.context(name, mint).await,
            Some(parent) => {
                let credential = self.parent_credential(name, parent, request).await?;
                self.context_below(name, mint, credential).await
            }
        }
    }

    /// The credential of a lease that another one names as `via`.
    pub(super) async fn parent_credential(
        &self,
        child: &LeaseName,
        parent: &LeaseConfig,
        request: &Acquire,
    ) -> Result<Credential, LeaseError> {
        let request = Acquire {
            label: Acquire::for_exec(&parent.name).label,
            duration: None,
            reuse: true,
            sharing: Sharing::Everybody,
            ..request.clone()
        };
        // A chain of leases is a chain of calls of this very function.
        match Box::pin(self.acquire(&parent.name, request)).await? {
            Acquired::Cached(held) | Acquired::Minted(held) => Ok(held.credential),
            Acquired::Skipped(skip) => Err(LeaseError::PrerequisitesMissing {
                lease: child.clone(),
                message: format!(
                    "lease `{child}` goes via lease `{}`: {}",
                    skip.lease, skip.message
                ),
                hint: skip.hint,
            }),
        }
    }

    pub(super) async fn context_below(
        &self,
        name: &LeaseName,
        mint: &dyn Mint,
        parent: Credential,
    ) -> Result<MintContext, LeaseError> {
        let mut context = self.context(name, mint).await?;
        if let Some(parent_mint) = self.parent_of(mint)? {
            let withheld = self.withheld(parent_mint)?;
            context.env = context.env.without(&withheld);
        }
        let values: Vec<SecretString> = parent
            .variables
            .iter()
            .map(|(_, value)| value.clone())
            .collect();
        context.masters.extend(values);
        context.env = context.env.with_overlay(parent.variables);
        Ok(context)
    }

    /// What a program with the credential must not have: the masters of every lease of the chain.
    pub(super) fn withheld_in(&self, plan: &Plan<'_>) -> Result<Vec<String>, LeaseError> {
        let mut names = self.withheld_by(plan.mint.as_ref());
        let mut parent = self.parent_of(plan.mint.as_ref())?;
        while let Some(current) = parent {
            let mint = self.mint(current)?;
            names.extend(self.withheld_by(mint.as_ref()));
            parent = self.parent_of(mint.as_ref())?;
        }
        Ok(names)
    }
}
