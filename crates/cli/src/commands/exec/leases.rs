//! Which leases a run uses, and how the program gets each of them.

use fnox_config::{Config, Delivery, LeaseConfig, RenewalFailure};
use fnox_core::LeaseName;
use fnox_leases::{Acquire, Held, Registry, Sharing};

use crate::app::App;
use crate::args::RunArgs;
use crate::commands::masters::produced;
use crate::commands::selection::Selection;
use crate::error::CliError;

/// Where programs look for an SSH agent.
pub(super) const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

/// A lease that a run uses.
#[derive(Debug)]
pub(in crate::commands) struct Chosen<'c> {
    pub(in crate::commands) config: &'c LeaseConfig,
    /// How the program gets the credential.
    pub(super) ways: Vec<Delivery>,
    /// Whether it is withdrawn when the program has ended.
    pub(super) revokes: bool,
    /// What happens when it ends and cannot be renewed.
    pub(super) on_failure: RenewalFailure,
    /// The variables that it makes, as far as they are known beforehand.
    pub(in crate::commands) produces: Vec<String>,
}

impl Chosen<'_> {
    pub(in crate::commands) fn name(&self) -> &LeaseName {
        &self.config.name
    }

    pub(super) fn is_delivered(&self, way: Delivery) -> bool {
        self.ways.contains(&way)
    }

    /// Whether its variables are in the program's environment, for which nobody has to stay.
    pub(in crate::commands) fn is_in_environment(&self) -> bool {
        self.is_delivered(Delivery::Env)
    }

    /// Whether anybody has an eye on the credential while the program runs.
    pub(super) fn is_attended(&self) -> bool {
        self.revokes || self.config.restart || self.ways.iter().any(|way| *way != Delivery::Env)
    }

    /// Whether the program can be given a renewed credential.
    pub(super) fn is_renewed(&self) -> bool {
        self.config.restart || self.ways.iter().any(|way| *way != Delivery::Env)
    }

    /// Of the variables of a credential, those that the program finds in its environment.
    fn owned(&self, variables: Vec<String>) -> Vec<String> {
        let in_environment = [Delivery::Env, Delivery::Endpoint];
        let mut out = variables;
        if !in_environment.iter().any(|way| self.is_delivered(*way)) {
            out.clear();
        }
        if self.is_delivered(Delivery::Agent) {
            out.push(AGENT_VARIABLE.to_owned());
        }
        out
    }

    /// How the credential is asked for.
    pub(super) fn request(&self, require: bool) -> Acquire {
        Acquire {
            require,
            sharing: if self.revokes {
                Sharing::ThisRun
            } else {
                Sharing::Everybody
            },
            ..Acquire::for_exec(self.name())
        }
    }
}

/// All leases that `exec` mints; with a filter those that make a selected variable, as far as that is known beforehand.
///
/// Leases for helpers are left to them, and a lease that is only a step to others (`via`) is minted when they are.
pub(in crate::commands) fn chosen<'c>(
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
        let mut produces = produced(app, lease)?;
        if ways.contains(&Delivery::Agent) {
            produces.push(AGENT_VARIABLE.to_owned());
        }
        if selection.is_filtered() && !produces.iter().any(|name| selection.selects(name)) {
            continue;
        }
        out.push(Chosen {
            config: lease,
            ways,
            revokes: args.ending.revoke_on_exit || lease.revoke_on_exit,
            on_failure: args
                .ending
                .on_renewal_failure
                .or(lease.on_renewal_failure)
                .unwrap_or_default(),
            produces,
        });
    }
    let owned = out
        .iter()
        .map(|lease| (lease, lease.owned(lease.produces.clone())));
    require_distinct(&owned.collect::<Vec<_>>())?;
    Ok(out)
}

/// The same for the variables that a credential really has.
pub(in crate::commands) fn check_issued(
    chosen: &[Chosen<'_>],
    held: &[Held],
) -> Result<(), CliError> {
    let issued = held.iter().filter_map(|held| {
        let lease = chosen.iter().find(|lease| *lease.name() == held.lease)?;
        let variables = held.credential.variables.iter();
        let names = variables.map(|(name, _)| name.clone()).collect();
        Some((lease, lease.owned(names)))
    });
    require_distinct(&issued.collect::<Vec<_>>())
}

/// No two leases may make one variable, unless it is said which of them wins.
fn require_distinct(leases: &[(&Chosen<'_>, Vec<String>)]) -> Result<(), CliError> {
    for (number, (one, names)) in leases.iter().enumerate() {
        for (other, others) in &leases[number + 1..] {
            let shared = names.iter().find(|name| others.contains(name));
            if let (Some(shared), true) = (shared, one.config.overrides == other.config.overrides) {
                return Err(not_distinct(one, other, shared));
            }
        }
    }
    Ok(())
}

fn not_distinct(one: &Chosen<'_>, other: &Chosen<'_>, shared: &str) -> CliError {
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
    one.config.fields.invalid("override", reason).into()
}

/// The leases that others go via.
fn steps(app: &App, config: &Config) -> Result<Vec<LeaseName>, CliError> {
    let mut out = Vec::new();
    for lease in config.leases.values() {
        let mint = Registry.open(lease, app.folders.home())?;
        out.extend(mint.via().cloned());
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
