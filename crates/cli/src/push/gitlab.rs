//! `gitlab-ci`: CI/CD variables of projects and groups.
//!
//! See <https://docs.gitlab.com/api/project_level_variables/> and <https://docs.gitlab.com/api/group_level_variables/>.

use async_trait::async_trait;
use fnox_config::Fields;
use fnox_core::{SecretName, SecretString};
use fnox_http::header::HeaderName;
use fnox_http::{Call, CallError, Method, Service, Url, below};
use serde::Serialize;

use super::{NoTarget, Sent, Surroundings, Target, accepted, address, required};

pub(super) const TOKENS: [&str; 1] = ["GITLAB_TOKEN"];

const TOKEN: HeaderName = HeaderName::from_static("private-token");

/// A project's or a group's variables.
#[derive(Debug)]
pub(super) struct GitLab {
    service: Service,
    token: SecretString,
    api: Url,
    collection: &'static str,
    owner: String,
    scope: String,
    settings: Settings,
}

#[derive(Debug, Serialize)]
struct Settings {
    masked: bool,
    protected: bool,
    raw: bool,
    variable_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    value: &'a str,
    environment_scope: &'a str,
    #[serde(flatten)]
    settings: &'a Settings,
}

impl GitLab {
    pub(super) fn open(fields: &Fields, around: &Surroundings) -> Result<Self, NoTarget> {
        let (collection, owner) = match (fields.text("repo"), fields.text("group")) {
            (Some(_), Some(_)) => {
                return Err(fields
                    .invalid("group", "and `repo` cannot both be set")
                    .into());
            }
            (None, Some(group)) => ("groups", group),
            _ => ("projects", required(fields, "repo")?),
        };
        let kind = fields.text("variable_type").unwrap_or("env_var");
        if !["env_var", "file"].contains(&kind) {
            return Err(fields
                .invalid("variable_type", "is `env_var` or `file`")
                .into());
        }
        let token = around.token(&TOKENS)?;
        Ok(Self {
            service: around.service("GitLab", &token)?,
            token,
            api: address(fields, "https://gitlab.com")?,
            collection,
            owner: owner.to_owned(),
            scope: fields.text("environment").unwrap_or("*").to_owned(),
            settings: Settings {
                masked: fields.flag("masked").unwrap_or(false),
                protected: fields.flag("protected").unwrap_or(false),
                raw: fields.flag("raw").unwrap_or(false),
                variable_type: kind.to_owned(),
                description: fields.text("description").map(str::to_owned),
            },
        })
    }

    fn call(&self, method: Method, more: &[&str]) -> Result<Call, CallError> {
        let mut parts = vec!["api", "v4", self.collection, &self.owner, "variables"];
        parts.extend(more);
        Call::new(method, below(&self.api, &parts)).secret_header(TOKEN, &self.token)
    }
}

#[async_trait]
impl Target for GitLab {
    async fn push(&self, name: &SecretName, value: &SecretString) -> Result<Sent, CallError> {
        let mut service = self.service.restarted();
        service.hide(value);
        let body = |key| Body {
            key,
            value: value.expose_secret(),
            environment_scope: &self.scope,
            settings: &self.settings,
        };
        let update = self
            .call(Method::PUT, &[name.as_str()])?
            .query("filter[environment_scope]", &self.scope)
            .json(&body(None))?;
        let answer = service.send(update).await?;
        if answer.status() != 404 {
            return accepted(&answer, &service).map(|()| Sent::Updated);
        }
        // There is no such variable, or no such project: making it tells.
        let create = self
            .call(Method::POST, &[])?
            .changes()
            .json(&body(Some(name.as_str())))?;
        let answer = service.send(create).await?;
        accepted(&answer, &service).map(|()| Sent::Created)
    }
}
