//! `fnox agent run`: a program with a gateway of its own, which uses credentials that the program never holds.

use std::collections::HashMap;
use std::sync::Arc;

use fnox_config::Config;
use fnox_core::{ExitStatus, SecretName, SecretString, VaultName};
use fnox_gateway::authority::Authority;
use fnox_gateway::destination::Dialer;
use fnox_gateway::proxy::{ClientPassword, Gateway, Options, Trust};
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
use crate::gateway::{environment, placeholders};
use crate::team::withheld;

pub(crate) fn run(app: &App, args: &AgentArgs) -> Result<ExitStatus, CliError> {
    match &args.command {
        AgentCommand::Run(args) => run_program(app, args),
        AgentCommand::Rules => show_rules(app).map(|()| ExitStatus::Success),
    }
}
