//! `docs/reference/configuration.md`, from the tables of `fnox_config::spec`.

use std::fmt::Write as _;

use fnox_config::spec::{
    AGE, AUDIT, Capability, DAEMON, FILES, Field, Kind, LEASE_COMMON, LEASES, LEDGER, MCP, PERSON,
    PROFILE, PROJECT, PROVIDER_COMMON, PROVIDERS, PROXY, PROXY_JWT, PROXY_RULE, PROXY_TELEMETRY,
    SECRET, SYNC, Section, TARGET_COMMON, TARGETS, TOP_LEVEL,
};

use super::{NOTICE, cell};

const INTRODUCTION: &str = "\
# Configuration

Every key of `fnox.toml`. A key that is not listed here is an error, and so is a value of another type.

| type | what may stand there |
|---|---|
| text | a string |
| text or secret | a string, or `{ secret = \"NAME\" }` for the value of another secret |
| path | a file or folder, relative to the folder of the file that says so; `~` is the home folder |
| path or secret | a path, or `{ secret = \"NAME\" }` |
| flag | `true` or `false` |
| number | a whole number, zero or more |
| duration | a string such as `\"15m\"` or `\"1h30m\"` |
| texts | a list of strings |
| numbers | a list of whole numbers, zero or more |
| table of texts | a table whose values are strings |
| table | a table with the keys of the section named |
";

/// The page.
pub(super) fn page() -> String {
    let mut text = format!("{NOTICE}\n\n{INTRODUCTION}");
    for part in [&TOP_LEVEL, &SECRET, &SYNC, &PROFILE] {
        section(&mut text, part);
    }
    section(&mut text, &PROVIDER_COMMON);
    for provider in PROVIDERS {
        let capability = match provider.capability {
            Capability::EncryptsInConfig => "Encrypts the value into `fnox.toml`.",
            Capability::StoresRemotely => {
                "Stores the value elsewhere; `fnox.toml` holds the reference."
            }
            Capability::ReadsOnly => "Only reads; the value given to `fnox set` is the reference.",
        };
        let _ = write!(
            text,
            "\n### Provider `{}`\n\n{}: {capability}",
            provider.name, provider.label
        );
        if !provider.variables.is_empty() {
            let _ = write!(text, " Opened with: {}.", code_list(provider.variables));
        }
        text.push_str("\n\n");
        table(&mut text, provider.fields);
        nested(&mut text, provider.fields);
    }
    section(&mut text, &LEASE_COMMON);
    for lease in LEASES {
        let _ = write!(text, "\n### Lease `{}`\n\n{}.\n\n", lease.name, lease.label);
        table(&mut text, lease.fields);
    }
    for part in [&LEDGER, &AGE, &PROJECT, &FILES] {
        section(&mut text, part);
    }
    section(&mut text, &PERSON);
    section(&mut text, &TARGET_COMMON);
    for target in TARGETS {
        let _ = write!(text, "\n### Target `{}`\n\n", target.name);
        table(&mut text, target.fields);
    }
    let proxy = [&PROXY, &PROXY_RULE, &PROXY_JWT, &PROXY_TELEMETRY];
    for part in [&DAEMON, &AUDIT, &MCP].into_iter().chain(proxy) {
        section(&mut text, part);
    }
    text
}

pub(super) fn section(text: &mut String, section: &Section) {
    // Writing to a string cannot fail, here and below.
    let _ = write!(text, "\n## `{}`\n\n{}\n\n", section.heading, section.doc);
    table(text, section.fields);
}

/// Tables that only one provider has.
fn nested(text: &mut String, fields: &[Field]) {
    for field in fields {
        if let Kind::Table(part) | Kind::Tables(part) = field.kind {
            let _ = write!(text, "\n`{}`: {}\n\n", part.heading, part.doc);
            table(text, part.fields);
        }
    }
}

/// The rows of a section, or what is said in their place.
pub(super) fn table<'a>(text: &mut String, fields: impl IntoIterator<Item = &'a Field>) {
    let mut fields = fields.into_iter().peekable();
    if fields.peek().is_none() {
        text.push_str("No keys of its own.\n");
        return;
    }
    text.push_str("| key | type | required | meaning |\n|---|---|---|---|\n");
    for field in fields {
        let required = if field.required { "yes" } else { "" };
        let _ = writeln!(
            text,
            "| `{}` | {} | {required} | {} |",
            field.name,
            cell(&kind(field.kind)),
            cell(field.doc)
        );
    }
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Place => "text".to_owned(),
        Kind::Reference => "text or secret".to_owned(),
        Kind::Path(_) => "path".to_owned(),
        Kind::ReferencePath(_) => "path or secret".to_owned(),
        Kind::Flag => "flag".to_owned(),
        Kind::Count => "number".to_owned(),
        Kind::Lifetime => "duration".to_owned(),
        Kind::FlagOrLifetime => "flag or duration".to_owned(),
        Kind::TextList => "texts".to_owned(),
        Kind::Counts => "numbers".to_owned(),
        Kind::TextOrList => "text or list of texts".to_owned(),
        Kind::TextMap => "table of texts".to_owned(),
        Kind::Options => "table of texts, secrets, flags and numbers".to_owned(),
        Kind::Json => "table of anything JSON has".to_owned(),
        Kind::Choice(words) => words
            .iter()
            .map(|word| format!("`\"{word}\"`"))
            .collect::<Vec<_>>()
            .join(" or "),
        Kind::EnvMode => "`true`, `false` or `\"exec\"`".to_owned(),
        Kind::Table(section) => format!("table `{}`", section.heading),
        Kind::Tables(section) => format!("list of tables `{}`", section.heading),
        Kind::Opaque => "table".to_owned(),
    }
}

fn code_list(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_every_type_is_on_the_page() {
        let page = page();
        let types = PROVIDERS
            .iter()
            .map(|spec| ("Provider", spec.name, spec.fields));
        let types = types.chain(LEASES.iter().map(|spec| ("Lease", spec.name, spec.fields)));
        for (word, name, fields) in types {
            let heading = format!("### {word} `{name}`\n");
            let (_, rest) = page.split_once(&heading).expect(&heading);
            let part = rest.split("\n## ").next().unwrap_or_default();
            let part = part.split("\n### ").next().unwrap_or_default();
            for field in fields {
                let row = format!("| `{}` |", field.name);
                assert!(part.contains(&row), "{heading}{row}");
            }
        }
    }
}
