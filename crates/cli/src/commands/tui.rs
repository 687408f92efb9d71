//! `fnox tui`

use std::io::IsTerminal as _;

use fnox_core::ExitStatus;

use crate::app::App;
use crate::error::CliError;
use crate::tui::screen;

pub(crate) fn run(app: &App) -> Result<ExitStatus, CliError> {
    if !app.prompt.is_interactive() || !std::io::stdout().is_terminal() {
        return Err(CliError::Usage {
            message: "`fnox tui` needs a terminal, and somebody at it".to_owned(),
            help: Some(
                "`fnox list`, `fnox lease list` and `fnox provider test --all` print the same, also as JSON"
                    .to_owned(),
            ),
        });
    }
    screen::run(app)
}
