//! What borrows: `vault lease`, `vault exec`, `vault credential-fill`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{ClientArgs, ConnectionArgs};

#[derive(Debug, Clone, Args)]
pub(crate) struct LeaseGroup {
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(subcommand)]
    pub command: LeaseCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum LeaseCommand {
    /// Ask for the right to use a secret at a host; prints the lease's id
    Request(LeaseAsk),
    /// Use a lease: print the secret's value
    Access {
        /// The lease
        #[arg(value_name = "ID")]
        id: String,
        /// The lease's host
        #[arg(long, value_name = "HOST")]
        host: String,
        /// Of a credential of several variables, the one whose value to print
        #[arg(long, value_name = "VAR")]
        variable: Option<String>,
    },
    /// Let a lease live longer, as far as the policy allows
    Renew {
        /// The lease
        #[arg(value_name = "ID")]
        id: String,
        /// How long from now, for example 15m
        #[arg(long = "for", value_name = "DURATION", default_value = "15m")]
        duration: String,
    },
    /// Withdraw leases
    Revoke(LeaseRevokeArgs),
    /// List leases
    #[command(visible_alias = "ls")]
    List {
        /// Only of this agent
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
        /// Only of this secret
        #[arg(long, value_name = "NAME")]
        secret: Option<String>,
        /// Also those that are over
        #[arg(short, long)]
        all: bool,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LeaseAsk {
    /// Secret and host, for example github-token@api.github.com
    #[arg(value_name = "NAME@HOST", required_unless_present = "secret")]
    pub target: Option<String>,
    /// The secret
    #[arg(
        long,
        value_name = "NAME",
        requires = "host",
        conflicts_with = "target"
    )]
    pub secret: Option<String>,
    /// The host
    #[arg(
        long,
        value_name = "HOST",
        requires = "secret",
        conflicts_with = "target"
    )]
    pub host: Option<String>,
    /// In whose name; an agent's token tells its own [env: `FNOX_VAULT_AGENT`]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// How long it is wanted, for example 5m
    #[arg(long, value_name = "DURATION")]
    pub ttl: Option<String>,
    /// How often it will be used
    #[arg(long, value_name = "N")]
    pub uses: Option<u32>,
    /// The tool that will use it
    #[arg(long, value_name = "NAME")]
    pub tool: Option<String>,
}

#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
pub(crate) struct LeaseRevokeArgs {
    /// These leases
    #[arg(value_name = "ID", group = "which", conflicts_with_all = ["agent", "secret", "token", "session", "all"])]
    pub ids: Vec<String>,
    /// Leases of this agent
    #[arg(long, value_name = "NAME", group = "which")]
    pub agent: Option<String>,
    /// Leases of this secret
    #[arg(long, value_name = "NAME", group = "which")]
    pub secret: Option<String>,
    /// Leases that this token asked for
    #[arg(long, value_name = "ID", group = "which")]
    pub token: Option<String>,
    /// Leases of this session
    #[arg(long, value_name = "ID", group = "which")]
    pub session: Option<String>,
    /// All leases
    #[arg(long, group = "which", conflicts_with_all = ["agent", "secret", "token", "session"])]
    pub all: bool,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  fnox vault exec --secret github-token@api.github.com=GH_TOKEN -- gh pr list\n  fnox vault exec --secret db-password@db.internal:5432=fd:3 -- ./migrate --password-fd 3\n  fnox vault exec --secret deploy@amazonaws.com=env: -- aws s3 ls\n\nWithout =VAR the variable is the secret's name in capitals, with `_` for every other character. =env: gives all variables of a credential that a mint makes, under their own names. The leases are renewed while the program runs, where the policy lets them, and given back when it ends."
)]
pub(crate) struct VaultExecArgs {
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// A secret, its host, and the variable or file descriptor that gets it (repeat for more)
    #[arg(
        long = "secret",
        value_name = "NAME@HOST[=VAR|=env:|=fd:N]",
        required = true
    )]
    pub secrets: Vec<String>,
    /// In whose name; an agent's token tells its own [env: `FNOX_VAULT_AGENT`]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// How long each lease is wanted, for example 5m
    #[arg(long, value_name = "DURATION")]
    pub ttl: Option<String>,
    /// The tool that will use them
    #[arg(long, value_name = "NAME")]
    pub tool: Option<String>,
    /// Replace the values in the program's output, where it is not a terminal
    #[arg(long)]
    pub redact: bool,
    /// The program and its arguments
    #[arg(last = true, value_name = "COMMAND", required = true, value_hint = clap::ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// What git asks a helper to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GitOperation {
    /// Give a credential
    Get,
    /// Keep a credential; does nothing
    Store,
    /// Forget a credential that was refused: its lease is given back
    Erase,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "In ~/.gitconfig:\n  [credential \"https://github.com\"]\n      helper = \"!fnox vault credential-fill --secret github-token\"\n\nThe lease is for the host that git names; the policy decides. It runs to its own end, since git uses what it got after the helper has ended, and answers git's next questions too until half of it is over."
)]
#[command(group = clap::ArgGroup::new("source").required(true))]
pub(crate) struct CredentialArgs {
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The secret that is the password, for every host
    #[arg(long, value_name = "NAME", group = "source")]
    pub secret: Option<String>,
    /// TOML file with a line `"HOST" = "SECRET"` for each host; other hosts get no answer
    #[arg(long, value_name = "FILE", group = "source", value_hint = clap::ValueHint::FilePath)]
    pub map: Option<PathBuf>,
    /// User name to answer with
    #[arg(long, value_name = "NAME", default_value = "x-access-token")]
    pub username: String,
    /// In whose name; an agent's token tells its own [env: `FNOX_VAULT_AGENT`]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Answer for http too, on loopback addresses only
    #[arg(long)]
    pub allow_http: bool,
    /// What git asks for
    #[arg(value_enum)]
    pub operation: GitOperation,
}
