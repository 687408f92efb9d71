//! Explanations, word for word.

use fnox_core::{AgentId, Host, VaultName};
use fnox_vault_wire::methods::Explanation;

use crate::policy::{Policy, Question};

const POLICY: &str = r#"
timezone = "Europe/Berlin"

[[rule]]
name = "no prod"
effect = "deny"
agent = { any = true }
secret = "prod-*"
hosts = { any = true }

[[rule]]
name = "github"
agent = "coder-1"
secret = "github-token"
hosts = ["api.github.com", "*.ghe.example:443"]
ttl = "5m"
max_ttl = "1h"
max_uses = 20
renewable = true
max_lifetime = "2h"
max_active = 3
rate = "10/m"
delivery = "inject"

[[rule]]
agent = "ci-*"
secret = "deploy"
hosts = ["deploy.example"]
tools = ["ship", "roll"]
hours = ["mon-fri 08:00-18:00"]
max_uses = 1
"#;

fn explain(agent: &str, secret: &str, host: &str, tool: Option<&str>) -> [Explanation; 2] {
    let policy = Policy::parse(POLICY, "policy.toml").unwrap().policy;
    let agent = AgentId::parse(agent).unwrap();
    let question = Question {
        agent: &agent,
        secret: &VaultName::parse(secret).unwrap(),
        host: &Host::parse(host).unwrap(),
        tool,
        // A Sunday.
        now: "2026-03-01T09:05:00Z".parse().unwrap(),
    };
    [
        policy.explain(&question),
        policy.explain_for_agent(&question),
    ]
}

#[test]
fn an_allowed_request_is_explained_by_its_rule_and_terms() {
    let [admin, agent] = explain("coder-1", "github-token", "api.github.com", None);
    assert_eq!(
        admin.summary,
        "github (line 11) allows it: for 5m, up to 1h0m if asked for, 20 uses, renewable until 2h0m old, \
         3 live at a time, at most 10/m, used by a gateway only"
    );
    assert_eq!(admin.rule.as_deref(), Some("github (line 11)"));
    assert_eq!(admin.terms.unwrap().max_ttl_secs, 3600);
    assert_eq!(admin.misses.len(), 1);
    assert_eq!(admin.misses[0].rule, "no prod (line 4)");
    assert_eq!(
        admin.misses[0].because,
        "is for the secret `prod-*`, not `github-token`"
    );
    assert!(agent.allowed && agent.misses.is_empty());
    assert_eq!(agent.summary, admin.summary);
}

#[test]
fn a_denied_request_is_explained_by_the_rule_or_the_nearest_miss() {
    for (agent, secret, host, tool, wanted) in [
        (
            "coder-1",
            "prod-db",
            "a.example",
            None,
            "no prod (line 4) denies it",
        ),
        (
            "coder-1",
            "github-token",
            "evil.example",
            None,
            "no rule allows it; the nearest, github (line 11), is for api.github.com and *.ghe.example:443, \
             not evil.example",
        ),
        (
            "coder-1",
            "github-token",
            "x.ghe.example",
            None,
            "no rule allows it; the nearest, github (line 11), is for api.github.com and *.ghe.example:443, \
             so x.ghe.example has to be asked for with its port",
        ),
        (
            "coder-2",
            "github-token",
            "api.github.com",
            None,
            "no rule allows it; the nearest, github (line 11), is for the agent `coder-1`, not `coder-2`",
        ),
        (
            "ci-1",
            "deploy",
            "deploy.example",
            Some("bash\n"),
            "no rule allows it; the nearest, rule 3 (line 25), is for the tool `ship` or `roll`, not \
             `bash\\n`; applies mon-fri 08:00-18:00, and it is sun 10:05 (Europe/Berlin)",
        ),
        (
            "ci-1",
            "deploy",
            "deploy.example",
            None,
            "no rule allows it; the nearest, rule 3 (line 25), is for the tool `ship` or `roll`, and no \
             tool was named; applies mon-fri 08:00-18:00, and it is sun 10:05 (Europe/Berlin)",
        ),
        (
            "x",
            "y",
            "z.example",
            None,
            "no rule allows it; none that allows is for this agent, this secret or this host",
        ),
    ] {
        let [admin, _] = explain(agent, secret, host, tool);
        assert_eq!(admin.summary, wanted);
        assert!(!admin.allowed && admin.terms.is_none());
    }
    let explanation = Policy::deny_all().explain(&Question {
        agent: &AgentId::parse("a").unwrap(),
        secret: &VaultName::parse("s").unwrap(),
        host: &Host::parse("h").unwrap(),
        tool: None,
        now: jiff::Timestamp::UNIX_EPOCH,
    });
    assert_eq!(
        explanation.summary,
        "the policy has no rules, so everything is denied"
    );
}

#[test]
fn an_agent_learns_nothing_about_the_rules_of_others() {
    for (agent, secret, wanted) in [
        (
            "coder-2",
            "github-token",
            "no rule lends `github-token` to `coder-2`",
        ),
        ("coder-1", "deploy", "no rule lends `deploy` to `coder-1`"),
        (
            "coder-1",
            "github-token",
            "no rule lends `github-token` to `coder-1` for z.example: the nearest is for api.github.com and \
             *.ghe.example:443, not z.example",
        ),
    ] {
        let [_, explanation] = explain(agent, secret, "z.example", None);
        assert_eq!(explanation.summary, wanted);
        assert!(explanation.misses.is_empty() && explanation.rule.is_none());
    }
    let [_, denied] = explain("coder-1", "prod-db", "z.example", None);
    assert_eq!(denied.summary, "no prod (line 4) denies it");
}
