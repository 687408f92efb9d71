//! `plugin`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "A SOURCE is `OWNER/REPO` at GitHub or a git URL (https, ssh, file), with `#REF` for a branch, a tag or a commit. What was fetched is pinned: a plugin whose files change afterwards is not run."
)]
pub(crate) struct PluginArgs {
    /// Without a command: print the list as a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Option<PluginCommand>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum PluginCommand {
    /// List plugins: those that are installed, and those that `[plugins]` declares
    #[command(visible_alias = "ls")]
    List {
        /// Print a JSON document
        #[arg(long)]
        json: bool,
    },
    /// Fetch plugins with git; without a name all that `[plugins]` declares and that are missing
    Install {
        /// What providers call it: `plugin = "NAME"`
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// Where it comes from; by default what `[plugins]` says
        #[arg(value_name = "SOURCE")]
        source: Option<String>,
        /// Replace one that is installed
        #[arg(short, long)]
        force: bool,
    },
    /// Use a folder of your own as it is, without a pin
    Link {
        /// What providers call it
        #[arg(value_name = "NAME")]
        name: String,
        /// The folder, which has a `provider.lua`
        #[arg(value_name = "PATH", value_hint = clap::ValueHint::DirPath)]
        path: PathBuf,
        /// Replace one that is installed
        #[arg(short, long)]
        force: bool,
    },
    /// Remove an installed plugin, or forget a linked one
    #[command(visible_alias = "rm", alias = "remove")]
    Uninstall {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Fetch plugins again, from where `[plugins]` says today
    #[command(alias = "upgrade")]
    Update {
        /// Only these; all fetched ones without a name
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}
