//! What the log, whoever keeps the policy, and whoever asks get to read.

use super::*;

fn two_rules() -> Policy {
    let second = GITHUB_RULE
        .replace("name = \"npm\"\n", "")
        .replace("refs/heads/main", "refs/heads/release-*")
        .replace("NPM_*", "AWS_*");
    policy(&format!("{GITHUB_RULE}environments = [\"prod\"]\n{second}"))
}

#[test]
fn the_log_has_the_nearest_rule_with_what_it_wants() {
    let policy = two_rules();
    let denial = policy.admit(&github()).unwrap_err();
    insta::assert_snapshot!(denial, @r#"no rule fits; the nearest, `npm`: `environment`: wanted "prod", got nothing"#);
    let other = with(github(), json!({ "repository_id": 5 }));
    insta::assert_snapshot!(policy.admit(&other).unwrap_err(), @r#"no rule fits; the nearest, `npm`: `repository_id`: wanted "1296269", got the number 5"#);
    let taken = with(github(), json!({ "repository_id": "5" }));
    insta::assert_snapshot!(policy.admit(&taken).unwrap_err(), @r#"something else has the name that `npm` knows, so the name was taken over: `repository_id`: wanted "1296269", got "5""#);
}

#[test]
fn the_caller_reads_its_own_values_and_no_others() {
    let policy = two_rules();
    let branch = with(github(), json!({ "ref": "refs/heads/dev" }));
    let problem = policy.admit(&branch).unwrap_err().for_client();
    assert_eq!((&*problem.code, problem.status), ("policy_denied", 403));
    assert_eq!(problem.claim.as_deref(), Some("ref"));
    insta::assert_snapshot!(problem.detail.unwrap(), @r#"no rule of the policy fits: the token's claim `ref` is "refs/heads/dev", and the nearest rule wants something else; ask whoever keeps the policy, who finds the rule in the server's log"#);
    let release = with(github(), json!({ "ref": "refs/heads/release-1" }));
    let problem = ask(&policy, &release).unwrap_err().for_client();
    assert_eq!(problem.key.as_deref(), Some("NPM_TOKEN"));
    assert_eq!(problem.claim, None);
    insta::assert_snapshot!(problem.detail.unwrap(), @r#"no rule of the policy releases "NPM_TOKEN" of the project "my-app" in the profile "default" to this requester; ask whoever keeps the policy, who finds the rule in the server's log"#);
}

#[test]
fn no_value_of_a_rule_reaches_the_caller() {
    let policy = policy(
        r#"
        [[rule]]
        name = "secret-rule"
        issuer = "github"
        repository_id = "77701"
        repository_owner_id = "77702"
        repository = "wanted/wanted"
        refs = ["refs/heads/wanted"]
        environments = ["wanted"]
        workflows = ["wanted/*"]
        events = ["release"]
        runner_environment = ["wanted"]
        claims = { actor = ["wanted"] }
        projects = ["wanted"]
        keys = ["WANTED_*"]
        approvers = ["wanted"]
        "#,
    );
    let mut subject = github();
    // One condition after the other is met, so that each is the one that stumbles.
    for (claim, right) in [
        ("iss", "x"),
        ("repository_id", "77701"),
        ("repository_owner_id", "77702"),
        ("ref", "refs/heads/wanted"),
        ("environment", "wanted"),
        ("job_workflow_ref", "wanted/x"),
        ("event_name", "release"),
        ("runner_environment", "wanted"),
        ("actor", "wanted"),
    ] {
        if claim != "iss" {
            let problem = policy.admit(&subject).unwrap_err().for_client();
            assert_eq!(problem.claim.as_deref(), Some(claim));
            let text = serde_json::to_string(&problem).unwrap();
            for hidden in ["wanted/", "\"wanted", "secret-rule", "7770", "WANTED"] {
                assert!(!text.contains(hidden), "{claim}: {text}");
            }
        }
        subject = with(subject, json!({ claim: right }));
    }
    assert!(policy.admit(&subject).is_ok());
    let problem = ask(&policy, &subject).unwrap_err().for_client();
    let text = serde_json::to_string(&problem).unwrap();
    assert!(
        !text.contains("wanted") && !text.contains("WANTED"),
        "{text}"
    );
}

#[test]
fn hostile_values_stay_on_one_line() {
    let policy = two_rules();
    let hostile = format!(
        "refs/heads/a\n2026-01-01 forged\u{1b}[31m\u{202e}{}",
        "x".repeat(10_000)
    );
    let denial = policy
        .admit(&with(github(), json!({ "ref": hostile })))
        .unwrap_err();
    for text in [denial.to_string(), denial.for_client().detail.unwrap()] {
        assert!(!text.contains(['\n', '\u{1b}', '\u{202e}']), "{text}");
        assert!(text.len() < 1000, "{}", text.len());
        assert!(
            text.contains(r"refs/heads/a\n2026-01-01 forged\u{1b}[31m\u{202e}xx"),
            "{text}"
        );
    }
}

#[test]
fn an_explanation_tells_every_rule_and_key() {
    let keys = ["NPM_TOKEN".to_owned(), "AWS_KEY".to_owned()];
    let release = with(
        github(),
        json!({ "ref": "refs/heads/release-1", "repository": "acme/new" }),
    );
    let explanation = two_rules().explain(&release, Some(("my-app", "default", &keys)));
    insta::assert_snapshot!(explanation, @r#"
    github:1296269 may log in
    warning: the policy calls it `acme/app`, and it is called `acme/new` now; correct the name in the policy
      line 2, `npm`: `ref`: wanted "refs/heads/main", got "refs/heads/release-1"
      line 13, `rule 2`: fits
    `NPM_TOKEN`: denied; the nearest, `rule 2`: `key`: wanted "AWS_*", got "NPM_TOKEN"
    `AWS_KEY`: `rule 2` releases it after an approval
    "#);
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["admitted"], true);
    assert_eq!(
        json["rules"][0]["mismatch"],
        json!({ "claim": "ref", "wanted": ["refs/heads/main"], "got": "refs/heads/release-1" })
    );
    assert_eq!(json["keys"][1]["permitted"], true);
}

#[test]
fn an_explanation_without_a_request_is_about_who_asks() {
    let other = with(github(), json!({ "repository_id": null }));
    let explanation = two_rules().explain(&other, None);
    assert!(!explanation.admitted && explanation.keys.is_empty());
    insta::assert_snapshot!(explanation, @r#"
    github:repo:acme/app:ref:refs/heads/main may not log in: no rule fits; the nearest, `npm`: `repository_id`: wanted "1296269", got nothing
      line 2, `npm`: `repository_id`: wanted "1296269", got nothing
      line 13, `rule 2`: `repository_id`: wanted "1296269", got nothing
    "#);
}
