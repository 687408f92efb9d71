//! `${NAME}` in defaults, and templates in literals.

use fnox_config::Config;
use fnox_core::{Env, SecretString};

use super::template;

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
/// What is wrong with the template, without the text: it may be a secret that only looks like one.
pub fn render(text: &str, config: &Config, env: &Env) -> Result<String, String> {
    let profiles: Vec<&str> = config.selected_profiles.iter().map(AsRef::as_ref).collect();
    fill_in(text, &profiles, env)
}

fn fill_in(text: &str, profiles: &[&str], env: &Env) -> Result<String, String> {
    if !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
        return Ok(text.to_owned());
    }
    let context = minijinja::context! {
        fnox => minijinja::context! {
            profile => profiles.last().copied().unwrap_or("default"),
            profiles => if profiles.is_empty() { &["default"] } else { profiles },
        }
    };
    let rendered = template::environment(env).render_str(text, context);
    rendered.map_err(|error| {
        format!(
            "is no template that can be filled in ({error}); signs that mean themselves stand between `{{% raw %}}` and \
             `{{% endraw %}}`"
        )
    })
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

    #[test]
    fn templates_mean_what_they_mean_to_tera() {
        let env: Env = [("REGION", "eu")].into_iter().collect();
        let render = |text: &str| fill_in(text, &["base", "production"], &env);
        for (text, wanted) in [
            (
                "{{ fnox.profile }}/{{ fnox.profiles | length }}",
                "production/2",
            ),
            ("{{ fnox.nothing | default(value=\"dv\") }}", "dv"),
            (
                "{{ fnox.profile | replace(from=\"duction\", to=\"d\") | upper }}",
                "PROD",
            ),
            ("{{ fnox.profiles | join(sep=\"-\") }}", "base-production"),
            ("{{ fnox.profile | truncate(length=4, end=\"\") }}", "prod"),
            ("{{ fnox.profile | truncate(length=3) }}", "pro…"),
            (
                "{{ fnox.profile | trim_start_matches(pat=\"pro\") }}",
                "duction",
            ),
            (
                "{{ fnox.profile | trim_end_matches(pat=\"uction\") }}",
                "prod",
            ),
            ("{{ fnox.profile | split(pat=\"u\") | first }}", "prod"),
            (
                "{{ fnox.profiles | nth(n=1) }}{{ fnox.profiles.0 }}",
                "productionbase",
            ),
            ("{{ fnox.profiles | slice(start=-1) | join }}", "production"),
            (
                "{{ fnox.profiles | concat(with=\"x\") | last | capitalize }}",
                "X",
            ),
            ("{{ \"My App_2\" | slugify }}", "my-app-2"),
            (
                "{{ get_env(name=\"REGION\") }}{{ get_env(name=\"NO\", default=\"n\") }}",
                "eun",
            ),
            (
                "{% if fnox.profile is starting_with(\"prod\") %}p{% else %}d{% endif %}",
                "p",
            ),
            (
                "{% if fnox.profile is containing(\"x\") %}x{% elif fnox.profiles is containing(\"base\") %}b{% endif %}",
                "b",
            ),
            (
                "{% if fnox.nothing %}n{% endif %}{% raw %}{{ x }}{% endraw %}\n",
                "{{ x }}\n",
            ),
            (
                "{% for name in fnox.profiles %}{{ loop.index }}{{ name }} {% endfor %}",
                "1base 2production ",
            ),
            (
                "{% set name = fnox.profile ~ \"!\" %}{{ name }}{# said #}",
                "production!",
            ),
        ] {
            assert_eq!(render(text).as_deref(), Ok(wanted), "{text}");
        }
        for text in [
            "{{ fnox.profil }}",
            "{{ get_env(name=\"NO\") }}",
            "{{ fnox.profile | replace(from=\"a\") }}",
            "{{ fnox.profile | replace(from=\"a\", to=\"b\", of=\"c\") }}",
            "{{ fnox.profile | unheard_of }}",
            "S3cr3t{#hash",
        ] {
            let reason = render(text).unwrap_err();
            assert!(
                !reason.contains("S3cr3t") && !reason.contains(text),
                "{reason}"
            );
        }
    }
}
