//! Offering a provider's login command to the person at the terminal, and running it.
//!
//! The type's own command is told which login is wanted: the profile of AWS, the server of Vault, the data of Bitwarden. Where such a
//! command prints what it opened, and keeps it nowhere, the provider is given that for the rest of the run. A command of the
//! configuration is run as it is written.

use std::borrow::Cow;
use std::process::Stdio;

use fnox_config::ProviderConfig;
use fnox_core::{Env, SecretBytes, SecretName, SecretString};
use indexmap::IndexMap;

use super::Resolver;
use crate::backend::{bitwarden, vault};
use crate::error::ProviderError;
use crate::settings::Settings;

/// What logs in at AWS; it takes `--profile` (AWS CLI Command Reference, "sso login").
const AWS: &str = "aws sso login";

/// The type whose command says by variables where to log in.
const VAULT: &str = "vault";

/// The type whose command depends on the program that reads the vault.
const BITWARDEN: &str = "bitwarden";

/// A command for `sh`, and its environment.
#[derive(Debug)]
struct Login {
    command: String,
    env: Env,
    /// The variable by which the provider is told what the command prints.
    session: Option<&'static str>,
}

impl Resolver<'_> {
    /// Offers the provider's login command on a terminal. `true`: it ran and succeeded.
    pub(super) async fn log_in(
        &self,
        provider: &ProviderConfig,
        values: &IndexMap<SecretName, SecretString>,
        reason: Option<&ProviderError>,
    ) -> bool {
        if !self.options.prompt_auth || !self.options.prompt.is_interactive() {
            return false;
        }
        let Some(login) = self.login(provider, values) else {
            return false;
        };
        self.options.prompt.message(&format!(
            "{} (`{}`) needs authentication: {}",
            provider.spec.label,
            provider.name,
            reason.map(ToString::to_string).unwrap_or_default()
        ));
        let question = format!("Run `{}` now?", login.command);
        if self.options.prompt.confirm(&question, "yes", Some("no")) != Some(true) {
            return false;
        }
        match run(&login).await {
            Ok(session) => {
                if let (Some(variable), Some(session)) = (login.session, session) {
                    self.keep_session(provider, variable, session);
                }
                true
            }
            Err(reason) => {
                let message = format!("`{}` {reason}", login.command);
                self.options.prompt.message(&message);
                false
            }
        }
    }

    /// Has the provider opened with it from now on.
    fn keep_session(&self, provider: &ProviderConfig, variable: &str, session: SecretString) {
        if let Ok(mut sessions) = self.opening.sessions.lock() {
            let session = (variable.to_owned(), session);
            sessions.insert(provider.name.to_string(), session);
        }
        self.options
            .prompt
            .message("the session is used in this run alone and kept nowhere");
    }

    /// `None`: there is no command, or nothing would come of it.
    fn login(
        &self,
        provider: &ProviderConfig,
        values: &IndexMap<SecretName, SecretString>,
    ) -> Option<Login> {
        let command = provider.auth_command.clone()?;
        let settings = self.settings(provider, values).ok()?;
        let known = self.env_of(provider, values);
        let is_own = provider.fields.contains("auth_command");
        let mut login = Login {
            command,
            env: self.options.env.clone(),
            session: None,
        };
        if provider.spec.name == VAULT {
            if !is_own && !vault::uses_login_of_others(&settings, &known) {
                return None;
            }
            let place = vault::place(&settings, &known);
            login.env = login.env.with_overlay(place);
        }
        if !is_own && provider.spec.name == BITWARDEN {
            let opening = bitwarden::opening(&settings, &known, &self.options.folders);
            if let Some(command) = opening.command {
                command.clone_into(&mut login.command);
            }
            login.env = login.env.with_overlay(opening.env);
            login.session = opening.session;
        }
        if !is_own && login.command == AWS {
            login.command.push_str(&profile_option(&settings));
        }
        Some(login)
    }
}

/// ` --profile NAME`, if the profile is written out: a secret's value is on no command line.
fn profile_option(settings: &Settings) -> String {
    let is_written = settings.fields().text("profile").is_some();
    match settings.text("profile").filter(|_| is_written) {
        Some(profile) => format!(" --profile {}", quoted(profile)),
        None => String::new(),
    }
}

/// One word for `sh` (POSIX, "Shell Command Language", 2.2.2 Single-Quotes).
fn quoted(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', r"'\''")).into()
}

/// Runs it on the terminal. What it prints goes beside the values that fnox prints, unless it is a session.
async fn run(login: &Login) -> Result<Option<SecretString>, String> {
    let (before, stdout) = match login.session {
        // Whatever the command is made of: redirections of its own stay what they are.
        None => ("exec 1>&2\n", Stdio::inherit()),
        Some(_) => ("", Stdio::piped()),
    };
    let child = tokio::process::Command::new("sh")
        .arg("-c")
        .arg(format!("{before}{}", login.command))
        .env_clear()
        .envs(login.env.iter())
        .stdout(stdout)
        .spawn();
    let ended = match child {
        Ok(child) => child.wait_with_output().await,
        Err(error) => Err(error),
    };
    let output = ended.map_err(|error| format!("could not be run: {error}"))?;
    let printed = SecretBytes::new(output.stdout);
    if !output.status.success() {
        return Err(format!("failed ({})", output.status));
    }
    match login.session {
        None => Ok(None),
        Some(_) => session(&printed)
            .map(Some)
            .ok_or_else(|| "printed something else than a session".to_owned()),
    }
}

/// One word on a line of its own.
fn session(printed: &SecretBytes) -> Option<SecretString> {
    let text = std::str::from_utf8(printed.expose_secret()).ok()?.trim();
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_word.then(|| SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_one_word() {
        let found = |printed: &[u8]| {
            let session = session(&SecretBytes::new(printed.to_vec()))?;
            Some(session.expose_secret().to_owned())
        };
        assert_eq!(found(b"c2Vzc2lvbg==\n").as_deref(), Some("c2Vzc2lvbg=="));
        for nothing in [
            &b""[..],
            b"\n",
            b"You are logged in!\n",
            b"a\nb\n",
            b"\xff\n",
        ] {
            assert_eq!(found(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_word_for_the_shell_is_quoted_where_it_has_to_be() {
        for (text, wanted) in [
            ("dev", "dev"),
            ("123456789012_Admin-Access", "123456789012_Admin-Access"),
            ("my team", "'my team'"),
            ("it's", r"'it'\''s'"),
            ("$(reboot)", "'$(reboot)'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(text), wanted);
        }
    }
}
