//! `files`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Clone, Args)]
pub(crate) struct FilesArgs {
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
    },
}
