//! Putting layers on top of one another.

use std::path::PathBuf;
use std::sync::Arc;

use fnox_core::{ProfileName, ProviderName};
use indexmap::IndexMap;

use super::{Config, Loader, Settings, unknown};
use crate::error::ConfigError;
use crate::fields::{Fields, TextOrSecret, Value, resolve_path};
use crate::file::{Body, FileConfig, Profile, absorb};
use crate::model::{ProviderConfig, SecretConfig};
use crate::source::{FileKind, Location, SourceFile};
use crate::spec::ProviderSpec;

/// Entries that are nothing but copies, in the order of the files.
type Copies = Vec<SecretConfig>;

/// All layers on top of one another, profiles still apart.
#[derive(Debug, Default)]
pub(super) struct Merged {
    base: Body,
    /// Of the base, and of profiles. Each belongs to an entry of the same table's name, whichever file that stands in.
    copies: Copies,
    profile_copies: IndexMap<ProfileName, Copies>,
    profiles: IndexMap<ProfileName, Profile>,
    settings: Settings,
    /// Where `server_url` and `[age]` stand.
    server_location: Option<Location>,
}

impl Merged {
    /// Merges layers, lowest priority first.
    ///
    /// Top-level entries of a profile's own file belong to that profile. Top-level entries of a local file
    /// are personal overrides: with a profile active they also lie on top of that profile's entries, or
    /// a shared profile would win over what a person wrote for this machine. Under `--no-defaults` their
    /// secrets stay in the base, which is then left out.
    pub(super) fn of(
        layers: &[FileConfig],
        selected: Option<&ProfileName>,
        loader: &Loader<'_>,
    ) -> Self {
        let mut merged = Self::default();
        for layer in layers {
            let mut layer = layer.clone();
            merged.copies.extend(taken_copies(&mut layer.base));
            for (name, profile) in &mut layer.profiles {
                let copies = taken_copies(&mut profile.body);
                merged
                    .profile_copies
                    .entry(name.clone())
                    .or_default()
                    .extend(copies);
            }
            match (&layer.source.kind, selected) {
                (FileKind::Profile(profile), _) => {
                    merged.onto_profile(profile, layer.base, &layer.source);
                }
                (FileKind::Local, Some(profile)) => {
                    let mut body = layer.base;
                    if loader.no_defaults {
                        merged
                            .base
                            .secrets
                            .extend(std::mem::take(&mut body.secrets));
                    }
                    absorb(&mut merged.base, body.clone());
                    merged.onto_profile(profile, body, &layer.source);
                    merged.local_only(profile);
                }
                _ => absorb(&mut merged.base, layer.base),
            }
            for (name, profile) in layer.profiles {
                let entry = merged.profile(&name, &profile.location);
                entry.location = profile.location;
                if profile.inherits.is_some() {
                    entry.inherits = profile.inherits;
                }
                absorb(&mut entry.body, profile.body);
            }
            merged.take_settings(layer.settings, &layer.source, loader);
        }
        merged
    }

    fn onto_profile(&mut self, name: &ProfileName, body: Body, source: &Arc<SourceFile>) {
        let start = Location {
            file: Arc::clone(source),
            span: 0..0,
        };
        absorb(&mut self.profile(name, &start).body, body);
    }

    /// A local file alone does not make a profile exist.
    fn local_only(&mut self, name: &ProfileName) {
        let only_local = self.profiles.get(name).is_some_and(|profile| {
            profile.location.file.kind == FileKind::Local && profile.inherits.is_none()
        });
        if only_local {
            self.profiles.shift_remove(name);
        }
    }

    fn profile(&mut self, name: &ProfileName, location: &Location) -> &mut Profile {
        self.profiles
            .entry(name.clone())
            .or_insert_with(|| Profile {
                inherits: None,
                body: Body::default(),
                location: location.clone(),
            })
    }

    fn take_settings(&mut self, upper: Settings, source: &Arc<SourceFile>, loader: &Loader<'_>) {
        let lower = &mut self.settings;
        lower.if_missing = upper.if_missing.or(lower.if_missing);
        lower.env = upper.env.or(lower.env);
        lower.prompt_auth = upper.prompt_auth.or(lower.prompt_auth);
        lower.redact_exec = upper.redact_exec.or(lower.redact_exec);
        lower.ledger_key = upper.ledger_key.or(lower.ledger_key);
        if upper.server_url.is_some() {
            lower.server_url = upper.server_url;
            self.server_location = Some(Location {
                file: Arc::clone(source),
                span: 0..0,
            });
        }
        lower.project = upper.project.or(lower.project.take());
        if let Some(path) = upper.age_identities_file {
            let text = path.to_string_lossy();
            lower.age_identities_file =
                Some(resolve_path(&text, source.folder(), loader.folders.home()));
        }
        if !upper.age_recipients.is_empty() {
            lower.age_recipients = upper.age_recipients;
        }
        lower.plugins.extend(upper.plugins);
        for (name, section) in upper.sections {
            merge_section(&mut lower.sections, name, section);
        }
    }

    /// Lays the active profiles onto the base and checks what only the whole can tell.
    pub(super) fn finish(
        mut self,
        loader: &Loader<'_>,
        active: Vec<ProfileName>,
        selected: Vec<ProfileName>,
        project_dir: PathBuf,
        layers: Vec<FileConfig>,
    ) -> Result<Config, ConfigError> {
        let known_profiles = self.profiles.keys().cloned().collect();
        let mut body = std::mem::take(&mut self.base);
        give_copies(&mut body, &self.copies);
        if loader.no_defaults && !active.is_empty() {
            body.secrets.clear();
        }
        for name in &active {
            if let Some(mut profile) = self.profiles.shift_remove(name) {
                if let Some(copies) = self.profile_copies.get(name) {
                    give_copies(&mut profile.body, copies);
                }
                absorb(&mut body, profile.body);
            }
        }
        let mut settings = self.settings;
        for secret in body.secrets.values_mut() {
            secret.stamp_env(settings.env);
        }
        if let Some(url) = loader.env.var("FNOX_SERVER_URL") {
            settings.server_url = Some(url.to_owned());
        }
        settings.default_provider = body.default_provider;
        settings.targets = body.targets;
        settings.people = body.people;
        settings.files = body.files;
        let config = Config {
            profiles: active,
            selected_profiles: selected,
            known_profiles,
            providers: body.providers,
            secrets: body.secrets,
            leases: body.leases,
            settings,
            project_dir,
            files: layers.into_iter().map(|layer| layer.source).collect(),
        };
        check_names(with_server(config, self.server_location))
    }
}

/// Takes the entries out of a body that are nothing but copies.
fn taken_copies(body: &mut Body) -> Copies {
    let is_copy = |secret: &SecretConfig| {
        secret
            .sync
            .as_ref()
            .is_some_and(|copy| copy.apart.is_some())
    };
    let (copies, entries) = std::mem::take(&mut body.secrets)
        .into_iter()
        .partition(|(_, secret)| is_copy(secret));
    body.secrets = entries;
    let copies: IndexMap<_, _> = copies;
    copies.into_values().collect()
}

/// A copy of what an entry said before, or of one that is gone, is left aside.
fn give_copies(body: &mut Body, copies: &[SecretConfig]) {
    for copy in copies {
        if let Some(secret) = body.secrets.get_mut(&copy.name) {
            secret.take_copy(copy);
        }
    }
}

/// `server_url` declares the team server as the provider `server`, unless a provider has that name.
fn with_server(mut config: Config, location: Option<Location>) -> Config {
    let (Some(url), Ok(name)) = (&config.settings.server_url, ProviderName::parse("server")) else {
        return config;
    };
    let Some(spec) = ProviderSpec::find("fnox-server") else {
        return config;
    };
    let location = location.unwrap_or_else(|| Location {
        file: Arc::new(SourceFile {
            path: PathBuf::from("FNOX_SERVER_URL"),
            text: url.clone(),
            kind: FileKind::Global,
            imported_by: None,
        }),
        span: 0..0,
    });
    if !config.providers.contains_key(&name) {
        let mut fields = Fields::empty(location.clone());
        fields.insert(
            "url",
            Value::Text(TextOrSecret::Text(url.clone())),
            location,
        );
        config
            .providers
            .insert(name.clone(), ProviderConfig::new(name, spec, fields));
    }
    config
}

/// Providers that are named must exist.
fn check_names(config: Config) -> Result<Config, ConfigError> {
    if let Some((name, location)) = &config.settings.default_provider {
        config.provider(name.as_str(), Some(location))?;
    }
    Ok(config)
}

/// A log that the global file turns on stays on and where it is: a project must not hide what it uses.
fn is_kept(lower: &Fields, upper: &Fields) -> bool {
    lower.flag("enabled") == Some(true)
        && lower.location_of("enabled").file.is_global()
        && !upper.location().file.is_global()
}

fn merge_section(sections: &mut IndexMap<&'static str, Fields>, name: &'static str, upper: Fields) {
    // `[proxy]` is replaced as a whole: half a policy is none.
    match sections.get_mut(name) {
        Some(lower) if name != "proxy" => {
            for (key, value) in upper.iter() {
                if name == "audit" && is_kept(lower, &upper) {
                    continue;
                }
                lower.insert(key, value.clone(), upper.location_of(key).clone());
            }
        }
        _ => {
            sections.insert(name, upper);
        }
    }
}

/// The selected profiles with everything they inherit before them, each once.
///
/// A profile without a table is let through while its files have not been looked for (it is not in
/// `searched` yet); the next round finds them or fails here.
pub(super) fn expand(
    merged: &Merged,
    selected: &[ProfileName],
    searched: &[ProfileName],
    may_create: Option<&ProfileName>,
) -> Result<Vec<ProfileName>, ConfigError> {
    let mut expansion = Expansion {
        merged,
        searched,
        may_create,
        path: Vec::new(),
        out: Vec::new(),
    };
    for name in selected {
        expansion.visit(name, None)?;
    }
    Ok(expansion.out)
}

struct Expansion<'a> {
    merged: &'a Merged,
    searched: &'a [ProfileName],
    may_create: Option<&'a ProfileName>,
    path: Vec<ProfileName>,
    out: Vec<ProfileName>,
}

impl Expansion<'_> {
    fn visit(&mut self, name: &ProfileName, from: Option<&Location>) -> Result<(), ConfigError> {
        if let Some(start) = self.path.iter().position(|seen| seen == name) {
            let mut chain: Vec<String> =
                self.path[start..].iter().map(ToString::to_string).collect();
            chain.push(name.to_string());
            return Err(ConfigError::Cycle {
                kind: "profiles",
                chain,
                location: from.cloned(),
            });
        }
        if self.out.contains(name) || name.as_str() == "default" {
            return Ok(());
        }
        match self.merged.profiles.get(name) {
            None if self.may_create == Some(name) || !self.searched.contains(name) => {}
            None => {
                return Err(unknown(
                    "profile",
                    name.as_str(),
                    from,
                    self.merged.profiles.keys(),
                ));
            }
            Some(profile) => {
                self.path.push(name.clone());
                for parent in profile.inherits.iter().flatten() {
                    self.visit(parent, Some(&profile.location))?;
                }
                self.path.pop();
            }
        }
        self.out.push(name.clone());
        Ok(())
    }
}
