//! Commands that read values themselves and start no program: `get`, `export` and their like.
//!
//! A person may have to say yes here as well as for a run. Whoever watches the command is shown the match code, the
//! request names the command and the keys, and a signal takes it back.

use std::future::Future;

use fnox_config::{Config, SecretConfig};
use fnox_core::SecretName;
use fnox_providers::resolve::{Options, Resolution, Resolver};

use super::run::Asking;
use crate::app::{App, block_on};
use crate::error::CliError;

/// Resolving for one command.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) resolver: Resolver<'a>,
    asking: Asking,
    /// Whether a person may have to be waited for.
    asks: bool,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(
        app: &App,
        config: &'a Config,
        options: Options,
        wanted: &[SecretName],
    ) -> Self {
        let resolver = Resolver::new(config, options);
        // A name that is wrong is told when it is resolved.
        let mut names = resolver.closure(wanted).unwrap_or_default();
        names.retain(|name| {
            let secret = config.secrets.get(name);
            secret.is_some_and(|secret| asks_server(config, secret))
        });
        let asking = Asking::to_read(app, &names);
        Self {
            resolver: resolver.for_run(asking.request()),
            asks: !names.is_empty(),
            asking,
        }
    }

    /// Resolves what the command reads.
    pub(crate) fn resolve(&self, wanted: &[SecretName]) -> Result<Resolution, CliError> {
        let work = async { Ok::<_, CliError>(self.resolver.resolve(wanted).await?) };
        block_on(self.guard(work))?
    }

    /// Does work that resolves. Where no person is asked a signal ends fnox at once, as it ends any program.
    pub(crate) async fn guard<T>(
        &self,
        work: impl Future<Output = Result<T, CliError>>,
    ) -> Result<T, CliError> {
        if self.asks {
            self.asking.guard(work).await
        } else {
            work.await
        }
    }
}

/// Resolves what a command reads.
pub(crate) fn resolve(
    app: &App,
    config: &Config,
    options: Options,
    wanted: &[SecretName],
) -> Result<Resolution, CliError> {
    Reading::new(app, config, options, wanted).resolve(wanted)
}

/// Whether a person may have to be waited for.
pub(crate) fn uses_server(config: &Config) -> bool {
    config
        .secrets
        .values()
        .any(|secret| asks_server(config, secret))
}

pub(crate) fn asks_server(config: &Config, secret: &SecretConfig) -> bool {
    let mut providers = config.providers_of(secret);
    providers.any(|provider| provider.spec.name == "fnox-server")
}
