//! `fnox vault exec`
//!
//! The program gets values, never the means to get more: neither a token nor the administrators' socket, and
//! the agents' socket only if vault.toml names one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::sync::Arc;

use fnox_core::name::is_variable_name;
use fnox_core::{Env, ExitStatus, SecretString};
use fnox_vault_wire::Client;
use zeroize::Zeroizing;

use crate::app::App;
use crate::args::vault::VaultExecArgs;
use crate::commands::exec::OWN_KEYS;
use crate::durations::seconds;
use crate::environment;
use crate::error::CliError;
use crate::exec::descriptors::Descriptor;
use crate::exec::orders::SharedOrders;
use crate::exec::plan::EnvironmentPlan;
use crate::exec::{self, Invocation};
use crate::vault::connect::{agent, client};
use crate::vault::loan::{Loan, Terms, borrow_value, give_back, keep_alive};
use crate::vault::settings::VaultFile;
use crate::vault::target::{Delivery, Wanted};

/// How to find and to open a vault. None of it is the program's business.
pub(crate) const VAULT_VARIABLES: [&str; 9] = [
    environment::VAULT_SOCKET,
    environment::VAULT_AGENT_SOCKET,
    environment::VAULT_CONFIG,
    environment::VAULT_STORE,
    environment::VAULT_KEY,
    environment::VAULT_POLICY,
    environment::VAULT_TOKEN,
    environment::VAULT_TOKEN_FILE,
    environment::VAULT_AGENT,
];

pub(super) fn run(app: &App, args: &VaultExecArgs) -> Result<ExitStatus, CliError> {
    let wanted = args
        .secrets
        .iter()
        .map(|text| Wanted::parse(text))
        .collect::<Result<Vec<_>, _>>()?;
    each_place_once(&wanted)?;
    // Before the runtime and the connection, which would take numbers.
    let mut descriptors = reserve(&wanted)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(CliError::Output)?;
    let (client, loans) = runtime.block_on(borrow_all(app, args, &wanted))?;
    let grants: Vec<_> = loans.iter().map(|loan| loan.grant.clone()).collect();
    for grant in &grants {
        let clock = Arc::new(app.clock);
        runtime.spawn(keep_alive(client.clone(), clock, grant.clone()));
    }
    let outcome = plan(&wanted, loans, &mut descriptors).and_then(|plan| start(app, args, plan));
    drop(descriptors);
    runtime.block_on(give_back(
        &client,
        grants.iter().map(|grant| grant.lease_id),
    ));
    runtime.shutdown_background();
    outcome
}

fn start(app: &App, args: &VaultExecArgs, plan: EnvironmentPlan) -> Result<ExitStatus, CliError> {
    let terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
    exec::run(Invocation {
        folders: &app.folders,
        env: &environment_of_the_program(app)?,
        plan,
        command: &args.command,
        redact: args.redact && !terminal,
        replace: false,
        orders: SharedOrders::default(),
    })
}

/// Everything that fnox was started with but what concerns the vault: not even the vault's key, where that is in a
/// variable of the same environment.
fn environment_of_the_program(app: &App) -> Result<Env, CliError> {
    let file = VaultFile::read(app, None)?;
    let agents = app.env.var(environment::VAULT_AGENT_SOCKET);
    let agents = match agents {
        Some(path) => Some(app.cwd.join(path)),
        None => file.path_of(app, "agent_socket"),
    };
    let kept = app
        .env
        .without(&VAULT_VARIABLES)
        .without(&file.key_variables(app));
    Ok(match agents {
        Some(path) => {
            let path = path.to_string_lossy().into_owned();
            kept.with_overlay([(environment::VAULT_SOCKET.to_owned(), path.into())])
        }
        None => kept,
    })
}

fn each_place_once(wanted: &[Wanted]) -> Result<(), CliError> {
    let mut places = BTreeSet::new();
    for one in wanted {
        let place = match &one.delivery {
            Delivery::Variable(name) => name.clone(),
            // Which variables these are is known only when the credential is there.
            Delivery::Variables => continue,
            Delivery::Descriptor(number) => format!("fd:{number}"),
        };
        if !places.insert(place.clone()) {
            return Err(twice(&place));
        }
    }
    Ok(())
}

fn twice(place: &str) -> CliError {
    CliError::Usage {
        message: format!("two secrets would go to {place}"),
        help: Some("give one of them another place: NAME@HOST=VAR".to_owned()),
    }
}

fn reserve(wanted: &[Wanted]) -> Result<Vec<(i32, Descriptor)>, CliError> {
    let numbers = wanted.iter().filter_map(|one| match one.delivery {
        Delivery::Descriptor(number) => Some(number),
        Delivery::Variable(_) | Delivery::Variables => None,
    });
    numbers
        .map(|number| {
            let descriptor = Descriptor::reserve(number).map_err(|error| CliError::Usage {
                message: format!("file descriptor {number} cannot be used: {error}"),
                help: Some("choose another number, such as fd:10".to_owned()),
            })?;
            Ok((number, descriptor))
        })
        .collect()
}

async fn borrow_all(
    app: &App,
    args: &VaultExecArgs,
    wanted: &[Wanted],
) -> Result<(Client, Vec<Loan>), CliError> {
    let client = client(app, &args.connection).await?;
    let terms = Terms {
        agent: agent(app, &client, args.agent.as_deref()).await?,
        ttl_secs: args
            .ttl
            .as_deref()
            .map(|text| seconds(text, "--ttl"))
            .transpose()?,
        tool: args.tool.clone(),
    };
    let mut loans: Vec<Loan> = Vec::new();
    for one in wanted {
        match borrow_value(&client, &one.target, &terms).await {
            Ok(loan) => loans.push(loan),
            Err(error) => {
                // All or nothing: a program with half of its secrets would fail in some other way.
                let grants: Vec<_> = loans.into_iter().map(|loan| loan.grant).collect();
                give_back(&client, grants.iter().map(|grant| grant.lease_id)).await;
                return Err(error);
            }
        }
    }
    Ok((client, loans))
}

fn plan(
    wanted: &[Wanted],
    loans: Vec<Loan>,
    descriptors: &mut [(i32, Descriptor)],
) -> Result<EnvironmentPlan, CliError> {
    let mut plan = EnvironmentPlan::default();
    plan.remove.extend(OWN_KEYS.map(str::to_owned));
    for (one, loan) in wanted.iter().zip(loans) {
        let name = one.target.secret.as_str();
        match &one.delivery {
            Delivery::Variable(variable) => {
                plan.set.push((variable.clone(), text(name, loan)?));
            }
            Delivery::Variables => {
                for (variable, value) in variables(name, loan)? {
                    if plan.set.iter().any(|(other, _)| *other == variable) {
                        return Err(twice(&variable));
                    }
                    plan.set.push((variable, value));
                }
            }
            Delivery::Descriptor(number) => {
                if let Ok(text) = loan.value.clone().into_string() {
                    plan.elsewhere.push(text);
                }
                let descriptor = descriptors.iter_mut().find(|(taken, _)| taken == number);
                if let Some((_, descriptor)) = descriptor {
                    descriptor
                        .fill(loan.value)
                        .map_err(|source| CliError::File {
                            action: "fill",
                            path: format!("/dev/fd/{number}").into(),
                            source,
                        })?;
                }
            }
        }
    }
    Ok(plan)
}

/// The variables of a credential, which come as one JSON object.
fn variables(name: &str, loan: Loan) -> Result<Vec<(String, SecretString)>, CliError> {
    let text = text(name, loan)?;
    let parsed: Result<BTreeMap<String, Zeroizing<String>>, _> =
        serde_json::from_str(text.expose_secret());
    let all = parsed.map_err(|_| CliError::NotInjectable {
        name: name.to_owned(),
        reason: "it has one value and no variables of its own".to_owned(),
        help: Some("name a variable: NAME@HOST=VAR".to_owned()),
    })?;
    match all.keys().find(|name| !is_variable_name(name)) {
        Some(other) => Err(CliError::NotInjectable {
            name: name.to_owned(),
            reason: format!("`{}` is not the name of a variable", other.escape_debug()),
            help: None,
        }),
        None => Ok(all
            .into_iter()
            .map(|(name, mut value)| (name, SecretString::from(std::mem::take(&mut *value))))
            .collect()),
    }
}

fn text(name: &str, loan: Loan) -> Result<SecretString, CliError> {
    loan.value
        .into_string()
        .map_err(|_| CliError::NotInjectable {
            name: name.to_owned(),
            reason: "it is not UTF-8, which a variable must be here".to_owned(),
            help: Some("deliver it through a pipe: NAME@HOST=fd:3".to_owned()),
        })
}
