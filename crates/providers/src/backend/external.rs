//! `external`: a program of somebody else's, which speaks lines of JSON on stdin and stdout.
//!
//! The protocol is `docs/reference/provider-protocol.md`; the kit in `tests/provider-kit` tries a program against it.
//!
//! **What is started.** Only what the configuration names: `program = "NAME"` is the program `fnox-provider-NAME` of an
//! absolute folder on PATH, or `program` is an absolute path. A relative path is refused: it would be another program
//! in another folder.
//!
//! **One process a batch**, in a process group of its own, with a time limit and a cap on its output. Options and values go
//! in by stdin, never by arguments or the environment. Values are base64 there, so that they are exact. What it
//! complains about reaches messages only shortened and without the secrets that it was given.

mod program;
mod wire;

pub use self::program::{PREFIX, find as find_program};

use std::time::Duration;

use async_trait::async_trait;
use fnox_core::{Env, SecretName, SecretString};

use self::wire::{Answer, Can, Hello, Item, Request as Wanted};
use crate::error::ProviderError;
use crate::process::{Program, complaint};
use crate::provider::{Context, Provider, Request};
use crate::settings::{Opt, Options, Settings};

/// Opens a provider of this type. Nothing is run yet.
///
/// # Errors
/// `Misconfigured` if `program` is neither a name nor an absolute path, `Unavailable` if there is no such program.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let program = program::find(settings.required("program")?, &context.env)?;
    Ok(Box::new(External {
        program,
        name: settings.config.name.to_string(),
        profile: context.profile_of_new_values(),
        project: context.project.as_ref().map(|project| project.name.clone()),
        options: settings.options().clone(),
        env: context.env.clone(),
        time_limit: context.patience(),
    }))
}

#[derive(Debug)]
struct External {
    program: String,
    name: String,
    profile: String,
    project: Option<String>,
    options: Options,
    env: Env,
    time_limit: Duration,
}

#[async_trait]
impl Provider for External {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        let all = |error: ProviderError| vec![Err(error); requests.len()];
        let items = requests
            .iter()
            .enumerate()
            .map(|(id, request)| Item {
                id,
                name: request.name.as_str(),
                reference: Some(&request.reference),
                value: None,
            })
            .collect();
        let answer = match self.ask(Wanted::Get { items }, Can::Get, &[]).await {
            Ok(answer) => answer,
            Err(error) => return all(error),
        };
        let secrets = self.secrets(&[]);
        let references: Vec<&str> = requests
            .iter()
            .map(|request| request.reference.as_str())
            .collect();
        match answer.values(&references, &secrets) {
            Ok(values) => values,
            Err(breach) => all(self.breach(&breach)),
        }
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let answer = self.ask(Wanted::Test, Can::Test, &[]).await?;
        answer.done().map_err(|breach| self.breach(&breach))
    }

    async fn encrypt(
        &self,
        values: &[(SecretName, SecretString)],
    ) -> Result<Vec<String>, ProviderError> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let items = values
            .iter()
            .enumerate()
            .map(|(id, (name, value))| Item {
                id,
                name: name.as_str(),
                reference: None,
                value: Some(value),
            })
            .collect();
        let given: Vec<&SecretString> = values.iter().map(|(_, value)| value).collect();
        let answer = self
            .ask(Wanted::Encrypt { items }, Can::Encrypt, &given)
            .await?;
        answer
            .encrypted(values.len())
            .map_err(|breach| self.breach(&breach))
    }

    async fn put(&self, reference: &str, value: &SecretString) -> Result<String, ProviderError> {
        let wanted = Wanted::Put { reference, value };
        let answer = self.ask(wanted, Can::Put, &[value]).await?;
        answer.stored().map_err(|breach| self.breach(&breach))
    }

    async fn delete(&self, reference: &str) -> Result<(), ProviderError> {
        let answer = self
            .ask(Wanted::Delete { reference }, Can::Delete, &[])
            .await?;
        answer.done().map_err(|breach| self.breach(&breach))
    }
}

impl External {
    /// Runs the program once, for one request.
    async fn ask(
        &self,
        wanted: Wanted<'_>,
        needed: Can,
        given: &[&SecretString],
    ) -> Result<Answer, ProviderError> {
        let hello = Hello {
            provider: &self.name,
            profile: &self.profile,
            project: self.project.as_deref(),
        };
        let input = wire::written(&hello, &wanted, &self.options, self.time_limit)
            .map_err(|error| ProviderError::misconfigured(error.to_string()))?;
        let program = Program {
            name: &self.program,
            arguments: Vec::new(),
            env: &self.env,
            input: Some(&input),
            time_limit: self.time_limit,
            install_hint: "install the program, or correct `program`",
        };
        let output = program.run().await?;
        let secrets = self.secrets(given);
        if !output.stderr.is_empty() {
            tracing::debug!(
                "`{}` says: {}",
                self.program,
                complaint(&output.stderr, &secrets)
            );
        }
        let (greeting, answer) = match wire::read(&output.stdout) {
            Ok(read) => read,
            Err(breach) if output.status.success() => return Err(self.breach(&breach)),
            Err(_) => return Err(self.ended(output.status, &output.stderr, &secrets)),
        };
        greeting.check(&self.program, needed)?;
        let Some(answer) = answer else {
            return Err(self.ended(output.status, &output.stderr, &secrets));
        };
        if let Some(error) = answer.error(&secrets) {
            return Err(error);
        }
        // Whatever it answered: it did not come to its end, and a value may not be stored.
        if !output.status.success() {
            return Err(self.ended(output.status, &output.stderr, &secrets));
        }
        Ok(answer)
    }

    /// What must be in no message.
    fn secrets<'a>(&'a self, given: &[&'a SecretString]) -> Vec<&'a SecretString> {
        let options = self.options.iter().filter_map(|(_, option)| match option {
            Opt::Text {
                value,
                is_secret: true,
            } => Some(value),
            _ => None,
        });
        options.chain(given.iter().copied()).collect()
    }

    fn breach(&self, breach: &wire::Breach) -> ProviderError {
        ProviderError::unavailable(format!(
            "`{}` does not keep to the protocol: {breach}",
            self.program
        ))
        .with_remedy("tell whoever made it; `docs/reference/provider-protocol.md` says what it must answer, and its kit tries it")
    }

    fn ended(
        &self,
        status: std::process::ExitStatus,
        stderr: &str,
        secrets: &[&SecretString],
    ) -> ProviderError {
        let complaint = complaint(stderr, secrets);
        ProviderError::unavailable(format!(
            "`{}` ended before it answered ({status}): {complaint}",
            self.program
        ))
    }
}
