//! `fnox agent run`: a program with a gateway of its own, which uses credentials that the program never holds.

use std::collections::HashMap;
use std::sync::Arc;

use fnox_config::Config;
use fnox_core::{AgentId, ExitStatus, SecretName, SecretString, VaultName};
use fnox_gateway::authority::Authority;
use fnox_gateway::destination::Dialer;
use fnox_gateway::proxy::{ClientPassword, Gateway, Options, Trust};
use fnox_gateway::placeholder::{Placeholders, Shape};
use fnox_gateway::rule::CredentialRef;
use fnox_leases::{Manager, Revocation};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::app::{App, block_on};
use crate::args::agent::{AgentArgs, AgentCommand, AgentRunArgs};
use crate::commands::exec::OWN_KEYS;
use crate::commands::masters::Masters;
use crate::error::CliError;
use crate::exec::files::PrivateFolder;
use crate::exec::orders::SharedOrders;
use crate::exec::plan::EnvironmentPlan;
use crate::exec::{self, Invocation, hardening};
use crate::gateway::observer::Teller;
use crate::gateway::rules::{self, Proxy};
use crate::gateway::values::{Desk, Values};
use crate::gateway::environment;
use crate::team::withheld;

pub(crate) fn run(app: &App, args: &AgentArgs) -> Result<ExitStatus, CliError> {
    match &args.command {
        AgentCommand::Run(args) => run_program(app, args),
        AgentCommand::Rules => show_rules(app).map(|()| ExitStatus::Success),
    }
}

fn run_program(app: &App, args: &AgentRunArgs) -> Result<ExitStatus, CliError> {
    let config = app.load()?;
    let proxy = rules::read(&config, app.folders.home())?;
    hardening::prepare_server();
    let resolver = app.resolver(&config);
    let secrets = secrets(&proxy, &resolver)?;
    let masters = Masters::new(app, &config, &resolver);
    let manager = masters.manager();
    let agent = AgentId::parse(args.agent.as_deref().unwrap_or("agent"))
        .map_err(|error| CliError::usage(error.to_string()))?;
    let (placeholders, variables) = placeholders(&proxy, &agent, &secrets)?;
    let mut plan = EnvironmentPlan::default();
    plan.remove = withheld_names(app, &config, &resolver);
    let (values, mut desk) = Values::new(secrets, Arc::new(app.clock));
    let password = ClientPassword::random(&mut rand::rng());
    let shown = SecretString::from(password.expose_secret());
    let authority = Authority::new(Arc::new(app.clock))
        .map_err(|error| CliError::failed(error.to_string()))?;
    let gateway = Gateway::new(Options {
        policy: proxy.policy,
        agent,
        placeholders,
        authority,
        dialer: Dialer::new(proxy.addresses),
        trust: Trust::system(),
        credentials: Arc::new(values),
        password: Some(password),
        observer: Arc::new(Teller {
            printer: app.printer,
            is_on: proxy.audit,
        }),
    })
    .map_err(|source| CliError::failed(source.to_string()))?;
    let mut folder = folder(app)?;
    let (authority, bundle) = trust_files(app, &mut folder, &gateway)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(CliError::Output)?;
    let listener = runtime
        .block_on(TcpListener::bind(("127.0.0.1", 0)))
        .map_err(CliError::Output)?;
    let port = listener.local_addr().map_err(CliError::Output)?.port();
    plan.set = environment::variables(port, shown.expose_secret(), &authority, &bundle);
    plan.set.extend(variables);
    let (stop, stopped) = oneshot::channel::<()>();
    let status = std::thread::scope(|scope| {
        let (runtime, gateway, desk, manager) = (&runtime, &gateway, &mut desk, &manager);
        scope.spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = gateway.serve(listener) => {}
                    () = desk.serve(manager) => {}
                    _ = stopped => {}
                }
            });
        });
        let status = exec::run(Invocation {
            folders: &app.folders,
            env: &app.env,
            plan,
            command: &args.command,
            redact: false,
            replace: false,
            orders: SharedOrders::default(),
        });
        drop(stop);
        status
    });
    runtime.block_on(withdraw(app, &manager, &desk));
    runtime.shutdown_background();
    status
}
