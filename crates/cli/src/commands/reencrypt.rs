//! `fnox reencrypt`
//!
//! All or nothing: every value is read and encrypted anew, and every edit tried, before the first file is
//! written. A file that changed in the meantime stops the run. Each value goes back to the table that
//! defines it.

mod files;
mod listed;
mod write;

use fnox_config::{Config, Folders, ProviderConfig, SecretConfig};
use fnox_core::{ProfileName, ProviderName, SecretName, SecretString};
use fnox_providers::ProviderError;
use fnox_providers::resolve::{Given, Original, Purpose, ResolveError, Resolver};
use indexmap::IndexMap;

use self::files::{FileCandidate, FreshFile};
use self::listed::Listed;
use super::chain;
use super::export::plural;
use super::import::pattern;
use crate::app::{App, block_on};
use crate::args::ReencryptArgs;
use crate::audit::{self, Changed};
use crate::commands::definition::{Definition, Section};
use crate::error::CliError;

/// A value that can be encrypted anew, and where it stands.
#[derive(Clone)]
pub(crate) struct Candidate<'a> {
    secret: &'a SecretConfig,
    /// Those of its providers that encrypt into the configuration, in their order: at least one.
    providers: Vec<ProviderName>,
    /// Whether others are asked too, whose reference the stored text may be.
    may_be_reference: bool,
    stored: &'a str,
    place: Definition,
}

/// A candidate and its new value.
pub(crate) struct Fresh<'a> {
    pub(crate) candidate: Candidate<'a>,
    /// The provider that keeps it from then on.
    pub(super) provider: ProviderName,
    /// As it is stored.
    pub(super) stored: String,
}

/// Candidates with what was read of them.
type Values<'a> = Vec<(Candidate<'a>, Result<Given, ResolveError>)>;

pub(crate) fn run(app: &App, args: &ReencryptArgs) -> Result<(), CliError> {
    let is_of_files = !args.files.is_empty() && args.keys.is_empty();
    let config = if is_of_files {
        super::files::global(app)?
    } else {
        app.load()?
    };
    let mut candidates = if is_of_files {
        Vec::new()
    } else {
        candidates(app, &config, args)?
    };
    let global = files::config(app, args)?;
    let mut files = match &global {
        Some(global) => files::candidates(app, global, args)?,
        None => Vec::new(),
    };
    if args.check || args.dry_run {
        let of_secrets = candidates.iter().map(|it| it.listed(&config));
        let of_files = files.iter().map(FileCandidate::listed);
        let listed: Vec<Listed<'_>> = of_secrets.chain(of_files).collect();
        return listed::run(app, args, &listed);
    }
    if candidates.is_empty() && files.is_empty() {
        app.printer.note(listed::NOTHING);
        return Ok(());
    }
    if !args.force {
        keep_confirmed(app, &mut candidates, what_of_secrets)?;
        keep_confirmed(app, &mut files, what_of_files)?;
    }
    if candidates.is_empty() && files.is_empty() {
        app.printer.note("Cancelled.");
        return Ok(());
    }
    let are_keys_wanted = !candidates.is_empty();
    let fresh = anew(app, &config, candidates)?;
    let is_done = |key: &&String| fresh.iter().any(|it| it.candidate.name().as_str() == *key);
    let left_out = args.keys.iter().find(|key| !is_done(key));
    if let Some(key) = left_out.filter(|_| are_keys_wanted) {
        return Err(not_eligible(
            config.secret(key)?.name.as_str(),
            IS_REFERENCE,
        ));
    }
    let fresh_files = match &global {
        Some(global) => block_on(files::anew(app, global, files))??,
        None => Vec::new(),
    };
    let global = global.as_ref().unwrap_or(&config);
    let changed = fresh.iter().map(Fresh::changed);
    let changed_files = fresh_files.iter().map(FreshFile::changed);
    let (of_secrets, of_files) = (audit::Change::Reencrypt, audit::Change::FileReencrypt);
    audit::changing(app, Some(&config), of_secrets, changed, || {
        audit::changing(app, Some(global), of_files, changed_files, || {
            write::all(&app.folders, &fresh, &fresh_files)
        })
    })?;
    if !fresh.is_empty() {
        let what = what_of_secrets(fresh.len());
        app.printer.done(&format!("Encrypted {what} anew"));
    }
    if !fresh_files.is_empty() {
        let what = what_of_files(fresh_files.len());
        app.printer.done(&format!("Encrypted {what} anew (global)"));
    }
    Ok(())
}

fn what_of_secrets(count: usize) -> String {
    format!("{count} secret{}", plural(count))
}

fn what_of_files(count: usize) -> String {
    format!("{count} file{}", plural(count))
}

const IS_REFERENCE: &str = "none of its providers that encrypt opens it, so it is what another one of them knows the value by";

/// Encrypts values as the configuration says, each with the provider that opens it. Nothing is written. What may be a
/// reference of another provider of the same secret, and is opened by none, is left out.
pub(crate) fn anew<'a>(
    app: &App,
    config: &Config,
    candidates: Vec<Candidate<'a>>,
) -> Result<Vec<Fresh<'a>>, CliError> {
    block_on(encrypt(app, config, candidates))?
}

/// The values of certain providers that can be encrypted anew.
pub(crate) fn of_providers(
    config: &Config,
    fits: impl Fn(&ProviderConfig) -> bool,
) -> Vec<Candidate<'_>> {
    let all = config.secrets.values();
    all.filter_map(|secret| candidate(config, secret).ok())
        .filter(|candidate| {
            let mut names = candidate.providers.iter();
            names.any(|name| config.providers.get(name).is_some_and(&fits))
        })
        .filter(|candidate| !has_another_provider(config, candidate))
        .collect()
}

fn candidates<'a>(
    app: &App,
    config: &'a Config,
    args: &ReencryptArgs,
) -> Result<Vec<Candidate<'a>>, CliError> {
    if let Some(provider) = &args.provider {
        config.provider(provider, None)?;
    }
    let filter = args.filter.as_deref().map(pattern).transpose()?;
    let (mut out, mut left_out) = (Vec::new(), Vec::new());
    let mut explicit = Vec::new();
    for key in &args.keys {
        let secret = config.secret(key)?;
        if !explicit.contains(&&secret.name) {
            explicit.push(&secret.name);
        }
    }
    for secret in config.secrets.values() {
        let is_named = explicit.contains(&&secret.name);
        if !explicit.is_empty() && !is_named {
            continue;
        }
        if filter
            .as_ref()
            .is_some_and(|filter| !filter.is_match(secret.name.as_str()))
        {
            continue;
        }
        match candidate(config, secret) {
            Ok(found) if !is_named && has_another_provider(config, &found) => {
                left_out.push(found.secret.name.as_str());
            }
            Ok(found) if has_another_provider(config, &found) => {
                return Err(not_eligible(secret.name.as_str(), ANOTHER_PROVIDER));
            }
            Ok(found)
                if args
                    .provider
                    .as_deref()
                    .is_none_or(|name| found.providers.iter().any(|it| it.as_str() == name)) =>
            {
                out.push(found);
            }
            Ok(found) if is_named => {
                let reason = format!("its provider is `{}`", chain::shown(&found.providers));
                return Err(not_eligible(secret.name.as_str(), &reason));
            }
            Err(reason) if is_named => return Err(not_eligible(secret.name.as_str(), &reason)),
            Ok(_) | Err(_) => {}
        }
    }
    if !left_out.is_empty() {
        app.printer.warn(&format!(
            "left out: {}: {ANOTHER_PROVIDER}",
            left_out.join(", ")
        ));
    }
    Ok(out)
}

const ANOTHER_PROVIDER: &str = "an active profile has another provider of that name, for other readers; \
    without that profile the values can be encrypted anew";

fn has_another_provider(config: &Config, candidate: &Candidate<'_>) -> bool {
    is_redefined(config, &candidate.providers, &candidate.place)
}

/// Whether one of an entry's providers is redefined by a profile that lies above the entry's own table. To encrypt to
/// that one's recipients would take the value from those who read it without the profile.
fn is_redefined(config: &Config, providers: &[ProviderName], place: &Definition) -> bool {
    let level = |profile: Option<&ProfileName>| {
        profile.and_then(|profile| config.profiles.iter().position(|active| active == profile))
    };
    providers
        .iter()
        .filter_map(|name| config.providers.get(name))
        .any(|provider| {
            let definition = Definition::find(
                provider.fields.location(),
                Section::Providers,
                provider.name.as_str(),
            );
            let of_provider = level(definition.as_ref().and_then(|it| it.profile.as_ref()));
            of_provider > level(place.profile.as_ref())
        })
}

impl<'a> Candidate<'a> {
    pub(super) fn secret(&self) -> &'a SecretConfig {
        self.secret
    }

    pub(super) fn name(&self) -> &'a SecretName {
        &self.secret.name
    }

    /// Whether it may be what a provider that does not encrypt knows the value by.
    pub(super) fn may_be_reference(&self) -> bool {
        self.may_be_reference
    }

    pub(super) fn stored(&self) -> &'a str {
        self.stored
    }

    pub(super) fn definition(&self) -> &Definition {
        &self.place
    }

    /// What its providers are asked.
    pub(super) fn original(&self) -> Original {
        Original {
            name: self.secret.name.clone(),
            reference: self.stored.to_owned(),
            providers: self.providers.clone(),
            location: self.secret.location.clone(),
        }
    }

    /// As it is listed.
    fn listed<'l>(&'l self, config: &'l Config) -> Listed<'l> {
        Listed {
            config,
            name: self.secret.name.as_str(),
            is_file: false,
            providers: &self.providers,
            stored: self.stored,
            may_be_reference: self.may_be_reference,
            location: &self.secret.location,
        }
    }

    /// As the log of uses names it: `provider` is the one that keeps it from then on.
    pub(super) fn changed(&self, provider: &ProviderName) -> Changed {
        Changed::secret(self.name(), Some(provider), self.place.profile.as_ref())
    }

    /// Where the value stands. Two profiles that see one value see it at one place.
    pub(crate) fn place(&self) -> (&std::path::Path, std::ops::Range<usize>) {
        let location = &self.secret.location;
        (&location.file.path, location.span.clone())
    }
}

impl Fresh<'_> {
    /// As the log of uses names it.
    pub(crate) fn changed(&self) -> Changed {
        self.candidate.changed(&self.provider)
    }
}

/// The secret as a candidate, or why it is none.
pub(super) fn candidate<'a>(
    config: &'a Config,
    secret: &'a SecretConfig,
) -> Result<Candidate<'a>, String> {
    let found = stored(config, secret)?;
    let mut chain = Vec::new();
    for name in &found.providers {
        chain.push(chain::existing(config, name)?);
    }
    let encrypts = |provider: &&&ProviderConfig| chain::encrypts(provider);
    let providers: Vec<_> = chain
        .iter()
        .filter(encrypts)
        .map(|it| it.name.clone())
        .collect();
    match (chain.first(), providers.is_empty()) {
        (Some(first), true) => Err(format!(
            "its provider `{}` ({}) does not encrypt values into fnox.toml",
            first.name, first.spec.label
        )),
        _ => Ok(Candidate {
            may_be_reference: providers.len() < chain.len(),
            providers,
            ..found
        }),
    }
}

/// A stored value with all of its providers, whatever they do.
pub(super) fn stored<'a>(
    config: &Config,
    secret: &'a SecretConfig,
) -> Result<Candidate<'a>, String> {
    let stored = secret.value.as_deref().ok_or("it has no stored value")?;
    let providers = config.chain_of(secret);
    if providers.is_empty() {
        return Err("it has no provider".to_owned());
    }
    let place = Definition::find(&secret.location, Section::Secrets, secret.name.as_str())
        .ok_or("the file that defines it could not be found")?;
    Ok(Candidate {
        secret,
        providers,
        may_be_reference: false,
        stored,
        place,
    })
}

fn not_eligible(name: &str, reason: &str) -> CliError {
    CliError::Usage {
        message: format!("`{name}` cannot be encrypted anew: {reason}"),
        help: None,
    }
}

/// Asks about what there is, if there is anything, and empties the list if the answer is no.
fn keep_confirmed<T>(
    app: &App,
    candidates: &mut Vec<T>,
    what: fn(usize) -> String,
) -> Result<(), CliError> {
    if candidates.is_empty() {
        return Ok(());
    }
    if !app.prompt.is_interactive() {
        return Err(CliError::Usage {
            message: "nobody can be asked whether to encrypt anew".to_owned(),
            help: Some(
                "add `--force` to do it without asking, or `-n` to see what would be done"
                    .to_owned(),
            ),
        });
    }
    let question = format!("Encrypt {} anew?", what(candidates.len()));
    if app.prompt.confirm(&question, "yes", Some("no")) != Some(true) {
        candidates.clear();
    }
    Ok(())
}

/// Reads everything, then encrypts everything.
async fn encrypt<'a>(
    app: &App,
    config: &Config,
    candidates: Vec<Candidate<'a>>,
) -> Result<Vec<Fresh<'a>>, CliError> {
    // Values of one provider that are bound to one profile.
    let mut batches: IndexMap<_, Vec<(Candidate<'a>, SecretString)>> = IndexMap::new();
    for (candidate, outcome) in read(&app.resolver(config), candidates).await? {
        match outcome {
            Ok(Given {
                provider, value, ..
            }) => {
                let key = (provider, candidate.place.profile.clone());
                batches.entry(key).or_default().push((candidate, value));
            }
            Err(_) if candidate.may_be_reference => {
                let name = candidate.name();
                app.printer
                    .warn(&format!("left out: {name}: {IS_REFERENCE}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let mut fresh = Vec::new();
    for ((provider, profile), batch) in batches {
        let values: Vec<_> = batch
            .iter()
            .map(|(candidate, value)| (candidate.name().clone(), value.clone()))
            .collect();
        let stored = store(app, config, &provider, profile.as_ref(), &values).await?;
        let batch = batch.into_iter().zip(stored);
        fresh.extend(batch.map(|((candidate, _), stored)| Fresh {
            candidate,
            provider: provider.clone(),
            stored,
        }));
    }
    Ok(fresh)
}

/// Reads values to encrypt them anew, each with the first of its providers that opens it. One that a provider could open if
/// it were unlocked is no reference.
pub(super) async fn read<'a>(
    resolver: &Resolver<'_>,
    candidates: Vec<Candidate<'a>>,
) -> Result<Values<'a>, CliError> {
    let wanted = candidates.iter().map(Candidate::original).collect();
    let mut found = resolver.originals(wanted, Purpose::Reencrypt).await?;
    let values = candidates.into_iter().filter_map(|mut candidate| {
        let answer = found.answers.swap_remove(candidate.name())?;
        candidate.may_be_reference &= found.foreign.contains(candidate.name());
        Some((candidate, answer))
    });
    Ok(values.collect())
}

/// Encrypts for the profile whose table the values stand in: bound values carry its name. Answers in their order, for each.
pub(super) async fn store(
    app: &App,
    config: &Config,
    provider: &ProviderName,
    profile: Option<&ProfileName>,
    values: &[(SecretName, SecretString)],
) -> Result<Vec<String>, CliError> {
    let mut scope = config.clone();
    scope.selected_profiles = profile.into_iter().cloned().collect();
    let resolver = Resolver::new(&scope, app.resolver_options(&scope));
    let opened = resolver.open(provider.as_str()).await?;
    let failed = |error| CliError::Provider {
        provider: provider.to_string(),
        action: "encrypt the values",
        error,
    };
    let stored = opened.provider.encrypt(values).await.map_err(failed)?;
    if stored.len() != values.len() {
        let reason = "it did not answer for every value";
        return Err(failed(ProviderError::unavailable(reason)));
    }
    Ok(stored)
}

/// Writes new values into the tables that define them.
pub(crate) fn write(folders: &Folders, fresh: &[Fresh<'_>]) -> Result<(), CliError> {
    write::all(folders, fresh, &[])
}
