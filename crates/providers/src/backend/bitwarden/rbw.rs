//! The unofficial `rbw`, which keeps the vault's key in an agent.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::{Item, Provider, ProviderError, Request, SecretString, Wanted, async_trait};
use crate::error::ErrorKind;
use crate::process::{Output, Tool, complaint};
use crate::settings::Settings;

/// How many items are read at once; the agent answers one after the other anyway.
const CONCURRENT: usize = 4;

pub(super) const INSTALL: &str = "install rbw: https://github.com/doy/rbw";
const UNLOCK: &str = "run `rbw unlock`, after `rbw login` if this machine was never logged in";

/// The variable by which the program finds a profile's data.
pub(super) fn profile(settings: &Settings) -> Option<(String, SecretString)> {
    let profile = settings.text("profile")?;
    Some(("RBW_PROFILE".to_owned(), SecretString::from(profile)))
}

#[derive(Debug)]
pub(super) struct Rbw {
    pub(super) folder: Option<String>,
    pub(super) tool: Tool,
    pub(super) interactive: bool,
}

/// An entry without its values.
struct Entry {
    id: String,
    name: String,
}

type Items = HashMap<String, Result<Item, ProviderError>>;

impl Rbw {
    /// The entries that count, from one `rbw list`: a line each, fields between tabs.
    async fn entries(&self) -> Result<Vec<Entry>, ProviderError> {
        let output = self.run(&["list", "--fields", "id,name,folder"]).await?;
        let text = output
            .stdout
            .into_string()
            .map_err(|_| ProviderError::unavailable("`rbw list` printed no text"))?;
        let entries = text.expose_secret().lines().filter_map(|line| {
            let mut fields = line.split('\t');
            let (id, name) = (fields.next()?, fields.next()?);
            let folder = fields.next().unwrap_or_default();
            let counts = self.folder.as_deref().is_none_or(|wanted| wanted == folder);
            counts.then(|| Entry {
                id: id.to_owned(),
                name: name.to_owned(),
            })
        });
        Ok(entries.collect())
    }

    async fn item(&self, id: &str) -> Result<Item, ProviderError> {
        let output = self.run(&["get", "--raw", "--", id]).await?;
        serde_json::from_slice(output.stdout.expose_secret()).map_err(|error| {
            ProviderError::unavailable(format!(
                "`rbw get --raw` printed something else than the JSON of an item (line {}, column {})",
                error.line(),
                error.column()
            ))
        })
    }

    async fn value(
        &self,
        wanted: &Wanted,
        id: &str,
        items: &Items,
    ) -> Result<SecretString, ProviderError> {
        let item = match items.get(id) {
            Some(Ok(item)) => item,
            Some(Err(error)) => return Err(error.clone()),
            None => return Err(ProviderError::not_found(id)),
        };
        let field = wanted.field.as_deref();
        if let Some(value) = item.value(field) {
            return Ok(value);
        }
        if field != Some("totp") || !item.has_totp() {
            return Err(item.lacks(field));
        }
        let output = self.run(&["code", "--", id]).await?;
        let code = output
            .stdout
            .into_string()
            .map_err(|_| ProviderError::unavailable("`rbw code` printed no text"))?;
        // Digits only, so white space is not the value's.
        Ok(SecretString::from(code.expose_secret().trim()))
    }

    async fn answers(
        &self,
        requests: &[Request],
    ) -> Result<Vec<Result<SecretString, ProviderError>>, ProviderError> {
        // `rbw` would open pinentry where nobody may be looking.
        if !self.interactive {
            self.check().await?;
        }
        let entries = self.entries().await?;
        let names: Vec<(&str, &str)> = entries
            .iter()
            .map(|entry| (entry.id.as_str(), entry.name.as_str()))
            .collect();
        let wanted: Vec<Result<Wanted, ProviderError>> = requests
            .iter()
            .map(|request| Wanted::find(&request.reference, &names))
            .collect();
        let mut ids: Vec<&str> = wanted
            .iter()
            .flatten()
            .map(|wanted| names[wanted.item].0)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let reads: Vec<_> = ids
            .into_iter()
            .map(|id| async move { (id.to_owned(), self.item(id).await) })
            .collect();
        let items: Items = stream::iter(reads)
            .buffer_unordered(CONCURRENT)
            .collect()
            .await;
        let mut answers = Vec::with_capacity(requests.len());
        for wanted in wanted {
            answers.push(match wanted {
                Ok(wanted) => self.value(&wanted, names[wanted.item].0, &items).await,
                Err(error) => Err(error),
            });
        }
        Ok(answers)
    }

    async fn run(&self, arguments: &[&str]) -> Result<Output, ProviderError> {
        let output = self.tool.run(arguments, None).await?;
        if output.status.success() {
            return Ok(output);
        }
        let message = format!("`rbw` says: {}", complaint(&output.stderr, &[]));
        let stderr = output.stderr.to_ascii_lowercase();
        Err(
            if arguments == ["unlocked"] || super::login_words(&stderr) {
                ProviderError::authentication(message).with_remedy(UNLOCK)
            } else if stderr.contains("couldn't find") || stderr.contains("not found") {
                ProviderError::new(ErrorKind::NotFound, message)
            } else {
                ProviderError::unavailable(message)
            },
        )
    }
}

#[async_trait]
impl Provider for Rbw {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        self.answers(requests)
            .await
            .unwrap_or_else(|error| vec![Err(error); requests.len()])
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.run(&["unlocked"]).await.map(drop)
    }
}
