//! `vault token`, `vault policy`, `vault audit`, `vault key`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{ClientArgs, VaultAlgorithm};

#[derive(Debug, Clone, Args)]
pub(crate) struct TokenGroup {
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(subcommand)]
    pub command: TokenCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; it is shown once
    Create(TokenCreateArgs),
    /// List tokens without their values
    #[command(visible_alias = "ls")]
    List,
    /// Withdraw tokens, their leases and their connections
    Revoke {
        /// The tokens' ids
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct TokenCreateArgs {
    /// Whose it is
    #[arg(long, value_name = "NAME")]
    pub agent: String,
    /// What it allows
    #[arg(long, value_enum, default_value = "agent")]
    pub role: VaultRole,
    /// How long it lives, at most 90d
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub ttl: String,
    /// How many connections it may open
    #[arg(long, value_name = "N")]
    pub uses: Option<u32>,
    /// Only from this peer: uid:1000 or cid:7
    #[arg(long, value_name = "PEER")]
    pub peer: Option<String>,
    /// Write it to a new private file instead of stdout
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VaultRole {
    /// Ask for leases in its own name
    Agent,
    /// Use the leases of all agents on their behalf
    Gateway,
    /// Ask for leases in the name of any agent
    Orchestrator,
    /// Everything
    Admin,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct PolicyGroup {
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(subcommand)]
    pub command: PolicyCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check a policy file, without any vault
    Check {
        /// The file, TOML or zerolease's JSON
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
        /// Fail on warnings too
        #[arg(long)]
        strict: bool,
    },
    /// Tell which rule decides, or which comes nearest and why it does not
    Explain {
        /// Who would ask
        #[arg(long, value_name = "NAME")]
        agent: String,
        /// For which secret
        #[arg(long, value_name = "NAME")]
        secret: String,
        /// For which host
        #[arg(long, value_name = "HOST")]
        host: String,
        /// With which tool
        #[arg(long, value_name = "NAME")]
        tool: Option<String>,
        /// Ask this file instead of the vault
        #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
    /// Have the vault read its policy file again
    Reload,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct AuditGroup {
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// Which records.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct AuditFilter {
    /// Done for this agent
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// About this secret
    #[arg(long, value_name = "NAME")]
    pub secret: Option<String>,
    /// About this lease
    #[arg(long, value_name = "ID")]
    pub lease: Option<String>,
    /// Of this kind, for example `secret_accessed`
    #[arg(long, value_name = "EVENT")]
    pub event: Option<String>,
    /// That ended so: begun, ok, denied or error
    #[arg(long, value_name = "OUTCOME")]
    pub outcome: Option<String>,
    /// Not before: a time (RFC 3339), or how long ago (1h)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum AuditCommand {
    /// The newest records
    Tail {
        #[command(flatten)]
        filter: AuditFilter,
        /// How many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
        lines: u32,
        /// Go on with new ones as they come
        #[arg(short, long)]
        follow: bool,
    },
    /// Records that fit, oldest first
    Query {
        #[command(flatten)]
        filter: AuditFilter,
        /// At most so many
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
    },
    /// Look for changes that were made behind the vault's back
    Verify {
        /// File of checkpoints that were kept elsewhere
        #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        checkpoints: Option<PathBuf>,
    },
    /// Write records as JSON lines
    Export {
        #[command(flatten)]
        filter: AuditFilter,
        /// Write to a new private file instead of stdout
        #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        output: Option<PathBuf>,
    },
    /// Have the vault sign how far the log has come
    Checkpoint {
        /// Add it to this file instead of printing it
        #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        append: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct KeyGroup {
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(subcommand)]
    pub command: KeyCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum KeyCommand {
    /// Describe the keys and how many values each seals
    Status,
    /// Replace the data key and seal every value anew, while the vault serves
    Rotate {
        /// Replace the key source's own key instead
        #[arg(long)]
        source: bool,
    },
    /// Seal every value anew
    Rewrap {
        /// With this algorithm; each value's own if not given
        #[arg(long, value_enum)]
        algorithm: Option<VaultAlgorithm>,
    },
}
