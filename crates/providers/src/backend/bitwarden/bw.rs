//! The official CLI.

use std::path::PathBuf;

use fnox_config::Folders;
use fnox_core::Env;

use super::{Item, Provider, ProviderError, Request, SecretString, Wanted, async_trait};
use crate::error::ErrorKind;
use crate::process::{Output, Tool, complaint};
use crate::provider::Context;

const INSTALL: &str = "install the Bitwarden CLI: https://bitwarden.com/help/cli/";
const UNLOCK: &str =
    "run `export BW_SESSION=$(bw unlock --raw)`, after `bw login` if you are logged out";

/// The variable of the session that wins. `bw unlock --raw` and `bw login --raw` print one (Bitwarden, "Session management").
pub(super) const SESSION: &str = "FNOX_BW_SESSION";

/// Which items count.
#[derive(Debug)]
pub(super) struct Where {
    pub(super) collection: Option<String>,
    pub(super) organization: Option<String>,
    pub(super) folder: Option<String>,
}

#[derive(Debug)]
pub(super) struct Bw {
    place: Where,
    session: Option<SecretString>,
    tool: Tool,
}

#[derive(serde::Deserialize)]
struct Folder {
    id: Option<String>,
    name: String,
}

#[derive(serde::Deserialize)]
struct Status {
    status: String,
}

/// The variable by which the CLI finds a profile's data, unless it is set: beside `Bitwarden CLI`, which is the CLI's own
/// folder there (Bitwarden, "Data storage").
pub(super) fn data_folder(
    profile: Option<&str>,
    env: &Env,
    folders: &Folders,
) -> Option<(String, SecretString)> {
    const VARIABLE: &str = "BITWARDENCLI_APPDATA_DIR";
    let profile = profile.filter(|_| env.var(VARIABLE).is_none())?;
    let config = env.var("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| folders.home().map(|home| home.join(".config")))?;
    let folder = config.join(format!("Bitwarden CLI {profile}"));
    let folder = SecretString::from(folder.to_string_lossy().into_owned());
    Some((VARIABLE.to_owned(), folder))
}

impl Bw {
    pub(super) fn new(place: Where, profile: Option<&str>, context: &Context) -> Self {
        let env = &context.env;
        let session = env
            .secret(SESSION)
            .or_else(|| env.secret("BW_SESSION"))
            .filter(|session| !session.is_empty());
        let mut overlay = vec![
            ("LC_ALL".to_owned(), SecretString::from("C")),
            ("BW_NOINTERACTION".to_owned(), SecretString::from("true")),
        ];
        if let Some(session) = &session {
            overlay.push(("BW_SESSION".to_owned(), session.clone()));
        }
        overlay.extend(data_folder(profile, env, &context.folders));
        Self {
            place,
            session,
            tool: Tool {
                name: "bw",
                install_hint: INSTALL,
                env: env.with_overlay(overlay),
                time_limit: context.time_limit,
            },
        }
    }

    async fn items(&self) -> Result<Vec<Item>, ProviderError> {
        let mut arguments = vec!["list".to_owned(), "items".to_owned()];
        if let Some(folder) = &self.place.folder {
            let id = self.folder_id(folder).await?;
            arguments.extend(["--folderid".to_owned(), id]);
        }
        if let Some(collection) = &self.place.collection {
            arguments.extend(["--collectionid".to_owned(), collection.clone()]);
        }
        if let Some(organization) = &self.place.organization {
            arguments.extend(["--organizationid".to_owned(), organization.clone()]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.json(&arguments).await
    }

    async fn folder_id(&self, name: &str) -> Result<String, ProviderError> {
        let folders: Vec<Folder> = self.json(&["list", "folders"]).await?;
        let mut ids = folders
            .into_iter()
            .filter(|folder| folder.name == name || folder.id.as_deref() == Some(name))
            .filter_map(|folder| folder.id);
        let fault = |why: &str| {
            ProviderError::misconfigured(format!("{why} named `{}`", name.escape_debug()))
                .with_remedy("`bw list folders` shows them; an id does as well")
                .at_key("folder")
        };
        match (ids.next(), ids.next()) {
            (Some(id), None) => Ok(id),
            (Some(_), Some(_)) => Err(fault("several folders are")),
            (None, _) => Err(fault("no folder is")),
        }
    }

    async fn value(&self, wanted: &Wanted, items: &[Item]) -> Result<SecretString, ProviderError> {
        let item = &items[wanted.item];
        let field = wanted.field.as_deref();
        if let Some(value) = item.value(field) {
            return Ok(value);
        }
        if field != Some("totp") || !item.has_totp() {
            return Err(item.lacks(field));
        }
        let output = self.run(&["get", "totp", &item.id, "--raw"]).await?;
        let code = output
            .stdout
            .into_string()
            .map_err(|_| ProviderError::unavailable("`bw get totp` printed no text"))?;
        // Digits only, so white space is not the value's.
        Ok(SecretString::from(code.expose_secret().trim()))
    }

    async fn json<T: serde::de::DeserializeOwned>(
        &self,
        arguments: &[&str],
    ) -> Result<T, ProviderError> {
        let output = self.run(arguments).await?;
        serde_json::from_slice(output.stdout.expose_secret()).map_err(|error| {
            // serde's message may quote the document; its position does not.
            ProviderError::unavailable(format!(
                "`bw {}` printed something else than the JSON of items (line {}, column {})",
                arguments[..2].join(" "),
                error.line(),
                error.column()
            ))
        })
    }

    async fn run(&self, arguments: &[&str]) -> Result<Output, ProviderError> {
        let Some(session) = &self.session else {
            return Err(ProviderError::authentication(
                "neither FNOX_BW_SESSION nor BW_SESSION is set, so the vault is locked",
            )
            .with_remedy(UNLOCK));
        };
        let output = self.tool.run(arguments, None).await?;
        if output.status.success() {
            return Ok(output);
        }
        let message = format!("`bw` says: {}", complaint(&output.stderr, &[session]));
        let stderr = output.stderr.to_ascii_lowercase();
        Err(if super::login_words(&stderr) {
            ProviderError::authentication(message).with_remedy(UNLOCK)
        } else if stderr.contains("not found") {
            ProviderError::new(ErrorKind::NotFound, message)
        } else {
            ProviderError::unavailable(message)
        })
    }
}

#[async_trait]
impl Provider for Bw {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        let items = match self.items().await {
            Ok(items) => items,
            Err(error) => return vec![Err(error); requests.len()],
        };
        let names: Vec<(&str, &str)> = items
            .iter()
            .map(|item| (item.id.as_str(), item.name.as_str()))
            .collect();
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            let answer = match Wanted::find(&request.reference, &names) {
                Ok(wanted) => self.value(&wanted, &items).await,
                Err(error) => Err(error),
            };
            answers.push(answer);
        }
        answers
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let output = self.run(&["status"]).await?;
        let status: Option<Status> = serde_json::from_slice(output.stdout.expose_secret()).ok();
        match status.as_ref().map(|status| status.status.as_str()) {
            Some("unlocked") => Ok(()),
            Some("locked") => Err(ProviderError::authentication(
                "the vault is locked: BW_SESSION is of another login, or was locked since",
            )
            .with_remedy(UNLOCK)),
            Some("unauthenticated") => {
                Err(ProviderError::authentication("nobody is logged in to `bw`")
                    .with_remedy(UNLOCK))
            }
            _ => Err(ProviderError::unavailable(
                "`bw status` printed something else than a status",
            )),
        }
    }
}
