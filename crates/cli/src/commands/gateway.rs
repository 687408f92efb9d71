//! `fnox gateway`

use fnox_core::ExitStatus;

use crate::app::App;
use crate::args::gateway::{GatewayArgs, GatewayCommand};
use crate::error::CliError;
use crate::exec::hardening;
use crate::gateway::serve::{self, Settings};

pub(crate) fn run(app: &App, args: &GatewayArgs) -> Result<ExitStatus, CliError> {
    let GatewayCommand::Serve(args) = &args.command;
    let settings = Settings::load(app, args.gateway_config.as_deref())?;
    hardening::prepare_server();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CliError::Output)?;
    let outcome = runtime.block_on(serve::serve(app, settings));
    // A look-up of a name that hangs must not keep the gateway from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    outcome.map(|()| ExitStatus::Success)
}
