//! A run whose credentials are looked after while the program runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use fnox_config::{Delivery, LeaseConfig, RenewalFailure};
use fnox_core::{Clock, ExitStatus, LeaseName, SecretString};
use fnox_leases::delivery::DeliveredFiles;
use fnox_leases::delivery::endpoint::{Endpoint, Served, Surroundings};
use fnox_leases::{Held, Keeper, LeaseError, Manager, Observer, RevocationOutcome};
use jiff::Timestamp;
use rustix::process::Signal;
use tokio::sync::oneshot;

use super::leases::Chosen;
use crate::app::App;
use crate::commands::selection::Selection;
use crate::error::CliError;
use crate::exec::files::PrivateFolder;
use crate::exec::orders::{Order, SharedOrders};
use crate::exec::plan::EnvironmentPlan;
use crate::output::Printer;

/// What is needed to look after credentials.
#[derive(Debug)]
pub(super) struct Attended<'a> {
    pub(super) app: &'a App,
    pub(super) manager: &'a Manager<'a>,
    pub(super) chosen: &'a [Chosen<'a>],
    /// Which variables are wanted.
    pub(super) selection: &'a Selection,
}

impl Attended<'_> {
    /// Runs a program, given its plan and a place for orders, and looks after its credentials meanwhile.
    pub(super) fn run(
        &self,
        held: Vec<Held>,
        mut plan: EnvironmentPlan,
        program: impl FnOnce(EnvironmentPlan, SharedOrders) -> Result<ExitStatus, CliError>,
    ) -> Result<ExitStatus, CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(CliError::Output)?;
        let folder = self.folder()?;
        let files = self.files(folder.as_ref())?;
        let orders = SharedOrders::default();
        let announcer = Announcer {
            printer: self.app.printer,
            orders: Arc::clone(&orders),
            files: &files,
            leases: self
                .chosen
                .iter()
                .map(|one| (one.name().clone(), one))
                .collect(),
            selection: self.selection,
            endpoint: OnceLock::new(),
            state: Mutex::default(),
        };
        let clock: Arc<dyn Clock> = Arc::new(self.app.clock);
        let mut keeper = Keeper::new(self.manager, clock, &announcer);
        let mut served = Vec::new();
        for held in held {
            let Some(lease) = announcer.leases.get(&held.lease).copied() else {
                continue;
            };
            files.write(&held).map_err(not_written)?;
            if lease.revokes {
                announcer.state().to_revoke.push(held.credential.id.clone());
            }
            if lease.is_renewed() {
                let kept = keeper.keep(held.clone(), lease.config.spec.name, lease.request(true));
                if lease.is_delivered(Delivery::Endpoint) {
                    let one = Served::new(kept, lease.config, &held);
                    served.push(one.map_err(|error| not_served(lease.name(), &error))?);
                }
            }
        }
        plan.set.extend(files.variables());
        let _inside = runtime.enter();
        self.serve(served, folder.as_ref(), &mut plan, &announcer)?;
        announcer.remember(&plan);
        let (stop, stopped) = oneshot::channel::<()>();
        let status = std::thread::scope(|scope| {
            let (runtime, keeper) = (&runtime, &keeper);
            scope.spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = async { keeper.run().await; std::future::pending().await } => {}
                        _ = stopped => {}
                    }
                });
            });
            let status = program(plan, orders);
            drop(stop);
            status
        });
        let to_revoke = std::mem::take(&mut announcer.state().to_revoke);
        runtime.block_on(self.revoke(to_revoke));
        runtime.shutdown_background();
        status
    }

    /// Starts the endpoint and leads the program to it. A lease that overrides others leads last.
    fn serve(
        &self,
        served: Vec<Served>,
        folder: Option<&PrivateFolder>,
        plan: &mut EnvironmentPlan,
        announcer: &Announcer<'_>,
    ) -> Result<(), CliError> {
        let (Some(first), Some(folder)) = (served.first(), folder) else {
            return Ok(());
        };
        let first = first.lease().clone();
        let leases: Vec<LeaseName> = served.iter().map(|one| one.lease().clone()).collect();
        let surroundings = Surroundings {
            folder: folder.path(),
            env: &self.app.env,
            clock: Arc::new(self.app.clock),
        };
        let endpoint =
            Endpoint::start(served, &surroundings).map_err(|error| not_served(&first, &error))?;
        for lease in leases {
            let environment = endpoint.environment(&lease);
            for name in environment.remove {
                plan.set.retain(|(own, _)| *own != name);
                plan.remove.insert(name);
            }
            plan.set.extend(environment.set);
        }
        let _ = announcer.endpoint.set(endpoint);
        Ok(())
    }

    /// A private folder, if anything is delivered through one.
    fn folder(&self) -> Result<Option<PrivateFolder>, CliError> {
        let through_files = [Delivery::Endpoint, Delivery::File, Delivery::Agent];
        let is_needed = self
            .chosen
            .iter()
            .any(|lease| lease.ways.iter().any(|way| through_files.contains(way)));
        if !is_needed {
            return Ok(None);
        }
        PrivateFolder::guarded(&self.app.folders)
            .map(Some)
            .map_err(|source| CliError::File {
                action: "write a private file below",
                path: self.app.folders.runtime.clone(),
                source,
            })
    }

    fn files(&self, folder: Option<&PrivateFolder>) -> Result<DeliveredFiles, CliError> {
        let leases: Vec<&LeaseConfig> = self
            .chosen
            .iter()
            .filter(|lease| lease.is_delivered(Delivery::File))
            .map(|lease| lease.config)
            .collect();
        let folder = folder.map_or(Path::new(""), PrivateFolder::path);
        Ok(DeliveredFiles::plan(
            &leases,
            self.app.folders.home(),
            folder,
        )?)
    }

    /// Withdraws what was got for this run alone. What cannot be withdrawn now stays on the ledger for `cleanup`.
    async fn revoke(&self, ids: Vec<String>) {
        for id in ids {
            let outcome = match self.manager.revoke(&id).await {
                Ok(revocations) => revocations,
                Err(error) => {
                    self.app
                        .printer
                        .warn(&format!("the lease {id} is not withdrawn: {error}"));
                    continue;
                }
            };
            for revocation in outcome {
                match revocation.outcome {
                    RevocationOutcome::Failed(error) => self.app.printer.warn(&format!(
                        "the lease {id} is not withdrawn: {error}\n`fnox lease cleanup` tries again"
                    )),
                    RevocationOutcome::ExpiresOnly {
                        expires_at: Some(end),
                    } => self.app.printer.note(&format!(
                        "a credential of lease `{}` cannot be withdrawn: it works until {end}",
                        revocation.lease
                    )),
                    _ => {}
                }
            }
        }
    }
}

/// Tells the person and the program what becomes of the credentials.
struct Announcer<'a> {
    printer: Printer,
    orders: SharedOrders,
    files: &'a DeliveredFiles,
    leases: BTreeMap<LeaseName, &'a Chosen<'a>>,
    selection: &'a Selection,
    /// Where the program's SDKs fetch credentials, if they do.
    endpoint: OnceLock<Endpoint>,
    state: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    /// The environment of the program, where it is started again with a renewed credential.
    plan: Option<EnvironmentPlan>,
    /// Leases whose renewal failed last time.
    failing: Vec<LeaseName>,
    /// What was got for this run alone.
    to_revoke: Vec<String>,
}

impl Announcer<'_> {
    fn state(&self) -> MutexGuard<'_, Told> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, plan: &EnvironmentPlan) {
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
                for signal in signals.into_iter().filter_map(named) {
                    self.orders.push(Order::Signal(signal));
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

fn named(name: &str) -> Option<Signal> {
    Some(match name {
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "TERM" => Signal::TERM,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        "WINCH" => Signal::WINCH,
        _ => return None,
    })
}

fn not_written(error: fnox_leases::delivery::FileError) -> CliError {
    CliError::NotInjectable {
        name: error.lease.to_string(),
        reason: error.to_string(),
        help: None,
    }
}

fn not_served(lease: &LeaseName, error: &std::io::Error) -> CliError {
    CliError::NotInjectable {
        name: lease.to_string(),
        reason: error.to_string(),
        help: Some("`deliver` says how the program gets it".to_owned()),
    }
}
