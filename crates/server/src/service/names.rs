//! Names in requests, parsed once, with the field that is wrong.

use fnox_api::{Problem, ProblemCode};
use fnox_core::{ProfileName, ProjectName, SecretName};

use crate::store::SecretPlace;

/// The profile that a request means if it names none.
pub(super) const DEFAULT_PROFILE: &str = "default";

/// Project, profile and key of a request.
pub(super) fn place(
    project: &str,
    profile: Option<&str>,
    key: &str,
) -> Result<SecretPlace, Problem> {
    Ok(SecretPlace {
        project: self::project(project)?,
        profile: self::profile(profile)?,
        key: self::key(key, "key")?,
    })
}

pub(super) fn project(text: &str) -> Result<String, Problem> {
    ProjectName::parse(text)
        .map(|name| name.to_string())
        .map_err(|error| invalid("project", &error.to_string()))
}

pub(super) fn profile(text: Option<&str>) -> Result<String, Problem> {
    let text = text.unwrap_or(DEFAULT_PROFILE);
    if text.len() > LONGEST {
        return Err(invalid(
            "profile",
            &format!("it is longer than {LONGEST} bytes"),
        ));
    }
    ProfileName::parse(text)
        .map(|name| name.to_string())
        .map_err(|error| invalid("profile", &error.to_string()))
}

pub(super) fn key(text: &str, field: &str) -> Result<String, Problem> {
    if text.len() > LONGEST {
        return Err(invalid(
            field,
            &format!("it is longer than {LONGEST} bytes"),
        ));
    }
    SecretName::parse(text)
        .map(|name| name.to_string())
        .map_err(|error| invalid(field, &error.to_string()))
}

/// Keys of a request: at least one, each once.
pub(super) fn keys(keys: &[String]) -> Result<Vec<String>, Problem> {
    if keys.is_empty() || keys.len() > MOST_KEYS {
        return Err(invalid(
            "keys",
            &format!("1 to {MOST_KEYS} keys are needed"),
        ));
    }
    let mut parsed: Vec<String> = Vec::with_capacity(keys.len());
    for (index, text) in keys.iter().enumerate() {
        let field = format!("keys[{index}]");
        let key = key(text, &field)?;
        if parsed.contains(&key) {
            return Err(invalid(&field, &format!("`{key}` is there twice")));
        }
        parsed.push(key);
    }
    Ok(parsed)
}

/// A text for people: not too long. Control characters are shown escaped, not refused.
pub(super) fn text(text: &str, field: &str, longest: usize) -> Result<String, Problem> {
    if text.len() > longest {
        return Err(invalid(
            field,
            &format!("it is longer than {longest} bytes"),
        ));
    }
    if text.contains('\0') {
        return Err(invalid(field, "it holds a NUL character"));
    }
    Ok(text.to_owned())
}

/// A field of a request is wrong.
pub(crate) fn invalid(field: &str, detail: &str) -> Problem {
    Problem::new(ProblemCode::InvalidRequest)
        .with_detail(format!("`{field}`: {detail}"))
        .at_field(field)
}

const LONGEST: usize = 128;
const MOST_KEYS: usize = 64;
