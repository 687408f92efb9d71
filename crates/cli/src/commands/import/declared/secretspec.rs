//! `secretspec.toml`: which secrets a project needs, by profile.
//!
//! A secret is required unless it says otherwise, and a profile takes from `default` what it does not say itself, as the
//! reference of that format describes. An entry of a profile of fnox replaces the base's, so it is written out in full.

use fnox_core::ProfileName;
use toml_edit::{DocumentMut, TableLike, Value};

use super::{Declarations, Entry, Section, Unreadable, not};

/// The only revision of the format.
const REVISION: &str = "1.0";

/// The profile from which the others take what they do not say.
const DEFAULT: &str = "default";

/// The keys of a secret that have a counterpart.
const KNOWN: [&str; 4] = ["description", "required", "default", "as_path"];

pub(super) fn read(text: &str) -> Result<Declarations, Unreadable> {
    let document: DocumentMut = text.parse().map_err(|_| not("valid TOML"))?;
    let project = table(document.as_table(), "project")
        .ok_or_else(|| not("a secretspec.toml: there is no `[project]` in it"))?;
    let revision = project.get("revision").and_then(|item| item.as_str());
    if revision != Some(REVISION) {
        return Err(not(&format!("of revision {REVISION}")));
    }
    let mut found = Declarations::default();
    if project.contains_key("extends") {
        found
            .notes
            .push("`extends` is not followed: import the files that it names too".to_owned());
    }
    let Some(profiles) = table(document.as_table(), "profiles") else {
        return Ok(found);
    };
    let base = table(profiles, DEFAULT);
    for (name, item) in profiles.iter() {
        let secrets = item.as_table_like().ok_or_else(|| {
            not(&format!(
                "a secretspec.toml: the profile `{}` is no table",
                name.escape_debug()
            ))
        })?;
        let profile = match name {
            DEFAULT => None,
            _ => Some(ProfileName::parse(name).map_err(|error| Unreadable::because(&error))?),
        };
        let inherited = base.filter(|_| profile.is_some());
        for (key, item) in secrets.iter() {
            match item.as_table_like() {
                Some(secret) if key != "defaults" => {
                    let inherited = inherited.and_then(|base| table(base, key));
                    entry(&mut found, profile.as_ref(), key, [Some(secret), inherited]);
                }
                _ => found.notes.push(format!(
                    "`{key}` of the profile `{name}` is left out: fnox has no counterpart"
                )),
            }
        }
    }
    Ok(found)
}

fn table<'a>(parent: &'a dyn TableLike, key: &str) -> Option<&'a dyn TableLike> {
    parent.get(key)?.as_table_like()
}

/// Of several tables the first that says something about a key counts.
fn entry(
    found: &mut Declarations,
    profile: Option<&ProfileName>,
    name: &str,
    tables: [Option<&dyn TableLike>; 2],
) {
    let said = |key: &str| {
        tables
            .iter()
            .flatten()
            .find_map(|table| table.get(key))
            .and_then(|item| item.as_value())
    };
    let place = profile.map_or_else(
        || format!("`{name}`"),
        |profile| format!("`{name}` of the profile `{profile}`"),
    );
    let own = tables[0].into_iter().flat_map(TableLike::iter);
    let unknown: Vec<String> = own
        .filter(|(key, _)| !KNOWN.contains(key))
        .map(|(key, _)| format!("`{key}`"))
        .collect();
    if !unknown.is_empty() {
        found.notes.push(format!(
            "{} of {place} left out: fnox has no counterpart",
            unknown.join(", ")
        ));
    }
    let mut keys: Vec<(&'static str, Value)> = Vec::new();
    if let Some(text) = said("description").and_then(Value::as_str) {
        keys.push(("description", text.into()));
    }
    let default = said("default").and_then(Value::as_str);
    match default {
        // fnox would put another secret there.
        Some(text) if text.contains("${") => found.notes.push(format!(
            "the default of {place} is left out: `${{` in it stands for another secret in fnox"
        )),
        Some(text) => keys.push(("default", text.into())),
        None => {}
    }
    let required = said("required").and_then(Value::as_bool).unwrap_or(true);
    match (default, required) {
        (Some(_), _) => {}
        (None, true) => keys.push(("if_missing", "error".into())),
        (None, false) => keys.push(("if_missing", "ignore".into())),
    }
    if said("as_path").and_then(Value::as_bool) == Some(true) {
        keys.push(("as_file", true.into()));
    }
    found.entries.push(Entry {
        section: Section::Secrets,
        profile: profile.cloned(),
        name: name.to_owned(),
        keys,
    });
}
