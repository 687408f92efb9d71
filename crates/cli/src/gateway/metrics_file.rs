//! The numbers of one run in a file: `fnox agent run --metrics FILE`.
//!
//! It is there from the start, is written anew every few seconds and once more at the end, and is whole whenever somebody
//! reads it: what collects numbers from files (`node_exporter`'s `textfile`) can take it as it is.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::metrics::Numbers;
use crate::error::CliError;
use crate::output::Printer;

/// How often it is written.
const PAUSE: Duration = Duration::from_secs(5);

/// A file of numbers.
#[derive(Debug)]
pub(crate) struct MetricsFile {
    path: PathBuf,
    numbers: Numbers,
}

impl MetricsFile {
    /// Begins to count, and writes the file for the first time.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn create(path: PathBuf) -> Result<Self, CliError> {
        let numbers = Numbers::collect()?;
        let file = Self { path, numbers };
        file.write().map_err(|source| CliError::File {
            action: "write",
            path: file.path.clone(),
            source,
        })?;
        Ok(file)
    }

    /// Writes it every few seconds, for as long as it is polled.
    pub(crate) async fn keep(&self, printer: Printer) {
        let mut times = interval(PAUSE);
        times.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut has_failed = false;
        loop {
            times.tick().await;
            let failed = self.write().err();
            if let Some(error) = failed.as_ref().filter(|_| !has_failed) {
                printer.warn(&self.unwritten(error));
            }
            has_failed = failed.is_some();
        }
    }

    /// Writes it for the last time.
    pub(crate) fn finish(&self, printer: Printer) {
        if let Err(error) = self.write() {
            printer.warn(&self.unwritten(&error));
        }
    }

    fn unwritten(&self, error: &io::Error) -> String {
        let path = self.path.display();
        format!("the numbers of this run are not in {path}: {error}")
    }

    fn write(&self) -> io::Result<()> {
        replace(&self.path, self.numbers.text().as_bytes())
    }
}

/// Whole or not at all. There is nothing secret in it, and who collects it is often another user.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new()
        .prefix(".fnox-metrics-")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers.prom");
        for text in ["a longer text\n", "short\n"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        let names = std::fs::read_dir(folder.path()).unwrap();
        assert_eq!(names.count(), 1);
        assert!(replace(&folder.path().join("none/numbers"), b"").is_err());
    }
}
