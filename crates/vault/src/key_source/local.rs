//! The text in which a file or a keychain entry holds wrapping keys.
//!
//! One key in each line, the oldest first: `fnox-vault-key-v1 ID HEX`. A line of 64 hex digits alone is a key too,
//! so that `openssl rand -hex 32` makes one.

use fnox_core::SecretString;
use fnox_core::seal::SealingKey;
use zeroize::Zeroizing;

use super::wrapping_key;

/// What a line with a key begins with.
const LABEL: &str = "fnox-vault-key-v1";

/// Reads all keys of a text.
///
/// # Errors
/// What is wrong with which line; never the line itself.
pub fn parse_keys(text: &str) -> Result<Vec<SealingKey>, String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            let number = number + 1;
            let mut words = line.split_whitespace();
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some(hex), None, None, None) => parse_key(hex)
                    .map_err(|problem| format!("is wrong in line {number}: {problem}")),
                (Some(LABEL), Some(id), Some(hex), None) => {
                    let key = parse_key(hex)
                        .map_err(|problem| format!("is wrong in line {number}: {problem}"))?;
                    if key.id() == id {
                        Ok(key)
                    } else {
                        Err(format!(
                            "is damaged in line {number}: the key does not fit its id"
                        ))
                    }
                }
                _ => Err(format!(
                    "is wrong in line {number}: expected `{LABEL} ID HEX` or 64 hex digits"
                )),
            }
        })
        .collect()
}

/// A key from its 64 hex digits.
///
/// # Errors
/// What is wrong with them, without repeating them.
pub(super) fn parse_key(hex: &str) -> Result<SealingKey, String> {
    let count = hex.chars().count();
    if count != 64 {
        return Err(format!(
            "a key has 64 hex digits, this has {count} characters"
        ));
    }
    let mut bytes = Zeroizing::new([0u8; 32]);
    hex::decode_to_slice(hex, bytes.as_mut())
        .map_err(|_| "a key has only hex digits".to_owned())?;
    Ok(wrapping_key(bytes))
}

/// Writes keys down, one in each line.
#[must_use]
pub fn format_keys(keys: &[SealingKey]) -> SecretString {
    // Long enough from the start, so that no copy is left behind by growing.
    let mut text = String::with_capacity(keys.len() * 110);
    for key in keys {
        let mut digits = Zeroizing::new([0u8; 64]);
        // invariant: 32 bytes are 64 digits.
        let _ = hex::encode_to_slice(key.expose_bytes().as_slice(), digits.as_mut());
        text.push_str(LABEL);
        text.push(' ');
        text.push_str(key.id());
        text.push(' ');
        text.extend(digits.iter().map(|digit| char::from(*digit)));
        text.push('\n');
    }
    SecretString::new(text)
}

/// A new random key.
///
/// # Errors
/// If the operating system gives no random bytes.
pub fn generate_key() -> Result<SealingKey, String> {
    let key = SealingKey::generate(String::new())
        .map_err(|_| "could not be made: the operating system gave no random bytes".to_owned())?;
    Ok(wrapping_key(key.expose_bytes().clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_being_written_down() {
        let keys = [generate_key().unwrap(), generate_key().unwrap()];
        let text = format_keys(&keys);
        let read = parse_keys(text.expose_secret()).unwrap();
        assert_eq!(
            read.iter().map(SealingKey::id).collect::<Vec<_>>(),
            [keys[0].id(), keys[1].id()]
        );
        assert_eq!(read[1].expose_bytes(), keys[1].expose_bytes());
    }

    #[test]
    fn what_is_no_key_is_named_by_line_and_not_repeated() {
        for text in [
            "xyz",
            &"ä".repeat(64),
            &"0".repeat(63),
            &format!("{LABEL} 00 {}", "0".repeat(64)),
            "a b c d e",
        ] {
            let problem = parse_keys(&format!("\n{text}")).unwrap_err();
            assert!(problem.contains("line 2"), "{problem}");
            assert!(!problem.contains(text), "{problem}");
        }
        assert!(parse_keys("").unwrap().is_empty());
        assert_eq!(parse_keys(&"Ab".repeat(32)).unwrap().len(), 1);
    }
}
