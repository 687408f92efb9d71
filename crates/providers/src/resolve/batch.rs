//! Resolving one level: batches by provider, then each secret's fall-backs.

use std::sync::Arc;

use fnox_config::{IfMissing, SecretConfig};
use fnox_core::{SecretName, SecretString};
use futures_util::stream::{self, StreamExt as _};
use indexmap::IndexMap;

use super::error::ResolveError;
use super::open::Opened;
use super::{Notice, Policy, Resolution, Resolver, interpolate, plan, value};
use crate::error::{ErrorKind, ProviderError};
use crate::provider::Request;

/// How many providers are asked at a time.
const PROVIDERS_IN_FLIGHT: usize = 10;

type Answers = Vec<(SecretName, String, Result<SecretString, ProviderError>)>;

impl Resolver<'_> {
    pub(super) async fn resolve_level(
        &self,
        level: &[SecretName],
        resolution: &mut Resolution,
    ) -> Result<(), ResolveError> {
        let mut batches: IndexMap<String, Vec<Request>> = IndexMap::new();
        for name in level {
            let secret = self.config.secret(name.as_str())?;
            if let Some((provider, reference)) = plan::source(self.config, secret) {
                let request = Request {
                    name: name.clone(),
                    reference,
                };
                batches
                    .entry(provider.to_string())
                    .or_default()
                    .push(request);
            }
        }
        let values = &resolution.values;
        let answers: Vec<Answers> = stream::iter(batches)
            .map(|(provider, requests)| self.ask(provider, requests, values))
            .buffer_unordered(PROVIDERS_IN_FLIGHT)
            .collect()
            .await;
        let mut answers: IndexMap<SecretName, (String, Result<SecretString, ProviderError>)> =
            answers
                .into_iter()
                .flatten()
                .map(|(name, provider, answer)| (name, (provider, answer)))
                .collect();
        for name in level {
            let answer = answers.swap_remove(name);
            self.settle(name, answer, resolution)?;
        }
        Ok(())
    }

    /// Asks one provider for all that is wanted from it.
    async fn ask(
        &self,
        provider: String,
        requests: Vec<Request>,
        values: &IndexMap<SecretName, SecretString>,
    ) -> Answers {
        let answers = self.fetch(&provider, &requests, values).await;
        requests
            .into_iter()
            .zip(answers)
            .map(|(request, answer)| (request.name, provider.clone(), answer))
            .collect()
    }

    async fn fetch(
        &self,
        provider: &str,
        requests: &[Request],
        values: &IndexMap<SecretName, SecretString>,
    ) -> Vec<Result<SecretString, ProviderError>> {
        let all = |error: ProviderError| vec![Err(error); requests.len()];
        let config = match self.config.provider(provider, None) {
            Ok(config) => config,
            Err(error) => return all(ProviderError::misconfigured(error.to_string())),
        };
        let opened = match self.open_with(config, values, None).await {
            Ok(opened) => opened,
            Err(ResolveError::ProviderUnusable { error, .. }) => return all(error),
            Err(error) => return all(ProviderError::misconfigured(error.to_string())),
        };
        tracing::debug!("asking `{provider}` for {} values", requests.len());
        let mut answers = opened.provider.get_many(requests).await;
        if answers.iter().any(needs_authentication) && self.log_in(&opened, &answers).await {
            self.ask_again(&opened, requests, &mut answers).await;
        }
        answers
    }

    /// One more try, only for what failed for want of authentication.
    async fn ask_again(
        &self,
        opened: &Arc<Opened>,
        requests: &[Request],
        answers: &mut [Result<SecretString, ProviderError>],
    ) {
        let failed: Vec<usize> = (0..answers.len())
            .filter(|index| needs_authentication(&answers[*index]))
            .collect();
        let again: Vec<Request> = failed
            .iter()
            .map(|index| requests[*index].clone())
            .collect();
        for (index, answer) in failed
            .into_iter()
            .zip(opened.provider.get_many(&again).await)
        {
            answers[index] = answer;
        }
    }

    /// Offers the provider's login command on a terminal. `true`: it ran and succeeded.
    async fn log_in(
        &self,
        opened: &Opened,
        answers: &[Result<SecretString, ProviderError>],
    ) -> bool {
        let Some(command) = &opened.config.auth_command else {
            return false;
        };
        if !self.options.prompt_auth || !self.options.prompt.is_interactive() {
            return false;
        }
        let reason = answers
            .iter()
            .find_map(|answer| answer.as_ref().err())
            .map(ToString::to_string);
        self.options.prompt.message(&format!(
            "{} (`{}`) needs authentication: {}",
            opened.config.spec.label,
            opened.config.name,
            reason.unwrap_or_default()
        ));
        if self
            .options
            .prompt
            .confirm(&format!("Run `{command}` now?"), "yes", Some("no"))
            != Some(true)
        {
            return false;
        }
        let status = tokio::process::Command::new("sh")
            .arg("-c")
            .arg(format!("{command} 1>&2"))
            .env_clear()
            .envs(self.options.env.iter())
            .status()
            .await;
        match status {
            Ok(status) if status.success() => true,
            Ok(status) => {
                self.options
                    .prompt
                    .message(&format!("`{command}` failed ({status})"));
                false
            }
            Err(error) => {
                self.options
                    .prompt
                    .message(&format!("`{command}` could not be run: {error}"));
                false
            }
        }
    }

    /// Decides what one secret's value is, given its provider's answer.
    fn settle(
        &self,
        name: &SecretName,
        answer: Option<(String, Result<SecretString, ProviderError>)>,
        resolution: &mut Resolution,
    ) -> Result<(), ResolveError> {
        let secret = self.config.secret(name.as_str())?;
        let mut sources = Vec::new();
        let mut failure = None;
        match answer {
            Some((_, Ok(found))) => {
                resolution.fetched.push(name.clone());
                return Self::take(secret, found, resolution);
            }
            Some((provider, Err(error))) if error.kind.ends_the_run() => {
                return Err(ResolveError::Provider {
                    name: name.clone(),
                    provider,
                    error,
                    location: secret.location.clone(),
                });
            }
            Some((provider, Err(error))) => {
                sources.push(format!("provider `{provider}`: {error}"));
                failure = Some((provider, error));
            }
            None => sources.push(self.no_provider(secret)),
        }
        if let Some(default) = &secret.default {
            if let Some((provider, error)) =
                failure.filter(|(_, error)| error.kind != ErrorKind::NotFound)
            {
                let message = format!(
                    "the secret `{name}` uses its default, because `{provider}` failed: {error}"
                );
                resolution.unavailable.push(name.clone());
                resolution.notices.push(Notice {
                    secret: name.clone(),
                    message,
                });
            }
            let rendered = interpolate::render(default, self.config).map_err(|reason| {
                let location = secret.location_of("default").clone();
                ResolveError::Unfit {
                    name: name.clone(),
                    reason,
                    location,
                }
            })?;
            let expanded = interpolate::expand(&rendered, |other| resolution.values.get(other));
            return Self::take(secret, expanded, resolution);
        }
        let unavailable = failure
            .as_ref()
            .is_some_and(|(_, error)| error.kind != ErrorKind::NotFound);
        if !unavailable {
            if let Some(found) = self.options.env.secret(name.as_str()) {
                return Self::take(secret, found, resolution);
            }
            sources.push(format!("the environment variable `{name}` is not set"));
        }
        self.missing(secret, failure, sources, resolution)
    }

    fn take(
        secret: &SecretConfig,
        found: SecretString,
        resolution: &mut Resolution,
    ) -> Result<(), ResolveError> {
        let value = value::extract(secret, found).map_err(|(key, reason)| ResolveError::Unfit {
            name: secret.name.clone(),
            reason,
            location: secret.location_of(key).clone(),
        })?;
        resolution.values.insert(secret.name.clone(), value);
        Ok(())
    }

    fn missing(
        &self,
        secret: &SecretConfig,
        failure: Option<(String, ProviderError)>,
        sources: Vec<String>,
        resolution: &mut Resolution,
    ) -> Result<(), ResolveError> {
        let policy = Policy::of(
            secret,
            self.config,
            self.options.if_missing,
            &self.options.env,
        );
        let kind = failure
            .as_ref()
            .map_or(ErrorKind::NotFound, |(_, error)| error.kind);
        let is_final = resolution.failures_are_final && kind != ErrorKind::NotFound;
        let is_required = self.options.required.contains(&secret.name);
        if policy.stops(kind) || is_final || is_required {
            let location = secret.location.clone();
            let name = secret.name.clone();
            return Err(match failure {
                Some((provider, error)) if kind != ErrorKind::NotFound => ResolveError::Provider {
                    name,
                    provider,
                    error,
                    location,
                },
                _ => ResolveError::Missing {
                    name,
                    sources,
                    location,
                },
            });
        }
        if kind != ErrorKind::NotFound {
            resolution.unavailable.push(secret.name.clone());
        }
        if policy.action == IfMissing::Warn {
            let message = match failure {
                Some((provider, error)) => {
                    format!(
                        "the secret `{}` is left out: `{provider}`: {error}",
                        secret.name
                    )
                }
                None => format!(
                    "the secret `{}` is left out: it has no value and no default",
                    secret.name
                ),
            };
            resolution.notices.push(Notice {
                secret: secret.name.clone(),
                message,
            });
        }
        resolution.missing.push(secret.name.clone());
        Ok(())
    }

    fn no_provider(&self, secret: &SecretConfig) -> String {
        match (&secret.value, self.config.provider_of(secret)) {
            (None, _) => "it has no `value`".to_owned(),
            (Some(_), None) => {
                "it has a `value`, but no provider: name one with `provider` or `default_provider`"
                    .to_owned()
            }
            (Some(_), Some(provider)) => format!("provider `{provider}` was not asked"),
        }
    }
}

fn needs_authentication(answer: &Result<SecretString, ProviderError>) -> bool {
    answer
        .as_ref()
        .is_err_and(|error| error.kind == ErrorKind::AuthenticationNeeded)
}
