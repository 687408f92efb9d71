//! The person at the terminal.
//!
//! Messages and questions may come from elsewhere (a plugin, a file): they cannot control the terminal.

mod hidden;

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use fnox_core::SecretString;
use fnox_core::prompt::{NoPrompt, Prompt};
use inquire::InquireError;

use self::hidden::Typed;

/// Asks on the terminal. Questions go to stderr, answers come from stdin, which both must be terminals. A question that is
/// left with Esc counts as not answered. Ctrl-C ends fnox, as it does when nothing is asked: whoever goes on by what
/// came of it must not take it for a no.
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
            let confirm = inquire::Confirm::new(&question).with_default(false);
            return answered(confirm.prompt());
        }
        // Somebody else's labels, as an age plugin's.
        let choices: Vec<String> = std::iter::once(yes).chain(no).map(harmless).collect();
        let answer = answered(inquire::Select::new(&question, choices).raw_prompt())?;
        Some(answer.index == 0)
    }

    fn agree(&self, question: &str) -> Option<bool> {
        let question = harmless(question);
        answered(inquire::Confirm::new(&question).with_default(true).prompt())
    }

    fn text(&self, question: &str) -> Option<String> {
        answered(inquire::Text::new(&harmless(question)).prompt())
    }

    fn secret(&self, question: &str) -> Option<SecretString> {
        match hidden::ask(&harmless(question)) {
            Ok(Typed::Answer(answer)) => Some(answer),
            Ok(Typed::Interrupt) => {
                interrupt();
                None
            }
            Ok(Typed::Nothing) | Err(_) => None,
        }
    }

    fn is_interactive(&self) -> bool {
        true
    }
}

/// While a question is asked the terminal sends no signal, but a key.
fn answered<T>(outcome: Result<T, InquireError>) -> Option<T> {
    match outcome {
        Ok(answer) => Some(answer),
        Err(InquireError::OperationInterrupted) => {
            let _ = writeln!(std::io::stderr().lock());
            interrupt();
            None
        }
        Err(_) => None,
    }
}

/// What the terminal does for Ctrl-C when nothing is asked. Whoever catches it goes on without an answer.
#[cfg(unix)]
pub(crate) fn interrupt() {
    use rustix::process::{Signal, getpid, kill_process};
    let _ = kill_process(getpid(), Signal::INT);
}

#[cfg(not(unix))]
pub(crate) fn interrupt() {
    // As a shell tells the end by SIGINT.
    std::process::exit(130);
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
