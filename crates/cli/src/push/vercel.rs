//! `vercel`: environment variables of a project.
//!
//! See vercel.com/docs/rest-api: `POST /v10/projects/{idOrName}/env?upsert=true`. The project is `project`, or the one that
//! the working folder is linked with (`.vercel/project.json`).

use async_trait::async_trait;
use fnox_config::Fields;
use fnox_core::{SecretName, SecretString};
use fnox_http::{Call, CallError, Method, Service, Url, below};
use serde::{Deserialize, Serialize};

use super::{NoTarget, Sent, Surroundings, Target, accepted, address};

pub(super) const TOKENS: [&str; 1] = ["VERCEL_TOKEN"];

const BUILT_IN: [&str; 3] = ["production", "preview", "development"];

/// A project's variables.
#[derive(Debug)]
pub(super) struct Vercel {
    service: Service,
    token: SecretString,
    place: Url,
    kind: &'static str,
    environments: Vec<String>,
    custom: Vec<String>,
    branch: Option<String>,
}

/// `.vercel/project.json`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    project_id: String,
    org_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    key: &'a str,
    value: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    target: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    custom_environment_ids: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    git_branch: Option<&'a str>,
}

impl Vercel {
    pub(super) fn open(fields: &Fields, around: &Surroundings) -> Result<Self, NoTarget> {
        let environments = fields.list("environments");
        if environments.is_empty() {
            return Err(fields.invalid("environments", "must be there").into());
        }
        let branch = fields.text("git_branch");
        if branch.is_some() && environments != ["preview"] {
            let reason = "needs `environments = [\"preview\"]`";
            return Err(fields.invalid("git_branch", reason).into());
        }
        let is_sensitive = fields.flag("sensitive").unwrap_or(false);
        if is_sensitive && environments.iter().any(|one| one == "development") {
            let reason = "is not possible in `development`";
            return Err(fields.invalid("sensitive", reason).into());
        }
        let link = link(around);
        let project = fields.text("project").map(str::to_owned);
        let linked = link.as_ref().map(|link| link.project_id.clone());
        let Some(project) = project.or(linked) else {
            let reason = "must be there, or the folder be linked with `vercel link`";
            return Err(fields.invalid("project", reason).into());
        };
        let api = address(fields, "https://api.vercel.com")?;
        let mut place = below(&api, &["v10", "projects", &project, "env"]);
        place.query_pairs_mut().append_pair("upsert", "true");
        match (fields.text("scope"), link) {
            (Some(scope), _) if scope.starts_with("team_") => {
                place.query_pairs_mut().append_pair("teamId", scope);
            }
            (Some(scope), _) => {
                place.query_pairs_mut().append_pair("slug", scope);
            }
            (None, Some(link)) if link.org_id.starts_with("team_") => {
                place.query_pairs_mut().append_pair("teamId", &link.org_id);
            }
            _ => {}
        }
        let (built_in, custom) = environments
            .iter()
            .cloned()
            .partition(|one| BUILT_IN.contains(&one.as_str()));
        let token = around.token(&TOKENS)?;
        Ok(Self {
            service: around.service("Vercel", &token)?,
            token,
            place,
            kind: if is_sensitive {
                "sensitive"
            } else {
                "encrypted"
            },
            environments: built_in,
            custom,
            branch: branch.map(str::to_owned),
        })
    }
}

fn link(around: &Surroundings) -> Option<Link> {
    let variable = |name| around.env.var(name).map(str::to_owned);
    if let (Some(project_id), Some(org_id)) =
        (variable("VERCEL_PROJECT_ID"), variable("VERCEL_ORG_ID"))
    {
        return Some(Link { project_id, org_id });
    }
    let text = std::fs::read(around.cwd.join(".vercel/project.json")).ok()?;
    serde_json::from_slice(&text).ok()
}

#[async_trait]
impl Target for Vercel {
    async fn push(&self, name: &SecretName, value: &SecretString) -> Result<Sent, CallError> {
        let mut service = self.service.restarted();
        service.hide(value);
        let call = Call::new(Method::POST, self.place.clone())
            .bearer(&self.token)?
            .json(&Body {
                key: name.as_str(),
                value: value.expose_secret(),
                kind: self.kind,
                target: &self.environments,
                custom_environment_ids: &self.custom,
                git_branch: self.branch.as_deref(),
            })?;
        accepted(&service.send(call).await?, &service)?;
        Ok(Sent::Taken)
    }

    fn afterwards(&self) -> Option<String> {
        Some("Vercel uses them from the next deployment on".to_owned())
    }
}
