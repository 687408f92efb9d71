//! `fly`: secrets of an app on Fly.io.
//!
//! See docs.machines.dev: `POST /v1/apps/{app_name}/secrets/{secret_name}`. Machines get them with the next deployment, which
//! this does not begin.

use async_trait::async_trait;
use fnox_config::Fields;
use fnox_core::{SecretName, SecretString};
use fnox_http::{Call, CallError, Method, Service, Url, below};
use serde::Serialize;

use super::{NoTarget, Sent, Surroundings, Target, accepted, address, required};

pub(super) const TOKENS: [&str; 2] = ["FLY_API_TOKEN", "FLY_ACCESS_TOKEN"];

/// An app's secrets.
#[derive(Debug)]
pub(super) struct Fly {
    service: Service,
    token: SecretString,
    place: Url,
    app: String,
    is_staged: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    value: &'a str,
}

impl Fly {
    pub(super) fn open(fields: &Fields, around: &Surroundings) -> Result<Self, NoTarget> {
        let api = address(fields, "https://api.machines.dev")?;
        let app = required(fields, "app")?.to_owned();
        let token = around.token(&TOKENS)?;
        Ok(Self {
            service: around.service("Fly.io", &token)?,
            token,
            place: below(&api, &["v1", "apps", &app, "secrets"]),
            app,
            is_staged: fields.flag("stage").unwrap_or(false),
        })
    }
}

#[async_trait]
impl Target for Fly {
    async fn push(&self, name: &SecretName, value: &SecretString) -> Result<Sent, CallError> {
        let mut service = self.service.restarted();
        service.hide(value);
        let call = Call::new(Method::POST, below(&self.place, &[name.as_str()]))
            .bearer(&self.token)?
            .json(&Body {
                value: value.expose_secret(),
            })?;
        accepted(&service.send(call).await?, &service)?;
        Ok(Sent::Taken)
    }

    fn afterwards(&self) -> Option<String> {
        (!self.is_staged).then(|| {
            format!(
                "the machines of {0} get them with the next deployment: `fly secrets deploy -a {0}`",
                self.app
            )
        })
    }
}
