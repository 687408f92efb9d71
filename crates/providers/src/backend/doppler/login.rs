//! What `doppler login` and `doppler setup` left. Doppler's program keeps tokens in the system's keyring or in its own file, by
//! folder, so it is asked ("CLI Guide", `doppler configure get`).

use std::time::Duration;

use fnox_core::{Env, SecretString};

use crate::error::{Attempt, ProviderError};
use crate::process::{self, complaint};
use crate::provider::Context;

/// Who asks, for which config.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) token: Option<SecretString>,
    pub(super) project: Option<String>,
    pub(super) config: Option<String>,
}

/// Doppler's program.
#[derive(Debug)]
pub(super) struct Program {
    env: Env,
    time_limit: Duration,
}

impl Program {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            env: context.env.clone(),
            time_limit: context.time_limit,
        }
    }

    /// Fills in what is not given.
    pub(super) async fn complete(&self, given: Login) -> Result<Login, ProviderError> {
        let token = self.option("token").await.map_err(|reason| {
            missing().with_attempts(vec![Attempt {
                source: "doppler configure get token".to_owned(),
                reason,
            }])
        })?;
        Ok(Login {
            project: self.chosen(given.project, "project").await,
            config: self.chosen(given.config, "config").await,
            token,
        })
    }

    /// Of a folder in which nobody ran `doppler setup` neither is known, and Doppler says what it lacks.
    async fn chosen(&self, given: Option<String>, name: &str) -> Option<String> {
        if given.is_some() {
            return given;
        }
        let option = self.option(name).await.ok().flatten()?;
        Some(option.expose_secret().to_owned())
    }

    /// # Errors
    /// Why the program told nothing.
    async fn option(&self, name: &str) -> Result<Option<SecretString>, String> {
        let arguments = ["configure", "get", name, "--plain"];
        let program = process::Program {
            name: "doppler",
            arguments: arguments.map(Into::into).into(),
            env: &self.env,
            input: None,
            time_limit: self.time_limit,
            install_hint: "https://docs.doppler.com/docs/install-cli",
        };
        let output = program.run().await.map_err(|error| error.message)?;
        if !output.status.success() {
            return Err(complaint(&output.stderr, &[]));
        }
        let text = std::str::from_utf8(output.stdout.expose_secret()).unwrap_or_default();
        Ok(Some(SecretString::from(text.trim())).filter(|text| !text.is_empty()))
    }
}

/// There is no token.
pub(super) fn missing() -> ProviderError {
    ProviderError::authentication("there is no token for Doppler")
        .with_remedy("set DOPPLER_TOKEN, or log in with `doppler login`")
}
