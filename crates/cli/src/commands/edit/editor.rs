//! The person's editor, and the private file that it gets.

use std::path::PathBuf;
use std::process::Command;

use fnox_core::{SecretBytes, SecretString};

use crate::app::App;
use crate::error::CliError;
use crate::exec::files::PrivateFolder;
use crate::exec::signals::LeftToAnother;

/// A file that is being edited. It is removed with this.
pub(super) struct Session {
    path: PathBuf,
    command: String,
    _folder: PrivateFolder,
}

impl Session {
    pub(super) fn start(app: &App, name: &str, text: &SecretString) -> Result<Self, CliError> {
        let failed = |source| CliError::File {
            action: "make a private copy in",
            path: app.folders.runtime.clone(),
            source,
        };
        let set = |name: &str| app.env.var(name).filter(|text| !text.trim().is_empty());
        let named = set("EDITOR").or_else(|| set("VISUAL"));
        if named.is_none() && !app.prompt.is_interactive() {
            return Err(CliError::Usage {
                message: "there is no terminal for an editor".to_owned(),
                help: Some(
                    "run it at a terminal, without `--non-interactive`, or name a program in EDITOR that needs none"
                        .to_owned(),
                ),
            });
        }
        let command = named.unwrap_or(USUAL);
        let mut folder = PrivateFolder::guarded(&app.folders).map_err(failed)?;
        Ok(Self {
            path: folder.write(name, text).map_err(failed)?,
            command: command.to_owned(),
            _folder: folder,
        })
    }

    /// Runs the editor; what is in the file after it.
    pub(super) fn edit(&self, app: &App) -> Result<SecretString, CliError> {
        let failed = |reason: String| CliError::Failed {
            message: format!(
                "the editor `{}` {reason}, so nothing was written",
                self.command
            ),
            code: "cli::check_failed",
        };
        // The editor has the terminal, and Ctrl-C is for it alone.
        let left_to_editor = LeftToAnother::begin();
        let status = editor(&self.command)
            .arg(&self.path)
            .current_dir(&app.cwd)
            .status();
        drop(left_to_editor);
        let status = status.map_err(|error| failed(format!("did not start ({error})")))?;
        if !status.success() {
            return Err(failed(format!("ended with {status}")));
        }
        let bytes = std::fs::read(&self.path).map_err(|source| CliError::File {
            action: "read",
            path: self.path.clone(),
            source,
        })?;
        SecretBytes::new(bytes)
            .into_string()
            .map_err(|error| CliError::Input {
                what: "the edited text".to_owned(),
                reason: error.to_string(),
                help: None,
            })
    }
}

/// The editor if no variable names one.
const USUAL: &str = if cfg!(windows) { "notepad" } else { "vi" };

/// A shell takes the words of the variable apart, as git does, and never sees the text.
#[cfg(unix)]
fn editor(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{command} \"$@\""), "sh"]);
    shell
}

/// The program, in quotation marks if its path has spaces, and its arguments.
#[cfg(windows)]
fn editor(command: &str) -> Command {
    let command = command.trim();
    let quoted = command
        .strip_prefix('"')
        .and_then(|rest| rest.split_once('"'));
    let (program, arguments) = quoted
        .or_else(|| command.split_once(char::is_whitespace))
        .unwrap_or((command, ""));
    let mut editor = Command::new(program);
    editor.args(arguments.split_whitespace());
    editor
}
