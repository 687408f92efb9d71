//! Asking providers: one batch each, and the next provider of those secrets that a provider did not give.
//!
//! A secret may name several providers. All are asked for the same reference, in order, and the first that
//! has the value gives it. A provider that does not answer, lacks authentication or has no such value is passed
//! over. A refusal, by a policy or a person, is not: whoever may not have a value does not get it by another door.
//! Neither is a wrong configuration, which nobody would notice otherwise.
//!
//! What a later provider is opened with is fetched only if it comes to that.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fnox_config::spec::Capability;
use fnox_config::{Config, SecretConfig};
use fnox_core::{SecretName, SecretString};
use futures_util::stream::{self, StreamExt as _};
use indexmap::IndexMap;

use super::error::ResolveError;
use super::original::Purpose;
use super::{Notice, Resolution, Resolver, plan};
use crate::error::{Attempt, ErrorKind, ProviderError};
use crate::provider::Request;

/// How many providers are asked at a time.
const PROVIDERS_IN_FLIGHT: usize = 10;

/// How an age file in base64 begins: `age-encryption.org`.
const AGE_FILE: &str = "YWdlLWVuY3J5cHRpb24ub3Jn";

/// How many names a message gives.
const NAMES_SHOWN: usize = 3;

/// A provider's name and why it gave no value.
pub(super) type Failure = (String, ProviderError);

/// One value on its way through its providers.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) request: Request,
    provider: String,
    later: VecDeque<String>,
    passed: Vec<Failure>,
    pub(super) purpose: Purpose,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Answer {
    /// The provider that gave the last word.
    pub(super) provider: String,
    /// Its word.
    pub(super) outcome: Result<SecretString, ProviderError>,
    /// Those that were asked before it.
    pub(super) passed: Vec<Failure>,
}

impl Asking {
    /// The first provider of a secret; `None` if it comes from none.
    fn of(resolver: &Resolver<'_>, secret: &SecretConfig) -> Result<Option<Self>, ResolveError> {
        let Some((provider, reference)) = plan::source(resolver.config, secret) else {
            return Ok(None);
        };
        let later = plan::fallbacks(resolver.config, secret)?;
        let mut chain: VecDeque<String> = [provider.to_string()].into();
        chain.extend(later.iter().map(|one| one.name.to_string()));
        let request = Request {
            name: secret.name.clone(),
            reference,
        };
        Ok(Self::new(resolver.config, request, chain, Purpose::Use))
    }

    /// Begins with the first of a chain that the reference can be for; `None` if there is nobody in it.
    pub(super) fn new(
        config: &Config,
        request: Request,
        mut chain: VecDeque<String>,
        purpose: Purpose,
    ) -> Option<Self> {
        // A ciphertext is no reference: whoever keeps values elsewhere is not asked for it, and nobody has to unlock anything.
        if request.reference.starts_with(AGE_FILE) && chain.iter().any(|it| encrypts(config, it)) {
            chain.retain(|it| encrypts(config, it));
        }
        let provider = chain.pop_front()?;
        Some(Self {
            request,
            provider,
            later: chain,
            passed: Vec::new(),
            purpose,
        })
    }

    /// Whether nobody else can be asked.
    pub(super) fn is_last(&self) -> bool {
        self.later.is_empty()
    }

    /// Goes to the next provider, or ends.
    fn after(mut self, outcome: Result<SecretString, ProviderError>) -> Result<Answer, Self> {
        match outcome {
            Err(error) if self.purpose.goes_on_after(error.kind) => match self.later.pop_front() {
                Some(next) => {
                    tracing::debug!(
                        "`{}` did not give `{}`, asking `{next}`: {error}",
                        self.provider,
                        self.request.name
                    );
                    let failed = std::mem::replace(&mut self.provider, next);
                    self.passed.push((failed, error));
                    Err(self)
                }
                None => Ok(self.ended(Err(error))),
            },
            outcome => Ok(self.ended(outcome)),
        }
    }

    fn ended(self, outcome: Result<SecretString, ProviderError>) -> Answer {
        Answer {
            provider: self.provider,
            outcome,
            passed: self.passed,
        }
    }
}

fn encrypts(config: &Config, provider: &str) -> bool {
    let found = config.provider(provider, None);
    found.is_ok_and(|found| found.capability == Capability::EncryptsInConfig)
}

impl Resolver<'_> {
    /// Asks for all secrets of a level that have a provider, through their chains.
    pub(super) async fn answers(
        &self,
        level: &[SecretName],
        resolution: &mut Resolution,
        busy: &BTreeSet<SecretName>,
    ) -> Result<IndexMap<SecretName, Answer>, ResolveError> {
        let mut open = Vec::new();
        for name in level {
            open.extend(Asking::of(self, self.config.secret(name.as_str())?)?);
        }
        Ok(self
            .ask_all(open, BTreeMap::new(), level, resolution, busy)
            .await)
    }

    /// Asks provider after provider until each value is there, or nobody is left. `closed`: providers that cannot be opened.
    pub(super) async fn ask_all(
        &self,
        mut open: Vec<Asking>,
        mut closed: BTreeMap<String, ProviderError>,
        level: &[SecretName],
        resolution: &mut Resolution,
        busy: &BTreeSet<SecretName>,
    ) -> IndexMap<SecretName, Answer> {
        let mut answers = IndexMap::new();
        while !open.is_empty() {
            let round = self.round(open, &closed, &resolution.values).await;
            open = Vec::new();
            for (asking, outcome) in round {
                let name = asking.request.name.clone();
                match asking.after(outcome) {
                    Ok(answer) => drop(answers.insert(name, answer)),
                    Err(asking) => open.push(asking),
                }
            }
            closed = self.prepare(&open, level, resolution, busy).await;
        }
        answers
    }

    /// One batch for each provider.
    async fn round(
        &self,
        open: Vec<Asking>,
        closed: &BTreeMap<String, ProviderError>,
        values: &IndexMap<SecretName, SecretString>,
    ) -> Vec<(Asking, Result<SecretString, ProviderError>)> {
        let mut batches: IndexMap<String, Vec<Asking>> = IndexMap::new();
        for asking in open {
            let batch = batches.entry(asking.provider.clone()).or_default();
            batch.push(asking);
        }
        let answers: Vec<Vec<_>> = stream::iter(batches)
            .map(|(provider, batch)| async move {
                let outcomes = match closed.get(&provider) {
                    Some(error) => vec![Err(error.clone()); batch.len()],
                    None => self.fetch(&provider, &batch, values).await,
                };
                batch.into_iter().zip(outcomes).collect()
            })
            .buffer_unordered(PROVIDERS_IN_FLIGHT)
            .collect()
            .await;
        answers.into_iter().flatten().collect()
    }

    /// Fetches what opens the providers that come next. Those that cannot be opened are returned.
    pub(super) async fn prepare(
        &self,
        open: &[Asking],
        level: &[SecretName],
        resolution: &mut Resolution,
        busy: &BTreeSet<SecretName>,
    ) -> BTreeMap<String, ProviderError> {
        let mut closed = BTreeMap::new();
        let mut busy = busy.clone();
        busy.extend(level.iter().cloned());
        let providers: BTreeSet<&String> = open.iter().map(|asking| &asking.provider).collect();
        for provider in providers {
            if let Err(error) = self.prepare_one(provider, resolution, &busy).await {
                closed.insert(provider.clone(), error);
            }
        }
        closed
    }

    async fn prepare_one(
        &self,
        provider: &str,
        resolution: &mut Resolution,
        busy: &BTreeSet<SecretName>,
    ) -> Result<(), ProviderError> {
        // A provider that does not exist is the business of whoever asks it.
        let Ok(provider) = self.config.provider(provider, None) else {
            return Ok(());
        };
        let mut needs = plan::needs_of_provider(self.config, provider);
        // What is being fetched cannot open what it is fetched from.
        needs.retain(|need| {
            !resolution.is_settled(need)
                && !plan::touches(self.config, need, busy, &resolution.values)
        });
        if needs.is_empty() {
            return Ok(());
        }
        let fetched = async {
            let levels = plan::levels(self.config, &needs, &resolution.values)?;
            self.resolve_levels(&levels, resolution, busy).await
        };
        Box::pin(fetched).await.map_err(|error| cannot_open(&error))
    }
}

impl Resolution {
    /// Whether it is known of a secret that it has a value, or none.
    pub(super) fn is_settled(&self, name: &SecretName) -> bool {
        self.values.contains_key(name) || self.missing.contains(name)
    }

    /// Says which secrets came from a later provider because an earlier one failed. That one merely has no such
    /// value is as usual as a default.
    pub(super) fn tell_passed_over(&mut self, given: &[(SecretName, String, Vec<Failure>)]) {
        let mut groups: IndexMap<(String, String, String), Vec<SecretName>> = IndexMap::new();
        for (name, giver, passed) in given {
            for (failed, error) in passed
                .iter()
                .filter(|(_, error)| error.kind != ErrorKind::NotFound)
            {
                let group = (giver.clone(), failed.clone(), error.to_string());
                groups.entry(group).or_default().push(name.clone());
            }
        }
        for ((giver, failed, reason), names) in groups {
            let Some(first) = names.first().cloned() else {
                continue;
            };
            let verb = if names.len() == 1 {
                "the secret"
            } else {
                "the secrets"
            };
            let shown = listed(&names);
            let come = if names.len() == 1 { "comes" } else { "come" };
            self.notices.push(Notice {
                secret: first,
                message: format!(
                    "{verb} {shown} {come} from `{giver}`, because `{failed}` failed: {reason}"
                ),
            });
        }
    }
}

/// All failures of a chain as one. A refusal or a wrong configuration decides what it is, else the first provider that
/// may have the value and could not be asked, else the first provider.
pub(super) fn together(passed: Vec<Failure>, last: Failure) -> Failure {
    let mut all = passed;
    all.push(last);
    let end = all.len() - 1;
    let deciding = if all[end].1.kind.falls_through() {
        all.iter()
            .position(|(_, error)| error.kind != ErrorKind::NotFound)
            .unwrap_or(0)
    } else {
        end
    };
    let (provider, mut error) = all.remove(deciding);
    for (other, failure) in all {
        if let Some(remedy) = &failure.remedy {
            let head = error
                .remedy
                .map(|own| format!("{own}\n"))
                .unwrap_or_default();
            error.remedy = Some(format!("{head}for `{other}`: {remedy}"));
        }
        error.attempts.push(Attempt {
            source: format!("provider `{other}`"),
            reason: failure.to_string().replace('\n', "\n  "),
        });
    }
    (provider, error)
}

fn listed(names: &[SecretName]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(NAMES_SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = match names.len().saturating_sub(NAMES_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    shown.join(", ") + &more
}

fn cannot_open(error: &ResolveError) -> ProviderError {
    let kind = match error {
        ResolveError::Provider { error, .. } | ResolveError::ProviderUnusable { error, .. } => {
            error.kind
        }
        _ => ErrorKind::Misconfigured,
    };
    ProviderError {
        remedy: error.help(),
        ..ProviderError::new(kind, format!("what opens it could not be fetched: {error}"))
    }
}
