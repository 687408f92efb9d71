//! How values are quoted in each format.

use std::fmt::Write as _;

use fnox_core::SecretString;
use jiff::Timestamp;
use toml_edit::{DocumentMut, Item, Table};
use zeroize::Zeroizing;

use crate::args::ExportFormat;
use crate::error::CliError;
use crate::output::documents::{ExportMetadata, Exported};

type Text = Zeroizing<String>;

/// What is exported.
pub(super) struct Export {
    pub(super) values: Vec<(String, SecretString)>,
    pub(super) profile: String,
    pub(super) exported_at: Timestamp,
    pub(super) header: bool,
}

impl Export {
    /// The whole output, with a line end.
    pub(super) fn render(&self, format: ExportFormat) -> Result<Text, CliError> {
        match format {
            ExportFormat::Env => self.lines(format, |out, name, value| {
                out.push_str(name);
                out.push('=');
                dotenv_value(out, value);
            }),
            ExportFormat::Shell => self.lines(format, |out, name, value| {
                out.push_str("export ");
                out.push_str(name);
                out.push('=');
                shell_value(out, value);
            }),
            ExportFormat::Gha => {
                let delimiter = format!("fnox_{}", uuid::Uuid::new_v4().simple());
                self.lines(format, |out, name, value| {
                    environment_file_entry(out, name, value, &delimiter);
                })
            }
            ExportFormat::Json => self.json(),
            ExportFormat::Yaml => Ok(self.yaml()),
            ExportFormat::Toml => Ok(self.toml()),
        }
    }

    fn lines<F>(&self, format: ExportFormat, line: F) -> Result<Text, CliError>
    where
        F: Fn(&mut String, &str, &str),
    {
        // Room for the worst case, so that growing leaves no copies behind.
        let size = self
            .values
            .iter()
            .map(|(name, value)| name.len() + 4 * value.len() + 16)
            .sum::<usize>();
        let mut out = Zeroizing::new(String::with_capacity(size + 256));
        if self.header {
            // A profile's name has no control characters, so it cannot end the comment.
            let _ = write!(
                out,
                "# Exported from profile: {}\n# Exported at: {}\n# Total secrets: {}\n\n",
                self.profile,
                self.exported_at,
                self.values.len()
            );
        }
        for (name, value) in &self.values {
            if value.expose_secret().contains('\0') {
                return Err(not_expressible(name, format));
            }
            line(&mut out, name, value.expose_secret());
            out.push('\n');
        }
        Ok(out)
    }

    fn json(&self) -> Result<Text, CliError> {
        let exported = Exported {
            secrets: self.pairs().collect(),
            metadata: self.metadata(),
        };
        let mut text = serde_json::to_string_pretty(&exported).map_err(std::io::Error::from)?;
        text.push('\n');
        Ok(Zeroizing::new(text))
    }

    /// JSON's escapes are YAML's (YAML 1.2.2, 5.7), but YAML allows fewer characters to stand as they are.
    fn yaml(&self) -> Text {
        let mut out = Zeroizing::new(String::new());
        out.push_str(if self.values.is_empty() {
            "secrets: {}\n"
        } else {
            "secrets:\n"
        });
        for (name, value) in self.pairs() {
            out.push_str("  ");
            yaml_value(&mut out, name);
            out.push_str(": ");
            yaml_value(&mut out, value);
            out.push('\n');
        }
        let metadata = self.metadata();
        out.push_str("metadata:\n  profile: ");
        yaml_value(&mut out, &metadata.profile);
        let (at, total) = (&metadata.exported_at, metadata.total_secrets);
        let _ = write!(out, "\n  exported_at: \"{at}\"\n  total_secrets: {total}\n");
        out
    }

    fn toml(&self) -> Text {
        let mut document = DocumentMut::new();
        let mut secrets = Table::new();
        for (name, value) in self.pairs() {
            secrets.insert(name, toml_edit::value(value));
        }
        let metadata = self.metadata();
        let mut about = Table::new();
        about.insert("profile", toml_edit::value(metadata.profile));
        about.insert("exported_at", toml_edit::value(metadata.exported_at));
        about.insert(
            "total_secrets",
            toml_edit::value(i64::try_from(metadata.total_secrets).unwrap_or(i64::MAX)),
        );
        document.insert("secrets", Item::Table(secrets));
        document.insert("metadata", Item::Table(about));
        Zeroizing::new(document.to_string())
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose_secret()))
    }

    fn metadata(&self) -> ExportMetadata {
        ExportMetadata {
            profile: self.profile.clone(),
            exported_at: self.exported_at.to_string(),
            total_secrets: self.values.len(),
        }
    }
}

fn not_expressible(name: &str, format: ExportFormat) -> CliError {
    let format = super::name_of(format);
    CliError::NotInjectable {
        name: name.to_owned(),
        reason: format!("its value has a NUL byte, which the format `{format}` cannot express"),
        help: Some("use `--format json`".to_owned()),
    }
}

fn is_plain(value: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:/-".contains(&byte);
    !value.is_empty() && value.bytes().all(is_safe)
}

/// As it is if nothing in it is special; in single quotes if it has something that readers may expand; else
/// in double quotes with escapes.
fn dotenv_value(out: &mut String, value: &str) {
    let may_expand = value.contains(['$', '`', '!']);
    if is_plain(value) {
        out.push_str(value);
    } else if may_expand && !value.contains(['\'', '\\', '\n', '\r']) {
        out.push('\'');
        out.push_str(value);
        out.push('\'');
    } else {
        out.push('"');
        for character in value.chars() {
            match character {
                '\\' | '"' | '$' | '`' => {
                    out.push('\\');
                    out.push(character);
                }
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                other => out.push(other),
            }
        }
        out.push('"');
    }
}

/// An entry of `$GITHUB_ENV` (GitHub Actions, "Workflow commands: multiline strings"). Nobody can have put a
/// delimiter that was drawn just now into a value.
fn environment_file_entry(out: &mut String, name: &str, value: &str, delimiter: &str) {
    for part in [name, "<<", delimiter, "\n", value, "\n", delimiter] {
        out.push_str(part);
    }
}

/// POSIX: within single quotes everything but a single quote is literal (XCU 2.2.2).
pub(in crate::commands) fn shell_value(out: &mut String, value: &str) {
    if is_plain(value) {
        out.push_str(value);
        return;
    }
    out.push('\'');
    for character in value.chars() {
        match character {
            '\'' => out.push_str("'\\''"),
            other => out.push(other),
        }
    }
    out.push('\'');
}

fn yaml_value(out: &mut String, value: &str) {
    out.push('"');
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Not printable, a line break of YAML 1.1, or a byte order mark.
            '\0'..='\u{1f}'
            | '\u{7f}'..='\u{a0}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                let _ = write!(out, "\\u{:04X}", u32::from(character));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use fnox_providers::flat::Syntax;
    use fnox_providers::{dotenv, flat, shell};
    use proptest::prelude::*;

    use super::*;

    fn export(values: &[String]) -> Export {
        let named = values.iter().enumerate();
        Export {
            values: named
                .map(|(index, value)| (format!("V{index}"), SecretString::from(value.as_str())))
                .collect(),
            profile: "dev,eu".to_owned(),
            exported_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            header: true,
        }
    }

    fn values(pairs: Vec<(String, SecretString)>) -> Vec<String> {
        pairs
            .into_iter()
            .map(|(_, value)| value.expose_secret().to_owned())
            .collect()
    }

    /// What a POSIX shell that evaluates the text then has.
    fn evaluated(text: &str, count: usize) -> Vec<String> {
        let mut script = "eval \"$EXPORTED\"\n".to_owned();
        for index in 0..count {
            let _ = writeln!(script, "printf '%s\\0' \"$V{index}\"");
        }
        let output = Command::new("sh")
            .args(["-c", &script])
            .env_clear()
            .env("EXPORTED", text)
            .output()
            .unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    fn awkward() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[a-z'\"$`\\\\!#=;&|<>(){}\\[\\]*?~ \\t\\n\\räß€😀\u{2028}\u{85}\u{feff}\u{1}\u{7f}-]{0,24}",
            1 => "[A-Za-z0-9_.:/-]{1,12}",
            1 => any::<String>().prop_map(|text| text.replace('\0', "")),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_format_gives_every_value_back(list in prop::collection::vec(awkward(), 1..8)) {
            let export = export(&list);
            let text = export.render(ExportFormat::Env).unwrap();
            prop_assert_eq!(&values(dotenv::parse(&text).unwrap()), &list, "{}", *text);
            let text = export.render(ExportFormat::Shell).unwrap();
            prop_assert_eq!(&values(shell::parse(&text).unwrap()), &list, "{}", *text);
            prop_assert_eq!(&evaluated(&text, list.len()), &list, "{}", *text);
            for (format, syntax) in [
                (ExportFormat::Json, Syntax::Json),
                (ExportFormat::Yaml, Syntax::Yaml),
                (ExportFormat::Toml, Syntax::Toml),
            ] {
                let text = export.render(format).unwrap();
                prop_assert_eq!(&values(flat::parse(&text, syntax).unwrap()), &list, "{}", *text);
            }
        }
    }

    #[test]
    fn quoting_is_the_documented_one() {
        let list = [
            "plain_1.2:/-",
            "",
            "two words",
            "a$b",
            "it's $5",
            "line\nbreak",
        ]
        .map(str::to_owned);
        let mut export = export(&list);
        export.header = false;
        let text = export.render(ExportFormat::Env).unwrap();
        let expected = "V0=plain_1.2:/-\nV1=\"\"\nV2=\"two words\"\nV3='a$b'\nV4=\"it's \\$5\"\nV5=\"line\\nbreak\"\n";
        assert_eq!(*text, expected);
        let text = export.render(ExportFormat::Shell).unwrap();
        let expected = "export V0=plain_1.2:/-\nexport V1=''\nexport V2='two words'\nexport V3='a$b'\nexport V4='it'\\''s $5'\nexport V5='line\nbreak'\n";
        assert_eq!(*text, expected);
    }

    #[test]
    fn nothing_to_export_is_still_a_document() {
        let export = export(&[]);
        for (format, syntax) in [
            (ExportFormat::Json, Syntax::Json),
            (ExportFormat::Yaml, Syntax::Yaml),
            (ExportFormat::Toml, Syntax::Toml),
        ] {
            assert!(
                flat::parse(&export.render(format).unwrap(), syntax)
                    .unwrap()
                    .is_empty(),
                "{format:?}"
            );
        }
    }

    #[test]
    fn a_nul_byte_is_refused_where_it_cannot_be_written() {
        let export = export(&["a\0b".to_owned()]);
        assert!(export.render(ExportFormat::Env).is_err());
        assert!(export.render(ExportFormat::Shell).is_err());
        let text = export.render(ExportFormat::Json).unwrap();
        assert_eq!(values(flat::parse(&text, Syntax::Json).unwrap()), ["a\0b"]);
    }
}
