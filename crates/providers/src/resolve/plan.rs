//! What must be resolved, and in which order.

use std::collections::{BTreeMap, BTreeSet};

use fnox_config::{Config, ConfigError, ProviderConfig, SecretConfig};
use fnox_core::{ProviderName, SecretName, SecretString};
use indexmap::IndexMap;

use super::error::ResolveError;
use super::interpolate;

/// How strongly one secret needs another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// It cannot be resolved without it.
    Hard,
    /// A variable that may open its provider. If it comes from that very provider, it cannot.
    Soft,
}

/// The wanted secrets and all that they need, as levels: every secret's needs are in earlier levels. What is known
/// already, and what only that needs, is left out.
pub(super) fn levels(
    config: &Config,
    wanted: &[SecretName],
    known: &IndexMap<SecretName, SecretString>,
) -> Result<Vec<Vec<SecretName>>, ResolveError> {
    let graph = Graph::of(config, wanted, known)?;
    graph.levels(config)
}

/// Whether resolving a secret touches another one that is being resolved.
pub(super) fn touches(
    config: &Config,
    name: &SecretName,
    others: &BTreeSet<SecretName>,
    known: &IndexMap<SecretName, SecretString>,
) -> bool {
    // What cannot be planned says why when it is resolved.
    levels(config, std::slice::from_ref(name), known)
        .is_ok_and(|levels| levels.iter().flatten().any(|name| others.contains(name)))
}

/// The secrets that opening a provider needs.
pub(super) fn needs_of_provider(config: &Config, provider: &ProviderConfig) -> Vec<SecretName> {
    provider_needs(config, provider, &mut BTreeSet::new())
        .into_iter()
        .map(|(name, _)| name)
        .collect()
}

struct Graph {
    needs: BTreeMap<SecretName, Vec<(SecretName, Need)>>,
}

impl Graph {
    fn of(
        config: &Config,
        wanted: &[SecretName],
        known: &IndexMap<SecretName, SecretString>,
    ) -> Result<Self, ResolveError> {
        let mut needs = BTreeMap::new();
        let mut open: Vec<SecretName> = wanted.to_vec();
        while let Some(name) = open.pop() {
            if needs.contains_key(&name) || known.contains_key(&name) {
                continue;
            }
            let secret = config.secret(name.as_str())?;
            let mut of_this = secret_needs(config, secret)?;
            of_this.retain(|(name, _)| !known.contains_key(name));
            open.extend(of_this.iter().map(|(name, _)| name.clone()));
            needs.insert(name, of_this);
        }
        let mut graph = Self { needs };
        graph.order_by_fallbacks(config)?;
        graph.drop_impossible_soft_needs();
        Ok(graph)
    }

    /// What opens the later providers of a chain is resolved first if it is wanted anyway. Otherwise it is
    /// resolved only if the chain comes so far.
    fn order_by_fallbacks(&mut self, config: &Config) -> Result<(), ResolveError> {
        let mut order = Vec::new();
        for name in self.needs.keys() {
            let secret = config.secret(name.as_str())?;
            for fallback in fallbacks(config, secret)? {
                let needs = provider_needs(config, fallback, &mut BTreeSet::new());
                let wanted = needs
                    .into_iter()
                    .filter(|(need, _)| need != name && self.needs.contains_key(need));
                order.extend(wanted.map(|(need, _)| (name.clone(), need)));
            }
        }
        for (name, need) in order {
            let needs = self.needs.entry(name).or_default();
            if !needs.iter().any(|(known, _)| *known == need) {
                needs.push((need, Need::Soft));
            }
        }
        Ok(())
    }

    /// A soft need that would close a circle is none: a store's token that is kept in that store must
    /// come from somewhere else this time.
    fn drop_impossible_soft_needs(&mut self) {
        let mut kept: BTreeMap<SecretName, Vec<SecretName>> = self
            .needs
            .iter()
            .map(|(name, needs)| {
                let hard = needs.iter().filter(|(_, need)| *need == Need::Hard);
                (name.clone(), hard.map(|(name, _)| name.clone()).collect())
            })
            .collect();
        for (name, needs) in &mut self.needs {
            needs.retain(|(other, need)| {
                let keep = *need == Need::Hard || !reaches(&kept, other, name);
                if keep && *need == Need::Soft {
                    kept.entry(name.clone()).or_default().push(other.clone());
                }
                keep
            });
        }
    }

    fn levels(mut self, config: &Config) -> Result<Vec<Vec<SecretName>>, ResolveError> {
        let mut levels = Vec::new();
        let mut done: BTreeSet<SecretName> = BTreeSet::new();
        while !self.needs.is_empty() {
            let ready: Vec<SecretName> = self
                .needs
                .iter()
                .filter(|(_, needs)| needs.iter().all(|(name, _)| done.contains(name)))
                .map(|(name, _)| name.clone())
                .collect();
            if ready.is_empty() {
                return Err(self.cycle(config, &done));
            }
            for name in &ready {
                self.needs.remove(name);
                done.insert(name.clone());
            }
            levels.push(ready);
        }
        Ok(levels)
    }

    /// Follows unmet needs until a name comes again.
    fn cycle(&self, config: &Config, done: &BTreeSet<SecretName>) -> ResolveError {
        let mut path: Vec<SecretName> = self.needs.keys().next().cloned().into_iter().collect();
        loop {
            let unmet = path
                .last()
                .and_then(|last| self.needs.get(last))
                .and_then(|needs| {
                    needs
                        .iter()
                        .map(|(name, _)| name)
                        .find(|name| !done.contains(*name))
                        .cloned()
                });
            let Some(next) = unmet else { break };
            if let Some(start) = path.iter().position(|name| *name == next) {
                path.drain(..start);
                path.push(next);
                break;
            }
            path.push(next);
        }
        let chain = path.iter().map(ToString::to_string).collect();
        match path.first().and_then(|name| config.secrets.get(name)) {
            Some(secret) => ResolveError::Cycle {
                chain,
                location: secret.location.clone(),
            },
            None => ResolveError::Config(ConfigError::Cycle {
                kind: "secrets",
                chain,
                location: None,
            }),
        }
    }
}

fn reaches(
    edges: &BTreeMap<SecretName, Vec<SecretName>>,
    from: &SecretName,
    to: &SecretName,
) -> bool {
    let mut open = vec![from];
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        if name == to {
            return true;
        }
        if seen.insert(name) {
            open.extend(edges.get(name).into_iter().flatten());
        }
    }
    false
}

fn secret_needs(
    config: &Config,
    secret: &SecretConfig,
) -> Result<Vec<(SecretName, Need)>, ResolveError> {
    let mut needs = Vec::new();
    if let Some(provider) = source_provider(config, secret)? {
        needs.extend(provider_needs(config, provider, &mut BTreeSet::new()));
    }
    if let Some(default) = &secret.default {
        for reference in interpolate::references(default) {
            let location = secret.location_of("default").clone();
            if reference.is_empty() {
                let reason = "refers to nothing: `${}` names no secret".to_owned();
                return Err(ResolveError::Unfit {
                    name: secret.name.clone(),
                    reason,
                    location,
                });
            }
            let known =
                config
                    .secrets
                    .get_key_value(reference)
                    .ok_or_else(|| ResolveError::Unfit {
                        name: secret.name.clone(),
                        reason: format!(
                            "refers to `${{{reference}}}`, but there is no secret `{reference}`; variables of the environment do not count: \
                             make it a secret, or write the text itself"
                        ),
                        location,
                    })?;
            needs.push((known.0.clone(), Need::Hard));
        }
    }
    needs.retain(|(name, need)| *need == Need::Hard || *name != secret.name);
    Ok(needs)
}

/// The provider and reference from which a secret's value comes, if any: the synced copy, else the value.
pub(super) fn source(config: &Config, secret: &SecretConfig) -> Option<(ProviderName, String)> {
    if let Some(copy) = &secret.sync {
        return Some((copy.provider.clone(), copy.value.clone()));
    }
    let provider = config.provider_of(secret)?;
    if let Some(value) = &secret.value {
        return Some((provider, value.clone()));
    }
    // The team server knows a secret by its name.
    let on_server = config
        .providers
        .get(&provider)
        .is_some_and(|provider| provider.spec.name == "fnox-server");
    on_server.then(|| (provider, secret.name.to_string()))
}

/// The later providers of a secret's chain. A synced copy stands for all of them.
pub(super) fn fallbacks<'a>(
    config: &'a Config,
    secret: &SecretConfig,
) -> Result<Vec<&'a ProviderConfig>, ResolveError> {
    if secret.sync.is_some() {
        return Ok(Vec::new());
    }
    let place = secret.location_of("provider");
    let names = secret.fallbacks().iter();
    names
        .map(|name| Ok(config.provider(name.as_str(), Some(place))?))
        .collect()
}

fn source_provider<'a>(
    config: &'a Config,
    secret: &SecretConfig,
) -> Result<Option<&'a ProviderConfig>, ResolveError> {
    match source(config, secret) {
        None => Ok(None),
        Some((name, _)) => {
            let key = if secret.sync.is_some() {
                "sync"
            } else {
                "provider"
            };
            Ok(Some(
                config.provider(name.as_str(), Some(secret.location_of(key)))?,
            ))
        }
    }
}

fn provider_needs(
    config: &Config,
    provider: &ProviderConfig,
    seen: &mut BTreeSet<ProviderName>,
) -> Vec<(SecretName, Need)> {
    if !seen.insert(provider.name.clone()) {
        return Vec::new();
    }
    let mut needs = Vec::new();
    for (_, name) in provider.fields.secrets() {
        if config.secrets.contains_key(name) {
            needs.push((name.clone(), Need::Hard));
        }
    }
    for variable in provider.spec.variables {
        if let Some((name, _)) = config.secrets.get_key_value(*variable) {
            needs.push((name.clone(), Need::Soft));
        }
    }
    // An age provider whose identity another provider keeps needs what that one needs.
    let keeper = provider
        .fields
        .table("identity")
        .and_then(|identity| identity.text("provider"));
    if let Some(keeper) = keeper.and_then(|name| config.providers.get(name)) {
        needs.extend(provider_needs(config, keeper, seen));
    }
    needs
}
