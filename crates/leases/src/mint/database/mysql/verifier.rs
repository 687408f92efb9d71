//! What a server keeps in the place of a password.
//!
//! MySQL: `caching_sha2_password`, SHA-crypt with SHA-256 (Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512",
//! version 0.4) of 5000 rounds and with a salt of 20 characters (MySQL 8.0 source documentation, "Caching SHA2
//! authentication plugin"). MariaDB: `mysql_native_password`, SHA-1 of SHA-1, which is enough for a password of 256
//! random bits that nobody can guess, and is there without a plugin that somebody has to install.

use rand::Rng as _;
use sha1::{Digest as _, Sha1};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::hex;

/// Characters of a salt; none is one that the stored form gives a meaning to.
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const SALT_LENGTH: usize = 20;
const ROUNDS: usize = 5000;

/// A salt.
pub(super) fn random_salt() -> [u8; SALT_LENGTH] {
    let mut random = rand::rng();
    [(); SALT_LENGTH].map(|()| ALPHABET[random.random_range(0..ALPHABET.len())])
}

/// `*` and the hexadecimal digits of SHA-1 of SHA-1.
pub(super) fn native(password: &[u8]) -> String {
    let inner = Zeroizing::new(<[u8; 20]>::from(Sha1::digest(password)));
    format!("*{}", hex(&Sha1::digest(inner.as_slice())))
}

/// `$A$`, the rounds in thousands, `$`, the salt, the digest.
pub(super) fn caching_sha2(password: &[u8], salt: &[u8]) -> Vec<u8> {
    let mut stored = b"$A$005$".to_vec();
    stored.extend_from_slice(salt);
    stored.extend_from_slice(&in_text(&sha_crypt(password, salt)));
    stored
}

/// Steps 1 to 21 of the specification.
fn sha_crypt(password: &[u8], salt: &[u8]) -> [u8; 32] {
    let b = digest(&[password, salt, password]);
    let mut hash = Sha256::new();
    hash.update(password);
    hash.update(salt);
    hash.update(repeated(&b, password.len()).as_slice());
    let mut length = password.len();
    while length > 0 {
        hash.update(if length & 1 == 1 { &b[..] } else { password });
        length >>= 1;
    }
    let mut current = Zeroizing::new(<[u8; 32]>::from(hash.finalize()));

    let mut hash = Sha256::new();
    for _ in 0..password.len() {
        hash.update(password);
    }
    let p = repeated(&Zeroizing::new(hash.finalize().into()), password.len());
    let mut hash = Sha256::new();
    for _ in 0..16 + usize::from(current[0]) {
        hash.update(salt);
    }
    let s = repeated(&hash.finalize().into(), salt.len());

    for round in 0..ROUNDS {
        let is_odd = round & 1 == 1;
        let mut hash = Sha256::new();
        hash.update(if is_odd { p.as_slice() } else { &current[..] });
        if round % 3 != 0 {
            hash.update(s.as_slice());
        }
        if round % 7 != 0 {
            hash.update(p.as_slice());
        }
        hash.update(if is_odd { &current[..] } else { p.as_slice() });
        *current = hash.finalize().into();
    }
    *current
}

fn digest(parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    Zeroizing::new(hash.finalize().into())
}

fn repeated(block: &[u8; 32], length: usize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(block.iter().copied().cycle().take(length).collect())
}

/// Step 22: groups of three bytes in an order of their own, six bits a character, the lowest first.
fn in_text(digest: &[u8; 32]) -> Vec<u8> {
    const ORDER: [[usize; 3]; 10] = [
        [0, 10, 20],
        [21, 1, 11],
        [12, 22, 2],
        [3, 13, 23],
        [24, 4, 14],
        [15, 25, 5],
        [6, 16, 26],
        [27, 7, 17],
        [18, 28, 8],
        [9, 19, 29],
    ];
    let mut text = Vec::with_capacity(43);
    let mut add = |bytes: [u8; 3], characters: usize| {
        let mut word = bytes
            .iter()
            .fold(0, |word, byte| word << 8 | usize::from(*byte));
        for _ in 0..characters {
            text.push(ALPHABET[word & 0x3f]);
            word >>= 6;
        }
    };
    for group in ORDER {
        add(group.map(|index| digest[index]), 4);
    }
    add([0, digest[31], digest[30]], 3);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(digits: &str) -> Vec<u8> {
        let pairs = digits.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// The example of mode 7401 in hashcat's list of example hashes.
    #[test]
    fn caching_sha2_is_as_a_server_stores_it() {
        let salt = bytes("F9CC98CE08892924F50A213B6BC571A2C11778C5");
        let hash = bytes(
            "625479393559393965414D45316477456B484F41316E64484742577A2E3162785353526B7554584647562F",
        );
        let stored = caching_sha2(b"hashcat", &salt);
        assert_eq!(&stored[..7], b"$A$005$");
        assert_eq!(&stored[7..27], salt);
        assert_eq!(&stored[27..], hash);
    }

    /// The example of the specification: `crypt("Hello world!", "$5$saltstring")`.
    #[test]
    fn sha_crypt_is_as_specified() {
        let text = in_text(&sha_crypt(b"Hello world!", b"saltstring"));
        assert_eq!(
            std::str::from_utf8(&text).unwrap(),
            "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"
        );
    }

    /// The example of the MySQL 5.7 Reference Manual for PASSWORD('mypass').
    #[test]
    fn native_is_as_a_server_stores_it() {
        assert_eq!(
            native(b"mypass"),
            "*6C8989366EAF75BB670AD8EA7A7FC1176A95CEF4"
        );
    }

    #[test]
    fn salts_differ_and_are_plain() {
        let (one, other) = (random_salt(), random_salt());
        assert_ne!(one, other);
        assert!(one.iter().all(|byte| ALPHABET.contains(byte)));
    }
}
