//! `password-store`: entries of `pass` (passwordstore.org), through its own program and gpg.
//!
//! An entry's name is `prefix` and the reference, put together as they are. The store is `store_dir`, or what
//! `FNOX_PASSWORD_STORE_DIR` or `PASSWORD_STORE_DIR` says, or `~/.password-store`; likewise for the options of
//! gpg. Programs run with `LC_ALL=C`, because gpg's complaints are told apart by their words.
//!
//! **Values are exact**, with one rule: `pass insert` ends what a person types with a newline that nobody
//! means, so an entry of one line is read without its final newline. An entry of several lines is read to the
//! byte. Hence a value of one line that does end in a newline cannot be stored: storing it is refused rather
//! than changing it.
//!
//! Without a person at the terminal, gpg is told not to ask for a passphrase; a key that the agent has
//! unlocked still works. Several entries: the first one alone, so that one question unlocks the key, then four
//! at a time.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use fnox_core::SecretString;

use crate::entry;
use crate::error::{ErrorKind, ProviderError};
use crate::process::{Output, Tool, complaint};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;

/// How many entries are decrypted at once.
const CONCURRENT: usize = 4;

const INSTALL: &str = "install `pass` and GnuPG (Debian: `apt install pass`)";
const INIT: &str = "make the store with `pass init GPG-ID`, or set `store_dir`";

/// Opens a provider of this type. Nothing is run yet.
///
/// # Errors
/// `Misconfigured` if nothing says where the store is.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let env = &context.env;
    let chosen = |own: &str, plain: &str| {
        env.var_os(own)
            .filter(|value| !value.is_empty())
            .or_else(|| env.var_os(plain).filter(|value| !value.is_empty()))
    };
    let store = settings
        .path("store_dir")
        .or_else(|| chosen("FNOX_PASSWORD_STORE_DIR", "PASSWORD_STORE_DIR").map(PathBuf::from))
        .or_else(|| {
            context
                .folders
                .home()
                .map(|home| home.join(".password-store"))
        })
        .ok_or_else(|| {
            ProviderError::misconfigured("there is no HOME, so nothing says where the store is")
                .at_key("store_dir")
        })?;
    let store_text = store.to_str().ok_or_else(|| {
        ProviderError::misconfigured("the path of the store is not UTF-8").at_key("store_dir")
    })?;
    let options = settings.text("gpg_opts").map(str::to_owned).or_else(|| {
        chosen("FNOX_PASSWORD_STORE_GPG_OPTS", "PASSWORD_STORE_GPG_OPTS")
            .map(|options| options.to_string_lossy().into_owned())
    });
    let options = entry::gpg_options(&options.unwrap_or_default(), context);
    let overlay = [
        ("LC_ALL", "C"),
        ("PASSWORD_STORE_DIR", store_text),
        ("PASSWORD_STORE_GPG_OPTS", options.as_str()),
    ]
    .map(|(name, value)| (name.to_owned(), SecretString::from(value)));
    Ok(Box::new(PasswordStore {
        prefix: settings.text("prefix").unwrap_or_default().to_owned(),
        tool: Tool {
            name: "pass",
            install_hint: INSTALL,
            env: env.with_overlay(overlay),
            time_limit: context.patience(),
        },
        store,
    }))
}

#[derive(Debug)]
struct PasswordStore {
    prefix: String,
    store: PathBuf,
    tool: Tool,
}

#[async_trait]
impl Provider for PasswordStore {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        entry::read_unlocking_first(requests, CONCURRENT, |request| {
            self.read(&request.reference)
        })
        .await
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.store_exists()?;
        let output = self.tool.run(&["ls"], None).await?;
        if output.status.success() {
            return Ok(());
        }
        Err(failure(&output))
    }

    async fn put(&self, reference: &str, value: &SecretString) -> Result<String, ProviderError> {
        let name = self.name(reference)?;
        entry::refuse_typed_end("pass", "password-store", value)?;
        self.store_exists()?;
        let output = self
            .tool
            .run(&["insert", "-m", "-f", &name], Some(value))
            .await?;
        if output.status.success() {
            return Ok(reference.to_owned());
        }
        Err(failure(&output))
    }

    async fn delete(&self, reference: &str) -> Result<(), ProviderError> {
        let name = self.name(reference)?;
        self.entry_exists(&name, reference)?;
        let output = self.tool.run(&["rm", "-f", &name], None).await?;
        if output.status.success() {
            return Ok(());
        }
        Err(failure(&output))
    }
}

impl PasswordStore {
    async fn read(&self, reference: &str) -> Result<SecretString, ProviderError> {
        let name = self.name(reference)?;
        self.entry_exists(&name, reference)?;
        let output = self.tool.run(&["show", &name], None).await?;
        if !output.status.success() {
            return Err(failure(&output));
        }
        entry::value(&name, output.stdout)
    }

    /// The entry's name, if it cannot be taken for an option or leave the store.
    fn name(&self, reference: &str) -> Result<String, ProviderError> {
        entry::checked_name("pass", reference, format!("{}{reference}", self.prefix))
    }

    /// `pass show` of a folder prints its tree and succeeds, so the file is looked for first.
    fn entry_exists(&self, name: &str, reference: &str) -> Result<(), ProviderError> {
        let file = self
            .store
            .join(format!("{}.gpg", name.trim_start_matches('/')));
        if file.is_file() {
            return Ok(());
        }
        self.store_exists()?;
        let mut error = ProviderError::not_found(reference);
        if !self.prefix.is_empty() {
            error.message = format!("there is no entry `{}`", name.escape_debug());
        }
        Err(error)
    }

    fn store_exists(&self) -> Result<(), ProviderError> {
        let fault = |why: &str| {
            ProviderError::misconfigured(format!("{}: {why}", self.store.display()))
                .with_remedy(INIT)
                .at_key("store_dir")
        };
        if !self.store.is_dir() {
            return Err(fault("there is no password store"));
        }
        if !has_key_id(&self.store) {
            return Err(fault("it is no password store (no `.gpg-id`)"));
        }
        Ok(())
    }
}

/// Whether the store was initialised, as a whole or in a folder.
fn has_key_id(store: &Path) -> bool {
    store.join(".gpg-id").is_file()
        || std::fs::read_dir(store).is_ok_and(|entries| {
            entries
                .flatten()
                .any(|entry| entry.path().join(".gpg-id").is_file())
        })
}

/// Tells failures apart by gpg's and pass's English words.
fn failure(output: &Output) -> ProviderError {
    const KEY: &[&str] = &[
        "no secret key",
        "no pinentry",
        "bad passphrase",
        "pinentry",
        "cancelled",
        "canceled",
        "inappropriate ioctl",
        "card error",
        "no agent running",
        "agent refused",
        "operation not permitted",
    ];
    const WRONG: &[&str] = &[
        "no public key",
        "unusable public key",
        "no valid openpgp data",
        "password store is empty",
        "you must run",
        "unbound variable",
    ];
    let said = complaint(&output.stderr, &[]);
    let stderr = output.stderr.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| stderr.contains(word));
    if stderr.contains("is not in the password store") {
        return ProviderError::new(ErrorKind::NotFound, said);
    }
    let message = format!("`pass` says: {said}");
    if says(WRONG) {
        ProviderError::misconfigured(message).with_remedy(INIT)
    } else if says(KEY) || stderr.contains("decryption failed") {
        ProviderError::authentication(message)
            .with_remedy("unlock the GnuPG key, for example by `pass show` of any entry")
    } else {
        ProviderError::unavailable(message)
    }
}
