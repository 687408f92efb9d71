//! The decision.

use super::Permit;
use super::condition::Stage;
use super::denial::Denial;
use super::gateway::Gateway;
use super::rule::{Ask, Miss, Rule};
use crate::subject::Subject;

/// All rules. Without any, everything is denied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    pub(super) rules: Vec<Rule>,
    pub(super) gateways: Vec<Gateway>,
}

/// A subject may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// It is called otherwise than the policy says, though it is the same: somebody should correct the policy.
    pub renamed: Option<Renamed>,
}

/// A new name of the same thing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Renamed {
    /// What the policy says.
    pub from: String,
    /// What the token says.
    pub to: String,
}

impl Policy {
    /// Whether a subject may log in: all that some rule says about who asks fits. What it may then ask for is
    /// [`Self::permit`]'s question.
    ///
    /// # Errors
    /// [`Denial`] tells the nearest rule, and where it stumbles.
    pub fn admit(&self, subject: &Subject) -> Result<Admission, Denial> {
        let mut nearest = Nearest::default();
        let mut is_admitted = false;
        let mut renamed = None;
        for rule in &self.rules {
            if let Some(miss) = rule.miss(subject, None) {
                nearest.hear(rule, miss);
            } else {
                is_admitted = true;
                renamed = renamed.or_else(|| rule.new_name(subject));
            }
        }
        if !is_admitted {
            return Err(self.denial(&nearest, subject, None));
        }
        Ok(Admission {
            renamed: renamed.map(|(from, to)| Renamed {
                from: from.to_owned(),
                to: to.to_owned(),
            }),
        })
    }

    /// What the first rule that fits permits for one key.
    ///
    /// # Errors
    /// [`Denial`] tells the nearest rule, and where it stumbles.
    pub fn permit(
        &self,
        subject: &Subject,
        project: &str,
        profile: &str,
        key: &str,
    ) -> Result<Permit, Denial> {
        let ask = Ask {
            project,
            profile,
            key,
        };
        let mut nearest = Nearest::default();
        for rule in &self.rules {
            match rule.miss(subject, Some(ask)) {
                None => return Ok(rule.permit(subject)),
                Some(miss) => nearest.hear(rule, miss),
            }
        }
        Err(self.denial(&nearest, subject, Some(ask)))
    }

    /// Whether a subject may know that a secret is there: whoever may ask for it may.
    #[must_use]
    pub fn may_see(&self, subject: &Subject, project: &str, profile: &str, key: &str) -> bool {
        let ask = Ask {
            project,
            profile,
            key,
        };
        self.rules
            .iter()
            .any(|rule| rule.miss(subject, Some(ask)).is_none())
    }

    /// How many rules there are.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    pub(super) fn denial(
        &self,
        nearest: &Nearest<'_>,
        subject: &Subject,
        ask: Option<Ask<'_>>,
    ) -> Denial {
        let Some((rule, miss)) = nearest.0 else {
            return Denial::without_rules();
        };
        // If a rule pins the id that the subject has, somebody wrote that down: nothing was taken over.
        if miss.stage() <= Stage::StableId
            && let Some((robbed, condition)) = self
                .rules
                .iter()
                .find_map(|rule| Some((rule, rule.is_taken_over_by(subject)?)))
        {
            return Denial::new(robbed, Miss::Condition(condition), subject, ask).resurrected();
        }
        Denial::new(rule, miss, subject, ask)
    }
}

/// The rule that stumbles last; of several the first.
#[derive(Debug, Default)]
pub(super) struct Nearest<'r>(Option<(&'r Rule, Miss<'r>)>);

impl<'r> Nearest<'r> {
    pub(super) fn hear(&mut self, rule: &'r Rule, miss: Miss<'r>) {
        if self
            .0
            .is_none_or(|(_, nearest)| miss.stage() > nearest.stage())
        {
            self.0 = Some((rule, miss));
        }
    }
}
