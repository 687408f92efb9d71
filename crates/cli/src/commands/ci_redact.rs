//! `fnox ci-redact`: a CI's log does not show the project's secrets from here on.

use fnox_core::SecretName;

use crate::app::App;
use crate::error::CliError;
use crate::team::{mask, reading};

/// Only GitHub Actions can be told while a job runs; others hide what their settings mark.
pub(crate) fn run(app: &App) -> Result<(), CliError> {
    if app.env.var("GITHUB_ACTIONS") != Some("true") {
        return Err(CliError::Usage {
            message: "this is no job of GitHub Actions, so nothing can be told what to hide"
                .to_owned(),
            help: Some(
                "mark the variables as masked in the settings of your CI, or use `fnox exec --redact`"
                    .to_owned(),
            ),
        });
    }
    let config = app.load()?;
    let wanted: Vec<SecretName> = config.secrets.keys().cloned().collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let resolution = reading::resolve(app, &config, app.resolver_options(&config), &wanted)?;
    app.tell(&resolution.notices);
    app.printer.raw(&mask::commands(resolution.values.values()))
}
