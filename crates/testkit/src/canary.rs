//! Looks for a value in everything that a run left behind.
//!
//! The value is searched as it is and in the shapes in which programs usually pass bytes on: base64
//! (at each of the three alignments, both alphabets), hexadecimal in both cases, and percent-encoding.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use crate::watched;

/// A value that must not turn up.
#[derive(Debug)]
pub struct Canary {
    shapes: Vec<(&'static str, Vec<u8>)>,
}

/// Where it did.
#[derive(Debug, PartialEq, Eq)]
pub struct Sighting {
    /// A file, or the name of an output.
    pub place: String,
    /// In which shape.
    pub shape: &'static str,
}

impl fmt::Display for Sighting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.place, self.shape)
    }
}

impl Canary {
    /// Watches for a value.
    ///
    /// # Panics
    /// If the value is so short that it could turn up by chance.
    #[must_use]
    pub fn new(value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        assert!(
            value.len() >= 8,
            "a canary of less than 8 bytes turns up by chance"
        );
        watched::watch(value);
        let mut shapes = vec![("as it is", value.to_vec())];
        for alignment in 0..3 {
            shapes.push(("base64", base64_core(&STANDARD_NO_PAD, value, alignment)));
            shapes.push(("base64url", base64_core(&URL_SAFE_NO_PAD, value, alignment)));
        }
        shapes.push(("hexadecimal", hex::encode(value).into_bytes()));
        shapes.push(("hexadecimal", hex::encode_upper(value).into_bytes()));
        let escaped = percent_encode(value, NON_ALPHANUMERIC).to_string();
        shapes.push(("percent-encoded", escaped.into_bytes()));
        Self { shapes }
    }

    /// Every sighting in outputs (each with a name) and in all files below folders, their names included.
    #[must_use]
    pub fn sightings(&self, outputs: &[(&str, &[u8])], folders: &[&Path]) -> Vec<Sighting> {
        let mut found = Vec::new();
        for (name, bytes) in outputs {
            self.look(name, bytes, &mut found);
        }
        for file in folders.iter().flat_map(|folder| files_below(folder)) {
            let name = file.to_string_lossy().into_owned();
            self.look(&name, name.as_bytes(), &mut found);
            if let Ok(bytes) = fs::read(&file) {
                self.look(&name, &bytes, &mut found);
            }
        }
        found
    }

    /// # Panics
    /// If the value turns up anywhere; the message lists the places, not the value.
    pub fn assert_absent(&self, outputs: &[(&str, &[u8])], folders: &[&Path]) {
        let found = self.sightings(outputs, folders);
        let places: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(
            places.is_empty(),
            "a secret leaked to: {}",
            places.join(", ")
        );
    }

    fn look(&self, place: &str, bytes: &[u8], found: &mut Vec<Sighting>) {
        let shape = self.shapes.iter().find(|(_, shape)| contains(bytes, shape));
        if let Some((shape, _)) = shape {
            found.push(Sighting {
                place: place.to_owned(),
                shape,
            });
        }
    }
}

/// The characters of the value's base64 text that do not depend on its neighbours, if `alignment` bytes
/// stand before it in its group of three.
fn base64_core(engine: &impl base64::Engine, value: &[u8], alignment: usize) -> Vec<u8> {
    let mut padded = vec![0; alignment];
    padded.extend_from_slice(value);
    let text = engine.encode(&padded);
    let start = (alignment * 8).div_ceil(6);
    let end = padded.len() * 8 / 6;
    text.as_bytes()[start..end].to_vec()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(bytes, needle).is_some()
}

/// All regular files below a folder; a symbolic link is not followed.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    const VALUE: &str = "hunter2/hunter2+é";

    fn seen(output: &[u8]) -> bool {
        !Canary::new(VALUE)
            .sightings(&[("out", output)], &[])
            .is_empty()
    }

    #[test]
    fn sees_a_value_in_every_shape() {
        assert!(seen(format!("x{VALUE}y").as_bytes()));
        for before in ["", "a", "ab", "abc"] {
            let text = format!("{before}{VALUE}z");
            assert!(seen(STANDARD_NO_PAD.encode(&text).as_bytes()), "{before}");
            assert!(seen(URL_SAFE_NO_PAD.encode(&text).as_bytes()), "{before}");
        }
        assert!(seen(hex::encode(format!("k{VALUE}")).as_bytes()));
        assert!(seen(b"t=hunter2%2Fhunter2%2B%C3%A9&"));
        assert!(!seen(b"hunter2/hunter3"));
    }

    #[test]
    fn looks_into_every_file_below_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("core"), [b"\0\xff", VALUE.as_bytes()].concat()).unwrap();
        let found = Canary::new(VALUE).sightings(&[], &[folder.path()]);
        assert_eq!(found.len(), 1);
        assert!(found[0].place.ends_with("a/b/core"), "{}", found[0]);
    }
}
