//! One file, read into typed entries.

use std::path::{Component, Path};
use std::sync::Arc;

use fnox_core::{LeaseName, ProfileName, ProviderName, SecretName};
use indexmap::IndexMap;
use toml_edit::{Document, Item, TableLike};

use crate::error::ConfigError;
use crate::fields::{Fields, Value};
use crate::layers::{Settings, unknown};
use crate::lease::LeaseConfig;
use crate::model::{EnvMode, IfMissing, LedgerKey, Project, ProviderConfig, SecretConfig};
use crate::read::Reader;
use crate::source::{Location, SourceFile};
use crate::spec::{self, LeaseSpec, ProviderSpec};

/// Entries that the top level and a profile both can have.
#[derive(Debug, Clone, Default)]
pub struct Body {
    /// `[providers]`
    pub providers: IndexMap<ProviderName, ProviderConfig>,
    /// `[secrets]`
    pub secrets: IndexMap<SecretName, SecretConfig>,
    /// `[leases]`
    pub leases: IndexMap<LeaseName, LeaseConfig>,
    /// `[targets]`
    pub targets: IndexMap<String, Fields>,
    /// `[people]`
    pub people: IndexMap<String, Fields>,
    /// `[files]`
    pub files: IndexMap<String, Fields>,
    /// `default_provider`
    pub default_provider: Option<(ProviderName, Location)>,
}

/// `[profiles.NAME]`
#[derive(Debug, Clone)]
pub struct Profile {
    /// Profiles that apply before this one.
    pub inherits: Option<Vec<ProfileName>>,
    /// Its entries.
    pub body: Body,
    /// Where it stands.
    pub location: Location,
}

/// One file's content.
#[derive(Debug, Clone)]
pub struct FileConfig {
    /// The file.
    pub source: Arc<SourceFile>,
    /// The keys of the top level.
    pub top: Fields,
    /// `import`, with the place of the list.
    pub imports: Option<(Vec<String>, Location)>,
    /// `root`
    pub root: bool,
    /// Top-level entries.
    pub base: Body,
    /// `[profiles.NAME]`
    pub profiles: IndexMap<ProfileName, Profile>,
    /// Settings of the top level. `default_provider` stands in `base`.
    pub settings: Settings,
}

impl FileConfig {
    /// Reads a file's text.
    ///
    /// # Errors
    /// [`ConfigError`] with the place of the first thing that is wrong.
    pub fn parse(source: Arc<SourceFile>) -> Result<Self, ConfigError> {
        let document =
            Document::parse(source.text.as_str()).map_err(|error| ConfigError::Syntax {
                location: Location {
                    file: Arc::clone(&source),
                    span: error.span().unwrap_or(0..0),
                },
                reason: error.message().to_owned(),
            })?;
        let reader = Reader {
            file: Arc::clone(&source),
        };
        let table = document.as_table();
        let start = Location {
            file: Arc::clone(&source),
            span: 0..0,
        };
        let top = reader.fields(
            table,
            start,
            &[spec::TOP_LEVEL.fields],
            "the top level of the file",
        )?;
        only_where_it_belongs(&top, source.is_global())?;

        let mut base = read_body(&reader, table, &top)?;
        let mut profiles = IndexMap::new();
        if let Some(item) = table.get("profiles") {
            let place = reader
                .locate(item)
                .unwrap_or_else(|| reader.key_location(table, "profiles"));
            let all = reader.table(item, "profiles", &place, "a table of profiles")?;
            for (key, item) in all.iter() {
                let place = reader.key_location(all, key);
                let name =
                    ProfileName::parse(key).map_err(|error| invalid_name(&place, key, &error))?;
                let profile = read_profile(&reader, &name, item, &place)?;
                if key == "default" {
                    // `[profiles.default]` is another way to write the base.
                    absorb(&mut base, profile.body);
                } else {
                    profiles.insert(name, profile);
                }
            }
        }
        let imports = top.contains("import").then(|| {
            (
                top.list("import").to_vec(),
                top.location_of("import").clone(),
            )
        });
        Ok(Self {
            imports,
            root: top.flag("root").unwrap_or(false),
            base,
            profiles,
            settings: read_settings(&top)?,
            top,
            source,
        })
    }
}

/// Puts `upper` on top of `lower`: entries replace entries of the same name as a whole.
pub(crate) fn absorb(lower: &mut Body, upper: Body) {
    lower.providers.extend(upper.providers);
    lower.secrets.extend(upper.secrets);
    lower.leases.extend(upper.leases);
    lower.targets.extend(upper.targets);
    lower.people.extend(upper.people);
    lower.files.extend(upper.files);
    if upper.default_provider.is_some() {
        lower.default_provider = upper.default_provider;
    }
}

fn only_where_it_belongs(top: &Fields, is_global: bool) -> Result<(), ConfigError> {
    const GLOBAL_ONLY: [&str; 3] = ["server_url", "age", "files"];
    match GLOBAL_ONLY.into_iter().find(|key| !is_global && top.contains(key)) {
        Some(key) => Err(top.invalid(
            key,
            "belongs into the global file (`config.toml` of fnox's config folder), not into a project's",
        )),
        None => Ok(()),
    }
}

fn read_settings(top: &Fields) -> Result<Settings, ConfigError> {
    let mut settings = Settings {
        if_missing: IfMissing::of(top),
        env: EnvMode::of(top),
        prompt_auth: top.flag("prompt_auth"),
        redact_exec: top.flag("redact_exec"),
        server_url: top.text("server_url").map(str::to_owned),
        ..Settings::default()
    };
    if let Some(project) = top.table("project") {
        let name = project.text("name").unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(project.invalid("name", "must not be empty"));
        }
        settings.project = Some(Project {
            name,
            fields: project.clone(),
        });
    }
    if let Some(age) = top.table("age") {
        settings.age_identities_file = age
            .text("identities_file")
            .map(str::to_owned)
            .map(Into::into);
        settings.age_recipients = age.list("recipients").to_vec();
    }
    if let Some(ledger) = top.table("ledger") {
        settings.ledger_key = match ledger.text("key") {
            Some("keychain") => Some(LedgerKey::Keychain),
            Some(_) => Some(LedgerKey::File),
            None => None,
        };
    }
    let place = top.location_of("plugins");
    for (name, source) in top.map("plugins").into_iter().flatten() {
        let entry = (source.clone(), place.clone());
        settings.plugins.insert(name.clone(), entry);
    }
    for name in ["daemon", "mcp", "proxy", "audit"] {
        if let Some(section) = top.table(name) {
            settings.sections.insert(name, section.clone());
        }
    }
    Ok(settings)
}

fn read_body(reader: &Reader, table: &dyn TableLike, fields: &Fields) -> Result<Body, ConfigError> {
    let mut body = Body::default();
    if let Some(text) = fields.text("default_provider") {
        let location = fields.location_of("default_provider").clone();
        let name =
            ProviderName::parse(text).map_err(|error| invalid_name(&location, text, &error))?;
        body.default_provider = Some((name, location));
    }
    for_each(reader, table, "providers", |key, item, place| {
        let name = ProviderName::parse(key).map_err(|error| invalid_name(&place, key, &error))?;
        let provider = read_provider(reader, &name, item, &place)?;
        body.providers.insert(name, provider);
        Ok(())
    })?;
    for_each(reader, table, "secrets", |key, item, place| {
        let secret = read_secret(reader, key, item, &place)?;
        body.secrets.insert(secret.name.clone(), secret);
        Ok(())
    })?;
    for_each(reader, table, "leases", |key, item, place| {
        let name = LeaseName::parse(key).map_err(|error| invalid_name(&place, key, &error))?;
        let lease = read_lease(reader, &name, item, &place)?;
        body.leases.insert(name, lease);
        Ok(())
    })?;
    for_each(reader, table, "targets", |key, item, place| {
        let target = read_target(reader, key, item, &place)?;
        body.targets.insert(key.to_owned(), target);
        Ok(())
    })?;
    for_each(reader, table, "people", |key, item, place| {
        let entry = reader.table(item, key, &place, "a table")?;
        let what = format!("the person `{key}`");
        let person = reader.fields(entry, place, &[spec::PERSON.fields], &what)?;
        body.people.insert(key.to_owned(), person);
        Ok(())
    })?;
    for_each(reader, table, "files", |key, item, place| {
        body.files
            .insert(key.to_owned(), read_file(reader, key, item, &place)?);
        Ok(())
    })?;
    Ok(body)
}

fn for_each<F>(
    reader: &Reader,
    table: &dyn TableLike,
    key: &str,
    mut each: F,
) -> Result<(), ConfigError>
where
    F: FnMut(&str, &Item, Location) -> Result<(), ConfigError>,
{
    let Some(item) = table.get(key) else {
        return Ok(());
    };
    let place = reader
        .locate(item)
        .unwrap_or_else(|| reader.key_location(table, key));
    let entries = reader.table(item, key, &place, "a table")?;
    for (name, item) in entries.iter() {
        each(name, item, reader.key_location(entries, name))?;
    }
    Ok(())
}

fn read_secret(
    reader: &Reader,
    key: &str,
    item: &Item,
    place: &Location,
) -> Result<SecretConfig, ConfigError> {
    let name = SecretName::parse(key).map_err(|error| invalid_name(place, key, &error))?;
    if item.is_str() {
        return Err(ConfigError::InvalidValue {
            location: place.clone(),
            key: key.to_owned(),
            reason: format!("must be a table: write `{key} = {{ value = \"…\" }}`"),
        });
    }
    let table = reader.table(
        item,
        key,
        place,
        "a table such as `{ provider = \"…\", value = \"…\" }`",
    )?;
    let fields = reader.fields(
        table,
        place.clone(),
        &[spec::SECRET.fields],
        &format!("the secret `{key}`"),
    )?;
    SecretConfig::new(name, fields)
}

fn read_provider(
    reader: &Reader,
    name: &ProviderName,
    item: &Item,
    place: &Location,
) -> Result<ProviderConfig, ConfigError> {
    let table = reader.table(item, name.as_str(), place, "a table with a `type`")?;
    let kind = type_of(table, place, "providers", name.as_str(), reader)?;
    let spec = ProviderSpec::find(&kind).ok_or_else(|| {
        let known: Vec<String> = spec::PROVIDERS
            .iter()
            .map(|spec| spec.name.to_owned())
            .collect();
        unknown(
            "provider type",
            &kind,
            Some(&type_place(reader, table)),
            &known,
        )
    })?;
    let what = format!("the provider `{name}` of type `{kind}`");
    let fields = reader.fields(
        table,
        place.clone(),
        &[spec.fields, spec::PROVIDER_COMMON.fields],
        &what,
    )?;
    if spec.name == "plain" && fields.contains("file") != fields.contains("format") {
        let (present, absent) = if fields.contains("file") {
            ("file", "format")
        } else {
            ("format", "file")
        };
        let hint = "; formats are env, shell, json, yaml and toml";
        return Err(fields.invalid(present, format!("needs `{absent}` too{hint}")));
    }
    Ok(ProviderConfig::new(name.clone(), spec, fields))
}

fn read_lease(
    reader: &Reader,
    name: &LeaseName,
    item: &Item,
    place: &Location,
) -> Result<LeaseConfig, ConfigError> {
    read_lease_of(reader, name, item, place, ("leases", "lease"), &[])
}

/// A lease by another word, with more keys: `group` is the table that it stands in, and what an entry is called.
pub(crate) fn read_lease_of(
    reader: &Reader,
    name: &LeaseName,
    item: &Item,
    place: &Location,
    (group, word): (&str, &str),
    more: &'static [spec::Field],
) -> Result<LeaseConfig, ConfigError> {
    let table = reader.table(item, name.as_str(), place, "a table with a `type`")?;
    let kind = type_of(table, place, group, name.as_str(), reader)?;
    let spec = LeaseSpec::find(&kind).ok_or_else(|| {
        let known: Vec<String> = spec::LEASES
            .iter()
            .map(|spec| spec.name.to_owned())
            .collect();
        unknown(
            "lease type",
            &kind,
            Some(&type_place(reader, table)),
            &known,
        )
    })?;
    let what = format!("the {word} `{name}` of type `{kind}`");
    let fields = reader.fields(
        table,
        place.clone(),
        &[spec.fields, spec::LEASE_COMMON.fields, more],
        &what,
    )?;
    LeaseConfig::new(name.clone(), spec, fields)
}

/// Fields of an entry of `[files]`.
fn read_file(
    reader: &Reader,
    key: &str,
    item: &Item,
    place: &Location,
) -> Result<Fields, ConfigError> {
    let invalid = |reason: &str| ConfigError::InvalidValue {
        location: place.clone(),
        key: key.escape_debug().to_string(),
        reason: reason.to_owned(),
    };
    let is_plain = Path::new(key)
        .components()
        .all(|part| !matches!(part, Component::ParentDir | Component::CurDir));
    if !(key.starts_with('/') || key.starts_with("~/")) || !is_plain {
        return Err(invalid(
            "is not a path of a file: it begins with `/` or `~/` and has no `..` in it",
        ));
    }
    let entry = reader.table(item, key, place, "a table")?;
    let what = format!("the file `{key}`");
    let fields = reader.fields(entry, place.clone(), &[spec::FILES.fields], &what)?;
    if fields.contains("value") == fields.contains("source") {
        return Err(invalid(
            "needs one of `value` and `source`: what the provider knows it by, or the file that holds it",
        ));
    }
    let source = fields.text("source").map(Path::new);
    if source.is_some_and(|source| {
        !source
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
    }) {
        return Err(fields.invalid(
            "source",
            "is a path within the folder of the file that names it, without `..`",
        ));
    }
    Ok(fields)
}

fn read_target(
    reader: &Reader,
    name: &str,
    item: &Item,
    place: &Location,
) -> Result<Fields, ConfigError> {
    let table = reader.table(item, name, place, "a table with a `type`")?;
    let kind = type_of(table, place, "targets", name, reader)?;
    let Some(target) = spec::TARGETS.iter().find(|target| target.name == kind) else {
        let known: Vec<String> = spec::TARGETS
            .iter()
            .map(|target| target.name.to_owned())
            .collect();
        return Err(unknown(
            "target type",
            &kind,
            Some(&type_place(reader, table)),
            &known,
        ));
    };
    let what = format!("the target `{name}` of type `{kind}`");
    reader.fields(
        table,
        place.clone(),
        &[target.fields, spec::TARGET_COMMON.fields],
        &what,
    )
}

/// A profile's table. A key written like an environment variable that holds a table is a secret.
fn read_profile(
    reader: &Reader,
    name: &ProfileName,
    item: &Item,
    place: &Location,
) -> Result<Profile, ConfigError> {
    let table = reader.table(item, name.as_str(), place, "a table")?;
    let what = format!("the profile `{name}`");
    let mut structural = Fields::empty(place.clone());
    let mut secrets = IndexMap::new();
    for (key, item) in table.iter() {
        let key_place = reader.key_location(table, key);
        if spec::PROFILE.field(key).is_some() {
            continue;
        }
        if is_secret_key(key) && item.is_table_like() {
            let secret = read_secret(reader, key, item, &key_place)?;
            secrets.insert(secret.name.clone(), secret);
        } else {
            return Err(reader.unknown_key(table, key, &[spec::PROFILE.fields], &what));
        }
    }
    for key in ["inherits", "default_provider"] {
        let Some(item) = table.get(key) else { continue };
        let place = reader.locate(item).unwrap_or_else(|| place.clone());
        let text = |item: &Item| item.as_str().map(str::to_owned);
        let value = if key == "inherits" {
            let list = item.as_array().map(|array| {
                array
                    .iter()
                    .map(|value| value.as_str().map(str::to_owned))
                    .collect::<Option<Vec<_>>>()
            });
            list.flatten()
                .or_else(|| text(item).map(|one| vec![one]))
                .map(Value::TextList)
        } else {
            text(item).map(|text| Value::Text(crate::fields::TextOrSecret::Text(text)))
        };
        let wanted = if key == "inherits" {
            "a list of profile names"
        } else {
            "the name of a provider"
        };
        let value = value.ok_or_else(|| ConfigError::InvalidValue {
            location: place.clone(),
            key: key.to_owned(),
            reason: format!("must be {wanted}"),
        })?;
        structural.insert(
            if key == "inherits" {
                "inherits"
            } else {
                "default_provider"
            },
            value,
            place,
        );
    }
    if table.contains_key("files") && !reader.file.is_global() {
        return Err(ConfigError::InvalidValue {
            location: reader.key_location(table, "files"),
            key: "files".to_owned(),
            reason: "belongs into the global file, not into a project's".to_owned(),
        });
    }
    let mut body = read_body(reader, table, &structural)?;
    body.secrets.extend(secrets);
    let inherits = if structural.contains("inherits") {
        let place = structural.location_of("inherits");
        let names = structural.list("inherits").iter();
        Some(
            names
                .map(|text| {
                    ProfileName::parse(text).map_err(|error| invalid_name(place, text, &error))
                })
                .collect::<Result<Vec<_>, _>>()?,
        )
    } else {
        None
    };
    Ok(Profile {
        inherits,
        body,
        location: place.clone(),
    })
}

/// `^[A-Z_][A-Z0-9_]*$`
fn is_secret_key(key: &str) -> bool {
    fnox_core::name::is_variable_name(key) && !key.bytes().any(|byte| byte.is_ascii_lowercase())
}

fn type_of(
    table: &dyn TableLike,
    place: &Location,
    group: &str,
    name: &str,
    reader: &Reader,
) -> Result<String, ConfigError> {
    let item = table.get("type").ok_or_else(|| ConfigError::MissingKey {
        location: place.clone(),
        key: "type",
        section: format!("[{group}.{name}]"),
    })?;
    item.as_str()
        .map(str::to_owned)
        .ok_or_else(|| ConfigError::InvalidValue {
            location: reader.locate(item).unwrap_or_else(|| place.clone()),
            key: "type".to_owned(),
            reason: "must be a string".to_owned(),
        })
}

fn type_place(reader: &Reader, table: &dyn TableLike) -> Location {
    table
        .get("type")
        .and_then(|item| reader.locate(item))
        .unwrap_or_else(|| reader.key_location(table, "type"))
}

pub(crate) fn invalid_name(
    place: &Location,
    key: &str,
    error: &fnox_core::name::InvalidName,
) -> ConfigError {
    ConfigError::InvalidValue {
        location: place.clone(),
        key: key.escape_debug().to_string(),
        reason: format!("is not an acceptable name: {error}"),
    }
}
