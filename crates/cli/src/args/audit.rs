//! `audit`.

use clap::Args;

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The log is off until `[audit] enabled = true` in the global file or `FNOX_AUDIT=on` turns it on. It holds no values. Files that were full are set aside beside it, and read too."
)]
pub(crate) struct AuditArgs {
    /// Only uses by this command, such as `exec`; also `-c COMMAND`
    #[arg(long = "command", value_name = "COMMAND")]
    pub by: Option<String>,
    /// How many of the newest uses
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// Only secrets of this provider
    #[arg(short, long, value_name = "NAME", add = crate::completion::providers())]
    pub provider: Option<String>,
    /// Only this secret
    #[arg(short, long, value_name = "NAME", add = crate::completion::secrets())]
    pub secret: Option<String>,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    /// Print where the log is
    #[arg(long, conflicts_with = "verify")]
    pub path: bool,
    /// Check that all files of the log are as they were written
    #[arg(long)]
    pub verify: bool,
}
