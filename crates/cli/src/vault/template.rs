//! The `vault.toml` that `vault init` writes: every key with what it means, those that matter set.

use std::fmt::Write as _;

use fnox_config::spec::{Kind, Section};

use super::spec::{SECTIONS, VAULT};

/// The longest line of a comment.
const WIDTH: usize = 96;

/// The file's text. `set` are keys of the top level with their values.
pub(crate) fn vault_toml(set: &[(&str, String)]) -> String {
    let mut text = String::from(
        "# Settings of `fnox vault serve`. Flags and FNOX_VAULT_* beat them.\n\
         # Reference: docs/reference/vault-config.md\n",
    );
    for section in SECTIONS {
        if section.heading != VAULT.heading {
            // Writing to a string cannot fail, here and below.
            let _ = write!(text, "\n{}\n", section.heading);
        }
        keys(&mut text, section, set);
    }
    text
}

fn keys(text: &mut String, section: &Section, set: &[(&str, String)]) {
    let is_top = section.heading == VAULT.heading;
    for field in section.fields {
        if matches!(field.kind, Kind::Table(_)) {
            continue;
        }
        text.push('\n');
        comment(text, field.doc);
        let value = set.iter().find(|(key, _)| is_top && *key == field.name);
        let _ = match value {
            Some((key, value)) => writeln!(text, "{key} = {}", toml_edit::Value::from(value)),
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
