//! The reference page tells the truth.

use super::*;
use crate::policy::{gateway, preset, read, who};

const PAGE: &str = include_str!("../../../../../docs/reference/server-policy.md");

#[test]
fn every_example_of_the_reference_is_a_policy() {
    let examples: Vec<&str> = PAGE
        .split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.strip_prefix("toml\n"))
        .collect();
    assert_eq!(examples.len(), 8);
    for example in examples {
        policy(example);
    }
}

#[test]
fn every_key_has_one_row_in_the_reference() {
    for key in who::KEYS.iter().chain(&read::OWN_KEYS) {
        assert_eq!(PAGE.matches(&format!("\n| `{key}` |")).count(), 1, "{key}");
    }
}

#[test]
fn every_key_of_a_gateway_stands_in_the_reference() {
    let (_, section) = PAGE.split_once("\n## Questions of gateways\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    for key in gateway::KEYS {
        assert!(section.contains(&format!("`{key}`")), "{key}");
    }
}

#[test]
fn the_reference_lists_the_events_that_need_no_listing() {
    for (preset, row) in [
        (Preset::Github, "\n| GitHub |"),
        (Preset::Gitlab, "\n| GitLab |"),
    ] {
        let (claim, safe) = preset::kind(preset).event.unwrap();
        let list: Vec<String> = safe.iter().map(|event| format!("`{event}`")).collect();
        let row = format!("{row} `{claim}` | {} |", list.join(", "));
        assert!(PAGE.contains(&row), "{row}");
    }
}
