//! The person at the terminal.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use fnox_core::SecretString;
use fnox_core::prompt::{NoPrompt, Prompt};

/// Asks on the terminal. Questions go to stderr, answers come from stdin, which both must be terminals;
/// an interrupted question counts as not answered.
#[derive(Debug)]
pub(crate) struct TerminalPrompt;

impl TerminalPrompt {
    /// A prompt for the terminal if there is one, else one that never asks.
    pub(crate) fn if_terminal() -> Arc<dyn Prompt> {
        if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
            Arc::new(Self)
        } else {
            Arc::new(NoPrompt)
        }
    }
}

impl Prompt for TerminalPrompt {
    fn message(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        if (yes, no) == ("yes", Some("no")) {
            return inquire::Confirm::new(question)
                .with_default(false)
                .prompt()
                .ok();
        }
        // Somebody else's labels, as an age plugin's.
        let choices: Vec<&str> = std::iter::once(yes).chain(no).collect();
        let answer = inquire::Select::new(question, choices).prompt().ok()?;
        Some(answer == yes)
    }

    fn text(&self, question: &str) -> Option<String> {
        inquire::Text::new(question).prompt().ok()
    }

    fn secret(&self, question: &str) -> Option<SecretString> {
        inquire::Password::new(question)
            .without_confirmation()
            .with_display_mode(inquire::PasswordDisplayMode::Hidden)
            .prompt()
            .ok()
            .map(SecretString::new)
    }

    fn is_interactive(&self) -> bool {
        true
    }
}
