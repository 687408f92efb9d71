//! `gopass`: entries of gopass (gopass.pw), through its own program.
//!
//! An entry's name is `mount`, `/` and the reference. Which stores there are, and how they are encrypted, is
//! gopass's own configuration. Programs run with `LC_ALL=C`, because complaints are told apart by their words,
//! and with gopass's notifications and reminders off.
//!
//! **Values are exact**, with the one rule of [`password_store`](super::password_store): an entry of one line
//! is read without its final newline. Entries are read with `gopass cat`, which decodes what `gopass cat`
//! stored and prints other entries as they are (gopass, `docs/commands/cat.md`). A value of one plain line is
//! stored with `gopass insert`, so that `gopass show` shows it; any other with `gopass cat`, which takes "any
//! kind of data-stream". What was stored is read again: `gopass insert` changes only the password of an entry
//! that has more in it (`docs/commands/insert.md`), and then storing fails instead of giving back something else
//! later.

use async_trait::async_trait;
use fnox_core::SecretString;

use crate::entry;
use crate::error::{ErrorKind, ProviderError};
use crate::process::{Output, Tool, complaint};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;

/// How many entries are decrypted at once.
const CONCURRENT: usize = 4;

const INSTALL: &str = "install gopass: https://www.gopass.pw/#install";

/// Opens a provider of this type. Nothing is run yet.
///
/// # Errors
/// None today; a name that cannot be an entry's is told when it is used.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let env = &context.env;
    let options = env.var("GOPASS_GPG_OPTS").unwrap_or_default();
    let options = entry::gpg_options(options, context);
    let overlay = [
        ("GOPASS_GPG_OPTS", options.as_str()),
        ("GOPASS_NO_NOTIFY", "true"),
        ("GOPASS_NO_REMINDER", "true"),
        ("LC_ALL", "C"),
        ("NO_COLOR", "true"),
    ]
    .map(|(name, value)| (name.to_owned(), SecretString::from(value)));
    Ok(Box::new(Gopass {
        mount: settings
            .text("mount")
            .unwrap_or_default()
            .trim_matches('/')
            .to_owned(),
        tool: Tool {
            name: "gopass",
            install_hint: INSTALL,
            env: env.with_overlay(overlay),
            time_limit: context.patience(),
        },
    }))
}

#[derive(Debug)]
struct Gopass {
    mount: String,
    tool: Tool,
}

#[async_trait]
impl Provider for Gopass {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        entry::read_unlocking_first(requests, CONCURRENT, |request| {
            self.read(&request.reference)
        })
        .await
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let output = self.tool.run(&["ls", "--flat"], None).await?;
        if output.status.success() {
            return Ok(());
        }
        Err(failure(&output))
    }

    async fn put(&self, reference: &str, value: &SecretString) -> Result<String, ProviderError> {
        let name = self.name(reference)?;
        entry::refuse_typed_end("gopass", "gopass", value)?;
        let command: &[&str] = if is_plain_line(value.expose_secret()) {
            &["insert", "-f", &name]
        } else {
            &["cat", &name]
        };
        let output = self.tool.run(command, Some(value)).await?;
        if !output.status.success() {
            return Err(failure(&output));
        }
        if self.read(reference).await? == *value {
            return Ok(reference.to_owned());
        }
        Err(ProviderError::misconfigured(format!(
            "gopass keeps more than the value in the entry `{}`",
            name.escape_debug()
        ))
        .with_remedy(format!(
            "look at it with `gopass show {name}`; store the value in an entry of its own, or remove this one first"
        )))
    }

    async fn delete(&self, reference: &str) -> Result<(), ProviderError> {
        let name = self.name(reference)?;
        // With `-f`, removing what is not there is no failure everywhere.
        self.read(reference).await?;
        let output = self.tool.run(&["rm", "-f", &name], None).await?;
        if output.status.success() {
            return Ok(());
        }
        Err(failure(&output))
    }
}

impl Gopass {
    async fn read(&self, reference: &str) -> Result<SecretString, ProviderError> {
        let name = self.name(reference)?;
        let output = self.tool.run(&["cat", &name], None).await?;
        if !output.status.success() {
            let mut error = failure(&output);
            if error.kind == ErrorKind::NotFound {
                error.message = format!("there is no entry `{}`", name.escape_debug());
            }
            return Err(error);
        }
        entry::value(&name, output.stdout)
    }

    fn name(&self, reference: &str) -> Result<String, ProviderError> {
        let name = if self.mount.is_empty() {
            reference.to_owned()
        } else {
            format!("{}/{}", self.mount, reference.trim_start_matches('/'))
        };
        entry::checked_name("gopass", reference, name)
    }
}

/// What `gopass insert` keeps as it is: one line, no white space around it, and nothing that a parser of
/// entries could read as more than a password.
fn is_plain_line(text: &str) -> bool {
    !text.is_empty()
        && text.trim() == text
        && !text.contains(char::is_control)
        && !text.starts_with("---")
        && !text.contains(": ")
}

/// Tells failures apart by gopass's, gpg's and age's English words.
fn failure(output: &Output) -> ProviderError {
    const ABSENT: &[&str] = &["is not in the password store", "not found", "no such file"];
    const KEY: &[&str] = &[
        "gpg",
        "decrypt",
        "locked",
        "passphrase",
        "pinentry",
        "agent",
        "public key",
        "secret key",
        "no identity matched",
    ];
    let said = complaint(&output.stderr, &[]);
    let stderr = output.stderr.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| stderr.contains(word));
    let message = format!("`gopass` says: {said}");
    if stderr.contains("[pass-name]") || stderr.contains("flag provided but not defined") {
        ProviderError::unavailable(
            "the `gopass` on PATH is another program of this name, not the one of gopass.pw",
        )
        .with_remedy(INSTALL)
    } else if stderr.contains(ABSENT[0]) {
        ProviderError::new(ErrorKind::NotFound, message)
    } else if stderr.contains("store not initialized") || stderr.contains("not initialized") {
        ProviderError::misconfigured(message).with_remedy("set gopass up with `gopass setup`")
    } else if says(KEY) {
        ProviderError::authentication(message)
            .with_remedy("unlock the store's key, for example by `gopass show` of any entry")
    } else if says(ABSENT) {
        ProviderError::new(ErrorKind::NotFound, message)
    } else {
        ProviderError::unavailable(message)
    }
}
