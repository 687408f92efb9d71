//! The commands that need Unix: each says so.

use crate::error::CliError;

fn refused(command: &str) -> CliError {
    CliError::Usage {
        message: format!("`fnox {command}` needs Linux or macOS"),
        help: Some("use the Windows Subsystem for Linux, which is Linux".to_owned()),
    }
}

/// A command that refuses whatever its arguments are.
macro_rules! absent {
    ($module:ident, $arguments:ty, $answer:ty) => {
        pub(super) mod $module {
            use crate::app::App;
            use crate::error::CliError;

            /// # Errors
            /// Always.
            pub(in crate::commands) fn run(_: &App, _: $arguments) -> Result<$answer, CliError> {
                Err(super::refused(stringify!($module)))
            }
        }
    };
}

absent!(agent, &crate::args::agent::AgentArgs, fnox_core::ExitStatus);
absent!(daemon, &crate::args::daemon::DaemonArgs, ());
absent!(
    gateway,
    &crate::args::gateway::GatewayArgs,
    fnox_core::ExitStatus
);
absent!(mcp, &crate::args::mcp::McpArgs, fnox_core::ExitStatus);
absent!(serve, crate::args::serve::ServeArgs, fnox_core::ExitStatus);
absent!(vault, crate::args::vault::VaultArgs, fnox_core::ExitStatus);
