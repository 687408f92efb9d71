//! `vault approvals`, `approve` and `deny`.

use clap::Args;

use super::ConnectionArgs;
use crate::args::agent::YesArgs;

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "A yes is for the very request: its agent, rule, method, host, path, query and body. On a terminal the request is shown first, and you are asked.\n\nA question waits for ten minutes at the most, at the vault that the gateway asks; of vaults on one PostgreSQL, at all of them."
)]
pub(crate) struct ApprovalYesArgs {
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(flatten)]
    pub answer: YesArgs,
    /// Do not ask, although there is a terminal
    #[arg(short, long, requires = "id")]
    pub yes: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ApprovalDenyArgs {
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Which, as `fnox vault approvals` names it
    #[arg(value_name = "ID")]
    pub id: String,
}
