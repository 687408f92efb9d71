//! `lua`: a plugin in Lua 5.4, one file `provider.lua` that returns a table of hooks.
//!
//! | hook | |
//! |---|---|
//! | `get(ctx, reference)` | the value, or `nil` if there is none; required |
//! | `get_batch(ctx, references)` | a table from reference to value |
//! | `put(ctx, key, value)` | stores; returns the reference to keep, or nothing for `key` |
//! | `delete(ctx, key)` | deletes; returns `false` if there is nothing |
//! | `encrypt(ctx, value)` | the ciphertext that `fnox.toml` keeps |
//! | `test(ctx)` | raises an error if the plugin could not answer now |
//!
//! **What runs.** Only the file that the configuration names: below the declaring file's folder, or an installed one
//! below fnox's own folder. It is checked like a configuration file, since it can do as much. Nothing is fetched.
//!
//! **The sandbox**: text only, no `io`, `os`, `debug`, `package`; a limit of memory, of instructions and of
//! time. HTTP goes through the project's own client with its limits, programs through [`Program`](crate::process::Program).
//! Each batch has a state of its own in a thread of its own, so that plugins keep nothing and block nobody. A thread that
//! does not come back from one of Lua's C functions (a pattern with endless backtracking) is left behind when the
//! time is up; the run goes on without it.
//!
//! **Secrets.** What a plugin holds lies in Lua's own memory, which is not overwritten. Its messages are shortened, and
//! shown without the secrets that it was given.

mod data;
mod failure;
mod file;
mod host;
mod http;
mod plugin;
mod sandbox;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fnox_core::{Env, SecretName, SecretString};

use self::plugin::Plugin;
use crate::error::ProviderError;
use crate::provider::{Context, Provider, Request, read_at_once};
use crate::settings::{Opt, Options, Settings};

/// How long after its time a plugin may still say so itself.
const GRACE: Duration = Duration::from_millis(500);

/// Lua's C functions nest up to 200 deep.
const STACK: usize = 8 * 1024 * 1024;

/// Opens a provider of this type. The plugin is read, and not run yet.
///
/// # Errors
/// `Misconfigured` if there is no such plugin, or somebody else could have written it.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let found = file::find(settings, context)?;
    Ok(Box::new(Scripted(Arc::new(Job {
        name: settings.config.name.to_string(),
        folder: found.folder,
        source: found.source,
        options: settings.options().clone(),
        env: context.env.clone(),
        time_limit: context.patience(),
        connect_limit: context.http_limits().connect,
    }))))
}

/// All that one run of a plugin needs.
#[derive(Debug)]
struct Job {
    name: String,
    folder: PathBuf,
    source: String,
    options: Options,
    env: Env,
    time_limit: Duration,
    connect_limit: Duration,
}

impl Job {
    /// The secrets among its options.
    fn secrets(&self) -> Vec<SecretString> {
        let secrets = self.options.iter().filter_map(|(_, option)| match option {
            Opt::Text {
                value,
                is_secret: true,
            } => Some(value.clone()),
            _ => None,
        });
        secrets.collect()
    }
}

/// When a plugin must stop.
#[derive(Debug, Clone)]
struct Stop {
    deadline: Instant,
    abandoned: Arc<AtomicBool>,
}

impl Stop {
    fn is_due(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// Tells the plugin's thread when nobody waits for it any more.
struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Scripted(Arc<Job>);

#[async_trait]
impl Provider for Scripted {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        read_at_once(requests, |references| {
            self.run(Vec::new(), move |plugin| plugin.get(&references))
        })
        .await
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.run(Vec::new(), Plugin::test).await
    }

    async fn encrypt(
        &self,
        values: &[(SecretName, SecretString)],
    ) -> Result<Vec<String>, ProviderError> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let values: Vec<SecretString> = values.iter().map(|(_, value)| value.clone()).collect();
        self.run(values.clone(), move |plugin| plugin.encrypt(&values))
            .await
    }

    async fn put(&self, reference: &str, value: &SecretString) -> Result<String, ProviderError> {
        let (reference, value) = (reference.to_owned(), value.clone());
        self.run(vec![value.clone()], move |plugin| {
            plugin.put(&reference, &value)
        })
        .await
    }

    async fn delete(&self, reference: &str) -> Result<(), ProviderError> {
        let reference = reference.to_owned();
        self.run(Vec::new(), move |plugin| plugin.delete(&reference))
            .await
    }
}

impl Scripted {
    /// Loads the plugin in a thread of its own and lets it work. `given` must be in no message.
    async fn run<T, W>(&self, given: Vec<SecretString>, work: W) -> Result<T, ProviderError>
    where
        T: Send + 'static,
        W: FnOnce(&Plugin) -> Result<T, ProviderError> + Send + 'static,
    {
        let job = Arc::clone(&self.0);
        let time_limit = job.time_limit;
        let (answer, answered) = tokio::sync::oneshot::channel();
        let abandoned = Arc::new(AtomicBool::new(false));
        let stop = Stop {
            deadline: Instant::now() + time_limit,
            abandoned: Arc::clone(&abandoned),
        };
        let _abandon = Abandon(abandoned);
        std::thread::Builder::new()
            .name("plugin".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                let mut secrets = job.secrets();
                secrets.extend(given);
                let outcome = Plugin::load(&job, &stop, secrets).and_then(|plugin| work(&plugin));
                // Nobody may wait any more.
                let _ = answer.send(outcome);
            })
            .map_err(|error| {
                ProviderError::unavailable(format!("the plugin cannot run: {error}"))
            })?;
        match tokio::time::timeout(time_limit + GRACE, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(ProviderError::unavailable("the plugin broke off")),
            Err(_) => Err(failure::too_long(time_limit)),
        }
    }
}
