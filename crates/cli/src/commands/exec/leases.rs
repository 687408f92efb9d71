//! Which leases a run uses, and how the program gets each of them.

use fnox_config::{Config, Delivery, LeaseConfig, RenewalFailure};
use fnox_core::LeaseName;
use fnox_leases::{Acquire, Held, LeaseError, Registry};

use crate::app::App;
use crate::args::RunArgs;
use crate::commands::masters::produced;
use crate::commands::selection::Selection;
use crate::error::CliError;

/// A lease that a run uses.
#[derive(Debug)]
pub(super) struct Chosen<'c> {
    pub(super) config: &'c LeaseConfig,
    /// How the program gets the credential.
    pub(super) ways: Vec<Delivery>,
    /// Whether it is withdrawn when the program has ended.
    pub(super) revokes: bool,
    /// What happens when it ends and cannot be renewed.
    pub(super) on_failure: RenewalFailure,
    /// The variables that it makes, as far as they are known beforehand.
    pub(super) produces: Vec<String>,
}

impl Chosen<'_> {
    pub(super) fn name(&self) -> &LeaseName {
        &self.config.name
    }

    pub(super) fn is_delivered(&self, way: Delivery) -> bool {
        self.ways.contains(&way)
    }

    /// Whether anybody has an eye on the credential while the program runs.
    pub(super) fn is_attended(&self) -> bool {
        self.revokes || self.config.restart || self.ways.iter().any(|way| *way != Delivery::Env)
    }

    /// Whether the program can be given a renewed credential.
    pub(super) fn is_renewed(&self) -> bool {
        self.config.restart || self.ways.iter().any(|way| *way != Delivery::Env)
    }

    /// How the credential is asked for.
    pub(super) fn request(&self, require: bool) -> Acquire {
        Acquire {
            require,
            exclusive: self.revokes,
            ..Acquire::for_exec(self.name())
        }
    }
}

/// All leases that `exec` mints; with a filter those that make a selected variable, as far as that is known beforehand.
///
/// Leases for helpers are left to them, and a lease that is only a step to others (`via`) is minted when they are.
pub(super) fn chosen<'c>(
    app: &App,
    config: &'c Config,
    selection: &Selection,
    args: &RunArgs,
) -> Result<Vec<Chosen<'c>>, CliError> {
    let steps = steps(app, config)?;
    let mut out = Vec::new();
    for lease in config.leases.values() {
        let ways = ways(lease);
        let is_only_a_step = lease.deliver.is_empty() && steps.contains(&lease.name);
        if is_only_a_step || ways.contains(&Delivery::Helper) {
            continue;
        }
        let produces = produced(app, lease)?;
        if selection.is_filtered() && !produces.iter().any(|name| selection.selects(name)) {
            continue;
        }
        out.push(Chosen {
            config: lease,
            ways,
            revokes: args.revoke_on_exit || lease.revoke_on_exit,
            on_failure: args
                .on_renewal_failure
                .or(lease.on_renewal_failure)
                .unwrap_or_default(),
            produces,
        });
    }
    let owning: Vec<&Chosen<'_>> = out.iter().filter(|lease| owns_variables(lease)).collect();
    for (number, one) in owning.iter().enumerate() {
        for other in &owning[number + 1..] {
            require_distinct(one, &one.produces, other, &other.produces)?;
        }
    }
    Ok(out)
}

/// The same for the variables that a credential really has.
pub(super) fn check_issued(chosen: &[Chosen<'_>], held: &[Held]) -> Result<(), CliError> {
    let names = |held: &Held| -> Vec<String> {
        let variables = held.credential.variables.iter();
        variables.map(|(name, _)| name.clone()).collect()
    };
    let issued: Vec<(&Chosen<'_>, Vec<String>)> = held
        .iter()
        .filter_map(|held| {
            let lease = chosen.iter().find(|lease| *lease.name() == held.lease)?;
            owns_variables(lease).then(|| (lease, names(held)))
        })
        .collect();
    for (number, (one, names)) in issued.iter().enumerate() {
        for (other, others) in &issued[number + 1..] {
            require_distinct(one, names, other, others)?;
        }
    }
    Ok(())
}

fn require_distinct(
    one: &Chosen<'_>,
    names: &[String],
    other: &Chosen<'_>,
    others: &[String],
) -> Result<(), CliError> {
    if one.config.overrides != other.config.overrides {
        return Ok(());
    }
    let Some(shared) = names.iter().find(|name| others.contains(name)) else {
        return Ok(());
    };
    let both = if one.config.overrides {
        "both have it"
    } else {
        "neither has `override = true`"
    };
    let reason = format!(
        "decides which lease wins where two make one variable: `{}` and `{}` make `{shared}`, and {both}. \
         Select one with `--only` or a profile, or give one of them `override = true` or `deliver = [\"helper\"]`",
        one.name(),
        other.name()
    );
    Err(one.config.fields.invalid("override", reason).into())
}

/// Whether the names of a lease's variables matter to the program.
fn owns_variables(lease: &Chosen<'_>) -> bool {
    lease.is_delivered(Delivery::Env) || lease.is_delivered(Delivery::Endpoint)
}

/// The leases that others go via.
fn steps(app: &App, config: &Config) -> Result<Vec<LeaseName>, CliError> {
    let mut out = Vec::new();
    for lease in config.leases.values() {
        match Registry.open(lease, app.folders.home()) {
            Ok(mint) => out.extend(mint.via().cloned()),
            Err(LeaseError::NotBuilt { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(out)
}

/// How a lease is delivered: as it says, or in its type's usual way.
fn ways(lease: &LeaseConfig) -> Vec<Delivery> {
    match (lease.deliver.as_slice(), lease.spec.name) {
        ([], "ssh") => vec![Delivery::Agent],
        ([], _) => vec![Delivery::Env],
        (ways, _) => ways.to_vec(),
    }
}
