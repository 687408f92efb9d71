//! What the header of an age file shows without any key.
//!
//! X25519 stanzas do not say to whom they are addressed, so nobody can tell from them whether a value was
//! encrypted to today's recipients. Values that fnox writes therefore carry a stanza of a type of their
//! own, the [`Mark`]: a digest of the recipients, which stand beside the value in `fnox.toml` anyway.
//! Every age implementation skips stanzas that it does not know (age's C2SP specification, "Recipient
//! stanza"); the header's MAC covers the mark. It is a hint for `reencrypt`, never a permission.

use std::collections::HashSet;

use age_core::format::FileKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::Recipient;

/// The type of the mark's stanza.
const MARK: &str = "fnox-mark-v1";

/// Largest header that is looked at.
const HEADER_LIMIT: usize = 256 * 1024;

/// A stanza's first line: its type and arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    /// The type, for example `X25519`.
    pub kind: String,
    /// The arguments.
    pub arguments: Vec<String>,
}

/// The stanzas of a binary age file; `None` if it is none.
#[must_use]
pub fn stanzas(file: &[u8]) -> Option<Vec<Stanza>> {
    let head = file.get(..file.len().min(HEADER_LIMIT))?;
    let mut lines = head.split(|byte| *byte == b'\n');
    if lines.next()? != b"age-encryption.org/v1" {
        return None;
    }
    let mut found = Vec::new();
    for line in lines {
        if line.starts_with(b"---") {
            return Some(found);
        }
        let Some(line) = line.strip_prefix(b"-> ") else {
            continue;
        };
        let mut words = std::str::from_utf8(line)
            .ok()?
            .split(' ')
            .map(str::to_owned);
        found.push(Stanza {
            kind: words.next()?,
            arguments: words.collect(),
        });
    }
    None
}

/// To whom and how a value was encrypted, as a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    digest: String,
    bound: bool,
}

impl Mark {
    /// The mark of a set of recipients, and whether the plaintext is bound to a name.
    #[must_use]
    pub fn new(recipients: &[Recipient], bound: bool) -> Self {
        let mut texts: Vec<String> = recipients.iter().map(Recipient::canonical).collect();
        texts.sort();
        texts.dedup();
        let mut hasher = blake3::Hasher::new_derive_key("fnox 2026 age recipients mark v1");
        for text in texts {
            hasher.update(&(text.len() as u64).to_be_bytes());
            hasher.update(text.as_bytes());
        }
        let mut digest = [0u8; 16];
        hasher.finalize_xof().fill(&mut digest);
        Self {
            digest: STANDARD_NO_PAD.encode(digest),
            bound,
        }
    }

    /// The mark among a file's stanzas.
    #[must_use]
    pub fn find(stanzas: &[Stanza]) -> Option<Self> {
        let stanza = stanzas.iter().find(|stanza| stanza.kind == MARK)?;
        Some(Self {
            digest: stanza.arguments.first()?.clone(),
            bound: stanza.arguments.get(1).is_some_and(|word| word == "bound"),
        })
    }
}

impl age::Recipient for Mark {
    fn wrap_file_key(
        &self,
        _: &FileKey,
    ) -> Result<(Vec<age_core::format::Stanza>, HashSet<String>), age::EncryptError> {
        let mut args = vec![self.digest.clone()];
        if self.bound {
            args.push("bound".to_owned());
        }
        let stanza = age_core::format::Stanza {
            tag: MARK.to_owned(),
            args,
            body: Vec::new(),
        };
        Ok((vec![stanza], HashSet::new()))
    }
}
