//! The published test vectors of age (C2SP CCTV), read from `FNOX_TEST_VECTORS` or `../shared/vectors`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fnox_core::age::{DecryptError, Identities, decrypt};
use fnox_core::prompt::{NoPrompt, Prompt};
use fnox_core::{Env, SecretString};
use sha2::{Digest as _, Sha256};

fn folder() -> Option<PathBuf> {
    let env = Env::of_process();
    let root = env.var("FNOX_TEST_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    Some(root.join("age")).filter(|folder| folder.is_dir())
}

/// Vectors that the library answers differently: it still reads the stanzas of the first versions of rage,
/// in which an empty last line of a body was left out. The header's MAC covers them all the same.
const LENIENT: [&str; 2] = ["stanza_missing_body", "stanza_missing_final_line"];

struct Vector {
    fields: BTreeMap<String, Vec<String>>,
    file: Vec<u8>,
}

impl Vector {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap();
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in std::str::from_utf8(&bytes[..end]).unwrap().lines() {
            let (name, value) = line.split_once(": ").unwrap();
            fields
                .entry(name.to_owned())
                .or_default()
                .push(value.to_owned());
        }
        let mut file = bytes[end + 2..].to_vec();
        if fields.contains_key("compressed") {
            file = miniz_oxide::inflate::decompress_to_vec_zlib(&file).unwrap();
        }
        Self { fields, file }
    }

    fn all(&self, name: &str) -> &[String] {
        self.fields.get(name).map_or(&[], Vec::as_slice)
    }

    /// Why fnox does not take part in this one.
    fn left_out(&self) -> Option<&'static str> {
        if self.all("identity").is_empty() {
            return Some("passphrases open no values of fnox");
        }
        if self
            .all("identity")
            .iter()
            .any(|key| !key.starts_with("AGE-SECRET-KEY-1"))
        {
            return Some("post-quantum keys are not supported");
        }
        None
    }

    fn holds(&self) -> Result<(), String> {
        let nobody: Arc<dyn Prompt> = Arc::new(NoPrompt);
        let text = SecretString::from(self.all("identity").join("\n"));
        let identities = Identities::parse(&text, &nobody).map_err(|error| error.to_string())?;
        let outcome = decrypt(&identities, &self.file);
        let expected = self.all("expect")[0].as_str();
        let right = match (expected, &outcome) {
            ("success", Ok(plaintext)) => {
                hex::encode(Sha256::digest(plaintext.expose_secret())) == self.all("payload")[0]
            }
            ("no match", Err(error)) => matches!(error, DecryptError::NoMatch),
            ("success", Err(error)) => matches!(error, DecryptError::TooLarge),
            (_, Err(error)) => matches!(
                error,
                DecryptError::Malformed | DecryptError::Passphrase | DecryptError::TooLarge
            ),
            (_, Ok(_)) => false,
        };
        if right {
            return Ok(());
        }
        Err(format!(
            "expected {expected}, got {:?}",
            outcome.map(|_| "a plaintext")
        ))
    }
}

#[test]
fn published_vectors_hold() {
    let Some(folder) = folder() else {
        println!("left out: there is no folder of vectors");
        return;
    };
    let (mut held, mut left_out, mut failures) = (0, BTreeMap::new(), Vec::new());
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let vector = Vector::read(&entry.path());
        if let Some(reason) = vector.left_out() {
            *left_out.entry(reason).or_insert(0) += 1;
            continue;
        }
        if LENIENT.iter().any(|name| entry.file_name() == *name) {
            *left_out.entry("an old form of stanza is read").or_insert(0) += 1;
            continue;
        }
        match vector.holds() {
            Ok(()) => held += 1,
            Err(why) => failures.push(format!("{}: {why}", entry.file_name().display())),
        }
    }
    println!("{held} hold, left out: {left_out:?}");
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(held > 80, "only {held} vectors were tried");
}
