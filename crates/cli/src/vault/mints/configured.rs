//! What is configured of mints, checked before anybody is asked for anything.

use std::path::Path;

use fnox_config::mints::MintConfig;
use fnox_config::{Config, LeaseConfig};
use fnox_core::credential::MintTerms;
use fnox_core::{LeaseName, SecretName};
use fnox_leases::mint::{Consumes, RevocationKind};
use fnox_leases::{Manager, Registry};

use crate::error::CliError;
use crate::vault::error::{StartProblem, VaultFailure};

/// What a vault must know of the mints that it lends from.
///
/// A mint that others go via is a step to them and not lent, since it can do more than they can; unless a project
/// says how programs get it, as `fnox exec` has it.
pub(super) fn terms(
    manager: &Manager<'_>,
    config: &Config,
    home: Option<&Path>,
    description: impl Fn(&LeaseName) -> Option<String>,
) -> Result<Vec<MintTerms>, CliError> {
    let mut steps = Vec::new();
    let mut all = Vec::new();
    for lease in config.leases.values() {
        steps.extend(manager.steps(lease)?);
        all.push((lease, terms_of(lease, home, description(&lease.name))?));
    }
    let is_lent = |lease: &LeaseConfig| !lease.deliver.is_empty() || !steps.contains(&lease.name);
    let lent = all.into_iter().filter(|(lease, _)| is_lent(lease));
    Ok(lent.map(|(_, terms)| terms).collect())
}

fn terms_of(
    lease: &LeaseConfig,
    home: Option<&Path>,
    description: Option<String>,
) -> Result<MintTerms, CliError> {
    let mint = Registry.open(lease, home)?;
    let limits = mint.limits();
    let longest = lease.duration.unwrap_or(limits.maximum);
    if longest < limits.minimum || longest > limits.maximum {
        let reason = format!(
            "is out of range: `{}` allows {} to {}",
            lease.spec.name, limits.minimum, limits.maximum
        );
        return Err(lease.fields.invalid("duration", reason).into());
    }
    Ok(MintTerms {
        name: lease.name.to_string(),
        kind: lease.spec.name.to_owned(),
        description,
        minimum: limits.minimum,
        maximum: longest,
        is_withdrawable: mint.revocation() == RevocationKind::Supported,
        per_operation: lease.per_operation,
        variable: lease.variable.clone(),
    })
}

/// The variables that a mint of a vault reads masters from.
pub(super) fn masters_of(
    mint: &MintConfig,
    home: Option<&Path>,
) -> Result<Vec<SecretName>, CliError> {
    // One that takes everything gets what its `masters` say, and not every secret of the vault.
    let Consumes::Names(read) = Registry.open(&mint.lease, home)?.consumes() else {
        return Ok(mint.masters.keys().cloned().collect());
    };
    let is_read = |name: &&SecretName| read.iter().any(|one| one == name.as_str());
    if let Some(other) = mint.masters.keys().find(|name| !is_read(name)) {
        let reason = if read.is_empty() {
            format!("has `{other}`, but this mint reads no variable")
        } else {
            format!(
                "has `{other}`, which this mint does not read; it reads {}",
                read.join(", ")
            )
        };
        return Err(mint.lease.fields.invalid("masters", reason).into());
    }
    let names = read.iter().filter_map(|name| SecretName::parse(name).ok());
    Ok(names.collect())
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

/// Another vault lends from these mints.
pub(super) fn claimed(place: &str, holder: &str) -> CliError {
    VaultFailure::Start {
        message: format!("another vault lends what the mints of {place} make: {holder}"),
        reason: StartProblem::Store,
        help: Some(
            "end it first: each vault withdraws what it finds on record and did not lend itself"
                .to_owned(),
        ),
    }
    .into()
}
