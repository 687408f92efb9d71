//! `[[gateway]]`: who may ask people about requests of agents.

use fnox_api::Role;
use fnox_core::{AgentId, Host};
use serde_json::json;

use super::{error, policy, subject};
use crate::policy::{QuestionDenial, QuestionPermit};
use crate::settings::Preset;
use crate::subject::Subject;

const POLICY: &str = r#"
[[gateway]]
name = "builders"
agents = ["coder-*"]
hosts = ["api.github.com", "*.example.com:8443"]
approvers = ["group:leads"]
approvals_needed = 2
longest = "15m"

[[gateway]]
name = "laptops"
people = ["ann@example.com", "group:dev"]
own = false

[[gateway]]
name = "all-of-ann"
people = ["ann@example.com"]
"#;

fn gateway(name: &str) -> Subject {
    subject("gateway", Preset::Generic, json!({ "sub": name }))
}

fn person(claims: serde_json::Value, roles: &[Role]) -> Subject {
    let mut person = subject("people", Preset::Generic, claims);
    person.roles = roles.to_vec();
    person
}

fn ask(subject: &Subject, agent: &str, host: &str) -> Result<QuestionPermit, QuestionDenial> {
    let (agent, host) = (AgentId::parse(agent).unwrap(), Host::parse(host).unwrap());
    policy(POLICY).question(subject, &agent, &host.with_default_port(443))
}

#[test]
fn a_gateway_asks_about_its_agents_and_hosts() {
    let builders = gateway("builders");
    let permit = ask(&builders, "coder-1", "api.github.com").unwrap();
    assert_eq!(permit.rule, "gateway builders");
    assert_eq!((permit.approvals_needed, permit.longest), (Some(2), 900));
    assert_eq!(permit.approvers, ["group:leads"]);
    assert!(ask(&builders, "coder-1", "a.b.example.com:8443").is_ok());
    for (agent, host, denial) in [
        ("reviewer", "api.github.com", QuestionDenial::Agent),
        ("coder-1", "github.com", QuestionDenial::Host),
        ("coder-1", "a.example.com", QuestionDenial::Host),
        ("coder-1", "example.com:8443", QuestionDenial::Host),
    ] {
        assert_eq!(ask(&builders, agent, host), Err(denial), "{agent} {host}");
    }
    // An entry for people is for no gateway of its name.
    for name in ["laptops", "Builders", "builders2", ""] {
        assert_eq!(
            ask(&gateway(name), "coder-1", "api.github.com"),
            Err(QuestionDenial::Asker),
            "{name}"
        );
    }
}

#[test]
fn people_ask_about_their_own_agents() {
    let ann = json!({"sub": "1", "email": "Ann@example.com", "email_verified": true});
    let permit = ask(&person(ann.clone(), &[Role::Reader]), "any", "any.org").unwrap();
    // The first entry that fits decides.
    assert_eq!(
        (permit.rule.as_str(), permit.own),
        ("gateway laptops", false)
    );
    assert!(permit.approvers.is_empty() && permit.longest == 0);
    let dev = json!({"sub": "2", "groups": ["dev"]});
    assert!(ask(&person(dev.clone(), &[Role::Reader]), "any", "any.org").is_ok());
    // Not a job, whatever its claims; not a mail that nobody verified; not a token of the server's own.
    let unverified = json!({"sub": "3", "email": "ann@example.com"});
    let mut own = person(dev.clone(), &[Role::Admin]);
    "bootstrap".clone_into(&mut own.issuer);
    for subject in [
        person(dev, &[]),
        person(ann, &[]),
        person(unverified, &[Role::Admin]),
        own,
    ] {
        assert_eq!(ask(&subject, "any", "any.org"), Err(QuestionDenial::Asker));
    }
}

#[test]
fn without_entries_nobody_is_asked() {
    let (agent, host) = (AgentId::parse("a").unwrap(), Host::parse("h").unwrap());
    let none = policy("").question(&gateway("builders"), &agent, &host);
    assert_eq!(none, Err(QuestionDenial::Asker));
    assert!(policy(POLICY).has_gateway("builders"));
    assert!(!policy(POLICY).has_gateway("laptops"));
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, expected) in [
        (
            "[[gateway]]\nagents = [\"a\"]\n",
            "policy.toml:1: `gateway 1`: `name` is missing",
        ),
        (
            "[[gateway]]\nname = \"a b\"\n",
            "policy.toml:2: `gateway 1`: `name` cannot be this",
        ),
        (
            "[[gateway]]\nname = \"a\"\nagent = [\"b\"]\n",
            "unknown key `agent`; did you mean `agents`?",
        ),
        (
            "[[gateway]]\nname = \"a\"\nhosts = [\"*\"]\n",
            "policy.toml:3: `gateway 1`: `hosts`:",
        ),
        (
            "[[gateway]]\nname = \"a\"\nown = true\n",
            "`own` is for agents of people",
        ),
        (
            "[[gateway]]\nname = \"a\"\nlongest = \"2h\"\n",
            "`longest` is longer than an hour",
        ),
        (
            "[[gateway]]\nname = \"a\"\npeople = [\"*\"]\n",
            "`people` has something that is no name",
        ),
        (
            "[[gateway]]\nname = \"a\"\npeople = []\n",
            "`people` is empty",
        ),
        (
            "[[gateway]]\nname = \"a\"\n[[gateway]]\nname = \"a\"\n",
            "another `[[gateway]]` has this name",
        ),
        ("gateway = 1\n", "`gateway` must be a list of tables"),
    ] {
        let said = error(text);
        assert!(said.contains(expected), "{text}: {said}");
    }
}
