//! `fnox vault import zerolease`

use crate::app::App;
use crate::args::vault::ZeroleaseArgs;
use crate::error::CliError;
use crate::vault::error::{StartProblem, VaultFailure};

pub(super) fn run(_app: &App, args: &ZeroleaseArgs) -> Result<(), CliError> {
    Err(VaultFailure::Start {
        message: format!("this version cannot read {}", args.db.display()),
        reason: StartProblem::Settings,
        help: None,
    }
    .into())
}
