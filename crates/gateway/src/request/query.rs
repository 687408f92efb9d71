//! The query of a request, in the one form in which it is judged and sent.

use std::borrow::Cow;
use std::fmt;

use super::percent;
use crate::refusal::{Reason, Refusal};

/// The parameters of a query, in their order.
///
/// Only `&` separates them: a semicolon, which some servers take for a separator too, is sent encoded, so that
/// all of them take it for a part of a value.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Query(Vec<Parameter>);

/// One parameter, as it is sent.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Parameter {
    name: String,
    value: Option<String>,
}

impl Query {
    /// Reads a query, without the question mark.
    ///
    /// # Errors
    /// [`Reason::Ambiguous`] with what is wrong; the query itself is not part of it.
    pub fn parse(text: Option<&str>) -> Result<Self, Refusal> {
        let Some(text) = text else {
            return Ok(Self::default());
        };
        text.split('&')
            .map(Parameter::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The parameters in their order.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.0.iter()
    }

    /// Whether there is no query at all, not even a question mark.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parameters to write to.
    pub(crate) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        self.0.iter_mut()
    }

    /// Keeps those parameters that `is_kept` says yes to.
    pub(crate) fn retain(&mut self, is_kept: impl FnMut(&Parameter) -> bool) {
        self.0.retain(is_kept);
    }

    /// Encodes everything that is not unreserved, and leaves out what is between two `&`: what a signature of AWS is
    /// over, however the other side reads a query.
    pub(crate) fn encode_reserved(&mut self) {
        let encoded = |text: &str| {
            // invariant: a canonical query has no broken encoding
            percent::normalize(text, |_| false).unwrap_or_else(|_| text.to_owned())
        };
        self.0
            .retain(|it| !it.name.is_empty() || it.value.is_some());
        for parameter in &mut self.0 {
            parameter.name = encoded(&parameter.name);
            parameter.value = parameter.value.as_deref().map(encoded);
        }
    }

    /// Adds a parameter at the end. Both texts are taken literally.
    pub(crate) fn push(&mut self, name: &str, value: &str) {
        self.0.push(Parameter {
            name: percent::encode(name),
            value: Some(percent::encode(value)),
        });
    }
}

impl Parameter {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        Ok(Self {
            name: canonical(name)?,
            value: value.map(canonical).transpose()?,
        })
    }

    /// Puts another value in the place of this one.
    pub(crate) fn replace_value(&mut self, encoded: &str) -> Result<(), Refusal> {
        self.value = Some(canonical(encoded)?);
        Ok(())
    }

    /// The name as it is sent.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value as it is sent, if there is an equals sign.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// What the name stands for.
    #[must_use]
    pub fn decoded_name(&self) -> Cow<'_, [u8]> {
        percent::decode(&self.name)
    }

    /// What the value stands for: empty if there is none. A plus sign is left as it is.
    #[must_use]
    pub fn decoded_value(&self) -> Cow<'_, [u8]> {
        percent::decode(self.value.as_deref().unwrap_or_default())
    }

    /// Whether every way to read the name gives `name`.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        all_readings(&self.name, |read| read == name.as_bytes())
    }

    /// Whether some way to read the name gives `name`.
    #[must_use]
    pub fn may_be_named(&self, name: &str) -> bool {
        !all_readings(&self.name, |read| read != name.as_bytes())
    }

    /// Whether `is_met` says yes to every way to read the value: with `+` as a plus sign and as a space.
    pub fn every_value(&self, is_met: impl Fn(&[u8]) -> bool) -> bool {
        all_readings(self.value.as_deref().unwrap_or_default(), is_met)
    }
}

/// A query is a URI's (RFC 3986: `+` is a plus sign) or a form's (WHATWG URL: `+` is a space).
fn all_readings(text: &str, is_met: impl Fn(&[u8]) -> bool) -> bool {
    is_met(&percent::decode(text))
        && (!text.contains('+') || is_met(&percent::decode(&text.replace('+', "%20"))))
}

impl fmt::Display for Query {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, Parameter { name, value }) in self.0.iter().enumerate() {
            if position > 0 {
                formatter.write_str("&")?;
            }
            formatter.write_str(name)?;
            if let Some(value) = value {
                write!(formatter, "={value}")?;
            }
        }
        Ok(())
    }
}

/// A credential may stand in a query.
impl fmt::Debug for Query {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Query({} parameters)", self.0.len())
    }
}

impl fmt::Debug for Parameter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Parameter({} bytes)", self.name.len())
    }
}

fn canonical(text: &str) -> Result<String, Refusal> {
    let ambiguous = |problem: &str| {
        Refusal::new(
            Reason::Ambiguous,
            format!("the query {problem}, which servers read in different ways"),
        )
        .with_remedy("Encode the query as RFC 3986 says.")
    };
    let normal = percent::normalize(text, may_stand)
        .map_err(|_| ambiguous("has a `%` without two hexadecimal digits"))?;
    if percent::decode(&normal).contains(&0) {
        return Err(ambiguous("has an encoded NUL"));
    }
    Ok(normal)
}

/// What may stand in a query besides unreserved characters (RFC 3986, section 3.4), without the semicolon.
fn may_stand(byte: u8) -> bool {
    b"!$'()*+,=:@/?".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(Some(text)).unwrap()
    }

    #[test]
    fn a_query_has_one_form() {
        for (text, canonical) in [
            ("", ""),
            ("a", "a"),
            ("a=", "a="),
            ("a=1&&b==2", "a=1&&b==2"),
            ("a=1;b=2", "a=1%3Bb=2"),
            ("%61%5b%5D=x[]", "a%5B%5D=x%5B%5D"),
            ("u=https://h/%2f%25", "u=https://h/%2F%25"),
            ("q=a+b%2bc%20d", "q=a+b%2Bc%20d"),
        ] {
            assert_eq!(query(text).to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn broken_encodings_and_nul_are_refused_without_being_shown() {
        for text in ["sesame=%", "a=%4", "sesame%zz", "a=%00"] {
            let refusal = Query::parse(Some(text)).unwrap_err();
            assert_eq!(refusal.reason, Reason::Ambiguous, "{text}");
            assert!(!refusal.to_string().contains("sesame"));
        }
    }

    #[test]
    fn a_plus_sign_is_read_in_both_ways() {
        let query = query("q=a+b");
        let value = query.parameters().next().unwrap();
        assert!(!value.every_value(|read| read == b"a+b"));
        assert!(!value.every_value(|read| read == b"a b"));
        assert!(value.every_value(|read| read.starts_with(b"a")));
        assert_eq!(value.decoded_value().as_ref(), b"a+b");
    }

    #[test]
    fn reserved_characters_can_be_encoded_where_they_may_stand() {
        let mut query = query("u=https://h/%2f&&a:b&=&c[]=1=2");
        query.encode_reserved();
        assert_eq!(
            query.to_string(),
            "u=https%3A%2F%2Fh%2F%2F&a%3Ab&=&c%5B%5D=1%3D2"
        );
    }

    #[test]
    fn debug_output_never_shows_the_query() {
        let query = query("token=sesame");
        assert_eq!(format!("{query:?}"), "Query(1 parameters)");
        assert_eq!(format!("{:?}", query.0), "[Parameter(5 bytes)]");
    }
}
