//! Changes of a record: the new value's JSON takes the place of the old one's, and every other byte stays.

use std::ops::Range;

use fnox_core::SecretString;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::notation::{Field, Index, Place, Scope};
use super::record::{Record, is_null};
use crate::error::ProviderError;

/// The type of custom fields that fnox adds: Keeper hides their values until they are asked for ("Hidden Field").
const HIDDEN: &str = "secret";

impl Record {
    /// The record with a value set.
    pub(super) fn with(
        &self,
        place: &Place,
        value: &SecretString,
    ) -> Result<Zeroizing<String>, ProviderError> {
        let view = self.view()?;
        let json = json(value.expose_secret());
        let field = match place {
            Place::Notes if value.is_empty() => return Err(empty_notes()),
            Place::Notes => return Ok(self.with_member("notes", view.notes, &json)),
            Place::Field(field) => field,
            Place::Title | Place::Type | Place::File(_) => return Err(not_writable()),
        };
        let Some(found) = self.field(&view, field)? else {
            return self.with_new(field, &json);
        };
        let values = self.list(found.value)?;
        let at = match field.index {
            Index::First => 0,
            Index::At(at) => at,
            Index::All => return Err(not_writable()),
        };
        let Some(old) = values.get(at) else {
            // An empty field takes its first value.
            let (0, None, true) = (at, &field.property, values.is_empty()) else {
                return Err(self.no_value(field));
            };
            let list = bracketed(&json);
            return match found.value {
                Some(raw) => Ok(self.spliced(self.range(raw), &list)),
                None => Err(self.no_value(field)),
            };
        };
        let old = match &field.property {
            Some(name) => self
                .property(old, name)?
                .ok_or_else(|| self.no_value(field))?,
            None => old,
        };
        if old.get().starts_with(['{', '[']) {
            return Err(ProviderError::misconfigured(format!(
                "`{}` of the record {} is no text but has parts",
                field.name.escape_debug(),
                self.uid
            ))
            .with_remedy("name the part, such as `[0][first]`"));
        }
        Ok(self.spliced(self.range(old), &json))
    }

    /// The record without a value. `None`: there is none.
    pub(super) fn without(
        &self,
        place: &Place,
    ) -> Result<Option<Zeroizing<String>>, ProviderError> {
        let view = self.view()?;
        let field = match place {
            Place::Notes => {
                let notes = view
                    .notes
                    .filter(|raw| !is_null(raw) && raw.get() != "\"\"");
                return Ok(notes.map(|raw| self.spliced(self.range(raw), "\"\"")));
            }
            Place::Field(field) if field.index == Index::First && field.property.is_none() => field,
            _ => return Err(not_writable()),
        };
        let Some(found) = self.field(&view, field)? else {
            return Ok(None);
        };
        if field.scope == Scope::Standard {
            // The record's type wants the field itself.
            let value = found.value.filter(|_| {
                self.list(found.value)
                    .is_ok_and(|values| !values.is_empty())
            });
            return Ok(value.map(|raw| self.spliced(self.range(raw), "[]")));
        }
        let fields = self.fields(&view, Scope::Custom)?;
        let ranges: Vec<Range<usize>> = fields.iter().map(|raw| self.range(raw)).collect();
        let value = found.value.map(|raw| self.range(raw));
        let at = ranges.iter().position(|range| {
            value
                .as_ref()
                .is_some_and(|value| range.start <= value.start && value.end <= range.end)
        });
        let Some(at) = at else { return Ok(None) };
        // With the comma before it, or behind it.
        let gone = match (at.checked_sub(1), ranges.get(at + 1)) {
            (Some(before), _) => ranges[before].end..ranges[at].end,
            (None, Some(next)) => ranges[at].start..next.start,
            (None, None) => ranges[at].clone(),
        };
        Ok(Some(self.spliced(gone, "")))
    }

    /// A custom field that was not there. Fields of the record's type are Keeper's to add.
    fn with_new(&self, field: &Field, value: &str) -> Result<Zeroizing<String>, ProviderError> {
        let is_plain = field.property.is_none() && field.index == Index::First;
        if field.scope == Scope::Standard || !is_plain {
            return Err(self.no_value(field));
        }
        let label = json(&field.name);
        let value = bracketed(value);
        let mut new = Zeroizing::new(String::with_capacity(64 + label.len() + value.len()));
        for part in [
            "{\"type\":\"",
            HIDDEN,
            "\",\"label\":",
            &label,
            ",\"value\":",
            &value,
            "}",
        ] {
            new.push_str(part);
        }
        let view = self.view()?;
        let Some(last) = self.fields(&view, Scope::Custom)?.last().copied() else {
            return Ok(self.with_member("custom", view.custom, &bracketed(&new)));
        };
        let end = self.range(last).end;
        let mut added = Zeroizing::new(String::with_capacity(new.len() + 1));
        added.push(',');
        added.push_str(&new);
        Ok(self.spliced(end..end, &added))
    }

    /// With a member of the record itself, which may be new.
    fn with_member(&self, name: &str, old: Option<&RawValue>, json: &str) -> Zeroizing<String> {
        if let Some(old) = old {
            return self.spliced(self.range(old), json);
        }
        let mut member = Zeroizing::new(String::with_capacity(json.len() + name.len() + 4));
        for part in ["\"", name, "\":", json] {
            member.push_str(part);
        }
        // A record has a title, or at least something: `view` has seen an object.
        let start = self.data().find('{').map_or(0, |at| at + 1);
        if !self.data()[start..].trim_start().starts_with('}') {
            member.push(',');
        }
        self.spliced(start..start, &member)
    }

    /// Where a part of the plaintext is.
    fn range(&self, raw: &RawValue) -> Range<usize> {
        let part = raw.get();
        let start = part.as_ptr().addr() - self.data().as_ptr().addr();
        start..start + part.len()
    }

    fn spliced(&self, range: Range<usize>, new: &str) -> Zeroizing<String> {
        let data = self.data();
        let mut text = Zeroizing::new(String::with_capacity(data.len() + new.len()));
        text.push_str(&data[..range.start]);
        text.push_str(new);
        text.push_str(&data[range.end..]);
        text
    }

    fn no_value(&self, field: &Field) -> ProviderError {
        ProviderError::misconfigured(format!(
            "the record {} has no such value of a field `{}`",
            self.uid,
            field.name.escape_debug()
        ))
        .with_remedy(
            "fnox fills fields that are there, and adds custom fields: name one as `UID/custom_field/LABEL`",
        )
    }
}

fn not_writable() -> ProviderError {
    ProviderError::misconfigured("fnox changes fields, custom fields and notes of records only")
        .with_remedy(
            "name one value: `UID/field/password`, `UID/custom_field/LABEL` or `UID/notes`",
        )
}

/// Notes that were emptied are as good as none, so nobody would get them back.
fn empty_notes() -> ProviderError {
    ProviderError::misconfigured(
        "the notes of a record cannot hold an empty value: they would be as good as none",
    )
    .with_remedy("keep the value in a field, such as `UID/custom_field/LABEL`")
}

/// A text of JSON.
fn json(text: &str) -> Zeroizing<String> {
    // Enough for a text of nothing but control characters, so that no copy stays behind.
    let mut out = Zeroizing::new(Vec::with_capacity(6 * text.len() + 2));
    // invariant: a text can be written to memory.
    let written = serde_json::to_writer(&mut *out, text).is_ok();
    debug_assert!(written);
    Zeroizing::new(String::from_utf8(std::mem::take(&mut *out)).unwrap_or_default())
}

fn bracketed(json: &str) -> Zeroizing<String> {
    let mut list = Zeroizing::new(String::with_capacity(json.len() + 2));
    for part in ["[", json, "]"] {
        list.push_str(part);
    }
    list
}
