//! Which credentials a request needs, before any of them is asked for.

use std::sync::Arc;

use fnox_core::AgentId;
use http::HeaderMap;

use super::{aws, body};
use crate::placeholder::{Occurrence, Place, Placeholder, Placeholders};
use crate::policy::Permit;
use crate::refusal::{Reason, Refusal};
use crate::request::{self, BodyLength, CanonicalRequest, takes_credentials};
use crate::rule::Rule;

/// A rule whose credential goes into a request.
#[derive(Debug, Clone)]
pub struct Planned<'p> {
    rule: &'p Rule,
    placeholder: Option<Arc<Placeholder>>,
    /// Where the placeholder is; `None` if the credential takes no placeholder's place, or the body is not read
    /// yet.
    place: Option<Place>,
}

impl<'p> Planned<'p> {
    /// The rule.
    #[must_use]
    pub fn rule(&self) -> &'p Rule {
        self.rule
    }

    /// The agent's placeholder for the rule's credential, if there is one.
    #[must_use]
    pub fn placeholder(&self) -> Option<&Arc<Placeholder>> {
        self.placeholder.as_ref()
    }

    /// The placeholder that is in the request, and where.
    pub(super) fn swapped(&self) -> Option<(&str, &Place)> {
        Some((self.placeholder.as_ref()?.text(), self.place.as_ref()?))
    }
}

/// Which of the permitted rules put their credentials into `request`: those whose placeholders are in it, those
/// that always do, and those that look into its body.
///
/// # Errors
/// [`Reason::Placeholder`] for a placeholder of another agent, of a rule that is not permitted here, in another
/// place than the rule's, more than once, or in other letters; [`Reason::Ambiguous`] for a signature
/// that cannot be made anew; [`Reason::NoInjection`] for one in a request whose method takes none.
pub fn plan<'p>(
    request: &CanonicalRequest,
    permit: &Permit<'p>,
    placeholders: &Placeholders,
    agent: &AgentId,
) -> Result<Vec<Planned<'p>>, Refusal> {
    let occurrences = placeholders.find(request);
    if !takes_credentials(request.method()) {
        return match occurrences.first() {
            None => Ok(Vec::new()),
            Some(_) => Err(Refusal::new(
                Reason::NoInjection,
                format!(
                    "no credential is put into a request of the method {}",
                    request.method()
                ),
            )
            .with_remedy("Send it without the placeholder.")),
        };
    }
    let mut planned: Vec<Planned<'p>> = Vec::new();
    for occurrence in occurrences {
        let next = swap(request, permit, agent, &occurrence)?;
        if planned.iter().any(|it| it.placeholder == next.placeholder) {
            let rule = next.rule;
            return Err(refused(&occurrence, "is there more than once")
                .by_rule(&rule.name)
                .with_remedy(format!(
                    "Send it once. Its place is {}.",
                    rule.injection.describe()
                )));
        }
        planned.push(next);
    }
    for rule in permit.rules() {
        let is_taken = |it: &Planned<'_>| it.rule.injection.is_same_place(&rule.injection);
        let mut known = placeholders.all_of(agent, &rule.credential).cloned();
        if rule.is_set() && !planned.iter().any(is_taken) {
            planned.push(Planned {
                rule,
                placeholder: known.next(),
                place: None,
            });
        } else if rule.injection.is_in_body()
            && request.body_length() != BodyLength::Known(0)
            && body::is_of_kind(request, &rule.injection)
        {
            for placeholder in known {
                body::is_readable(request, rule)?;
                planned.push(Planned {
                    rule,
                    placeholder: Some(placeholder),
                    place: None,
                });
            }
        }
    }
    Ok(planned)
}

/// Looks once more, after all credentials are in: what is left of placeholders never leaves.
///
/// # Errors
/// [`Reason::Placeholder`]
pub fn check_none_left(
    request: &CanonicalRequest,
    placeholders: &Placeholders,
) -> Result<(), Refusal> {
    match placeholders.find(request).first() {
        None => Ok(()),
        Some(occurrence) => {
            Err(refused(occurrence, "would leave as it is").with_remedy(ONCE_AND_IN_ITS_PLACE))
        }
    }
}

/// Looks at the fields after a body: what decides on a request, and placeholders, may not be there.
///
/// # Errors
/// [`Reason::Ambiguous`], [`Reason::TooLarge`] or [`Reason::Placeholder`]
pub fn check_trailers(trailers: &HeaderMap, placeholders: &Placeholders) -> Result<(), Refusal> {
    request::check_trailers(trailers)?;
    match placeholders.find_in_fields(trailers).first() {
        None => Ok(()),
        Some(occurrence) => {
            Err(refused(occurrence, "is after the body").with_remedy(ONCE_AND_IN_ITS_PLACE))
        }
    }
}

/// The rule by which a credential takes the place of a placeholder.
fn swap<'p>(
    request: &CanonicalRequest,
    permit: &Permit<'p>,
    agent: &AgentId,
    occurrence: &Occurrence,
) -> Result<Planned<'p>, Refusal> {
    let Occurrence {
        placeholder, place, ..
    } = occurrence;
    if placeholder.agent() != agent {
        return Err(Refusal::new(
            Reason::Placeholder,
            format!("there is a placeholder {place} that belongs to another agent"),
        )
        .with_remedy("Use the placeholder that is in the environment of this agent."));
    }
    let mut rules = permit
        .rules()
        .iter()
        .copied()
        .filter(|rule| rule.credential == *placeholder.credential())
        .peekable();
    let Some(nearest) = rules.peek().copied() else {
        let problem = format!("is not for this request to `{}`", request.host());
        return Err(refused(occurrence, &problem).with_remedy(
            "Leave it out, or send it to the destination of its rule. To have it here, somebody must add a rule.",
        ));
    };
    if !occurrence.is_exact {
        return Err(refused(occurrence, "is not written as it was given out")
            .by_rule(&nearest.name)
            .with_remedy("Send it letter by letter, with the same small and capital letters."));
    }
    match rules.find(|rule| rule.injection.admits(request, place)) {
        Some(rule) => {
            if rule.injection.is_signature() {
                aws::check(request, rule, placeholder.text())?;
            }
            Ok(Planned {
                rule,
                placeholder: Some(Arc::clone(placeholder)),
                place: Some(place.clone()),
            })
        }
        None if nearest.injection.is_signature() && aws::is_version_2(request) => {
            let refusal = Refusal {
                reason: Reason::Placeholder,
                ..aws::not_version_4()
            };
            Err(refusal.by_rule(&nearest.name))
        }
        None => Err(refused(occurrence, "is in the wrong place")
            .by_rule(&nearest.name)
            .with_remedy(format!("Its place is {}.", nearest.injection.describe()))),
    }
}

fn refused(occurrence: &Occurrence, problem: &str) -> Refusal {
    let Occurrence {
        placeholder, place, ..
    } = occurrence;
    Refusal::new(
        Reason::Placeholder,
        format!(
            "the placeholder of `{}` {place} {problem}",
            placeholder.credential()
        ),
    )
}

const ONCE_AND_IN_ITS_PLACE: &str = "Send it once, as it is, in the place that its rule names.";
