//! Values as their providers keep them, for commands that copy them or store them anew.
//!
//! Copies, defaults and the environment are left aside, and nothing is taken out of a value. Providers of a chain are asked in
//! order, as for use.

use std::collections::BTreeSet;

use fnox_config::Location;
use fnox_core::{ProviderName, SecretName, SecretString};
use indexmap::IndexMap;

use super::chain::{self, Answer, Asking, Failure};
use super::error::ResolveError;
use super::uses::Used;
use super::{Notice, Resolution, Resolver};
use crate::error::{ErrorKind, ProviderError};
use crate::provider::Request;

/// A value that is wanted.
#[derive(Debug, Clone)]
pub struct Original {
    /// The secret that it is for. Of several with one name the last is meant.
    pub name: SecretName,
    /// The ciphertext or reference.
    pub reference: String,
    /// Who is asked, in this order: at least one.
    pub providers: Vec<ProviderName>,
    /// What errors point at.
    pub location: Location,
}

/// What values are wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be used or copied, as in any other run.
    Use,
    /// To be encrypted anew: a value that is bound to nothing opens too, and a provider that cannot read what another one
    /// wrote is passed over.
    Reencrypt,
}

impl Purpose {
    /// Whether the next provider is asked after such a failure.
    pub(super) fn goes_on_after(self, kind: ErrorKind) -> bool {
        kind.falls_through() || self == Self::Reencrypt && kind == ErrorKind::Misconfigured
    }
}

/// A value, and who gave it.
#[derive(Debug)]
pub struct Given {
    /// The provider.
    pub provider: ProviderName,
    /// The value.
    pub value: SecretString,
    /// Those that were asked before it and could not say whether they have one.
    pub failed: Vec<ProviderName>,
}

impl Given {
    /// As the value of this secret, for a record of uses.
    #[must_use]
    pub fn used(&self, secret: &SecretName) -> Used {
        Used {
            secret: secret.clone(),
            provider: self.provider.clone(),
            kept: false,
        }
    }
}

/// What became of values that were wanted.
#[derive(Debug, Default)]
pub struct Originals {
    /// By name, in the order in which they were wanted.
    pub answers: IndexMap<SecretName, Result<Given, ResolveError>>,
    /// Those that every provider was asked for, and that none of them knows or can read as what it has written.
    pub foreign: BTreeSet<SecretName>,
    /// What to tell the person: which values come from a later provider because an earlier one failed.
    pub notices: Vec<Notice>,
}

impl Answer {
    /// Whether it is a failure that unlocking, waiting or a person's consent would not mend.
    fn is_foreign(&self) -> bool {
        let is_unknown = |error: &ProviderError| {
            matches!(error.kind, ErrorKind::NotFound | ErrorKind::Misconfigured)
        };
        self.outcome.as_ref().err().is_some_and(is_unknown)
            && self.passed.iter().all(|(_, error)| is_unknown(error))
    }
}

impl Resolver<'_> {
    /// Asks for values as their providers keep them. That they are used is for the caller to record, who knows what for:
    /// [`Given::used`].
    ///
    /// # Errors
    /// [`ResolveError`] if the use of what opens a provider cannot be recorded. Failures of single values are among the answers.
    pub async fn originals(
        &self,
        wanted: Vec<Original>,
        purpose: Purpose,
    ) -> Result<Originals, ResolveError> {
        let mut places: IndexMap<SecretName, Location> = IndexMap::new();
        let mut open = Vec::with_capacity(wanted.len());
        for original in wanted {
            places.insert(original.name.clone(), original.location);
            let chain = original.providers.iter().map(ToString::to_string).collect();
            let request = Request {
                name: original.name,
                reference: original.reference,
            };
            open.extend(Asking::new(self.config, request, chain, purpose));
        }
        let mut resolution = Resolution::default();
        let nothing = BTreeSet::new();
        let closed = self.prepare(&open, &[], &mut resolution, &nothing).await;
        let mut found = self
            .ask_all(open, closed, &[], &mut resolution, &nothing)
            .await;
        self.record(&resolution, &[]).await?;
        let mut out = Originals::default();
        let mut given = Vec::new();
        for (name, location) in places {
            let Some(answer) = found.swap_remove(&name) else {
                continue;
            };
            if answer.outcome.is_ok() {
                given.push((name.clone(), answer.provider.clone(), answer.passed.clone()));
            }
            if answer.is_foreign() {
                out.foreign.insert(name.clone());
            }
            let answer = self.given(&name, answer, location);
            out.answers.insert(name, answer);
        }
        if purpose == Purpose::Use {
            resolution.tell_passed_over(&given);
        }
        out.notices = resolution.notices;
        Ok(out)
    }

    fn given(
        &self,
        name: &SecretName,
        answer: Answer,
        location: Location,
    ) -> Result<Given, ResolveError> {
        let name_of = |provider: &str| -> Result<ProviderName, ResolveError> {
            Ok(self.config.provider(provider, None)?.name.clone())
        };
        match answer.outcome {
            Ok(value) => Ok(Given {
                provider: name_of(&answer.provider)?,
                value,
                failed: answer
                    .passed
                    .iter()
                    .filter(|(_, error)| error.kind != ErrorKind::NotFound)
                    .map(|(provider, _)| name_of(provider))
                    .collect::<Result<_, ResolveError>>()?,
            }),
            Err(error) => {
                let last: Failure = (answer.provider, error);
                let (provider, error) = chain::together(answer.passed, last);
                Err(ResolveError::Provider {
                    name: name.clone(),
                    provider,
                    error,
                    location,
                })
            }
        }
    }
}
