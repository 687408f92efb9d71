//! `infisical`: secrets of one folder of an environment of Infisical, over its API.
//!
//! A reference is a secret's key. One call brings the folder, with references filled in and imports, and serves a batch. A
//! folder's own secret wins over imported ones, and a later import over an earlier one, as for Infisical's own program.
//!
//! The token is `FNOX_INFISICAL_TOKEN` or `INFISICAL_TOKEN` (of a machine identity, or a service token), else one of a login
//! with a client id and a client secret ("Universal Auth").
//!
//! Facts are from Infisical's pages "Secrets: List" (API v4, and v3 for servers that have no v4), "Universal Auth: Login",
//! "Secret Referencing and Importing" and "Errors".

mod answer;
mod login;

use std::collections::BTreeSet;

use async_trait::async_trait;
use fnox_core::SecretString;
use fnox_http::{Answer, Call, Service, Url, below};

use self::answer::Folder;
use self::login::Login;
use super::rest::{self, Found};
use crate::error::{ErrorKind, ProviderError};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;

const CLOUD: &str = "https://app.infisical.com";

/// Where the server is. Infisical's program takes it with and without `/api`.
const PLACES: [&str; 2] = ["FNOX_INFISICAL_API_URL", "INFISICAL_API_URL"];

/// Opens a provider of this type. Nothing is contacted yet.
///
/// # Errors
/// `Misconfigured` if there is no project or the address cannot be used, `AuthenticationNeeded` if there is nothing to log in with.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let env = &context.env;
    let project = settings.text("project_id").ok_or_else(|| {
        ProviderError::misconfigured("nothing says which project of Infisical to read")
            .with_remedy("set `project_id`: it is `workspaceId` in `.infisical.json`")
            .at_key("project_id")
    })?;
    Ok(Box::new(Infisical {
        service: rest::service("Infisical", context, None)?,
        base: without_api(rest::base(env, &PLACES, CLOUD)?),
        login: Login::new(env)?,
        project: project.to_owned(),
        environment: settings.text("environment").unwrap_or("dev").to_owned(),
        path: settings.text("path").unwrap_or("/").to_owned(),
    }))
}

fn without_api(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/api").unwrap_or(path).to_owned();
    url.set_path(&path);
    url
}

#[derive(Debug)]
struct Infisical {
    service: Service,
    base: Url,
    login: Login,
    project: String,
    environment: String,
    path: String,
}

/// Whether values are asked for, or only what there is.
#[derive(Clone, Copy, PartialEq)]
enum Values {
    Shown,
    Hidden,
}

#[async_trait]
impl Provider for Infisical {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        let folder = match self.folder(Values::Shown).await {
            Ok(folder) => folder,
            Err(error) => return rest::all(requests, &error),
        };
        let wanted: BTreeSet<&str> = requests
            .iter()
            .map(|request| request.reference.as_str())
            .collect();
        let found: Found = wanted
            .into_iter()
            .map(|key| (key.to_owned(), folder.value(key)))
            .collect();
        rest::in_order(requests, &found)
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.folder(Values::Hidden).await.map(drop)
    }
}

impl Infisical {
    /// The folder, once more after a new login where the token of an earlier one has ended.
    async fn folder(&self, values: Values) -> Result<Folder, ProviderError> {
        let mut service = self.service.restarted();
        let token = self.login.token(&mut service, &self.base).await?;
        let answer = self.list(&service, &token, values).await?;
        if answer.status() == 401 && self.login.forget(&token).await {
            let token = self.login.token(&mut service, &self.base).await?;
            let answer = self.list(&service, &token, values).await?;
            return self.read(&service, &answer);
        }
        self.read(&service, &answer)
    }

    async fn list(
        &self,
        service: &Service,
        token: &SecretString,
        values: Values,
    ) -> Result<Answer, ProviderError> {
        let shown = if values == Values::Shown {
            "true"
        } else {
            "false"
        };
        let newest = Call::get(below(&self.base, &["api", "v4", "secrets"]))
            .query("projectId", &self.project)
            .query("includeImports", "true");
        let answer = service
            .send(self.of_folder(newest, shown).bearer(token)?)
            .await?;
        if !is_unknown_route(&answer) {
            return Ok(answer);
        }
        let older = Call::get(below(&self.base, &["api", "v3", "secrets", "raw"]))
            .query("workspaceId", &self.project)
            .query("include_imports", "true");
        Ok(service
            .send(self.of_folder(older, shown).bearer(token)?)
            .await?)
    }

    fn of_folder(&self, call: Call, shown: &str) -> Call {
        call.query("environment", &self.environment)
            .query("secretPath", &self.path)
            .query("viewSecretValue", shown)
            .query("expandSecretReferences", "true")
    }

    fn read(&self, service: &Service, answer: &Answer) -> Result<Folder, ProviderError> {
        if answer.is_success() {
            return Ok(answer.json(service)?);
        }
        let error = rest::refusal(service, answer, "/message");
        let (environment, path) = (&self.environment, &self.path);
        Err(match answer.status() {
            401 => error.with_remedy(self.login.remedy()),
            403 => error.with_remedy(format!(
                "give the identity a role in the project that may read secret values in `{path}` of `{environment}`"
            )),
            404 => ProviderError::new(ErrorKind::Misconfigured, error.message).with_remedy(format!(
                "are `project_id`, the environment `{environment}` and the folder `{path}` right?"
            )),
            _ => error,
        })
    }
}

/// A server that does not know the path says so in words of its own, and otherwise than one that has no such folder.
fn is_unknown_route(answer: &Answer) -> bool {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let said = body["message"].as_str().unwrap_or_default();
    answer.status() == 404 && said.starts_with("Route GET:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_that_of_the_server_or_of_its_api() {
        for (given, base) in [
            ("https://eu.infisical.com", "https://eu.infisical.com/"),
            ("https://x/api", "https://x/"),
            ("https://x/infisical/api/", "https://x/infisical"),
        ] {
            let url = without_api(Url::parse(given).unwrap());
            assert_eq!(url.as_str(), base);
        }
    }
}
