//! `{{ address }}` and its like in a command that a shell runs.
//!
//! Guarantee: no value is more than a part of the word that it stands in, with quotes around it or without. A value that could
//! be more is refused, since nobody but the author of the template knows which quotes are around it.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior};

/// Fills `values` into a command for `sh -c`.
///
/// # Errors
/// Why not: the template is wrong, names a value that there is not, or a value that it names would mean something to the shell.
pub fn render(command: &str, values: &[(&str, &str)]) -> Result<String, String> {
    if !["{{", "{%", "{#"].iter().any(|mark| command.contains(mark)) {
        return Ok(command.to_owned());
    }
    let mut environment = Environment::new();
    // A misspelt name is an error, not an empty text.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let wrong = |error: minijinja::Error| {
        let names: Vec<String> = values.iter().map(|(name, _)| format!("`{name}`")).collect();
        format!(
            "is no template that can be filled in ({error}); it may name {}",
            names.join(", ")
        )
    };
    // What is not in the context cannot get into the command, whatever the template does.
    let (plain, odd): (Vec<_>, Vec<_>) = values
        .iter()
        .partition(|(_, value)| value.chars().all(is_plain));
    let context: BTreeMap<&str, &str> = plain.into_iter().collect();
    let rendered = environment.render_str(command, context);
    match (
        rendered,
        odd.iter().find(|(name, _)| command.contains(name)),
    ) {
        (Ok(command), _) => Ok(command),
        (Err(_), Some((name, _))) => Err(format!(
            "names `{name}`, whose value has a character that may mean something to the shell"
        )),
        (Err(error), None) => Err(wrong(error)),
    }
}

/// Whether a character stands for itself in a shell, with any quotes around it or none.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-_./:@%+=,".contains(character)
}

#[cfg(test)]
mod tests {
    use super::render;

    #[test]
    fn values_are_filled_in() {
        let values = [("path", "kv/app"), ("namespace", "")];
        for (command, wanted) in [
            ("echo tok-{{ path }}", "echo tok-kv/app"),
            ("echo \"{{path}}\" '{{ namespace }}'", "echo \"kv/app\" ''"),
            ("echo ${HOME}", "echo ${HOME}"),
            ("{% if namespace %}a{% else %}b{% endif %}", "b"),
        ] {
            assert_eq!(render(command, &values).unwrap(), wanted, "{command}");
        }
    }

    #[test]
    fn what_could_break_out_is_refused_where_it_is_used() {
        for value in [
            "a b", "a;b", "a'b", "a\"b", "$(id)", "`id`", "a\nb", "a&b", "a|b", "*", "~root",
            "a\\b", "#a", "ä",
        ] {
            let values = [("path", value), ("address", "https://v.example/")];
            let reason = render("echo {{ path }}", &values).unwrap_err();
            assert!(
                reason.contains("`path`") && !reason.contains(value),
                "{reason}"
            );
            assert!(render("echo {{ path|upper }}", &values).is_err(), "{value}");
            assert!(
                render("{% set a = path %}echo {{ a }}", &values).is_err(),
                "{value}"
            );
            render("echo {{ address }}", &values).unwrap();
        }
    }

    #[test]
    fn a_misspelt_name_lists_those_that_there_are() {
        let reason = render("echo {{ pth }}", &[("path", "a")]).unwrap_err();
        assert!(reason.contains("`path`"), "{reason}");
        assert!(render("echo {{ path", &[("path", "a")]).is_err());
    }
}
