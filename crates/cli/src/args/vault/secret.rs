//! `vault secret`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::ClientArgs;

#[derive(Debug, Clone, Args)]
pub(crate) struct SecretGroup {
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(subcommand)]
    pub command: SecretCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum SecretCommand {
    /// Store a secret, or its next version
    Set(SecretSetArgs),
    /// Describe a secret without its value
    #[command(visible_alias = "describe")]
    GetMetadata {
        /// The secret
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// List secrets
    #[command(visible_alias = "ls")]
    List,
    /// Delete secrets with all their versions, and withdraw their leases
    #[command(visible_alias = "rm")]
    Delete {
        /// The secrets
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
    /// Store every pair of an env or JSON file
    Import(SecretImportArgs),
    /// Drop old versions
    Prune {
        /// Only of this secret
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// How many versions to keep
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        keep: Option<u32>,
    },
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The value is taken from --file, from a pipe (without a final line end), or asked for: an argument would be visible to other users."
)]
pub(crate) struct SecretSetArgs {
    /// Its name, at most 128 bytes
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Read the value from a file, exactly as it is
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// What it is, for people and tools
    #[arg(long, value_enum)]
    pub kind: Option<VaultKind>,
    /// What it is for
    #[arg(short, long, value_name = "TEXT")]
    pub description: Option<String>,
    /// A tag (repeat for more); replaces all old ones
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    pub tags: Vec<String>,
    /// How to seal it
    #[arg(long, value_enum)]
    pub algorithm: Option<VaultAlgorithm>,
    /// Fail if there is such a secret already
    #[arg(long, conflicts_with_all = ["if_version", "keep_value"])]
    pub new: bool,
    /// Fail unless this is its newest version
    #[arg(long, value_name = "N")]
    pub if_version: Option<u32>,
    /// Change only what is said about it
    #[arg(long, conflicts_with_all = ["file", "algorithm"])]
    pub keep_value: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct SecretImportArgs {
    /// File to read instead of stdin
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Format of the input
    #[arg(short, long, value_enum, default_value = "env")]
    pub format: crate::args::ImportFormat,
    /// Put before each name
    #[arg(long, value_name = "TEXT")]
    pub prefix: Option<String>,
    /// Give secrets that exist their next version, instead of refusing them
    #[arg(long)]
    pub replace: bool,
    /// Only say what would be stored
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// Kinds that a person can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VaultKind {
    /// A personal access token
    Pat,
    /// A token of OAuth 2.0
    Oauth2,
    /// A key of an API
    ApiKey,
    /// JSON with `username` and `password`
    BasicAuth,
    /// A private SSH key
    SshKey,
    /// A client certificate
    ClientCert,
    /// Anything
    Opaque,
}

/// How values are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VaultAlgorithm {
    #[value(name = "aes-256-gcm")]
    Aes256Gcm,
    #[value(name = "xchacha20-poly1305")]
    XChaCha20Poly1305,
}
