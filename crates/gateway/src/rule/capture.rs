//! Answers that hold fresh credentials, which the client gets placeholders for.

use super::{CredentialRef, Hosts, Mode, Rule};
use crate::injection::Injection;

/// What of the answers to a rule's requests is a credential, and where it may go.
///
/// The endpoint of an OAuth server answers with tokens (RFC 6749, section 5.1). The gateway keeps them and hands out
/// placeholders in their places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capture {
    /// The names of members of JSON objects that hold one, wherever in the document the object is.
    pub members: Vec<String>,
    /// Hosts that get it in `authorization`, whatever the method and the path. They are reached for that.
    pub hosts: Vec<Hosts>,
}

impl Rule {
    /// The rules by which what this one captures is used: in the requests that it allows itself, and at
    /// [`Capture::hosts`]. None if it captures nothing.
    pub(crate) fn of_captured(&self) -> Vec<Self> {
        let Some(capture) = &self.capture else {
            return Vec::new();
        };
        let credential = CredentialRef::Captured {
            rule: self.name.clone(),
        };
        // Under the same name, so that a request that is made with what was captured counts as one of this rule.
        let own = |injection| Self {
            credential: credential.clone(),
            injection,
            mode: Mode::Swap,
            placeholder: None,
            capture: None,
            ..self.clone()
        };
        // RFC 6749, section 6, sends a token under the name that it came with; RFC 7009, section 2.1, as `token`.
        let mut names = capture.members.clone();
        if !names.iter().any(|name| name == "token") {
            names.push("token".to_owned());
        }
        let mut rules = vec![own(Injection::default()), own(Injection::Member { names })];
        rules.extend(capture.hosts.iter().map(|hosts| Self {
            approve: self.approve,
            ca_file: self.ca_file.clone(),
            ..Self::new(
                format!("{}, captured", self.name),
                hosts.clone(),
                credential.clone(),
            )
        }));
        rules
    }
}

#[cfg(test)]
mod tests {
    use fnox_core::VaultName;

    use super::*;
    use crate::rule::Approve;

    #[test]
    fn what_is_captured_is_bound_as_its_rule_is() {
        let secret = CredentialRef::Secret(VaultName::parse("SECRET").unwrap());
        let mut rule = Rule::new("1", Hosts::parse("auth.example.com").unwrap(), secret);
        rule.approve = Approve::Ask;
        rule.max_uses = Some(3);
        rule.ca_file = Some("ca.pem".into());
        rule.mode = Mode::Set;
        assert!(rule.of_captured().is_empty());
        rule.capture = Some(Capture {
            members: vec!["token".to_owned()],
            hosts: vec![Hosts::parse("api.example.com").unwrap()],
        });
        let rules = rule.of_captured();
        let [header, member, elsewhere] = rules.as_slice() else {
            panic!("{rules:?}");
        };
        for one in &rules {
            assert_eq!(one.credential.to_string(), "what rule 1 captured");
            assert_eq!((one.approve, one.mode), (Approve::Ask, Mode::Swap));
            assert_eq!(one.ca_file, rule.ca_file);
            assert!(one.capture.is_none());
        }
        assert_eq!((header.name.as_str(), header.max_uses), ("1", Some(3)));
        assert_eq!((member.name.as_str(), member.max_uses), ("1", Some(3)));
        let names = vec!["token".to_owned()];
        assert_eq!(member.injection, Injection::Member { names });
        assert_eq!(elsewhere.hosts.to_string(), "api.example.com");
        assert_eq!(
            (elsewhere.name.as_str(), elsewhere.max_uses),
            ("1, captured", None)
        );
    }
}
