//! Tokens of GitLab, CircleCI, Buildkite and people.

use super::*;

const GITLAB_RULE: &str = r#"
[[rule]]
issuer = "gitlab"
project_id = "278964"
namespace_id = "72"
project_path = "group/app"
refs = ["refs/heads/main"]
ref_protected = true
environments = ["production"]
projects = ["my-app"]
keys = ["NPM_*"]
"#;

const CIRCLECI_RULE: &str = r#"
[[rule]]
issuer = "circleci"
project_id = "project-uuid"
vcs_origin = "github.com/acme/app"
contexts = ["context-2"]
projects = ["my-app"]
keys = ["NPM_*"]
"#;

const BUILDKITE_RULE: &str = r#"
[[rule]]
issuer = "buildkite"
organization_id = "org-uuid"
pipeline_id = "pipeline-uuid"
pipeline_slug = "app"
refs = ["refs/heads/main", "refs/tags/v*"]
claims = { step_key = ["release"] }
projects = ["my-app"]
keys = ["NPM_*"]
"#;

/// Changes one claim after the other, and names the claim that must be stumbled over.
fn each_is_denied(policy: &Policy, good: &Subject, changes: &[(Value, &str)]) {
    assert!(ask(policy, good).is_ok());
    for (change, claim) in changes {
        let denial = ask(policy, &with(good.clone(), change.clone())).unwrap_err();
        assert_eq!(denial.claim, *claim, "{change}");
    }
}

#[test]
fn a_gitlab_job_is_known_by_its_project_and_ref() {
    let policy = policy(GITLAB_RULE);
    each_is_denied(
        &policy,
        &gitlab(),
        &[
            (json!({ "project_id": "1" }), "project_id"),
            (json!({ "project_id": 278_964 }), "project_id"),
            (json!({ "namespace_id": "1" }), "namespace_id"),
            (json!({ "ref_path": "refs/tags/main" }), "ref_path"),
            // `ref` alone does not tell a tag from a branch, so it is not looked at.
            (json!({ "ref_path": null }), "ref_path"),
            (json!({ "ref_protected": "false" }), "ref_protected"),
            (json!({ "ref_protected": true }), "ref_protected"),
            (json!({ "ref_protected": null }), "ref_protected"),
            (json!({ "environment": null }), "environment"),
            (json!({ "pipeline_source": "api" }), "pipeline_source"),
            (
                json!({ "pipeline_source": "parent_pipeline" }),
                "pipeline_source",
            ),
        ],
    );
}

#[test]
fn a_merge_request_from_a_fork_of_a_gitlab_project_is_denied() {
    let policy = policy(GITLAB_RULE);
    // Since 2025 `project_*` mean the fork; before, they meant the project in which the pipeline runs.
    let merge_request = json!({
        "pipeline_source": "merge_request_event", "ref": "evil", "ref_protected": "false",
        "ref_path": "refs/merge-requests/1/head"
    });
    let old = with(gitlab(), merge_request);
    assert!(policy.admit(&old).is_err());
    let fork = with(
        old,
        json!({ "project_id": "999", "project_path": "evil/app", "namespace_id": "998" }),
    );
    assert_eq!(policy.admit(&fork).unwrap_err().claim, "project_id");
    // Not even a fork whose branch is called like ours, in a pipeline that says push.
    let push = with(gitlab(), json!({ "project_id": "999" }));
    assert!(policy.admit(&push).unwrap_err().is_resurrection());
}

#[test]
fn a_listed_merge_request_pipeline_always_needs_an_approval() {
    let policy = policy(&format!(
        "{GITLAB_RULE}events = [\"push\", \"merge_request_event\"]\nrequire_approval = false\n"
    ));
    assert!(!ask(&policy, &gitlab()).unwrap().require_approval);
    let job = with(
        gitlab(),
        json!({ "pipeline_source": "merge_request_event" }),
    );
    assert!(ask(&policy, &job).unwrap().require_approval);
}

#[test]
fn gitlab_numbers_fit_numbers() {
    let policy = policy(&format!("{GITLAB_RULE}claims = {{ runner_id = [1, 2] }}\n"));
    assert!(ask(&policy, &gitlab()).is_ok());
    for wrong in [json!("1"), json!(3), json!(1.5)] {
        assert!(ask(&policy, &with(gitlab(), json!({ "runner_id": wrong }))).is_err());
    }
}

#[test]
fn a_renamed_gitlab_project_is_let_in_with_a_warning() {
    let policy = policy(GITLAB_RULE);
    let renamed = with(gitlab(), json!({ "project_path": "group/new" }));
    let names = policy.admit(&renamed).unwrap().renamed.unwrap();
    assert_eq!((&*names.from, &*names.to), ("group/app", "group/new"));
}

#[test]
fn a_circleci_job_is_known_by_project_origin_and_context() {
    let policy = policy(CIRCLECI_RULE);
    each_is_denied(
        &policy,
        &circleci(),
        &[
            (
                json!({ "oidc.circleci.com/project-id": "x" }),
                "oidc.circleci.com/project-id",
            ),
            // A fork's pipeline has the project's id.
            (
                json!({ "oidc.circleci.com/vcs-origin": "github.com/evil/app" }),
                "oidc.circleci.com/vcs-origin",
            ),
            (
                json!({ "oidc.circleci.com/vcs-origin": null }),
                "oidc.circleci.com/vcs-origin",
            ),
            (
                json!({ "oidc.circleci.com/context-ids": ["context-1"] }),
                "oidc.circleci.com/context-ids",
            ),
            (
                json!({ "oidc.circleci.com/context-ids": "context-2" }),
                "oidc.circleci.com/context-ids",
            ),
            (
                json!({ "oidc.circleci.com/context-ids": ["context-2", 5] }),
                "oidc.circleci.com/context-ids",
            ),
        ],
    );
}

#[test]
fn a_circleci_job_that_was_rerun_with_ssh_is_denied() {
    const CLAIM: &str = "oidc.circleci.com/ssh-rerun";
    let policy = policy(CIRCLECI_RULE);
    for wrong in [json!(true), json!("true"), json!("false"), Value::Null] {
        let denial = policy
            .admit(&with(circleci(), json!({ CLAIM: wrong })))
            .unwrap_err();
        assert_eq!(denial.claim, CLAIM);
    }
}

#[test]
fn a_buildkite_job_is_known_by_organisation_and_pipeline() {
    let policy = policy(BUILDKITE_RULE);
    each_is_denied(
        &policy,
        &buildkite(),
        &[
            (json!({ "pipeline_id": "x" }), "pipeline_id"),
            // All customers have one issuer.
            (json!({ "organization_id": "evil" }), "organization_id"),
            // The job did not ask for the claim.
            (json!({ "organization_id": null }), "organization_id"),
            (json!({ "pipeline_id": null }), "pipeline_id"),
            (json!({ "build_branch": "main-evil" }), "build_branch"),
            (json!({ "build_branch": "v1" }), "build_branch"),
            (json!({ "build_tag": "main" }), "build_branch"),
            (json!({ "build_tag": 5 }), "build_branch"),
            (json!({ "step_key": "test" }), "step_key"),
        ],
    );
    let tag = with(
        buildkite(),
        json!({ "build_branch": "evil", "build_tag": "v1" }),
    );
    assert!(ask(&policy, &tag).is_ok());
    let no_tag = with(buildkite(), json!({ "build_tag": "" }));
    assert!(ask(&policy, &no_tag).is_ok());
}

#[test]
fn a_pipeline_of_that_name_elsewhere_is_no_resurrection() {
    let policy = policy(BUILDKITE_RULE);
    let recreated = with(buildkite(), json!({ "pipeline_id": "x" }));
    assert!(policy.admit(&recreated).unwrap_err().is_resurrection());
    let elsewhere = with(recreated, json!({ "organization_id": "other" }));
    assert!(!policy.admit(&elsewhere).unwrap_err().is_resurrection());
}

#[test]
fn people_are_known_by_subject_or_group() {
    let by_group = policy(
        "[[rule]]\nissuer = \"people\"\ngroups = [\"deployers\"]\nprojects = [\"my-app\"]\nkeys = [\"NPM_*\"]\n",
    );
    each_is_denied(
        &by_group,
        &person(),
        &[
            (json!({ "groups": ["staff"] }), "groups"),
            (json!({ "groups": "deployers" }), "groups"),
            (json!({ "groups": ["deployers", 7] }), "groups"),
            (json!({ "groups": [] }), "groups"),
            (json!({ "groups": null }), "groups"),
        ],
    );
    let by_subject = policy(
        "[[rule]]\nissuer = \"generic\"\nsubjects = [\"ada\"]\nprojects = [\"my-app\"]\nkeys = [\"NPM_*\"]\n",
    );
    each_is_denied(
        &by_subject,
        &person(),
        &[
            (json!({ "sub": "ada2" }), "sub"),
            (json!({ "sub": "Ada" }), "sub"),
        ],
    );
}

#[test]
fn the_claim_that_lists_groups_can_be_another() {
    let policy = policy(
        "[[rule]]\nissuer = \"people\"\ngroups = [\"deployers\"]\ngroups_claim = \"https://idp.example/roles\"\nprojects = [\"my-app\"]\nkeys = [\"*\"]\n",
    );
    assert!(ask(&policy, &person()).is_err());
    let with_roles = with(
        person(),
        json!({ "https://idp.example/roles": ["deployers"] }),
    );
    assert!(ask(&policy, &with_roles).is_ok());
}

#[test]
fn tokens_of_the_server_itself_fit_no_rule() {
    let policy = policy(GITHUB_RULE);
    for own in ["bootstrap", "scim", "gateway"] {
        let subject = subject(own, Preset::Generic, json!({ "sub": own }));
        assert!(policy.admit(&subject).is_err());
    }
}
