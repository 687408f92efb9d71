//! Where in a database a reference points.
//!
//! One part is the title of an entry anywhere. More are groups below the root, and then the title of an entry
//! in the last group or below it. If the last part is `password`, `username`, `url`, `notes` or `title`, in any
//! case, it is that field of the entry before it; else, if there is no such entry, it is a custom field, in its
//! exact case. `\/` is a `/` in a name. The first entry wins, depth first; the recycle bin does not count.

use fnox_core::SecretString;
use keepass::Database;
use keepass::db::{EntryId, GroupId, GroupRef, fields};

use crate::error::ProviderError;

/// A reference taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    reference: String,
    /// Groups and the title.
    path: Vec<String>,
    /// A standard field that is named.
    field: Option<&'static str>,
}

impl Place {
    pub(super) fn parse(reference: &str) -> Result<Self, ProviderError> {
        let mut path = vec![String::new()];
        let mut characters = reference.chars().peekable();
        while let Some(character) = characters.next() {
            match (character, characters.peek()) {
                ('\\', Some('/')) => {
                    characters.next();
                    path.last_mut().into_iter().for_each(|part| part.push('/'));
                }
                ('/', _) => path.push(String::new()),
                _ => path
                    .last_mut()
                    .into_iter()
                    .for_each(|part| part.push(character)),
            }
        }
        if path.iter().any(String::is_empty) {
            return Err(ProviderError::misconfigured(format!(
                "the reference `{}` has an empty part",
                reference.escape_debug()
            ))
            .with_remedy("write `title`, `group/title` or `group/title/field`"));
        }
        let field = path.last().and_then(|last| standard(last));
        let field = field.filter(|_| path.len() > 1);
        if field.is_some() {
            path.pop();
        }
        Ok(Self {
            reference: reference.to_owned(),
            path,
            field,
        })
    }

    /// The value as it is stored.
    pub(super) fn find(&self, database: &Database) -> Result<SecretString, ProviderError> {
        self.locate(database)
            .and_then(|(entry, field)| {
                let entry = database.entry(entry)?;
                entry.get(&field).map(SecretString::from)
            })
            .ok_or_else(|| self.absent())
    }

    fn absent(&self) -> ProviderError {
        ProviderError::not_found(&self.reference)
    }

    /// The entry, and the field that is meant.
    fn locate(&self, database: &Database) -> Option<(EntryId, String)> {
        if let Some(entry) = entry_at(database, &self.path) {
            return Some((entry, self.field.unwrap_or(fields::PASSWORD).to_owned()));
        }
        let (custom, before) = self.path.split_last()?;
        if self.field.is_some() || before.is_empty() {
            return None;
        }
        let entry = entry_at(database, before)?;
        Some((entry, custom.clone()))
    }

    /// Puts a value there; makes groups and the entry where they are not.
    pub(super) fn set(
        &self,
        database: &mut Database,
        value: &SecretString,
    ) -> Result<(), ProviderError> {
        if self.field == Some(fields::TITLE) {
            return Err(ProviderError::misconfigured(
                "the title of an entry is its name and cannot be stored as a value",
            ));
        }
        if !self
            .path
            .iter()
            .flat_map(|name| name.chars())
            .all(is_of_xml)
        {
            return Err(ProviderError::misconfigured(
                "a name in a KeePass database cannot have control characters",
            ));
        }
        let (entry, field) = match self.locate(database) {
            Some(found) => found,
            None => (
                self.create(database)?,
                self.field.unwrap_or(fields::PASSWORD).to_owned(),
            ),
        };
        let mut entry = database.entry_mut(entry).ok_or_else(|| self.absent())?;
        let visible = [fields::USERNAME, fields::URL, fields::NOTES].contains(&field.as_str());
        entry.edit_tracking(|entry| {
            let text = value.expose_secret();
            if visible && is_kept_by_xml(text) {
                entry.set_unprotected(field.as_str(), text);
            } else {
                entry.set_protected(field.as_str(), text);
            }
        });
        Ok(())
    }

    fn create(&self, database: &mut Database) -> Result<EntryId, ProviderError> {
        let (title, groups) = self.path.split_last().ok_or_else(|| self.absent())?;
        let mut group = database.root().id();
        for name in groups {
            let below = database
                .group(group)
                .and_then(|group| group.group_by_name(name).map(|below| below.id()));
            group = if let Some(below) = below {
                below
            } else {
                let mut parent = database.group_mut(group).ok_or_else(|| self.absent())?;
                let mut below = parent.add_group();
                below.name.clone_from(name);
                below.as_ref().id()
            };
        }
        let mut group = database.group_mut(group).ok_or_else(|| self.absent())?;
        let mut entry = group.add_entry();
        entry.set_unprotected(fields::TITLE, title.as_str());
        Ok(entry.as_ref().id())
    }

    /// Removes the entry, or the field that is named.
    pub(super) fn remove(&self, database: &mut Database) -> Result<(), ProviderError> {
        let (id, field) = self.locate(database).ok_or_else(|| self.absent())?;
        let mut entry = database.entry_mut(id).ok_or_else(|| self.absent())?;
        let whole =
            self.field.is_none() && entry.get_title() == self.path.last().map(String::as_str);
        if whole && field == fields::PASSWORD {
            entry.track_changes().remove();
            return Ok(());
        }
        if entry.get(&field).is_none() {
            return Err(self.absent());
        }
        entry.edit_tracking(|entry| {
            entry.fields.remove(&field);
        });
        Ok(())
    }
}

/// Whether XML gives a text back as it is. Readers may take white space away at the ends; a protected field is base64 there.
fn is_kept_by_xml(text: &str) -> bool {
    text.trim() == text && text.chars().all(is_of_xml)
}

/// Whether XML can have a character at all (XML 1.0, 2.2), and as it is (2.11: ends of lines become one). Programs that read it
/// strictly do not open a database with any other.
fn is_of_xml(character: char) -> bool {
    match character {
        '\n' | '\t' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        _ => !character.is_control(),
    }
}

fn standard(name: &str) -> Option<&'static str> {
    fields::KNOWN_FIELDS
        .into_iter()
        .find(|field| field.eq_ignore_ascii_case(name))
}

fn entry_at(database: &Database, path: &[String]) -> Option<EntryId> {
    let (title, groups) = path.split_last()?;
    let bin = database.recycle_bin().map(|bin| bin.id());
    let mut group = database.root();
    for name in groups {
        let below = group.group_by_name(name)?.id();
        group = database.group(below)?;
    }
    first(&group, title, bin)
}

fn first(group: &GroupRef<'_>, title: &str, bin: Option<GroupId>) -> Option<EntryId> {
    if Some(group.id()) == bin {
        return None;
    }
    group
        .entries()
        .find(|entry| entry.get_title() == Some(title))
        .map(|entry| entry.id())
        .or_else(|| group.groups().find_map(|below| first(&below, title, bin)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_paths_with_a_field_at_the_end() {
        for (reference, path, field) in [
            ("db", vec!["db"], None),
            ("password", vec!["password"], None),
            ("db/PassWord", vec!["db"], Some("Password")),
            ("a/b/username", vec!["a", "b"], Some("UserName")),
            ("a/b/api key", vec!["a", "b", "api key"], None),
            (r"a\/b/c\d", vec!["a/b", r"c\d"], None),
        ] {
            let place = Place::parse(reference).unwrap();
            assert_eq!(place.path, path, "{reference}");
            assert_eq!(place.field, field, "{reference}");
        }
        for bad in ["", "a//b", "/a", "a/"] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }
}
