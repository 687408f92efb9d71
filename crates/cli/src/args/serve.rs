//! `serve`: the team server, and what touches its files.
//!
//! Under these commands the long `--config` names server.toml, while `-c` stays fnox.toml: the arguments with the id
//! `config` take the short flag only, which keeps clap from handing the long one down.

mod administration;
mod issuer;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use ipnet::IpNet;

pub(crate) use self::administration::{
    AuditCommand, AuditGroup, BackupArgs, EmergencyArgs, NotifyCommand, NotifyGroup, PolicyCommand,
    PolicyGroup, PolicyTestArgs, RestoreArgs, RestoredArgs, TokenArgs, TokenCommand, TokenRole,
};
pub(crate) use self::issuer::{IssuerCommand, IssuerGroup, IssuerTokenArgs};

/// The team server: it keeps secrets that it cannot read, and releases each once, after a person said yes.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Flags beat server.toml: docs/reference/server-config.md. Set a server up with `fnox serve init`.\n\nSIGHUP reads policy and certificate again, which also happens by itself when they change; SIGTERM and SIGINT let requests finish and end the server."
)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// How messages are written
    #[arg(long, value_name = "FORM", value_enum, default_value_t = LogForm::Text)]
    pub log: LogForm,
    #[command(subcommand)]
    pub command: Option<ServeCommand>,
}

impl ServeArgs {
    /// How messages are written, if this process will be the server.
    pub(crate) fn serves(&self) -> Option<LogForm> {
        self.command.is_none().then_some(self.log)
    }
}

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogForm {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ServeCommand {
    /// Set up a server: server.toml, policy.toml, a signing key, a database and the first administrator
    Init(ServeInitArgs),
    /// Check the policy, and ask it
    Policy(PolicyGroup),
    /// Release nothing until `unfreeze`
    Freeze(EmergencyArgs),
    /// Release again
    Unfreeze(EmergencyArgs),
    /// End all sessions but your own, all tokens (SCIM's too), all approvals and all grants
    RevokeAll(EmergencyArgs),
    /// Write a consistent copy of an SQLite database, also while the server runs
    Backup(BackupArgs),
    /// Put a copy back in the place of the database; nothing that was used or ended comes back
    Restore(RestoreArgs),
    /// Tell that a PostgreSQL database was put back to an older state, so that nothing in it comes back
    Restored(RestoredArgs),
    /// Verify the audit log
    Audit(AuditGroup),
    /// Make, list and revoke tokens of administrators and of identity providers (SCIM)
    Token(TokenArgs),
    /// Try the channels by which approvers are asked
    Notify(NotifyGroup),
    /// An issuer of tokens that is two files: for machines without a CI, and for trying the server out
    Issuer(IssuerGroup),
}

/// Which server.toml.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FileArgs {
    /// server.toml [env: `FNOX_SERVER_CONFIG`]
    #[arg(id = "server_config", long = "config", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// The project's configuration, fnox.toml
    #[arg(id = "config", short = 'c', value_name = "PATH", hide = true)]
    pub fnox_config: Option<PathBuf>,
}

/// What beats server.toml.
#[derive(Debug, Clone, Args)]
pub(crate) struct SettingsArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// Address and port; anything but loopback needs TLS or a proxy
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// What clients and approvers reach the server by
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// SQLite file, or `postgres://USER@HOST/DATABASE` [env: `FNOX_SERVER_DATABASE`]
    #[arg(long = "db", value_name = "DATABASE", value_hint = clap::ValueHint::FilePath)]
    pub database: Option<String>,
    /// The policy file
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub policy: Option<PathBuf>,
    /// File of the key that signs links and chains the audit log
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub signing_key: Option<PathBuf>,
    /// The only issuer of tokens: its URL, or github, gitlab, buildkite
    #[arg(long = "oidc.issuer", value_name = "URL")]
    pub oidc_issuer: Option<String>,
    /// What the tokens' audience must be; by default the public URL
    #[arg(long = "oidc.audience", value_name = "TEXT")]
    pub oidc_audience: Option<String>,
    /// ntfy server
    #[arg(long, value_name = "URL")]
    pub ntfy_url: Option<String>,
    /// ntfy topic
    #[arg(long, value_name = "TOPIC")]
    pub ntfy_topic: Option<String>,
    /// File of an ntfy access token
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub ntfy_token_file: Option<PathBuf>,
    /// PEM file of the certificate and those between it and the root
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub tls_cert: Option<PathBuf>,
    /// PEM file of the certificate's key
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub tls_key: Option<PathBuf>,
    /// Network of a reverse proxy that does TLS, for example 10.0.0.0/8
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = crate::server::network::parse, conflicts_with_all = ["tls_cert", "tls_key"])]
    pub behind_proxy: Vec<IpNet>,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Asks nothing and overwrites nothing. The first administrator's token is printed once, on stdout, and ends after a day.\nWithout --dir the files go into fnox's folders of configuration and data."
)]
pub(crate) struct ServeInitArgs {
    /// Folder for everything
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
    /// What clients and approvers will reach the server by
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// SQLite file, or `postgres://USER@HOST/DATABASE` [env: `FNOX_SERVER_DATABASE`]
    #[arg(long = "db", value_name = "DATABASE", value_hint = clap::ValueHint::FilePath)]
    pub database: Option<String>,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}
