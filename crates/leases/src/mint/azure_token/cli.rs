//! A token from a login of the Azure CLI: `az account get-access-token`.
//!
//! It gets the environment without what fnox has taken from providers, and no secret on its argument list.

use std::ffi::OsString;

use fnox_config::spec::AZURE_MASTERS;
use fnox_core::SecretString;
use fnox_providers::process::{Program, complaint};
use jiff::Timestamp;
use serde::Deserialize;

use super::Issued;
use super::login::{Seconds, without_end};
use super::refusal;
use super::settings::Settings;
use crate::mint::{MintContext, MintError, PlannedCall};
use crate::wiped::Wiped;

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "accessToken")]
    access_token: Wiped,
    /// Seconds since 1970. `expiresOn` beside it is local time without its zone, which cannot be read with certainty.
    expires_on: Option<Seconds>,
}

/// Asks for a token.
pub(super) async fn token(settings: &Settings, context: &MintContext) -> Result<Issued, MintError> {
    let env = context
        .env
        .without(AZURE_MASTERS)
        .without(&settings.identity.variables())
        .with_overlay([("AZURE_CORE_NO_COLOR".to_owned(), "true".into())]);
    let program = Program {
        name: "az",
        arguments: arguments(settings),
        env: &env,
        input: None,
        time_limit: context.call_limit,
        install_hint: "install the Azure CLI, or choose another way by `auth`",
    };
    let output = program.run().await.map_err(|error| MintError {
        remedy: error.remedy,
        ..MintError::unavailable(error.message)
    })?;
    if !output.status.success() {
        let masters: Vec<&SecretString> = context.masters.iter().collect();
        let said = complaint(&output.stderr, &masters);
        return Err(refusal::of_cli(&output.stderr, &said));
    }
    let answer: Answer =
        serde_json::from_slice(output.stdout.expose_secret()).map_err(|error| {
            // The parser's own words could repeat a part of the token; its place in the text cannot.
            MintError::unavailable(format!(
                "`az` printed something else than the expected JSON (line {}, column {})",
                error.line(),
                error.column()
            ))
            .with_remedy("run `az account get-access-token --output json` by hand")
        })?;
    let Some(expires_on) = answer.expires_on else {
        return Err(MintError::unavailable(
            "`az` does not say with certainty when its token expires",
        )
        .with_remedy("update the Azure CLI to version 2.54 or newer, which prints `expires_on`"));
    };
    Ok(Issued {
        token: answer.access_token.0,
        expires_at: expires_on
            .0
            .and_then(|second| Timestamp::from_second(second).ok())
            .ok_or_else(|| without_end("`az`"))?,
    })
}

/// The command that [`token`] would run.
pub(super) fn explain(settings: &Settings) -> PlannedCall {
    let arguments: Vec<String> = arguments(settings)
        .iter()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    PlannedCall {
        action: "run".to_owned(),
        target: "az".to_owned(),
        purpose: "get a token of whoever is logged in".to_owned(),
        master: "the login of `az`".to_owned(),
        details: vec![("arguments".to_owned(), arguments.join(" "))],
    }
}

fn arguments(settings: &Settings) -> Vec<OsString> {
    let mut arguments = vec!["account", "get-access-token", "--output", "json"];
    arguments.extend(["--resource", settings.resource()]);
    if let Some(tenant) = &settings.tenant {
        arguments.extend(["--tenant", tenant]);
    }
    arguments.into_iter().map(OsString::from).collect()
}
