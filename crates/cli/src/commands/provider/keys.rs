//! `fnox provider keys`: the hardware keys that open a provider's values.
//!
//! The keys are asked first, while no file is locked. What they gave is written only if the file is still the one that was read.

use fnox_config::edit::{Change, Editor};
use fnox_config::{Config, ConfigError, Fields, ProviderConfig};
use fnox_providers::ProviderError;
use fnox_providers::hardware::keys::{AddedKeys, NewKey, RotatedKeys};
use toml_edit::{Array, Value};

use crate::app::{App, block_on};
use crate::args::{ProviderKeysCommand, ProviderKeysRemoveArgs};
use crate::audit::{self, Changed};
use crate::commands::definition::{Definition, Section};
use crate::error::CliError;
use crate::output::Table;
use crate::output::documents::{ListedKey, ListedKeys};

/// What a single key is called as long as it has no name.
const FIRST: &str = "key-1";
/// Types whose values hardware keys open.
const TYPES: [&str; 2] = ["yubikey", "fido2"];

pub(super) fn run(app: &App, command: &ProviderKeysCommand) -> Result<(), CliError> {
    let config = app.load()?;
    match command {
        ProviderKeysCommand::Add { name, key, slot } => {
            let provider = provider(&config, name)?;
            add(app, &config, provider, key.as_deref(), slot.clone())
        }
        ProviderKeysCommand::List { name, json } => list(app, provider(&config, name)?, *json),
        ProviderKeysCommand::Remove(args) => {
            remove(app, &config, provider(&config, &args.name)?, args)
        }
        ProviderKeysCommand::Rotate { name } => rotate(app, &config, provider(&config, name)?),
    }
}

/// A provider whose values hardware keys open.
fn provider<'a>(config: &'a Config, name: &str) -> Result<&'a ProviderConfig, CliError> {
    let provider = config.provider(name, None)?;
    if TYPES.contains(&provider.spec.name) {
        return Ok(provider);
    }
    Err(CliError::Usage {
        message: format!(
            "the provider `{name}` ({}) is opened by no hardware key",
            provider.spec.label
        ),
        help: Some("providers of the types `yubikey` and `fido2` are".to_owned()),
    })
}

/// The names of its keys, in their order.
fn names(provider: &ProviderConfig) -> Vec<&str> {
    let tables = provider.fields.tables("keys");
    if tables.is_empty() {
        return vec![FIRST];
    }
    tables
        .iter()
        .map(|fields| fields.text("name").unwrap_or_default())
        .collect()
}

fn list(app: &App, provider: &ProviderConfig, json: bool) -> Result<(), CliError> {
    let document = document(provider);
    if json {
        return app.printer.json(&document);
    }
    let mut table = Table::new(&["KEY", "ASKED"], false);
    for key in &document.keys {
        let asked = match (&key.slot, &key.credential_id) {
            (Some(slot), _) => format!("slot {slot}"),
            (None, Some(id)) => format!("credential {}", id.chars().take(16).collect::<String>()),
            (None, None) => String::new(),
        };
        table.row(vec![key.name.clone(), asked]);
    }
    app.printer.line(&table.render())
}

fn document(provider: &ProviderConfig) -> ListedKeys {
    let tables = provider.fields.tables("keys");
    let all = if tables.is_empty() {
        std::slice::from_ref(&provider.fields)
    } else {
        tables
    };
    let text = |fields: &Fields, key| fields.text(key).map(str::to_owned);
    ListedKeys {
        provider: provider.name.to_string(),
        kind: provider.spec.name,
        data_key: text(&provider.fields, "data_key"),
        former_keys: provider.fields.list("former_keys").len(),
        keys: names(provider)
            .into_iter()
            .zip(all)
            .map(|(name, fields)| ListedKey {
                name: name.to_owned(),
                slot: text(fields, "slot"),
                credential_id: text(fields, "credential_id"),
                rp_id: text(fields, "rp_id"),
            })
            .collect(),
    }
}

fn add(
    app: &App,
    config: &Config,
    provider: &ProviderConfig,
    name: Option<&str>,
    slot: Option<String>,
) -> Result<(), CliError> {
    if slot.is_some() && provider.spec.name != "yubikey" {
        return Err(CliError::usage("`--slot` is for YubiKeys"));
    }
    let taken = names(provider);
    let name = match name {
        Some(name) if name.is_empty() || name.chars().any(char::is_control) => {
            return Err(CliError::usage("a key's name must be a text of one line"));
        }
        Some(name) if taken.contains(&name) => {
            return Err(CliError::Usage {
                message: format!("the provider `{}` has a key `{name}`", provider.name),
                help: Some("give the new one another name".to_owned()),
            });
        }
        Some(name) => name.to_owned(),
        // One more name than there are keys: one of them is free.
        None => (taken.len() + 1..=2 * taken.len() + 1)
            .map(|number| format!("key-{number}"))
            .find(|name| !taken.contains(&name.as_str()))
            .unwrap_or_default(),
    };
    let place = Place::of(app, provider)?;
    let new = NewKey {
        name: name.clone(),
        first: FIRST.to_owned(),
        slot,
    };
    let resolver = app.resolver(config);
    let added = block_on(async {
        let opened = resolver.open(provider.name.as_str()).await?;
        let keys = opened.provider.hardware_keys();
        let keys = keys.ok_or_else(|| not_built(provider, ADD))?;
        keys.add(&new)
            .await
            .map_err(|error| failed(provider, ADD, error))
    })??;
    changing(app, config, provider, Some(&name), || place.add(&added))?;
    app.printer.done(&format!(
        "Added the key {name} to the provider {}: each of its {} keys opens its values",
        provider.name,
        taken.len() + 1
    ));
    if !added.moved.is_empty() {
        app.printer.note(&format!(
            "Older values open too. `fnox reencrypt -p {}` encrypts them with the provider's data key, which binds them to their names",
            provider.name
        ));
    }
    Ok(())
}

const ADD: &str = "add a key";
const ROTATE: &str = "replace its data key";

fn remove(
    app: &App,
    config: &Config,
    provider: &ProviderConfig,
    args: &ProviderKeysRemoveArgs,
) -> Result<(), CliError> {
    let names = names(provider);
    let index = names.iter().position(|name| *name == args.key);
    let Some(index) = index else {
        return Err(CliError::Usage {
            message: format!(
                "the provider `{}` has no key `{}`",
                provider.name,
                args.key.escape_debug()
            ),
            help: Some(format!("it has: {}", names.join(", "))),
        });
    };
    if names.len() == 1 {
        return Err(CliError::Usage {
            message: format!(
                "`{}` is the only key of the provider `{}`",
                args.key, provider.name
            ),
            help: Some(
                "without it nothing would open the values: add another key first".to_owned(),
            ),
        });
    }
    let place = Place::of(app, provider)?;
    let rotated = if args.rotate {
        Some(rotated(app, config, provider, Some(index))?)
    } else {
        None
    };
    changing(app, config, provider, Some(&args.key), || {
        place.change(rotated.as_ref(), Some(index))
    })?;
    let name = &provider.name;
    app.printer.done(&format!(
        "Removed the key {} from the provider {name}",
        args.key
    ));
    if rotated.is_some() {
        app.printer.note(&after_rotation(provider));
    } else {
        app.printer.warn(&format!(
            "whoever has the removed key and an older version of the file knows the data key, and can read values that are stored from now on too; `fnox provider keys rotate {name}` makes a new one"
        ));
    }
    Ok(())
}

fn rotate(app: &App, config: &Config, provider: &ProviderConfig) -> Result<(), CliError> {
    let place = Place::of(app, provider)?;
    let rotated = rotated(app, config, provider, None)?;
    changing(app, config, provider, None, || {
        place.change(Some(&rotated), None)
    })?;
    app.printer.done(&format!(
        "The provider {} has a new data key",
        provider.name
    ));
    app.printer.note(&after_rotation(provider));
    Ok(())
}

/// Changes its keys, on record.
fn changing(
    app: &App,
    config: &Config,
    provider: &ProviderConfig,
    key: Option<&str>,
    work: impl FnOnce() -> Result<(), CliError>,
) -> Result<(), CliError> {
    let changed = Changed {
        provider: Some(provider.name.to_string()),
        to: key.map(str::to_owned),
        ..Changed::default()
    };
    audit::changing(app, Some(config), audit::Change::Keys, [changed], work)
}

fn rotated(
    app: &App,
    config: &Config,
    provider: &ProviderConfig,
    without: Option<usize>,
) -> Result<RotatedKeys, CliError> {
    let resolver = app.resolver(config);
    block_on(async {
        let opened = resolver.open(provider.name.as_str()).await?;
        let keys = opened.provider.hardware_keys();
        let keys = keys.ok_or_else(|| not_built(provider, ROTATE))?;
        let rotated = keys.rotate(without).await;
        rotated.map_err(|error| failed(provider, ROTATE, error))
    })?
}

fn after_rotation(provider: &ProviderConfig) -> String {
    format!(
        "`fnox reencrypt -p {}` encrypts older values with it. Who has a removed key and an older version of the file can still read those: if the key was lost, replace the secrets themselves",
        provider.name
    )
}

fn not_built(provider: &ProviderConfig, action: &'static str) -> CliError {
    failed(
        provider,
        action,
        ProviderError::unsupported("change its keys"),
    )
}

fn failed(provider: &ProviderConfig, action: &'static str, error: ProviderError) -> CliError {
    CliError::Provider {
        provider: provider.name.to_string(),
        action,
        error,
    }
}

/// Where the provider stands, in the file as it was read.
struct Place<'a> {
    app: &'a App,
    provider: &'a ProviderConfig,
    definition: Definition,
}

impl<'a> Place<'a> {
    fn of(app: &'a App, provider: &'a ProviderConfig) -> Result<Self, CliError> {
        let location = provider.fields.location();
        let definition = Definition::find(location, Section::Providers, provider.name.as_str());
        let definition = definition.ok_or_else(|| {
            CliError::failed(format!(
                "the file that defines `{}` could not be found",
                provider.name
            ))
        })?;
        Ok(Self {
            app,
            provider,
            definition,
        })
    }

    fn editor(&self) -> Result<Editor, CliError> {
        let editor = Editor::open(self.definition.path(), self.definition.kind.clone())?;
        if editor.text() == self.provider.fields.location().file.text {
            return Ok(editor);
        }
        Err(CliError::Failed {
            message: format!(
                "{} was changed by somebody else in the meantime",
                self.definition.path().display()
            ),
            code: "cli::check_failed",
        })
    }

    fn add(&self, added: &AddedKeys) -> Result<(), CliError> {
        let mut editor = self.editor()?;
        let (table, name) = (self.definition.table(), self.provider.name.as_str());
        let mut changes: Vec<(&str, Change)> = added
            .moved
            .iter()
            .map(|key| (*key, Change::Remove))
            .collect();
        changes.extend(shared(&added.data_key, &added.former_keys));
        editor.set(&table, name, &changes)?;
        for key in &added.tables {
            let pairs: Vec<(&str, Value)> = key
                .iter()
                .map(|(key, text)| (*key, Value::from(text.as_str())))
                .collect();
            editor.push_table(&table, name, "keys", &pairs)?;
        }
        Ok(editor.save(&self.app.folders)?)
    }

    fn change(
        &self,
        rotated: Option<&RotatedKeys>,
        without: Option<usize>,
    ) -> Result<(), CliError> {
        let mut editor = self.editor()?;
        let (table, name) = (self.definition.table(), self.provider.name.as_str());
        if let Some(rotated) = rotated {
            for (index, wrapped) in &rotated.wrapped {
                self.there(editor.set_in_table(
                    &table,
                    name,
                    ("keys", *index),
                    ("wrapped", wrapped),
                )?)?;
            }
            let changes: Vec<(&str, Change)> =
                shared(&rotated.data_key, &rotated.former_keys).into();
            editor.set(&table, name, &changes)?;
        }
        if let Some(index) = without {
            self.there(editor.remove_table(&table, name, "keys", index)?)?;
        }
        Ok(editor.save(&self.app.folders)?)
    }

    fn there(&self, is_there: bool) -> Result<(), ConfigError> {
        if is_there {
            return Ok(());
        }
        Err(self
            .provider
            .fields
            .invalid("keys", "is not the list that was read"))
    }
}

/// What all keys share.
fn shared(data_key: &str, former_keys: &[String]) -> [(&'static str, Change); 2] {
    let former: Array = former_keys.iter().collect();
    [
        ("data_key", Change::text(data_key)),
        ("former_keys", Change::Set(Value::Array(former))),
    ]
}
