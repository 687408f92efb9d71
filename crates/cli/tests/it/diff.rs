//! `fnox diff`

use insta::assert_snapshot;

use crate::support::{fails, json, ok, shown, with_age};

const PROFILES: &str = r#"
[providers.settings]
type = "plain"

[secrets]
SAME = { provider = "settings", value = "kept-value" }
HOST = { provider = "settings", value = "first-value" }
URL = { default = "https://${HOST}/" }
BROKEN = { provider = "age", value = "no ciphertext" }

[profiles.production.secrets]
HOST = { provider = "settings", value = "second-value" }
ONLY = { provider = "settings", value = "third-value" }
"#;

#[test]
fn profiles_are_compared_by_value_and_no_value_is_shown() {
    let sandbox = with_age();
    sandbox.write("fnox.toml", sandbox.read("fnox.toml") + PROFILES);
    let run = sandbox.run(["diff", "default", "production"]);
    let run = run.finish().succeeds();
    assert_snapshot!(shown(&sandbox, &run), @r"
      ~ HOST (changed)
      ~ URL (changed)
      ? BROKEN (unknown)
      + ONLY (new)
    ----
    Of those that are unknown a value cannot be read; `fnox check --all` says why.
    ");
    let back = ["diff", "production", "default", "--all", "--json"];
    let document = json(&ok(&sandbox, &back));
    let word = |name: &str| {
        let mut secrets = document["secrets"].as_array().unwrap().iter();
        secrets.find(|secret| secret["name"] == name).unwrap()["change"].clone()
    };
    assert_eq!(word("ONLY"), "removed");
    assert_eq!(word("SAME"), "same");
    assert!(!document.to_string().contains("-value"), "{document}");
}

#[test]
fn equal_profiles_are_said_to_be_and_unknown_ones_are_errors() {
    let sandbox = with_age();
    let text = sandbox.read("fnox.toml") + "[profiles.production]\n";
    sandbox.write("fnox.toml", text);
    let run = sandbox.run(["diff", "default", "production"]);
    let run = run.finish().succeeds();
    assert_snapshot!(shown(&sandbox, &run), @r"
    ----
    The secrets of default and production are the same.
    ");
    let error = fails(&sandbox, 3, &["diff", "default", "prodution"]);
    assert!(error.contains("did you mean `production`?"), "{error}");
}
