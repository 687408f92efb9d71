//! The server's own keys: what signs links, makes match codes, and chains the audit log.
//!
//! The signing key's file holds one key a line, `ID BASE64`: the first makes what is new, the others only verify
//! what is still under way. Every purpose has a key of its own, derived by HKDF-SHA-256 (RFC 5869), so that nothing
//! made for one purpose is worth anything for another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_core::audit::{ChainKey, ChainKeys};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::TryRngCore as _;
use sha2::Sha256;
use zeroize::Zeroizing;

/// What a derived key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Links to approvals.
    Link,
    /// Forms of pages.
    Nonce,
    /// Match codes.
    Code,
    /// The audit log.
    Audit,
    /// Cookies of people who logged in.
    Cookie,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Link => b"fnox server link v1",
            Self::Nonce => b"fnox server nonce v1",
            Self::Code => b"fnox server match code v1",
            Self::Audit => b"fnox server audit v1",
            Self::Cookie => b"fnox server cookie v1",
        }
    }
}

/// One key of the file.
#[derive(Clone)]
struct Key {
    id: [u8; 4],
    bytes: Zeroizing<[u8; 32]>,
}

/// The keys of the file.
#[derive(Clone)]
pub struct ServerKeys {
    keys: Vec<Key>,
}

/// The file is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKeys {
    /// No key in it.
    #[error("it holds no key; `fnox serve init` writes one")]
    Empty,
    /// A line that is no key.
    #[error("line {line} is not `ID BASE64` with an id of 8 hex digits and a key of 32 bytes")]
    Line {
        /// Which.
        line: usize,
    },
    /// Two keys of one id.
    #[error("line {line} has an id that another line has too")]
    Twice {
        /// Which.
        line: usize,
    },
    /// The machine has no random numbers.
    #[error("the machine gives no random numbers")]
    NoRandomness,
}

impl ServerKeys {
    /// Reads the file's text.
    ///
    /// # Errors
    /// [`InvalidKeys`].
    pub fn parse(text: &str) -> Result<Self, InvalidKeys> {
        let mut keys: Vec<Key> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line_number = index + 1;
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = parse_line(line).ok_or(InvalidKeys::Line { line: line_number })?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(InvalidKeys::Twice { line: line_number });
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(InvalidKeys::Empty);
        }
        Ok(Self { keys })
    }

    /// A new line for the file, without a line's end.
    ///
    /// # Errors
    /// [`InvalidKeys::NoRandomness`].
    pub fn generate_line() -> Result<Zeroizing<String>, InvalidKeys> {
        let mut id = [0_u8; 4];
        let mut bytes = Zeroizing::new([0_u8; 32]);
        let mut random = rand::rngs::OsRng;
        random
            .try_fill_bytes(&mut id)
            .and_then(|()| random.try_fill_bytes(&mut *bytes))
            .map_err(|_| InvalidKeys::NoRandomness)?;
        let encoded = Zeroizing::new(STANDARD.encode(*bytes));
        Ok(Zeroizing::new(format!("{} {}", hex::encode(id), *encoded)))
    }

    /// The id of the key that makes what is new.
    #[must_use]
    pub fn current(&self) -> [u8; 4] {
        // invariant: `parse` never leaves it empty.
        self.keys.first().map(|key| key.id).unwrap_or_default()
    }

    /// HMAC-SHA-256 over parts, each preceded by its length, under the key of a purpose. `None` if no key has the id.
    #[must_use]
    pub fn mac(&self, id: [u8; 4], purpose: Purpose, parts: &[&[u8]]) -> Option<[u8; 32]> {
        let derived = self.derive(id, purpose)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&*derived).ok()?;
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Some(mac.finalize().into_bytes().into())
    }

    /// The keys of the audit log.
    #[must_use]
    pub fn chain(&self) -> Option<ChainKeys> {
        let mut keys = self.keys.iter().filter_map(|key| {
            let bytes = self.derive(key.id, Purpose::Audit)?;
            Some(ChainKey::new(hex::encode(key.id), bytes))
        });
        let current = keys.next()?;
        Some(ChainKeys::new(current, keys.collect()))
    }

    fn derive(&self, id: [u8; 4], purpose: Purpose) -> Option<Zeroizing<[u8; 32]>> {
        let key = self.keys.iter().find(|key| key.id == id)?;
        let mut derived = Zeroizing::new([0_u8; 32]);
        Hkdf::<Sha256>::new(None, &*key.bytes)
            .expand(purpose.label(), &mut *derived)
            .ok()?;
        Some(derived)
    }
}

impl std::fmt::Debug for ServerKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<String> = self.keys.iter().map(|key| hex::encode(key.id)).collect();
        formatter.debug_tuple("ServerKeys").field(&ids).finish()
    }
}

fn parse_line(line: &str) -> Option<Key> {
    let (id, encoded) = line.split_once(' ')?;
    let mut key = Key {
        id: [0; 4],
        bytes: Zeroizing::new([0; 32]),
    };
    hex::decode_to_slice(id, &mut key.id).ok()?;
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    if decoded.len() != key.bytes.len() {
        return None;
    }
    key.bytes.copy_from_slice(&decoded);
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> ServerKeys {
        ServerKeys::parse(&ServerKeys::generate_line().unwrap()).unwrap()
    }

    #[test]
    fn each_purpose_has_a_key_of_its_own() {
        let keys = keys();
        let id = keys.current();
        let link = keys.mac(id, Purpose::Link, &[b"a"]).unwrap();
        assert_ne!(link, keys.mac(id, Purpose::Code, &[b"a"]).unwrap());
        assert_eq!(keys.mac([0xff; 4], Purpose::Link, &[b"a"]), None);
    }

    #[test]
    fn parts_do_not_run_into_one_another() {
        let keys = keys();
        let id = keys.current();
        assert_ne!(
            keys.mac(id, Purpose::Link, &[b"ab", b"c"]),
            keys.mac(id, Purpose::Link, &[b"a", b"bc"])
        );
    }

    #[test]
    fn a_former_key_still_verifies_after_a_rotation() {
        let old = ServerKeys::generate_line().unwrap();
        let new = ServerKeys::generate_line().unwrap();
        let before = ServerKeys::parse(&old).unwrap();
        let after = ServerKeys::parse(&format!("# keys\n{}\n\n{}\n", *new, *old)).unwrap();
        let id = before.current();
        assert_ne!(after.current(), id);
        assert_eq!(
            before.mac(id, Purpose::Link, &[b"x"]),
            after.mac(id, Purpose::Link, &[b"x"])
        );
    }

    #[test]
    fn a_bad_file_names_the_line() {
        assert_eq!(
            ServerKeys::parse("# none\n").unwrap_err(),
            InvalidKeys::Empty
        );
        assert_eq!(
            ServerKeys::parse("zz\n").unwrap_err(),
            InvalidKeys::Line { line: 1 }
        );
        let line = ServerKeys::generate_line().unwrap();
        assert_eq!(
            ServerKeys::parse(&format!("{0}\n{0}\n", *line)).unwrap_err(),
            InvalidKeys::Twice { line: 2 }
        );
    }
}
