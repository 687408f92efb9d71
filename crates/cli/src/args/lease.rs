//! `lease`.

use clap::{Args, Subcommand, ValueEnum};

/// Formats of `lease create`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LeaseFormat {
    Shell,
    Json,
    Env,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LeaseArgs {
    #[command(subcommand)]
    pub command: Option<LeaseCommand>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum LeaseCommand {
    /// Mint a credential, also for later runs of exec
    Create(CreateArgs),
    /// List leases
    #[command(visible_alias = "ls")]
    List(LeaseListArgs),
    /// Withdraw leases before they expire
    Revoke(RevokeArgs),
    /// Mint a credential anew if it is about to end, as the daemon does
    #[command(hide = true)]
    RenewAhead {
        /// The lease's name in the configuration
        name: String,
    },
    /// Withdraw what expired or was left behind, and tidy the ledger
    Cleanup {
        /// Print a JSON document
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CreateArgs {
    /// The lease's name in the configuration
    #[arg(value_name = "NAME", add = crate::completion::leases())]
    pub name: Option<String>,
    /// All leases
    #[arg(short, long)]
    pub all: bool,
    /// How long the credential lives, for example 1h
    #[arg(short, long, value_name = "DURATION")]
    pub duration: Option<String>,
    /// How to print the credential: masked, as JSON, or as `export` lines
    #[arg(short, long, value_enum, default_value = "shell")]
    pub format: LeaseFormat,
    /// Ask for master credentials that are not configured
    #[arg(short, long)]
    pub interactive: bool,
    /// Label of the record
    #[arg(short, long, value_name = "TEXT", default_value = "fnox-lease")]
    pub label: String,
    /// Show what would be called with which masters, and call nobody
    #[arg(long, conflicts_with = "interactive")]
    pub explain: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LeaseListArgs {
    /// Only active ones
    #[arg(long, conflicts_with = "expired")]
    pub active: bool,
    /// Only expired ones
    #[arg(long)]
    pub expired: bool,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RevokeArgs {
    /// Lease id, the beginning of one, or a lease's name
    #[arg(value_name = "ID|PREFIX|BACKEND", required_unless_present = "all", add = crate::completion::leases())]
    pub target: Option<String>,
    /// All active leases
    #[arg(short, long, conflicts_with = "target")]
    pub all: bool,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}
