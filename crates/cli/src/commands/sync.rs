//! `fnox sync`
//!
//! An encrypted copy of a value beside its reference, for use without its provider. Every value is read and every edit
//! tried before the first file is written; a provider that fails costs its own secrets only, which keep the copy that
//! they have.

pub(super) mod apart;
mod files;
mod status;
mod write;

use fnox_config::spec::Capability;
use fnox_config::{Config, FileKind, SecretConfig};
use fnox_core::{Clock as _, ProviderName, SecretName, SecretString};
use fnox_providers::resolve::{Original, Purpose, ResolveError};
use indexmap::IndexMap;

use self::files::Files;
use super::chain::{self, Failures};
use super::definition::{Definition, Section};
use super::export::plural;
use super::import::pattern;
use super::{reencrypt, selection};
use crate::app::{App, block_on};
use crate::args::SyncArgs;
use crate::audit::{self, Changed};
use crate::error::CliError;
use crate::output::documents::{PlannedCopy, PlannedStep};
use crate::team::reading::Reading;

/// A secret of which a copy can be made.
struct Candidate<'a> {
    secret: &'a SecretConfig,
    /// The providers that are asked for the value, in this order.
    sources: Vec<ProviderName>,
    reference: &'a str,
    place: Definition,
}

/// A copy, and where it goes.
struct Fresh<'a> {
    candidate: Candidate<'a>,
    stored: String,
}

impl Fresh<'_> {
    /// As the log of uses tells of it.
    fn changed(&self, target: &ProviderName) -> Changed {
        let Candidate { secret, place, .. } = &self.candidate;
        Changed::secret(&secret.name, Some(target), place.profile.as_ref())
    }
}

pub(crate) fn run(app: &App, args: &SyncArgs) -> Result<(), CliError> {
    let config = app.load()?;
    let named = selection::named(&config, &args.keys)?;
    if args.status {
        return status::run(app, &config, &named, args.json);
    }
    let local = args.local_file.then(|| apart::LocalFile::of(app, &config));
    let local = local.transpose()?;
    let target = target(&config, args)?;
    let candidates = candidates(&config, args, &named, &target)?;
    let global = files::config(app, args)?;
    let files = global.as_ref().map(|config| Files::of(app, config, args));
    let files = files.transpose()?;
    let file_count = files.as_ref().map_or(0, Files::count);
    let what = what(candidates.len(), file_count);
    let stale = match local.as_ref().filter(|_| is_whole(args)) {
        Some(local) => local.stale(&config, &candidates)?,
        None => Vec::new(),
    };
    if args.dry_run {
        let listed = plan(&candidates, files.as_ref(), &stale, &target);
        return say(app, args.json, &listed, &format!("{what} to {target}"));
    }
    if candidates.is_empty() && file_count == 0 && stale.is_empty() {
        app.printer.note(NOTHING);
        return Ok(());
    }
    if !args.force && !confirmed(app, &what, &target)? {
        app.printer.note("Cancelled.");
        return Ok(());
    }
    let reading = reading(app, &config, &candidates);
    let work = reading.guard(copies(app, &config, candidates, &target, &reading));
    let (fresh, failed) = block_on(work)??;
    let now = app.clock.now();
    let gone = stale
        .iter()
        .map(|stale| Changed::secret(&stale.name, None::<&str>, config.profiles.last()));
    let changed: Vec<Changed> = fresh
        .iter()
        .map(|it| it.changed(&target))
        .chain(gone)
        .collect();
    audit::changing(
        app,
        Some(&config),
        audit::Change::Sync,
        changed,
        || match &local {
            Some(local) => local.write(&app.folders, &fresh, &stale, &target, now),
            None => write::run(&app.folders, &fresh, &target, now),
        },
    )?;
    let kept = match &local {
        Some(local) => format!("{target} ({})", local.name()),
        None => target.to_string(),
    };
    match stale.len() {
        0 => {}
        1 => app.printer.done("Removed 1 stale copy"),
        count => app.printer.done(&format!("Removed {count} stale copies")),
    }
    let files = files.map_or(Ok(0), |files| files.sync(app, now));
    report(app, &fresh, failed, &named, &kept)?;
    let count = files?;
    if count > 0 {
        app.printer
            .done(&format!("Synced {} (global)", what_of_files(count)));
    }
    Ok(())
}

const NOTHING: &str =
    "There is nothing to copy: no secret has its value in a provider elsewhere that `sync` copies.";

/// What would be done.
fn plan(
    candidates: &[Candidate<'_>],
    files: Option<&Files<'_>>,
    stale: &[apart::Stale],
    target: &ProviderName,
) -> Vec<PlannedCopy> {
    let of_secrets = candidates.iter().map(|candidate| PlannedCopy {
        name: candidate.secret.name.to_string(),
        kind: "secret",
        step: PlannedStep::Copy,
        from: candidate.sources.iter().map(ToString::to_string).collect(),
        provider: Some(target.to_string()),
    });
    let of_stale = stale.iter().map(|copy| PlannedCopy {
        name: copy.name.to_string(),
        kind: "secret",
        step: PlannedStep::Remove,
        from: Vec::new(),
        provider: None,
    });
    of_secrets
        .chain(files.into_iter().flat_map(Files::plan))
        .chain(of_stale)
        .collect()
}

/// The plan, as a document or for people.
fn say(app: &App, json: bool, plan: &[PlannedCopy], what: &str) -> Result<(), CliError> {
    if json {
        return app.printer.json(&plan);
    }
    if plan.is_empty() {
        app.printer.note(NOTHING);
        return Ok(());
    }
    app.printer.line(&format!("[dry-run] would sync {what}"))?;
    plan.iter().try_for_each(|copy| {
        let (name, from) = (&copy.name, copy.from.join(", then "));
        let line = match (copy.step, copy.kind) {
            (PlannedStep::Remove, _) => format!("  {name} (remove stale local copy)"),
            (PlannedStep::Copy, "file") => format!("  {name} (file, from {from})"),
            (PlannedStep::Copy, _) => format!("  {name} (from {from})"),
        };
        app.printer.line(&line)
    })
}

/// How many secrets and files.
fn what(secrets: usize, files: usize) -> String {
    let of_secrets = format!("{secrets} secret{}", plural(secrets));
    match (secrets, files) {
        (_, 0) => of_secrets,
        (0, _) => what_of_files(files),
        _ => format!("{of_secrets} and {}", what_of_files(files)),
    }
}

fn what_of_files(count: usize) -> String {
    format!("{count} file{}", plural(count))
}

/// Whether the run is about all secrets, so that what has no copy after it needs none.
fn is_whole(args: &SyncArgs) -> bool {
    args.keys.is_empty() && args.source.is_none() && args.filter.is_none()
}

/// The provider that encrypts the copies.
fn target(config: &Config, args: &SyncArgs) -> Result<ProviderName, CliError> {
    let named = args.provider.as_deref();
    let default = config.default_provider().map(ProviderName::as_str);
    let name = named.or(default).ok_or_else(|| CliError::Usage {
        message: "nothing says which provider encrypts the copies".to_owned(),
        help: Some("name one with `-p`, or set `default_provider`".to_owned()),
    })?;
    let provider = config.provider(name, None)?;
    // `plain` would keep them in the clear.
    if provider.capability == Capability::EncryptsInConfig && provider.spec.name != "plain" {
        return Ok(provider.name.clone());
    }
    Err(CliError::Usage {
        message: format!(
            "the provider `{}` ({}) does not encrypt values into fnox.toml",
            provider.name, provider.spec.label
        ),
        help: Some(
            "name one that does with `-p`, such as one of type `age` (`fnox provider add NAME age`)"
                .to_owned(),
        ),
    })
}

fn candidates<'a>(
    config: &'a Config,
    args: &SyncArgs,
    named: &[SecretName],
    target: &ProviderName,
) -> Result<Vec<Candidate<'a>>, CliError> {
    let source = args
        .source
        .as_deref()
        .map(|name| config.provider(name, None))
        .transpose()?;
    let filter = args.filter.as_deref().map(pattern).transpose()?;
    let mut out = Vec::new();
    for secret in config.secrets.values() {
        let is_named = named.contains(&secret.name);
        let is_left_out = !named.is_empty() && !is_named
            || args.global && secret.location.file.kind != FileKind::Global
            || filter
                .as_ref()
                .is_some_and(|filter| !filter.is_match(secret.name.as_str()));
        if is_left_out {
            continue;
        }
        match candidate(config, secret, target) {
            Ok(found) if source.is_none_or(|source| found.sources.contains(&source.name)) => {
                out.push(found);
            }
            Err(reason) if is_named => {
                return Err(CliError::Usage {
                    message: format!("no copy of `{}` can be made: {reason}", secret.name),
                    help: None,
                });
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(out)
}

/// The secret as a candidate, or why it is none.
fn candidate<'a>(
    config: &'a Config,
    secret: &'a SecretConfig,
    target: &ProviderName,
) -> Result<Candidate<'a>, String> {
    let reference = secret.value.as_deref().ok_or("it has no reference")?;
    let sources = config.chain_of(secret);
    let first = sources.first().ok_or("it has no provider")?;
    if first == target {
        return Err(format!("`{first}` encrypts it already"));
    }
    for name in &sources {
        let provider = chain::existing(config, name)?;
        match provider.spec.name {
            "plain" if name == first => {
                return Err(format!("`{name}` keeps it in the configuration already"));
            }
            "fnox-server" | "vault-agent" => {
                return Err(format!(
                    "`{name}` ({}) releases it for one use, which a copy would outlive",
                    provider.spec.label
                ));
            }
            _ => {}
        }
    }
    if secret.require_approval {
        return Err(
            "each use needs a person's approval, which a copy would not ask for".to_owned(),
        );
    }
    let place = Definition::find(&secret.location, Section::Secrets, secret.name.as_str())
        .ok_or("the file that defines it could not be found")?;
    Ok(Candidate {
        secret,
        sources,
        reference,
        place,
    })
}

fn confirmed(app: &App, what: &str, target: &ProviderName) -> Result<bool, CliError> {
    if !app.prompt.is_interactive() {
        return Err(CliError::Usage {
            message: "nobody can be asked whether to make copies".to_owned(),
            help: Some(
                "add `--force` to do it without asking, or `-n` to see what would be done"
                    .to_owned(),
            ),
        });
    }
    let question = format!("Keep copies of {what}, encrypted with {target}?");
    Ok(app.prompt.confirm(&question, "yes", Some("no")) == Some(true))
}

/// A secret that could not be read, and why.
type Failure<'a> = (&'a SecretName, ResolveError);

fn reading<'c>(app: &App, config: &'c Config, candidates: &[Candidate<'_>]) -> Reading<'c> {
    let names = candidates.iter().map(|it| it.secret.name.clone());
    let names: Vec<SecretName> = names.collect();
    Reading::new(app, config, app.resolver_options(config), &names)
}

/// Reads all values, through their chains, and encrypts those that came.
async fn copies<'a>(
    app: &App,
    config: &Config,
    candidates: Vec<Candidate<'a>>,
    target: &ProviderName,
    reading: &Reading<'_>,
) -> Result<(Vec<Fresh<'a>>, Vec<Failure<'a>>), CliError> {
    let wanted = candidates.iter().map(Candidate::original).collect();
    let mut found = reading.resolver.originals(wanted, Purpose::Use).await?;
    app.tell(&found.notices);
    let (mut used, mut failed) = (Vec::new(), Vec::new());
    // A value is bound to the profile whose table it stands in.
    let mut read: IndexMap<_, Vec<(Candidate<'a>, SecretString)>> = IndexMap::new();
    for candidate in candidates {
        match found.answers.swap_remove(&candidate.secret.name) {
            Some(Ok(given)) => {
                used.push(given.used(&candidate.secret.name));
                let profile = candidate.place.profile.clone();
                read.entry(profile)
                    .or_default()
                    .push((candidate, given.value));
            }
            Some(Err(error)) => failed.push((&candidate.secret.name, error)),
            None => {}
        }
    }
    audit::reads(app, config, &used).await?;
    let mut fresh = Vec::new();
    for (profile, batch) in read {
        let values: Vec<_> = batch
            .iter()
            .map(|(candidate, value)| (candidate.secret.name.clone(), value.clone()))
            .collect();
        let stored = reencrypt::store(app, config, target, profile.as_ref(), &values).await?;
        let candidates = batch.into_iter().map(|(candidate, _)| candidate);
        fresh.extend(
            candidates
                .zip(stored)
                .map(|(candidate, stored)| Fresh { candidate, stored }),
        );
    }
    Ok((fresh, failed))
}

impl Candidate<'_> {
    fn original(&self) -> Original {
        Original {
            name: self.secret.name.clone(),
            reference: self.reference.to_owned(),
            providers: self.sources.clone(),
            location: self.secret.location.clone(),
        }
    }
}

/// Says what was done. A secret that was asked for by name and could not be read is a failure; so is a run in which
/// none could.
fn report(
    app: &App,
    fresh: &[Fresh<'_>],
    failed: Vec<Failure<'_>>,
    named: &[SecretName],
    kept: &str,
) -> Result<(), CliError> {
    let count = fresh.len();
    if count > 0 {
        app.printer
            .done(&format!("Synced {count} secret{} to {kept}", plural(count)));
    }
    let skipped = failed.len();
    let mut fatal = None;
    let mut others = Failures::default();
    for (name, error) in failed {
        if fatal.is_none() && (count == 0 || named.contains(name)) {
            fatal = Some(error);
        } else {
            others.add(name, &error);
        }
    }
    others.tell(|names, reason| app.printer.warn(&format!("left out: {names}: {reason}")));
    if skipped > 0 {
        app.printer.note(&format!(
            "{skipped} secret{} could not be read; copies made earlier stay as they are.",
            plural(skipped)
        ));
    }
    fatal.map_or(Ok(()), |error| Err(error.into()))
}
