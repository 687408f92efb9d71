//! What a credential looks like, and random texts that look like it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fnox_core::SecretString;
use rand::seq::IndexedRandom as _;
use rand::{CryptoRng, Rng as _};

/// The form of a credential, as far as programs check it before they send it.
///
/// It says nothing about a credential but its kind and its length, and of credentials of no known kind the
/// length only roughly: those may be passwords that people made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// Random letters after a fixed beginning.
    Token {
        prefix: &'static str,
        alphabet: &'static [u8],
        length: usize,
        /// Signs of `=` at the end.
        padding: usize,
    },
    /// `xoxb-1234-5678-abcd`: parts between dashes, each of digits or of letters and digits.
    Dashed {
        prefix: &'static str,
        parts: Vec<(&'static [u8], usize)>,
    },
    /// Three parts of base64url (RFC 7515, section 3.1).
    Jwt { signature: usize },
    /// RFC 9562, section 5.4.
    Uuid { is_upper: bool },
}

const DIGITS: &[u8] = b"0123456789";
const HEX: &[u8] = b"0123456789abcdef";
const UPPER_HEX: &[u8] = b"0123456789ABCDEF";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const LETTERS_AND_DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Fewer random letters than this are never made, so that nobody guesses or meets a placeholder by chance.
const LEAST: usize = 24;
/// Longer ones than this are never made.
const MOST: usize = 512;

/// How kinds of credentials begin, the longer of two first.
const PREFIXES: [&str; 24] = [
    "github_pat_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "glpat-",
    "gldt-",
    "glrt-",
    "sk-ant-api03-",
    "sk-ant-",
    "sk-proj-",
    "sk-",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "npm_",
    "pypi-",
    "hf_",
    "dop_v1_",
    "shpat_",
    "SG.",
    "ya29.",
    "hvs.",
];

/// Prefixes of Slack's tokens, whose parts are told apart by dashes.
const DASHED_PREFIXES: [&str; 5] = ["xoxb-", "xoxp-", "xoxa-", "xoxs-", "xapp-"];

/// Identifiers of AWS keys: four letters, then 16 of base32.
const AWS_PREFIXES: [&str; 2] = ["AKIA", "ASIA"];

impl Shape {
    /// The shape of a value.
    #[must_use]
    pub fn of(value: &SecretString) -> Self {
        let text = value.expose_secret();
        Self(
            aws(text)
                .or_else(|| dashed(text))
                .or_else(|| prefixed(text))
                .or_else(|| jwt(text))
                .or_else(|| uuid(text))
                .or_else(|| hexadecimal(text))
                .or_else(|| base64(text))
                .unwrap_or_else(|| password(text)),
        )
    }

    /// A shape for what has not been made yet: `length` letters and digits after `prefix`, which is one that is
    /// known, or nothing.
    #[must_use]
    pub fn token(prefix: &str, length: usize) -> Self {
        let known = AWS_PREFIXES.iter().chain(&PREFIXES);
        let prefix = known.copied().find(|known| *known == prefix);
        let alphabet = match prefix {
            Some(prefix) if AWS_PREFIXES.contains(&prefix) => BASE32,
            _ => LETTERS_AND_DIGITS,
        };
        Self(Form::Token {
            prefix: prefix.unwrap_or_default(),
            alphabet,
            length,
            padding: 0,
        })
    }

    /// A random text of this shape, with at least 80 bits of randomness.
    pub fn random<R: CryptoRng + ?Sized>(&self, rng: &mut R) -> String {
        match &self.0 {
            Form::Token {
                prefix,
                alphabet,
                length,
                padding,
            } => {
                let least = if *alphabet == BASE32 { 16 } else { LEAST };
                let length = (*length).clamp(least, MOST);
                let mut text = letters(prefix, alphabet, length, rng);
                text.push_str(&"=".repeat(*padding));
                text
            }
            Form::Dashed { prefix, parts } => {
                let parts: Vec<String> = parts
                    .iter()
                    .map(|(alphabet, length)| letters("", alphabet, *length, rng))
                    .collect();
                format!("{prefix}{}", parts.join("-"))
            }
            Form::Jwt { signature } => random_jwt((*signature).clamp(LEAST, MOST), rng),
            Form::Uuid { is_upper } => random_uuid(*is_upper, rng),
        }
    }
}

fn letters<R: CryptoRng + ?Sized>(
    prefix: &str,
    alphabet: &[u8],
    length: usize,
    rng: &mut R,
) -> String {
    let random = (0..length).filter_map(|_| alphabet.choose(rng).copied().map(char::from));
    prefix.chars().chain(random).collect()
}

/// Some programs read the claims of what they send; this one never expires, and is nobody's.
fn random_jwt<R: CryptoRng + ?Sized>(signature: usize, rng: &mut R) -> String {
    let subject = letters("", LETTERS_AND_DIGITS, LEAST, rng);
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
    let claims = format!(r#"{{"sub":"{subject}","iat":1700000000,"exp":4102444800}}"#);
    let claims = URL_SAFE_NO_PAD.encode(claims);
    let signature = letters("", LETTERS_AND_DIGITS, signature, rng);
    format!("{header}.{claims}.{signature}")
}

fn random_uuid<R: CryptoRng + ?Sized>(is_upper: bool, rng: &mut R) -> String {
    let bits: u128 = rng.random();
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let digits = format!("{bits:032x}");
    let text = format!(
        "{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    );
    if is_upper {
        text.to_ascii_uppercase()
    } else {
        text
    }
}

fn aws(text: &str) -> Option<Form> {
    let prefix = AWS_PREFIXES.into_iter().find(|it| text.starts_with(it))?;
    (text.len() == 20
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()))
    .then_some(Form::Token {
        prefix,
        alphabet: BASE32,
        length: 16,
        padding: 0,
    })
}

fn dashed(text: &str) -> Option<Form> {
    let prefix = DASHED_PREFIXES
        .into_iter()
        .find(|it| text.starts_with(it))?;
    let mut parts: Vec<(&[u8], usize)> = text[prefix.len()..]
        .split('-')
        .take(8)
        .map(|part| {
            let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
            let alphabet = if is_number {
                DIGITS
            } else {
                LETTERS_AND_DIGITS
            };
            (alphabet, part.len().min(MOST))
        })
        .collect();
    if let Some((alphabet, length)) = parts.last_mut() {
        *alphabet = LETTERS_AND_DIGITS;
        *length = (*length).max(LEAST);
    }
    Some(Form::Dashed { prefix, parts })
}

fn prefixed(text: &str) -> Option<Form> {
    let prefix = PREFIXES.into_iter().find(|it| text.starts_with(it))?;
    Some(Form::Token {
        prefix,
        alphabet: LETTERS_AND_DIGITS,
        length: text.len() - prefix.len(),
        padding: 0,
    })
}

fn jwt(text: &str) -> Option<Form> {
    let parts: Vec<&str> = text.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        return None;
    };
    let is_base64url = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    // `eyJ` is how `{"` begins.
    let is_jwt =
        header.starts_with("eyJ") && [header, claims, signature].into_iter().all(is_base64url);
    is_jwt.then_some(Form::Jwt {
        signature: signature.len(),
    })
}

fn uuid(text: &str) -> Option<Form> {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let is_hex = |byte: u8| byte == b'-' || byte.is_ascii_hexdigit();
    (lengths == [8, 4, 4, 4, 12] && text.bytes().all(is_hex)).then(|| Form::Uuid {
        is_upper: text.bytes().any(|byte| byte.is_ascii_uppercase()),
    })
}

fn hexadecimal(text: &str) -> Option<Form> {
    let alphabet = [HEX, UPPER_HEX]
        .into_iter()
        .find(|alphabet| text.bytes().all(|byte| alphabet.contains(&byte)))?;
    (text.len() >= 32).then_some(Form::Token {
        prefix: "",
        alphabet,
        length: text.len(),
        padding: 0,
    })
}

/// Letters and digits alone, so that it is base64 in every alphabet, and needs no escapes anywhere.
fn base64(text: &str) -> Option<Form> {
    let letters = text.trim_end_matches('=');
    let padding = text.len() - letters.len();
    let is_base64 = text.len() >= LEAST
        && padding <= 2
        && letters
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte));
    is_base64.then_some(Form::Token {
        prefix: "",
        alphabet: LETTERS_AND_DIGITS,
        length: letters.len(),
        padding,
    })
}

fn password(text: &str) -> Form {
    Form::Token {
        prefix: "",
        alphabet: LETTERS_AND_DIGITS,
        length: text.len().next_multiple_of(8),
        padding: 0,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    fn random(value: &str) -> String {
        let mut rng = StdRng::seed_from_u64(1);
        Shape::of(&SecretString::from(value)).random(&mut rng)
    }

    #[test]
    fn tokens_of_a_known_kind_keep_their_beginning_and_their_length() {
        let rest = "0aZ".repeat(12);
        for prefix in PREFIXES {
            let value = format!("{prefix}{rest}");
            let placeholder = random(&value);
            assert!(placeholder.starts_with(prefix), "{placeholder}");
            assert_eq!(placeholder.len(), value.len());
            assert_ne!(placeholder, value);
        }
    }

    #[test]
    fn the_longer_prefix_counts() {
        for (position, prefix) in PREFIXES.iter().enumerate() {
            let earlier = &PREFIXES[..position];
            assert!(!earlier.iter().any(|it| prefix.starts_with(it)), "{prefix}");
        }
        assert!(random("sk-ant-abc").starts_with("sk-ant-"));
    }

    #[test]
    fn keys_of_aws_are_20_letters_of_base32() {
        let placeholder = random("AKIAIOSFODNN7EXAMPLE");
        assert_eq!(placeholder.len(), 20);
        assert!(placeholder.starts_with("AKIA"));
        assert!(placeholder.bytes().all(|byte| BASE32.contains(&byte)));
        assert_eq!(
            Shape::token("ASIA", 16)
                .random(&mut StdRng::seed_from_u64(1))
                .len(),
            20
        );
    }

    #[test]
    fn tokens_of_slack_keep_their_parts() {
        let placeholder = random("xoxb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx");
        let parts: Vec<&str> = placeholder.split('-').collect();
        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        assert_eq!(lengths, [4, 12, 13, 24]);
        assert!(parts[1].bytes().all(|byte| byte.is_ascii_digit()));
    }

    #[test]
    fn a_jwt_can_be_read_as_one_and_never_expires() {
        let value = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzZXNhbWUifQ.c2lnbmF0dXJlc2lnbmF0dXJl";
        let placeholder = random(value);
        let parts: Vec<&str> = placeholder.split('.').collect();
        let [header, claims, _] = parts[..] else {
            panic!("{placeholder}");
        };
        let json = |part: &str| -> serde_json::Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        assert_eq!(json(header)["typ"], "JWT");
        assert_eq!(json(claims)["exp"], 4_102_444_800_u64);
        assert_ne!(json(claims)["sub"], "sesame");
    }

    #[test]
    fn uuids_are_of_version_4() {
        let placeholder = random("F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6");
        assert_eq!(placeholder.len(), 36);
        assert_eq!(placeholder.as_bytes()[14], b'4');
        assert!(b"89AB".contains(&placeholder.as_bytes()[19]));
    }

    #[test]
    fn hexadecimal_and_base64_stay_what_they_are() {
        let placeholder = random(&"0f".repeat(20));
        assert!(placeholder.len() == 40 && placeholder.bytes().all(|byte| HEX.contains(&byte)));
        let placeholder = random("c2VzYW1lc2VzYW1lc2VzYW1l/+0=");
        assert!(placeholder.len() == 28 && placeholder.ends_with('='));
    }

    #[test]
    fn of_passwords_not_even_the_length_is_told() {
        assert_eq!(random("hunter2").len(), 24);
        assert_eq!(random("correct horse battery staple").len(), 32);
        assert_eq!(random("").len(), 24);
        assert_eq!(random(&"x y".repeat(1000)).len(), MOST);
    }
}
