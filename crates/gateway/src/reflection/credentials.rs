//! Fresh credentials in a JSON document: a token endpoint's answer (RFC 6749, section 5.1) and what is like it.

use std::time::Duration;

use fnox_core::SecretString;
use serde_json::{Map, Value};

/// More of them in one answer are not taken: no endpoint hands out so many.
const MOST: usize = 16;

/// A credential that was in a document.
#[derive(Debug)]
pub(crate) struct Fresh<'m> {
    /// The name of its member.
    pub(crate) member: &'m str,
    pub(crate) value: SecretString,
    /// For how long it is good, if the document says so.
    pub(crate) lasts: Option<Duration>,
}

/// Why a document's credentials cannot be taken out.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// It is no JSON, or neither an object nor an array.
    Document,
    /// This member holds something else than a text.
    Member(String),
    /// There are too many.
    TooMany,
}

/// The document without the credentials that its `members` hold: each is given to `keep`, and what that answers stands in
/// its place.
///
/// It is written anew from what was read of it, so that nothing of it leaves that was not looked at, such as the first of
/// two members of the same name (RFC 8259, section 4).
///
/// # Errors
/// [`NotTaken`]; then none of it may leave.
pub(crate) fn take<'m>(
    document: &[u8],
    members: &[&'m str],
    keep: &mut dyn FnMut(Fresh<'m>) -> String,
) -> Result<String, NotTaken> {
    let mut value: Value = serde_json::from_slice(document).map_err(|_| NotTaken::Document)?;
    if !value.is_object() && !value.is_array() {
        return Err(NotTaken::Document);
    }
    let mut taking = Taking {
        members,
        keep,
        count: 0,
    };
    taking.value(&mut value)?;
    serde_json::to_string(&value).map_err(|_| NotTaken::Document)
}

struct Taking<'a, 'm> {
    members: &'a [&'m str],
    keep: &'a mut dyn FnMut(Fresh<'m>) -> String,
    count: usize,
}

impl Taking<'_, '_> {
    /// `serde_json` reads no more than 128 levels.
    fn value(&mut self, value: &mut Value) -> Result<(), NotTaken> {
        match value {
            Value::Object(object) => self.object(object),
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.value(item)),
            _ => Ok(()),
        }
    }

    fn object(&mut self, object: &mut Map<String, Value>) -> Result<(), NotTaken> {
        for &name in self.members {
            let lasts = lifetime(object, name);
            match object.get_mut(name) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) if text.is_empty() => {}
                Some(Value::String(text)) => {
                    self.count += 1;
                    if self.count > MOST {
                        return Err(NotTaken::TooMany);
                    }
                    let value = SecretString::from(std::mem::take(text));
                    *text = (self.keep)(Fresh {
                        member: name,
                        value,
                        lasts,
                    });
                }
                Some(_) => return Err(NotTaken::Member(name.to_owned())),
            }
        }
        let others = object
            .iter_mut()
            .filter(|(name, _)| !self.members.contains(&name.as_str()));
        // Not borrowed while the others are looked into.
        let others: Vec<&mut Value> = others.map(|(_, value)| value).collect();
        others.into_iter().try_for_each(|other| self.value(other))
    }
}

/// What an object says of how long its member is good, in seconds.
///
/// `expires_in` is the access token's (RFC 6749, section 5.1). Of refresh tokens GitHub says `refresh_token_expires_in`, and
/// Keycloak `refresh_expires_in`, where 0 means that it has no end.
fn lifetime(object: &Map<String, Value>, name: &str) -> Option<Duration> {
    let usual = if name.starts_with("refresh") {
        "refresh_expires_in"
    } else {
        "expires_in"
    };
    let stated = object
        .get(&format!("{name}_expires_in"))
        .or_else(|| object.get(usual))?;
    let seconds = match stated {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    seconds
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values, and the seconds that they last.
    type All = Vec<(String, Option<u64>)>;

    /// What is left, and what was taken.
    fn taken(document: &str) -> Result<(String, All), NotTaken> {
        let mut all = Vec::new();
        let members = ["access_token", "refresh_token"];
        let mut keep = |fresh: Fresh| {
            let seconds = fresh.lasts.map(|lasts| lasts.as_secs());
            assert!(members.contains(&fresh.member));
            all.push((fresh.value.expose_secret().to_owned(), seconds));
            format!("placeholder-{}", all.len())
        };
        let left = take(document.as_bytes(), &members, &mut keep)?;
        Ok((left, all))
    }

    fn one(value: &str, seconds: Option<u64>) -> (String, Option<u64>) {
        (value.to_owned(), seconds)
    }

    #[test]
    fn a_token_response_keeps_its_order_and_everything_else() {
        let (left, all) = taken(
            r#"{ "token_type": "Bearer", "access_token": "a\u0062c", "expires_in": 3600, "refresh_token": "def" }"#,
        )
        .unwrap();
        assert_eq!(
            left,
            r#"{"token_type":"Bearer","access_token":"placeholder-1","expires_in":3600,"refresh_token":"placeholder-2"}"#
        );
        assert_eq!(all, [one("abc", Some(3600)), one("def", None)]);
    }

    #[test]
    fn members_are_found_at_any_depth_with_the_lifetime_beside_them() {
        let (left, all) = taken(
            r#"{"expires_in":1,"users":[{"access_token":"a","expires_in":"60"},{"refresh_token":"b","refresh_token_expires_in":90}]}"#,
        )
        .unwrap();
        assert_eq!(all, [one("a", Some(60)), one("b", Some(90))]);
        assert!(
            !left.contains(r#""a""#) && !left.contains(r#""b""#),
            "{left}"
        );
    }

    #[test]
    fn of_two_members_of_one_name_neither_leaves() {
        let (left, all) = taken(r#"{"access_token":"first","access_token":"second"}"#).unwrap();
        assert_eq!(left, r#"{"access_token":"placeholder-1"}"#);
        assert_eq!(all, [one("second", None)]);
        let (left, all) = taken(r#"{"access_token":"first","access_token":null}"#).unwrap();
        assert_eq!((left.as_str(), all.len()), (r#"{"access_token":null}"#, 0));
    }

    #[test]
    fn a_lifetime_that_is_none_is_not_believed() {
        for lifetime in ["0", "-1", "null", "\"soon\"", "1.5", "{}"] {
            let document = format!(r#"{{"access_token":"a","expires_in":{lifetime}}}"#);
            assert_eq!(taken(&document).unwrap().1, [one("a", None)], "{lifetime}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_taken() {
        for document in [
            "",
            "access_token=abc&token_type=bearer",
            r#""abc""#,
            "12",
            r#"{"access_token":"abc""#,
            r#"{"access_token":"abc"} {"access_token":"def"}"#,
            "\u{feff}{}",
        ] {
            let outcome = taken(document);
            assert!(matches!(outcome, Err(NotTaken::Document)), "{document}");
        }
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(matches!(taken(&deep), Err(NotTaken::Document)));
        for member in ["1", "true", "[\"abc\"]", "{\"access_token\":\"abc\"}"] {
            let document = format!(r#"{{"access_token":{member}}}"#);
            let outcome = taken(&document);
            assert!(matches!(outcome, Err(NotTaken::Member(name)) if name == "access_token"));
        }
        let many = vec![r#"{"access_token":"abc"}"#; MOST + 1].join(",");
        let outcome = taken(&format!("[{many}]"));
        assert!(matches!(outcome, Err(NotTaken::TooMany)));
    }
}
