//! `foks`: values in the key-value store of FOKS (foks.pub), through its program.
//!
//! A value's path is `prefix` and the reference, put together as they are. `team` names whose store it is; without
//! one it is the user's own. `home` (else `FNOX_FOKS_HOME`, `FOKS_HOME`) is the client's folder.
//!
//! **Login** is the client's own agent (`foks ctl start`). With a bot token (`bot_token`, `FNOX_FOKS_BOT_TOKEN`,
//! `FOKS_BOT_TOKEN`) and a host, the first refusal runs `foks bot use` once, with the token in its environment, and
//! then tries again.
//!
//! **Values are exact**: they go in by stdin and come out as `foks kv get` prints them. What was stored is read
//! again, because the client's own treatment of ends of lines is nowhere promised.

use std::ffi::OsString;
use std::path::PathBuf;

use async_trait::async_trait;
use fnox_core::SecretString;
use tokio::sync::Mutex;

use crate::entry;
use crate::error::{ErrorKind, ProviderError};
use crate::process::{Output, Tool, complaint};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;

/// How many `foks` processes run at once.
const CONCURRENT: usize = 4;

const INSTALL: &str = "install the FOKS client: https://foks.pub";

/// Opens a provider of this type. Nothing is run yet.
///
/// # Errors
/// `Misconfigured` if the home folder is not UTF-8 text.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let env = &context.env;
    let chosen = |name: &str| {
        let own = env.var(&format!("FNOX_{name}"));
        own.or_else(|| env.var(name))
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
    };
    let token = settings
        .secret("bot_token")
        .or_else(|| env.secret("FNOX_FOKS_BOT_TOKEN"))
        .or_else(|| env.secret("FOKS_BOT_TOKEN"));
    let mut overlay = vec![("LC_ALL".to_owned(), SecretString::from("C"))];
    if let Some(token) = &token {
        overlay.push(("FOKS_BOT_TOKEN".to_owned(), token.clone()));
    }
    Ok(Box::new(Foks {
        prefix: settings.text("prefix").unwrap_or_default().to_owned(),
        team: settings.text("team").map(str::to_owned),
        home: settings
            .path("home")
            .or_else(|| chosen("FOKS_HOME").map(PathBuf::from)),
        host: settings
            .text("host")
            .map(str::to_owned)
            .or_else(|| chosen("FOKS_HOST")),
        token,
        tool: Tool {
            name: "foks",
            install_hint: INSTALL,
            env: env.with_overlay(overlay),
            time_limit: context.time_limit,
        },
        logged_in: Mutex::new(None),
    }))
}

#[derive(Debug)]
struct Foks {
    prefix: String,
    team: Option<String>,
    home: Option<PathBuf>,
    host: Option<String>,
    token: Option<SecretString>,
    tool: Tool,
    /// What came of the one login as a bot.
    logged_in: Mutex<Option<Result<(), ProviderError>>>,
}

#[async_trait]
impl Provider for Foks {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        entry::read_unlocking_first(requests, CONCURRENT, |request| {
            self.read(&request.reference)
        })
        .await
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.kv(&["ls", "/"], None).await.map(drop)
    }

    async fn put(&self, reference: &str, value: &SecretString) -> Result<String, ProviderError> {
        let path = self.path(reference)?;
        self.kv(&["put", "--force", "--mkdir-p", &path], Some(value))
            .await?;
        if self.read(reference).await? == *value {
            return Ok(reference.to_owned());
        }
        Err(ProviderError::misconfigured(format!(
            "FOKS gives back something else than was stored under `{}`",
            path.escape_debug()
        ))
        .with_remedy("a value without white space at its ends is kept"))
    }

    async fn delete(&self, reference: &str) -> Result<(), ProviderError> {
        let path = self.path(reference)?;
        self.kv(&["rm", &path], None).await.map(drop)
    }
}

impl Foks {
    async fn read(&self, reference: &str) -> Result<SecretString, ProviderError> {
        let path = self.path(reference)?;
        let output = self.kv(&["get", &path], None).await?;
        output.stdout.into_string().map_err(|_| {
            ProviderError::misconfigured(format!(
                "the value under `{}` is not UTF-8 text",
                path.escape_debug()
            ))
        })
    }

    fn path(&self, reference: &str) -> Result<String, ProviderError> {
        entry::checked_name("foks", reference, format!("{}{reference}", self.prefix))
    }

    /// A call of `foks kv`, once more after a login as a bot.
    async fn kv(
        &self,
        arguments: &[&str],
        input: Option<&SecretString>,
    ) -> Result<Output, ProviderError> {
        match self.kv_once(arguments, input).await {
            Err(error) if error.kind == ErrorKind::AuthenticationNeeded => {
                self.log_in(error).await?;
                self.kv_once(arguments, input).await
            }
            answer => answer,
        }
    }

    async fn kv_once(
        &self,
        arguments: &[&str],
        input: Option<&SecretString>,
    ) -> Result<Output, ProviderError> {
        let mut all: Vec<OsString> = vec!["kv".into()];
        if let Some(team) = &self.team {
            all.extend(["--team".into(), team.into()]);
        }
        all.extend(arguments.iter().map(OsString::from));
        let output = self.run(all, input).await?;
        if output.status.success() {
            return Ok(output);
        }
        Err(self.failure(&output))
    }

    /// Logs in as a bot, at most once in the life of this provider.
    async fn log_in(&self, refusal: ProviderError) -> Result<(), ProviderError> {
        let (Some(_), Some(host)) = (&self.token, &self.host) else {
            return Err(refusal);
        };
        let mut done = self.logged_in.lock().await;
        if let Some(outcome) = &*done {
            return outcome.clone();
        }
        let arguments = ["bot", "use", "--host", host];
        let outcome = match self
            .run(arguments.iter().map(OsString::from).collect(), None)
            .await
        {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(self.failure(&output)),
            Err(error) => Err(error),
        };
        *done = Some(outcome.clone());
        outcome
    }

    async fn run(
        &self,
        arguments: Vec<OsString>,
        input: Option<&SecretString>,
    ) -> Result<Output, ProviderError> {
        let mut all: Vec<OsString> = Vec::new();
        if let Some(home) = &self.home {
            all.extend(["--home".into(), home.into()]);
        }
        all.extend(arguments);
        self.tool.call(all, input).await
    }

    /// Tells failures apart by the client's English words.
    fn failure(&self, output: &Output) -> ProviderError {
        const LOGIN: &[&str] = &[
            "not logged in",
            "login",
            "auth",
            "no active user",
            "no default user",
            "locked",
            "passphrase",
            "bot token",
            "permission",
        ];
        const ABSENT: &[&str] = &["not found", "no such", "does not exist", "noent"];
        const AGENT: &[&str] = &["agent", "connect", "socket"];
        let secrets: Vec<&SecretString> = self.token.iter().collect();
        let message = format!("`foks` says: {}", complaint(&output.stderr, &secrets));
        let stderr = output.stderr.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| stderr.contains(word));
        if says(LOGIN) {
            ProviderError::authentication(message)
                .with_remedy("log in with `foks login`, or give a bot token and a host")
        } else if says(AGENT) {
            ProviderError::unavailable(message).with_remedy("start the agent with `foks ctl start`")
        } else if says(ABSENT) {
            ProviderError::new(ErrorKind::NotFound, message)
        } else {
            ProviderError::unavailable(message)
        }
    }
}
