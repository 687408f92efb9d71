//! `proton-pass`: values of Proton Pass, read through its CLI `pass-cli`.
//!
//! A reference is `item` or `item/field` (the field `password` unless named, both in the provider's `vault`),
//! `vault/item/field`, a whole `pass://vault/item/field`, or `id:ITEM_ID` and `id:ITEM_ID/field`. Names that
//! have a `/` in them can only be reached by their ids.
//!
//! **Calls.** All references are one `pass-cli inject` with a [`Template`] on stdin, so that values come back
//! exactly (Proton Pass CLI, "inject command"). It fails as a whole; when it says that something is not there,
//! each reference gets a call of its own, four at a time.
//!
//! **Login** is the CLI's own session. What logs it in or unlocks it is handed over in the environment only:
//! `PROTON_PASS_PASSWORD`, `PROTON_PASS_TOTP`, `PROTON_PASS_EXTRA_PASSWORD`, and their `FNOX_` forms. A session
//! of an agent has to give a reason; it is `PROTON_PASS_AGENT_REASON`, else `agent_reason`.

use std::collections::HashMap;

use async_trait::async_trait;
use fnox_core::SecretString;
use futures_util::StreamExt as _;
use futures_util::stream;

use crate::error::{ErrorKind, ProviderError};
use crate::process::{Output, Tool, complaint};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;
use crate::template::Template;

/// How many `pass-cli` processes run at once.
const CONCURRENT: usize = 4;

const INSTALL: &str =
    "install the Proton Pass CLI: https://protonpass.github.io/pass-cli/get-started/installation/";

/// What the CLI reads from the environment to log in or unlock.
const CREDENTIALS: &[&str] = &[
    "PROTON_PASS_PASSWORD",
    "PROTON_PASS_TOTP",
    "PROTON_PASS_EXTRA_PASSWORD",
];

type Answers = HashMap<String, Result<SecretString, ProviderError>>;

/// Opens a provider of this type. `pass-cli` is not run yet.
///
/// # Errors
/// None today; a reference without a vault is told when it is read.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let env = &context.env;
    let mut overlay = vec![("LC_ALL".to_owned(), SecretString::from("C"))];
    let mut secrets = Vec::new();
    for name in CREDENTIALS {
        let own = env.secret(&format!("FNOX_{name}"));
        if let Some(value) = own.or_else(|| env.secret(name)) {
            secrets.push(value.clone());
            overlay.push(((*name).to_owned(), value));
        }
    }
    let reason = env
        .var("FNOX_PROTON_PASS_AGENT_REASON")
        .or_else(|| env.var("PROTON_PASS_AGENT_REASON"))
        .or_else(|| settings.text("agent_reason"));
    if let Some(reason) = reason {
        let reason = SecretString::from(reason);
        overlay.push(("PROTON_PASS_AGENT_REASON".to_owned(), reason));
    }
    Ok(Box::new(ProtonPass {
        vault: settings.text("vault").map(str::to_owned),
        tool: Tool {
            name: "pass-cli",
            install_hint: INSTALL,
            env: env.with_overlay(overlay),
            time_limit: context.time_limit,
        },
        secrets,
    }))
}

#[derive(Debug)]
struct ProtonPass {
    vault: Option<String>,
    tool: Tool,
    secrets: Vec<SecretString>,
}

#[async_trait]
impl Provider for ProtonPass {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        let uris: Vec<_> = requests
            .iter()
            .map(|request| uri(&request.reference, self.vault.as_deref()))
            .collect();
        let mut wanted: Vec<String> = Vec::new();
        for uri in uris.iter().flatten() {
            if !wanted.contains(uri) {
                wanted.push(uri.clone());
            }
        }
        let answers = self.read_all(&wanted).await;
        uris.into_iter()
            .map(|uri| {
                let uri = uri?;
                answers
                    .get(&uri)
                    .cloned()
                    .unwrap_or_else(|| Err(ProviderError::not_found(&uri)))
            })
            .collect()
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let output = self.tool.run(&["info"], None).await?;
        if output.status.success() {
            return Ok(());
        }
        Err(self.failure(&output, ""))
    }
}

impl ProtonPass {
    async fn read_all(&self, uris: &[String]) -> Answers {
        if uris.is_empty() {
            return HashMap::new();
        }
        match self.inject(uris).await {
            Ok(values) => uris
                .iter()
                .cloned()
                .zip(values.into_iter().map(Ok))
                .collect(),
            Err(error) if error.kind == ErrorKind::NotFound && uris.len() > 1 => {
                let reads: Vec<_> = uris
                    .iter()
                    .map(|uri| async move {
                        let read = self.inject(std::slice::from_ref(uri)).await;
                        let value = read.and_then(|mut values| {
                            values.pop().ok_or_else(|| ProviderError::not_found(uri))
                        });
                        (uri.clone(), value)
                    })
                    .collect();
                stream::iter(reads)
                    .buffer_unordered(CONCURRENT)
                    .collect()
                    .await
            }
            Err(error) => uris
                .iter()
                .map(|uri| (uri.clone(), Err(error.clone())))
                .collect(),
        }
    }

    async fn inject(&self, uris: &[String]) -> Result<Vec<SecretString>, ProviderError> {
        let template = Template::of(uris)?;
        let output = self.tool.run(&["inject"], Some(template.text())).await?;
        if !output.status.success() {
            let subject = match uris {
                [uri] => uri.as_str(),
                _ => "",
            };
            return Err(self.failure(&output, subject));
        }
        template.values("pass-cli", output.stdout)
    }

    /// Tells failures apart by the CLI's English words.
    fn failure(&self, output: &Output, subject: &str) -> ProviderError {
        const LOGIN: &[&str] = &[
            "not logged in",
            "not authenticated",
            "authenticat",
            "log in",
            "login",
            "unauthorized",
            "session",
            "locked",
            "key provider",
            "extra password",
        ];
        const ABSENT: &[&str] = &[
            "not found",
            "does not exist",
            "no such",
            "could not find",
            "couldn't find",
            "no item",
            "no vault",
        ];
        let secrets: Vec<&SecretString> = self.secrets.iter().collect();
        let said = complaint(&output.stderr, &secrets);
        let stderr = output.stderr.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| stderr.contains(word));
        if says(&["agent_reason", "agent reason", "reason is required"]) {
            ProviderError::misconfigured(format!("`pass-cli` says: {said}"))
                .with_remedy(
                    "say why the agent reads the item: `agent_reason`, or PROTON_PASS_AGENT_REASON",
                )
                .at_key("agent_reason")
        } else if says(LOGIN) {
            ProviderError::authentication(format!("`pass-cli` says: {said}"))
                .with_remedy("run `pass-cli login`; `pass-cli info` shows the session")
        } else if says(ABSENT) {
            let what = if subject.is_empty() {
                "a reference"
            } else {
                subject
            };
            ProviderError::new(
                ErrorKind::NotFound,
                format!("there is nothing under `{}`: {said}", what.escape_debug()),
            )
        } else {
            ProviderError::unavailable(format!("`pass-cli` says: {said}"))
        }
    }
}

/// The reference as the CLI takes it.
fn uri(reference: &str, vault: Option<&str>) -> Result<String, ProviderError> {
    let wrong = |why: &str| {
        ProviderError::misconfigured(format!(
            "the reference `{}` {why}",
            reference.escape_debug()
        ))
        .with_remedy("write `item`, `item/field`, `vault/item/field` or `pass://vault/item/field`")
    };
    let in_vault = |item: &str, field: &str| {
        vault
            .map(|vault| format!("pass://{vault}/{item}/{field}"))
            .ok_or_else(|| wrong("names no vault").at_key("vault"))
    };
    if reference.contains(char::is_control) || reference.contains("}}") {
        return Err(wrong("has a character that no reference has"));
    }
    let path = reference.strip_prefix("pass://");
    let parts: Vec<&str> = path.unwrap_or(reference).split('/').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(wrong("has an empty part"));
    }
    match (path, parts.as_slice()) {
        (Some(_), [_, _, _]) => Ok(reference.to_owned()),
        (Some(_), _) => Err(wrong("is not of three parts")),
        (None, [item]) => in_vault(item.strip_prefix("id:").unwrap_or(item), "password"),
        (None, [item, field]) => in_vault(item.strip_prefix("id:").unwrap_or(item), field),
        (None, [vault, item, field]) => Ok(format!("pass://{vault}/{item}/{field}")),
        (None, _) => Err(wrong("has more than three parts")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_become_addresses() {
        for (reference, expected) in [
            ("db", "pass://Work/db/password"),
            ("db/username", "pass://Work/db/username"),
            ("Home/db/username", "pass://Home/db/username"),
            ("pass://a/b c/d", "pass://a/b c/d"),
            ("id:XyZ==", "pass://Work/XyZ==/password"),
            ("id:XyZ/totp", "pass://Work/XyZ/totp"),
        ] {
            assert_eq!(uri(reference, Some("Work")).unwrap(), expected);
        }
        for bad in ["", "a//b", "a/b/c/d", "pass://a/b", "a }} b", "a\nb"] {
            let error = uri(bad, Some("Work")).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Misconfigured, "{bad:?}");
        }
        assert_eq!(uri("db", None).unwrap_err().key, Some("vault"));
    }
}
