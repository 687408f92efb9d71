//! C2SP's vectors of the age format (github.com/C2SP/CCTV, age): what opens and what does not.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fnox_core::SecretString;
use fnox_core::age::{DecryptError, Identities, decrypt};
use fnox_core::prompt::{NoPrompt, Prompt};
use sha2::{Digest as _, Sha256};

/// Files protected by a passphrase would open with it, and fnox uses none: a listed exception, not a silent skip.
const PASSPHRASE: &[&str] = &["scrypt"];

/// The crate `age` also reads a stanza as early versions wrote it, without the empty last line of its body. The header's
/// MAC covers it, so nothing can be slipped in.
const LENIENT: &[&str] = &["stanza_missing_body", "stanza_missing_final_line"];

/// Plaintexts of more than 16 MiB, which no secret has.
const TOO_LARGE: &[&str] = &[
    "stream_257_chunks",
    "stream_257_chunks_full",
    "stream_258_chunks",
];

struct Vector {
    name: String,
    header: BTreeMap<String, Vec<String>>,
    file: Vec<u8>,
}

impl Vector {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap();
        let mut header: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in std::str::from_utf8(&bytes[..end]).unwrap().lines() {
            let (name, value) = line.split_once(": ").unwrap();
            header
                .entry(name.to_owned())
                .or_default()
                .push(value.to_owned());
        }
        let mut file = bytes[end + 2..].to_vec();
        if header.contains_key("compressed") {
            file = miniz_oxide::inflate::decompress_to_vec_zlib(&file).unwrap();
        }
        Self {
            name: path.file_name().unwrap().to_string_lossy().into_owned(),
            header,
            file,
        }
    }

    fn one(&self, name: &str) -> &str {
        &self.header[name][0]
    }
}

fn vectors() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/age");
    let mut vectors: Vec<Vector> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none())
        .map(|path| Vector::read(&path))
        .collect();
    vectors.sort_by(|one, other| one.name.cmp(&other.name));
    vectors
}

#[test]
fn every_vector_ends_as_the_format_says() {
    let prompt: Arc<dyn Prompt> = Arc::new(NoPrompt);
    let mut exceptions = Vec::new();
    let mut lenient = Vec::new();
    let mut large = Vec::new();
    let vectors = vectors();
    assert_eq!(vectors.len(), 123);
    for vector in &vectors {
        let text = vector
            .header
            .get("identity")
            // Vectors without an identity are about a passphrase; any identity will do.
            .map_or_else(
                || fnox_core::age::generate().0,
                |identities| SecretString::from(identities.join("\n").as_str()),
            );
        let identities = Identities::parse(&text, &prompt).unwrap();
        let outcome = decrypt(&identities, &vector.file);
        let name = &vector.name;
        match (vector.one("expect"), outcome) {
            ("success", Ok(plaintext)) => {
                let digest = hex::encode(Sha256::digest(plaintext.expose_secret()));
                assert_eq!(digest, vector.one("payload"), "{name}");
            }
            ("success", Err(DecryptError::TooLarge)) => large.push(name.as_str()),
            ("success", Err(DecryptError::Passphrase)) => exceptions.push(name.as_str()),
            ("success", Err(error)) => panic!("{name}: {error}"),
            (_, Ok(_)) if LENIENT.contains(&name.as_str()) => lenient.push(name.as_str()),
            (expected, Ok(_)) => panic!("{name} opened in spite of: {expected}"),
            ("no match", Err(error)) => assert!(
                matches!(error, DecryptError::NoMatch | DecryptError::Passphrase),
                "{name}: {error}"
            ),
            (_, Err(_)) => {}
        }
    }
    assert_eq!(exceptions, PASSPHRASE);
    assert_eq!(lenient, LENIENT);
    assert_eq!(large, TOO_LARGE);
}
