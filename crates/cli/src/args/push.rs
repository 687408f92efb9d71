//! `push`.

use clap::Args;

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Which secrets go where, `push` of each secret says; `[targets.NAME]` says what NAME is.\n\nExamples:\n  fnox push -n\n  fnox push -f -P production -t actions"
)]
pub(crate) struct PushArgs {
    /// Only these secrets
    #[arg(value_name = "KEY", add = crate::completion::secrets())]
    pub keys: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Only say what would be sent; fetches nothing and calls nobody
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Only to these targets (repeat or separate by commas)
    #[arg(short, long, value_name = "NAME", value_delimiter = ',')]
    pub target: Vec<String>,
    /// Print a JSON document of what became of each, never a value
    #[arg(long)]
    pub json: bool,
}
