//! `vault approvals`, `approve` and `deny`.

use clap::Args;
use fnox_core::Lifetime;

use super::ConnectionArgs;

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "A yes is for the very request: its agent, rule, method, host, path, query and body. On a terminal the\nrequest is shown first, and you are asked.\n\nA question waits for ten minutes at the most, at the vault that the gateway asks; of vaults on one PostgreSQL, at all of them."
)]
pub(crate) struct ApprovalYesArgs {
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Which, as `fnox vault approvals` names it
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Not once, but as often as it comes in so much time (30d at the most)
    #[arg(long = "for", value_name = "TIME", value_parser = Lifetime::parse, conflicts_with = "session", requires = "id")]
    pub lasting: Option<Lifetime>,
    /// Not once, but as often as it comes while the gateway runs
    #[arg(long, requires = "id")]
    pub session: bool,
    /// And whatever else the rule allows the agent
    #[arg(long, requires = "id")]
    pub rule: bool,
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
