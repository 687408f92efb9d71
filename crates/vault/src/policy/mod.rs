//! The policy: who may use which secret where, and on which terms.
//!
//! A policy is a flat list of rules in a file that people review. The first rule that matches decides; if none
//! does, the answer is no. Reading the file is strict, because a typing mistake must never grant anything: an
//! unknown key, a list without hosts, a name that is only `*`, a wildcard over a whole top-level domain are
//! errors, each with its line, and all of them at once. What is legal but odd is a warning.
//!
//! Hosts arrive here parsed ([`fnox_core::Host`]), so no spelling of a host gets around a rule. Where a host
//! without a port is asked for, a rule that denies one port of it applies too: the lease would be good for that
//! port.
//!
//! Deciding reads no clock and no file and allocates nothing.

mod check;
mod decide;
mod explain;
mod fields;
mod finding;
mod hours;
mod pattern;
mod rate;
mod read;
mod rule;
mod source;
mod zerolease;

#[cfg(test)]
mod tests;

pub use decide::{Decision, Policy, Question};
pub use finding::{Finding, Loaded, PolicyError, Severity};
pub use hours::Window;
pub use pattern::NamePattern;
pub use rate::{RateLimits, TooFast};
pub use rule::{Effect, HostSet, Rule, Terms};
pub use source::PolicySource;

/// What `fnox vault init` writes: it denies everything, and shows how to allow something.
pub const DEFAULT_POLICY: &str = include_str!("default.toml");
