//! Where an entry of the merged configuration is written: the table within its file.
//!
//! The configuration remembers the place of an entry's key. The same file may have entries of the same name
//! in several tables, so the table is found by that place, not by the name alone.

use std::path::{Path, PathBuf};

use fnox_config::{FileKind, Location};
use fnox_core::ProfileName;
use toml_edit::{Document, TableLike};

/// A kind of entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Secrets,
    Providers,
    Files,
}

impl Section {
    fn key(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Providers => "providers",
            Self::Files => "files",
        }
    }
}

/// A table of a file, and the profile that it belongs to; `None` is the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) file: PathBuf,
    pub(crate) kind: FileKind,
    pub(crate) table: Vec<String>,
    pub(crate) profile: Option<ProfileName>,
}

impl Definition {
    /// The definition of an entry whose key stands at `location`. `None`: it is in no file, as the provider
    /// that `server_url` declares.
    pub(crate) fn find(location: &Location, section: Section, name: &str) -> Option<Self> {
        let document = Document::parse(location.file.text.as_str()).ok()?;
        let root: &dyn TableLike = document.as_table();
        let table = candidates(root, section).into_iter().find(|path| {
            let table = path
                .iter()
                .try_fold(root, |table, key| table.get(key)?.as_table_like());
            let span = table
                .and_then(|table| table.key(name))
                .and_then(toml_edit::Key::span);
            span.as_ref() == Some(&location.span)
        })?;
        let profile = match (table.as_slice(), &location.file.kind) {
            ([first, profile, ..], _) if first == "profiles" => ProfileName::parse(profile).ok(),
            (_, FileKind::Profile(profile)) => Some(profile.clone()),
            _ => None,
        };
        Some(Self {
            file: location.file.path.clone(),
            kind: location.file.kind.clone(),
            table,
            profile: profile.filter(|profile| profile.as_str() != "default"),
        })
    }

    /// The table as the editor wants it.
    pub(crate) fn table(&self) -> Vec<&str> {
        self.table.iter().map(String::as_str).collect()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.file
    }
}

fn candidates(root: &dyn TableLike, section: Section) -> Vec<Vec<String>> {
    let mut out = vec![vec![section.key().to_owned()]];
    let profiles = root
        .get("profiles")
        .and_then(toml_edit::Item::as_table_like);
    for (profile, _) in profiles.into_iter().flat_map(TableLike::iter) {
        let own = vec!["profiles".to_owned(), profile.to_owned()];
        out.push([own.clone(), vec![section.key().to_owned()]].concat());
        if section == Section::Secrets {
            out.push(own);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fnox_config::SourceFile;
    use fnox_config::file::FileConfig;

    use super::*;

    #[test]
    fn the_table_is_found_by_the_place_of_the_key() {
        let text = "[secrets]\nA = { value = \"1\" }\n[profiles.dev]\nA = { value = \"2\" }\n[profiles.dev.secrets.B]\nvalue = \"3\"\n[profiles.prod.secrets]\nA.value = \"4\"\n";
        let source = Arc::new(SourceFile {
            path: "/p/fnox.toml".into(),
            text: text.to_owned(),
            kind: FileKind::Project,
            imported_by: None,
        });
        let file = FileConfig::parse(source).unwrap();
        let find =
            |secrets: &indexmap::IndexMap<fnox_core::SecretName, fnox_config::SecretConfig>,
             name: &str| {
                Definition::find(&secrets[name].location, Section::Secrets, name).unwrap()
            };
        assert_eq!(find(&file.base.secrets, "A").table, ["secrets"]);
        let dev = &file.profiles["dev"].body.secrets;
        assert_eq!(find(dev, "A").table, ["profiles", "dev"]);
        assert_eq!(find(dev, "B").table, ["profiles", "dev", "secrets"]);
        let prod = &file.profiles["prod"].body.secrets;
        assert_eq!(find(prod, "A").table, ["profiles", "prod", "secrets"]);
        assert_eq!(
            find(prod, "A").profile,
            Some(ProfileName::parse("prod").unwrap())
        );
    }
}
