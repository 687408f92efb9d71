//! A loaded plugin and its hooks.

use std::collections::BTreeMap;

use fnox_core::{SecretBytes, SecretString};
use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, Table, Value};

use super::{Job, Stop, failure, host, sandbox};
use crate::error::ProviderError;
use crate::process::complaint;
use crate::settings::Opt;

type Answer = Result<SecretString, ProviderError>;

/// A plugin in its own state. It lives in one thread.
#[derive(Debug)]
pub(super) struct Plugin {
    lua: Lua,
    hooks: Table,
    ctx: Table,
    secrets: Vec<SecretString>,
}

impl Plugin {
    /// Makes a state, runs the plugin's text in it and keeps the hooks that it returns.
    pub(super) fn load(
        job: &Job,
        stop: &Stop,
        secrets: Vec<SecretString>,
    ) -> Result<Self, ProviderError> {
        let explained = |error: mlua::Error| failure::explained(&error, &secrets);
        let (name, hidden) = (job.name.clone(), secrets.clone());
        let log = move |text: &str| {
            let hidden: Vec<&SecretString> = hidden.iter().collect();
            tracing::debug!("`{name}` says: {}", complaint(text, &hidden));
        };
        let lua = sandbox::state(stop.clone(), log).map_err(explained)?;
        host::install(&lua, job, stop, &secrets).map_err(explained)?;
        let returned: Value = lua
            .load(job.source.as_str())
            .set_name("=provider.lua")
            .set_mode(ChunkMode::Text)
            .eval()
            .map_err(explained)?;
        let Value::Table(hooks) = returned else {
            return Err(ProviderError::misconfigured(
                "the plugin returns no table of hooks",
            ));
        };
        let ctx = context(&lua, job).map_err(explained)?;
        Ok(Self {
            lua,
            hooks,
            ctx,
            secrets,
        })
    }

    /// One answer for each reference.
    pub(super) fn get(&self, references: &[String]) -> Result<Vec<Answer>, ProviderError> {
        let mut unique: BTreeMap<&str, Answer> = BTreeMap::new();
        if let Some(batch) = self.hook("get_batch")? {
            for reference in references {
                unique.insert(reference, Err(ProviderError::not_found(reference)));
            }
            let wanted: Vec<&str> = unique.keys().copied().collect();
            let wanted = self.sequence(&wanted)?;
            let found: Table = batch
                .call((&self.ctx, wanted))
                .map_err(|error| self.explained(&error))?;
            for (reference, answer) in &mut unique {
                let value = found.raw_get(*reference);
                *answer = self.value(reference, value);
            }
        } else {
            let get = self.required("get")?;
            for reference in references {
                if !unique.contains_key(reference.as_str()) {
                    let value = get.call((&self.ctx, reference.as_str()));
                    unique.insert(reference, self.value(reference, value));
                }
            }
        }
        let answers = references
            .iter()
            .map(|reference| match unique.get(reference.as_str()) {
                Some(answer) => answer.clone(),
                None => Err(ProviderError::not_found(reference)),
            });
        Ok(answers.collect())
    }

    /// Whether it could answer now.
    pub(super) fn test(&self) -> Result<(), ProviderError> {
        self.required("get")?;
        match self.hook("test")? {
            None => Ok(()),
            Some(test) => match test.call(&self.ctx) {
                Ok(Value::Boolean(false)) => Err(ProviderError::unavailable(
                    "the plugin's test says that it does not work",
                )),
                Ok(_) => Ok(()),
                Err(error) => Err(self.explained(&error)),
            },
        }
    }

    /// Stores a value; the reference to keep.
    pub(super) fn put(&self, key: &str, value: &SecretString) -> Result<String, ProviderError> {
        let put = self.writing("put", "encrypt")?;
        let bytes = self.text(value)?;
        let stored = put
            .call((&self.ctx, key, bytes))
            .map_err(|error| self.explained(&error))?;
        match stored {
            Value::String(reference) if !reference.as_bytes().is_empty() => {
                let reference = reference.to_str().map_err(|error| self.explained(&error))?;
                Ok(reference.to_owned())
            }
            Value::Nil | Value::Boolean(true) => Ok(key.to_owned()),
            _ => Err(ProviderError::unavailable(
                "the plugin's `put` returned neither a reference nor nothing",
            )),
        }
    }

    /// Deletes what is under a reference.
    pub(super) fn delete(&self, key: &str) -> Result<(), ProviderError> {
        let delete = self.required("delete")?;
        match delete.call((&self.ctx, key)) {
            Ok(Value::Boolean(false)) => Err(ProviderError::not_found(key)),
            Ok(_) => Ok(()),
            Err(error) => Err(self.explained(&error)),
        }
    }

    /// One ciphertext for each value.
    pub(super) fn encrypt(&self, values: &[SecretString]) -> Result<Vec<String>, ProviderError> {
        let encrypt = self.writing("encrypt", "put")?;
        let mut out = Vec::with_capacity(values.len());
        for value in values {
            let bytes = self.text(value)?;
            let stored: Value = encrypt
                .call((&self.ctx, bytes))
                .map_err(|error| self.explained(&error))?;
            let text = stored
                .as_string()
                .and_then(|text| text.to_str().ok())
                .filter(|text| !text.is_empty());
            let text = text.ok_or_else(|| {
                ProviderError::unavailable("the plugin's `encrypt` returned no text")
            })?;
            out.push(text.to_owned());
        }
        Ok(out)
    }

    fn value(&self, reference: &str, value: mlua::Result<Value>) -> Answer {
        match value {
            Ok(Value::Nil) => Err(ProviderError::not_found(reference)),
            Ok(Value::String(bytes)) => {
                let bytes = SecretBytes::new(bytes.as_bytes().to_vec());
                bytes.into_string().map_err(|_| {
                    ProviderError::misconfigured(format!(
                        "the value under `{}` is not UTF-8 text",
                        reference.escape_debug()
                    ))
                })
            }
            Ok(other) => Err(ProviderError::unavailable(format!(
                "the plugin gave a {} for `{}`, not a string",
                other.type_name(),
                reference.escape_debug()
            ))),
            Err(error) => Err(self.explained(&error)),
        }
    }

    fn hook(&self, name: &str) -> Result<Option<Function>, ProviderError> {
        match self.hooks.raw_get(name) {
            Ok(Value::Function(hook)) => Ok(Some(hook)),
            Ok(Value::Nil) => Ok(None),
            Ok(_) => Err(ProviderError::misconfigured(format!(
                "the plugin's `{name}` is no function"
            ))),
            Err(error) => Err(self.explained(&error)),
        }
    }

    fn required(&self, name: &str) -> Result<Function, ProviderError> {
        self.hook(name)?
            .ok_or_else(|| ProviderError::misconfigured(format!("the plugin has no `{name}`")))
    }

    /// A hook that writes; without it, what `capability` should say.
    fn writing(&self, name: &str, other: &str) -> Result<Function, ProviderError> {
        let remedy = match (self.hook(other)?, other) {
            (Some(_), "encrypt") => "it encrypts: say `capability = \"encrypt\"`",
            (Some(_), _) => "it stores: leave `capability` out",
            (None, _) => {
                "if it only reads, say `capability = \"read\"`: then `fnox set` takes the reference"
            }
        };
        self.required(name)
            .map_err(|error| error.with_remedy(remedy))
    }

    fn text(&self, value: &SecretString) -> Result<mlua::LuaString, ProviderError> {
        self.lua
            .create_string(value.expose_secret())
            .map_err(|error| self.explained(&error))
    }

    fn sequence(&self, texts: &[&str]) -> Result<Table, ProviderError> {
        self.lua
            .create_sequence_from(texts.iter().copied())
            .map_err(|error| self.explained(&error))
    }

    fn explained(&self, error: &mlua::Error) -> ProviderError {
        failure::explained(error, &self.secrets)
    }
}

/// What every hook gets first: `provider`, `plugin_dir`, `options`.
fn context(lua: &Lua, job: &Job) -> mlua::Result<Table> {
    let options = lua.create_table()?;
    for (name, option) in &job.options {
        match option {
            Opt::Text { value, .. } => options.raw_set(name.as_str(), value.expose_secret())?,
            Opt::Flag(flag) => options.raw_set(name.as_str(), *flag)?,
            Opt::Number(number) => options.raw_set(name.as_str(), *number)?,
        }
    }
    let ctx = lua.create_table()?;
    ctx.raw_set("provider", job.name.as_str())?;
    ctx.raw_set("plugin_dir", job.folder.to_string_lossy().as_ref())?;
    ctx.raw_set("options", options)?;
    Ok(ctx)
}
