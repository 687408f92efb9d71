//! Asking a person, as a parameter.

use crate::SecretString;

/// A way to reach the person at the terminal. Every method answers `None` when nobody can be asked.
pub trait Prompt: Send + Sync + std::fmt::Debug {
    /// Shows a message, for example "Tap your key".
    fn message(&self, text: &str);

    /// Asks a yes-or-no question. `yes` and `no` are the labels of the answers.
    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Option<bool>;

    /// Asks a question to which people usually say yes.
    fn agree(&self, question: &str) -> Option<bool> {
        self.confirm(question, "yes", Some("no"))
    }

    /// Asks for a text that may be seen.
    fn text(&self, question: &str) -> Option<String>;

    /// Asks for a text that must not be seen.
    fn secret(&self, question: &str) -> Option<SecretString>;

    /// Whether there is a person to ask.
    fn is_interactive(&self) -> bool;
}

/// Nobody to ask: no terminal, or `--non-interactive`.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPrompt;

impl Prompt for NoPrompt {
    fn message(&self, _: &str) {}

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn text(&self, _: &str) -> Option<String> {
        None
    }

    fn secret(&self, _: &str) -> Option<SecretString> {
        None
    }

    fn is_interactive(&self) -> bool {
        false
    }
}
