//! `bitwarden-sm`: secrets of one project of Bitwarden Secrets Manager, through its program `bws`.
//!
//! Values are encrypted on the client's side. How, and how the key is derived from an access token, is nowhere written down for
//! others, so Bitwarden's own program does it. One call lists the project and serves a batch. A reference is a secret's key or its
//! id, and perhaps `value`, `note` or `key` behind a slash.
//!
//! The access token is in the program's environment only. `bws` takes new values on its command line, where everybody on the
//! machine can read them, so this provider only reads. Facts are from Bitwarden's pages "Secrets Manager CLI" and "Secret Decryption".

use std::ffi::OsString;

use async_trait::async_trait;
use fnox_core::SecretString;
use serde::Deserialize;

use super::rest;
use crate::error::ProviderError;
use crate::process::{Output, Tool, complaint};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;
use crate::wiped::Wiped;

const INSTALL: &str =
    "install Bitwarden's Secrets Manager CLI: https://bitwarden.com/help/secrets-manager-cli/";

const TOKENS: [&str; 2] = ["FNOX_BWS_ACCESS_TOKEN", "BWS_ACCESS_TOKEN"];

/// Opens a provider of this type. Nothing is run yet.
///
/// # Errors
/// `Misconfigured` if there is no project, `AuthenticationNeeded` if there is no access token.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let env = &context.env;
    let project = settings
        .text("project_id")
        .or_else(|| rest::variable(env, &["BWS_PROJECT_ID"]))
        .ok_or_else(|| {
            ProviderError::misconfigured("nothing says which project of Bitwarden to read")
                .with_remedy("set `project_id`, or BWS_PROJECT_ID; `bws project list` shows ids")
                .at_key("project_id")
        })?;
    if !is_id(project) {
        return Err(ProviderError::misconfigured(format!(
            "`project_id` is not the id of a project: {}",
            project.escape_debug()
        ))
        .with_remedy("`bws project list` shows ids")
        .at_key("project_id"));
    }
    let token = rest::variable(env, &TOKENS)
        .map(|token| SecretString::from(token.trim()))
        .ok_or_else(|| {
            ProviderError::authentication("there is no access token for Bitwarden Secrets Manager")
                .with_remedy("make one at the machine account, and set BWS_ACCESS_TOKEN")
        })?;
    let overlay = [
        ("BWS_ACCESS_TOKEN".to_owned(), token.clone()),
        ("LC_ALL".to_owned(), SecretString::from("C")),
    ];
    Ok(Box::new(BitwardenSm {
        project: project.to_owned(),
        profile: settings.text("profile").map(str::to_owned),
        tool: Tool {
            name: "bws",
            install_hint: INSTALL,
            env: env.with_overlay(overlay),
            time_limit: context.time_limit,
        },
        token,
    }))
}

#[derive(Debug)]
struct BitwardenSm {
    project: String,
    profile: Option<String>,
    tool: Tool,
    token: SecretString,
}

/// A secret as `bws secret list` prints it.
#[derive(Deserialize)]
struct Secret {
    id: String,
    key: String,
    value: Wiped,
    note: Option<Wiped>,
}

#[async_trait]
impl Provider for BitwardenSm {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        match self.list().await {
            Ok(secrets) => requests
                .iter()
                .map(|request| read(&secrets, &request.reference))
                .collect(),
            Err(error) => rest::all(requests, &error),
        }
    }

    /// Asks for the project alone, which shows no values.
    async fn check(&self) -> Result<(), ProviderError> {
        self.run(&["project", "get", &self.project]).await.map(drop)
    }
}

impl BitwardenSm {
    async fn list(&self) -> Result<Vec<Secret>, ProviderError> {
        let output = self.run(&["secret", "list", &self.project]).await?;
        // The parser's message may quote a value.
        serde_json::from_slice(output.stdout.expose_secret()).map_err(|error| {
            ProviderError::unavailable(format!(
                "`bws` printed something else than a list of secrets, at line {}, column {}",
                error.line(),
                error.column()
            ))
            .with_remedy("is it version 1 or newer (`bws --version`)?")
        })
    }

    async fn run(&self, arguments: &[&str]) -> Result<Output, ProviderError> {
        let mut all: Vec<OsString> = arguments.iter().map(Into::into).collect();
        all.extend(["--output", "json", "--color", "no"].map(Into::into));
        if let Some(profile) = &self.profile {
            all.extend(["--profile".into(), profile.into()]);
        }
        let output = self.tool.call(all, None).await?;
        if output.status.success() {
            return Ok(output);
        }
        Err(self.explain(&output.stderr))
    }

    fn explain(&self, stderr: &str) -> ProviderError {
        let message = format!("`bws` failed: {}", complaint(stderr, &[&self.token]));
        let says = |parts: &[&str]| {
            let stderr = stderr.to_ascii_lowercase();
            parts.iter().any(|part| stderr.contains(part))
        };
        if says(&["access token", "invalid_client", "[401", "unauthorized"]) {
            return ProviderError::authentication(message).with_remedy(
                "set BWS_ACCESS_TOKEN to a token of the machine account that has not ended",
            );
        }
        if says(&["[404", "resource not found"]) {
            return ProviderError::misconfigured(message)
                .with_remedy("is `project_id` right, and may the machine account read the project?")
                .at_key("project_id");
        }
        if says(&["[403", "forbidden"]) {
            return ProviderError::denied(message)
                .with_remedy("give the machine account access to the project");
        }
        if says(&["[429", "too many requests"]) {
            return ProviderError::unavailable(message).with_remedy(
                "Bitwarden limits logins from one address: wait a little and try again",
            );
        }
        ProviderError::unavailable(message)
    }
}

fn read(secrets: &[Secret], reference: &str) -> Result<SecretString, ProviderError> {
    let (secret, field) = find(secrets, reference)?;
    match field {
        "key" => Ok(SecretString::from(secret.key.as_str())),
        "note" => match &secret.note {
            Some(Wiped(note)) => Ok(note.clone()),
            None => Err(ProviderError::not_found(reference)),
        },
        _ => Ok(secret.value.0.clone()),
    }
}

/// The secret and its field. Keys may have slashes: the last part is a field only if it is called like one.
fn find<'s, 'r>(
    secrets: &'s [Secret],
    reference: &'r str,
) -> Result<(&'s Secret, &'r str), ProviderError> {
    let (name, field) = match reference.rsplit_once('/') {
        Some((name, field @ ("value" | "key" | "note"))) => (name, field),
        _ => (reference, "value"),
    };
    let mut found = secrets
        .iter()
        .filter(|secret| secret.key == name || secret.id.eq_ignore_ascii_case(name));
    let first = found
        .next()
        .ok_or_else(|| ProviderError::not_found(reference))?;
    if found.next().is_some() {
        return Err(ProviderError::misconfigured(format!(
            "several secrets of the project have the key `{}`",
            name.escape_debug()
        ))
        .with_remedy("name the one that is meant by its id (`bws secret list` shows it)"));
    }
    Ok((first, field))
}

/// A UUID: it cannot be taken for an option.
fn is_id(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok()
}
