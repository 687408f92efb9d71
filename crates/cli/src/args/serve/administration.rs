//! Looking after a server.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::FileArgs;
use crate::args::team::ServerArgs;

#[derive(Debug, Clone, Args)]
pub(crate) struct PolicyGroup {
    #[command(subcommand)]
    pub command: PolicyCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Tell everything that is wrong about the policy file
    Check {
        #[command(flatten)]
        file: FileArgs,
        /// The policy; by default that of server.toml
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        policy: Option<PathBuf>,
        /// Print a JSON document
        #[arg(long)]
        json: bool,
    },
    /// Tell whether a token's claims would be let in, and which keys they would get
    Test(PolicyTestArgs),
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The claims are one JSON object: the middle part of a token, decoded. Nothing about the signature is checked.\nExit code 7: the policy says no.\n\nExample:\n  fnox serve policy test --claims claims.json --project my-app --key NPM_TOKEN"
)]
pub(crate) struct PolicyTestArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// JSON file of the claims; `-` reads stdin
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub claims: PathBuf,
    /// The policy; by default that of server.toml
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub policy: Option<PathBuf>,
    /// Name of the issuer; by default that whose address `iss` is
    #[arg(long, value_name = "NAME")]
    pub issuer: Option<String>,
    /// Project of the keys
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub project: String,
    /// A key that would be asked for; repeat or separate by commas
    #[arg(long = "key", value_name = "KEY", value_delimiter = ',')]
    pub keys: Vec<String>,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Asks the running server as an administrator: FNOX_SERVER_TOKEN_FILE, or the session of `fnox login`. With --config the database is changed directly, which needs no token: SQLite only while no server runs."
)]
pub(crate) struct EmergencyArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub file: FileArgs,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct BackupArgs {
    /// File to write; nothing may be there yet
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub path: PathBuf,
    #[command(flatten)]
    pub file: FileArgs,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "No server may run on the database. All sessions, approvals and grants of the copy end, and tokens of CI systems from before are refused.\n\nPostgreSQL: restore with its own tools, then run `fnox serve restored`."
)]
pub(crate) struct RestoreArgs {
    /// A file that `serve backup` wrote
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub path: PathBuf,
    #[command(flatten)]
    pub file: FileArgs,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Needed after pg_restore(1), or whenever the database was put back to an older state: all its sessions, approvals and grants end, and tokens of CI systems from before are refused, also by servers that run. For SQLite `restore` does it."
)]
pub(crate) struct RestoredArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct AuditGroup {
    #[command(subcommand)]
    pub command: AuditCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum AuditCommand {
    /// Compare every record with the chain
    Verify {
        #[command(flatten)]
        file: FileArgs,
        /// Print a JSON document
        #[arg(long)]
        json: bool,
    },
}

/// Whose token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenRole {
    /// An administrator (fxb_…), until people can log in
    Admin,
    /// An identity provider that tells of people who come and go (fxp_…)
    Scim,
    /// A gateway that asks people about requests of its agents (fxw_…)
    Gateway,
}

#[derive(Debug, Clone, Args)]
#[command(
    subcommand_negates_reqs = true,
    after_help = "Works on the database of --config. Where a running server has it open, or with --server, that server is asked in the name of an administrator: FNOX_SERVER_TOKEN_FILE, or the session of `fnox login`. The token is printed once, on stdout.\n\nExamples:\n  fnox serve token --role scim --ttl 90d\n  fnox serve token --role gateway --name builders > server.token\n  fnox serve token list\n  fnox serve token revoke 019a2f4e-…"
)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub command: Option<TokenCommand>,
    /// Whose
    #[arg(long, value_enum, required = true)]
    pub role: Option<TokenRole>,
    /// Of which gateway, as `[[gateway]]` of the policy names it
    #[arg(long, value_name = "NAME", required_if_eq("role", "gateway"))]
    pub name: Option<String>,
    /// How long it lasts; by default a day for an administrator, 30 days for a gateway, a year for an identity provider
    #[arg(long, value_name = "TIME")]
    pub ttl: Option<String>,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub file: FileArgs,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TokenCommand {
    /// List the tokens that are good at the moment
    List {
        #[command(flatten)]
        file: FileArgs,
        /// Print a JSON document
        #[arg(long)]
        json: bool,
    },
    /// End a token at once; the server goes on
    Revoke {
        /// Which, as `list` shows it
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        file: FileArgs,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct NotifyGroup {
    #[command(subcommand)]
    pub command: NotifyCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum NotifyCommand {
    /// Send a test by every channel, and say how it went
    Test {
        #[command(flatten)]
        file: FileArgs,
        /// Print a JSON document
        #[arg(long)]
        json: bool,
    },
}
