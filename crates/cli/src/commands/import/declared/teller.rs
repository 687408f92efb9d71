//! `.teller.yml`: which keys of which stores become which variables.
//!
//! Only maps that name their keys can be taken over; of a dotenv file the names are read. Templates in it are filled in by teller
//! at run time, and are left out here. Credentials that stand in `options` are never taken.

use std::path::Path;

use fnox_providers::dotenv;
use indexmap::IndexMap;
use serde::Deserialize;
use toml_edit::Value;

use super::{Declarations, Entry, Section, Unreadable, not};
use crate::commands::import::vendor::variable;

/// Where things stand.
pub(super) struct Places<'a> {
    /// The folder of the file that is read.
    pub(super) folder: &'a Path,
    /// The folder of the file that is written.
    pub(super) target: &'a Path,
    /// The region that AWS would be asked in.
    pub(super) region: Option<&'a str>,
}

#[derive(Deserialize)]
struct Document {
    providers: IndexMap<String, Store>,
}

#[derive(Deserialize)]
struct Store {
    kind: Option<String>,
    #[serde(default)]
    options: IndexMap<String, serde_json::Value>,
    #[serde(default)]
    maps: Vec<Map>,
}

#[derive(Deserialize)]
struct Map {
    #[serde(default)]
    id: String,
    path: String,
    #[serde(default)]
    keys: IndexMap<String, String>,
}

type Keys = Vec<(&'static str, Value)>;

/// The entries of one map.
struct Taken {
    provider: Keys,
    /// The keys of a secret for a key of the store.
    secret: fn(&Map, &str) -> Option<Keys>,
}

pub(super) fn read(text: &str, places: &Places<'_>) -> Result<Declarations, Unreadable> {
    let document: Document = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map(|location| location.line());
        let line = line.map(|line| format!(" (line {line})")).unwrap_or_default();
        not(&format!("a `.teller.yml` of version 2{line}"))
            .with_help("what teller prints can be imported: `teller export json | fnox import json -f -p PROVIDER`")
    })?;
    let mut found = Declarations::default();
    for (name, store) in &document.providers {
        for map in &store.maps {
            let id = match (store.maps.len(), map.id.as_str()) {
                (1, _) | (_, "") => name.clone(),
                (_, id) => format!("{name}-{id}"),
            };
            if let Err(reason) = take(&mut found, places, (name, store), (&id, map)) {
                found.notes.push(format!(
                    "the map `{}` of `{}` is left out: {reason}",
                    map.id.escape_debug(),
                    name.escape_debug()
                ));
            }
        }
    }
    Ok(found)
}

fn take(
    found: &mut Declarations,
    places: &Places<'_>,
    (name, store): (&str, &Store),
    (id, map): (&str, &Map),
) -> Result<(), String> {
    let kind = store.kind.as_deref().unwrap_or(name);
    if map.path.contains("{{") {
        return Err("there is a template in its path".to_owned());
    }
    let taken = match kind {
        "dotenv" => dotenv_file(places, map),
        "hashicorp" => vault(store, map)?,
        "aws_secretsmanager" => aws("aws-sm", store, places)?,
        "ssm" => aws("aws-ps", store, places)?,
        "google_secretmanager" => google(map),
        _ => {
            return Err(format!(
                "fnox has no counterpart of `{}`",
                kind.escape_debug()
            ));
        }
    };
    let mut keys = map.keys.clone();
    if keys.is_empty() && kind == "dotenv" {
        keys = names_of(&places.folder.join(&map.path))?;
    }
    if keys.is_empty() {
        return Err("it takes every key that the store has; name them in `keys`".to_owned());
    }
    let mut entries = Vec::new();
    for (from, to) in keys {
        let name = match to.as_str() {
            "" | "==" => from.clone(),
            _ => to,
        };
        let Some(mut keys) = (taken.secret)(map, &from) else {
            found.notes.push(format!(
                "`{}` of `{}` is left out: its name has characters that fnox cannot ask for",
                from.escape_debug(),
                id.escape_debug()
            ));
            continue;
        };
        keys.insert(0, ("provider", id.into()));
        // What is no variable's name was none in the program either.
        let name = if fnox_core::name::is_variable_name(&name) {
            name
        } else {
            variable(&name)
        };
        entries.push(Entry {
            section: Section::Secrets,
            profile: None,
            name,
            keys,
        });
    }
    found.entries.push(Entry {
        section: Section::Providers,
        profile: None,
        name: id.to_owned(),
        keys: taken.provider,
    });
    found.entries.extend(entries);
    let known = ["region", "address", "endpoint_url"];
    let unknown: Vec<String> = store
        .options
        .keys()
        .filter(|key| !known.contains(&key.as_str()))
        .map(|key| format!("`{key}`"))
        .collect();
    if !unknown.is_empty() {
        found.notes.push(format!("{} of `{name}` left out; what opens the store comes from the environment or another secret", unknown.join(", ")));
    }
    Ok(())
}

/// An option that is a text without a template in it.
fn option<'a>(store: &'a Store, key: &str) -> Option<&'a str> {
    let text = store.options.get(key)?.as_str()?;
    (!text.contains("{{")).then_some(text)
}

fn dotenv_file(places: &Places<'_>, map: &Map) -> Taken {
    let path = places.folder.join(&map.path);
    let path = path.strip_prefix(places.target).unwrap_or(&path);
    Taken {
        provider: vec![
            ("type", "plain".into()),
            ("file", path.display().to_string().into()),
            ("format", "env".into()),
        ],
        secret: |_, key| Some(vec![("value", key.into())]),
    }
}

fn names_of(path: &Path) -> Result<IndexMap<String, String>, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!("it takes every name of {shown}, which cannot be read: {error}")
    })?;
    let pairs = dotenv::parse(&text).map_err(|error| format!("{shown}: {error}"))?;
    Ok(pairs
        .into_iter()
        .map(|(name, _)| (name, "==".to_owned()))
        .collect())
}

/// `engine/folder/secret`: the last part is the secret, what stands before it the provider's `path`.
fn vault(store: &Store, map: &Map) -> Result<Taken, String> {
    let (path, _) = map
        .path
        .trim_matches('/')
        .rsplit_once('/')
        .ok_or("its path names no engine")?;
    let mut provider: Vec<(&'static str, Value)> =
        vec![("type", "vault".into()), ("path", path.into())];
    provider.extend(option(store, "address").map(|address| ("address", address.into())));
    Ok(Taken {
        provider,
        secret: |map, key| {
            let secret = map.path.trim_matches('/').rsplit('/').next()?;
            (!key.contains('/')).then(|| vec![("value", format!("{secret}/{key}").into())])
        },
    })
}

fn aws(kind: &'static str, store: &Store, places: &Places<'_>) -> Result<Taken, String> {
    let region = option(store, "region")
        .or(places.region)
        .ok_or("it names no region, and neither does AWS_REGION")?;
    let mut provider: Vec<(&'static str, Value)> =
        vec![("type", kind.into()), ("region", region.into())];
    provider.extend(option(store, "endpoint_url").map(|url| ("endpoint", url.into())));
    let secret = match kind {
        // The secret is a JSON document, and its keys are what teller calls keys.
        "aws-sm" => |map: &Map, key: &str| {
            let plain = key
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || character == '_');
            plain.then(|| {
                vec![
                    ("value", map.path.as_str().into()),
                    ("json_path", key.into()),
                ]
            })
        },
        _ => |map: &Map, key: &str| {
            let path = map.path.trim_end_matches('/');
            Some(vec![("value", format!("{path}/{key}").into())])
        },
    };
    Ok(Taken { provider, secret })
}

fn google(map: &Map) -> Taken {
    let project = map.path.trim_matches('/');
    let project = project.strip_prefix("projects/").unwrap_or(project);
    Taken {
        provider: vec![("type", "gcp-sm".into()), ("project", project.into())],
        secret: |_, key| Some(vec![("value", key.into())]),
    }
}
