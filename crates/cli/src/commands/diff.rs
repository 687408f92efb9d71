//! `fnox diff`

use fnox_config::Config;
use fnox_core::{ProfileName, SecretName, SecretString};
use indexmap::IndexMap;

use super::difference::{Change, Difference, readable};
use crate::app::App;
use crate::args::DiffArgs;
use crate::error::CliError;
use crate::output::documents::ProfileDifference;

pub(crate) fn run(app: &App, args: &DiffArgs) -> Result<(), CliError> {
    let (before, before_values) = side(app, &args.before)?;
    let (after, after_values) = side(app, &args.after)?;
    let mut difference = Difference::default();
    let names = before.secrets.keys().chain(after.secrets.keys());
    for name in names {
        let change = match (
            before.secrets.contains_key(name),
            after.secrets.contains_key(name),
        ) {
            (true, false) => Change::Removed,
            (false, _) => Change::New,
            (true, true) => Change::between(before_values.get(name), after_values.get(name)),
        };
        difference.0.insert(name.clone(), change);
    }
    if !args.all {
        difference.0.retain(|_, change| *change != Change::Same);
    }
    if args.json {
        return app.printer.json(&ProfileDifference {
            before: &args.before,
            after: &args.after,
            secrets: difference.documents(),
        });
    }
    if difference.0.is_empty() {
        app.printer.note(&format!(
            "The secrets of {} and {} are the same.",
            args.before, args.after
        ));
        return Ok(());
    }
    difference.print(app)
}

/// The configuration with one profile, and what can be read of its secrets.
fn side(
    app: &App,
    profile: &str,
) -> Result<(Config, IndexMap<SecretName, SecretString>), CliError> {
    let profile =
        ProfileName::parse(profile).map_err(|error| CliError::usage(error.to_string()))?;
    let active = Some(&profile).filter(|profile| profile.as_str() != "default");
    let app = app.for_profile(active);
    let config = app.load()?;
    let names: Vec<SecretName> = config.secrets.keys().cloned().collect();
    let values = readable(&app, &config, &names)?;
    Ok((config, values))
}
