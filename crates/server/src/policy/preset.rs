//! Which keys of a rule mean which claims, for each kind of issuer.

use crate::settings::Preset;

/// A key that pins an id, and the claim that it pins.
pub(super) type IdKey = (&'static str, &'static str);

/// What the policy knows of one kind of issuer.
#[derive(Debug)]
pub(super) struct Kind {
    /// Ids that every rule must pin.
    pub(super) required_ids: &'static [IdKey],
    /// Ids that a rule may pin too.
    pub(super) more_ids: &'static [IdKey],
    /// The key and claim of the name that people know; only for noticing renames.
    pub(super) name: Option<IdKey>,
    /// The claim that has the full ref.
    pub(super) reference: Option<&'static str>,
    /// The claim that names the environment.
    pub(super) environment: Option<&'static str>,
    /// The claim that names the file that says what runs.
    pub(super) workflow: Option<&'static str>,
    /// The claim that says why the job runs, and the events after which nobody but those who may push decides
    /// what runs.
    pub(super) event: Option<(&'static str, &'static [&'static str])>,
    /// The claim that says whose machine runs it.
    pub(super) runner: Option<&'static str>,
    /// An example for messages.
    pub(super) example: &'static str,
}

/// What the policy knows of a kind of issuer.
pub(super) fn kind(preset: Preset) -> &'static Kind {
    match preset {
        Preset::Github => &GITHUB,
        Preset::Gitlab => &GITLAB,
        Preset::Circleci => &CIRCLECI,
        Preset::Buildkite => &BUILDKITE,
        Preset::Generic => &GENERIC,
    }
}

impl Kind {
    /// The key that a rule has for a claim, if there is one: `claims` may not be a second way to say it.
    pub(super) fn key_of(&self, claim: &str) -> Option<&'static str> {
        let ids = self
            .required_ids
            .iter()
            .chain(self.more_ids)
            .chain(self.name.as_slice());
        ids.map(|(key, id)| (*key, Some(*id)))
            .chain([
                ("refs", self.reference),
                ("environments", self.environment),
                ("workflows", self.workflow),
                ("events", self.event.map(|(event, _)| event)),
                ("runner_environment", self.runner),
            ])
            .find_map(|(key, id)| (id == Some(claim)).then_some(key))
    }
}

static GITHUB: Kind = Kind {
    required_ids: &[("repository_id", "repository_id")],
    more_ids: &[("repository_owner_id", "repository_owner_id")],
    name: Some(("repository", "repository")),
    reference: Some("ref"),
    environment: Some("environment"),
    workflow: Some("job_workflow_ref"),
    event: Some((
        "event_name",
        &[
            "push",
            "workflow_dispatch",
            "schedule",
            "release",
            "deployment",
        ],
    )),
    runner: Some("runner_environment"),
    example: "`repository_id = \"1296269\"` (`gh api repos/OWNER/NAME --jq .id` prints it)",
};

static GITLAB: Kind = Kind {
    required_ids: &[("project_id", "project_id")],
    more_ids: &[("namespace_id", "namespace_id")],
    name: Some(("project_path", "project_path")),
    reference: Some("ref_path"),
    environment: Some("environment"),
    workflow: Some("ci_config_ref_uri"),
    // A child pipeline says `parent_pipeline`, also if its parent is one of a merge request.
    event: Some(("pipeline_source", &["push", "web", "schedule"])),
    runner: Some("runner_environment"),
    example: "`project_id = \"278964\"` (the project's page shows it)",
};

static CIRCLECI: Kind = Kind {
    // A fork's pipeline can have the project's id; where the source comes from tells them apart.
    required_ids: &[
        ("project_id", "oidc.circleci.com/project-id"),
        ("vcs_origin", "oidc.circleci.com/vcs-origin"),
    ],
    more_ids: &[],
    name: None,
    reference: Some("oidc.circleci.com/vcs-ref"),
    environment: None,
    workflow: None,
    event: None,
    runner: None,
    example: "`project_id = \"…\"` (the project's settings show it) and `vcs_origin = \"github.com/OWNER/NAME\"`",
};

static BUILDKITE: Kind = Kind {
    // One issuer for all customers: the pipeline's id alone says too little about whose it is.
    required_ids: &[
        ("pipeline_id", "pipeline_id"),
        ("organization_id", "organization_id"),
    ],
    more_ids: &[],
    name: Some(("pipeline_slug", "pipeline_slug")),
    reference: Some("build_branch"),
    environment: None,
    workflow: None,
    event: None,
    runner: Some("runner_environment"),
    example: "`organization_id = \"…\"` and `pipeline_id = \"…\"` (the job asks for them with `--claim organization_id --claim pipeline_id`)",
};

static GENERIC: Kind = Kind {
    required_ids: &[],
    more_ids: &[],
    name: None,
    reference: None,
    environment: None,
    workflow: None,
    event: None,
    runner: None,
    example: "`subjects = [\"…\"]` or `groups = [\"…\"]`",
};

/// The claim of CircleCI that says whether somebody can log in to the job by SSH.
pub(super) const SSH_RERUN: &str = "oidc.circleci.com/ssh-rerun";
/// The claim of CircleCI that lists the contexts of the job.
pub(super) const CONTEXTS: &str = "oidc.circleci.com/context-ids";
