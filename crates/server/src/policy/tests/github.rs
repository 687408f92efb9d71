//! GitHub's tokens: names, events, refs, and what the rules say about the request.

use super::*;

fn npm(more: &str) -> Policy {
    policy(&format!("{GITHUB_RULE}{more}"))
}

#[test]
fn a_rule_that_fits_permits_with_its_terms() {
    let policy = npm(
        "approvers = [\"ada@example.com\", \"group:ops\"]\napprovals_needed = 2\nmax_ttl = \"5m\"\nrecipient = \"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"\n",
    );
    let permit = ask(&policy, &github()).unwrap();
    assert_eq!(permit.rule, "npm");
    assert!(permit.require_approval, "asking is the default");
    assert_eq!(permit.approvers, ["ada@example.com", "group:ops"]);
    assert_eq!(permit.approvals_needed, Some(2));
    assert_eq!(permit.max_ttl, Some(std::time::Duration::from_mins(5)));
    assert_eq!(
        permit.recipient.as_deref(),
        Some("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p")
    );
}

#[test]
fn a_recipient_that_is_only_a_note_is_not_required() {
    let recipient =
        "recipient = \"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"\n";
    let policy = npm(&format!("{recipient}require_recipient = false\n"));
    assert_eq!(ask(&policy, &github()).unwrap().recipient, None);
}

#[test]
fn what_the_rule_does_not_release_is_denied() {
    let policy = npm("");
    for (project, profile, key, claim) in [
        ("other", "default", "NPM_TOKEN", "project"),
        ("my-app", "production", "NPM_TOKEN", "profile"),
        ("my-app", "default", "AWS_KEY", "key"),
        ("my-app", "default", "npm_TOKEN", "key"),
        ("my-app", "default", "XNPM_TOKEN", "key"),
    ] {
        let denial = policy.permit(&github(), project, profile, key).unwrap_err();
        assert_eq!(denial.claim, claim);
        assert!(!policy.may_see(&github(), project, profile, key));
    }
    assert!(policy.may_see(&github(), "my-app", "default", "NPM_TOKEN"));
    assert!(policy.admit(&github()).is_ok(), "login asks for no key");
}

/// `sub` has one form with names and one with names and ids (since 2026), and can be customised. None matters.
const SUBS: [&str; 3] = [
    "repo:acme/app:ref:refs/heads/main",
    "repo:acme@583231/app@1296269:ref:refs/heads/main",
    "repository_id:1:whatever:custom",
];

#[test]
fn either_form_of_sub_is_taken_and_none_is_read() {
    let policy = npm("");
    for sub in SUBS {
        let same = with(github(), json!({ "sub": sub }));
        assert_eq!(policy.admit(&same).unwrap().renamed, None, "{sub}");
        assert!(ask(&policy, &same).is_ok(), "{sub}");
        // A `sub` that is right does not help a token that is not.
        let other = with(
            github(),
            json!({ "sub": sub, "repository_id": "2", "repository": "x/y" }),
        );
        assert!(policy.admit(&other).is_err(), "{sub}");
    }
}

#[test]
fn a_renamed_repository_is_let_in_with_a_warning() {
    let policy = npm("");
    for sub in SUBS {
        let renamed = with(
            github(),
            json!({ "sub": sub, "repository": "acme/new-name" }),
        );
        let admission = policy.admit(&renamed).unwrap();
        let names = admission.renamed.unwrap();
        assert_eq!((&*names.from, &*names.to), ("acme/app", "acme/new-name"));
        assert!(ask(&policy, &renamed).is_ok());
    }
    let other_case = with(github(), json!({ "repository": "Acme/App" }));
    assert_eq!(policy.admit(&other_case).unwrap().renamed, None);
}

#[test]
fn a_name_that_was_taken_over_is_refused_and_marked() {
    let policy = npm("");
    for sub in SUBS {
        for name in ["acme/app", "ACME/App"] {
            let taken = with(
                github(),
                json!({ "sub": sub, "repository": name, "repository_id": "99", "repository_owner_id": "98" }),
            );
            for denial in [
                policy.admit(&taken).unwrap_err(),
                ask(&policy, &taken).unwrap_err(),
            ] {
                assert!(denial.is_resurrection());
                assert_eq!(denial.claim, "repository_id");
                let text = denial.to_string();
                assert!(text.contains("taken over"), "{text}");
            }
        }
    }
}

#[test]
fn a_stranger_with_another_name_is_no_resurrection() {
    let policy = npm("");
    let stranger = with(
        github(),
        json!({ "repository": "x/y", "repository_id": "99" }),
    );
    assert!(!policy.admit(&stranger).unwrap_err().is_resurrection());
    let without_id = with(github(), json!({ "repository_id": null }));
    assert!(!policy.admit(&without_id).unwrap_err().is_resurrection());
    // The id is the right one: somebody works on a branch, or transferred the repository.
    for claims in [
        json!({ "ref": "refs/heads/x" }),
        json!({ "repository_owner_id": "1" }),
    ] {
        let denial = policy.admit(&with(github(), claims)).unwrap_err();
        assert!(!denial.is_resurrection());
    }
}

#[test]
fn a_new_id_that_the_policy_pins_too_is_no_resurrection() {
    let second = GITHUB_RULE
        .replace("\"1296269\"", "\"99\"")
        .replace("\"npm\"", "\"new\"");
    let policy = policy(&format!("{GITHUB_RULE}{second}"));
    let new = with(github(), json!({ "repository_id": "99" }));
    assert!(policy.admit(&new).is_ok());
    let on_branch = with(new, json!({ "ref": "refs/heads/x" }));
    assert!(!policy.admit(&on_branch).unwrap_err().is_resurrection());
}

#[test]
fn a_transferred_repository_is_refused_where_the_owner_is_pinned() {
    let moved = with(
        github(),
        json!({ "repository_owner_id": "1", "repository": "new/app" }),
    );
    let denial = npm("").admit(&moved).unwrap_err();
    assert_eq!(denial.claim, "repository_owner_id");
}

/// Every event of GitHub that can start a workflow.
const EVENTS: [&str; 38] = [
    "push",
    "workflow_dispatch",
    "schedule",
    "release",
    "deployment",
    "pull_request_target",
    "workflow_run",
    "issue_comment",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_comment",
    "branch_protection_rule",
    "check_run",
    "check_suite",
    "create",
    "delete",
    "deployment_status",
    "discussion",
    "discussion_comment",
    "fork",
    "gollum",
    "image_version",
    "issues",
    "label",
    "merge_group",
    "milestone",
    "page_build",
    "project",
    "public",
    "registry_package",
    "repository_dispatch",
    "status",
    "watch",
    "workflow_call",
    "dynamic",
    "sub_issues",
    "",
];

#[test]
fn only_the_safe_events_are_let_in_without_being_listed() {
    let policy = npm("require_approval = false\n");
    for (position, event) in EVENTS.into_iter().enumerate() {
        let outcome = ask(&policy, &with(github(), json!({ "event_name": event })));
        if position < 5 {
            assert!(!outcome.unwrap().require_approval, "{event}");
        } else {
            assert_eq!(outcome.unwrap_err().claim, "event_name", "{event}");
        }
    }
    for wrong in [
        json!({ "event_name": null }),
        json!({ "event_name": ["push"] }),
    ] {
        assert!(ask(&policy, &with(github(), wrong)).is_err());
    }
}

#[test]
fn an_event_that_can_run_a_strangers_code_always_needs_an_approval() {
    for (position, event) in EVENTS
        .into_iter()
        .enumerate()
        .filter(|(_, it)| !it.is_empty())
    {
        let policy = npm(&format!(
            "require_approval = false\nevents = [\"{event}\", \"push\"]\n"
        ));
        let permit = ask(&policy, &with(github(), json!({ "event_name": event }))).unwrap();
        assert_eq!(permit.require_approval, position >= 5, "{event}");
        assert!(!ask(&policy, &github()).unwrap().require_approval, "push");
    }
}

#[test]
fn a_listed_event_is_the_only_one() {
    let policy = npm("events = [\"release\"]\n");
    assert!(ask(&policy, &github()).is_err());
    assert!(ask(&policy, &with(github(), json!({ "event_name": "release" }))).is_ok());
}

#[test]
fn a_ref_is_that_ref_and_nothing_that_looks_like_it() {
    let policy = npm("");
    for other in [
        "refs/heads/main-evil",
        "refs/heads/main/evil",
        "refs/heads/evil/refs/heads/main",
        "refs/heads/MAIN",
        "refs/tags/main",
        "refs/pull/1/merge",
        "main",
        "heads/main",
        "refs/heads/main ",
        "refs/heads/main\n",
        "",
    ] {
        let denial = ask(&policy, &with(github(), json!({ "ref": other }))).unwrap_err();
        assert_eq!(denial.claim, "ref", "{other:?}");
    }
}

#[test]
fn a_tag_is_not_the_branch_of_the_same_name() {
    let tags = policy(&GITHUB_RULE.replace("refs/heads/main", "refs/tags/v*"));
    let tag = json!({ "ref": "refs/tags/v1", "ref_type": "tag" });
    assert!(ask(&tags, &with(github(), tag.clone())).is_ok());
    assert!(ask(&tags, &with(github(), json!({ "ref": "refs/heads/v1" }))).is_err());
    let branches = policy(&GITHUB_RULE.replace("refs/heads/main", "refs/heads/v*"));
    assert!(ask(&branches, &with(github(), tag)).is_err());
}

#[test]
fn environment_workflow_and_runner_narrow_a_rule() {
    let policy = policy(
        r#"
        [[rule]]
        issuer = "github"
        repository_id = "1296269"
        environments = ["production"]
        workflows = ["acme/shared/.github/workflows/deploy.yml@refs/tags/v*"]
        runner_environment = "github-hosted"
        projects = ["*"]
        keys = ["*"]
        "#,
    );
    let good = json!({
        "environment": "production",
        "job_workflow_ref": "acme/shared/.github/workflows/deploy.yml@refs/tags/v3"
    });
    let job = with(github(), good);
    assert!(ask(&policy, &job).is_ok());
    // A job that does the same itself is called by its own workflow.
    for (change, claim) in [
        (json!({ "environment": null }), "environment"),
        (json!({ "environment": "production-2" }), "environment"),
        (
            json!({ "job_workflow_ref": github().claims["workflow_ref"] }),
            "job_workflow_ref",
        ),
        (
            json!({ "job_workflow_ref": "acme/shared/.github/workflows/deploy.yml@refs/heads/v3" }),
            "job_workflow_ref",
        ),
        (
            json!({ "runner_environment": "self-hosted" }),
            "runner_environment",
        ),
    ] {
        assert_eq!(
            ask(&policy, &with(job.clone(), change)).unwrap_err().claim,
            claim
        );
    }
}

#[test]
fn claims_are_compared_with_their_types() {
    let policy =
        npm("claims = { actor_id = [\"12\", \"13\"], enterprise_id = [7], flag = [true] }\n");
    let job = with(github(), json!({ "enterprise_id": 7, "flag": true }));
    assert!(ask(&policy, &job).is_ok());
    for (claim, wrong) in [
        ("actor_id", json!(12)),
        ("actor_id", json!(["12"])),
        ("actor_id", json!("123")),
        ("enterprise_id", json!("7")),
        ("enterprise_id", json!(7.5)),
        ("flag", json!("true")),
        ("flag", json!(1)),
        ("flag", Value::Null),
    ] {
        let denial = ask(&policy, &with(job.clone(), json!({ claim: wrong }))).unwrap_err();
        assert_eq!(denial.claim, claim, "{wrong}");
    }
}

#[test]
fn an_id_of_another_type_is_no_id() {
    let policy = npm("");
    for wrong in [
        json!(1_296_269),
        json!(["1296269"]),
        json!({ "id": "1296269" }),
        json!(true),
    ] {
        let denial = policy
            .admit(&with(github(), json!({ "repository_id": wrong })))
            .unwrap_err();
        assert_eq!(denial.claim, "repository_id");
        assert!(!denial.is_resurrection());
    }
}

#[test]
fn the_same_claims_from_another_issuer_are_somebody_else() {
    let policy = npm("");
    let mut other = github();
    other.issuer = "gh-enterprise".to_owned();
    assert_eq!(policy.admit(&other).unwrap_err().claim, "iss");
    let mut other = github();
    other.preset = Preset::Generic;
    assert_eq!(policy.admit(&other).unwrap_err().claim, "iss");
}

#[test]
fn of_several_rules_that_fit_the_first_decides() {
    let second = GITHUB_RULE
        .replace("\"npm\"", "\"second\"")
        .replace("NPM_*", "*");
    let text = format!("{GITHUB_RULE}require_approval = false\n{second}");
    let policy = policy(&text);
    let permit = ask(&policy, &github()).unwrap();
    assert_eq!((&*permit.rule, permit.require_approval), ("npm", false));
    let permit = policy
        .permit(&github(), "my-app", "default", "OTHER")
        .unwrap();
    assert_eq!((&*permit.rule, permit.require_approval), ("second", true));
}

#[test]
fn without_rules_everything_is_denied() {
    let policy = policy("");
    let denial = ask(&policy, &github()).unwrap_err();
    assert_eq!(denial.rule, None);
    assert_eq!(
        denial.to_string(),
        "the policy has no rules, so everything is denied"
    );
    assert_eq!(denial.for_client().code, "policy_denied");
}
