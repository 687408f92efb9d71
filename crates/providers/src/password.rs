//! The password of a database on this machine.

use std::sync::{Arc, OnceLock};

use fnox_core::SecretString;
use fnox_core::prompt::Prompt;

use crate::provider::Context;
use crate::settings::Settings;

/// From a variable, else from `password`, else from the person, who is asked once.
#[derive(Debug)]
pub(crate) struct DatabasePassword {
    known: Option<SecretString>,
    prompt: Arc<dyn Prompt>,
    asked: OnceLock<SecretString>,
}

impl DatabasePassword {
    /// The first of the variables that is set wins.
    pub(crate) fn new(settings: &Settings, context: &Context, variables: &[&str]) -> Self {
        let variable = variables
            .iter()
            .find_map(|name| context.env.secret(name))
            .filter(|password| !password.is_empty());
        Self {
            known: variable.or_else(|| settings.secret("password")),
            prompt: Arc::clone(&context.prompt),
            asked: OnceLock::new(),
        }
    }

    /// Whether nobody has to be asked.
    pub(crate) fn is_known(&self) -> bool {
        self.known.is_some() || self.asked.get().is_some()
    }

    /// The password, if it is known or somebody types it. `database` is what the question names.
    pub(crate) fn obtain(&self, database: &str) -> Option<&SecretString> {
        if let Some(known) = self.known.as_ref().or_else(|| self.asked.get()) {
            return Some(known);
        }
        let typed = self
            .prompt
            .secret(&format!("Password of {database}:"))
            .filter(|typed| !typed.is_empty())?;
        Some(self.asked.get_or_init(|| typed))
    }
}
