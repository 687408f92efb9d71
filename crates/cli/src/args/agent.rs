//! `agent`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use fnox_core::Lifetime;

#[derive(Debug, Clone, Args)]
pub(crate) struct AgentArgs {
    #[command(subcommand)]
    pub command: AgentCommand,
}

impl AgentArgs {
    /// Whether a gateway runs.
    pub(crate) fn runs(&self) -> bool {
        matches!(self.command, AgentCommand::Run(_))
    }
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum AgentCommand {
    /// Run a program that uses credentials through a gateway and never holds them
    Run(AgentRunArgs),
    /// Show which credential goes where
    Rules(AgentRulesArgs),
    /// Try whether the tools that are here use the gateway and believe it, by a real request of each
    Doctor(AgentDoctorArgs),
    /// Show requests that wait for a person
    Pending(AgentPendingArgs),
    /// Allow a request that waits; on a terminal and without an ID, ask about each as it comes
    Approve(AgentApproveArgs),
    /// Refuse a request that waits
    Deny(AgentDenyArgs),
    /// Lead a sandbox's loopback port to the gateway's socket, for as long as the program runs
    #[command(hide = true)]
    Bridge(BridgeArgs),
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  fnox agent run --sandbox -- claude\n  fnox agent run --agent reviewer -- ./review.sh\n\n`[[proxy.rules]]` in fnox.toml says which secret or lease goes to which host. The program gets placeholders in their variables and a proxy that puts the real values into its requests."
)]
pub(crate) struct AgentRunArgs {
    /// The agent's name, for the log
    #[arg(long, value_name = "NAME", default_value = "agent")]
    pub agent: String,
    /// Run it in a sandbox: no network but the gateway, secrets' folders hidden, only the project writable (Linux,
    /// bubblewrap)
    #[arg(long, overrides_with = "no_sandbox")]
    pub sandbox: bool,
    /// Run it without a sandbox although fnox.toml asks for one
    #[arg(long, overrides_with = "sandbox")]
    pub no_sandbox: bool,
    /// Leave this credential variable to the program (repeat or separate by commas)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub keep: Vec<String>,
    /// Write the run's numbers to this file in Prometheus' text format, every few seconds and at the end
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub metrics: Option<PathBuf>,
    /// The program and its arguments
    #[arg(last = true, value_name = "COMMAND", required = true, value_hint = clap::ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct AgentRulesArgs {
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct AgentDoctorArgs {
    /// Only these, such as `curl`, `git`, `npm`
    #[arg(value_name = "TOOL")]
    pub tools: Vec<String>,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct AgentPendingArgs {
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "A yes is for the very request: its method, host, path, query and body. A request that has given up waiting may come again within ten minutes.\n\nThe use of a credential, which an agent asks for by `fnox mcp`, is no single request: a yes lets the agent send as many as it likes to that host, with those methods, until the time is over."
)]
pub(crate) struct AgentApproveArgs {
    #[command(flatten)]
    pub yes: YesArgs,
}

/// A yes, and to what: the same of `agent approve` and `vault approve`.
#[derive(Debug, Clone, Args)]
pub(crate) struct YesArgs {
    /// Which, as the list of what waits names it
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Not once, but as often as it comes in so much time (30d at the most); of the use of a credential, for how long (15m
    /// unless it is said, 1h at the most)
    #[arg(long = "for", value_name = "TIME", value_parser = Lifetime::parse, conflicts_with = "session", requires = "id")]
    pub lasting: Option<Lifetime>,
    /// Not once, but as often as it comes while the gateway runs
    #[arg(long, requires = "id")]
    pub session: bool,
    /// And whatever else the rule allows the agent
    #[arg(long, requires = "id")]
    pub rule: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct AgentDenyArgs {
    /// Which, as `fnox agent pending` names it
    #[arg(value_name = "ID")]
    pub id: String,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct BridgeArgs {
    /// The port
    #[arg(long)]
    pub port: u16,
    /// The gateway's socket
    #[arg(long)]
    pub socket: PathBuf,
    /// A folder that the program may write to, besides the sandbox's own
    #[arg(long, value_name = "PATH")]
    pub writable: Vec<PathBuf>,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}
