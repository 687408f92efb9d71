//! `hcp-terraform`: variables of a workspace of HCP Terraform or Terraform Enterprise.
//!
//! See developer.hashicorp.com/terraform/cloud-docs/api-docs/workspace-variables. The API has no upsert: the variable is
//! looked for, then updated or made.

use std::path::PathBuf;

use async_trait::async_trait;
use fnox_config::Fields;
use fnox_core::{SecretName, SecretString};
use fnox_http::header::CONTENT_TYPE;
use fnox_http::{Call, CallError, Method, Service, Url, below};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{NoTarget, Sent, Surroundings, Target, accepted, address, required};

const USUAL: &str = "https://app.terraform.io";
const JSON_API: &str = "application/vnd.api+json";

/// A workspace's variables.
#[derive(Debug)]
pub(super) struct Terraform {
    service: Service,
    token: SecretString,
    server: Url,
    organization: String,
    workspace: String,
    category: &'static str,
    is_sensitive: bool,
    is_hcl: bool,
    description: Option<String>,
    id: OnceCell<String>,
}

#[derive(Deserialize)]
struct One {
    data: Resource,
}

#[derive(Deserialize)]
struct Many {
    data: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    id: String,
    #[serde(default)]
    attributes: Value,
}

/// `TF_TOKEN_app_terraform_io`, as terraform writes hosts in names of variables, and `TFE_TOKEN`.
pub(super) fn tokens(fields: &Fields) -> Vec<String> {
    let host = address(fields, USUAL).ok();
    let host = host.as_ref().and_then(Url::host_str).unwrap_or_default();
    let name = host.replace('-', "__").replace('.', "_");
    vec![format!("TF_TOKEN_{name}"), "TFE_TOKEN".to_owned()]
}

impl Terraform {
    pub(super) fn open(fields: &Fields, around: &Surroundings) -> Result<Self, NoTarget> {
        let server = address(fields, USUAL)?;
        let category = match fields.text("category").unwrap_or("terraform") {
            "env" => "env",
            "terraform" => "terraform",
            _ => return Err(fields.invalid("category", "is `env` or `terraform`").into()),
        };
        let is_hcl = fields.flag("hcl").unwrap_or(false);
        if is_hcl && category == "env" {
            return Err(fields
                .invalid("hcl", "is only for `category = \"terraform\"`")
                .into());
        }
        let names = tokens(fields);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let host = server.host_str().unwrap_or_default();
        let token = match around.named(&names).or_else(|| logged_in(around, host)) {
            Some(token) => token,
            None => around.token(&names).map_err(|error| {
                error.with_remedy(format!("run `terraform login {host}`, or set {}", names[0]))
            })?,
        };
        Ok(Self {
            service: around.service("HCP Terraform", &token)?,
            token,
            organization: required(fields, "organization")?.to_owned(),
            workspace: required(fields, "workspace")?.to_owned(),
            server,
            category,
            is_sensitive: fields.flag("sensitive").unwrap_or(true),
            is_hcl,
            description: fields.text("description").map(str::to_owned),
            id: OnceCell::new(),
        })
    }

    fn call(&self, method: Method, parts: &[&str]) -> Result<Call, CallError> {
        let mut all = vec!["api", "v2"];
        all.extend(parts);
        Call::new(method, below(&self.server, &all)).bearer(&self.token)
    }

    async fn workspace(&self, service: &Service) -> Result<&str, CallError> {
        let found = self.id.get_or_try_init(|| async {
            let parts = [
                "organizations",
                &self.organization,
                "workspaces",
                &self.workspace,
            ];
            let answer = service.send(self.call(Method::GET, &parts)?).await?;
            accepted(&answer, service)?;
            Ok(answer.json::<One>(service)?.data.id)
        });
        found.await.map(String::as_str)
    }

    /// The id of the variable of this name and category.
    async fn variable(
        &self,
        service: &Service,
        workspace: &str,
        name: &str,
    ) -> Result<Option<String>, CallError> {
        let call = self.call(Method::GET, &["workspaces", workspace, "vars"])?;
        let answer = service.send(call).await?;
        accepted(&answer, service)?;
        let found = answer.json::<Many>(service)?.data.into_iter().find(|one| {
            one.attributes["key"] == name && one.attributes["category"] == self.category
        });
        Ok(found.map(|one| one.id))
    }
}

/// The token that `terraform login` keeps.
fn logged_in(around: &Surroundings, host: &str) -> Option<SecretString> {
    let file: PathBuf = around
        .home
        .as_ref()?
        .join(".terraform.d/credentials.tfrc.json");
    let text = zeroize::Zeroizing::new(std::fs::read(file).ok()?);
    let document: Value = serde_json::from_slice(&text).ok()?;
    let token = document["credentials"][host]["token"].as_str()?;
    Some(SecretString::from(token))
}

#[async_trait]
impl Target for Terraform {
    async fn push(&self, name: &SecretName, value: &SecretString) -> Result<Sent, CallError> {
        let mut service = self.service.restarted();
        service.hide(value);
        let workspace = self.workspace(&service).await?;
        let known = self.variable(&service, workspace, name.as_str()).await?;
        let mut attributes = json!({
            "key": name.as_str(),
            "value": value.expose_secret(),
            "category": self.category,
            "sensitive": self.is_sensitive,
            "hcl": self.is_hcl,
        });
        if let Some(description) = &self.description {
            attributes["description"] = description.as_str().into();
        }
        let mut data = json!({"type": "vars", "attributes": attributes});
        let call = if let Some(id) = &known {
            data["id"] = id.as_str().into();
            self.call(Method::PATCH, &["workspaces", workspace, "vars", id])?
        } else {
            self.call(Method::POST, &["workspaces", workspace, "vars"])?
                .changes()
        };
        let call = call
            .json(&json!({"data": data}))?
            .header(CONTENT_TYPE, JSON_API)?;
        accepted(&service.send(call).await?, &service)?;
        Ok(match known {
            Some(_) => Sent::Updated,
            None => Sent::Created,
        })
    }
}
