//! `files`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct FilesArgs {
    /// Without a command: print the list as a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Option<FilesCommand>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum FilesCommand {
    /// List the files of the global configuration
    #[command(visible_alias = "ls")]
    List {
        /// Print a JSON document
        #[arg(long)]
        json: bool,
    },
    /// Write files where they belong, private, all or none of them resolved
    Write {
        /// Only these; all without a name
        #[arg(value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
        paths: Vec<PathBuf>,
        /// Take them from their copies (`fnox sync`) and from what is kept on this machine
        #[arg(long)]
        offline: bool,
        /// Only say what would be written
        #[arg(short = 'n', long)]
        dry_run: bool,
        /// Print a JSON document of what became of each
        #[arg(long)]
        json: bool,
    },
}
