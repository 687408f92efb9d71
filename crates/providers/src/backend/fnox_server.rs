//! `fnox-server`: secrets that a team server keeps and cannot read.
//!
//! A batch is one conversation: one session, one request for all keys, at most one person who is asked about it, one
//! grant, one fetch. What comes back are age files, which are decrypted here with the identities that `age` providers
//! use too. The reference is the key's name on the server; a secret without `value` is known by its own name.
//!
//! **Which keys are asked for.** The server refuses a request as a whole. Where it names one key, and the run goes on
//! without that one, the request is made again without it; else nobody is asked for anything, so that no person says
//! yes to a run that cannot start.
//!
//! **Whose values are accepted.** With `[project] writers`, only those that one of them signed for this project,
//! profile and key, in the version that the server says, and in none that is older than what was seen before
//! ([`seen`]) or `[project] min_versions` demands. Without, whatever decrypts; a value that says of itself that it
//! belongs elsewhere is refused even then.
//!
//! **Waiting.** Long polls of at most 30 seconds, of random length so that many jobs do not come at once. A server that
//! is gone for a while is asked again until the request has expired. Whoever ends the run takes the request back.
//!
//! Left out: the server hears the command from here and cannot check it, and what a server withholds nobody can get.

mod accept;
mod ask;
mod explain;
mod login;
mod seen;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fnox_api::CheckRequest;
use fnox_api::client::{ApiClient, ClientOptions};
use fnox_core::signed::WriterPublicKey;
use fnox_core::{Clock, Env, ProfileName, ProjectName, SecretName, SecretString};
use tokio::sync::Mutex;

use self::seen::Seen;
use crate::backend::age::Opener;
use crate::error::{ErrorKind, ProviderError};
use crate::provider::{Context, Preview, Provider, Request};
use crate::run::{ProjectContext, RunRequest, Tolerated};
use crate::settings::Settings;

type Answer = Result<SecretString, ProviderError>;

/// Opens a provider of this type. Nothing is contacted and no token is read yet.
///
/// # Errors
/// `Misconfigured` if `url` is no address of a server.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let options = ClientOptions {
        time_limit: context.time_limit,
        ca_file: context.env.var("FNOX_SERVER_CA_FILE").map(Into::into),
        ..ClientOptions::default()
    };
    let client = ApiClient::new(settings.required("url")?, &options)
        .map_err(|error| explain::client(&error).at_key("url"))?;
    Ok(Box::new(TeamServer {
        place: Place::of(context),
        client,
        env: context.env.clone(),
        state: context.folders.state.clone(),
        run: context.run.clone(),
        tolerated: context.tolerated.clone(),
        clock: Arc::clone(&context.clock),
        opener: Opener::new(context),
        time_limit: context.time_limit,
        patience: context.patience(),
        session: Mutex::new(None),
    }))
}

/// Where a project's values are, and which of them are accepted.
#[derive(Debug, Clone)]
struct Place {
    project: String,
    profile: String,
    writers: Vec<WriterPublicKey>,
    min_versions: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct TeamServer {
    client: ApiClient,
    place: Result<Place, ProviderError>,
    env: Env,
    state: std::path::PathBuf,
    run: Option<RunRequest>,
    tolerated: Tolerated,
    clock: Arc<dyn Clock>,
    opener: Opener,
    time_limit: Duration,
    patience: Duration,
    /// The client in the name of whoever logged in. Each identity token opens one session, so it is kept.
    session: Mutex<Option<ApiClient>>,
}

/// One key of a batch, and who wants it.
#[derive(Debug, Clone)]
struct Wanted {
    name: SecretName,
    key: String,
}

impl Place {
    fn of(context: &Context) -> Result<Self, ProviderError> {
        let ProjectContext {
            name,
            writers,
            min_versions,
        } = context.project.clone().ok_or_else(|| {
            ProviderError::misconfigured("this project has no name on the team server")
                .with_remedy("add `[project]` with `name = \"…\"` to fnox.toml")
        })?;
        let wrong = |what: String| ProviderError::misconfigured(what);
        let project = ProjectName::parse(&name)
            .map_err(|error| wrong(format!("`[project] name`: {error}")))?;
        let profile = ProfileName::parse(&context.profile).map_err(|_| {
            wrong(format!(
                "values of a team server belong to one profile, and `{}` are active",
                context.profile.escape_debug()
            ))
        })?;
        let writers = writers
            .iter()
            .map(|text| text.parse::<WriterPublicKey>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| wrong(format!("`[project] writers`: {error}")))?;
        let min_versions =
            min_versions.map_err(|reason| wrong(format!("`[project] min_versions`: {reason}")))?;
        if writers.is_empty() && !min_versions.is_empty() {
            return Err(wrong(
                "`[project] min_versions` means nothing without `[project] writers`: an unsigned value has no version"
                    .to_owned(),
            ));
        }
        Ok(Self {
            project: project.to_string(),
            profile: profile.to_string(),
            writers,
            min_versions,
        })
    }
}

#[async_trait]
impl Provider for TeamServer {
    async fn get_many(&self, requests: &[Request]) -> Vec<Answer> {
        let wanted: Vec<Result<Wanted, ProviderError>> = requests.iter().map(wanted).collect();
        let mut batch: Vec<Wanted> = Vec::new();
        for one in wanted.iter().flatten() {
            if !batch.iter().any(|other| other.key == one.key) {
                batch.push(one.clone());
            }
        }
        if batch.is_empty() {
            return wanted.into_iter().map(|one| Err(failure(one))).collect();
        }
        let released = self.release(batch).await;
        wanted
            .into_iter()
            .map(|one| {
                let one = one?;
                match &released {
                    Ok(values) => values.get(&one.key).cloned().unwrap_or_else(|| {
                        Err(ProviderError::unavailable(format!(
                            "the server did not hand out `{}`",
                            one.key
                        )))
                    }),
                    Err(error) => Err(error.clone()),
                }
            })
            .collect()
    }

    /// Whether the server answers, and knows who asks. An identity token that is good for one session is left for
    /// the run.
    async fn check(&self) -> Result<(), ProviderError> {
        self.place.as_ref().map_err(Clone::clone)?;
        let health = self
            .client
            .health()
            .await
            .map_err(|error| explain::client(&error))?;
        if health.status != "ok" {
            return Err(ProviderError::unavailable(
                "the team server releases nothing at the moment",
            ));
        }
        if !self.may_log_in()? {
            return Ok(());
        }
        let session = self.log_in().await?;
        session
            .current_session()
            .await
            .map(|_| ())
            .map_err(|error| explain::client(&error))
    }

    async fn preview(&self, requests: &[Request]) -> Vec<Result<Preview, ProviderError>> {
        let mut out = Vec::with_capacity(requests.len());
        match self.foretell(requests).await {
            Ok(previews) => out.extend(previews),
            Err(error) => out.extend(requests.iter().map(|_| Err(error.clone()))),
        }
        out
    }
}

impl TeamServer {
    /// From keys to values: asks, fetches, decrypts, checks.
    async fn release(&self, batch: Vec<Wanted>) -> Result<BTreeMap<String, Answer>, ProviderError> {
        let place = self.place.as_ref().map_err(Clone::clone)?;
        let asked = self.ask(place, batch).await?;
        let mut answers: BTreeMap<String, Answer> = asked
            .refused
            .into_iter()
            .map(|(key, error)| (key, Err(error)))
            .collect();
        if let Some(approval) = asked.approval {
            let fetched = self.fetch(approval, &asked.keys).await?;
            answers.extend(self.accept(place, fetched).await?);
        }
        Ok(answers)
    }

    async fn foretell(
        &self,
        requests: &[Request],
    ) -> Result<Vec<Result<Preview, ProviderError>>, ProviderError> {
        let place = self.place.as_ref().map_err(Clone::clone)?;
        let mut keys: Vec<String> = Vec::new();
        for one in requests.iter().filter_map(|request| wanted(request).ok()) {
            if !keys.contains(&one.key) {
                keys.push(one.key);
            }
        }
        let request = CheckRequest {
            project: place.project.clone(),
            profile: Some(place.profile.clone()),
            keys,
        };
        let session = self.log_in().await?;
        let checks = session
            .check(&request)
            .await
            .map_err(|error| explain::client(&error))?;
        let foretold = |request: &Request| {
            let one = wanted(request)?;
            let found = checks.keys.iter().find(|checked| checked.key == one.key);
            let checked = found.ok_or_else(|| {
                ProviderError::unavailable(format!("the server says nothing of `{}`", one.key))
            })?;
            match &checked.refused {
                Some(reason) => Err(ProviderError::denied(reason.clone())),
                None => Ok(Preview {
                    version: checked.version,
                    needs_approval: checked.needs_approval,
                    notes: place.notes(),
                }),
            }
        };
        Ok(requests.iter().map(foretold).collect())
    }
}

impl Place {
    fn notes(&self) -> Vec<String> {
        if self.writers.is_empty() {
            let note = "the writer is not verified: `[project] writers` lists nobody";
            return vec![note.to_owned()];
        }
        Vec::new()
    }
}

impl TeamServer {
    fn seen(&self, place: &Place) -> Seen {
        Seen::of(
            &self.state,
            self.client.url(),
            &place.project,
            &place.profile,
        )
    }
}

/// Reads a reference: a key's name. What cannot be one is on no server.
fn wanted(request: &Request) -> Result<Wanted, ProviderError> {
    let key = SecretName::parse(&request.reference).map_err(|error| {
        let message = format!("the reference is no key of a team server: {error}");
        ProviderError::new(ErrorKind::NotFound, message)
    })?;
    Ok(Wanted {
        name: request.name.clone(),
        key: key.to_string(),
    })
}

fn failure(one: Result<Wanted, ProviderError>) -> ProviderError {
    match one {
        Err(error) => error,
        Ok(one) => ProviderError::new(ErrorKind::NotFound, one.key),
    }
}
