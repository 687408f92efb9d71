//! Everything that fnox prints. Data goes to stdout, everything else to stderr.

pub(crate) mod asked;
mod diagnostic;
pub mod documents;
mod excerpt;
mod table;

use std::io::{IsTerminal as _, Write as _};

use fnox_core::{Env, Length};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::CliError;
use crate::terminal::harmless;

pub(crate) use self::diagnostic::{plain, report};
pub(crate) use self::table::Table;

/// How wide the terminal is; `None` where there is none, or one that does not tell.
pub(crate) fn terminal_width() -> Option<usize> {
    #[cfg(unix)]
    let columns = rustix::termios::tcgetwinsize(std::io::stderr())
        .ok()
        .map(|size| usize::from(size.ws_col));
    #[cfg(not(unix))]
    let columns = ratatui::crossterm::terminal::size()
        .ok()
        .map(|(columns, _)| usize::from(columns));
    columns.filter(|columns| *columns > 0)
}

/// Whether the environment says that the terminal is to have no colours, or cannot show them.
pub(crate) fn colours_unwanted(env: &Env) -> bool {
    env.var("NO_COLOR").is_some() || env.var("TERM") == Some("dumb")
}

/// Where and how to print.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    quiet: bool,
    silent: bool,
    colour: bool,
}

#[expect(
    clippy::unused_self,
    reason = "all output goes through the printer, also what needs no setting of it"
)]
impl Printer {
    /// `no_colour`: by flag or [`colours_unwanted`]. Colours are only for terminals.
    pub(crate) fn new(quiet: bool, no_colour: bool) -> Self {
        Self {
            quiet,
            silent: false,
            colour: !no_colour && std::io::stderr().is_terminal(),
        }
    }

    /// The same without a word to anybody but the reader of the data.
    pub(crate) fn silent(self) -> Self {
        Self {
            quiet: true,
            silent: true,
            ..self
        }
    }

    pub(crate) fn colour(self) -> bool {
        self.colour
    }

    /// Whether only data and errors are wanted.
    pub(crate) fn is_quiet(self) -> bool {
        self.quiet
    }

    /// Prints data with a line end.
    pub(crate) fn line(self, text: &str) -> Result<(), CliError> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.write_all(b"\n")?;
        stdout.flush()?;
        Ok(())
    }

    /// Prints data as it is.
    pub(crate) fn raw(self, text: &str) -> Result<(), CliError> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }

    /// Prints one JSON document.
    pub(crate) fn json<T: Serialize>(self, document: &T) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(document).map_err(std::io::Error::from)?;
        self.line(&text)
    }

    /// Prints one JSON document on one line, without leaving copies of what is in it.
    pub(crate) fn json_line<T: Serialize>(self, document: &T) -> Result<(), CliError> {
        let mut length = Length::default();
        serde_json::to_writer(&mut length, document).map_err(std::io::Error::from)?;
        let mut text = Zeroizing::new(Vec::with_capacity(length.bytes() + 1));
        serde_json::to_writer(&mut *text, document).map_err(std::io::Error::from)?;
        text.push(b'\n');
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&text)?;
        stdout.flush()?;
        Ok(())
    }

    /// Tells the person that something was done. Not with `--quiet`.
    pub(crate) fn done(self, message: &str) {
        if !self.quiet {
            self.to_stderr("✓ ", "32", message);
        }
    }

    /// Tells the person something. Not with `--quiet`.
    pub(crate) fn note(self, message: &str) {
        if !self.quiet {
            self.to_stderr("", "", message);
        }
    }

    /// Tells the person something, also with `--quiet`.
    pub(crate) fn say(self, message: &str) {
        self.to_stderr("", "", message);
    }

    /// Warns, also with `--quiet`.
    pub(crate) fn warn(self, message: &str) {
        self.to_stderr("warning: ", "33", message);
    }

    fn to_stderr(self, mark: &str, colour: &str, message: &str) {
        if self.silent {
            return;
        }
        // Messages quote files, servers and programs.
        let message = harmless(message);
        let mut stderr = std::io::stderr().lock();
        // Nobody is left to tell if stderr is gone.
        let _ = if self.colour && !mark.is_empty() {
            writeln!(stderr, "\u{1b}[{colour}m{mark}\u{1b}[0m{message}")
        } else {
            writeln!(stderr, "{mark}{message}")
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_can_show_no_colours_gets_none() {
        let env = |name: &'static str, value: &'static str| Env::from_iter([(name, value)]);
        assert!(colours_unwanted(&env("TERM", "dumb")));
        assert!(colours_unwanted(&env("NO_COLOR", "1")));
        assert!(!colours_unwanted(&env("TERM", "xterm-256color")));
    }
}
