//! The path of a request, in the one form in which it is judged and sent.

use std::fmt;

use super::percent;
use crate::refusal::{Reason, Refusal};

/// A path of segments that every server reads alike.
///
/// There are no dot segments and no empty ones but a last one (`/a/`), no slash, backslash, percent sign,
/// semicolon or control character within a segment, encoded or not, and nothing that is not UTF-8. Servers
/// differ on all of those: some decode twice, some merge slashes, some cut off what follows a semicolon, and
/// `/public/..;/admin` is one of their ways to `/admin`. All that is left has one percent-encoding.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Path(String);

impl Path {
    /// Reads the path of a request target, without the query.
    ///
    /// # Errors
    /// [`Reason::Ambiguous`] with what is wrong; the path itself is not part of it.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(ambiguous("does not begin with a slash"));
        };
        let mut path = String::with_capacity(text.len());
        let mut segments = rest.split('/').peekable();
        while let Some(segment) = segments.next() {
            if segment.is_empty() && segments.peek().is_some() {
                return Err(ambiguous("has an empty segment (`//`)"));
            }
            path.push('/');
            path.push_str(&canonical_segment(segment).map_err(ambiguous)?);
        }
        Ok(Self(path))
    }

    /// The path as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments as they are sent. The last one of `/a/` is empty, and so is the only one of `/`.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0[1..].split('/')
    }

    /// Encodes everything that is not unreserved, as AWS S3 does before it looks at a signature.
    pub(crate) fn encode_reserved(&mut self) {
        let mut path = String::with_capacity(self.0.len());
        for segment in self.segments() {
            path.push('/');
            let encoded = percent::normalize(segment, |_| false);
            // invariant: a canonical segment has no broken encoding
            path.push_str(encoded.as_deref().unwrap_or(segment));
        }
        self.0 = path;
    }

    /// Puts another segment in the place of the one at `index`, counted from 0.
    pub(crate) fn replace_segment(&mut self, index: usize, segment: &str) -> Result<(), Refusal> {
        let segment = canonical_segment(segment).map_err(ambiguous)?;
        if segment.is_empty() {
            return Err(ambiguous("would have an empty segment"));
        }
        let mut path = String::with_capacity(self.0.len() + segment.len() + 1);
        for (position, old) in self.segments().enumerate() {
            path.push('/');
            path.push_str(if position == index { &segment } else { old });
        }
        self.0 = path;
        Ok(())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A credential may stand in a path.
impl fmt::Debug for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Path({} segments)", self.segments().count())
    }
}

/// The one form of a segment, or what is wrong with it. Rules' patterns go through this too.
pub(crate) fn canonical_segment(segment: &str) -> Result<String, &'static str> {
    let normal = percent::normalize(segment, may_stand)
        .map_err(|_| "has a `%` without two hexadecimal digits")?;
    let plain = percent::decode(&normal);
    let Ok(plain) = std::str::from_utf8(&plain) else {
        return Err("has an encoding that is not UTF-8");
    };
    if plain.chars().any(char::is_control) {
        return Err("has an encoded control character");
    }
    for (character, problem) in [
        ('/', "has an encoded slash (`%2F`)"),
        ('\\', "has a backslash, as it is or encoded (`%5C`)"),
        ('%', "has an encoded percent sign (`%25`)"),
        (';', "has a semicolon, as it is or encoded (`%3B`)"),
    ] {
        if plain.contains(character) {
            return Err(problem);
        }
    }
    // Some systems drop spaces at the ends of names.
    if matches!(plain.trim(), "." | "..") {
        return Err("has a dot segment (`.` or `..`)");
    }
    if segment.to_ascii_lowercase().contains("%2e") {
        return Err("has an encoded dot (`%2E`)");
    }
    Ok(normal)
}

/// The segment that stands for `text`, if one does.
pub(crate) fn encoded_segment(text: &str) -> String {
    percent::encode_all_but(text, may_stand)
}

/// What may stand in a segment besides unreserved characters (RFC 3986, section 3.3), without the semicolon.
fn may_stand(byte: u8) -> bool {
    b"!$&'()*+,=:@".contains(&byte)
}

fn ambiguous(problem: &'static str) -> Refusal {
    Refusal::new(
        Reason::Ambiguous,
        format!("the path {problem}, which servers read in different ways"),
    )
    .with_remedy("Send the path that is meant, without it.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_form() {
        for (text, canonical) in [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/%61%7e", "/a~"),
            ("/a%3ab", "/a%3Ab"),
            ("/a:b@c", "/a:b@c"),
            ("/a b", "/a%20b"),
            ("/b\u{fc}cher/\"x\"", "/b%C3%BCcher/%22x%22"),
            ("/...", "/..."),
            ("/.git/config", "/.git/config"),
            ("/repos/o/r/pulls/1.diff", "/repos/o/r/pulls/1.diff"),
        ] {
            assert_eq!(Path::parse(text).unwrap().as_str(), canonical, "{text}");
        }
    }

    #[test]
    fn reserved_characters_can_be_encoded_where_they_may_stand() {
        let mut path = Path::parse("/a:b/%24c$/d e/").unwrap();
        path.encode_reserved();
        assert_eq!(path.as_str(), "/a%3Ab/%24c%24/d%20e/");
    }

    #[test]
    fn segments_can_be_replaced_by_what_stays_one_segment() {
        let mut path = Path::parse("/bot/PLACE/send").unwrap();
        path.replace_segment(1, &encoded_segment("12:a b")).unwrap();
        assert_eq!(path.as_str(), "/bot/12:a%20b/send");
        for text in ["a/b", "..", "", "a\\b", "a%b", "a\nb"] {
            let segment = encoded_segment(text);
            assert!(path.replace_segment(1, &segment).is_err(), "{text:?}");
        }
        assert_eq!(path.as_str(), "/bot/12:a%20b/send");
    }

    #[test]
    fn debug_output_never_shows_the_path() {
        assert_eq!(
            format!("{:?}", Path::parse("/a/b").unwrap()),
            "Path(2 segments)"
        );
    }
}
