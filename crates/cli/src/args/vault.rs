//! `vault`.

mod administration;
mod agent;
mod approvals;
mod secret;
mod server;

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(crate) use self::administration::{
    AuditCommand, AuditFilter, AuditGroup, KeyCommand, KeyGroup, PolicyCommand, PolicyGroup,
    TokenCommand, TokenCreateArgs, TokenGroup, VaultRole,
};
pub(crate) use self::agent::{
    CredentialArgs, GitOperation, LeaseAsk, LeaseCommand, LeaseGroup, LeaseRevokeArgs,
    VaultExecArgs,
};
pub(crate) use self::approvals::{ApprovalDenyArgs, ApprovalYesArgs};
pub(crate) use self::secret::{
    SecretCommand, SecretGroup, SecretImportArgs, SecretSetArgs, VaultAlgorithm, VaultKind,
};
pub(crate) use self::server::{
    BackupArgs, RestoreArgs, VaultImportCommand, VaultInitArgs, VaultServeArgs, ZeroleaseArgs,
};

/// A vault that lends secrets to AI agents.
///
/// An agent asks for the right to use one secret at one host, and gets a lease: for minutes, for a few uses,
/// on record. Everything is forbidden that the policy does not allow.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Ten minutes from nothing to an agent with a lease: docs/guide/vault.md\n\nThe vault is found by --socket, FNOX_VAULT_SOCKET, `socket` in vault.toml, $XDG_RUNTIME_DIR/fnox/vault.sock."
)]
pub(crate) struct VaultArgs {
    #[command(subcommand)]
    pub command: VaultCommand,
}

impl VaultArgs {
    /// Whether this process will be the vault.
    pub(crate) fn serves(&self) -> bool {
        matches!(self.command, VaultCommand::Serve(_))
    }
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum VaultCommand {
    /// Set up a vault: vault.toml, policy.toml, a key and a store
    Init(VaultInitArgs),
    /// Run the vault
    Serve(VaultServeArgs),
    /// Tell how the vault is and who it takes you for
    Status(ClientArgs),
    /// Store, describe and delete secrets
    Secret(SecretGroup),
    /// Borrow secrets; see and withdraw what is borrowed
    Lease(LeaseGroup),
    /// List requests of gateways that wait for a person
    Approvals(ClientArgs),
    /// Allow a request that waits; on a terminal and without an ID, ask about each as it comes
    Approve(ApprovalYesArgs),
    /// Refuse a request that waits
    Deny(ApprovalDenyArgs),
    /// Tokens by which agents present themselves
    Token(TokenGroup),
    /// Check the policy, and ask it
    Policy(PolicyGroup),
    /// Read and verify the audit log
    Audit(AuditGroup),
    /// Keys that seal the secrets
    Key(KeyGroup),
    /// Write a consistent copy of the store, while the vault serves; secrets in AWS stay there
    Backup(BackupArgs),
    /// Put a copy back in the place of the store, while no vault runs
    Restore(RestoreArgs),
    /// Take over the data of another vault
    #[command(subcommand)]
    Import(VaultImportCommand),
    /// Run a program with borrowed secrets, for as long as it runs
    Exec(VaultExecArgs),
    /// Answer git's questions for credentials (git credential helper)
    CredentialFill(CredentialArgs),
}

/// Where the vault is, and who asks.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ConnectionArgs {
    /// The vault's socket, or tcp:ADDRESS:PORT, vsock:CID:PORT, host-socket:PATH:PORT [env: `FNOX_VAULT_SOCKET`]
    #[arg(long, global = true, value_name = "PLACE", help_heading = "Vault", value_hint = clap::ValueHint::FilePath)]
    pub socket: Option<String>,
    /// File that holds the token [env: `FNOX_VAULT_TOKEN_FILE`]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Vault", value_hint = clap::ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,
    /// Open file descriptor from which to read the token
    #[arg(
        long,
        global = true,
        value_name = "N",
        help_heading = "Vault",
        conflicts_with = "token_file"
    )]
    pub token_fd: Option<u32>,
}

/// The same, for commands that print data.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ClientArgs {
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Print a JSON document
    #[arg(long, global = true)]
    pub json: bool,
}
