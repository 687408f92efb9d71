//! What other tools print when they are asked for JSON.
//!
//! Only names and values are taken. Messages of the parser quote the document, so nothing but the line is taken from them.

use fnox_core::SecretString;
use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::input::{Pairs, Unreadable};

/// `chamber export --format json SERVICE`: the names of parameters, which `chamber exec` makes variables in this way.
pub(super) fn chamber(text: &str) -> Result<Pairs, Unreadable> {
    let secrets: IndexMap<String, String> = read(text, "`chamber export --format json SERVICE`")?;
    renamed(
        secrets
            .into_iter()
            .map(|(name, value)| (Name::Made(name), SecretString::from(value))),
    )
}

/// `doppler secrets download --no-file --format json` or `doppler secrets --json`.
pub(super) fn doppler(text: &str) -> Result<Pairs, Unreadable> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Entry {
        Value(String),
        Secret { computed: Option<String> },
    }
    let secrets: IndexMap<String, Entry> = read(
        text,
        "`doppler secrets download --no-file --format json` or `doppler secrets --json`",
    )?;
    let of_doppler = ["DOPPLER_PROJECT", "DOPPLER_ENVIRONMENT", "DOPPLER_CONFIG"];
    secrets
        .into_iter()
        .filter(|(name, _)| !of_doppler.contains(&name.as_str()))
        .map(|(name, entry)| match entry {
            Entry::Value(value)
            | Entry::Secret {
                computed: Some(value),
            } => Ok((name, SecretString::from(value))),
            Entry::Secret { computed: None } => Err(Unreadable::because(&format!(
                "`{}` has no value in it",
                name.escape_debug()
            ))
            .with_help("Doppler does not show restricted secrets; ask with a service token")),
        })
        .collect()
}

/// `infisical export --format json` or `infisical secrets --output json`.
pub(super) fn infisical(text: &str) -> Result<Pairs, Unreadable> {
    #[derive(Deserialize)]
    struct Entry {
        #[serde(alias = "secretKey")]
        key: String,
        #[serde(alias = "secretValue")]
        value: String,
    }
    let secrets: Vec<Entry> = read(text, "`infisical export --format json`")?;
    let pairs = secrets.into_iter();
    Ok(pairs
        .map(|entry| (entry.key, SecretString::from(entry.value)))
        .collect())
}

/// `op item get ITEM --format json`: the fields that have a value. Notes are no secret of a program, and of a one-time password
/// only the seed is there.
pub(super) fn onepassword(text: &str) -> Result<Pairs, Unreadable> {
    #[derive(Deserialize)]
    struct Item {
        #[serde(default)]
        fields: Vec<ItemField>,
    }
    #[derive(Deserialize)]
    struct ItemField {
        id: String,
        label: Option<String>,
        value: Option<String>,
        purpose: Option<String>,
        #[serde(rename = "type")]
        kind: Option<String>,
    }
    let item: Item = read(text, "`op item get ITEM --format json`")?;
    let fields = item.fields.into_iter().filter(|field| {
        field.purpose.as_deref() != Some("NOTES") && field.kind.as_deref() != Some("OTP")
    });
    renamed(fields.filter_map(|field| {
        let value = field.value.filter(|value| !value.is_empty())?;
        let name = Name::Made(field.label.unwrap_or(field.id));
        Some((name, SecretString::from(value)))
    }))
}

fn read<T: DeserializeOwned>(text: &str, command: &str) -> Result<T, Unreadable> {
    serde_json::from_str(text).map_err(|error| {
        let line = error.line();
        Unreadable::because(&format!("it is not what {command} prints (line {line})"))
    })
}

/// A name of another tool.
pub(super) enum Name {
    /// A variable's name already.
    Kept(String),
    /// A variable's name is made of it.
    Made(String),
}

/// Names as variables have them: `api-key` becomes `API_KEY`.
pub(super) fn renamed(
    pairs: impl IntoIterator<Item = (Name, SecretString)>,
) -> Result<Pairs, Unreadable> {
    let mut seen: IndexMap<String, String> = IndexMap::new();
    let mut out = Pairs::new();
    for (name, value) in pairs {
        let (variable, name) = match name {
            Name::Kept(name) => (name.clone(), name),
            Name::Made(name) => (variable(&name), name),
        };
        if let Some(other) = seen.insert(variable.clone(), name.clone()) {
            return Err(Unreadable::because(&format!(
                "`{}` and `{}` would both be `{variable}`",
                other.escape_debug(),
                name.escape_debug()
            ))
            .with_help("rename one of them where they come from"));
        }
        out.push((variable, value));
    }
    Ok(out)
}

/// A variable's name that is made of another one.
pub(super) fn variable(name: &str) -> String {
    name.chars()
        .map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' => character.to_ascii_uppercase(),
            _ => '_',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Reader = fn(&str) -> Result<Pairs, Unreadable>;

    #[track_caller]
    fn assert_read(read: Reader, text: &str, wanted: &[(&str, &str)]) {
        let pairs = read(text).map_err(|error| error.reason).unwrap();
        let pairs: Vec<(&str, &str)> = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose_secret()))
            .collect();
        assert_eq!(pairs, wanted);
    }

    #[test]
    fn names_and_values_are_taken() {
        assert_read(
            chamber,
            r#"{"db.password":"1 ","api-key":"2"}"#,
            &[("DB_PASSWORD", "1 "), ("API_KEY", "2")],
        );
        assert_read(
            doppler,
            r#"{"A":"1","DOPPLER_CONFIG":"dev"}"#,
            &[("A", "1")],
        );
        assert_read(
            doppler,
            r#"{"A":{"computed":"1","computedVisibility":"masked","note":""}}"#,
            &[("A", "1")],
        );
        assert_read(
            infisical,
            r#"[{"key":"A","value":"1","workspace":"w","tags":[]},{"secretKey":"B","secretValue":"2"}]"#,
            &[("A", "1"), ("B", "2")],
        );
        assert_read(
            onepassword,
            r#"{"id":"i","title":"Database","fields":[
                {"id":"username","type":"STRING","purpose":"USERNAME","label":"username","value":"app"},
                {"id":"password","type":"CONCEALED","purpose":"PASSWORD","label":"password","value":"1"},
                {"id":"notesPlain","type":"STRING","purpose":"NOTES","label":"notesPlain","value":"mine"},
                {"id":"x1","type":"OTP","label":"one-time password","value":"otpauth://"},
                {"id":"x2","type":"CONCEALED","label":"API key","value":"2"},
                {"id":"x3","type":"STRING","label":"empty"}]}"#,
            &[("USERNAME", "app"), ("PASSWORD", "1"), ("API_KEY", "2")],
        );
    }

    #[test]
    fn what_does_not_fit_is_named_without_a_value() {
        let cases: [(Reader, &str, &str); 4] = [
            (
                chamber,
                r#"{"a-b":"hunter2","a.b":"hunter3"}"#,
                "`a-b` and `a.b` would both be `A_B`",
            ),
            (
                doppler,
                r#"{"A":{"computed":null,"note":"hunter2"}}"#,
                "`A` has no value in it",
            ),
            (
                infisical,
                r#"{"A":"hunter2"}"#,
                "it is not what `infisical export --format json` prints (line 1)",
            ),
            (
                onepassword,
                r#"["hunter2"]"#,
                "it is not what `op item get ITEM --format json` prints (line 1)",
            ),
        ];
        for (read, text, wanted) in cases {
            let reason = read(text).err().map(|error| error.reason);
            assert_eq!(reason.as_deref(), Some(wanted), "{text}");
        }
    }
}
