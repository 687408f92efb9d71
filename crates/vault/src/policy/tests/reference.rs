//! The reference page tells the truth.

use crate::policy::Policy;
use crate::policy::read::RULE_KEYS;

const PAGE: &str = include_str!("../../../../../docs/reference/policy.md");

#[test]
fn every_example_of_the_reference_is_a_policy_without_warnings() {
    let mut examples = 0;
    for block in PAGE.split("```").skip(1).step_by(2) {
        let Some(text) = ["toml\n", "json\n"]
            .iter()
            .find_map(|language| block.strip_prefix(language))
        else {
            continue;
        };
        let loaded = Policy::load(text, "policy").unwrap_or_else(|error| panic!("{text}\n{error}"));
        assert_eq!(loaded.warnings, [], "{text}");
        examples += 1;
    }
    assert_eq!(examples, 3);
}

#[test]
fn the_json_and_the_toml_of_the_reference_mean_the_same() {
    let block = |start: &str| {
        let (_, rest) = PAGE.split_once(start).unwrap();
        let text = &rest[..rest.find("```").unwrap()];
        let policy = Policy::load(text, "policy").unwrap().policy;
        let rules = policy.rules().iter();
        rules
            .map(|rule| {
                let shown = [rule.agent().to_string(), rule.secret().to_string()];
                (shown, rule.hosts().clone(), rule.effect().clone())
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(block("```json\n"), block("in `policy.toml`:\n\n```toml\n"));
}

#[test]
fn every_key_has_a_row_in_the_reference() {
    for key in RULE_KEYS {
        assert!(PAGE.contains(&format!("\n| `{key}` |")), "{key}");
    }
}
