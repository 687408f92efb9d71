//! What a policy file may say, and what people read if it says something else.

use super::*;

/// The rule of GitHub with one line replaced.
fn changed(line: &str, by: &str) -> String {
    assert!(GITHUB_RULE.contains(line), "{line}");
    GITHUB_RULE.replace(line, by)
}

#[test]
fn every_error_is_told_at_once_with_line_and_remedy() {
    let text = r#"
rules = 1

[[rule]]
name = "npm"
isuer = "github"
keys = "NPM_*"

[[rule]]
issuer = "github"
repository_id = 1296269
refs = ["main"]
projects = []
keys = ["NPM-*"]
max_ttl = "5 minutes"

[[rule]]
name = "npm"
issuer = "gitlub"
projects = ["my-app"]
keys = ["*"]
"#;
    insta::assert_snapshot!(error(text), @r#"
    policy.toml:2: unknown key `rules`; did you mean `rule`?
    policy.toml:4: `npm`: `issuer` is missing; name one of server.toml, as in `issuer = "github"`
    policy.toml:4: `npm`: `projects` is missing, so the rule would release nothing; say what it releases, as in `projects = ["my-app"]`
    policy.toml:6: `npm`: unknown key `isuer`; did you mean `issuer`?
    policy.toml:7: `npm`: `keys` must be a list of texts, not a string; write a list, as in `keys = ["…"]`
    policy.toml:11: `rule 2`: `repository_id` must be a text, not an integer; write it in quotes, as in `repository_id = "…"`
    policy.toml:12: `rule 2`: `refs`: "main" cannot be: write the full ref, as in "refs/heads/main" or "refs/tags/v*"
    policy.toml:13: `rule 2`: `projects` is empty, so the rule would never fit; write a list, as in `projects = ["…"]`
    policy.toml:14: `rule 2`: `keys`: "NPM-*" cannot be: keys have only letters, digits and `_`
    policy.toml:15: `rule 2`: `max_ttl`: `5 minutes` is not a duration: write it like 90s, 15m, 1h30m or 2d
    policy.toml:17: `npm`: another rule has this name; give each rule its own: the audit log tells them apart by it
    policy.toml:19: `npm`: there is no issuer `gitlub`; did you mean `gitlab`?
    "#);
}

#[test]
fn a_rule_needs_a_stable_id() {
    insta::assert_snapshot!(error(&changed("repository_id = \"1296269\"\n", "")), @r#"policy.toml:2: `npm`: the rule pins no `repository_id`; names can be taken over, ids cannot; add `repository_id = "1296269"` (`gh api repos/OWNER/NAME --jq .id` prints it)"#);
    for (issuer, ids) in [
        ("gitlab", "namespace_id = \"72\""),
        ("circleci", "vcs_origin = \"github.com/acme/app\""),
        ("circleci", "project_id = \"x\""),
        ("buildkite", "pipeline_id = \"x\""),
        ("buildkite", "organization_id = \"x\""),
    ] {
        let text = format!(
            "[[rule]]\nissuer = \"{issuer}\"\n{ids}\nrefs = [\"refs/heads/main\"]\nprojects = [\"a\"]\nkeys = [\"*\"]\n"
        );
        let error = error(&text);
        assert!(error.contains("the rule pins no `"), "{error}");
        assert!(error.starts_with("policy.toml:1: `rule 1`: "), "{error}");
    }
}

#[test]
fn a_rule_needs_something_that_narrows_it() {
    insta::assert_snapshot!(error(&changed("refs = [\"refs/heads/main\"]\n", "")), @r#"policy.toml:2: `npm`: nothing narrows the rule: whoever can push anything to the repository could ask; add `environments`, `workflows` or `refs` that leave something out, as in `refs = ["refs/heads/main"]`"#);
    for nothing in [
        "refs = [\"refs/**\"]",
        "refs = [\"refs/*/**\", \"refs/heads/main\"]",
        "refs = [\"refs/**\", \"refs/heads/main\"]",
        "environments = [\"*\"]",
        "environments = [\"**\", \"prod\"]",
        "workflows = [\"**/*\"]",
        "workflows = [\"**.yml@**\"]",
        "claims = { actor_id = [\"12\"] }",
        "events = [\"push\"]",
        "runner_environment = \"github-hosted\"",
    ] {
        let error = error(&changed("refs = [\"refs/heads/main\"]", nothing));
        assert!(
            error.contains("nothing narrows the rule"),
            "{nothing}: {error}"
        );
    }
    for something in [
        "refs = [\"refs/heads/**\"]",
        "refs = [\"refs/heads/**\", \"refs/tags/**\"]",
        "environments = [\"prod-*\"]",
        "workflows = [\"acme/**\"]",
        "refs = [\"refs/**\"]\nenvironments = [\"prod\"]",
    ] {
        policy(&changed("refs = [\"refs/heads/main\"]", something));
    }
}

#[test]
fn a_rule_for_people_needs_a_subject_or_a_group() {
    let rule = |who: &str| {
        format!("[[rule]]\nissuer = \"people\"\n{who}\nprojects = [\"a\"]\nkeys = [\"*\"]\n")
    };
    insta::assert_snapshot!(error(&rule("")), @r#"policy.toml:1: `rule 1`: the rule is for everybody whom the issuer knows; add `subjects = ["…"]` or `groups = ["…"]`"#);
    for nobody in [
        "groups = [\"*\"]",
        "subjects = [\"**\"]",
        "claims = { email = [\"ada@example.com\"] }",
    ] {
        assert!(error(&rule(nobody)).contains("for everybody"), "{nobody}");
    }
    policy(&rule("subjects = [\"ada\"]"));
    policy(&rule("groups = [\"ops-*\"]"));
}

#[test]
fn sub_of_a_ci_is_never_matched() {
    for issuer in ["github", "gitlab", "circleci", "buildkite"] {
        for line in [
            "subjects = [\"repo:acme/app:ref:refs/heads/main\"]",
            "claims = { sub = [\"repo:acme/app:**\"] }",
        ] {
            let text = format!(
                "[[rule]]\nissuer = \"{issuer}\"\n{line}\nprojects = [\"a\"]\nkeys = [\"*\"]\n"
            );
            let error = error(&text);
            assert!(error.contains("`sub` is made of names"), "{error}");
        }
    }
}

#[test]
fn what_would_never_fit_or_says_something_else_than_meant_is_refused() {
    for (line, by, wanted) in [
        (
            "repository_id = \"1296269\"",
            "repository_id = \"acme/app\"",
            "`repository_id` must be the number, not the name",
        ),
        (
            "repository_id = \"1296269\"",
            "repository_id = \"12*\"",
            "`repository_id` must be one id, not a pattern",
        ),
        (
            "repository_id = \"1296269\"",
            "repository_id = \"\"",
            "`repository_id` is empty",
        ),
        (
            "repository_id = \"1296269\"",
            "repository_id = 1296269",
            "`repository_id` must be a text, not an integer; write it in quotes",
        ),
        (
            "repository_owner_id = \"583231\"",
            "repository_owner_id = \"acme\"",
            "must be the number",
        ),
        (
            "repository_owner_id = \"583231\"",
            "project_id = \"1\"",
            "`project_id` does not go with an issuer of the kind `github`; its keys are repository_id, ",
        ),
        ("\"refs/heads/main\"", "\"main\"", "write the full ref"),
        (
            "\"refs/heads/main\"",
            "\"refs/heads/[a-z]*\"",
            "patterns have only `*` and `**`",
        ),
        (
            "\"refs/heads/main\"",
            "\"refs/heads/***\"",
            "not more stars in a row",
        ),
        ("\"refs/heads/main\"", "\"\"", "it is empty"),
        (
            "\"refs/heads/main\"",
            "7",
            "`refs` must hold texts, not an integer",
        ),
        (
            "[\"refs/heads/main\"]",
            "\"refs/heads/main\"",
            "`refs` must be a list of texts, not a string",
        ),
        ("[\"refs/heads/main\"]", "[]", "`refs` is empty"),
        ("projects = [\"my-app\"]\n", "", "`projects` is missing"),
        ("keys = [\"NPM_*\"]\n", "", "`keys` is missing"),
        ("\"my-app\"", "\"my/app\"", "names of projects have only"),
        ("\"NPM_*\"", "\"NPM-*\"", "keys have only"),
        ("\"NPM_*\"", "\"NPM_?\"", "keys have only"),
        (
            "name = \"npm\"",
            "name = \"rule 7\"",
            "`name` cannot be this",
        ),
        ("name = \"npm\"", "name = \" x\"", "`name` cannot be this"),
        (
            "name = \"npm\"",
            "events = [\"pull_request*\"]",
            "list the events by name",
        ),
        ("name = \"npm\"", "events = []", "`events` is empty"),
        (
            "name = \"npm\"",
            "event = [\"push\"]",
            "unknown key `event`; did you mean `events`?",
        ),
        (
            "name = \"npm\"",
            "profiles = [\"a/b\"]",
            "names of profiles",
        ),
        (
            "name = \"npm\"",
            "max_ttl = \"0s\"",
            "`max_ttl`: `0s` is out of range",
        ),
        (
            "name = \"npm\"",
            "max_ttl = 300",
            "`max_ttl` must be a text",
        ),
        (
            "name = \"npm\"",
            "require_approval = \"no\"",
            "`require_approval` must be true or false",
        ),
        (
            "name = \"npm\"",
            "require_recipient = true",
            "`require_recipient` needs a `recipient`",
        ),
        (
            "name = \"npm\"",
            "recipient = \"age1x\"",
            "is not an age recipient",
        ),
        (
            "name = \"npm\"",
            "approvals_needed = 0",
            "must be a number from 1 to 100",
        ),
        (
            "name = \"npm\"",
            "approvals_needed = 2\napprovers = [\"ada\"]",
            "can never be reached",
        ),
        ("name = \"npm\"", "approvers = [\" \"]", "has an empty name"),
        (
            "name = \"npm\"",
            "claims = { ref = [\"refs/heads/main\"] }",
            "`claims` cannot have `ref`; the claim has a key of its own, `refs`",
        ),
        (
            "name = \"npm\"",
            "claims = { actor = \"ada\" }",
            "`claims`: `actor` must be a list with values",
        ),
        (
            "name = \"npm\"",
            "claims = { actor = [1.5] }",
            "a float cannot be compared",
        ),
        (
            "name = \"npm\"",
            "claims = { actor = [] }",
            "must be a list with values",
        ),
        (
            "name = \"npm\"",
            "claims = [\"actor\"]",
            "`claims` must be a table",
        ),
        (
            "name = \"npm\"",
            "ref_protected = true",
            "does not go with an issuer of the kind `github`",
        ),
        ("issuer = \"github\"", "issuer = \"\"", "`issuer` is empty"),
        ("issuer = \"github\"\n", "", "`issuer` is missing"),
        ("[[rule]]", "[rule]", "`rule` must be a list of tables"),
        (
            "[[rule]]",
            "[[rules]]",
            "unknown key `rules`; did you mean `rule`?",
        ),
    ] {
        let error = error(&changed(line, by));
        assert!(error.contains(wanted), "{by}: {error}");
    }
}

#[test]
fn a_private_key_in_the_place_of_a_recipient_is_not_repeated() {
    let key = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ";
    let error = error(&changed(
        "name = \"npm\"",
        &format!("recipient = \"{key}\""),
    ));
    assert!(!error.contains("QQQQ"), "{error}");
    assert!(error.contains("this is a private key"), "{error}");
}

#[test]
fn broken_toml_is_told_with_its_line() {
    let error = error("[[rule]]\nname = \"a\"\nname = \"b\"\n");
    assert!(error.starts_with("policy.toml:3: "), "{error}");
    let error = super::error("[[rule]]\nname = \n");
    assert!(error.starts_with("policy.toml:2: "), "{error}");
}

#[test]
fn a_kind_names_its_only_issuer_and_a_name_comes_first() {
    let enterprise = issuer("github", Preset::Gitlab);
    let text = GITHUB_RULE;
    // The name is another kind's: the name decides, and the kind's keys do not fit.
    let error = Policy::parse(text, &[enterprise]).unwrap_err().to_string();
    assert!(
        error.contains("does not go with an issuer of the kind `gitlab`"),
        "{error}"
    );
    let only = [issuer("ghe", Preset::Github)];
    let policy = Policy::parse(text, &only).unwrap();
    let mut job = github();
    job.issuer = "ghe".to_owned();
    assert!(policy.admit(&job).is_ok());
    assert!(policy.admit(&github()).is_err());
    let two = [issuer("ghe", Preset::Github), issuer("gh", Preset::Github)];
    let error = Policy::parse(text, &two).unwrap_err().to_string();
    assert!(
        error.contains("several issuers are of the kind `github`; name one of them: ghe, gh"),
        "{error}"
    );
    let error = Policy::parse(text, &[]).unwrap_err().to_string();
    assert!(
        error.contains("add an `[[issuer]]` to server.toml"),
        "{error}"
    );
}

#[test]
fn inline_rules_are_rules_too() {
    let policy = policy(
        r#"rule = [{ issuer = "github", repository_id = "1296269", refs = ["refs/heads/main"], projects = ["my-app"], keys = ["*"] }]"#,
    );
    assert_eq!(ask(&policy, &github()).unwrap().rule, "rule 1");
}

#[test]
fn a_file_that_nobody_reviews_is_refused() {
    assert!(error(&"#\n".repeat(600_000)).contains("longer than 1 MiB"));
    assert!(error(&"[[rule]]\n".repeat(1001)).contains("more than 1000 rules"));
    let many = vec!["\"refs/heads/x\""; 300].join(",");
    assert!(error(&changed("\"refs/heads/main\"", &many)).contains("more than 256 entries"));
}
