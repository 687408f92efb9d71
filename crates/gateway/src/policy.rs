//! What may leave: the rules of a gateway together.

use std::fmt::Write as _;

use fnox_core::Host;

use crate::proxy::Ended;
use crate::refusal::{Reason, Refusal};
use crate::request::{CanonicalRequest, Scheme};
use crate::rule::{Approve, Capture, Hosts, Miss, Rule};

/// What happens to hosts that no rule names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Egress {
    /// They cannot be reached.
    #[default]
    Strict,
    /// They are reached without a credential.
    Permissive,
}

/// The rules of a gateway. An empty one lets nothing out.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// What happens to hosts that no rule names.
    pub egress: Egress,
    /// The rules. Where two put a credential into the same place of a request, the earlier one does.
    pub rules: Vec<Rule>,
    /// Hosts that are reached without a credential.
    pub allow_domains: Vec<Hosts>,
}

/// That a request may leave, and the rules by which credentials may go into it. There are none for a host that
/// is reached without one.
#[derive(Debug, Clone)]
pub struct Permit<'p> {
    rules: Vec<&'p Rule>,
    /// Whether the host is reached without a rule, too.
    is_open: bool,
}

impl Policy {
    /// Whether any request to `host`, whose port is known, could be allowed: what can be decided before the
    /// request is seen.
    ///
    /// # Errors
    /// [`Reason::NoRule`]
    pub fn admits(&self, host: &Host) -> Result<(), Refusal> {
        let is_known = self.is_open(host) || self.rules.iter().any(|rule| rule.hosts.matches(host));
        if is_known { Ok(()) } else { Err(no_rule(host)) }
    }

    /// The same, once it is known whether TLS is spoken. What a rule for a port would let out is not let out without TLS
    /// either, so that comes first.
    pub(crate) fn admits_by(&self, scheme: Scheme, host: &Host) -> Result<(), Refusal> {
        if scheme == Scheme::Http && !is_this_machine(host) {
            return Err(Refusal::new(
                Reason::NotAllowed,
                format!(
                    "`{host}` would be reached without TLS, which is only done on this machine"
                ),
            )
            .with_remedy("Use `https`."));
        }
        self.admits(host)
    }

    /// Whether `request` may leave, and with what.
    ///
    /// # Errors
    /// [`Reason::NoRule`] if nothing reaches its host; [`Reason::NotAllowed`] or [`Reason::TooLarge`] with the
    /// rule that comes nearest.
    pub fn decide(&self, request: &CanonicalRequest) -> Result<Permit<'_>, Refusal> {
        let host = request.host();
        self.admits_by(request.scheme(), host)?;
        let mut rules = Vec::new();
        let mut nearest: Option<(Miss, &Rule)> = None;
        for rule in self.rules.iter().filter(|rule| rule.hosts.matches(host)) {
            match rule.check(request) {
                Ok(()) => rules.push(rule),
                Err(miss) if nearest.is_none_or(|(other, _)| miss > other) => {
                    nearest = Some((miss, rule));
                }
                Err(_) => {}
            }
        }
        match nearest {
            Some((miss, rule)) if rules.is_empty() && !self.is_named_open(host) => {
                Err(not_allowed(host, miss, rule))
            }
            _ => Ok(Permit {
                rules,
                is_open: self.is_open(host),
            }),
        }
    }

    /// With rules for what its rules capture.
    #[must_use]
    pub(crate) fn with_captured(mut self) -> Self {
        let captured: Vec<Rule> = self.rules.iter().flat_map(Rule::of_captured).collect();
        self.rules.extend(captured);
        self
    }

    fn is_open(&self, host: &Host) -> bool {
        self.egress == Egress::Permissive || self.is_named_open(host)
    }

    fn is_named_open(&self, host: &Host) -> bool {
        self.allow_domains.iter().any(|hosts| hosts.matches(host))
    }
}

impl<'p> Permit<'p> {
    /// The rules that allow the request, in the order of the policy.
    #[must_use]
    pub fn rules(&self) -> &[&'p Rule] {
        &self.rules
    }

    /// The most bytes that the body may have: the least that a rule says.
    #[must_use]
    pub fn body_limit(&self) -> Option<u64> {
        self.rules.iter().filter_map(|rule| rule.body_limit).min()
    }

    /// The ends of the rules by which a request leaves: of those that put credentials into it; if none does, of those that let
    /// it out, unless something lasting lets it out too.
    pub(crate) fn ends(&self, spent: &[&Rule]) -> Vec<Ended> {
        let ends = |rules: &[&Rule]| -> Vec<Ended> {
            let ends = rules.iter().filter_map(|rule| rule.ended.clone());
            ends.collect()
        };
        if !spent.is_empty() {
            return ends(spent);
        }
        let ends = ends(&self.rules);
        if self.is_open || ends.len() < self.rules.len() {
            return Vec::new();
        }
        ends
    }

    /// The rules that keep credentials in the answer from the client.
    pub(crate) fn captures(&self) -> impl Iterator<Item = (&'p Rule, &'p Capture)> {
        let captures = |rule: &&'p Rule| rule.capture.as_ref().map(|capture| (*rule, capture));
        self.rules.iter().filter_map(captures)
    }

    /// The first rule that wants a person to agree.
    #[must_use]
    pub fn approval(&self) -> Option<&'p Rule> {
        let mut rules = self.rules.iter().copied();
        rules.find(|rule| rule.approve == Approve::Ask)
    }
}

fn no_rule(host: &Host) -> Refusal {
    Refusal::new(Reason::NoRule, format!("no rule reaches `{host}`")).with_remedy(format!(
        "To reach it, somebody must add a rule with `domain = \"{host}\"`, or the host to `allow_domains`."
    ))
}

fn not_allowed(host: &Host, miss: Miss, rule: &Rule) -> Refusal {
    let (reason, what) = match miss {
        Miss::Path => (Reason::NotAllowed, "this path is not allowed"),
        Miss::Method => (
            Reason::NotAllowed,
            "this method is not allowed on this path",
        ),
        Miss::Condition => (
            Reason::NotAllowed,
            "the request does not meet a condition on its query or headers",
        ),
        Miss::Body => (Reason::TooLarge, "the body is larger than allowed"),
    };
    let mut remedy = format!("The rule allows {}", rule.allowed());
    if let (Miss::Body, Some(limit)) = (miss, rule.body_limit) {
        // Writing to a string cannot fail.
        let _ = write!(remedy, ", with at most {limit} bytes");
    }
    Refusal::new(reason, format!("{what} at `{host}`"))
        .by_rule(&rule.name)
        .with_remedy(format!("{remedy}. For more, somebody must change it."))
}

/// Plain HTTP does not leave the machine. The address is checked again when it is dialled.
fn is_this_machine(host: &Host) -> bool {
    let name = host.name();
    host.ip().is_some_and(|ip| ip.is_loopback())
        || name == "localhost"
        || name.ends_with(".localhost")
}
