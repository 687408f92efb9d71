//! `NAME@HOST`, and where its value goes.

use fnox_core::{Host, VaultName};

use crate::error::CliError;

/// A secret at a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub secret: VaultName,
    pub host: Host,
}

impl Target {
    /// Reads `NAME@HOST`. A name may have an `@` of its own; a host has none.
    pub(crate) fn parse(text: &str) -> Result<Self, CliError> {
        let (name, host) = text
            .rsplit_once('@')
            .ok_or_else(|| wrong(text, "there is no `@`"))?;
        Self::of(name, host)
    }

    /// From its two parts.
    pub(crate) fn of(name: &str, host: &str) -> Result<Self, CliError> {
        let text = format!("{name}@{host}");
        Ok(Self {
            secret: VaultName::parse(name).map_err(|error| wrong(&text, &error.to_string()))?,
            host: Host::parse(host).map_err(|error| wrong(&text, &error.to_string()))?,
        })
    }
}

/// How the program of `vault exec` gets a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// In a variable.
    Variable(String),
    /// All variables of a credential under their own names.
    Variables,
    /// Through a pipe, as this file descriptor.
    Descriptor(i32),
}

/// One `--secret` of `vault exec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub target: Target,
    pub delivery: Delivery,
}

impl Wanted {
    /// Reads `NAME@HOST`, `NAME@HOST=VAR`, `NAME@HOST=env:` or `NAME@HOST=fd:N`.
    pub(crate) fn parse(text: &str) -> Result<Self, CliError> {
        // A host has no `=`, a name may have one.
        let at = text
            .rfind('@')
            .ok_or_else(|| wrong(text, "there is no `@`"))?;
        let (target, place) = match text[at..].find('=') {
            Some(equals) => (&text[..at + equals], Some(&text[at + equals + 1..])),
            None => (text, None),
        };
        let target = Target::parse(target)?;
        let delivery = match place {
            None => Delivery::Variable(variable(target.secret.as_str())),
            Some("env:") => Delivery::Variables,
            Some(place) => match place.strip_prefix("fd:") {
                Some(number) => descriptor(number)
                    .ok_or_else(|| wrong(text, "a file descriptor is a number from 3 to 255"))?,
                None => Delivery::Variable(place.to_owned()),
            },
        };
        if let Delivery::Variable(name) = &delivery
            && !fnox_core::name::is_variable_name(name)
        {
            return Err(wrong(
                text,
                &format!("`{}` is not the name of a variable", name.escape_debug()),
            ));
        }
        Ok(Self { target, delivery })
    }
}

fn descriptor(number: &str) -> Option<Delivery> {
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: i32 = number.parse().ok().filter(|_| digits)?;
    (3..256)
        .contains(&number)
        .then_some(Delivery::Descriptor(number))
}

/// `github-token` is `GITHUB_TOKEN`.
fn variable(name: &str) -> String {
    let mut out: String = name
        .chars()
        .map(|character| match character {
            letter if letter.is_ascii_alphanumeric() => letter.to_ascii_uppercase(),
            _ => '_',
        })
        .collect();
    if out.starts_with(|first: char| first.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}

fn wrong(text: &str, reason: &str) -> CliError {
    CliError::Usage {
        message: format!("`{}` is not NAME@HOST: {reason}", text.escape_debug()),
        help: Some(
            "write it like github-token@api.github.com; `fnox vault exec` also takes =VAR, =env: or =fd:3 after it"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> (String, String, Delivery) {
        let wanted = Wanted::parse(text).unwrap();
        (
            wanted.target.secret.to_string(),
            wanted.target.host.to_string(),
            wanted.delivery,
        )
    }

    fn at(name: &str, host: &str, delivery: Delivery) -> (String, String, Delivery) {
        (name.to_owned(), host.to_owned(), delivery)
    }

    #[test]
    fn a_variable_is_named_after_the_secret_unless_told() {
        let variable = |name: &str| Delivery::Variable(name.to_owned());
        assert_eq!(
            wanted("github-token@api.github.com"),
            at("github-token", "api.github.com", variable("GITHUB_TOKEN"))
        );
        assert_eq!(
            wanted("a@b=c@db.internal:5432=PGPASSWORD"),
            at("a@b=c", "db.internal:5432", variable("PGPASSWORD"))
        );
        assert_eq!(
            wanted("1st@example.com"),
            at("1st", "example.com", variable("_1ST"))
        );
        assert_eq!(
            wanted("t@example.com=env:"),
            at("t", "example.com", Delivery::Variables)
        );
        assert_eq!(
            wanted("t@example.com=fd:3"),
            at("t", "example.com", Delivery::Descriptor(3))
        );
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "",
            "token",
            "@host.example",
            "t@",
            "t@example.com=",
            "t@example.com=A B",
            "t@example.com=env:X",
            "t@example.com=fd:2",
            "t@example.com=fd:+3",
            "t@example.com=fd:999",
            "t@*.example.com",
            "t@https://example.com",
            "t\n@example.com",
        ] {
            let error = Wanted::parse(text).unwrap_err();
            assert_eq!(error.status().code(), 2, "{text:?}");
        }
    }
}
