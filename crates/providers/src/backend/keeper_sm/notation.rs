//! Keeper's notation, for one value of one record ("Keeper Notation"):
//!
//! ```text
//! [keeper://]UID-or-title/(title|type|notes)
//! [keeper://]UID-or-title/file/NAME
//! [keeper://]UID-or-title/(field|custom_field)/TYPE-or-label[INDEX][PROPERTY]
//! ```
//!
//! `\` before `/`, `[`, `]` and `\` takes their meaning away. A record alone stands for its password.

use crate::error::ProviderError;

/// A value of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notation {
    /// The record's UID or its title.
    pub(super) record: String,
    pub(super) place: Place,
}

/// Where in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Title,
    Type,
    Notes,
    File(String),
    Field(Field),
}

/// A field, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) scope: Scope,
    /// Its type or its label.
    pub(super) name: String,
    pub(super) index: Index,
    pub(super) property: Option<String>,
}

/// Fields of the record's type, or those that people added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Standard,
    Custom,
}

/// Which of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Index {
    /// The first, since none is named.
    First,
    At(usize),
    All,
}

impl Notation {
    /// # Errors
    /// `Misconfigured` if it is no notation.
    pub(super) fn parse(text: &str) -> Result<Self, ProviderError> {
        let parsed = split(without_scheme(text)).and_then(|parts| Self::of_parts(&parts));
        parsed.map_err(|reason| {
            ProviderError::misconfigured(format!(
                "`{}` is no notation of Keeper: {reason}",
                text.escape_debug()
            ))
            .with_remedy(
                "write `UID/field/password`, `UID/custom_field/Label`, `UID/notes` or `UID/file/NAME`, with `\\/` for a slash in a name",
            )
        })
    }

    fn of_parts(parts: &[&str]) -> Result<Self, String> {
        let (record, rest) = parts.split_first().ok_or("it is empty")?;
        let record = unescaped(record);
        if record.is_empty() {
            return Err("it names no record".to_owned());
        }
        let place = match rest {
            [] => Place::Field(Field {
                scope: Scope::Standard,
                name: "password".to_owned(),
                index: Index::First,
                property: None,
            }),
            ["title"] => Place::Title,
            ["type"] => Place::Type,
            ["notes"] => Place::Notes,
            ["file", name] => Place::File(named(unescaped(name))?),
            ["field", field] => Place::Field(Field::parse(Scope::Standard, field)?),
            ["custom_field", field] => Place::Field(Field::parse(Scope::Custom, field)?),
            ["title" | "type" | "notes", ..] => {
                return Err(format!("nothing stands behind `{}`", rest[0]));
            }
            ["file" | "field" | "custom_field"] => {
                return Err(format!("`{}` needs a name behind it", rest[0]));
            }
            ["file" | "field" | "custom_field", ..] => {
                return Err("it has more parts than a notation has".to_owned());
            }
            [other, ..] => {
                return Err(format!(
                    "`{}` is none of field, custom_field, file, notes, title, type",
                    other.escape_debug()
                ));
            }
        };
        Ok(Self { record, place })
    }

    /// The record's UID, if it is named by one: 16 bytes in base64url.
    pub(super) fn uid(&self) -> Option<&str> {
        is_uid(&self.record).then_some(self.record.as_str())
    }
}

impl Field {
    fn parse(scope: Scope, text: &str) -> Result<Self, String> {
        let (name, mut rest) = text.split_at(find(text, '[').unwrap_or(text.len()));
        let mut predicates = Vec::new();
        while let Some(inner) = rest.strip_prefix('[') {
            let end = find(inner, ']').ok_or("a `[` has no `]`")?;
            predicates.push(&inner[..end]);
            rest = &inner[end + 1..];
        }
        if !rest.is_empty() {
            return Err(format!(
                "there is something behind `]`: {}",
                rest.escape_debug()
            ));
        }
        let (index, property) = match predicates.as_slice() {
            [] => (Index::First, None),
            // From before there was an index: the property of the first value.
            [one] if !one.is_empty() && !is_number(one) => (Index::First, Some(unescaped(one))),
            [one] => (index(one)?, None),
            [one, two] => (index(one)?, Some(named(unescaped(two))?)),
            _ => return Err("it has more than two pairs of brackets".to_owned()),
        };
        Ok(Self {
            scope,
            name: named(unescaped(name))?,
            index,
            property,
        })
    }
}

fn without_scheme(text: &str) -> &str {
    const SCHEME: &str = "keeper://";
    match text.get(..SCHEME.len()) {
        Some(start) if start.eq_ignore_ascii_case(SCHEME) => &text[SCHEME.len()..],
        _ => text,
    }
}

/// The parts between slashes, escapes and all.
fn split(mut text: &str) -> Result<Vec<&str>, String> {
    let mut parts = Vec::new();
    while let Some(at) = find(text, '/') {
        parts.push(&text[..at]);
        text = &text[at + 1..];
    }
    parts.push(text);
    match parts.last() {
        Some(last) if last.is_empty() && parts.len() > 1 => Err("it ends with a slash".to_owned()),
        _ => Ok(parts),
    }
}

/// The first place of a character that has its meaning.
fn find(text: &str, wanted: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, character) in text.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if character == wanted {
            return Some(at);
        } else {
            is_escaped = character == '\\';
        }
    }
    None
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        let escaped = match rest.peek() {
            Some(next @ ('/' | '[' | ']' | '\\')) if character == '\\' => Some(*next),
            _ => None,
        };
        if escaped.is_some() {
            rest.next();
        }
        plain.push(escaped.unwrap_or(character));
    }
    plain
}

fn named(name: String) -> Result<String, String> {
    if name.is_empty() {
        return Err("a name in it is empty".to_owned());
    }
    Ok(name)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn index(text: &str) -> Result<Index, String> {
    if text.is_empty() {
        return Ok(Index::All);
    }
    match text.parse() {
        Ok(at) if is_number(text) => Ok(Index::At(at)),
        _ => Err(format!("`[{}]` is no index", text.escape_debug())),
    }
}

fn is_uid(text: &str) -> bool {
    use base64::Engine as _;
    text.len() == 22
        && base64::prelude::BASE64_URL_SAFE_NO_PAD
            .decode(text)
            .is_ok_and(|bytes| bytes.len() == 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "eRS1gpwt0Lq8CIpCW5U-Nw";

    fn field(scope: Scope, name: &str, index: Index, property: Option<&str>) -> Place {
        Place::Field(Field {
            scope,
            name: name.to_owned(),
            index,
            property: property.map(str::to_owned),
        })
    }

    #[test]
    fn what_the_notation_has_is_read() {
        use Index::{All, At, First};
        use Scope::{Custom, Standard};
        for (text, place) in [
            ("R", field(Standard, "password", First, None)),
            ("R/title", Place::Title),
            ("keeper://R/type", Place::Type),
            ("KEEPER://R/notes", Place::Notes),
            ("R/file/a.txt", Place::File("a.txt".to_owned())),
            ("R/field/login", field(Standard, "login", First, None)),
            ("R/field/name[0]", field(Standard, "name", At(0), None)),
            ("R/field/name[]", field(Standard, "name", All, None)),
            (
                "R/field/name[last]",
                field(Standard, "name", First, Some("last")),
            ),
            (
                "R/field/name[1][first]",
                field(Standard, "name", At(1), Some("first")),
            ),
            (
                "R/custom_field/phone[][number]",
                field(Custom, "phone", All, Some("number")),
            ),
            (
                r"R/custom_field/La\/bel\[1\]\\x",
                field(Custom, r"La/bel[1]\x", First, None),
            ),
            (
                "R/custom_field/Two words",
                field(Custom, "Two words", First, None),
            ),
        ] {
            let notation = Notation::parse(text).unwrap();
            assert_eq!(notation.place, place, "{text}");
            assert_eq!(notation.record, "R");
        }
    }

    #[test]
    fn what_it_has_not_is_refused_with_a_remedy() {
        for text in [
            "",
            "/title",
            "R/",
            "R/field",
            "R/field/",
            "R/Field/password",
            "R/password",
            "R/title/x",
            "R/field/a/b",
            "R/file/a/b",
            "R/field/[0]",
            "R/field/name[",
            "R/field/name[0]x",
            "R/field/name[first][last]",
            "R/field/name[+1][last]",
            "R/field/name[0][]",
            "R/field/name[0][1][2]",
            "R/field/name[99999999999999999999]",
        ] {
            let error = Notation::parse(text).unwrap_err();
            assert!(error.remedy.is_some(), "{text}: {error}");
        }
    }

    #[test]
    fn titles_may_have_slashes_and_a_uid_is_told_from_a_title() {
        let notation = Notation::parse(r"a\/b/title").unwrap();
        assert_eq!(notation.record, "a/b");
        assert_eq!(notation.uid(), None);
        let notation = Notation::parse(&format!("{UID}/title")).unwrap();
        assert_eq!(notation.uid(), Some(UID));
        for title in [
            "",
            "Shop",
            "eRS1gpwt0Lq8CIpCW5U-N=",
            "eRS1gpwt0Lq8CIpCW5U-Nww",
        ] {
            assert!(!is_uid(title), "{title}");
        }
    }
}
