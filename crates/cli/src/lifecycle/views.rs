//! The configuration as each of its profiles sees it.

use std::collections::BTreeSet;

use fnox_config::{Config, Location};
use fnox_core::ProfileName;

use crate::app::App;
use crate::commands::profiles;
use crate::error::CliError;

/// What one profile sees.
#[derive(Debug)]
pub(super) struct View {
    /// `None`: without any profile.
    pub(super) profile: Option<ProfileName>,
    pub(super) config: Config,
}

/// The base and every profile: somebody who leaves had access to all of them, whichever is active here.
pub(super) fn all(app: &App) -> Result<Vec<View>, CliError> {
    let base = app.for_profile(None).load()?;
    let mut views = Vec::new();
    let mut seen = BTreeSet::from(["default".to_owned()]);
    for profile in profiles::known(app, &base) {
        if seen.insert(profile.to_string()) {
            let config = app.for_profile(Some(&profile)).load()?;
            views.push(View {
                profile: Some(profile),
                config,
            });
        }
    }
    views.insert(
        0,
        View {
            profile: None,
            config: base,
        },
    );
    Ok(views)
}

/// `fnox.toml:12`
pub(super) fn place(location: &Location) -> String {
    format!("{}:{}", location.file.path.display(), location.line())
}
