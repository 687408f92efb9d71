//! Offering a provider's login command to the person at the terminal, and running it.
//!
//! The type's own command is told which login is wanted: the profile of AWS, the server of Vault. A command of the configuration is
//! run as it is written.

use std::borrow::Cow;

use fnox_config::ProviderConfig;
use fnox_core::{Env, SecretName, SecretString};
use indexmap::IndexMap;

use super::Resolver;
use crate::backend::vault;
use crate::error::ProviderError;
use crate::settings::Settings;

/// What logs in at AWS; it takes `--profile` (AWS CLI Command Reference, "sso login").
const AWS: &str = "aws sso login";

/// The type whose command says by variables where to log in.
const VAULT: &str = "vault";

/// A command for `sh`, and its environment.
#[derive(Debug)]
struct Login {
    command: String,
    env: Env,
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
            Ok(()) => true,
            Err(reason) => {
                let message = format!("`{}` {reason}", login.command);
                self.options.prompt.message(&message);
                false
            }
        }
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
        };
        if provider.spec.name == VAULT {
            if !is_own && !vault::uses_login_of_others(&settings, &known) {
                return None;
            }
            let place = vault::place(&settings, &known);
            login.env = login.env.with_overlay(place);
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

/// Runs it on the terminal; what it prints goes beside the values that fnox prints.
async fn run(login: &Login) -> Result<(), String> {
    let status = tokio::process::Command::new("sh")
        .arg("-c")
        // Whatever the command is made of: redirections of its own stay what they are.
        .arg(format!("exec 1>&2\n{}", login.command))
        .env_clear()
        .envs(login.env.iter())
        .status()
        .await;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("failed ({status})")),
        Err(error) => Err(format!("could not be run: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
