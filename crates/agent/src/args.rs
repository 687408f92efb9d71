//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::token::TokenSource;

/// Gets credentials from a vault into a guest: files, variables, answers to git.
#[derive(Debug, Parser)]
#[command(name = "fnox-agent", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lease what a manifest names and write its files: all of them, or none
    Provision(ProvisionArgs),
    /// Remove what `provision` wrote and give its leases up
    Withdraw(WithdrawArgs),
    /// Carry connections of this guest's programs to the gateway on the host
    Proxy(ProxyArgs),
    /// Answer git as a credential helper (gitcredentials(7))
    CredentialFill(CredentialArgs),
    /// Run a program with leased variables; the leases are given up at its end
    Exec(ExecArgs),
}

/// How to reach the vault, and who asks.
#[derive(Debug, Args)]
pub struct ConnectionArgs {
    /// The vault: `vsock:CID:PORT`, `unix:PATH` or `tcp:ADDRESS:PORT`; 2 is the CID of a guest's host
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "FNOX_VAULT_SOCKET",
        default_value = "vsock:2:9100"
    )]
    pub vault: String,
    /// In whose name to ask, if the token does not say
    #[arg(long, value_name = "NAME", env = "FNOX_VAULT_AGENT")]
    pub agent: Option<String>,
    /// Where the token comes from.
    #[command(flatten)]
    pub token: TokenArgs,
}

/// Where a token comes from: one of these, or none where the vault knows the guest by its connection.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct TokenArgs {
    /// A file with the token
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A pipe with the token, by its file descriptor
    #[arg(long, value_name = "NUMBER")]
    pub token_fd: Option<u32>,
    /// An entry of QEMU's `fw_cfg` with the token, such as `opt/fnox/token`
    #[arg(long, value_name = "NAME")]
    pub token_fw_cfg: Option<String>,
    /// A systemd credential with the token (`LoadCredential=`, `ImportCredential=`)
    #[arg(long, value_name = "NAME")]
    pub token_credential: Option<String>,
}

impl TokenArgs {
    /// The one that was named.
    #[must_use]
    pub fn source(&self) -> Option<TokenSource> {
        let file = self.token_file.clone().map(TokenSource::File);
        let descriptor = self.token_fd.map(TokenSource::Descriptor);
        let fw_cfg = self.token_fw_cfg.clone().map(TokenSource::FwCfg);
        let credential = self.token_credential.clone().map(TokenSource::Credential);
        file.or(descriptor).or(fw_cfg).or(credential)
    }
}

/// `fnox-agent provision`
#[derive(Debug, Args)]
pub struct ProvisionArgs {
    /// The vault.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Which secrets, for which hosts, into which files (JSON)
    #[arg(long, value_name = "FILE")]
    pub manifest: PathBuf,
    /// Where the manifest's variables go: a file that sh and systemd's `EnvironmentFile=` read
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Whose the files will be, by name or number; only root gives files away. Their folders must be root's
    #[arg(long, value_name = "USER[:GROUP]")]
    pub owner: Option<String>,
    /// Stay: renew the leases, remove what is withdrawn, and everything at the end
    #[arg(long)]
    pub watch: bool,
    /// The folder for what must be remembered [default: `$STATE_DIRECTORY`, or
    /// `~/.local/state/fnox-agent`]
    #[arg(long, value_name = "FOLDER")]
    pub state: Option<PathBuf>,
}

/// `fnox-agent withdraw`
#[derive(Debug, Args)]
pub struct WithdrawArgs {
    /// The vault.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The folder that `provision` was given
    #[arg(long, value_name = "FOLDER")]
    pub state: Option<PathBuf>,
}

/// `fnox-agent proxy`
#[derive(Debug, Args)]
pub struct ProxyArgs {
    /// The vault, which tells of withdrawals.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The gateway: `vsock:CID:PORT`, `unix:PATH` or `tcp:ADDRESS:PORT`
    #[arg(long, value_name = "ADDRESS", default_value = "vsock:2:3128")]
    pub gateway: String,
    /// Leave it to the gateway alone to end tunnels, and connect to no vault
    #[arg(long)]
    pub gateway_only: bool,
    /// Where programs find the proxy, on loopback
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3128")]
    pub listen: SocketAddr,
    /// Write what programs need in their environment: a file that sh and systemd's `EnvironmentFile=` read
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Write the certificate that programs must trust (PEM)
    #[arg(long, value_name = "FILE")]
    pub certificate_file: Option<PathBuf>,
}

/// `fnox-agent credential-fill`
#[derive(Debug, Args)]
pub struct CredentialArgs {
    /// The vault.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Which secrets are for which hosts of git (JSON)
    #[arg(long, value_name = "FILE")]
    pub manifest: PathBuf,
    /// Answer for plain http too, if the server is in this guest
    #[arg(long)]
    pub allow_http: bool,
    /// What git does
    #[arg(value_enum)]
    pub operation: GitOperation,
}

/// What git asks of a helper. Others may come, and mean nothing to a helper that does not know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GitOperation {
    /// A credential is wanted.
    Get,
    /// A credential was good.
    Store,
    /// A credential was refused.
    Erase,
}

/// `fnox-agent exec`
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// The vault.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Take the variables of this manifest (JSON)
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Lease a secret for a host, into a variable
    #[arg(long = "secret", value_name = "NAME@HOST=VAR")]
    pub secrets: Vec<String>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}
