//! `fnox trust`

use fnox_config::trust::Trust;

use crate::app::App;
use crate::args::TrustArgs;
use crate::error::CliError;

pub(crate) fn run(app: &App, args: &TrustArgs) -> Result<(), CliError> {
    let path = app.cwd.join(&args.path);
    Trust::new(&app.folders, &app.cwd).trust(&path)?;
    app.printer.done(&format!(
        "Trusting {} as it is now; a change is refused again",
        path.display()
    ));
    Ok(())
}
