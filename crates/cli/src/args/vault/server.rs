//! `vault init`, `vault serve`, and what else touches the store itself.
//!
//! Under these commands the long `--config` names vault.toml, while `-c` stays fnox.toml: the arguments with
//! the id `config` take the short flag only, which keeps clap from handing the long one down.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ClientArgs;

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Asks nothing and overwrites nothing.\n\n  Stores: sqlite:PATH, postgres://USER@HOST/DATABASE, aws-sm:PREFIX\n  Keys:   file:PATH, env:VARIABLE, keychain:SERVICE/ACCOUNT, kms:KEY_ID"
)]
pub(crate) struct VaultInitArgs {
    /// Where vault.toml is written; policy.toml goes beside it [env: `FNOX_VAULT_CONFIG`]
    #[arg(id = "vault_config", long = "config", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub vault_config: Option<PathBuf>,
    /// The project's configuration, fnox.toml
    #[arg(id = "config", short = 'c', value_name = "PATH", hide = true)]
    pub fnox_config: Option<PathBuf>,
    /// Where secrets, leases and the audit log are kept [env: `FNOX_VAULT_STORE`]
    #[arg(long, value_name = "STORE")]
    pub store: Option<String>,
    /// Where the key is that seals the others [env: `FNOX_VAULT_KEY`]
    #[arg(long, value_name = "SOURCE")]
    pub key: Option<String>,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Flags beat FNOX_VAULT_*, which beat vault.toml: docs/reference/vault-config.md\n\nSIGHUP reads the policy again; SIGTERM and SIGINT end the vault. Sockets that systemd passes are used in the place of those of vault.toml: the one named `agent` is the agents'."
)]
pub(crate) struct VaultServeArgs {
    /// vault.toml [env: `FNOX_VAULT_CONFIG`]
    #[arg(id = "vault_config", long = "config", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub vault_config: Option<PathBuf>,
    /// The project's configuration, fnox.toml
    #[arg(id = "config", short = 'c', value_name = "PATH", hide = true)]
    pub fnox_config: Option<PathBuf>,
    /// The administrators' socket [env: `FNOX_VAULT_SOCKET`]
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    pub socket: Option<PathBuf>,
    /// The agents' socket: tokens only, never administrators [env: `FNOX_VAULT_AGENT_SOCKET`]
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    pub agent_socket: Option<PathBuf>,
    /// Loopback address for whoever has a token, for example 127.0.0.1:9100
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Vec<SocketAddr>,
    /// vsock port for whoever has a token
    #[arg(long, value_name = "PORT")]
    pub vsock: Option<u32>,
    /// A monitor's Unix socket (Firecracker, cloud-hypervisor) and the port that its guest connects to
    #[arg(long, value_name = "PATH:PORT")]
    pub vsock_host: Vec<String>,
    /// The policy file [env: `FNOX_VAULT_POLICY`]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub policy: Option<PathBuf>,
    /// Where secrets, leases and the audit log are kept [env: `FNOX_VAULT_STORE`]
    #[arg(long, value_name = "STORE")]
    pub store: Option<String>,
    /// Where the key is that seals the others [env: `FNOX_VAULT_KEY`]
    #[arg(long, value_name = "SOURCE")]
    pub key: Option<String>,
    /// Serve the secrets of this project's fnox.toml instead of stored ones
    #[arg(long)]
    pub from_project: bool,
    /// Print audit records as JSON lines to stdout
    #[arg(long)]
    pub audit_stdout: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct BackupArgs {
    /// File to write; nothing may be there yet
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub path: PathBuf,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Leases of the copy are withdrawn and its tokens revoked: a restore never revives what was used up or withdrawn after the copy was made. The store that was there is replaced."
)]
pub(crate) struct RestoreArgs {
    /// A file that `vault backup` wrote
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub path: PathBuf,
    /// vault.toml [env: `FNOX_VAULT_CONFIG`]
    #[arg(id = "vault_config", long = "config", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub vault_config: Option<PathBuf>,
    /// The project's configuration, fnox.toml
    #[arg(id = "config", short = 'c', value_name = "PATH", hide = true)]
    pub fnox_config: Option<PathBuf>,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum VaultImportCommand {
    /// Take over secrets of a zerolease database; its policy is read as it is by `policy check`
    Zerolease(ZeroleaseArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ZeroleaseArgs {
    /// zerolease's SQLite file
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub db: PathBuf,
    /// zerolease's key: `env:VARIABLE` (64 hex digits) or `file:PATH`
    #[arg(long, value_name = "SOURCE")]
    pub key: String,
    /// Only say what would be taken over
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub client: ClientArgs,
}
