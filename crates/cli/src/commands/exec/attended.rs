//! A run whose credentials are looked after while the program runs.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use fnox_config::{Delivery, LeaseConfig};
use fnox_core::{Clock, LeaseName, SecretString};
use fnox_leases::delivery::agent::Agent;
use fnox_leases::delivery::endpoint::{Endpoint, Served, Surroundings};
use fnox_leases::delivery::{Current, DeliveredFiles};
use fnox_leases::{Held, Keeper, LeaseSummary, Manager, RevocationOutcome};
use tokio::sync::oneshot;

use super::announcer::Announcer;
use super::leases::{AGENT_VARIABLE, Chosen};
use crate::app::App;
use crate::audit::{OfRun, RecordedCurrent, Way};
use crate::commands::selection::Selection;
use crate::error::CliError;
use crate::exec::Finished;
use crate::exec::files::PrivateFolder;
use crate::exec::orders::SharedOrders;
use crate::exec::plan::EnvironmentPlan;

/// What is needed to look after credentials.
#[derive(Debug)]
pub(super) struct Attended<'a> {
    pub(super) app: &'a App,
    pub(super) manager: &'a Manager<'a>,
    pub(super) chosen: &'a [Chosen<'a>],
    /// The log of what the program gets while it runs, if it is on.
    pub(super) uses: Option<Arc<OfRun>>,
    /// Which variables are wanted.
    pub(super) selection: &'a Selection,
}

impl Attended<'_> {
    /// Runs a program, given its plan and a place for orders, and looks after its credentials meanwhile.
    pub(super) fn run(
        &self,
        held: Vec<Held>,
        mut plan: EnvironmentPlan,
        program: impl FnOnce(EnvironmentPlan, SharedOrders) -> Result<Finished, CliError>,
    ) -> Result<Finished, CliError> {
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
        let mut agents = Vec::new();
        for held in held {
            let Some(lease) = announcer.leases.get(&held.lease).copied() else {
                continue;
            };
            files.write(&held).map_err(|error| not_written(&error))?;
            if lease.revokes {
                announcer.state().to_revoke.push(held.credential.id.clone());
            }
            if lease.is_renewed() {
                let kept = keeper.keep(held.clone(), lease.config.spec.name, lease.request(true));
                if lease.is_delivered(Delivery::Agent) {
                    agents.push((lease.name(), self.recorded(&kept, Way::Agent)));
                }
                if lease.is_delivered(Delivery::Endpoint) {
                    let kept = self.recorded(&kept, Way::Endpoint);
                    let one = Served::new(kept, lease.config, &held);
                    served.push(one.map_err(|error| not_served(lease.name(), &error))?);
                }
            }
        }
        plan.set.extend(files.variables());
        let _inside = runtime.enter();
        self.serve(served, folder.as_ref(), &mut plan, &announcer)?;
        let agents = start_agents(agents, folder.as_ref(), &mut plan)?;
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
        drop(agents);
        let to_revoke = std::mem::take(&mut announcer.state().to_revoke);
        runtime.block_on(self.revoke(to_revoke));
        runtime.shutdown_background();
        status
    }

    fn recorded<C: Current + 'static>(&self, kept: &Arc<C>, way: Way) -> Arc<RecordedCurrent> {
        let kept = Arc::clone(kept);
        RecordedCurrent::new(kept, self.uses.clone(), way)
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
        let fits = |lease: &LeaseSummary| ids.contains(&lease.lease_id);
        let revocations = match self.manager.revoke_where(fits).await {
            Ok(revocations) => revocations,
            Err(error) => {
                return self.app.printer.warn(&format!(
                    "the leases of this run are not withdrawn: {error}\n`fnox lease cleanup` tries again"
                ));
            }
        };
        for revocation in revocations {
            match revocation.outcome {
                RevocationOutcome::Failed(error) => self.app.printer.warn(&format!(
                    "the lease {} is not withdrawn: {error}\n`fnox lease cleanup` tries again",
                    revocation.lease_id
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

/// Starts an SSH agent for each lease and leads the program to it. A lease that overrides others leads last.
fn start_agents<C: Current + 'static>(
    leases: Vec<(&LeaseName, Arc<C>)>,
    folder: Option<&PrivateFolder>,
    plan: &mut EnvironmentPlan,
) -> Result<Vec<Agent>, CliError> {
    let mut running = Vec::new();
    let Some(folder) = folder else {
        return Ok(running);
    };
    for (lease, kept) in leases {
        let agent = Agent::start(kept, folder.path()).map_err(|error| not_served(lease, &error))?;
        let socket = agent.socket().to_string_lossy().into_owned();
        plan.set.retain(|(own, _)| own != AGENT_VARIABLE);
        plan.set
            .push((AGENT_VARIABLE.to_owned(), SecretString::from(socket)));
        running.push(agent);
    }
    Ok(running)
}

fn not_written(error: &fnox_leases::delivery::FileError) -> CliError {
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
