//! `${NAME}` in defaults, and templates in literals.

use fnox_config::Config;
use fnox_core::SecretString;

/// A piece of a default.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Literal(&'a str),
    Reference(&'a str),
}

/// Splits a default. A `${` without `}` is literal; there is no escape and no nesting.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start + 2..].find('}') else {
            break;
        };
        if start > 0 {
            out.push(Piece::Literal(&rest[..start]));
        }
        out.push(Piece::Reference(&rest[start + 2..start + 2 + length]));
        rest = &rest[start + 2 + length + 1..];
    }
    if !rest.is_empty() {
        out.push(Piece::Literal(rest));
    }
    out
}

/// The names in a default, in order, `${}` as an empty name.
#[must_use]
pub fn references(text: &str) -> Vec<&str> {
    pieces(text)
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Reference(name) => Some(name),
            Piece::Literal(_) => None,
        })
        .collect()
}

/// Fills the names in; what `lookup` does not have becomes nothing.
pub(super) fn expand<'a, F>(text: &str, lookup: F) -> SecretString
where
    F: Fn(&str) -> Option<&'a SecretString>,
{
    let mut out = zeroize::Zeroizing::new(String::new());
    for piece in pieces(text) {
        match piece {
            Piece::Literal(text) => out.push_str(text),
            Piece::Reference(name) => {
                out.push_str(
                    lookup(name)
                        .map(SecretString::expose_secret)
                        .unwrap_or_default(),
                );
            }
        }
    }
    SecretString::from(out.as_str())
}

/// Renders `{{ fnox.profile }}` and its like; texts without template marks are returned as they are.
///
/// # Errors
/// What is wrong with the template.
pub fn render(text: &str, config: &Config) -> Result<String, String> {
    if !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
        return Ok(text.to_owned());
    }
    let profiles: Vec<&str> = config.selected_profiles.iter().map(AsRef::as_ref).collect();
    let context = minijinja::context! {
        fnox => minijinja::context! {
            profile => profiles.last().copied().unwrap_or("default"),
            profiles => if profiles.is_empty() { vec!["default"] } else { profiles.clone() },
        }
    };
    let mut environment = minijinja::Environment::new();
    // A misspelt name is an error, not an empty text.
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment
        .render_str(text, context)
        .map_err(|error| format!("the template `{text}` is wrong: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_references_and_leaves_the_rest() {
        let secret = SecretString::from("s3");
        let lookup = |name: &str| (name == "PASSWORD").then_some(&secret);
        for (text, wanted) in [
            ("postgres://u:${PASSWORD}@h/db", "postgres://u:s3@h/db"),
            ("${PASSWORD}${PASSWORD}", "s3s3"),
            ("${GONE}x", "x"),
            ("a${open", "a${open"),
            ("$PASSWORD $$ {}", "$PASSWORD $$ {}"),
        ] {
            assert_eq!(expand(text, lookup).expose_secret(), wanted, "{text}");
        }
        assert_eq!(references("${A}-${}-${B}"), ["A", "", "B"]);
    }
}
