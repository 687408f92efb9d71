//! `bitwarden`: values of a Bitwarden vault, read through the official CLI `bw`, or through `rbw`.
//!
//! A reference is `item` or `item/field`; an item is named by its id or its exact name. Fields are `password`,
//! `username`, `notes`, `uri`, `totp`, and any custom field by its exact name. Without a field it is the
//! password, and the text of a secure note. Two items of one name are an error that lists their ids.
//!
//! **Calls.** `bw` starts slowly, so one batch is one `bw list items`, narrowed by `collection`,
//! `organization_id` and `folder` (`bw list folders` first); each one-time code is a `bw get totp ID` more.
//! With `rbw` it is one `rbw list` and one `rbw get --raw` per item. Values are read from JSON, so they are exact.
//!
//! **Login.** For `bw`, `FNOX_BW_SESSION` or `BW_SESSION` is handed over in the environment, never as
//! `--session`, which everybody on the machine could read; without one `bw` is not started at all. Its session is
//! printed and kept nowhere, so whoever is at the terminal can open the vault for one run ([`opening`]). `rbw` keeps
//! its key in its own agent; where nobody is at the terminal, a locked one fails instead of opening a window.

mod bw;
mod item;
mod rbw;

use async_trait::async_trait;
use fnox_config::Folders;
use fnox_core::{Env, SecretString};

use self::item::{Item, Wanted};
use crate::error::ProviderError;
use crate::process::Tool;
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;

/// Opens a provider of this type. No program is run yet.
///
/// # Errors
/// None today.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let text = |key: &str| settings.text(key).map(str::to_owned);
    if is_rbw(settings) {
        let mut overlay = vec![("LC_ALL".to_owned(), SecretString::from("C"))];
        overlay.extend(rbw::profile(settings));
        return Ok(Box::new(rbw::Rbw {
            folder: text("folder"),
            tool: Tool {
                name: "rbw",
                install_hint: rbw::INSTALL,
                env: context.env.with_overlay(overlay),
                time_limit: context.patience(),
            },
            interactive: context.prompt.is_interactive(),
        }));
    }
    Ok(Box::new(bw::Bw::new(
        bw::Where {
            collection: text("collection"),
            organization: text("organization_id"),
            folder: text("folder"),
        },
        settings.text("profile"),
        context,
    )))
}

fn is_rbw(settings: &Settings) -> bool {
    settings.fields().text("backend") == Some("rbw")
}

/// What opens the vault for somebody at a terminal.
#[derive(Debug)]
pub(crate) struct Opening {
    /// Another command for `sh` than the type's.
    pub(crate) command: Option<&'static str>,
    /// Variables by which it finds the same data as the provider.
    pub(crate) env: Option<(String, SecretString)>,
    /// The variable of the session that the command prints, if it prints one.
    pub(crate) session: Option<&'static str>,
}

/// How that is done with these settings.
pub(crate) fn opening(settings: &Settings, env: &Env, folders: &Folders) -> Opening {
    if is_rbw(settings) {
        return Opening {
            command: Some("rbw unlock"),
            env: rbw::profile(settings),
            session: None,
        };
    }
    Opening {
        command: None,
        env: bw::data_folder(settings.text("profile"), env, folders),
        session: Some(bw::SESSION),
    }
}

/// What both programs' failures are told by.
fn login_words(stderr: &str) -> bool {
    const LOGIN: &[&str] = &[
        "vault is locked",
        "not logged in",
        "session key is invalid",
        "bw_session",
        "you must login",
        "you must log in",
        "agent is locked",
        "failed to unlock",
        "pinentry",
        "incorrect email or password",
        "invalid master password",
    ];
    let stderr = stderr.to_ascii_lowercase();
    LOGIN.iter().any(|word| stderr.contains(word))
}
