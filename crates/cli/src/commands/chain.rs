//! Chains of providers in commands that write.
//!
//! All providers of a chain are asked for one reference, so a command that stores a value anew must know which of them it is
//! that the value comes from.

use fnox_config::edit::Change;
use fnox_config::spec::Capability;
use fnox_config::{Config, ProviderConfig};
use fnox_core::{ProviderName, SecretName};
use fnox_providers::resolve::ResolveError;
use indexmap::IndexMap;

/// Values that could not be read, by the reason.
#[derive(Default)]
pub(super) struct Failures(IndexMap<String, Vec<SecretName>>);

impl Failures {
    pub(super) fn add(&mut self, name: &SecretName, error: &ResolveError) {
        let reason = match error {
            ResolveError::Provider {
                provider, error, ..
            } => format!("`{provider}`: {error}"),
            error => error.to_string(),
        };
        self.0.entry(reason).or_default().push(name.clone());
    }

    /// Each reason once, with the names that it holds for.
    pub(super) fn tell(&self, tell: impl Fn(&str, &str)) {
        for (reason, names) in &self.0 {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            tell(&names.join(", "), reason);
        }
    }
}

/// `provider` of an entry that names these: one name, or a list. `None`: it names none.
pub(super) fn named(providers: &[ProviderName]) -> Option<Change> {
    match providers {
        [] => None,
        [one] => Some(Change::text(one.as_str())),
        several => Some(Change::Set(
            several.iter().map(AsRef::<str>::as_ref).collect(),
        )),
    }
}

/// These providers, for people.
pub(super) fn shown(providers: &[ProviderName]) -> String {
    let names: Vec<&str> = providers.iter().map(AsRef::as_ref).collect();
    names.join(", then ")
}

/// The provider, or that there is none of the name, as a reason.
pub(super) fn existing<'c>(
    config: &'c Config,
    name: &ProviderName,
) -> Result<&'c ProviderConfig, String> {
    let found = config.providers.get(name);
    found.ok_or_else(|| format!("its provider `{name}` does not exist"))
}

/// Whether values stand in the configuration, and not in clear.
pub(super) fn encrypts(provider: &ProviderConfig) -> bool {
    provider.capability == Capability::EncryptsInConfig && provider.spec.name != "plain"
}

/// Whether values can be stored with it.
fn stores(provider: &ProviderConfig) -> bool {
    let reads_a_file = provider.spec.name == "plain" && provider.fields.contains("file");
    provider.capability != Capability::ReadsOnly && !reads_a_file
}

/// Who stores a value that was edited: the provider that gave it. If that one only reads, the nearest before it that keeps
/// values under references, because it is asked first from then on, and the reference stays. Or why nobody does.
pub(super) fn writer<'c>(
    config: &'c Config,
    chain: &[ProviderName],
    giver: &ProviderName,
) -> Result<&'c ProviderConfig, String> {
    let provider = existing(config, giver)?;
    if stores(provider) {
        return Ok(provider);
    }
    let end = chain.iter().position(|name| name == giver);
    let before = chain.get(..end.unwrap_or(0)).unwrap_or_default();
    let mut before = before.iter().rev();
    before
        .find_map(|name| {
            let one = config.providers.get(name)?;
            (one.capability == Capability::StoresRemotely).then_some(one)
        })
        .ok_or_else(|| {
            let more = match chain {
                [_] => "",
                _ => ", and none before it stores values under references",
            };
            format!(
                "its provider `{giver}` ({}) only reads{more}",
                provider.spec.label
            )
        })
}

/// Why none of these stores a value, whichever gives it; `None` if one does.
pub(super) fn only_reads(config: &Config, chain: &[ProviderName]) -> Option<String> {
    let mut reasons = chain.iter().map(|giver| writer(config, chain, giver).err());
    let first = reasons.next()??;
    reasons.all(|reason| reason.is_some()).then_some(first)
}
