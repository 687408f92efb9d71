//! The person's editor, and the private file that it gets.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fnox_core::{SecretBytes, SecretString};
use signal_hook::consts::{SIGINT, SIGQUIT};

use crate::app::App;
use crate::error::CliError;
use crate::exec::files::PrivateFolder;

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
        let command = set("EDITOR").or_else(|| set("VISUAL")).unwrap_or("vi");
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
        // The editor has the terminal, and Ctrl-C is for it alone. If these cannot be caught, Ctrl-C ends fnox too.
        let nobody = Arc::new(AtomicBool::new(false));
        let caught = [SIGINT, SIGQUIT]
            .map(|signal| signal_hook::flag::register(signal, Arc::clone(&nobody)));
        // A shell takes the words of the variable apart, as git does, and never sees the text.
        let status = Command::new("sh")
            .args(["-c", &format!("{} \"$@\"", self.command), "sh"])
            .arg(&self.path)
            .current_dir(&app.cwd)
            .status();
        for id in caught.into_iter().flatten() {
            signal_hook::low_level::unregister(id);
        }
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
