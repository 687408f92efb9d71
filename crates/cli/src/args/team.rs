//! The team server's clients: `login`, `logout`, `secret`, `approve`, and what `exec` and `run` say about approvals.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Which server, and which project there.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServerArgs {
    /// URL of the team server [env: `FNOX_SERVER_URL`]
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  fnox login --server https://fnox.example.com\n  fnox login --device\n  idp-token | fnox login --token-file -"
)]
pub(crate) struct LoginArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// Log in on another machine: print an address and a code to type there
    #[arg(long, conflicts_with = "token_file")]
    pub device: bool,
    /// Use this OIDC token instead of asking the provider; `-` reads it from stdin
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,
    /// Only print the address, open no browser
    #[arg(long)]
    pub no_browser: bool,
    /// Port on 127.0.0.1 to which the provider sends the browser back; by default any free one
    #[arg(long, value_name = "PORT", conflicts_with_all = ["device", "token_file"])]
    pub port: Option<u16>,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LogoutArgs {
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Values are encrypted here, to the recipients' age keys; the server cannot read them.\n\nExamples:\n  printf %s \"$VALUE\" | fnox secret set NPM_TOKEN --from-stdin --recipients age1…\n  fnox secret list\n  fnox secret rekey --recipients age1…,age1…"
)]
pub(crate) struct SecretArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// Project on the server; by default `[project] name`
    #[arg(long, global = true, value_name = "NAME")]
    pub project: Option<String>,
    /// Print a JSON document
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: SecretCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum SecretCommand {
    /// Encrypt a value and store it on the team server
    Set(SecretSetArgs),
    /// List secrets
    #[command(visible_alias = "ls")]
    List {
        /// Secrets of every profile
        #[arg(short, long)]
        all: bool,
    },
    /// Delete secrets
    #[command(visible_alias = "rm")]
    Delete {
        /// The secrets
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
    },
    /// List the versions of a secret
    Versions {
        /// The secret
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// Encrypt stored values anew, for changed recipients
    Rekey {
        /// The secrets; by default all of the profile
        #[arg(value_name = "KEY")]
        keys: Vec<String>,
        #[command(flatten)]
        recipients: RecipientArgs,
        /// Only say what would be done
        #[arg(short = 'n', long)]
        dry_run: bool,
        /// Go on although you could not open the new version yourself
        #[arg(short, long)]
        force: bool,
    },
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RecipientArgs {
    /// Whom to encrypt to (repeat or separate by commas); by default the age provider's recipients, else those of the global file
    #[arg(short, long, value_name = "RECIPIENT", value_delimiter = ',')]
    pub recipients: Vec<String>,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The value comes from stdin or is asked for; there is no way to give it as an argument."
)]
pub(crate) struct SecretSetArgs {
    /// Name of the secret
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Read the value from stdin; a final line end does not count
    #[arg(long)]
    pub from_stdin: bool,
    #[command(flatten)]
    pub recipients: RecipientArgs,
    /// Ask a person before each use, whatever the server's policy says
    #[arg(long, overrides_with = "no_require_approval")]
    pub require_approval: bool,
    /// Leave it to the server's policy whether a person is asked
    #[arg(long, overrides_with = "require_approval")]
    pub no_require_approval: bool,
    /// What the secret is for
    #[arg(short, long, value_name = "TEXT")]
    pub description: Option<String>,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Alone it lists what is pending and, on a terminal, asks.\nThe match code stands in the log of whoever asks: approve only what shows the same request and code."
)]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// Print a JSON document
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Option<ApproveCommand>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ApproveCommand {
    /// List what is pending
    #[command(visible_alias = "ls")]
    List {
        /// Also what is decided or over
        #[arg(short, long)]
        all: bool,
    },
    /// Show one approval
    Show {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Say yes, once
    Approve {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// The match code that the log of whoever asks shows; by default it is asked for
        #[arg(long, value_name = "CODE")]
        code: Option<String>,
        /// For how long a yes to a request of an agent covers that very request, up to what the policy allows; by default
        /// it is for once
        #[arg(long = "for", value_name = "TIME")]
        lasting: Option<String>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Say no
    Deny {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

/// What `exec` and `run` say about approvals.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ApprovalArgs {
    /// If a person has to be asked: ask, print the approval's id and end with exit code 8
    #[arg(long, help_heading = HEADING)]
    pub no_wait: bool,
    /// Go on with an approval that was asked for with --no-wait
    #[arg(long, help_heading = HEADING, value_name = "ID")]
    pub approval: Option<String>,
    /// Why, for whoever decides
    #[arg(long, help_heading = HEADING, value_name = "TEXT")]
    pub reason: Option<String>,
    /// How long to wait for a person, for example 5m; by default until the approval ends
    #[arg(long, help_heading = HEADING, value_name = "DURATION", conflicts_with = "no_wait")]
    pub timeout: Option<String>,
}

const HEADING: &str = "Team server";
