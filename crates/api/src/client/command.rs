//! What is to run, as a request for approval says it.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// SHA-256 in hex over the program and its arguments, each preceded by its length in bytes as 64-bit big-endian
/// number.
///
/// ```
/// # use fnox_api::client::command_hash;
/// assert_ne!(command_hash(&["a b".into()]), command_hash(&["a".into(), "b".into()]));
/// ```
#[must_use]
pub fn command_hash(argv: &[OsString]) -> String {
    let mut hash = Sha256::new();
    for word in argv {
        let bytes = word.as_encoded_bytes();
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
    let mut text = String::with_capacity(64);
    for byte in hash.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The command for people, as a shell would take it. Control characters, and those that change the direction of
/// writing, are shown as escapes; a long command is cut.
///
/// ```
/// # use fnox_api::client::command_display;
/// assert_eq!(command_display(&["npm".into(), "run".into(), "a b".into()]), "npm run 'a b'");
/// ```
#[must_use]
pub fn command_display(argv: &[OsString]) -> String {
    let mut shown = String::new();
    for word in argv {
        if !shown.is_empty() {
            shown.push(' ');
        }
        push_word(&mut shown, word);
        if shown.len() > LONGEST {
            let mut end = LONGEST;
            while !shown.is_char_boundary(end) {
                end -= 1;
            }
            shown.truncate(end);
            shown.push('…');
            break;
        }
    }
    shown
}

fn push_word(shown: &mut String, word: &OsStr) {
    let text = word.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        shown.push_str(&text);
        return;
    }
    if !text.chars().any(is_hidden) {
        shown.push('\'');
        shown.push_str(&text.replace('\'', r"'\''"));
        shown.push('\'');
        return;
    }
    shown.push_str("$'");
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            '\'' | '\\' => {
                shown.push('\\');
                shown.push(c);
            }
            c if is_hidden(c) => {
                let _ = write!(shown, "\\u{:04x}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown.push('\'');
}

/// Characters that move the cursor, turn the direction of writing, or do not show.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Bytes of a shown command; the server takes 4096.
const LONGEST: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn the_hash_is_the_documented_one() {
        // printf '\0\0\0\0\0\0\0\3npm\0\0\0\0\0\0\0\7publish' | sha256sum
        assert_eq!(
            command_hash(&words(&["npm", "publish"])),
            "85a164a22c6e2ecd73ec0a7397aa33f23ea057da56aa94b6a5cac86023cef8af"
        );
    }

    #[test]
    fn words_cannot_be_shifted_over_their_borders() {
        let hashes = [
            command_hash(&words(&["ab", "c"])),
            command_hash(&words(&["a", "bc"])),
            command_hash(&words(&["abc"])),
            command_hash(&words(&["ab", "c", ""])),
        ];
        for (index, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..index].contains(hash));
        }
    }

    #[test]
    fn hostile_words_are_shown_as_what_they_are() {
        for (word, expected) in [
            ("", "''"),
            ("it's", r"'it'\''s'"),
            ("a\nb", r"$'a\nb'"),
            ("\u{1b}[2K\r", r"$'\u001b[2K\r'"),
            ("\u{202e}gnp", r"$'\u202egnp'"),
            ("$(id)", "'$(id)'"),
            ("grün", "'grün'"),
        ] {
            assert_eq!(command_display(&words(&[word])), expected);
        }
        let long = command_display(&vec!["x".into(); 3000]);
        assert!(long.len() < LONGEST + 8 && long.ends_with('…'));
        assert!(command_display(&words(&[&"ä".repeat(3000)])).ends_with('…'));
    }
}
