//! Commands that inspect, convert or set up.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Formats of `export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    Env,
    Shell,
    Json,
    Yaml,
    Toml,
    /// For `>> "$GITHUB_ENV"` in a job of GitHub Actions, whose log will not show the values
    Gha,
}

/// Formats of `import`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportFormat {
    /// Lines `NAME=value`
    Env,
    /// A map of names to values
    Json,
    /// A map of names to values
    Yaml,
    /// A map of names to values
    Toml,
    /// `chamber export --format json SERVICE`
    Chamber,
    /// `doppler secrets download --no-file --format json`
    Doppler,
    /// `infisical export --format json`
    Infisical,
    /// `op item get ITEM --format json`
    #[value(name = "1password")]
    Onepassword,
    /// A YAML, JSON or dotenv file that sops encrypted to age
    Sops,
    /// A dotenv file that dotenvx encrypted
    Dotenvx,
    /// `secretspec.toml`: names, descriptions, defaults and profiles
    Secretspec,
    /// `.teller.yml`: stores, and which of their keys become which variables
    Teller,
    /// The AWS configuration file that aws-vault uses: profiles with leases
    AwsVault,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ExportArgs {
    /// Only these secrets
    #[arg(value_name = "KEY", add = crate::completion::secrets())]
    pub keys: Vec<String>,
    /// Format of the output
    #[arg(short, long, value_enum, default_value = "env")]
    pub format: ExportFormat,
    /// Only say what would be written
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Write to a private file instead of stdout
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Secrets of every `env` mode
    #[arg(long)]
    pub all: bool,
    /// Begin with comments that say where it comes from
    #[arg(long)]
    pub header: bool,
}

#[derive(Debug, Clone, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct ImportArgs {
    /// Format of the input
    #[arg(value_enum, default_value = "env")]
    pub format: ImportFormat,
    /// File to read instead of stdin
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub input: Option<PathBuf>,
    /// Provider that encrypts the values; required, except for formats without values
    #[arg(short, long, value_name = "NAME", add = crate::completion::providers())]
    pub provider: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Only say what would be new, changed or the same
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// With `-n`: print a JSON document
    #[arg(long, requires = "dry_run")]
    pub json: bool,
    /// Write to the global file
    #[arg(short, long)]
    pub global: bool,
    /// Only names that match this regular expression
    #[arg(long, value_name = "REGEX")]
    pub filter: Option<String>,
    /// Put before each name
    #[arg(long, value_name = "TEXT")]
    pub prefix: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DiffArgs {
    /// A profile; `default` is the base
    #[arg(value_name = "PROFILE", add = crate::completion::profiles())]
    pub before: String,
    /// The profile that it is compared with
    #[arg(value_name = "PROFILE", add = crate::completion::profiles())]
    pub after: String,
    /// Show what is the same too
    #[arg(short, long)]
    pub all: bool,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct InitArgs {
    /// Replace an existing file
    #[arg(short, long)]
    pub force: bool,
    /// Make the global file
    #[arg(short, long)]
    pub global: bool,
    /// Ask nothing and write a minimal file
    #[arg(long)]
    pub skip_wizard: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CheckArgs {
    /// Resolve every secret, not only the required ones
    #[arg(short, long)]
    pub all: bool,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DoctorArgs {
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[command(
    group = clap::ArgGroup::new("only_said").args(["dry_run", "check"]).multiple(true),
    after_help = "Without a name it is about all secrets, and about the files of the global configuration, of which it asks apart."
)]
pub(crate) struct ReencryptArgs {
    /// Only these secrets
    #[arg(value_name = "KEY", add = crate::completion::secrets())]
    pub keys: Vec<String>,
    /// Only this file of the global configuration's `[files]`, besides the secrets that are named; repeat for several
    #[arg(long = "file", value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Only say what would be encrypted anew
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Fail if a value is not encrypted to today's recipients; change nothing
    #[arg(long)]
    pub check: bool,
    /// With `-n` or `--check`: print a JSON document
    #[arg(long, requires = "only_said")]
    pub json: bool,
    /// Only secrets and files of this provider
    #[arg(short, long, value_name = "NAME", add = crate::completion::providers())]
    pub provider: Option<String>,
    /// Only names, and paths of files, that match this regular expression
    #[arg(long, value_name = "REGEX")]
    pub filter: Option<String>,
}

#[derive(Debug, Clone, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[command(
    after_help = "No value is shown, and with `--quiet` only the paths.\nA line that holds `fnox:allow` is left out."
)]
pub(crate) struct ScanArgs {
    /// Folder or file, by default the working folder
    #[arg(value_name = "FOLDER", conflicts_with = "staged", value_hint = clap::ValueHint::AnyPath)]
    pub folder: Option<PathBuf>,
    /// Leave out paths that match
    #[arg(short, long, value_name = "GLOB")]
    pub ignore: Vec<String>,
    /// Search for the values of the project's secrets too
    #[arg(long)]
    pub values: bool,
    /// Scan what would be committed
    #[arg(long)]
    pub staged: bool,
    /// Scan what git ignores too
    #[arg(long, conflicts_with = "staged")]
    pub include_ignored: bool,
    /// Have git run it before each commit
    #[arg(long, conflicts_with_all = ["folder", "staged", "values", "json"])]
    pub install_hook: bool,
    /// With `--install-hook`: add to a hook that is there
    #[arg(long, requires = "install_hook")]
    pub append: bool,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    /// `json` is `--json`, but with `--quiet` only a list of the paths
    #[arg(long, hide = true, value_parser = ["human", "json"], conflicts_with_all = ["json", "install_hook"])]
    pub format: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ProfilesArgs {
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    /// Only the names, one a line
    #[arg(long, hide = true)]
    pub complete: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigFilesArgs {
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct VersionArgs {
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Add it to your shell's start-up file, for example:\n  source <(fnox completion bash)"
)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_parser = ["bash", "zsh", "fish", "elvish", "powershell", "pwsh", "nu"])]
    pub shell: String,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum AgeCommand {
    /// Make a new identity and print its recipient
    Keygen {
        /// File to write; by default age.txt of the config folder
        #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        output: Option<PathBuf>,
        /// Print a JSON document
        #[arg(long)]
        json: bool,
    },
    /// Add a recipient to a provider, or to the global file's `[age]`
    AddRecipient {
        /// `age1…`, `ssh-ed25519 …`, `ssh-rsa …` or a plugin's recipient
        #[arg(value_name = "RECIPIENT")]
        recipient: String,
        /// The provider; by default the only age provider
        #[arg(short, long, value_name = "NAME", add = crate::completion::providers())]
        provider: Option<String>,
        /// Add it to `[age] recipients` of the global file
        #[arg(short, long)]
        global: bool,
    },
}
