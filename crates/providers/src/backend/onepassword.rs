//! `1password`: values of 1Password, read through its CLI `op` (version 2).
//!
//! A reference is `item`, `item/field` (the field `password` unless named, both in the provider's `vault`), a
//! whole `op://vault/item/field`, or `environment://ID/VARIABLE`.
//!
//! **Calls.** One reference is one `op read`. Several are one `op inject`: a template on stdin whose parts stand
//! between lines that carry a random word of this run, so that values with newlines or `=` come back exactly.
//! `op inject` fails as a whole and stops at the first bad reference. Only when it says that something is not
//! there does each reference get one `op read` of its own, four at a time, so that one missing item does not
//! hide the others; a login that failed or an outage is reported once, without asking again. Each environment
//! is one call, however many of its variables are wanted.
//!
//! **Login.** A service-account token is taken from `token`, `FNOX_OP_SERVICE_ACCOUNT_TOKEN` or
//! `OP_SERVICE_ACCOUNT_TOKEN`, in this order, and passed in the child's environment only. Without one, `op`
//! uses its own session or the desktop app. `check` asks `op whoami`; where that fails without a token, a
//! configured account is enough, because the desktop app unlocks only when a value is read.

mod answer;
mod reference;

use std::collections::HashMap;
use std::ffi::OsString;

use async_trait::async_trait;
use fnox_core::SecretString;
use futures_util::StreamExt as _;
use futures_util::stream;

use self::reference::Reference;
use crate::dotenv;
use crate::error::{ErrorKind, ProviderError};
use crate::process::{Output, Tool};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;
use crate::template::Template;

/// Where the token may stand, first wins; the field `token` comes before them.
const TOKEN: &str = "OP_SERVICE_ACCOUNT_TOKEN";
const OWN_TOKEN: &str = "FNOX_OP_SERVICE_ACCOUNT_TOKEN";

/// How many `op` processes run at once.
const CONCURRENT: usize = 4;

const INSTALL: &str = "install the 1Password CLI: https://developer.1password.com/docs/cli";

type Answers = HashMap<String, Result<SecretString, ProviderError>>;

/// Opens a provider of this type. `op` is not run yet.
///
/// # Errors
/// None today; a reference without a vault is told when it is read.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let token = settings
        .secret("token")
        .or_else(|| context.env.secret(OWN_TOKEN))
        .or_else(|| context.env.secret(TOKEN));
    // Messages are told apart by their words, so they must be English.
    let mut overlay = vec![("LC_ALL".to_owned(), SecretString::from("C"))];
    if let Some(token) = &token {
        overlay.push((TOKEN.to_owned(), token.clone()));
    }
    Ok(Box::new(OnePassword {
        vault: settings.text("vault").map(str::to_owned),
        account: settings.text("account").map(str::to_owned),
        tool: Tool {
            name: "op",
            install_hint: INSTALL,
            env: context.env.with_overlay(overlay),
            // With a token nobody is asked for anything.
            time_limit: if token.is_some() {
                context.time_limit
            } else {
                context.patience()
            },
        },
        token,
    }))
}

#[derive(Debug)]
struct OnePassword {
    vault: Option<String>,
    account: Option<String>,
    token: Option<SecretString>,
    tool: Tool,
}

#[async_trait]
impl Provider for OnePassword {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        let references: Vec<_> = requests
            .iter()
            .map(|request| Reference::parse(&request.reference, self.vault.as_deref()))
            .collect();
        let (mut items, mut environments) = (Vec::new(), Vec::new());
        for reference in references.iter().flatten() {
            let (list, name) = match reference {
                Reference::Item(uri) => (&mut items, uri),
                Reference::Variable { environment, .. } => (&mut environments, environment),
            };
            if !list.contains(name) {
                list.push(name.clone());
            }
        }
        let items = self.read_items(&items).await;
        let environments = self.read_environments(&environments).await;
        requests
            .iter()
            .zip(references)
            .map(|(request, reference)| match reference? {
                Reference::Item(uri) => items
                    .get(&uri)
                    .cloned()
                    .unwrap_or_else(|| Err(ProviderError::not_found(&request.reference))),
                Reference::Variable {
                    environment,
                    variable,
                } => match environments.get(&environment) {
                    Some(Ok(variables)) => variables
                        .get(&variable)
                        .cloned()
                        .ok_or_else(|| ProviderError::not_found(&request.reference)),
                    Some(Err(error)) => Err(error.clone()),
                    None => Err(ProviderError::not_found(&request.reference)),
                },
            })
            .collect()
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let output = self.run(&["whoami"], None).await?;
        if output.status.success() {
            return Ok(());
        }
        let refused = self.failure(&output, "");
        if self.token.is_some() || refused.kind == ErrorKind::Unavailable {
            return Err(refused);
        }
        let accounts = self
            .run(&["account", "list", "--format=json"], None)
            .await?;
        if accounts.status.success() && answer::lists_an_account(&accounts.stdout) {
            return Ok(());
        }
        Err(self.needs_login("no account is set up in `op`".to_owned()))
    }
}

impl OnePassword {
    async fn read_items(&self, uris: &[String]) -> Answers {
        match uris {
            [] => Answers::new(),
            [uri] => Answers::from([(uri.clone(), self.read(uri).await)]),
            _ => match self.inject(uris).await {
                Ok(values) => uris
                    .iter()
                    .cloned()
                    .zip(values.into_iter().map(Ok))
                    .collect(),
                Err(error) if error.kind == ErrorKind::NotFound => self.read_each(uris).await,
                Err(error) => uris
                    .iter()
                    .map(|uri| (uri.clone(), Err(error.clone())))
                    .collect(),
            },
        }
    }

    async fn read(&self, uri: &str) -> Result<SecretString, ProviderError> {
        let output = self.run(&["read", "--no-newline", uri], None).await?;
        if !output.status.success() {
            return Err(self.failure(&output, uri));
        }
        answer::text(output.stdout)
    }

    async fn read_each(&self, uris: &[String]) -> Answers {
        let reads: Vec<_> = uris
            .iter()
            .map(|uri| async move { (uri.clone(), self.read(uri).await) })
            .collect();
        stream::iter(reads)
            .buffer_unordered(CONCURRENT)
            .collect()
            .await
    }

    async fn inject(&self, uris: &[String]) -> Result<Vec<SecretString>, ProviderError> {
        let template = Template::of(uris)?;
        let output = self.run(&["inject"], Some(template.text())).await?;
        if !output.status.success() {
            return Err(self.failure(&output, ""));
        }
        template.values("op", output.stdout)
    }

    async fn read_environments(
        &self,
        ids: &[String],
    ) -> HashMap<String, Result<HashMap<String, SecretString>, ProviderError>> {
        let reads: Vec<_> = ids
            .iter()
            .map(|id| async move { (id.clone(), self.read_environment(id).await) })
            .collect();
        stream::iter(reads)
            .buffer_unordered(CONCURRENT)
            .collect()
            .await
    }

    async fn read_environment(
        &self,
        id: &str,
    ) -> Result<HashMap<String, SecretString>, ProviderError> {
        let output = self.run(&["environment", "read", id], None).await?;
        if !output.status.success() {
            return Err(self.failure(&output, &format!("environment://{id}")));
        }
        let text = answer::text(output.stdout)?;
        dotenv::parse(text.expose_secret())
            .map(|pairs| pairs.into_iter().collect())
            .map_err(|error| {
                ProviderError::unavailable(format!(
                    "`op environment read` printed something else than variables: {error}"
                ))
            })
    }

    async fn run(
        &self,
        arguments: &[&str],
        input: Option<&SecretString>,
    ) -> Result<Output, ProviderError> {
        let mut arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        if let Some(account) = &self.account {
            arguments.push(format!("--account={account}").into());
        }
        self.tool.call(arguments, input).await
    }

    fn failure(&self, output: &Output, subject: &str) -> ProviderError {
        let secrets: Vec<&SecretString> = self.token.iter().collect();
        let said = answer::complaint(&output.stderr, &secrets);
        match answer::kind(&output.stderr) {
            ErrorKind::AuthenticationNeeded => self.needs_login(format!("`op` says: {said}")),
            ErrorKind::NotFound if !subject.is_empty() => ProviderError::new(
                ErrorKind::NotFound,
                format!("there is nothing under `{subject}`: {said}"),
            ),
            kind => ProviderError::new(kind, format!("`op` says: {said}")),
        }
    }

    fn needs_login(&self, message: String) -> ProviderError {
        ProviderError::authentication(message).with_remedy(if self.token.is_some() {
            "the service-account token may have been revoked, or may not see this vault"
        } else {
            "run `op signin`, or set OP_SERVICE_ACCOUNT_TOKEN"
        })
    }
}
