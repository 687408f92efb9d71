//! `fnox exec` and `fnox run`

mod announcer;
mod attended;
pub(super) mod gathering;
pub(super) mod leases;
pub(super) mod watch;

use std::io::IsTerminal as _;

use fnox_config::{Config, EnvMode, IfMissing};
use fnox_core::ExitStatus;
use fnox_leases::Held;
use fnox_providers::resolve::{Options, Resolver};

use self::attended::Attended;
use self::gathering::{Digests, Gathered, Gathering, Scope};
use self::leases::Chosen;
use crate::app::{App, block_on};
use crate::args::RunArgs;
use crate::audit::OfRun;
use crate::commands::masters::Masters;
use crate::commands::selection::Selection;
use crate::environment;
use crate::error::CliError;
use crate::exec::orders::SharedOrders;
use crate::exec::plan::EnvironmentPlan;
use crate::exec::{self, Finished, Invocation};
use crate::team::reading::uses_server;
use crate::team::run::Asking;

/// Variables with which fnox itself is opened. They never reach the program.
pub(super) const OWN_KEYS: [&str; 6] = [
    environment::AGE_KEY,
    environment::AGE_KEY_FILE,
    environment::VAULT_TOKEN,
    "ENPASS_PASSWORD",
    "FNOX_ENPASS_PASSWORD",
    environment::SHELL_SESSION,
];

/// Like `exec`, but nothing may be missing.
pub(crate) fn run(app: &App, args: &RunArgs) -> Result<ExitStatus, CliError> {
    Run {
        app,
        args,
        require_leases: true,
        if_missing: Some(IfMissing::Error),
        is_another: false,
    }
    .run()
}

pub(crate) fn exec(
    app: &App,
    args: &RunArgs,
    require_leases: bool,
) -> Result<ExitStatus, CliError> {
    Run {
        app,
        args,
        require_leases,
        if_missing: app.if_missing,
        is_another: false,
    }
    .run()
}

/// One run of a program.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) app: &'a App,
    pub(super) args: &'a RunArgs,
    pub(super) require_leases: bool,
    pub(super) if_missing: Option<IfMissing>,
    /// Whether it comes in place of an earlier run. Then fnox already receives the signals that would otherwise end it.
    pub(super) is_another: bool,
}

impl Run<'_> {
    fn run(&self) -> Result<ExitStatus, CliError> {
        let config = self.app.load()?;
        let redact = self.redacts(&config);
        let program =
            |plan, orders, _| exec::run_once(self.invocation(plan, orders, redact), &mut None);
        let finished = self.with_program(&config, redact, program)?;
        Ok(finished.status)
    }

    /// The program itself.
    pub(super) fn invocation(
        &self,
        plan: EnvironmentPlan,
        orders: SharedOrders,
        redact: bool,
    ) -> Invocation<'_> {
        Invocation {
            folders: &self.app.folders,
            env: &self.app.env,
            plan,
            command: &self.args.command,
            redact,
            replace: self.args.replace,
            orders,
        }
    }

    /// Gathers what the program gets, runs it, and looks after its credentials meanwhile.
    pub(super) fn with_program(
        &self,
        config: &Config,
        redact: bool,
        program: impl FnOnce(EnvironmentPlan, SharedOrders, Digests) -> Result<Finished, CliError>,
    ) -> Result<Finished, CliError> {
        let selection = Selection::new(&self.args.only, &self.args.except)?;
        let leases = leases::chosen(self.app, config, &selection, self.args)?;
        check_selection(config, &selection, &leases)?;
        self.check_replace(config, &leases, &selection, redact)?;
        let options = self.options(config)?;
        let asking = Asking::new(self.app, &self.args.approval, &self.args.command)?;
        let resolver = Resolver::new(config, options).for_run(asking.request());
        let gathering = self.gathering(config, &selection, &leases, &resolver);
        if !gathering.has_work() {
            let plan = gathering.assemble(&Gathered::default());
            return program(plan, SharedOrders::default(), Digests::new());
        }
        let masters = Masters::new(self.app, config, &resolver);
        let manager = masters.manager();
        let work = gathering.gather(&manager);
        let mut gathered = block_on(async {
            // Elsewhere a signal ends fnox at once, as it ends any program.
            if self.is_another || uses_server(config) {
                asking.guard(work).await
            } else {
                work.await
            }
        })??;
        leases::check_issued(&leases, &gathered.held)?;
        gathered.order_by_override(config);
        let plan = gathering.assemble(&gathered);
        let values = gathered.digests();
        let program = |plan, orders| program(plan, orders, values);
        let is_attended = |held: &Held| {
            let lease = leases.iter().find(|lease| *lease.name() == held.lease);
            lease.is_some_and(leases::Chosen::is_attended)
        };
        if !gathered.held.iter().any(is_attended) {
            drop(gathered);
            return program(plan, SharedOrders::default());
        }
        let attended = Attended {
            app: self.app,
            manager: &manager,
            chosen: &leases,
            uses: OfRun::new(self.app, config),
            selection: &selection,
        };
        attended.run(gathered.held, plan, program)
    }

    /// How secrets are resolved.
    pub(super) fn options(&self, config: &Config) -> Result<Options, CliError> {
        // A run in place of another one is there because something changed: nothing older will do.
        let refresh: Vec<String> = if self.is_another {
            config.secrets.keys().map(ToString::to_string).collect()
        } else {
            self.args.refresh.clone()
        };
        Ok(Options {
            if_missing: self.if_missing,
            required: gathering::required(config),
            offline: self.args.offline,
            ..self.app.reading_options(config, &refresh)?
        })
    }

    pub(super) fn gathering<'b>(
        &'b self,
        config: &'b Config,
        selection: &'b Selection,
        leases: &'b [Chosen<'b>],
        resolver: &'b Resolver<'b>,
    ) -> Gathering<'b> {
        Gathering {
            app: self.app,
            config,
            selection,
            leases,
            resolver,
            scope: Scope::Exec,
            require_leases: self.require_leases,
            keep: &self.args.keep,
        }
    }

    pub(super) fn redacts(&self, config: &Config) -> bool {
        let asked = match (self.args.redact, self.args.no_redact) {
            (true, _) => true,
            (_, true) => false,
            _ => self
                .app
                .env
                .switch(environment::EXEC_REDACT)
                .or(config.settings.redact_exec)
                .unwrap_or(false),
        };
        asked && !(std::io::stdout().is_terminal() && std::io::stderr().is_terminal())
    }

    /// `--replace` leaves nobody to clean up, to redact or to renew.
    fn check_replace(
        &self,
        config: &Config,
        leases: &[Chosen<'_>],
        selection: &Selection,
        redact: bool,
    ) -> Result<(), CliError> {
        if !self.args.replace {
            return Ok(());
        }
        let files: Vec<&str> = config
            .secrets
            .values()
            .filter(|secret| secret.as_file && Scope::Exec.has(config, secret))
            .filter(|secret| selection.selects(secret.name.as_str()))
            .map(|secret| secret.name.as_str())
            .collect();
        let reason = if !files.is_empty() {
            format!(
                "these secrets are files that must be removed afterwards: {}",
                files.join(", ")
            )
        } else if let Some(lease) = leases.first() {
            let lease = lease.name();
            format!("the lease `{lease}` needs a parent that looks after it")
        } else if redact {
            "the output is redacted".to_owned()
        } else {
            return Ok(());
        };
        Err(CliError::Usage {
            message: format!("`--replace` is not possible: {reason}"),
            help: Some(
                "leave `--replace` away; exit codes and signals are passed on without it too"
                    .to_owned(),
            ),
        })
    }
}

/// Each name that was asked for must be there.
fn check_selection(
    config: &Config,
    selection: &Selection,
    leases: &[Chosen<'_>],
) -> Result<(), CliError> {
    let secrets = config
        .secrets
        .values()
        .filter(|secret| secret.env != EnvMode::Never);
    let mut available: Vec<String> = secrets.map(|secret| secret.name.to_string()).collect();
    available.extend(leases.iter().flat_map(|lease| lease.produces.clone()));
    selection.require(available.iter().map(String::as_str), config)
}
