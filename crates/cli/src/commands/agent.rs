//! `fnox agent`: programs that use credentials through a gateway of their own and never hold them.

pub(crate) mod approve;
mod bridge;
mod doctor;
pub(crate) mod preparation;
mod rules_list;
pub(crate) mod session;

use fnox_core::{AgentId, ExitStatus};

use self::session::{Session, Terms};
use crate::app::App;
use crate::args::agent::{AgentArgs, AgentCommand, AgentRunArgs};
use crate::commands::masters::Masters;
use crate::error::CliError;
use crate::exec::orders::SharedOrders;
use crate::exec::orphans::Orphans;
use crate::exec::{self, Invocation};
use crate::gateway::approvals::office::Asker;
use crate::gateway::metrics_file::MetricsFile;
use crate::gateway::rules;
use crate::gateway::sandbox::{self, Sandbox};

pub(crate) fn run(app: &App, args: &AgentArgs) -> Result<ExitStatus, CliError> {
    match &args.command {
        AgentCommand::Run(args) => run_program(app, args),
        AgentCommand::Bridge(args) => bridge::run(app, args),
        AgentCommand::Rules(args) => rules_list::run(app, args).map(|()| ExitStatus::Success),
        AgentCommand::Doctor(args) => doctor::run(app, args).map(|()| ExitStatus::Success),
        AgentCommand::Pending(args) => approve::pending(app, args).map(|()| ExitStatus::Success),
        AgentCommand::Approve(args) => approve::approve(app, args).map(|()| ExitStatus::Success),
        AgentCommand::Deny(args) => approve::deny(app, args).map(|()| ExitStatus::Success),
    }
}

fn run_program(app: &App, args: &AgentRunArgs) -> Result<ExitStatus, CliError> {
    let config = app.load()?;
    let proxy = rules::read(&config, app.folders.home())?;
    let agent = AgentId::parse(&args.agent).map_err(|error| CliError::usage(error.to_string()))?;
    let sandbox = sandbox::is_wanted(&config, args.sandbox, args.no_sandbox)
        .then(|| Sandbox::new(app, &config))
        .transpose()?;
    let resolver = app.reading_resolver(&config)?;
    let masters = Masters::new(app, &config, &resolver);
    let manager = masters.manager();
    let metrics = args.metrics.as_ref().map(|path| app.cwd.join(path));
    let metrics = metrics.map(MetricsFile::create).transpose()?;
    let terms = Terms {
        agent,
        is_sandboxed: sandbox.is_some(),
        metrics,
        asker: Asker::Programs,
        asks: false,
    };
    let session = Session::start(app, &config, proxy, &manager, terms)?;
    let mut plan = session.plan();
    for name in &args.keep {
        plan.remove.remove(name);
    }
    let command = match (&sandbox, session.way()) {
        (Some(sandbox), Some(way)) => sandbox.command_line(way, &args.command),
        _ => args.command.clone(),
    };
    let _orphans = Orphans::take_over();
    session.during(app, &manager, || {
        exec::run(Invocation {
            folders: &app.folders,
            env: &app.env,
            plan,
            command: &command,
            redact: false,
            replace: false,
            orders: SharedOrders::default(),
        })
    })
}
