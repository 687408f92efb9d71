//! `fnox provider add`: no placeholders; what a type needs is given, asked for, or the command fails.

use std::sync::Arc;

use fnox_config::edit::{Change, Editor};
use fnox_config::spec::{Field, Kind, PROVIDER_COMMON, ProviderSpec};
use fnox_config::{ConfigError, suggest, trust};
use fnox_core::{ProviderName, SecretString};
use fnox_providers::backend::fido2;
use fnox_providers::{Context, Registry};
use indexmap::IndexMap;
use rand::TryRngCore as _;
use toml_edit::{Array, InlineTable, Value};

use crate::app::App;
use crate::args::ProviderAddArgs;
use crate::audit::{self, Changed};
use crate::error::CliError;

/// Keys with their values, in the order in which they were given.
pub(in crate::commands) type Keys = IndexMap<&'static str, Value>;

/// Keys whose literal values would be secrets in clear text.
const SECRET_KEYS: [&str; 6] = [
    "token",
    "password",
    "pin",
    "bot_token",
    "client_secret",
    "api_key",
];

pub(super) fn run(app: &App, args: &ProviderAddArgs) -> Result<(), CliError> {
    let name =
        ProviderName::parse(&args.name).map_err(|error| CliError::usage(error.to_string()))?;
    let kind = match args.kind.as_str() {
        "aws" => "aws-sm",
        "gcp" => "gcp-sm",
        other => other,
    };
    let spec = ProviderSpec::find(kind).ok_or_else(|| super::unknown_type(kind))?;
    let mut keys = parse(spec, &args.field)?;
    let profile = app.write_target_for_provider()?;
    let (path, file_kind) = app.file_to_write(args.global, profile.as_ref());
    if args.global {
        let folder = &app.folders.config;
        trust::create_private_folder(folder).map_err(|source| CliError::File {
            action: "create",
            path: folder.clone(),
            source,
        })?;
    }
    let table = super::table_of(&file_kind, profile.as_ref());
    let table: Vec<&str> = table.iter().map(String::as_str).collect();
    let exists = ConfigError::AlreadyExists {
        kind: "provider",
        name: args.name.clone(),
        path: path.clone(),
    };
    {
        // Not locked while a person is being asked.
        let editor = Editor::open(&path, file_kind.clone())?;
        if editor.has(&table, name.as_str()) {
            return Err(exists.into());
        }
    }
    match spec.name {
        "yubikey" => own_challenge(&mut keys)?,
        "fido2" => own_credential(app, &name, &mut keys)?,
        _ => {}
    }
    ask_required(app, spec, &mut keys)?;
    let mut changes = vec![("type", Change::text(spec.name))];
    changes.extend(
        keys.iter()
            .map(|(key, value)| (*key, Change::Set(value.clone()))),
    );
    let mut editor = Editor::open(&path, file_kind)?;
    if editor.has(&table, name.as_str()) {
        return Err(exists.into());
    }
    editor.set(&table, name.as_str(), &changes)?;
    let changed = [Changed::provider(&name, &path, profile.as_ref())];
    let change = audit::Change::ProviderAdd;
    audit::changing(app, None, change, changed, || Ok(editor.save()?))?;
    let suffix = crate::commands::set::suffix(profile.as_ref(), args.global);
    app.printer.done(&format!(
        "Added the provider {name} ({}){suffix} to {}",
        spec.label,
        path.display()
    ));
    for key in SECRET_KEYS
        .iter()
        .filter(|key| keys.get(**key).is_some_and(Value::is_str))
    {
        app.printer.warn(&format!(
            "`{key}` stands in the file in clear text; better keep it as a secret: `{key} = {{ secret = \"NAME\" }}`"
        ));
    }
    if Registry.has(spec) {
        app.printer
            .note(&format!("Test it with: fnox provider test {name}"));
    } else {
        app.printer.warn(&format!(
            "providers of type `{}` cannot be opened by this version of fnox",
            spec.name
        ));
    }
    Ok(())
}

/// A challenge of this provider's own, for the slot that Yubico leaves free.
fn own_challenge(keys: &mut Keys) -> Result<(), CliError> {
    if !keys.contains_key("challenge") {
        keys.insert("challenge", random()?);
    }
    keys.entry("slot").or_insert_with(|| "2".into());
    Ok(())
}

/// 32 random bytes, in hexadecimal.
fn random() -> Result<Value, CliError> {
    let mut bytes = [0_u8; 32];
    rand::rngs::OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| CliError::failed(format!("the system gives no randomness: {error}")))?;
    Ok(hex::encode(bytes).into())
}

/// A credential of this provider's own, on the key that is plugged in, and a salt.
fn own_credential(app: &App, name: &ProviderName, keys: &mut Keys) -> Result<(), CliError> {
    let party = keys
        .entry("rp_id")
        .or_insert_with(|| format!("fnox.{name}").into())
        .as_str()
        .map(str::to_owned);
    if !keys.contains_key("salt") {
        keys.insert("salt", random()?);
    }
    if let (Some(party), false) = (party, keys.contains_key("credential_id")) {
        let pin = keys.get("pin").and_then(Value::as_str);
        let pin = pin.map(SecretString::from);
        let context = Context::new(
            app.env.clone(),
            app.folders.clone(),
            Arc::clone(&app.prompt),
        );
        let id =
            fido2::make_credential(&context, &party, pin).map_err(|error| CliError::Provider {
                provider: name.to_string(),
                action: "make a credential",
                error,
            })?;
        keys.insert("credential_id", hex::encode(id).into());
    }
    Ok(())
}

/// Asks for what the type needs and has not been given.
pub(in crate::commands) fn ask_required(
    app: &App,
    spec: &'static ProviderSpec,
    keys: &mut Keys,
) -> Result<(), CliError> {
    let needed: Vec<&Field> = spec
        .fields
        .iter()
        .filter(|field| field.required || needs_recipients(app, spec, field))
        .filter(|field| !keys.contains_key(field.name))
        .collect();
    if needed.is_empty() {
        return Ok(());
    }
    if !app.prompt.is_interactive() {
        return Err(missing(spec, &needed));
    }
    let (mut asked, mut open) = (Vec::new(), Vec::new());
    for field in needed {
        let question = format!("{}: {}", field.name, field.doc.trim_end_matches('.'));
        let answer = app
            .prompt
            .text(&question)
            .filter(|answer| !answer.trim().is_empty());
        match answer {
            Some(answer) => asked.push(format!("{}={}", field.name, answer.trim())),
            None => open.push(field),
        }
    }
    if !open.is_empty() {
        return Err(missing(spec, &open));
    }
    keys.extend(parse(spec, &asked)?);
    Ok(())
}

/// An age provider needs recipients of its own, unless the global file has some.
fn needs_recipients(app: &App, spec: &ProviderSpec, field: &Field) -> bool {
    spec.name == "age"
        && field.name == "recipients"
        && app
            .load()
            .map_or(true, |config| config.settings.age_recipients.is_empty())
}

fn missing(spec: &ProviderSpec, fields: &[&Field]) -> CliError {
    let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
    let hints: Vec<String> = fields
        .iter()
        .map(|field| {
            let example = if field.name == "recipients" {
                "age1…"
            } else {
                "…"
            };
            format!("--field {}={example}   {}", field.name, field.doc)
        })
        .collect();
    CliError::Usage {
        message: format!(
            "a provider of type `{}` needs: {}",
            spec.name,
            names.join(", ")
        ),
        help: Some(format!("add:\n{}", hints.join("\n"))),
    }
}

/// `KEY=VALUE` as the type's keys want it: lists and tables accumulate, flags and numbers are read.
fn parse(spec: &'static ProviderSpec, pairs: &[String]) -> Result<Keys, CliError> {
    let mut keys = Keys::new();
    for pair in pairs {
        let (key, text) = pair.split_once('=').ok_or_else(|| CliError::Usage {
            message: format!("`{}` is not of the form KEY=VALUE", pair.escape_debug()),
            help: Some(format!("keys of this type: {}", known(spec).join(", "))),
        })?;
        let field = field(spec, key)?;
        let wrong = |wanted: &str| CliError::usage(format!("`{key}` must be {wanted}"));
        let value = match field.kind {
            Kind::TextList => {
                let list = keys
                    .entry(field.name)
                    .or_insert_with(|| Value::Array(Array::new()));
                if let Some(list) = list.as_array_mut() {
                    list.push(text);
                }
                continue;
            }
            Kind::TextMap | Kind::Options => {
                let (name, value) = text
                    .split_once('=')
                    .ok_or_else(|| wrong("of the form NAME=VALUE"))?;
                let value = if field.kind == Kind::Options {
                    option(value).ok_or_else(|| {
                        wrong("a text, a number, a flag or `{ secret = \"NAME\" }`")
                    })?
                } else {
                    Value::from(value)
                };
                let map = keys
                    .entry(field.name)
                    .or_insert_with(|| Value::InlineTable(InlineTable::new()));
                if let Some(map) = map.as_inline_table_mut() {
                    map.insert(name, value);
                }
                continue;
            }
            Kind::Flag => text
                .parse::<bool>()
                .map(Value::from)
                .map_err(|_| wrong("`true` or `false`"))?,
            Kind::Count => text
                .parse::<u32>()
                .map(|count| Value::from(i64::from(count)))
                .map_err(|_| wrong("a whole number, zero or more"))?,
            Kind::Reference | Kind::ReferencePath if text.starts_with('{') => text
                .parse()
                .map_err(|_| wrong("a text or `{ secret = \"NAME\" }`"))?,
            Kind::Counts | Kind::Json | Kind::Table(_) | Kind::Tables(_) | Kind::Opaque => text
                .parse()
                .map_err(|_| wrong("written as TOML, for example `{ key = \"value\" }`"))?,
            _ => Value::from(text),
        };
        if keys.insert(field.name, value).is_some() {
            return Err(CliError::usage(format!(
                "`{key}` is given twice, and it is no list"
            )));
        }
    }
    Ok(keys)
}

/// Flags, whole numbers and tables as TOML has them; everything else is a text.
fn option(text: &str) -> Option<Value> {
    if text.starts_with('{') {
        return text.parse().ok();
    }
    let simple = text.parse::<Value>().ok();
    Some(
        simple
            .filter(|value| value.is_bool() || value.is_integer())
            .unwrap_or_else(|| Value::from(text)),
    )
}

fn field(spec: &'static ProviderSpec, key: &str) -> Result<&'static Field, CliError> {
    let found = spec
        .field(key)
        .or_else(|| PROVIDER_COMMON.field(key))
        .filter(|field| field.name != "type");
    found.ok_or_else(|| {
        let known = known(spec);
        let help = match suggest::nearest(key, known.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("keys of this type: {}", known.join(", ")),
        };
        CliError::Usage {
            message: format!(
                "providers of type `{}` have no key `{}`",
                spec.name,
                key.escape_debug()
            ),
            help: Some(help),
        }
    })
}

fn known(spec: &'static ProviderSpec) -> Vec<&'static str> {
    let all = spec.fields.iter().chain(PROVIDER_COMMON.fields);
    all.map(|field| field.name)
        .filter(|name| *name != "type")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(kind: &str, pairs: &[&str]) -> Result<Vec<(String, String)>, CliError> {
        let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
        let keys = parse(ProviderSpec::find(kind).unwrap(), &pairs)?;
        Ok(keys
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_string()))
            .collect())
    }

    #[test]
    fn values_get_the_type_that_the_key_wants() {
        let pairs = [
            "recipients=age1a",
            "bind_names=true",
            "recipients=age1b",
            "identity={ provider = \"k\", value = \"v\" }",
        ];
        let keys = parsed("age", &pairs).unwrap();
        let expected = [
            ("recipients", r#"["age1a", "age1b"]"#),
            ("bind_names", "true"),
            ("identity", r#"{ provider = "k", value = "v" }"#),
        ];
        assert_eq!(
            keys,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
        let keys = parsed("1password", &["token={ secret = \"OP\" }", "vault=a=b"]).unwrap();
        assert_eq!(keys[0].1, r#"{ secret = "OP" }"#);
        assert_eq!(keys[1].1, r#""a=b""#);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (pairs, wanted) in [
            (vec!["recipients"], "KEY=VALUE"),
            (vec!["recipient=x"], "no key `recipient`"),
            (
                vec!["bind_names=maybe"],
                "`bind_names` must be `true` or `false`",
            ),
            (vec!["key_file=a", "key_file=b"], "given twice"),
            (vec!["type=age"], "no key `type`"),
        ] {
            let error = parsed("age", &pairs).unwrap_err();
            assert!(error.to_string().contains(wanted), "{error}");
        }
        let error = parsed("age", &["recipient=x"]).unwrap_err();
        assert_eq!(error.help().unwrap(), "did you mean `recipients`?");
    }
}
