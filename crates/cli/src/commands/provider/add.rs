//! `fnox provider add`: no placeholders; what a type needs is given, asked for, or the command fails.

use std::path::Path;
use std::sync::Arc;

use fnox_config::edit::{Change, Editor};
use fnox_config::spec::{Field, ProviderSpec};
use fnox_config::{ConfigError, trust};
use fnox_core::age::Recipient;
use fnox_core::{ProviderName, SecretString};
use fnox_providers::backend::fido2;
use fnox_providers::{Context, Registry};
use rand::TryRngCore as _;
use toml_edit::Value;

use super::given::{Keys, parse};
use super::plugin::{self, Plugin};
use crate::app::App;
use crate::args::ProviderAddArgs;
use crate::audit::{self, Changed};
use crate::error::CliError;

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
    let profile = app.write_target_for_provider()?;
    let (path, file_kind) = app.file_to_write(args.global, profile.as_ref());
    let Wanted {
        spec,
        mut keys,
        plugin,
    } = wanted(app, args, &path)?;
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
        "age" => check_recipients(&keys)?,
        "yubikey" => own_challenge(&mut keys)?,
        "fido2" => own_credential(app, &name, &mut keys)?,
        _ => {}
    }
    ask_required(app, spec, &mut keys)?;
    let mut entry = vec![("type", Change::text(spec.name))];
    entry.extend(
        keys.iter()
            .map(|(key, value)| (*key, Change::Set(value.clone()))),
    );
    let mut editor = Editor::open(&path, file_kind)?;
    if editor.has(&table, name.as_str()) {
        return Err(exists.into());
    }
    editor.set(&table, name.as_str(), &entry)?;
    let changed = [Changed::provider(&name, &path, profile.as_ref())];
    let change = audit::Change::ProviderAdd;
    audit::changing(
        app,
        None,
        change,
        changed,
        || Ok(editor.save(&app.folders)?),
    )?;
    let suffix = crate::commands::set::suffix(profile.as_ref(), args.global);
    app.printer.done(&format!(
        "Added the provider {name} ({}){suffix} to {}",
        spec.label,
        path.display()
    ));
    advise(app, &name, spec, &keys, plugin.as_ref());
    Ok(())
}

/// What is to be added.
struct Wanted {
    spec: &'static ProviderSpec,
    keys: Keys,
    plugin: Option<Plugin>,
}

/// The type, and the keys that are given.
fn wanted(app: &App, args: &ProviderAddArgs, file: &Path) -> Result<Wanted, CliError> {
    let spec = args.kind.as_deref().map(|kind| {
        let kind = match kind {
            "aws" => "aws-sm",
            "gcp" => "gcp-sm",
            other => other,
        };
        ProviderSpec::find(kind).ok_or_else(|| super::unknown_type(kind))
    });
    let spec = spec.transpose()?;
    let Some(text) = &args.plugin else {
        let spec = spec.ok_or_else(|| CliError::usage("a provider needs a type"))?;
        return Ok(Wanted {
            spec,
            keys: parse(spec, &args.fields())?,
            plugin: None,
        });
    };
    let plugin = plugin::named(app, text, spec, file)?;
    let given = parse(plugin.spec, &args.fields())?;
    if given.contains_key(plugin.key) {
        let key = plugin.key;
        return Err(CliError::usage(format!(
            "`--plugin` says `{key}`, and `--field` says it too"
        )));
    }
    let mut keys: Keys = [(plugin.key, Value::from(plugin.text.as_str()))].into();
    keys.extend(given);
    Ok(Wanted {
        spec: plugin.spec,
        keys,
        plugin: Some(plugin),
    })
}

/// An entry of the list that is no recipient, such as what is left of a variable that was empty, would be found out at the
/// first value.
fn check_recipients(keys: &Keys) -> Result<(), CliError> {
    let list = keys.get("recipients").and_then(Value::as_array);
    for text in list.into_iter().flatten().filter_map(Value::as_str) {
        Recipient::parse(text).map_err(|error| CliError::Usage {
            message: error.to_string(),
            help: Some(
                "`fnox age keygen` makes an identity and prints its recipient; `fnox doctor` shows those that there are"
                    .to_owned(),
            ),
        })?;
    }
    Ok(())
}

/// What to do next.
fn advise(
    app: &App,
    name: &ProviderName,
    spec: &ProviderSpec,
    keys: &Keys,
    plugin: Option<&Plugin>,
) {
    for key in SECRET_KEYS
        .iter()
        .filter(|key| keys.get(**key).is_some_and(Value::is_str))
    {
        app.printer.warn(&format!(
            "`{key}` stands in the file in clear text; better keep it as a secret: `{key} = {{ secret = \"NAME\" }}`"
        ));
    }
    if let Some(missing) = plugin.and_then(|plugin| plugin.missing.as_ref()) {
        app.printer.warn(missing);
    }
    if let Some(note) = plugin.and_then(|plugin| plugin.note.as_ref()) {
        app.printer.note(note);
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
