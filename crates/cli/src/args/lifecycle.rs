//! `lifecycle`.

use clap::{Args, Subcommand};

#[derive(Debug, Clone, Args)]
pub(crate) struct LifecycleArgs {
    #[command(subcommand)]
    pub command: LifecycleCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum LifecycleCommand {
    /// Somebody leaves: show what has to be done, and do what fnox can
    Offboard(OffboardArgs),
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  fnox lifecycle offboard alice\n  fnox lifecycle offboard alice@example.com --apply\n\nThe plan comes from all profiles of fnox.toml: `[people.NAME]` says which recipients and accounts are whose. --apply takes recipients out, encrypts values anew and withdraws this machine's leases; the rest stays on the list."
)]
pub(crate) struct OffboardArgs {
    /// A name of `[people]`, an email address, an account or a recipient
    #[arg(value_name = "USER")]
    pub user: String,
    #[command(flatten)]
    pub mode: OffboardMode,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(crate) struct OffboardMode {
    /// Only show what has to be done (this is what happens without a flag)
    #[arg(long)]
    pub plan: bool,
    /// Do what fnox can do
    #[arg(long)]
    pub apply: bool,
}
