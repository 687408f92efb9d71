//! Values that earlier runs fetched and something outside this process keeps.
//!
//! Only what a provider answered is offered for keeping: a default, a variable of the environment and a value that is
//! missing cost nothing to look up again. What is found is used as if it had been fetched; in particular the variables
//! that would have opened its providers still do not reach the program.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use fnox_config::{Config, DaemonCache};
use fnox_core::{ProviderName, SecretName, SecretString};
use indexmap::IndexMap;

use super::error::ResolveError;
use super::{Resolution, Resolver, plan};

/// A value that may be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeping {
    /// The secret.
    pub name: SecretName,
    /// For how long at most; `None`: as long as is usual.
    pub lifetime: Option<Duration>,
}

/// Keeps values between runs. It may lose any of them at any time, and must not give a value for a configuration,
/// profile or identity other than that for which it was kept.
#[async_trait]
pub trait KeptValues: Send + Sync + Debug {
    /// Those values that are there. A failure is the same as none.
    async fn find(&self, config: &Config, wanted: &[Keeping])
    -> IndexMap<SecretName, SecretString>;

    /// Keeps values that providers gave.
    async fn keep(&self, config: &Config, values: Vec<(Keeping, SecretString)>);
}

impl Resolver<'_> {
    /// What is kept of the wanted secrets and of those that they need.
    pub(super) async fn find_kept(
        &self,
        wanted: &[SecretName],
    ) -> Result<IndexMap<SecretName, SecretString>, ResolveError> {
        let Some(kept) = &self.options.kept else {
            return Ok(IndexMap::new());
        };
        let closure = self.closure(wanted)?;
        let candidates: Vec<Keeping> = closure
            .iter()
            .filter_map(|name| keeping(self.config, name))
            .collect();
        if candidates.is_empty() {
            return Ok(IndexMap::new());
        }
        let found = kept.find(self.config, &candidates).await;
        if !found.is_empty() {
            tracing::debug!("{} values were kept from earlier runs", found.len());
            for name in &closure {
                self.remember_openers(name);
            }
        }
        Ok(found)
    }

    /// Offers what providers gave in this run.
    pub(super) async fn keep_fetched(&self, resolution: &Resolution) {
        let Some(kept) = &self.options.kept else {
            return;
        };
        let values: Vec<(Keeping, SecretString)> = resolution
            .fetched
            .iter()
            .filter_map(|(name, _)| {
                let value = resolution.values.get(name)?;
                Some((keeping(self.config, name)?, value.clone()))
            })
            .collect();
        if !values.is_empty() {
            kept.keep(self.config, values).await;
        }
    }

    /// Notes the variables with which a secret's provider would be opened, and the one that keeps its identity.
    fn remember_openers(&self, name: &SecretName) {
        let Some(secret) = self.config.secrets.get(name) else {
            return;
        };
        let first = plan::source(self.config, secret).map(|(provider, _)| provider);
        // Which one of a chain gave the value is not known any more.
        for provider in first.into_iter().chain(secret.fallbacks().iter().cloned()) {
            self.remember_openers_of(provider);
        }
    }

    fn remember_openers_of(&self, provider: ProviderName) {
        let mut next = Some(provider);
        // An identity's keeper may name a keeper itself, and a circle is refused only when it is opened.
        for _ in 0..self.config.providers.len() {
            let Some(provider) = next.and_then(|name| self.config.providers.get(&name)) else {
                return;
            };
            self.remember_variables(provider);
            let identity = provider.fields.table("identity");
            let keeper = identity.and_then(|identity| identity.text("provider"));
            next = keeper.and_then(|name| ProviderName::parse(name).ok());
        }
    }
}

/// Whether and how long a secret's value may be kept, by what the secret, its providers and their types say. Of a
/// chain, every one must allow it.
fn keeping(config: &Config, name: &SecretName) -> Option<Keeping> {
    let secret = config.secrets.get(name)?;
    let (provider, _) = plan::source(config, secret)?;
    let mut providers = vec![config.providers.get(&provider)?];
    providers.extend(plan::fallbacks(config, secret).ok()?);
    let may_be_kept = !secret.require_approval
        && secret.daemon_cache != DaemonCache::Never
        && providers.iter().all(|provider| {
            provider.spec.may_be_kept() && provider.daemon_cache != DaemonCache::Never
        });
    let of_providers = providers
        .iter()
        .filter_map(|provider| match provider.daemon_cache {
            DaemonCache::For(lifetime) => Some(lifetime.as_duration()),
            _ => None,
        });
    let lifetime = match secret.daemon_cache {
        DaemonCache::For(lifetime) => Some(lifetime.as_duration()),
        _ => of_providers.min(),
    };
    may_be_kept.then(|| Keeping {
        name: name.clone(),
        lifetime,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use fnox_config::{Folders, Loader};
    use fnox_core::Env;
    use fnox_core::prompt::NoPrompt;

    use super::*;
    use crate::resolve::Options;

    /// Keeps everything for ever.
    #[derive(Debug, Default)]
    struct Shelf(Mutex<BTreeMap<SecretName, (SecretString, Option<Duration>)>>);

    #[async_trait]
    impl KeptValues for Shelf {
        async fn find(&self, _: &Config, wanted: &[Keeping]) -> IndexMap<SecretName, SecretString> {
            let kept = self.0.lock().unwrap();
            let found = wanted.iter().filter_map(|keeping| {
                let (value, _) = kept.get(&keeping.name)?;
                Some((keeping.name.clone(), value.clone()))
            });
            found.collect()
        }

        async fn keep(&self, _: &Config, values: Vec<(Keeping, SecretString)>) {
            let values = values
                .into_iter()
                .map(|(keeping, value)| (keeping.name, (value, keeping.lifetime)));
            self.0.lock().unwrap().extend(values);
        }
    }

    /// What is kept after a run that wants everything: name, value, seconds.
    async fn kept_of(secrets: &str, shelf: &Arc<Shelf>) -> Vec<(String, String, Option<u64>)> {
        let folder = tempfile::tempdir().unwrap();
        // One value is read, several are injected into a template.
        let op = "#!/bin/sh\nif [ \"$1\" = inject ]; then sed 's/{{[^}]*}}/from-op/'; else printf from-op; fi\n";
        let program = folder.path().join("op");
        std::fs::write(&program, op).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(program, executable).unwrap();
        std::fs::write(folder.path().join("fnox.toml"), secrets).unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let env: Env = [("HOME", "/nonexistent"), ("PATH", &path), ("E", "from-env")]
            .into_iter()
            .collect();
        let folders = Folders::from_env(&env);
        let config = Loader {
            env: &env,
            folders: &folders,
            cwd: folder.path(),
            explicit: None,
            profiles: Vec::new(),
            may_create: None,
            no_defaults: false,
        }
        .load()
        .unwrap();
        let options = Options {
            env: env.clone(),
            folders,
            prompt: Arc::new(NoPrompt),
            if_missing: None,
            prompt_auth: false,
            time_limit: Duration::from_secs(10),
            failures_are_final: false,
            offline: false,
            required: std::collections::BTreeSet::new(),
            accounts: Arc::new(crate::accounts::NoAccounts),
            answers: Arc::default(),
            kept: Some(Arc::clone(shelf) as Arc<dyn KeptValues>),
            uses: None,
        };
        let wanted: Vec<SecretName> = config.secrets.keys().cloned().collect();
        let resolver = Resolver::new(&config, options);
        resolver.resolve(&wanted).await.unwrap();
        let shelf = shelf.0.lock().unwrap();
        let shown = shelf.iter().map(|(name, (value, lifetime))| {
            let seconds = lifetime.map(|lifetime| lifetime.as_secs());
            (name.to_string(), value.expose_secret().to_owned(), seconds)
        });
        shown.collect()
    }

    #[tokio::test]
    async fn only_what_a_provider_gave_is_kept_and_for_as_long_as_it_may() {
        let text = r#"
[providers]
plain = { type = "plain" }
op = { type = "1password", vault = "V", daemon_cache = "5m" }
never = { type = "1password", vault = "V", daemon_cache = false }
short = { type = "1password", vault = "V", daemon_cache = "1m" }
[secrets]
A = { provider = "op", value = "a" }
B = { provider = "op", value = "b", daemon_cache = "1h" }
C = { provider = "op", value = "c", daemon_cache = false }
D = { provider = "never", value = "d", daemon_cache = "1h" }
E = {}
F = { default = "${A}" }
G = { provider = "plain", value = "g" }
I = { provider = ["op", "plain"], value = "i" }
J = { provider = ["op", "short"], value = "j" }
H = { provider = "op", value = "h", require_approval = true }
"#;
        let shelf = Arc::new(Shelf::default());
        let kept = kept_of(text, &shelf).await;
        let names: Vec<(&str, Option<u64>)> = kept
            .iter()
            .map(|(name, value, seconds)| {
                assert!(value.starts_with("from-op"), "{name}: {value}");
                (name.as_str(), *seconds)
            })
            .collect();
        assert_eq!(
            names,
            [("A", Some(300)), ("B", Some(3600)), ("J", Some(60))]
        );
    }
}
