//! The `vault.toml` that `vault init` writes: every key with what it means, those that matter set.

use std::fmt::Write as _;

use fnox_config::spec::{Kind, Section};

use super::spec::{SECTIONS, VAULT};

/// The longest line of a comment.
const WIDTH: usize = 96;

/// The file's text. `set` are keys of the top level with their values.
pub(crate) fn vault_toml(set: &[(&str, String)]) -> String {
    let set: Vec<_> = set
        .iter()
        .map(|(key, value)| (VAULT.heading, *key, value.clone()))
        .collect();
    document(
        "# Settings of `fnox vault serve`. Flags and FNOX_VAULT_* beat them.\n\
         # Reference: docs/reference/vault-config.md\n",
        &SECTIONS,
        &set,
        Tables::Open,
    )
}

/// How a table of which nothing is set is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tables {
    /// As a table without keys.
    Open,
    /// In a comment, with what it is for: it would change something, or lacks a key that it needs.
    Hidden,
}

/// Every key of the sections with what it means. The first section is the top level; `set` are keys with their
/// section's heading and their value.
pub(crate) fn document(
    introduction: &str,
    sections: &[&Section],
    set: &[(&str, &str, String)],
    tables: Tables,
) -> String {
    let mut text = introduction.to_owned();
    for (position, section) in sections.iter().enumerate() {
        let has_keys = section.fields.iter().any(|field| !is_table(field.kind));
        let is_set = set.iter().any(|(heading, ..)| *heading == section.heading);
        if position > 0 && has_keys {
            text.push('\n');
            if tables == Tables::Hidden {
                comment(&mut text, section.doc);
            }
            let mark = if is_set || tables == Tables::Open {
                ""
            } else {
                "# "
            };
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(text, "{mark}{}", section.heading);
        }
        keys(&mut text, section, set);
    }
    text
}

fn is_table(kind: Kind) -> bool {
    matches!(kind, Kind::Table(_) | Kind::Tables(_))
}

fn keys(text: &mut String, section: &Section, set: &[(&str, &str, String)]) {
    for field in section.fields.iter().filter(|field| !is_table(field.kind)) {
        text.push('\n');
        comment(text, field.doc);
        let value = set
            .iter()
            .find(|(heading, key, _)| *heading == section.heading && *key == field.name);
        let _ = match value {
            Some((_, key, value)) => writeln!(text, "{key} = {}", toml_edit::Value::from(value)),
            None => writeln!(text, "# {} =", field.name),
        };
    }
}

/// A comment, folded at spaces.
fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split(' ') {
        if line.len() + word.len() >= WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_written_is_read_as_it_was_meant() {
        let set = [("store", "sqlite:/a\"b\\c.db".to_owned())];
        let text = vault_toml(&set);
        let fields =
            fnox_config::standalone::read(Path::new("/vault.toml"), text.clone(), &VAULT).unwrap();
        assert_eq!(fields.text("store"), Some("sqlite:/a\"b\\c.db"));
        assert_eq!(fields.text("key"), None);
        let keys = SECTIONS
            .iter()
            .flat_map(|section| section.fields)
            .filter(|field| !matches!(field.kind, Kind::Table(_)));
        for field in keys {
            assert!(
                text.contains(&format!("{} =", field.name)),
                "{} is not there",
                field.name
            );
        }
    }
}
