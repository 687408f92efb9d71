//! `fnox reencrypt`
//!
//! All or nothing: every value is read and encrypted anew, and every edit tried, before the first file is
//! written. A file that changed in the meantime stops the run. Each value goes back to the table that
//! defines it.

use std::sync::Arc;

use fnox_config::edit::{Change, Editor};
use fnox_config::spec::Capability;
use fnox_config::{Config, ProviderConfig, SecretConfig};
use fnox_core::{ProfileName, ProviderName, SecretName, SecretString};
use fnox_providers::resolve::{Opened, ResolveError, Resolver};
use fnox_providers::{ProviderError, Request};
use indexmap::IndexMap;

use super::export::plural;
use super::import::pattern;
use crate::app::{App, block_on};
use crate::args::ReencryptArgs;
use crate::commands::definition::{Definition, Section};
use crate::error::CliError;

/// A value that can be encrypted anew, and where it stands.
#[derive(Clone)]
pub(crate) struct Candidate<'a> {
    secret: &'a SecretConfig,
    provider: ProviderName,
    stored: &'a str,
    place: Definition,
}

/// A candidate and its new value as it is stored.
pub(crate) type Fresh<'a> = (Candidate<'a>, String);

/// Candidates of one provider whose values are bound to one profile.
type Batches<'a> = IndexMap<(ProviderName, Option<ProfileName>), Vec<Candidate<'a>>>;

pub(crate) fn run(app: &App, args: &ReencryptArgs) -> Result<(), CliError> {
    let config = app.load()?;
    let candidates = candidates(app, &config, args)?;
    if candidates.is_empty() {
        app.printer.note("There is nothing to encrypt anew.");
        return Ok(());
    }
    if args.check {
        return check(app, &config, &candidates);
    }
    let count = candidates.len();
    let what = format!("{count} secret{}", plural(count));
    if args.dry_run {
        app.printer
            .line(&format!("[dry-run] would encrypt {what} anew"))?;
        return candidates.iter().try_for_each(|candidate| {
            let Candidate {
                secret,
                provider,
                place,
                ..
            } = candidate;
            app.printer.line(&format!(
                "  {} ({provider}) in {}",
                secret.name,
                place.path().display()
            ))
        });
    }
    if !args.force && !confirmed(app, &what)? {
        app.printer.note("Cancelled.");
        return Ok(());
    }
    let fresh = anew(app, &config, candidates)?;
    write(&fresh)?;
    app.printer.done(&format!("Encrypted {what} anew"));
    Ok(())
}

/// Encrypts values as the configuration says. Nothing is written.
pub(crate) fn anew<'a>(
    app: &App,
    config: &Config,
    candidates: Vec<Candidate<'a>>,
) -> Result<Vec<Fresh<'a>>, CliError> {
    let mut batches = Batches::new();
    for candidate in candidates {
        let key = (candidate.provider.clone(), candidate.place.profile.clone());
        batches.entry(key).or_default().push(candidate);
    }
    block_on(encrypt(app, config, batches))?
}

/// The values of certain providers that can be encrypted anew.
pub(crate) fn of_providers(
    config: &Config,
    fits: impl Fn(&ProviderConfig) -> bool,
) -> Vec<Candidate<'_>> {
    let all = config.secrets.values();
    all.filter_map(|secret| candidate(config, secret).ok())
        .filter(|candidate| config.providers.get(&candidate.provider).is_some_and(&fits))
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
                return Err(not_eligible(&secret.name, ANOTHER_PROVIDER));
            }
            Ok(found)
                if args
                    .provider
                    .as_deref()
                    .is_none_or(|name| name == found.provider.as_str()) =>
            {
                out.push(found);
            }
            Ok(found) if is_named => {
                let reason = format!("its provider is `{}`", found.provider);
                return Err(not_eligible(&secret.name, &reason));
            }
            Err(reason) if is_named => return Err(not_eligible(&secret.name, &reason)),
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

/// Whether the secret's provider is redefined by a profile that lies above the secret's own table. To
/// encrypt to that one's recipients would take the value from those who read it without the profile.
fn has_another_provider(config: &Config, candidate: &Candidate<'_>) -> bool {
    let Some(provider) = config.providers.get(&candidate.provider) else {
        return false;
    };
    let place = Definition::find(
        provider.fields.location(),
        Section::Providers,
        provider.name.as_str(),
    );
    let level = |profile: Option<&ProfileName>| {
        profile.and_then(|profile| config.profiles.iter().position(|active| active == profile))
    };
    let of_provider = level(place.as_ref().and_then(|place| place.profile.as_ref()));
    of_provider > level(candidate.place.profile.as_ref())
}

impl<'a> Candidate<'a> {
    pub(super) fn secret(&self) -> &'a SecretConfig {
        self.secret
    }

    pub(super) fn name(&self) -> &'a SecretName {
        &self.secret.name
    }

    pub(super) fn provider(&self) -> &ProviderName {
        &self.provider
    }

    pub(super) fn stored(&self) -> &'a str {
        self.stored
    }

    pub(super) fn definition(&self) -> &Definition {
        &self.place
    }

    pub(super) fn request(&self) -> Request {
        Request {
            name: self.secret.name.clone(),
            reference: self.stored.to_owned(),
        }
    }

    /// Where the value stands. Two profiles that see one value see it at one place.
    pub(crate) fn place(&self) -> (&std::path::Path, std::ops::Range<usize>) {
        let location = &self.secret.location;
        (&location.file.path, location.span.clone())
    }
}

/// The secret as a candidate, or why it is none.
pub(super) fn candidate<'a>(
    config: &'a Config,
    secret: &'a SecretConfig,
) -> Result<Candidate<'a>, String> {
    let found = editable(config, secret)?;
    let provider = config.providers.get(&found.provider);
    let label = provider
        .filter(|it| it.capability != Capability::EncryptsInConfig || it.spec.name == "plain")
        .map(|it| it.spec.label);
    label.map_or(Ok(found.clone()), |label| {
        Err(format!(
            "its provider `{}` ({label}) does not encrypt values into fnox.toml",
            found.provider
        ))
    })
}

/// The same of any secret whose value can be stored anew.
pub(super) fn editable<'a>(
    config: &'a Config,
    secret: &'a SecretConfig,
) -> Result<Candidate<'a>, String> {
    let stored = secret.value.as_deref().ok_or("it has no stored value")?;
    let name = config.provider_of(secret).ok_or("it has no provider")?;
    let provider = config
        .providers
        .get(&name)
        .ok_or_else(|| format!("its provider `{name}` does not exist"))?;
    let reads_a_file = provider.spec.name == "plain" && provider.fields.contains("file");
    if provider.capability == Capability::ReadsOnly || reads_a_file {
        return Err(format!(
            "its provider `{name}` ({}) only reads",
            provider.spec.label
        ));
    }
    let place = Definition::find(&secret.location, Section::Secrets, secret.name.as_str())
        .ok_or("the file that defines it could not be found")?;
    Ok(Candidate {
        secret,
        provider: name,
        stored,
        place,
    })
}

fn not_eligible(name: &SecretName, reason: &str) -> CliError {
    CliError::Usage {
        message: format!("`{name}` cannot be encrypted anew: {reason}"),
        help: None,
    }
}

fn confirmed(app: &App, what: &str) -> Result<bool, CliError> {
    if !app.prompt.is_interactive() {
        return Err(CliError::Usage {
            message: "nobody can be asked whether to encrypt anew".to_owned(),
            help: Some(
                "add `--force` to do it without asking, or `-n` to see what would be done"
                    .to_owned(),
            ),
        });
    }
    Ok(app
        .prompt
        .confirm(&format!("Encrypt {what} anew?"), "yes", Some("no"))
        == Some(true))
}

/// Lists the values that are not encrypted to what the configuration says today.
fn check(app: &App, config: &Config, candidates: &[Candidate<'_>]) -> Result<(), CliError> {
    let resolver = app.resolver(config);
    let work = async {
        let mut drifted = Vec::new();
        let mut unknown = Vec::new();
        for candidate in candidates {
            let opened = resolver.open(candidate.provider.as_str()).await?;
            match opened.provider.is_current(candidate.stored) {
                Some(true) => {}
                Some(false) => drifted.push(candidate),
                None => unknown.push(candidate),
            }
        }
        Ok::<_, CliError>((drifted, unknown))
    };
    let (drifted, unknown) = block_on(work)??;
    for candidate in unknown {
        app.printer.warn(&format!(
            "`{}`: the provider `{}` cannot tell to whom a value is encrypted",
            candidate.secret.name, candidate.provider
        ));
    }
    for candidate in &drifted {
        let location = &candidate.secret.location;
        let (file, line) = (location.file.path.display(), location.line());
        app.printer.line(&format!(
            "{} ({}) {file}:{line}",
            candidate.secret.name, candidate.provider
        ))?;
    }
    let (found, all) = (drifted.len(), candidates.len());
    if found == 0 {
        app.printer.done(&format!(
            "All {all} value{} encrypted as the configuration says",
            are(all)
        ));
        return Ok(());
    }
    Err(CliError::failed(format!(
        "{found} of {all} value{} not encrypted as the configuration says: run `fnox reencrypt`",
        are(all)
    )))
}

fn are(count: usize) -> &'static str {
    if count == 1 { " is" } else { "s are" }
}

/// Reads everything, then encrypts everything.
async fn encrypt<'a>(
    app: &App,
    config: &Config,
    batches: Batches<'a>,
) -> Result<Vec<Fresh<'a>>, CliError> {
    let resolver = app.resolver(config);
    let mut read: Vec<Vec<(SecretName, SecretString)>> = Vec::new();
    for ((provider, _), batch) in &batches {
        let opened = resolver.open(provider.as_str()).await?;
        read.push(values(&opened, batch).await?);
    }
    let mut fresh = Vec::new();
    for (((provider, profile), batch), values) in batches.into_iter().zip(read) {
        let stored = store(app, config, &provider, profile.as_ref(), &values).await?;
        fresh.extend(batch.into_iter().zip(stored));
    }
    Ok(fresh)
}

pub(super) async fn values(
    opened: &Arc<Opened>,
    batch: &[Candidate<'_>],
) -> Result<Vec<(SecretName, SecretString)>, CliError> {
    let requests: Vec<Request> = batch.iter().map(Candidate::request).collect();
    let answers = opened.provider.get_to_reencrypt(&requests).await;
    let mut values = Vec::with_capacity(batch.len());
    for (candidate, answer) in batch.iter().zip(answers) {
        let value = answer.map_err(|error| ResolveError::Provider {
            name: candidate.secret.name.clone(),
            provider: candidate.provider.to_string(),
            error,
            location: candidate.secret.location.clone(),
        })?;
        values.push((candidate.secret.name.clone(), value));
    }
    Ok(values)
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

/// Tries every edit, then makes them.
pub(crate) fn write(fresh: &[Fresh<'_>]) -> Result<(), CliError> {
    let mut files: IndexMap<&std::path::Path, Vec<&Fresh<'_>>> = IndexMap::new();
    for entry in fresh {
        files.entry(entry.0.place.path()).or_default().push(entry);
    }
    // One editor at a time: each holds the lock of its folder.
    for edits in files.values() {
        edited(edits)?;
    }
    for edits in files.values() {
        edited(edits)?.save()?;
    }
    Ok(())
}

fn edited(edits: &[&Fresh<'_>]) -> Result<Editor, CliError> {
    let Some((first, _)) = edits.first() else {
        return Err(CliError::usage("there is nothing to write"));
    };
    let mut editor = Editor::open(first.place.path(), first.place.kind.clone())?;
    if editor.text() != first.secret.location.file.text {
        return Err(CliError::Failed {
            message: format!(
                "{} was changed by somebody else in the meantime",
                first.place.path().display()
            ),
            code: "cli::check_failed",
        });
    }
    for (candidate, value) in edits {
        let name = candidate.secret.name.as_str();
        let mut table = candidate.place.table();
        table.push(name);
        let key = if editor.has(&table, "ref") {
            "ref"
        } else {
            "value"
        };
        let has_copy = editor.has(&table, "sync");
        table.pop();
        let mut changes = vec![(key, Change::text(value))];
        if has_copy {
            changes.push(("sync", Change::Remove));
        }
        editor.set(&table, name, &changes)?;
    }
    Ok(editor)
}
