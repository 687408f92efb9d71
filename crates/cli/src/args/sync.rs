//! `fnox sync`

use clap::Args;

#[derive(Debug, Clone, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[command(
    group = clap::ArgGroup::new("only_said").args(["dry_run", "status"]),
    after_help = "While a secret or a file has a copy, its own provider is not asked. `fnox sync` again renews the copies, and \
                  `fnox exec --offline` runs with nothing but them and what is kept on this machine. Without names, whole files \
                  (`[files]` of the global configuration) get copies too; `fnox files write --offline` writes from them."
)]
pub(crate) struct SyncArgs {
    /// Only these secrets
    #[arg(value_name = "KEY", add = crate::completion::secrets())]
    pub keys: Vec<String>,
    /// Provider that encrypts the copies, by default the default provider
    #[arg(short, long, value_name = "NAME", add = crate::completion::providers())]
    pub provider: Option<String>,
    /// Only secrets of this provider
    #[arg(short, long, value_name = "NAME", add = crate::completion::providers())]
    pub source: Option<String>,
    /// Only names that match this regular expression
    #[arg(long, value_name = "REGEX")]
    pub filter: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Only secrets that the global file defines
    #[arg(short, long)]
    pub global: bool,
    /// Keep the copies in a local file (`fnox.local.toml`), for this machine alone
    #[arg(long, conflicts_with = "global")]
    pub local_file: bool,
    /// Only say what would be copied
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// List the copies that there are, and how old they are
    #[arg(long, conflicts_with_all = ["dry_run", "force"])]
    pub status: bool,
    /// With `--status` or `-n`: print a JSON document
    #[arg(long, requires = "only_said")]
    pub json: bool,
}
