//! `fnox lease`

mod explain;

use fnox_config::Config;
use fnox_core::lease::LeaseState;
use fnox_core::{Clock as _, LeaseName, Lifetime};
use fnox_leases::{
    Acquire, Acquired, Held, LeaseError, LeaseSummary, Revocation, RevocationOutcome,
};
use indexmap::IndexMap;
use jiff::Timestamp;

use crate::app::{App, block_on};
use crate::args::{CreateArgs, LeaseArgs, LeaseCommand, LeaseFormat, LeaseListArgs, RevokeArgs};
use crate::audit;
use crate::commands::export::format::shell_value;
use crate::commands::masters::Masters;
use crate::daemon::Settings;
use crate::error::CliError;
use crate::output::Table;
use crate::output::documents::{CreatedLease, ListedLease, SettledLease};

pub(crate) fn run(app: &App, args: LeaseArgs) -> Result<(), CliError> {
    let all = CreateArgs {
        name: None,
        all: true,
        duration: None,
        format: LeaseFormat::Shell,
        interactive: false,
        label: "fnox-lease".to_owned(),
        explain: false,
    };
    match args.command.unwrap_or(LeaseCommand::Create(all)) {
        LeaseCommand::Create(args) => create(app, &args),
        LeaseCommand::List(args) => list(app, &args),
        LeaseCommand::Revoke(args) => revoke(app, &args),
        LeaseCommand::Cleanup { json } => cleanup(app, json),
        LeaseCommand::RenewAhead { name } => renew_ahead(app, &name),
    }
}

/// Runs something with the manager of the configuration's leases.
macro_rules! with_manager {
    ($app:expr, $config:expr, |$manager:ident| $work:expr) => {{
        let resolver = $app.resolver($config);
        let masters = Masters::new($app, $config, &resolver);
        let $manager = masters.manager();
        block_on(async { $work })?
    }};
}

fn create(app: &App, args: &CreateArgs) -> Result<(), CliError> {
    let config = app.load()?;
    let names = names_to_create(&config, args)?;
    let duration = match &args.duration {
        Some(text) => {
            Some(Lifetime::parse(text).map_err(|error| CliError::usage(error.to_string()))?)
        }
        None => None,
    };
    if args.explain {
        return explain::print(app, &config, &names, duration, args);
    }
    let request = Acquire {
        label: args.label.clone(),
        duration,
        interactive: args.interactive,
        ..Acquire::for_create()
    };
    let requests = names
        .iter()
        .map(|name| (name.clone(), request.clone()))
        .collect();
    let answers = with_manager!(app, &config, |manager| manager.acquire_many(requests).await);
    let mut failed = Vec::new();
    let mut first = None;
    for (name, answer) in names.iter().zip(answers) {
        match answer {
            Ok(Acquired::Minted(held) | Acquired::Cached(held)) => {
                block_on(audit::leases(app, &config, [held.lease.as_str()]))??;
                print_created(app, &held, args.format)?;
            }
            Ok(Acquired::Skipped(skip)) => failed.push(format!("✗ {name}: {}", skip.message)),
            Err(error) if names.len() == 1 => return Err(error.into()),
            Err(error) => {
                failed.push(format!("✗ {name}: {error}"));
                first.get_or_insert(error);
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    for line in &failed {
        app.printer.say(line);
    }
    match first {
        Some(error) => Err(error.into()),
        None => Err(CliError::failed(format!(
            "{} of {} leases failed",
            failed.len(),
            names.len()
        ))),
    }
}

fn names_to_create(config: &Config, args: &CreateArgs) -> Result<Vec<LeaseName>, CliError> {
    if config.leases.is_empty() {
        return Err(CliError::Usage {
            message: "no lease is configured".to_owned(),
            help: Some("add a table such as `[leases.aws]` to fnox.toml".to_owned()),
        });
    }
    match (&args.name, args.all) {
        (Some(_), true) => Err(CliError::usage("`--all` and a name exclude one another")),
        (Some(name), false) => Ok(vec![config.lease(name)?.name.clone()]),
        (None, _) => Ok(config.leases.keys().cloned().collect()),
    }
}

fn print_created(app: &App, held: &Held, format: LeaseFormat) -> Result<(), CliError> {
    let now = app.clock.now();
    let expires_at = held.credential.expires_at;
    match format {
        LeaseFormat::Shell => {
            let when = match expires_at {
                Some(expires_at) => format!("expires in {}", remaining(expires_at, now)),
                None => "never expires".to_owned(),
            };
            app.printer.line(&format!("Lease created ({when})\n"))?;
            for (name, value) in &held.credential.variables {
                app.printer.line(&format!("{name:<25} {}", value.mask()))?;
            }
            let expires = expires_at.map_or_else(|| "never".to_owned(), rfc3339);
            app.printer.line(&format!("{:<25} {expires}", "Expires"))
        }
        LeaseFormat::Json => {
            let variables: IndexMap<&str, &str> = held
                .credential
                .variables
                .iter()
                .map(|(name, value)| (name.as_str(), value.expose_secret()))
                .collect();
            app.printer.json(&CreatedLease {
                backend: held.lease.to_string(),
                variables,
                expires_at: expires_at.map(rfc3339),
                lease_id: held.credential.id.clone(),
            })
        }
        LeaseFormat::Env => held
            .credential
            .variables
            .iter()
            .try_for_each(|(name, value)| {
                let mut line = zeroize::Zeroizing::new(format!("export {name}="));
                shell_value(&mut line, value.expose_secret());
                app.printer.line(&line)
            }),
    }
}

fn list(app: &App, args: &LeaseListArgs) -> Result<(), CliError> {
    let config = app.load()?;
    let mut leases = records(app, &config)?;
    leases.retain(|lease| match lease.state {
        LeaseState::Active => !args.expired,
        LeaseState::Expired => !args.active,
        _ => !args.active && !args.expired,
    });
    if args.json {
        let listed: Vec<ListedLease> = leases.iter().map(listed).collect();
        return app.printer.json(&listed);
    }
    if leases.is_empty() {
        app.printer.note("No leases.");
        return Ok(());
    }
    let mut table = Table::new(
        &["LEASE ID", "BACKEND", "LABEL", "EXPIRES", "STATUS"],
        false,
    );
    for lease in &leases {
        table.row(vec![
            cut(&lease.lease_id, 18, "..."),
            lease.lease.clone(),
            cut(&lease.label, 20, ""),
            lease.expires_at.map_or_else(
                || "never".to_owned(),
                |expires_at| expires_at.strftime("%Y-%m-%d %H:%M").to_string(),
            ),
            lease.status(),
        ]);
    }
    app.printer.line(&table.render())
}

/// The ledger's records, oldest first.
pub(crate) fn records(app: &App, config: &Config) -> Result<Vec<LeaseSummary>, CliError> {
    Ok(with_manager!(app, config, |manager| manager.list().await)?)
}

fn listed(lease: &LeaseSummary) -> ListedLease {
    ListedLease {
        lease_id: lease.lease_id.clone(),
        backend: lease.lease.clone(),
        label: lease.label.clone(),
        status: lease.status(),
        created_at: rfc3339(lease.created_at),
        expires_at: lease.expires_at.map(rfc3339),
    }
}

fn revoke(app: &App, args: &RevokeArgs) -> Result<(), CliError> {
    let config = app.load()?;
    let done = withdraw(app, &config, args.target.as_deref())?;
    tell(app, done, args.json, "Nothing to revoke: no active lease.")
}

/// Withdraws what `target` means, or all that is active.
fn withdraw(app: &App, config: &Config, target: Option<&str>) -> Result<Vec<Revocation>, CliError> {
    Ok(with_manager!(app, config, |manager| match target {
        Some(target) => manager.revoke(target.trim_end_matches("...")).await,
        None => manager.revoke_all().await,
    })?)
}

/// Withdraws one lease; what came of it, in words.
pub(crate) fn withdraw_one(app: &App, config: &Config, id: &str) -> Result<String, CliError> {
    let done = withdraw(app, config, Some(id))?;
    let words: Vec<String> = done
        .iter()
        .map(settled)
        .map(|settled| format!("{}: {}", settled.backend, settled.outcome))
        .collect();
    match first_failure(done) {
        Some(error) => Err(error.into()),
        None => Ok(words.join(", ")),
    }
}

fn cleanup(app: &App, json: bool) -> Result<(), CliError> {
    let config = app.load()?;
    let report = with_manager!(app, &config, |manager| manager.cleanup().await)?;
    tell(app, report.settled, json, "Nothing to clean up.")
}

/// What the daemon starts; nobody is there. Masters that the daemon keeps are taken from it.
fn renew_ahead(app: &App, name: &str) -> Result<(), CliError> {
    let app = app.for_helper(None);
    let config = app.load()?;
    // Whoever told the daemon to is not asked whether it is wanted.
    if !Settings::of(&app.env, Some(&config)).renews_leases {
        return Ok(());
    }
    let lease = &config.lease(name)?.name;
    let resolver = app.reading_resolver(&config)?;
    let masters = Masters::new(&app, &config, &resolver);
    let manager = masters.manager();
    block_on(manager.renew_ahead(lease))??;
    Ok(())
}

/// Says what came of each lease, or that there was none; fails if one could not be withdrawn.
fn tell(app: &App, done: Vec<Revocation>, json: bool, nothing: &str) -> Result<(), CliError> {
    if json {
        let settled: Vec<SettledLease> = done.iter().map(settled).collect();
        app.printer.json(&settled)?;
        return first_failure(done).map_or(Ok(()), |error| Err(error.into()));
    }
    if done.is_empty() {
        app.printer.note(nothing);
        return Ok(());
    }
    let count = |is_counted: fn(&RevocationOutcome) -> bool| {
        done.iter().filter(|one| is_counted(&one.outcome)).count()
    };
    let revoked = count(|outcome| matches!(outcome, RevocationOutcome::Revoked));
    let forgotten = count(|outcome| matches!(outcome, RevocationOutcome::ExpiresOnly { .. }));
    for one in &done {
        let settled = settled(one);
        app.printer.line(&format!(
            "{} ({}): {}",
            settled.lease_id, settled.backend, settled.outcome
        ))?;
    }
    app.printer.note(&match (revoked, forgotten) {
        (_, 0) => format!("{revoked} revoked."),
        (0, _) => format!("{forgotten} forgotten."),
        _ => format!("{revoked} revoked, {forgotten} forgotten."),
    });
    first_failure(done).map_or(Ok(()), |error| Err(error.into()))
}

fn first_failure(done: Vec<Revocation>) -> Option<LeaseError> {
    done.into_iter().find_map(|one| match one.outcome {
        RevocationOutcome::Failed(error) => Some(error),
        _ => None,
    })
}

fn settled(one: &Revocation) -> SettledLease {
    let outcome = match &one.outcome {
        RevocationOutcome::Revoked => "revoked".to_owned(),
        RevocationOutcome::ExpiresOnly { expires_at } => match expires_at {
            Some(expires_at) => format!(
                "forgotten here; it cannot be revoked, it only expires, at {}",
                rfc3339(*expires_at)
            ),
            None => "forgotten here; it cannot be revoked and does not expire".to_owned(),
        },
        RevocationOutcome::AlreadyRevoked => "already revoked".to_owned(),
        RevocationOutcome::InProgress { holder } => {
            format!("is being created by {holder}; left alone")
        }
        RevocationOutcome::Failed(error) => format!("not revoked: {error}"),
    };
    SettledLease {
        lease_id: one.lease_id.clone(),
        backend: one.lease.clone(),
        outcome,
    }
}

/// `1h0m`, `5m`, `30s`, as the established CLI shows them.
fn remaining(expires_at: Timestamp, now: Timestamp) -> String {
    let seconds = expires_at.duration_since(now).as_secs();
    // Rounded to the nearest minute above one: what was asked for a moment ago reads as it was asked.
    let seconds = if seconds > 60 {
        (seconds + 30) / 60 * 60
    } else {
        seconds
    };
    u64::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds > 0)
        .map_or_else(
            || "0s".to_owned(),
            |seconds| Lifetime::from_secs(seconds).to_string(),
        )
}

/// `2024-01-15T10:00:00+00:00`
fn rfc3339(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

fn cut(text: &str, length: usize, mark: &str) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length).chain(mark.chars()).collect()
}
