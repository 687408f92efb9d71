//! A record: its plaintext, and values in it.
//!
//! The plaintext is read where it lies, and never taken apart and put together again: what fnox does not know of stays as it is.

use fnox_core::{SecretBytes, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::client::SealedRecord;
use super::crypto::Key;
use super::notation::{Field, Index, Place, Scope};
use crate::error::ProviderError;
use crate::wiped::Wiped;

/// A record that was opened.
pub(super) struct Record {
    pub(super) uid: String,
    pub(super) revision: i64,
    pub(super) is_editable: bool,
    pub(super) key: Key,
    /// JSON.
    data: Zeroizing<String>,
    pub(super) files: Vec<SealedFile>,
}

/// A file of a record, as it comes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SealedFile {
    pub(super) file_uid: String,
    file_key: String,
    data: String,
    #[serde(default)]
    pub(super) url: Option<String>,
}

/// What a file is called.
#[derive(Deserialize)]
struct FileNames {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    title: Option<String>,
}

/// A record's plaintext, in its own bytes.
#[derive(Deserialize)]
pub(super) struct View<'a> {
    #[serde(borrow, default)]
    title: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) notes: Option<&'a RawValue>,
    #[serde(borrow, default)]
    fields: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) custom: Option<&'a RawValue>,
}

/// A field's plaintext, in the record's bytes.
#[derive(Deserialize)]
pub(super) struct FieldView<'a> {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    label: Option<String>,
    #[serde(borrow, default)]
    pub(super) value: Option<&'a RawValue>,
}

impl Record {
    /// `None`: the key is not the record's, or what comes out is no record.
    pub(super) fn open(sealed: &SealedRecord, key: Key) -> Option<Self> {
        let mut opened = key.open_text(&sealed.data)?;
        let data = Zeroizing::new(String::from_utf8(std::mem::take(&mut *opened)).ok()?);
        let record = Self {
            uid: sealed.record_uid.clone(),
            revision: sealed.revision,
            is_editable: sealed.is_editable.unwrap_or(true),
            key,
            data,
            files: sealed.files.clone().unwrap_or_default(),
        };
        record.view().ok()?;
        Some(record)
    }

    pub(super) fn data(&self) -> &str {
        &self.data
    }

    pub(super) fn view(&self) -> Result<View<'_>, ProviderError> {
        // The parser's message may quote a value.
        serde_json::from_str(&self.data).map_err(|_| self.not_understood())
    }

    /// Its title, which is as little for others as the rest.
    pub(super) fn has_title(&self, title: &str) -> bool {
        let own = self.view().ok().and_then(|view| view.title);
        own.and_then(|own| text_of(own).ok())
            .is_some_and(|own| own.expose_secret() == title)
    }

    /// The value at a place that is no file.
    pub(super) fn value(
        &self,
        place: &Place,
        reference: &str,
    ) -> Result<SecretString, ProviderError> {
        let view = self.view()?;
        let nothing = || ProviderError::not_found(reference);
        let raw = match place {
            Place::Title => view.title,
            Place::Type => view.kind,
            Place::Notes => view.notes,
            Place::File(_) => None,
            Place::Field(field) => {
                let found = self.field(&view, field)?.ok_or_else(nothing)?;
                return self.of_field(&found, field, reference);
            }
        };
        let text = raw.filter(|raw| !is_null(raw)).ok_or_else(nothing)?;
        let text = text_of(text).map_err(|()| self.not_understood())?;
        // Notes that were emptied are as good as none.
        if text.is_empty() {
            return Err(nothing());
        }
        Ok(text)
    }

    /// The one field of that type or label.
    pub(super) fn field<'a>(
        &self,
        view: &View<'a>,
        wanted: &Field,
    ) -> Result<Option<FieldView<'a>>, ProviderError> {
        let mut found = None;
        for raw in self.fields(view, wanted.scope)? {
            let field: FieldView<'a> =
                serde_json::from_str(raw.get()).map_err(|_| self.not_understood())?;
            if !field.is_called(&wanted.name) {
                continue;
            }
            if found.replace(field).is_some() {
                return Err(ProviderError::misconfigured(format!(
                    "several fields of the record {} have the type or label `{}`",
                    self.uid,
                    wanted.name.escape_debug()
                ))
                .with_remedy(
                    "give the one that is meant a label of its own in Keeper, and name that",
                ));
            }
        }
        Ok(found)
    }

    /// The fields, each in the record's bytes.
    pub(super) fn fields<'a>(
        &self,
        view: &View<'a>,
        scope: Scope,
    ) -> Result<Vec<&'a RawValue>, ProviderError> {
        let list = match scope {
            Scope::Standard => view.fields,
            Scope::Custom => view.custom,
        };
        self.list(list)
    }

    /// The elements of a list that may be missing.
    pub(super) fn list<'a>(
        &self,
        raw: Option<&'a RawValue>,
    ) -> Result<Vec<&'a RawValue>, ProviderError> {
        match raw.filter(|raw| !is_null(raw)) {
            Some(raw) => serde_json::from_str(raw.get()).map_err(|_| self.not_understood()),
            None => Ok(Vec::new()),
        }
    }

    fn of_field(
        &self,
        found: &FieldView<'_>,
        field: &Field,
        reference: &str,
    ) -> Result<SecretString, ProviderError> {
        let nothing = || ProviderError::not_found(reference);
        let values = self.list(found.value)?;
        let understood = |text: Result<SecretString, ()>| text.map_err(|()| self.not_understood());
        match (field.index, &field.property) {
            (Index::All, None) => {
                if values.is_empty() {
                    return Err(nothing());
                }
                Ok(compact(found.value.map_or("[]", RawValue::get)))
            }
            (Index::All, Some(property)) => {
                let mut texts = Vec::new();
                for value in values {
                    if let Some(raw) = self.property(value, property)? {
                        texts.push(understood(text_of(raw))?);
                    }
                }
                if texts.is_empty() {
                    return Err(nothing());
                }
                Ok(comma_separated(&texts))
            }
            (Index::First | Index::At(_), property) => {
                let at = match field.index {
                    Index::At(at) => at,
                    _ => 0,
                };
                let value = values.get(at).copied().filter(|value| !is_null(value));
                let value = value.ok_or_else(nothing)?;
                match property {
                    None => understood(text_of(value)),
                    Some(property) => {
                        let raw = self.property(value, property)?.ok_or_else(nothing)?;
                        understood(text_of(raw))
                    }
                }
            }
        }
    }

    /// A member of a value that has members.
    pub(super) fn property<'a>(
        &self,
        value: &'a RawValue,
        name: &str,
    ) -> Result<Option<&'a RawValue>, ProviderError> {
        if !value.get().starts_with('{') {
            return Ok(None);
        }
        let members: std::collections::HashMap<String, &'a RawValue> =
            serde_json::from_str(value.get()).map_err(|_| self.not_understood())?;
        Ok(members.get(name).copied().filter(|raw| !is_null(raw)))
    }

    /// The file of that name, title or UID, with its key.
    pub(super) fn file(&self, wanted: &str) -> Result<Option<(&SealedFile, Key)>, ProviderError> {
        let mut found = None;
        for file in &self.files {
            let key = self.key.unwrap(&file.file_key);
            let opened = key.as_ref().and_then(|key| key.open_text(&file.data));
            let (Some(key), Some(opened)) = (key, opened) else {
                tracing::warn!("a file of the record {} cannot be opened", self.uid);
                continue;
            };
            let names: FileNames =
                serde_json::from_slice(&opened).map_err(|_| self.not_understood())?;
            let is_wanted = file.file_uid == wanted
                || names.name.as_deref() == Some(wanted)
                || names.title.as_deref() == Some(wanted);
            if is_wanted && found.replace((file, key)).is_some() {
                return Err(ProviderError::misconfigured(format!(
                    "several files of the record {} are called `{}`",
                    self.uid,
                    wanted.escape_debug()
                ))
                .with_remedy("name the one that is meant by its UID"));
            }
        }
        Ok(found)
    }

    fn not_understood(&self) -> ProviderError {
        ProviderError::unavailable(format!(
            "the record {} is none that fnox understands",
            self.uid
        ))
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Record")
            .field("uid", &self.uid)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl FieldView<'_> {
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.kind.as_deref() == Some(name) || self.label.as_deref() == Some(name)
    }
}

pub(super) fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// A file's content as a text.
pub(super) fn text_of_file(
    opened: Zeroizing<Vec<u8>>,
    name: &str,
) -> Result<SecretString, ProviderError> {
    let mut opened = opened;
    SecretBytes::new(std::mem::take(&mut *opened))
        .into_string()
        .map_err(|_| {
            ProviderError::misconfigured(format!(
                "the file `{}` is no text (UTF-8)",
                name.escape_debug()
            ))
            .with_remedy("fnox's values are texts: store the file in base64")
        })
}

/// A text as it is, and anything else as JSON.
fn text_of(raw: &RawValue) -> Result<SecretString, ()> {
    let text = raw.get();
    if !text.starts_with('"') {
        return Ok(compact(text));
    }
    match serde_json::from_str(text) {
        Ok(Wiped(text)) => Ok(text),
        Err(_) => Err(()),
    }
}

/// JSON without the space between its parts, which differs from client to client.
fn compact(json: &str) -> SecretString {
    let mut text = Zeroizing::new(String::with_capacity(json.len()));
    let (mut is_inside, mut is_escaped) = (false, false);
    for character in json.chars() {
        if is_inside {
            let ends = character == '"' && !is_escaped;
            is_escaped = character == '\\' && !is_escaped;
            is_inside = !ends;
        } else if character.is_ascii_whitespace() {
            continue;
        } else {
            is_inside = character == '"';
        }
        text.push(character);
    }
    SecretString::from(text.as_str())
}

/// A line of comma-separated values (RFC 4180 section 2).
fn comma_separated(texts: &[SecretString]) -> SecretString {
    let length: usize = texts.iter().map(|text| 2 * text.len() + 3).sum();
    let mut line = Zeroizing::new(String::with_capacity(length));
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            line.push(',');
        }
        let text = text.expose_secret();
        if !text.contains([',', '"', '\n', '\r']) {
            line.push_str(text);
            continue;
        }
        line.push('"');
        for character in text.chars() {
            if character == '"' {
                line.push('"');
            }
            line.push(character);
        }
        line.push('"');
    }
    SecretString::from(line.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::notation::Notation;
    use super::*;

    fn record(data: &str) -> Record {
        let key = Key::random().unwrap();
        let sealed = key.seal(data.as_bytes()).unwrap();
        let sealed = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, sealed);
        let sealed = SealedRecord {
            record_uid: "UID".to_owned(),
            record_key: None,
            data: sealed,
            revision: 7,
            is_editable: None,
            files: None,
        };
        Record::open(&sealed, key).unwrap()
    }

    fn read(data: &str, path: &str) -> Result<String, ProviderError> {
        let reference = format!("UID/{path}");
        let place = Notation::parse(&reference).unwrap().place;
        let value = record(data).value(&place, &reference)?;
        Ok(value.expose_secret().to_owned())
    }

    const DATA: &str = r#"{"title":"Shop","type":"login","fields":[
        {"type":"login","value":["bob"]},
        {"type":"password","value":["p\"w \u00fc\n"]},
        {"type":"name","label":"Nm","value":[ { "first" : "Jo e", "last":"Do" },{"first":"An"}]},
        {"type":"text","value":[]},
        {"type":"date","value":[1700000000000]},
        {"type":"checkbox","value":[null]}
      ],"custom":[
        {"type":"text","label":"La/bel[1]","value":["custom!"]},
        {"type":"phone","label":"Ph","value":[{"number":"1","ext":"2"},{"number":"3,4"}]},
        {"type":"url","value":["a"]},{"type":"url","value":["b"]}
      ],"notes":"line1\nline2"}"#;

    #[test]
    fn values_are_read_as_the_notation_says() {
        for (path, value) in [
            ("title", "Shop"),
            ("type", "login"),
            ("notes", "line1\nline2"),
            ("field/password", "p\"w ü\n"),
            ("field/password[0]", "p\"w ü\n"),
            ("field/login[]", r#"["bob"]"#),
            ("field/name", r#"{"first":"Jo e","last":"Do"}"#),
            ("field/Nm[1][first]", "An"),
            ("field/name[last]", "Do"),
            ("field/name[][first]", "Jo e,An"),
            ("field/date", "1700000000000"),
            (r"custom_field/La\/bel\[1\]", "custom!"),
            ("custom_field/text", "custom!"),
            ("custom_field/Ph[][number]", "1,\"3,4\""),
            ("custom_field/Ph[1]", r#"{"number":"3,4"}"#),
        ] {
            assert_eq!(read(DATA, path).unwrap(), value, "{path}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        use crate::error::ErrorKind;
        for path in [
            "field/Password",
            "field/phone",
            "field/text",
            "field/text[]",
            "field/checkbox",
            "field/password[1]",
            "field/password[0][first]",
            "field/name[1][last]",
            "custom_field/Ph[][fax]",
        ] {
            assert_eq!(
                read(DATA, path).unwrap_err().kind,
                ErrorKind::NotFound,
                "{path}"
            );
        }
        let bare = r#"{"title":"T","type":"login","fields":[]}"#;
        for path in ["notes", "custom_field/x", "field/password"] {
            assert_eq!(
                read(bare, path).unwrap_err().kind,
                ErrorKind::NotFound,
                "{path}"
            );
        }
    }

    #[test]
    fn two_fields_that_fit_are_an_error_and_no_guess() {
        let error = read(DATA, "custom_field/url").unwrap_err();
        assert!(error.message.contains("several fields"), "{error}");
        assert!(!format!("{error:?}").contains("\"a\""));
    }
}
