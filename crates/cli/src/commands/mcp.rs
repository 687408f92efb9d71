//! `fnox mcp`

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use fnox_config::Config;
use fnox_core::{AgentId, ExitStatus};
use fnox_leases::Manager;
use rmcp::ServiceExt as _;
use rmcp::service::ServerInitializeError;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::args::mcp::McpArgs;
use crate::commands::agent::session::{Session, Terms};
use crate::commands::masters::Masters;
use crate::error::CliError;
use crate::exec::orphans::Orphans;
use crate::exec::plan::EnvironmentPlan;
use crate::exec::redact::Redaction;
use crate::gateway::approvals::office::Asker;
use crate::gateway::out_of_reach::withheld;
use crate::gateway::rules::{self, Proxy};
use crate::gateway::sandbox::{self, Sandbox};
use crate::mcp::server::{Parts, Server};
use crate::mcp::settings::{Settings, ToolName};
use crate::mcp::{Desk, Launcher, Lines, Listed, channel};

pub(crate) fn run(app: &App, args: &McpArgs) -> Result<ExitStatus, CliError> {
    // Whoever is at the terminal, if there is one, talks to the agent and not to fnox.
    let app = &app.for_server::<&str>(&[]);
    let config = Arc::new(app.load()?);
    let settings = Settings::read(&config, app.printer)?;
    let agent = AgentId::parse(&args.agent).map_err(|error| CliError::usage(error.to_string()))?;
    let is_sandboxed = sandbox::is_wanted(&config, args.sandbox, args.no_sandbox);
    let proxy = proxy(app, &config, &settings, is_sandboxed)?;
    let is_sandboxed = is_sandboxed && settings.tools.contains(&ToolName::Exec);
    let sandbox = is_sandboxed
        .then(|| Sandbox::new(app, &config))
        .transpose()?;
    let resolver = app.reading_resolver(&config)?;
    let masters = Masters::new(app, &config, &resolver);
    let manager = masters.manager();
    let redaction = Arc::new(Redaction::of_nothing());
    let mut listed: Vec<Listed> = proxy.as_ref().map(Listed::all).unwrap_or_default();
    let session = match proxy {
        Some(proxy) if settings.tools.contains(&ToolName::Exec) => {
            let terms = Terms {
                agent: agent.clone(),
                is_sandboxed: sandbox.is_some(),
                metrics: None,
                // The agent is whoever started this, and may have a shell of its own.
                asker: Asker::Parent,
                asks: settings.tools.contains(&ToolName::RequestAccess),
            };
            let mut session = Session::start(app, &config, proxy, &manager, terms)?;
            session.redact_with(&redaction);
            for (rule, given) in listed.iter_mut().zip(session.given()) {
                rule.give(given);
            }
            Some(session)
        }
        _ => None,
    };
    let plan = plan(app, &config, &manager, session.as_ref())?;
    let before = match (&sandbox, session.as_ref().and_then(Session::way)) {
        (Some(sandbox), Some(way)) => sandbox.command_line(way, &[]),
        _ => Vec::<OsString>::new(),
    };
    let listed: Arc<[Listed]> = listed.into();
    let server = Server(Arc::new(Parts {
        app: app.clone(),
        launcher: Launcher::new(
            plan.apply(&app.env, &[]),
            before,
            settings.redacts.then(|| Arc::clone(&redaction)),
            settings.time,
        ),
        desk: Desk {
            app: app.clone(),
            config: Arc::clone(&config),
            settings: settings.clone(),
            agent: agent.to_string(),
            listed: Arc::clone(&listed),
            told: Mutex::new(BTreeSet::new()),
            granting: session.as_ref().and_then(Session::granting),
        },
        has_gateway: session.is_some(),
        config: Arc::clone(&config),
        settings,
        listed,
        redaction,
    }));
    let _orphans = Orphans::take_over();
    match session {
        Some(session) => session.during(app, &manager, || serve(server)),
        None => serve(server),
    }
}

/// The rules that the agent may use, if the project has any.
fn proxy(
    app: &App,
    config: &Config,
    settings: &Settings,
    is_required: bool,
) -> Result<Option<Proxy>, CliError> {
    if !is_required && !config.settings.sections.contains_key("proxy") {
        return Ok(None);
    }
    let mut proxy = rules::read(config, app.folders.home())?;
    proxy.retain(|credential| settings.allows(credential));
    Ok(Some(proxy))
}

/// The environment of programs: behind the gateway if there is one, and without what leads to credentials.
fn plan(
    app: &App,
    config: &Config,
    manager: &Manager<'_>,
    session: Option<&Session>,
) -> Result<EnvironmentPlan, CliError> {
    let plan = match session {
        Some(session) => session.plan(),
        None => EnvironmentPlan {
            remove: withheld(app, config, manager)?,
            ..EnvironmentPlan::default()
        },
    };
    plan.check()?;
    Ok(plan)
}

/// Serves until the client goes away or somebody ends this process.
fn serve(server: Server) -> Result<ExitStatus, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(CliError::Output)?;
    let outcome = runtime.block_on(talk(server));
    // A read of stdin cannot be taken back.
    runtime.shutdown_background();
    outcome
}

async fn talk(server: Server) -> Result<ExitStatus, CliError> {
    let mut asked_to_end = pin!(asked_to_end().map_err(CliError::Output)?);
    let parts = Arc::clone(&server.0);
    let (input, output) = channel::take().map_err(CliError::Output)?;
    let service = tokio::select! {
        service = server.serve(Lines::new(input, output)) => service,
        status = &mut asked_to_end => return Ok(status),
    };
    let service = match service {
        Ok(service) => service,
        // The client left before it said anything.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(ExitStatus::Success),
        Err(error) => {
            return Err(CliError::failed(format!(
                "the client does not speak MCP: {error}"
            )));
        }
    };
    let stop = service.cancellation_token();
    let mut finished = pin!(service.waiting());
    let status = tokio::select! {
        _ = &mut finished => ExitStatus::Success,
        status = &mut asked_to_end => {
            stop.cancel();
            let _ = finished.await;
            status
        }
    };
    if let Some(granting) = &parts.desk.granting {
        granting.close().await;
    }
    parts.launcher.wait().await;
    Ok(status)
}

/// The status with which to end when a signal says so.
fn asked_to_end() -> std::io::Result<impl Future<Output = ExitStatus>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        let kind = tokio::select! {
            _ = terminate.recv() => SignalKind::terminate(),
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = hang_up.recv() => SignalKind::hangup(),
        };
        let code = u8::try_from(128 + kind.as_raw_value()).unwrap_or(u8::MAX);
        ExitStatus::Child(code)
    })
}
