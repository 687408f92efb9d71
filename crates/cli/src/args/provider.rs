//! `provider`.

use clap::{Args, Subcommand};

#[derive(Debug, Clone, Args)]
pub(crate) struct ProviderArgs {
    #[command(subcommand)]
    pub command: Option<ProviderCommand>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ProviderCommand {
    /// Add a provider
    #[command(visible_alias = "a", alias = "set")]
    Add(ProviderAddArgs),
    /// List providers
    #[command(visible_alias = "ls")]
    List {
        /// Print a JSON document
        #[arg(long)]
        json: bool,
        /// Only the names, one a line
        #[arg(long, hide = true)]
        complete: bool,
    },
    /// Remove a provider
    #[command(visible_alias = "rm", alias = "delete")]
    Remove {
        /// Its name
        #[arg(value_name = "NAME", add = crate::completion::providers())]
        name: String,
        /// Remove it from the global file
        #[arg(short, long)]
        global: bool,
    },
    /// Test whether a provider answers
    #[command(visible_alias = "t")]
    Test(ProviderTestArgs),
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  fnox provider add age age --field recipients=age1…")]
pub(crate) struct ProviderAddArgs {
    /// Its name
    pub name: String,
    /// Its type, for example age, keychain or 1password
    #[arg(value_name = "TYPE", add = crate::completion::provider_types())]
    pub kind: String,
    /// A key of its configuration; repeat for several, or for several values of a list
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub field: Vec<String>,
    /// Write to the global file
    #[arg(short, long)]
    pub global: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ProviderTestArgs {
    /// Its name; by default the default provider
    #[arg(value_name = "NAME", add = crate::completion::providers())]
    pub name: Option<String>,
    /// All of them
    #[arg(short, long)]
    pub all: bool,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}
