//! The typed entries of a configuration.

use std::fmt;

use fnox_core::{Lifetime, ProviderName, SecretName};
use jiff::Timestamp;

use crate::error::ConfigError;
use crate::fields::Fields;
use crate::source::Location;
use crate::spec::{Capability, ProviderSpec};

/// What to do about a secret without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// Stop.
    Error,
    /// Say so and go on.
    Warn,
    /// Go on.
    Ignore,
}

impl IfMissing {
    /// Reads one of the three words.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "error" => Some(Self::Error),
            "warn" => Some(Self::Warn),
            "ignore" => Some(Self::Ignore),
            _ => None,
        }
    }

    pub(crate) fn of(fields: &Fields) -> Option<Self> {
        fields.text("if_missing").and_then(Self::parse)
    }
}

impl fmt::Display for IfMissing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Ignore => "ignore",
        })
    }
}

/// Who gets a secret as a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvMode {
    /// The shell hook, `export`, `exec` and `get`.
    Always,
    /// `exec` and `get`.
    Exec,
    /// `get`, and whatever depends on it.
    Never,
}

impl EnvMode {
    pub(crate) fn of(fields: &Fields) -> Option<Self> {
        match fields.flag("env") {
            Some(true) => Some(Self::Always),
            Some(false) => Some(Self::Never),
            None => fields.text("env").map(|_| Self::Exec),
        }
    }
}

/// `daemon_cache`: whether the daemon may keep a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DaemonCache {
    /// For as long as is usual.
    #[default]
    Usual,
    /// For so long at most.
    For(Lifetime),
    /// Not at all.
    Never,
}

impl DaemonCache {
    fn of(fields: &Fields) -> Self {
        match (fields.flag("daemon_cache"), fields.lifetime("daemon_cache")) {
            (Some(false), _) => Self::Never,
            (_, Some(lifetime)) => Self::For(lifetime),
            _ => Self::Usual,
        }
    }
}

/// An encrypted copy of a value, for use without its provider.
#[derive(Debug, Clone)]
pub struct SyncCache {
    /// The provider that encrypted it.
    pub provider: ProviderName,
    /// The ciphertext.
    pub value: String,
    /// Whether its source stands in a local file.
    pub local_source: bool,
    /// When it was made, as it is written; other programs' copies do not say.
    pub at: Option<String>,
    /// The entry in a local file that is nothing but this copy, if the copy does not stand in the secret's own entry.
    pub apart: Option<Location>,
}

impl SyncCache {
    /// Whether this copy is younger than another one. One that does not say when it was made is old.
    fn is_younger_than(&self, other: &Self) -> bool {
        let at = |copy: &Self| {
            copy.at
                .as_deref()
                .and_then(|at| at.parse::<Timestamp>().ok())
        };
        at(self) > at(other)
    }
}

/// One secret.
#[derive(Debug, Clone)]
pub struct SecretConfig {
    /// Its name.
    pub name: SecretName,
    /// The providers that it names, in the order in which they are asked for the same value; empty if it names none.
    pub providers: Vec<ProviderName>,
    /// The ciphertext or reference (`value`, or `ref`).
    pub value: Option<String>,
    /// What to take out of a JSON document.
    pub json_path: Option<String>,
    /// Which line to take, counted from 1.
    pub line: Option<u64>,
    /// What it is for.
    pub description: Option<String>,
    /// Value if the provider has none.
    pub default: Option<String>,
    /// What to do if there is no value.
    pub if_missing: Option<IfMissing>,
    /// Who gets it; the file's default is already filled in.
    pub env: EnvMode,
    /// Whether the program gets a file.
    pub as_file: bool,
    /// Whether only the environment provides it.
    pub env_only: bool,
    /// Whether each use needs a person's approval.
    pub require_approval: bool,
    /// An encrypted copy.
    pub sync: Option<SyncCache>,
    /// Where `fnox push` sends it.
    pub push: Vec<String>,
    /// Whether the daemon may keep it.
    pub daemon_cache: DaemonCache,
    /// Where it stands.
    pub location: Location,
    fields: Fields,
}

impl SecretConfig {
    /// Takes the copy of an entry that is nothing but a copy, if it is one of this secret's value.
    pub(crate) fn take_copy(&mut self, entry: &Self) {
        let is_of_this = self.providers == entry.providers && self.value == entry.value;
        let Some(copy) = entry.sync.as_ref().filter(|_| is_of_this) else {
            return;
        };
        if !self
            .sync
            .as_ref()
            .is_some_and(|own| own.is_younger_than(copy))
        {
            self.sync = Some(copy.clone());
        }
    }

    pub(crate) fn new(name: SecretName, fields: Fields) -> Result<Self, ConfigError> {
        let text = |key: &str| fields.text(key).map(str::to_owned);
        if fields.contains("value") && fields.contains("ref") {
            return Err(fields.invalid("ref", "and `value` mean the same: keep one"));
        }
        if fields.contains("json_path") && fields.contains("line") {
            return Err(fields.invalid("line", "and `json_path` cannot both be set"));
        }
        if fields.count("line") == Some(0) {
            return Err(fields.invalid("line", "counts from 1"));
        }
        if fields.text("json_path") == Some("") {
            return Err(fields.invalid("json_path", "must not be empty"));
        }
        let providers = chain(&fields)?;
        let sync = match fields.table("sync") {
            None => None,
            Some(copy) => Some(SyncCache {
                provider: provider_name(copy, "provider")?
                    .ok_or_else(|| copy.invalid("provider", "must name a provider"))?,
                value: copy.text("value").unwrap_or_default().to_owned(),
                local_source: copy.flag("local_source").unwrap_or(false),
                at: copy.text("at").map(str::to_owned),
                apart: (copy.flag("copy_only") == Some(true)).then(|| fields.location().clone()),
            }),
        };
        Ok(Self {
            providers,
            value: text("value").or_else(|| text("ref")),
            json_path: text("json_path"),
            line: fields.count("line"),
            description: text("description"),
            default: text("default"),
            if_missing: IfMissing::of(&fields),
            env: EnvMode::of(&fields).unwrap_or(EnvMode::Always),
            as_file: fields.flag("as_file").unwrap_or(false),
            env_only: fields.flag("env_only").unwrap_or(false),
            require_approval: fields.flag("require_approval").unwrap_or(false),
            sync,
            push: fields.list("push").to_vec(),
            daemon_cache: DaemonCache::of(&fields),
            location: fields.location().clone(),
            name,
            fields,
        })
    }

    /// Fills in the configuration's default for who gets it, where the secret says nothing itself.
    pub(crate) fn stamp_env(&mut self, default: Option<EnvMode>) {
        if let (false, Some(default)) = (self.fields.contains("env"), default) {
            self.env = default;
        }
    }

    /// The provider that it names; the first one of a list.
    #[must_use]
    pub fn provider(&self) -> Option<&ProviderName> {
        self.providers.first()
    }

    /// The providers that are asked, in this order, if the first one has no value.
    #[must_use]
    pub fn fallbacks(&self) -> &[ProviderName] {
        self.providers.get(1..).unwrap_or_default()
    }

    /// Where one of its keys stands.
    #[must_use]
    pub fn location_of(&self, key: &str) -> &Location {
        self.fields.location_of(key)
    }
}

/// One provider.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Its name.
    pub name: ProviderName,
    /// Its type.
    pub spec: &'static ProviderSpec,
    /// What it can do with a value: what its type can, or what it says of itself.
    pub capability: Capability,
    /// The command that logs in: the configured one, or the type's. `None`: nothing to offer.
    pub auth_command: Option<String>,
    /// Whether the variables that opened it stay in the program's environment.
    pub keep_env: bool,
    /// Whether the daemon may keep its values.
    pub daemon_cache: DaemonCache,
    /// Its keys.
    pub fields: Fields,
}

impl ProviderConfig {
    pub(crate) fn new(name: ProviderName, spec: &'static ProviderSpec, fields: Fields) -> Self {
        let auth_command = match fields.text("auth_command") {
            Some("") => None,
            Some(command) => Some(command.to_owned()),
            None => spec.auth_command.map(str::to_owned),
        };
        let capability = match fields.text("capability") {
            Some("read") => Capability::ReadsOnly,
            Some("store") => Capability::StoresRemotely,
            Some("encrypt") => Capability::EncryptsInConfig,
            _ => spec.capability,
        };
        Self {
            name,
            spec,
            capability,
            auth_command,
            keep_env: fields.flag("keep_env").unwrap_or(false),
            daemon_cache: DaemonCache::of(&fields),
            fields,
        }
    }
}

/// `[project]`
#[derive(Debug, Clone)]
pub struct Project {
    /// Name on the team server.
    pub name: String,
    /// All of its keys.
    pub fields: Fields,
}

/// Where the ledger's sealing key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LedgerKey {
    /// A 0600 file of the state folder.
    #[default]
    File,
    /// The keychain.
    Keychain,
}

/// `provider` of a secret: one name, or several in the order in which they are asked.
fn chain(fields: &Fields) -> Result<Vec<ProviderName>, ConfigError> {
    const KEY: &str = "provider";
    let mut names: Vec<ProviderName> = Vec::new();
    for text in fields.one_or_more(KEY) {
        let name = ProviderName::parse(text)
            .map_err(|error| fields.invalid(KEY, format!("is not acceptable: {error}")))?;
        if names.contains(&name) {
            return Err(fields.invalid(KEY, format!("names `{name}` twice")));
        }
        names.push(name);
    }
    if names.is_empty() && fields.contains(KEY) {
        return Err(fields.invalid(
            KEY,
            "is an empty list: name a provider, or leave the key out",
        ));
    }
    Ok(names)
}

fn provider_name(fields: &Fields, key: &str) -> Result<Option<ProviderName>, ConfigError> {
    match fields.text(key) {
        None => Ok(None),
        Some(text) => ProviderName::parse(text)
            .map(Some)
            .map_err(|error| fields.invalid(key, format!("is not acceptable: {error}"))),
    }
}
