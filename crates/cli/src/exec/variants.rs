//! The forms in which a secret may show up in a program's output.
//!
//! Besides the value itself: each of its longer lines, since programs indent or wrap them, and for values
//! of some length base64 (RFC 4648, both alphabets, at each of the three alignments that a longer text can
//! give it), percent-encoding (RFC 3986) and JSON's escapes (RFC 8259). This is best effort: a program
//! that wants to show a secret always can.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use fnox_core::SecretString;
use zeroize::Zeroizing;

/// Values of fewer characters are not replaced: they occur everywhere.
const SHORTEST: usize = 3;

/// Lines and encodings of fewer characters are not looked for.
const SHORTEST_VARIANT: usize = 8;

/// Longer values are looked for as they are and by line, but not encoded.
const LONGEST_ENCODED: usize = 16 * 1024;

/// All forms of all values, sorted, each once.
#[must_use]
pub(super) fn of(values: &[SecretString]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut found = Vec::new();
    for value in values {
        let value = value.expose_secret().trim();
        if value.chars().count() < SHORTEST {
            continue;
        }
        push(&mut found, value.as_bytes());
        if value.contains('\n') {
            for line in value.lines().map(str::trim) {
                if line.chars().count() >= SHORTEST_VARIANT {
                    push(&mut found, line.as_bytes());
                }
            }
        }
        if (SHORTEST_VARIANT..=LONGEST_ENCODED).contains(&value.len()) {
            push_encoded(&mut found, value);
        }
    }
    found.sort_unstable_by(|one, other| one.as_slice().cmp(other.as_slice()));
    found.dedup();
    found
}

fn push(found: &mut Vec<Zeroizing<Vec<u8>>>, bytes: &[u8]) {
    found.push(Zeroizing::new(bytes.to_vec()));
}

fn push_encoded(found: &mut Vec<Zeroizing<Vec<u8>>>, value: &str) {
    for engine in [&STANDARD, &URL_SAFE] {
        let whole = Zeroizing::new(engine.encode(value));
        push(found, whole.as_bytes());
        for offset in 0..3 {
            let mut shifted = Zeroizing::new(vec![0; offset]);
            shifted.extend_from_slice(value.as_bytes());
            let text = Zeroizing::new(engine.encode(&*shifted));
            // Six bits a character: leave out the ones that also hold bits of a neighbour.
            let (from, to) = ((offset * 8).div_ceil(6), shifted.len() * 8 / 6);
            push(found, &text.as_bytes()[from..to]);
        }
    }
    let percent = percent_encoded(value);
    let form = Zeroizing::new(percent.replace("%20", "+"));
    push(found, percent.as_bytes());
    push(found, form.as_bytes());
    if let Ok(json) = serde_json::to_string(value).map(Zeroizing::new) {
        // Without the quotation marks.
        push(found, &json.as_bytes()[1..json.len() - 1]);
    }
}

/// All but the unreserved characters of RFC 3986, section 2.3.
fn percent_encoded(value: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(value.len() * 3));
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            for digit in [byte >> 4, byte & 15] {
                let digit = char::from_digit(u32::from(digit), 16).unwrap_or('0');
                text.push(digit.to_ascii_uppercase());
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(value: &str) -> Vec<String> {
        of(&[SecretString::from(value)])
            .iter()
            .map(|form| String::from_utf8(form.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn short_values_are_left_alone_and_others_trimmed() {
        assert!(forms(" ab \n").is_empty());
        assert_eq!(forms(" abc\n"), ["abc"]);
        assert_eq!(forms("äöü"), ["äöü"]);
    }

    #[test]
    fn each_longer_line_counts() {
        let forms = forms("-----BEGIN KEY-----\n  MIIEvQIBADANBg\nshort\n-----END KEY-----");
        assert!(forms.contains(&"MIIEvQIBADANBg".to_owned()));
        assert!(!forms.contains(&"short".to_owned()));
    }

    #[test]
    fn a_value_is_found_in_base64_wherever_it_stands_in_the_text() {
        let value = "hunter2-hunter2";
        let forms = forms(value);
        for prefix in ["", "u", "us", "use", "user:"] {
            for suffix in ["", "x", "xy", "xyz"] {
                let text = STANDARD.encode(format!("{prefix}{value}{suffix}"));
                assert!(
                    forms
                        .iter()
                        .any(|form| form.len() > 16 && text.contains(form)),
                    "{prefix}|{suffix}: {text}"
                );
            }
        }
        assert!(forms.contains(&STANDARD.encode(value)));
    }

    #[test]
    fn percent_and_json_forms_are_there() {
        let forms = forms("pass word/ä\"\\");
        assert!(forms.contains(&"pass%20word%2F%C3%A4%22%5C".to_owned()));
        assert!(forms.contains(&"pass+word%2F%C3%A4%22%5C".to_owned()));
        assert!(forms.contains(&r#"pass word/ä\"\\"#.to_owned()));
    }
}
