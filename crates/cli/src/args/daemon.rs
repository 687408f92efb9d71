//! `daemon`.

use clap::{Args, Subcommand};
use fnox_core::Lifetime;

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Runs use the daemon with `[daemon] enabled = true` or FNOX_DAEMON=on, and start it when they need it.\nIt forgets a value after its time, when the machine sleeps and when the screen is locked. docs/guide/daemon.md"
)]
pub(crate) struct DaemonArgs {
    #[command(subcommand)]
    pub command: DaemonCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum DaemonCommand {
    /// Start it
    Start(DaemonStartArgs),
    /// Say whether it is running, and how it is
    Status(DaemonStatusArgs),
    /// End it; it forgets everything
    Stop,
    /// Forget values
    Clear(DaemonClearArgs),
    /// Be the daemon, in the foreground
    #[command(hide = true)]
    Serve(DaemonServeArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DaemonStartArgs {
    /// End after so long without use [default: 8h]
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    pub idle_timeout: Option<Lifetime>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DaemonStatusArgs {
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DaemonClearArgs {
    /// Only the values of these secrets
    #[arg(value_name = "KEY", add = crate::completion::secrets())]
    pub keys: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DaemonServeArgs {
    /// End after so long without use [default: 8h]
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    pub idle_timeout: Option<Lifetime>,
    /// Leave the terminal once it listens
    #[arg(long, hide = true)]
    pub detached: bool,
}

fn lifetime(text: &str) -> Result<Lifetime, String> {
    Lifetime::parse(text).map_err(|error| error.to_string())
}
