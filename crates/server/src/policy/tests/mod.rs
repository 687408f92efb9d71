//! Tests of the policy, and the tokens of each kind of CI that they share.

mod explain;
mod gateway;
mod github;
mod oracle;
mod other_issuers;
mod reading;
mod reference;
mod watch;

use serde_json::{Value, json};

use super::{Denial, Permit, Policy};
use crate::settings::{Algorithm, IssuerSettings, Preset};
use crate::subject::{Claims, Subject};

/// One issuer of each kind, each called like its kind; people's is called `people`.
pub(super) fn issuers() -> Vec<IssuerSettings> {
    Preset::ALL
        .into_iter()
        .map(|preset| match preset {
            Preset::Generic => issuer("people", preset),
            _ => issuer(preset.as_str(), preset),
        })
        .collect()
}

pub(super) fn issuer(name: &str, preset: Preset) -> IssuerSettings {
    IssuerSettings {
        name: name.to_owned(),
        preset,
        url: "https://issuer.example".to_owned(),
        audience: "https://fnox.example.com".to_owned(),
        algorithms: vec![Algorithm::Rs256],
        jwks_file: None,
        allow_origins: Vec::new(),
        leeway: std::time::Duration::from_mins(1),
        longest_life: std::time::Duration::from_hours(1),
    }
}

pub(super) fn policy(text: &str) -> Policy {
    Policy::parse(text, &issuers()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What is wrong with a file, as people read it.
pub(super) fn error(text: &str) -> String {
    Policy::parse(text, &issuers()).unwrap_err().to_string()
}

pub(super) fn subject(issuer: &str, preset: Preset, claims: Value) -> Subject {
    let Value::Object(claims) = claims else {
        panic!("claims are an object");
    };
    let claims: Claims = claims.into_iter().collect();
    Subject {
        issuer: issuer.to_owned(),
        preset,
        subject: claims
            .get("sub")
            .and_then(Value::as_str)
            .unwrap_or("somebody")
            .to_owned(),
        claims,
        roles: Vec::new(),
    }
}

/// The same subject with some claims changed; null takes one away.
pub(super) fn with(mut subject: Subject, changes: Value) -> Subject {
    let Value::Object(changes) = changes else {
        panic!("changes are an object");
    };
    for (claim, value) in changes {
        if value.is_null() {
            subject.claims.remove(&claim);
        } else {
            subject.claims.insert(claim, value);
        }
    }
    subject
}

/// Asks for `NPM_TOKEN` of `my-app`.
pub(super) fn ask(policy: &Policy, subject: &Subject) -> Result<Permit, Denial> {
    policy.permit(subject, "my-app", "default", "NPM_TOKEN")
}

/// A push to main, as GitHub documents its tokens.
pub(super) fn github() -> Subject {
    let claims = json!({
        "jti": "example-id", "iss": "https://token.actions.githubusercontent.com",
        "aud": "https://fnox.example.com", "sub": "repo:acme/app:ref:refs/heads/main",
        "ref": "refs/heads/main", "ref_type": "branch", "sha": "example-sha",
        "repository": "acme/app", "repository_id": "1296269",
        "repository_owner": "acme", "repository_owner_id": "583231",
        "repository_visibility": "private", "actor": "octocat", "actor_id": "12",
        "event_name": "push", "run_id": "30433642", "run_attempt": "2",
        "workflow": "Release", "workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/main",
        "job_workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/main",
        "runner_environment": "github-hosted"
    });
    subject("github", Preset::Github, claims)
}

/// A push to main, as GitLab documents its tokens. `runner_id` is a number.
pub(super) fn gitlab() -> Subject {
    let claims = json!({
        "iss": "https://gitlab.com", "aud": "https://fnox.example.com",
        "sub": "project_path:group/app:ref_type:branch:ref:main",
        "namespace_id": "72", "namespace_path": "group", "project_id": "278964",
        "project_path": "group/app", "user_id": "1", "user_login": "ada",
        "pipeline_id": "574", "pipeline_source": "push", "job_id": "302",
        "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main",
        "ref_protected": "true", "runner_id": 1, "runner_environment": "gitlab-hosted",
        "environment": "production", "environment_protected": "true",
        "ci_config_ref_uri": "gitlab.com/group/app//.gitlab-ci.yml@refs/heads/main"
    });
    subject("gitlab", Preset::Gitlab, claims)
}

/// As CircleCI documents its tokens. `ssh-rerun` is a boolean.
pub(super) fn circleci() -> Subject {
    let claims = json!({
        "iss": "https://oidc.circleci.com/org/org-uuid", "aud": "org-uuid",
        "sub": "org/org-uuid/project/project-uuid/user/user-uuid",
        "oidc.circleci.com/project-id": "project-uuid",
        "oidc.circleci.com/context-ids": ["context-1", "context-2"],
        "oidc.circleci.com/vcs-origin": "github.com/acme/app",
        "oidc.circleci.com/vcs-ref": "refs/heads/main",
        "oidc.circleci.com/ssh-rerun": false
    });
    subject("circleci", Preset::Circleci, claims)
}

/// As Buildkite documents its tokens, with the two claims that a job has to ask for.
pub(super) fn buildkite() -> Subject {
    let claims = json!({
        "iss": "https://agent.buildkite.com", "aud": "https://fnox.example.com",
        "sub": "organization:acme:pipeline:app:ref:refs/heads/main:commit:9f3182061f1e2cca4702c368cbc039b7dc9d4485:step:release",
        "organization_slug": "acme", "pipeline_slug": "app", "build_number": 1,
        "build_branch": "main", "build_commit": "9f3182061f1e2cca4702c368cbc039b7dc9d4485",
        "step_key": "release", "job_id": "0184990a-477b-4fa8-9968-496074483cee",
        "organization_id": "org-uuid", "pipeline_id": "pipeline-uuid"
    });
    subject("buildkite", Preset::Buildkite, claims)
}

pub(super) fn person() -> Subject {
    let claims = json!({
        "sub": "ada", "email": "ada@example.com", "groups": ["deployers", "staff"]
    });
    subject("people", Preset::Generic, claims)
}

/// The rule of GitHub that most tests change.
pub(super) const GITHUB_RULE: &str = r#"
[[rule]]
name = "npm"
issuer = "github"
repository_id = "1296269"
repository_owner_id = "583231"
repository = "acme/app"
refs = ["refs/heads/main"]
projects = ["my-app"]
keys = ["NPM_*"]
"#;
