//! `forgejo-actions`: secrets of repositories and organisations on Forgejo and Gitea.
//!
//! See the API's own description, `/api/swagger`: `updateRepoSecret` and `updateOrgSecret`.

use async_trait::async_trait;
use fnox_config::Fields;
use fnox_core::{SecretName, SecretString};
use fnox_http::header::AUTHORIZATION;
use fnox_http::{Call, CallError, Method, Service, Url, below};
use serde::Serialize;

use super::{NoTarget, Sent, Surroundings, Target, address, put, repository, required};

pub(super) const TOKENS: [&str; 2] = ["FORGEJO_TOKEN", "GITEA_TOKEN"];

/// A repository's or an organisation's secrets.
#[derive(Debug)]
pub(super) struct Forgejo {
    service: Service,
    token: SecretString,
    place: Url,
}

#[derive(Serialize)]
struct Body<'a> {
    data: &'a str,
}

impl Forgejo {
    pub(super) fn open(fields: &Fields, around: &Surroundings) -> Result<Self, NoTarget> {
        let server = address(fields, required(fields, "url")?)?;
        let place = match (fields.text("repo"), fields.text("org")) {
            (Some(_), Some(_)) => {
                return Err(fields
                    .invalid("org", "and `repo` cannot both be set")
                    .into());
            }
            (None, Some(org)) => below(&server, &["api", "v1", "orgs", org, "actions", "secrets"]),
            _ => {
                let (owner, name) = repository(fields, required(fields, "repo")?)?;
                below(
                    &server,
                    &["api", "v1", "repos", owner, name, "actions", "secrets"],
                )
            }
        };
        let token = around.token(&TOKENS)?;
        Ok(Self {
            service: around.service("Forgejo", &token)?,
            place,
            token,
        })
    }
}

#[async_trait]
impl Target for Forgejo {
    async fn push(&self, name: &SecretName, value: &SecretString) -> Result<Sent, CallError> {
        let mut service = self.service.restarted();
        service.hide(value);
        let token = SecretString::new(format!("token {}", self.token.expose_secret()));
        let call = Call::new(Method::PUT, below(&self.place, &[name.as_str()]))
            .secret_header(AUTHORIZATION, &token)?
            .json(&Body {
                data: value.expose_secret(),
            })?;
        put(&service.send(call).await?, &service)
    }
}
