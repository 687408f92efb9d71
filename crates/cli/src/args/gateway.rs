//! `gateway`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Clone, Args)]
pub(crate) struct GatewayArgs {
    #[command(subcommand)]
    pub command: GatewayCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Serve a vault's agents: put secrets into their requests, for which the vault lends them request by request
    Serve(GatewayServeArgs),
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "A client names itself by its vault token, as the password of the proxy:\n  http://agent:TOKEN@127.0.0.1:3128\n\nThe whole of it, with a vault: docs/guide/gateway.md"
)]
pub(crate) struct GatewayServeArgs {
    /// Its settings; default: gateway.toml in fnox's configuration folder
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub gateway_config: Option<PathBuf>,
}
