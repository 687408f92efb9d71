//! `fnox completion`

use crate::app::App;
use crate::args::CompletionArgs;
use crate::completion;
use crate::error::CliError;

pub(crate) fn run(app: &App, args: &CompletionArgs) -> Result<(), CliError> {
    let script = completion::script(&args.shell)
        .and_then(|script| String::from_utf8(script).ok())
        .ok_or_else(|| CliError::usage(format!("there is no completion for `{}`", args.shell)))?;
    app.printer.raw(&script)
}
