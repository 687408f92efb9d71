//! The endpoint's files: of this user alone, whole or not there, gone with the endpoint.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fnox_core::SecretString;
use fnox_system::Rights;

/// A file that was written.
#[derive(Debug, Clone)]
pub(super) struct Place(PathBuf);

impl Place {
    /// As a variable holds it.
    pub(super) fn text(&self) -> io::Result<String> {
        self.0.to_str().map(str::to_owned).ok_or_else(|| {
            let reason = format!("the folder {} is not UTF-8", self.0.display());
            io::Error::new(io::ErrorKind::InvalidInput, reason)
        })
    }
}

/// What was written into one folder. Removed when dropped.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    written: Vec<PathBuf>,
}

impl Files {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            written: Vec::new(),
        }
    }

    pub(super) fn write(&mut self, name: &str, content: &SecretString) -> io::Result<Place> {
        let place = Place(self.folder.join(name));
        self.written.push(place.0.clone());
        self.rewrite(&place, content)?;
        Ok(place)
    }

    /// Whoever reads gets the old content or the new one, never a part.
    pub(super) fn rewrite(&self, place: &Place, content: &SecretString) -> io::Result<()> {
        let mut builder = tempfile::Builder::new();
        let mut temporary =
            fnox_system::create_temporary(&mut builder, &self.folder, Rights::Private)?;
        temporary.write_all(content.expose_secret().as_bytes())?;
        temporary.persist(&place.0)?;
        Ok(())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in &self.written {
            // The folder's owner removes the folder anyway.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn files_are_private_whole_and_gone_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut files = Files::new(folder.path());
        let place = files.write("a", &"one".into()).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let open = std::fs::File::open(&path).unwrap();
        files.rewrite(&place, &"the other".into()).unwrap();
        assert_eq!(std::io::read_to_string(open).unwrap(), "one");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "the other");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(files);
        assert!(!path.exists());
    }
}
