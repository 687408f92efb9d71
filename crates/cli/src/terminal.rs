//! The person at the terminal.
//!
//! Messages and questions may come from elsewhere (a plugin, a file): they cannot control the terminal.

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
        let _ = writeln!(std::io::stderr().lock(), "{}", harmless(text));
    }

    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let question = harmless(question);
        if (yes, no) == ("yes", Some("no")) {
            return inquire::Confirm::new(&question)
                .with_default(false)
                .prompt()
                .ok();
        }
        // Somebody else's labels, as an age plugin's.
        let choices: Vec<String> = std::iter::once(yes).chain(no).map(harmless).collect();
        let answer = inquire::Select::new(&question, choices).raw_prompt().ok()?;
        Some(answer.index == 0)
    }

    fn text(&self, question: &str) -> Option<String> {
        inquire::Text::new(&harmless(question)).prompt().ok()
    }

    fn secret(&self, question: &str) -> Option<SecretString> {
        inquire::Password::new(&harmless(question))
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

/// The text without control characters, but with its line breaks.
pub(crate) fn harmless(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' => '\n',
            '\t' => ' ',
            other if other.is_control() => char::REPLACEMENT_CHARACTER,
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn a_text_from_elsewhere_cannot_control_the_terminal() {
        assert_eq!(
            harmless("Tap\u{1b}[2J your\u{9b}key\nnow\r"),
            "Tap\u{fffd}[2J your\u{fffd}key\nnow\u{fffd}"
        );
    }
}
