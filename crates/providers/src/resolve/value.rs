//! Taking a part out of a value: `json_path` and `line`.

use fnox_config::SecretConfig;
use fnox_core::SecretString;
use serde_json::Value;

/// Applies a secret's `json_path` or `line`. The error says what does not fit, without the value.
pub(super) fn extract(
    secret: &SecretConfig,
    value: SecretString,
) -> Result<SecretString, (&'static str, String)> {
    if let Some(path) = &secret.json_path {
        return json_path(value.expose_secret(), path).map_err(|reason| ("json_path", reason));
    }
    if let Some(line) = secret.line {
        return nth_line(value.expose_secret(), line).map_err(|reason| ("line", reason));
    }
    Ok(value)
}

/// One step into a document.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// Dot notation: `a.b`, `\.` for a dot in a key, `\\` for a backslash, `[0]` for an element of a list.
fn steps(path: &str) -> Result<Vec<Step>, String> {
    let malformed =
        || format!("cannot be taken apart: `{path}` is not a path such as `db.hosts[0].name`");
    let mut steps = Vec::new();
    let mut key = String::new();
    let mut has_key = false;
    let mut characters = path.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                key.push(characters.next().ok_or_else(malformed)?);
                has_key = true;
            }
            '.' => {
                if has_key {
                    steps.push(Step::Key(std::mem::take(&mut key)));
                    has_key = false;
                } else if !matches!(steps.last(), Some(Step::Index(_))) {
                    return Err(malformed());
                }
                if characters.peek().is_none() {
                    return Err(malformed());
                }
            }
            '[' => {
                if has_key {
                    steps.push(Step::Key(std::mem::take(&mut key)));
                    has_key = false;
                }
                let mut digits = String::new();
                loop {
                    match characters.next() {
                        Some(']') => break,
                        Some(digit) if digit.is_ascii_digit() => digits.push(digit),
                        _ => return Err(malformed()),
                    }
                }
                steps.push(Step::Index(digits.parse().map_err(|_| malformed())?));
            }
            other => {
                key.push(other);
                has_key = true;
            }
        }
    }
    if has_key {
        steps.push(Step::Key(key));
    }
    if steps.is_empty() {
        return Err(malformed());
    }
    Ok(steps)
}

fn json_path(text: &str, path: &str) -> Result<SecretString, String> {
    let steps = steps(path)?;
    // serde_json's message would quote the value; its position does not.
    let mut document: Value = serde_json::from_str(text).map_err(|error| {
        format!(
            "is not JSON (line {}, column {}), but `json_path` is set",
            error.line(),
            error.column()
        )
    })?;
    for step in &steps {
        let next = match step {
            Step::Key(key) => document.get_mut(key.as_str()),
            Step::Index(index) => document.get_mut(*index),
        };
        document = next
            .map(Value::take)
            .ok_or_else(|| format!("has nothing at `{path}`"))?;
    }
    Ok(match document {
        Value::String(text) => SecretString::new(text),
        other => SecretString::new(other.to_string()),
    })
}

fn nth_line(text: &str, line: u64) -> Result<SecretString, String> {
    let count = text.lines().count();
    usize::try_from(line)
        .ok()
        .and_then(|line| text.lines().nth(line - 1))
        .map(SecretString::from)
        .ok_or_else(|| format!("has {count} lines, so there is no line {line}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_values_out_of_documents() {
        let text = r#"{"a":{"b.c":"x","d\\e":1,"list":[{"k":"v"},[true,null]]},"o":{"z":1}}"#;
        for (path, wanted) in [
            ("a.b\\.c", "x"),
            ("a.d\\\\e", "1"),
            ("a.list[0].k", "v"),
            ("a.list[1][0]", "true"),
            ("a.list[1][1]", "null"),
            ("o", r#"{"z":1}"#),
        ] {
            assert_eq!(
                json_path(text, path).unwrap().expose_secret(),
                wanted,
                "{path}"
            );
        }
        assert_eq!(json_path("[1,2]", "[1]").unwrap().expose_secret(), "2");
    }

    #[test]
    fn says_what_does_not_fit_without_the_value() {
        for (text, path, wanted) in [
            ("hunter2", "a", "is not JSON"),
            (r#"{"a":"hunter2"}"#, "b", "has nothing at `b`"),
            (r#"{"a":["hunter2"]}"#, "a[1]", "has nothing at `a[1]`"),
            ("{}", "a..b", "is not a path"),
            ("{}", "a[x]", "is not a path"),
            ("{}", "a.", "is not a path"),
        ] {
            let reason = json_path(text, path).unwrap_err();
            assert!(
                reason.contains(wanted) && !reason.contains("hunter2"),
                "{path}: {reason}"
            );
        }
    }

    #[test]
    fn takes_a_line_with_either_line_end() {
        assert_eq!(
            nth_line("one\r\ntwo\nthree", 2).unwrap().expose_secret(),
            "two"
        );
        assert_eq!(
            nth_line("one\n", 2).unwrap_err(),
            "has 1 lines, so there is no line 2"
        );
    }

    proptest! {
        #[test]
        fn paths_never_panic(path in ".{0,30}", text in ".{0,30}") {
            let _ = json_path(&text, &path);
        }
    }
}
