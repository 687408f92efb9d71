//! `fnox secret`: values on the team server.

mod rekey;
mod set;

use fnox_api::client::Condition;
use fnox_api::{ProblemCode, SecretView};
use fnox_core::SecretName;

use crate::app::{App, block_on};
use crate::args::team::{SecretArgs, SecretCommand};
use crate::error::CliError;
use crate::output::Table;
use crate::team::documents::{DeletedServerSecret, ServerSecret};
use crate::team::error::TeamFailure;
use crate::team::place::Place;
use crate::team::server::{self, Server};
use crate::terminal::harmless;

pub(crate) fn run(app: &App, args: &SecretArgs) -> Result<(), CliError> {
    let place = Place::of(app, args.project.as_deref())?;
    let url = server::url(app, &args.server)?;
    let command = Run {
        app,
        place,
        url,
        json: args.json,
    };
    match &args.command {
        SecretCommand::Set(set) => command.set(set),
        SecretCommand::List { all } => command.list(*all),
        SecretCommand::Delete { keys } => command.delete(keys),
        SecretCommand::Versions { key } => command.versions(key),
        SecretCommand::Rekey {
            keys,
            recipients,
            dry_run,
            force,
        } => command.rekey(keys, &recipients.recipients, *dry_run, *force),
    }
}

/// One `fnox secret`.
struct Run<'a> {
    app: &'a App,
    place: Place,
    url: String,
    json: bool,
}

impl Run<'_> {
    async fn connect(&self) -> Result<Server, CliError> {
        Server::connect(self.app, &self.url).await
    }

    fn list(&self, all: bool) -> Result<(), CliError> {
        let profile = (!all).then_some(self.place.profile.as_str());
        let secrets = block_on(async {
            let server = self.connect().await?;
            let secrets = server.secrets(&self.place.project, profile).await;
            Ok::<_, CliError>(secrets.map_err(TeamFailure::from)?)
        })??;
        if secrets.is_empty() && !self.json {
            self.app.printer.note("No secrets.");
            return Ok(());
        }
        self.show(&secrets, all)
    }

    fn versions(&self, key: &str) -> Result<(), CliError> {
        let key = name(key)?;
        let versions = block_on(async {
            let server = self.connect().await?;
            let profile = Some(self.place.profile.as_str());
            let versions = server
                .versions(&self.place.project, profile, key.as_str())
                .await;
            let named = |error| TeamFailure::about(error, key.as_str(), &self.place);
            Ok::<_, CliError>(versions.map_err(named)?)
        })??;
        self.show(&versions, false)
    }

    fn show(&self, secrets: &[SecretView], profiles: bool) -> Result<(), CliError> {
        if self.json {
            let documents: Vec<ServerSecret> = secrets.iter().map(ServerSecret::from).collect();
            return self.app.printer.json(&documents);
        }
        let mut headings = vec!["KEY", "VERSION", "STORED", "BY", "RECIPIENTS", "APPROVAL"];
        if profiles {
            headings.insert(0, "PROFILE");
        }
        headings.push("DESCRIPTION");
        let mut table = Table::new(&headings, false);
        for secret in secrets {
            let approval = if secret.require_approval {
                "always"
            } else {
                "by policy"
            };
            let mut row = vec![
                secret.key.clone(),
                secret.version.to_string(),
                secret.created_at.strftime("%Y-%m-%d %H:%M").to_string(),
                secret.created_by.clone(),
                secret.recipients.len().to_string(),
                approval.to_owned(),
                secret.description.clone().unwrap_or_default(),
            ];
            if profiles {
                row.insert(0, secret.profile.clone());
            }
            table.row(row);
        }
        self.app.printer.line(&table.render())
    }

    fn delete(&self, keys: &[String]) -> Result<(), CliError> {
        let keys: Vec<SecretName> = keys.iter().map(|key| name(key)).collect::<Result<_, _>>()?;
        let mut deleted = Vec::new();
        let outcome = block_on(async {
            let server = self.connect().await?;
            for key in &keys {
                let profile = Some(self.place.profile.as_str());
                server
                    .delete_secret(&self.place.project, profile, key.as_str(), Condition::Any)
                    .await
                    .map_err(|error| TeamFailure::about(error, key.as_str(), &self.place))?;
                deleted.push(DeletedServerSecret {
                    project: self.place.project.clone(),
                    profile: self.place.profile.clone(),
                    key: key.to_string(),
                });
            }
            Ok::<_, CliError>(())
        })?;
        if self.json {
            self.app.printer.json(&deleted)?;
        } else {
            for secret in &deleted {
                self.app.printer.done(&format!("Deleted {}", secret.key));
            }
        }
        outcome
    }

    fn tell_stored(&self, verb: &str, secret: &SecretView, signed: bool) {
        let signed = if signed { ", signed" } else { "" };
        self.app.printer.done(&format!(
            "{verb} {} (version {}, {} recipient{}{signed})",
            harmless(&secret.key),
            secret.version,
            secret.recipients.len(),
            super::export::plural(secret.recipients.len()),
        ));
    }
}

fn name(text: &str) -> Result<SecretName, CliError> {
    SecretName::parse(text).map_err(|error| CliError::usage(error.to_string()))
}

/// Whether somebody else was faster.
fn is_conflict(error: &fnox_api::client::ClientError) -> bool {
    error.code() == Some(ProblemCode::VersionMismatch)
}

/// The number to sign for, if the server refused another one.
fn next_version(error: &fnox_api::client::ClientError) -> Option<u64> {
    error.problem()?.next_version
}

/// What was stored, if it has the number that it was made for. A server that gives it another one made a version that
/// readers refuse.
fn as_made(stored: SecretView, version: u64) -> Result<SecretView, TeamFailure> {
    if stored.version == version {
        return Ok(stored);
    }
    Err(TeamFailure::Value {
        reason: format!(
            "it was made as version {version}, and the server stored it as {}",
            stored.version
        ),
        key: stored.key,
    })
}

/// How often a change is tried again that somebody else was faster with.
const TRIES: usize = 5;
