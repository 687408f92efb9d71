//! Resolving one level: what its providers answer, then each secret's fall-backs.

use std::collections::BTreeSet;

use fnox_config::{IfMissing, ProviderConfig, SecretConfig};
use fnox_core::{SecretName, SecretString};
use indexmap::IndexMap;

use super::chain::{self, Answer, Asking, Failure};
use super::error::ResolveError;
use super::original::Purpose;
use super::{Notice, Policy, Resolution, Resolver, interpolate, value};
use crate::error::{ErrorKind, ProviderError};
use crate::provider::Request;

impl Resolver<'_> {
    pub(super) async fn resolve_levels(
        &self,
        levels: &[Vec<SecretName>],
        resolution: &mut Resolution,
        busy: &BTreeSet<SecretName>,
    ) -> Result<(), ResolveError> {
        for level in levels {
            self.resolve_level(level, resolution, busy).await?;
        }
        Ok(())
    }

    async fn resolve_level(
        &self,
        level: &[SecretName],
        resolution: &mut Resolution,
        busy: &BTreeSet<SecretName>,
    ) -> Result<(), ResolveError> {
        // A later provider of an earlier secret may have needed some of them already.
        let mut level = level.to_vec();
        level.retain(|name| !resolution.is_settled(name));
        let mut answers = self.answers(&level, resolution, busy).await?;
        let mut given = Vec::new();
        for name in &level {
            let answer = answers.swap_remove(name);
            if let Some(answer) = answer.as_ref().filter(|answer| answer.outcome.is_ok()) {
                given.push((name.clone(), answer.provider.clone(), answer.passed.clone()));
            }
            self.settle(name, answer, resolution)?;
        }
        resolution.tell_passed_over(&given);
        Ok(())
    }

    /// Asks one provider for all that is wanted from it.
    pub(super) async fn fetch(
        &self,
        provider: &str,
        batch: &[Asking],
        values: &IndexMap<SecretName, SecretString>,
    ) -> Vec<Result<SecretString, ProviderError>> {
        let config = match self.config.provider(provider, None) {
            Ok(config) => config,
            Err(error) => {
                let error = ProviderError::misconfigured(error.to_string());
                return vec![Err(error); batch.len()];
            }
        };
        tracing::debug!("asking `{provider}` for {} values", batch.len());
        let requests: Vec<Request> = batch.iter().map(|asking| asking.request.clone()).collect();
        // All of a command's values are wanted for the same purpose.
        let purpose = batch.first().map_or(Purpose::Use, |asking| asking.purpose);
        let mut answers = self.ask(config, &requests, values, purpose).await;
        // Nobody is asked to log in where another provider can be asked instead.
        let locked_out = batch
            .iter()
            .zip(&answers)
            .any(|(asking, answer)| asking.is_last() && needs_authentication(answer));
        let reason = answers.iter().find_map(|answer| answer.as_ref().err());
        if locked_out && self.log_in(config, values, reason).await {
            // What it was opened with, such as a token, is of before the login.
            self.close(config).await;
            self.ask_again(config, &requests, &mut answers, values, purpose)
                .await;
        }
        answers
    }

    /// One more try, only for what failed for want of authentication.
    async fn ask_again(
        &self,
        config: &ProviderConfig,
        requests: &[Request],
        answers: &mut [Result<SecretString, ProviderError>],
        values: &IndexMap<SecretName, SecretString>,
        purpose: Purpose,
    ) {
        let failed: Vec<usize> = (0..answers.len())
            .filter(|index| needs_authentication(&answers[*index]))
            .collect();
        let again: Vec<Request> = failed
            .iter()
            .map(|index| requests[*index].clone())
            .collect();
        let second = self.ask(config, &again, values, purpose).await;
        for (index, answer) in failed.into_iter().zip(second) {
            answers[index] = answer;
        }
    }

    /// One batch. A provider that cannot be opened has the same answer to all of it.
    async fn ask(
        &self,
        config: &ProviderConfig,
        requests: &[Request],
        values: &IndexMap<SecretName, SecretString>,
        purpose: Purpose,
    ) -> Vec<Result<SecretString, ProviderError>> {
        let all = |error: ProviderError| vec![Err(error); requests.len()];
        let opened = match self.open_with(config, values, None).await {
            Ok(opened) => opened,
            Err(ResolveError::ProviderUnusable { error, .. }) => return all(error),
            Err(error) => return all(ProviderError::misconfigured(error.to_string())),
        };
        match purpose {
            Purpose::Use => opened.provider.get_many(requests).await,
            Purpose::Reencrypt => opened.provider.get_to_reencrypt(requests).await,
        }
    }

    /// Decides what one secret's value is, given its provider's answer.
    fn settle(
        &self,
        name: &SecretName,
        answer: Option<Answer>,
        resolution: &mut Resolution,
    ) -> Result<(), ResolveError> {
        let secret = self.config.secret(name.as_str())?;
        let mut sources = Vec::new();
        let mut failure = None;
        match answer {
            Some(Answer {
                provider,
                outcome: Ok(found),
                ..
            }) => {
                let provider = self.config.provider(&provider, None)?.name.clone();
                resolution.fetched.push((name.clone(), provider));
                return Self::take(secret, found, resolution);
            }
            Some(Answer {
                provider,
                outcome: Err(error),
                passed,
            }) => {
                let told = |(provider, error): &Failure| format!("provider `{provider}`: {error}");
                sources.extend(passed.iter().map(told));
                let last = (provider, error);
                sources.push(told(&last));
                let (provider, error) = chain::together(passed, last);
                if error.kind.ends_the_run() {
                    return Err(ResolveError::Provider {
                        name: name.clone(),
                        provider,
                        error,
                        location: secret.location.clone(),
                    });
                }
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
            let rendered =
                interpolate::render(default, self.config, &self.options.env).map_err(|reason| {
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
