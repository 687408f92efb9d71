//! What becomes of the credentials of a running program, told to it and to the person.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use fnox_config::RenewalFailure;
use fnox_core::{LeaseName, SecretString};
use fnox_leases::delivery::DeliveredFiles;
use fnox_leases::delivery::endpoint::Endpoint;
use fnox_leases::{Held, LeaseError, Observer};
use jiff::Timestamp;

use super::leases::Chosen;
use crate::commands::selection::Selection;
use crate::exec::orders::{Order, SharedOrders};
use crate::exec::plan::EnvironmentPlan;
use crate::exec::signals::named;
use crate::output::Printer;

/// Tells the person and the program what becomes of the credentials.
pub(super) struct Announcer<'a> {
    pub(super) printer: Printer,
    pub(super) orders: SharedOrders,
    pub(super) files: &'a DeliveredFiles,
    pub(super) leases: BTreeMap<LeaseName, &'a Chosen<'a>>,
    pub(super) selection: &'a Selection,
    /// Where the program's SDKs fetch credentials, if they do.
    pub(super) endpoint: OnceLock<Endpoint>,
    pub(super) state: Mutex<Told>,
}

#[derive(Default)]
pub(super) struct Told {
    /// The environment of the program, where it is started again with a renewed credential.
    plan: Option<EnvironmentPlan>,
    /// Leases whose renewal failed last time.
    failing: Vec<LeaseName>,
    /// What was got for this run alone.
    pub(super) to_revoke: Vec<String>,
}

impl Announcer<'_> {
    pub(super) fn state(&self) -> MutexGuard<'_, Told> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the environment of the program, if a renewal starts it again.
    pub(super) fn remember(&self, plan: &EnvironmentPlan) {
        if self.leases.values().any(|lease| lease.config.restart) {
            self.state().plan = Some(plan.clone());
        }
    }

    /// Starts the program again with a new credential.
    fn restart(&self, held: &Held) {
        let mut state = self.state();
        let Some(plan) = &mut state.plan else { return };
        for (name, value) in &held.credential.variables {
            if self.selection.selects(name) {
                plan.set.retain(|(own, _)| own != name);
                plan.set.push((name.clone(), value.clone()));
            }
        }
        self.orders.push(Order::Restart(Box::new(plan.clone())));
        drop(state);
        self.printer.say(&format!(
            "The credential of lease `{}` was renewed: starting the program again.",
            held.lease
        ));
    }

    fn rewrite(&self, held: &Held) {
        if let Some(Err(error)) = self.endpoint.get().map(|endpoint| endpoint.renewed(held)) {
            let lease = &held.lease;
            self.printer.warn(&format!(
                "a token file of lease `{lease}` cannot be written anew: {error}"
            ));
        }
        match self.files.write(held) {
            Ok(signals) => {
                for name in signals {
                    match named(name) {
                        Some(signal) => self.orders.push(Order::Signal(signal)),
                        None => self.printer.warn(&format!(
                            "this system has no signal {name}: the program is not told of its new files"
                        )),
                    }
                }
            }
            Err(error) => self.printer.warn(&error.to_string()),
        }
    }
}

impl Observer for Announcer<'_> {
    fn renewed(&self, held: &Held) {
        let Some(lease) = self.leases.get(&held.lease) else {
            return;
        };
        let values: Vec<SecretString> = held
            .credential
            .variables
            .iter()
            .map(|(_, value)| value.clone())
            .collect();
        self.orders.push(Order::Redact(values));
        let was_failing = {
            let mut state = self.state();
            if lease.revokes && !state.to_revoke.contains(&held.credential.id) {
                state.to_revoke.push(held.credential.id.clone());
            }
            let failing = state.failing.len();
            state.failing.retain(|name| *name != held.lease);
            failing != state.failing.len()
        };
        if was_failing {
            self.printer.say(&format!(
                "The credential of lease `{}` is renewed again.",
                held.lease
            ));
        }
        self.rewrite(held);
        if lease.config.restart {
            self.restart(held);
        }
    }

    fn failed(&self, lease: &LeaseName, error: &LeaseError, ends_at: Option<Timestamp>) {
        let is_news = {
            let mut state = self.state();
            let is_news = !state.failing.contains(lease);
            if is_news {
                state.failing.push(lease.clone());
            }
            is_news
        };
        tracing::debug!("lease `{lease}` is not renewed: {error}");
        if !is_news {
            return;
        }
        let until = ends_at.map_or_else(String::new, |end| {
            format!(
                " The program's credential works until {}.",
                end.strftime("%H:%M:%S UTC")
            )
        });
        let help = error
            .help()
            .map_or_else(String::new, |help| format!("\n{help}"));
        self.printer.warn(&format!(
            "the credential of lease `{lease}` cannot be renewed: {error}.{until} fnox tries again.{help}"
        ));
    }

    fn ended(&self, lease: &LeaseName, ended_at: Timestamp) {
        let ends = self
            .leases
            .get(lease)
            .is_some_and(|lease| lease.on_failure == RenewalFailure::Kill);
        let at = ended_at.strftime("%H:%M:%S UTC");
        if ends {
            self.printer.warn(&format!(
                "the credential of lease `{lease}` ended at {at} and could not be renewed: ending the program"
            ));
            self.orders.push(Order::End);
        } else {
            self.printer.warn(&format!(
                "the credential of lease `{lease}` ended at {at} and could not be renewed: the program has none that \
                 works"
            ));
        }
    }
}
