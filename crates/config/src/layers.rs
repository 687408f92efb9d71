//! From files to one configuration.

mod loader;
mod merge;

use std::path::PathBuf;
use std::sync::Arc;

use fnox_core::{LeaseName, ProfileName, ProviderName, SecretName};
use indexmap::IndexMap;

pub use self::loader::Loader;
use crate::error::ConfigError;
use crate::fields::Fields;
use crate::lease::LeaseConfig;
use crate::model::{EnvMode, IfMissing, LedgerKey, Project, ProviderConfig, SecretConfig};
use crate::source::{Location, SourceFile};
use crate::suggest::nearest;

/// The configuration that holds for one run: all layers merged for the active profiles.
#[derive(Debug, Clone)]
pub struct Config {
    /// Active profiles in the order in which they apply, inherited ones first; empty means `default`.
    pub profiles: Vec<ProfileName>,
    /// Profiles as they were asked for, without the inherited ones.
    pub selected_profiles: Vec<ProfileName>,
    /// Every profile that the files define, in the order of the files.
    pub known_profiles: Vec<ProfileName>,
    /// Providers by name.
    pub providers: IndexMap<ProviderName, ProviderConfig>,
    /// Secrets by name.
    pub secrets: IndexMap<SecretName, SecretConfig>,
    /// Leases by name, in the order in which they apply.
    pub leases: IndexMap<LeaseName, LeaseConfig>,
    /// Settings that are not entries.
    pub settings: Settings,
    /// The nearest folder that holds a configuration file: the scope of the lease ledger.
    pub project_dir: PathBuf,
    /// All files that took part, lowest priority first.
    pub files: Vec<Arc<SourceFile>>,
}

/// Settings that are not entries of their own.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Provider of secrets that name none, and where that is written.
    pub default_provider: Option<(ProviderName, Location)>,
    /// What to do about a secret without a value.
    pub if_missing: Option<IfMissing>,
    /// Default of a secret's `env`.
    pub env: Option<EnvMode>,
    /// Whether to offer a provider's login command.
    pub prompt_auth: Option<bool>,
    /// Whether `exec` redacts.
    pub redact_exec: Option<bool>,
    /// The team server.
    pub server_url: Option<String>,
    /// The project's name on the team server.
    pub project: Option<Project>,
    /// `[age]`: identities of every age provider.
    pub age_identities_file: Option<PathBuf>,
    /// `[age]`: recipients of age providers that list none.
    pub age_recipients: Vec<String>,
    /// `[ledger] key`
    pub ledger_key: Option<LedgerKey>,
    /// Push targets, as written.
    pub targets: IndexMap<String, Fields>,
    /// `[people.NAME]`
    pub people: IndexMap<String, Fields>,
    /// `[files]`, by the path as it is written.
    pub files: IndexMap<String, Fields>,
    /// `[plugins]`: where installed plugins come from, and where that is written.
    pub plugins: IndexMap<String, (String, Location)>,
    /// `[daemon]`, `[mcp]`, `[proxy]`, `[audit]`, by name.
    pub sections: IndexMap<&'static str, Fields>,
}

impl Config {
    /// The provider that a secret uses: its own, else the default one.
    ///
    /// In a project that has a name on the team server, the server keeps whatever names no provider,
    /// value or default and is not `env_only`.
    #[must_use]
    pub fn provider_of(&self, secret: &SecretConfig) -> Option<ProviderName> {
        if let Some(provider) = secret.provider() {
            return Some(provider.clone());
        }
        let on_server = self.settings.project.is_some()
            && secret.value.is_none()
            && secret.default.is_none()
            && !secret.env_only;
        match (on_server, self.server()) {
            (true, Some(server)) => Some(server.clone()),
            _ => self.default_provider().cloned(),
        }
    }

    /// The names of all providers that a secret's value may come from, in the order in which they are asked.
    #[must_use]
    pub fn chain_of(&self, secret: &SecretConfig) -> Vec<ProviderName> {
        if secret.providers.is_empty() {
            return self.provider_of(secret).into_iter().collect();
        }
        secret.providers.clone()
    }

    /// The same providers; those that do not exist are left out.
    pub fn providers_of(&self, secret: &SecretConfig) -> impl Iterator<Item = &ProviderConfig> {
        let names = self.chain_of(secret).into_iter();
        names.filter_map(|name| self.providers.get(&name))
    }

    /// The team server that `server_url` declares.
    #[must_use]
    pub fn server(&self) -> Option<&ProviderName> {
        self.settings.server_url.as_ref()?;
        self.providers.get_key_value("server").map(|(name, _)| name)
    }

    /// The default provider: the configured one, or the only one there is. The team server is never the
    /// default by being alone.
    #[must_use]
    pub fn default_provider(&self) -> Option<&ProviderName> {
        if let Some((name, _)) = &self.settings.default_provider {
            return Some(name);
        }
        let server = self.server();
        let mut names = self.providers.keys().filter(|name| Some(*name) != server);
        match (names.next(), names.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    }

    /// The secret of this name.
    ///
    /// # Errors
    /// [`ConfigError::UnknownName`] with the nearest name.
    pub fn secret(&self, name: &str) -> Result<&SecretConfig, ConfigError> {
        self.secrets.get(name).ok_or_else(|| {
            let mut error = unknown("secret", name, None, self.secrets.keys());
            if let ConfigError::UnknownName { place, .. } = &mut error {
                *place = self.where_entries_stand();
            }
            error
        })
    }

    /// The end of a sentence: the profile if one is selected, and the files if they are few.
    fn where_entries_stand(&self) -> String {
        let mut place = String::new();
        if !self.selected_profiles.is_empty() {
            place = format!(" in the profile `{}`", self.profile_label());
        }
        if (1..=FEW_FILES).contains(&self.files.len()) {
            let paths = self.files.iter().map(|file| file.path.display());
            let paths: Vec<String> = paths.map(|path| path.to_string()).collect();
            place.push_str(" (");
            place.push_str(&paths.join(", "));
            place.push(')');
        }
        place
    }

    /// The provider of this name. `location` is where the name is written.
    ///
    /// # Errors
    /// [`ConfigError::UnknownName`] with the nearest name.
    pub fn provider(
        &self,
        name: &str,
        location: Option<&Location>,
    ) -> Result<&ProviderConfig, ConfigError> {
        self.providers
            .get(name)
            .ok_or_else(|| unknown("provider", name, location, self.providers.keys()))
    }

    /// The lease of this name.
    ///
    /// # Errors
    /// [`ConfigError::UnknownName`] with the nearest name.
    pub fn lease(&self, name: &str) -> Result<&LeaseConfig, ConfigError> {
        self.leases
            .get(name)
            .ok_or_else(|| unknown("lease", name, None, self.leases.keys()))
    }

    /// The active profiles as one word for messages and records: `default`, or joined by commas.
    #[must_use]
    pub fn profile_label(&self) -> String {
        if self.selected_profiles.is_empty() {
            return "default".to_owned();
        }
        self.selected_profiles
            .iter()
            .map(ProfileName::as_str)
            .collect::<Vec<_>>()
            .join(",")
    }
}

/// How many files a message names.
const FEW_FILES: usize = 3;

pub(crate) fn unknown<'a, N, I>(
    kind: &'static str,
    name: &str,
    location: Option<&Location>,
    known: I,
) -> ConfigError
where
    N: AsRef<str> + 'a,
    I: IntoIterator<Item = &'a N>,
{
    let known: Vec<String> = known
        .into_iter()
        .map(|name| name.as_ref().to_owned())
        .collect();
    ConfigError::UnknownName {
        location: location.cloned(),
        kind,
        name: name.escape_debug().to_string(),
        place: String::new(),
        suggestion: nearest(name, known.iter().map(String::as_str)).map(str::to_owned),
        known,
    }
}
