//! The text around a value: `//packages.example.com/:_authToken=${SECRET}`.
//!
//! `${SECRET}` is the value, `${SECRET.NAME}` one variable of a credential that has several. `|json`, `|url` and
//! `|base64` before the brace write the value so that it cannot end the text around it early. Any other `$`
//! stays as it is; something that only looks like one of these is refused, since it would be left in a file
//! that nobody reads until it does not work.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fnox_core::SecretBytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use zeroize::Zeroizing;

/// What every place begins with.
const START: &str = "${SECRET";

/// All but the unreserved characters (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A text with places for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value {
        variable: Option<String>,
        form: Form,
    },
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    /// Inside of a JSON string (RFC 8259, section 7), without its quotation marks.
    Json,
    /// Inside of a URL (RFC 3986, section 2.1).
    Url,
    /// RFC 4648, section 4.
    Base64,
}

impl Default for Template {
    /// The value alone.
    fn default() -> Self {
        Self {
            parts: vec![Part::Value {
                variable: None,
                form: Form::Plain,
            }],
        }
    }
}

impl Template {
    /// Reads a template.
    ///
    /// ```
    /// # use fnox_agent::template::Template;
    /// assert!(Template::parse(r#"{"auth":"${SECRET.TOKEN|json}"}"#).is_ok());
    /// assert!(Template::parse("no place for the value").is_err());
    /// ```
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find(START) {
            let (before, place) = rest.split_at(start);
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let inside = &place[START.len()..];
            let end = inside
                .find('}')
                .ok_or_else(|| format!("`{START}` without its `}}`"))?;
            parts.push(place_of(&inside[..end])?);
            rest = &inside[end + 1..];
        }
        if parts.is_empty() {
            return Err("the template has no `${SECRET}`".to_owned());
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// The text with the value in it.
    ///
    /// # Errors
    /// Why the value does not fit, for people and without the value.
    pub fn render(&self, value: &SecretBytes) -> Result<SecretBytes, String> {
        let mut pieces: Vec<Zeroizing<Vec<u8>>> = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            pieces.push(match part {
                Part::Text(text) => Zeroizing::new(text.clone().into_bytes()),
                Part::Value { variable, form } => match variable {
                    None => written(value.expose_secret(), *form)?,
                    Some(name) => written(variable_of(value, name)?.as_bytes(), *form)?,
                },
            });
        }
        // Allocated once: growing would leave copies behind.
        let mut out = Vec::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
        for piece in &pieces {
            out.extend_from_slice(piece);
        }
        Ok(SecretBytes::new(out))
    }
}

/// `.NAME|form`, both of them optional.
fn place_of(inside: &str) -> Result<Part, String> {
    let unknown = || {
        format!(
            "`{START}{}}}` is none of `${{SECRET}}`, `${{SECRET.NAME}}`, `${{SECRET|json}}`, `|url`, `|base64`",
            inside.escape_debug()
        )
    };
    let (name, form) = match inside.split_once('|') {
        None => (inside, Form::Plain),
        Some((name, "json")) => (name, Form::Json),
        Some((name, "url")) => (name, Form::Url),
        Some((name, "base64")) => (name, Form::Base64),
        Some(_) => return Err(unknown()),
    };
    let variable = match name.strip_prefix('.') {
        Some(name) if fnox_core::name::is_variable_name(name) => Some(name.to_owned()),
        None if name.is_empty() => None,
        _ => return Err(unknown()),
    };
    Ok(Part::Value { variable, form })
}

fn variable_of(value: &SecretBytes, name: &str) -> Result<Zeroizing<String>, String> {
    let mut all: BTreeMap<String, Wiped> = serde_json::from_slice(value.expose_secret())
        .map_err(|_| "it has one value and no variables of its own".to_owned())?;
    all.remove(name)
        .map(|value| value.0)
        .ok_or_else(|| format!("it has no variable `{name}`"))
}

/// A text that is overwritten when it is dropped.
struct Wiped(Zeroizing<String>);

impl<'de> serde::Deserialize<'de> for Wiped {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

fn written(value: &[u8], form: Form) -> Result<Zeroizing<Vec<u8>>, String> {
    Ok(Zeroizing::new(match form {
        Form::Plain => value.to_vec(),
        Form::Base64 => BASE64.encode(value).into_bytes(),
        Form::Url => percent_encode(value, RESERVED).to_string().into_bytes(),
        Form::Json => {
            let text = std::str::from_utf8(value).map_err(|_| "it is not UTF-8".to_owned())?;
            let quoted = serde_json::to_vec(text).map_err(|_| "it is no JSON string".to_owned())?;
            let quoted = Zeroizing::new(quoted);
            quoted[1..quoted.len() - 1].to_vec()
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str, value: &str) -> Result<String, String> {
        let value = SecretBytes::new(value.as_bytes().to_vec());
        let out = Template::parse(template)?.render(&value)?;
        Ok(String::from_utf8(out.expose_secret().to_vec()).unwrap())
    }

    #[test]
    fn a_value_is_written_in_the_form_that_its_place_wants() {
        for (template, written) in [
            ("${SECRET}", "a\"b/c"),
            ("x${SECRET}y${SECRET}$", "xa\"b/cya\"b/c$"),
            ("{\"t\":\"${SECRET|json}\"}", "{\"t\":\"a\\\"b/c\"}"),
            ("https://u:${SECRET|url}@h", "https://u:a%22b%2Fc@h"),
            ("${SECRET|base64}", "YSJiL2M="),
            ("${OTHER} $SECRET ${SECRET}", "${OTHER} $SECRET a\"b/c"),
        ] {
            assert_eq!(render(template, "a\"b/c").unwrap(), written);
        }
    }

    #[test]
    fn one_variable_of_several_is_taken() {
        let pair = r#"{"ID":"AKIA","KEY":"s\nk"}"#;
        let file = "id=${SECRET.ID}\nkey=${SECRET.KEY|json}\n";
        assert_eq!(render(file, pair).unwrap(), "id=AKIA\nkey=s\\nk\n");
        let absent = render("${SECRET.NO}", pair).unwrap_err();
        assert_eq!(absent, "it has no variable `NO`");
        assert!(render("${SECRET.ID}", "plain").is_err());
    }

    #[test]
    fn what_only_looks_like_a_place_is_refused() {
        for template in [
            "",
            "token=",
            "${SECRET",
            "${SECRETS}",
            "${SECRET|}",
            "${SECRET|hex}",
            "${SECRET.}",
            "${SECRET.A-B}",
            "${SECRET }",
        ] {
            assert!(Template::parse(template).is_err(), "{template:?}");
        }
    }
}
