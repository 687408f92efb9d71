//! `fnox version`

use crate::app::App;
use crate::args::VersionArgs;
use crate::error::CliError;
use crate::output::documents::VersionDocument;

/// The version of this binary.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn run(app: &App, args: &VersionArgs) -> Result<(), CliError> {
    if args.json {
        let document = VersionDocument {
            name: "fnox",
            version: VERSION,
        };
        return app.printer.json(&document);
    }
    app.printer.line(&format!("fnox {VERSION}"))
}
