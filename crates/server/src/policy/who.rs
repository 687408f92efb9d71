//! The part of a rule that says who: ids, what narrows them, claims.

use super::condition::{Condition, Stage, Wanted};
use super::fields::Fields;
use super::pattern::Pattern;
use super::preset::{CONTEXTS, Kind, SSH_RERUN, kind};
use crate::settings::Preset;

/// Who a rule is for.
#[derive(Debug)]
pub(super) struct Who {
    /// In the order of their stages.
    pub(super) conditions: Vec<Condition>,
    /// What people call it.
    pub(super) name: Option<String>,
}

/// All keys that say who. Each kind of issuer has some of them.
pub(super) const KEYS: [&str; 20] = [
    "repository_id",
    "repository_owner_id",
    "repository",
    "project_id",
    "namespace_id",
    "project_path",
    "vcs_origin",
    "organization_id",
    "pipeline_id",
    "pipeline_slug",
    "refs",
    "ref_protected",
    "environments",
    "workflows",
    "events",
    "runner_environment",
    "contexts",
    "subjects",
    "groups",
    "groups_claim",
];

/// Reads it, for one kind of issuer.
pub(super) fn read(fields: &mut Fields<'_, '_>, preset: Preset) -> Who {
    let kind = kind(preset);
    let before = fields.report.errors();
    refuse_others(fields, preset, kind);
    let mut conditions = ids(fields, preset, kind);
    conditions.extend(narrowing(fields, preset, kind));
    conditions.extend(events(fields, kind));
    conditions.extend(runner(fields, kind));
    conditions.extend(protected(fields));
    conditions.extend(claims(fields, preset, kind));
    if preset == Preset::Circleci {
        // Somebody with a shell in the job is not the job.
        conditions.push(condition(Stage::Origin, SSH_RERUN, Wanted::False));
    }
    let name = kind
        .name
        .and_then(|(key, _)| fields.text(key))
        .map(str::to_owned);
    if fields.report.errors() == before {
        must_be_narrow(fields, preset, kind, &conditions);
    }
    conditions.sort_by_key(|condition| condition.stage);
    Who { conditions, name }
}

/// Reports keys that only other kinds of issuers have.
fn refuse_others(fields: &mut Fields<'_, '_>, preset: Preset, kind: &Kind) {
    let own = own_keys(preset, kind);
    for key in KEYS {
        if !fields.has(key) || own.contains(&key) {
            continue;
        }
        let message = format!(
            "`{key}` does not go with an issuer of the kind `{}`",
            preset.as_str()
        );
        let help = if key == "subjects" {
            "`sub` is made of names, which others can take over; pin ids and use `refs`, `environments` or `workflows`"
                .to_owned()
        } else {
            format!("its keys are {}", own.join(", "))
        };
        fields.error(key, message, &help);
    }
}

/// The keys of one kind of issuer.
fn own_keys(preset: Preset, kind: &Kind) -> Vec<&'static str> {
    let mut keys: Vec<&str> = kind
        .required_ids
        .iter()
        .chain(kind.more_ids)
        .chain(kind.name.as_slice())
        .map(|(key, _)| *key)
        .collect();
    keys.extend(kind.reference.map(|_| "refs"));
    keys.extend(kind.environment.map(|_| "environments"));
    keys.extend(kind.workflow.map(|_| "workflows"));
    keys.extend(kind.event.map(|_| "events"));
    keys.extend(kind.runner.map(|_| "runner_environment"));
    match preset {
        Preset::Gitlab => keys.push("ref_protected"),
        Preset::Circleci => keys.push("contexts"),
        Preset::Generic => keys.extend(["subjects", "groups", "groups_claim"]),
        Preset::Github | Preset::Buildkite => {}
    }
    keys
}

fn ids(fields: &mut Fields<'_, '_>, preset: Preset, kind: &Kind) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for (key, claim) in kind.required_ids {
        if !fields.has(key) {
            let message = format!("the rule pins no `{key}`; names can be taken over, ids cannot");
            let help = format!("add {}", kind.example);
            fields.report.error(fields.start, message, &help);
        }
        // The first one is the stable id; the others say whose it is.
        let stage = if *claim == preset.stable_claim() {
            Stage::StableId
        } else {
            Stage::Origin
        };
        conditions.extend(
            id(fields, preset, key).map(|id| condition(stage, claim, Wanted::Text(id.to_owned()))),
        );
    }
    for (key, claim) in kind.more_ids {
        conditions.extend(
            id(fields, preset, key)
                .map(|id| condition(Stage::Origin, claim, Wanted::Text(id.to_owned()))),
        );
    }
    conditions
}

fn id<'a>(fields: &mut Fields<'a, '_>, preset: Preset, key: &str) -> Option<&'a str> {
    let id = fields.text(key)?;
    if id.contains(|character: char| character == '*' || character.is_whitespace()) {
        let message = format!("`{key}` must be one id, not a pattern");
        fields.error(key, message, "write a rule for each id");
        return None;
    }
    let is_number = matches!(preset, Preset::Github | Preset::Gitlab);
    if is_number && !id.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = format!("`{key}` must be the number, not the name");
        let help = format!("write it like {}", kind(preset).example);
        fields.error(key, message, &help);
        return None;
    }
    Some(id)
}

fn narrowing(fields: &mut Fields<'_, '_>, preset: Preset, kind: &Kind) -> Vec<Condition> {
    let mut conditions = Vec::new();
    if let Some(claim) = kind.reference
        && let Some(patterns) = fields.patterns("refs", reference)
    {
        let wanted = if preset == Preset::Buildkite {
            Wanted::BuildkiteRef(patterns)
        } else {
            Wanted::Patterns(patterns)
        };
        conditions.push(condition(Stage::Ref, claim, wanted));
    }
    for (stage, key, claim) in [
        (Stage::Environment, "environments", kind.environment),
        (Stage::Workflow, "workflows", kind.workflow),
    ] {
        if let Some(claim) = claim
            && let Some(patterns) = fields.patterns(key, |_| None)
        {
            conditions.push(condition(stage, claim, Wanted::Patterns(patterns)));
        }
    }
    match preset {
        Preset::Circleci => conditions.extend(
            fields
                .patterns("contexts", |_| None)
                .map(|patterns| condition(Stage::Environment, CONTEXTS, Wanted::Member(patterns))),
        ),
        Preset::Generic => {
            let subjects = fields.patterns("subjects", |_| None);
            let groups = fields.patterns("groups", |_| None);
            conditions
                .extend(subjects.map(|it| condition(Stage::StableId, "sub", Wanted::Patterns(it))));
            let list = fields.text("groups_claim").unwrap_or("groups");
            conditions.extend(groups.map(|it| condition(Stage::Origin, list, Wanted::Member(it))));
        }
        Preset::Github | Preset::Gitlab | Preset::Buildkite => {}
    }
    conditions
}

/// Full refs only: a tag may be called like a branch. Characters that git allows in none (git-check-ref-format) are
/// somebody's idea of a richer pattern.
fn reference(text: &str) -> Option<&'static str> {
    if !text.starts_with("refs/") {
        return Some("write the full ref, as in \"refs/heads/main\" or \"refs/tags/v*\"");
    }
    if text.contains(['?', '[', '\\', '~', '^', ':', ' ']) {
        return Some("no ref has these characters, and patterns have only `*` and `**`");
    }
    None
}

/// Without `events` a rule takes the safe ones only.
fn events(fields: &mut Fields<'_, '_>, kind: &Kind) -> Option<Condition> {
    let (claim, safe) = kind.event?;
    let patterns = if fields.has("events") {
        fields.patterns("events", |text| {
            if text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
                None
            } else {
                Some("list the events by name: a pattern would take in those that run a stranger's code")
            }
        })?
    } else {
        safe.iter()
            .filter_map(|event| Pattern::parse(event).ok())
            .collect()
    };
    Some(condition(Stage::Event, claim, Wanted::Patterns(patterns)))
}

fn runner(fields: &mut Fields<'_, '_>, kind: &Kind) -> Option<Condition> {
    const KEY: &str = "runner_environment";
    let claim = kind.runner?;
    let patterns = if fields.has_text(KEY) {
        vec![Pattern::parse(fields.text(KEY)?).ok()?]
    } else {
        fields.patterns(KEY, |_| None)?
    };
    Some(condition(Stage::Runner, claim, Wanted::Patterns(patterns)))
}

/// GitLab says it as a text.
fn protected(fields: &mut Fields<'_, '_>) -> Option<Condition> {
    let protected = fields.boolean("ref_protected")?;
    let wanted = Wanted::Text(protected.to_string());
    Some(condition(Stage::Claim, "ref_protected", wanted))
}

fn claims(fields: &mut Fields<'_, '_>, preset: Preset, kind: &Kind) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for (at, claim, values) in fields.claims("claims").unwrap_or_default() {
        let other_key = match claim {
            "sub" if preset == Preset::Generic => Some("subjects"),
            "groups" if preset == Preset::Generic => Some("groups"),
            CONTEXTS => Some("contexts"),
            _ => kind.key_of(claim),
        };
        let wrong = if claim == "sub" && preset != Preset::Generic {
            Some("`sub` is made of names, which others can take over; pin ids instead".to_owned())
        } else {
            other_key.map(|key| format!("the claim has a key of its own, `{key}`"))
        };
        match wrong {
            Some(help) => {
                let message = format!("`claims` cannot have `{claim}`");
                fields.report.error(at, message, &help);
            }
            None => conditions.push(condition(Stage::Claim, claim, Wanted::Values(values))),
        }
    }
    conditions
}

/// A stable id alone would release to every branch that somebody pushes.
fn must_be_narrow(
    fields: &mut Fields<'_, '_>,
    preset: Preset,
    kind: &Kind,
    conditions: &[Condition],
) {
    if preset == Preset::Generic {
        if !conditions
            .iter()
            .any(|it| it.stage <= Stage::Origin && it.is_narrow())
        {
            let message = "the rule is for everybody whom the issuer knows";
            let help = format!("add {}", kind.example);
            fields.report.error(fields.start, message, &help);
        }
        return;
    }
    if conditions
        .iter()
        .any(|it| it.stage.narrows() && it.is_narrow())
    {
        return;
    }
    let message = "nothing narrows the rule: whoever can push anything to the repository could ask";
    let help = match preset {
        Preset::Github | Preset::Gitlab => {
            "add `environments`, `workflows` or `refs` that leave something out, as in `refs = [\"refs/heads/main\"]`"
        }
        Preset::Circleci => "add `refs` or `contexts`, as in `refs = [\"refs/heads/main\"]`",
        _ => "add `refs`, as in `refs = [\"refs/heads/main\"]`",
    };
    fields.report.error(fields.start, message, help);
}

fn condition(stage: Stage, claim: &str, wanted: Wanted) -> Condition {
    Condition {
        stage,
        claim: claim.to_owned(),
        wanted,
    }
}
