//! `fnox sync --status`: which copies there are, and how old they are.

use fnox_config::{Config, SecretConfig};
use fnox_core::{Clock as _, SecretName};
use jiff::Timestamp;

use crate::app::App;
use crate::commands::chain;
use crate::error::CliError;
use crate::output::Table;
use crate::output::documents::SyncedCopy;

pub(super) fn run(
    app: &App,
    config: &Config,
    named: &[SecretName],
    json: bool,
) -> Result<(), CliError> {
    let now = app.clock.now();
    let copies: Vec<SyncedCopy> = config
        .secrets
        .values()
        .filter(|secret| named.is_empty() || named.contains(&secret.name))
        .filter_map(|secret| copy(config, secret))
        .chain(of_files(config, named))
        .collect();
    if json {
        return app.printer.json(&copies);
    }
    if copies.is_empty() {
        app.printer
            .note("There are no copies. `fnox sync` makes them.");
        return Ok(());
    }
    let mut table = Table::new(&["Key", "From", "Encrypted With", "Age"], false);
    for copy in copies {
        table.row(vec![
            copy.name,
            copy.from.unwrap_or_default(),
            copy.provider,
            age(copy.at.as_deref(), now),
        ]);
    }
    app.printer.line(&table.render())
}

fn copy(config: &Config, secret: &SecretConfig) -> Option<SyncedCopy> {
    let copy = secret.sync.as_ref()?;
    Some(SyncedCopy {
        name: secret.name.to_string(),
        from: Some(chain::shown(&config.chain_of(secret))).filter(|names| !names.is_empty()),
        provider: copy.provider.to_string(),
        at: copy.at.clone(),
    })
}

/// Copies of whole files, which have no names of secrets.
fn of_files(config: &Config, named: &[SecretName]) -> Vec<SyncedCopy> {
    let files = config.settings.files.iter();
    files
        .filter(|_| named.is_empty())
        .filter_map(|(path, fields)| {
            let copy = fields.table("sync")?;
            let default = config.default_provider().map(ToString::to_string);
            Some(SyncedCopy {
                name: path.clone(),
                from: fields.text("provider").map(str::to_owned).or(default),
                provider: copy.text("provider").unwrap_or_default().to_owned(),
                at: copy.text("at").map(str::to_owned),
            })
        })
        .collect()
}

/// How long ago, in the largest unit that says something.
fn age(at: Option<&str>, now: Timestamp) -> String {
    let Some(at) = at.and_then(|at| at.parse::<Timestamp>().ok()) else {
        return "unknown".to_owned();
    };
    let seconds = now.duration_since(at).as_secs().max(0);
    match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (days @ 2.., _, _) => format!("{days} days"),
        (_, hours @ 2.., _) => format!("{hours} hours"),
        (_, _, minutes @ 2..) => format!("{minutes} minutes"),
        _ => "just now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_the_largest_unit_that_fits() {
        let now: Timestamp = "2026-03-10T12:00:00Z".parse().unwrap();
        for (at, said) in [
            ("2026-03-10T11:59:00Z", "just now"),
            ("2026-03-10T11:57:00Z", "3 minutes"),
            ("2026-03-10T09:00:00Z", "3 hours"),
            ("2026-03-01T12:00:00Z", "9 days"),
            ("2027-01-01T00:00:00Z", "just now"),
            ("yesterday", "unknown"),
        ] {
            assert_eq!(age(Some(at), now), said, "{at}");
        }
        assert_eq!(age(None, now), "unknown");
    }
}
