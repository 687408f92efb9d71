//! `cloudflare-workers`: secrets of a Worker.
//!
//! See developers.cloudflare.com/api: `PUT /accounts/{account_id}/workers/scripts/{script_name}/secrets`. An environment of
//! wrangler's is a Worker of its own, called `WORKER-ENVIRONMENT`.

use async_trait::async_trait;
use fnox_config::Fields;
use fnox_core::{SecretName, SecretString};
use fnox_http::{Call, CallError, Method, Service, Url, below};
use serde::Serialize;

use super::{NoTarget, Sent, Surroundings, Target, accepted, address, required};

pub(super) const TOKENS: [&str; 2] = ["CLOUDFLARE_API_TOKEN", "CF_API_TOKEN"];

const ACCOUNTS: [&str; 2] = ["CLOUDFLARE_ACCOUNT_ID", "CF_ACCOUNT_ID"];

/// A Worker's secrets.
#[derive(Debug)]
pub(super) struct Cloudflare {
    service: Service,
    token: SecretString,
    place: Url,
}

#[derive(Serialize)]
struct Body<'a> {
    name: &'a str,
    text: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl Cloudflare {
    pub(super) fn open(fields: &Fields, around: &Surroundings) -> Result<Self, NoTarget> {
        let api = address(fields, "https://api.cloudflare.com/client/v4")?;
        let worker = required(fields, "worker")?;
        let script = match fields.text("environment") {
            Some(environment) => format!("{worker}-{environment}"),
            None => worker.to_owned(),
        };
        let variable = around.named(&ACCOUNTS);
        let variable = variable.as_ref().map(SecretString::expose_secret);
        let Some(account) = fields.text("account_id").or(variable) else {
            let reason = "must be there, or CLOUDFLARE_ACCOUNT_ID be set";
            return Err(fields.invalid("account_id", reason).into());
        };
        let token = around.token(&TOKENS)?;
        let place = [
            "accounts", account, "workers", "scripts", &script, "secrets",
        ];
        Ok(Self {
            service: around.service("Cloudflare", &token)?,
            place: below(&api, &place),
            token,
        })
    }
}

#[async_trait]
impl Target for Cloudflare {
    async fn push(&self, name: &SecretName, value: &SecretString) -> Result<Sent, CallError> {
        let mut service = self.service.restarted();
        service.hide(value);
        let call = Call::new(Method::PUT, self.place.clone())
            .bearer(&self.token)?
            .json(&Body {
                name: name.as_str(),
                text: value.expose_secret(),
                kind: "secret_text",
            })?;
        accepted(&service.send(call).await?, &service)?;
        Ok(Sent::Taken)
    }
}
