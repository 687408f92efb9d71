//! Percent-encoding (RFC 3986, section 2), in one normal form.
//!
//! Bytes that mean the same encoded or not, the unreserved ones, are never encoded; all others are encoded with
//! capital digits unless they may stand and did (section 6.2.2). Reserved characters are left as they came,
//! because `%3A` and `:` are not the same to every server.

use std::borrow::Cow;

/// A `%` without two hexadecimal digits after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BrokenEncoding;

/// The normal form of `text`. What `may_stand` says yes to is left as it is, if it came unencoded.
pub(crate) fn normalize(
    text: &str,
    may_stand: impl Fn(u8) -> bool,
) -> Result<String, BrokenEncoding> {
    let mut normal = String::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            match encoded(bytes.next(), bytes.next())? {
                plain if is_unreserved(plain) => normal.push(char::from(plain)),
                other => push_encoded(&mut normal, other),
            }
        } else if is_unreserved(byte) || may_stand(byte) {
            normal.push(char::from(byte));
        } else {
            push_encoded(&mut normal, byte);
        }
    }
    Ok(normal)
}

/// `text` with every byte encoded that is not unreserved.
pub(crate) fn encode(text: &str) -> String {
    encode_all_but(text, |_| false)
}

/// `text` with every byte encoded that is not unreserved and may not stand either.
pub(crate) fn encode_all_but(text: &str, may_stand: impl Fn(u8) -> bool) -> String {
    // A credential may be in it, so it does not grow and leave copies behind.
    let mut encoded = String::with_capacity(3 * text.len());
    for byte in text.bytes() {
        if is_unreserved(byte) || may_stand(byte) {
            encoded.push(char::from(byte));
        } else {
            push_encoded(&mut encoded, byte);
        }
    }
    encoded
}

/// What `text` stands for. A `%` without digits stands for itself; a normal form has none.
pub(crate) fn decode(text: &str) -> Cow<'_, [u8]> {
    decode_once(text.as_bytes()).map_or(Cow::Borrowed(text.as_bytes()), Cow::Owned)
}

/// What `text` stands for, if that is something else.
pub(crate) fn decode_once(text: &[u8]) -> Option<Vec<u8>> {
    if !text.contains(&b'%') {
        return None;
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let digits = (text.get(at + 1).copied(), text.get(at + 2).copied());
        match (text[at], encoded(digits.0, digits.1)) {
            (b'%', Ok(byte)) => {
                plain.push(byte);
                at += 3;
            }
            (byte, _) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    (plain.len() < text.len()).then_some(plain)
}

/// What never needs to be encoded (RFC 3986, section 2.3).
pub(crate) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn encoded(high: Option<u8>, low: Option<u8>) -> Result<u8, BrokenEncoding> {
    let digit = |byte: Option<u8>| {
        byte.and_then(|byte| char::from(byte).to_digit(16))
            .and_then(|digit| u8::try_from(digit).ok())
            .ok_or(BrokenEncoding)
    };
    Ok(digit(high)? << 4 | digit(low)?)
}

fn push_encoded(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn there_is_one_normal_form() {
        let normal = |text| normalize(text, |byte| b":@".contains(&byte));
        assert_eq!(normal("%7e%41%5F"), Ok("~A_".to_owned()));
        assert_eq!(
            normal("a:b%3ac d\u{fc}"),
            Ok("a:b%3Ac%20d%C3%BC".to_owned())
        );
        for broken in ["%", "%4", "%4g", "a%", "%%41"] {
            assert_eq!(normal(broken), Err(BrokenEncoding), "{broken}");
        }
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own_normal_form_and_means_the_same(text in "[ -~\u{fc}]{0,40}") {
            let may_stand = |byte| b"!$&'()*+,=:@".contains(&byte);
            if let Ok(normal) = normalize(&text, may_stand) {
                prop_assert_eq!(normalize(&normal, may_stand), Ok(normal.clone()));
                prop_assert_eq!(decode(&normal), decode(&text));
            }
        }

        #[test]
        fn what_was_encoded_is_decoded(text in ".{0,40}") {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|byte| is_unreserved(byte) || byte == b'%'));
            prop_assert_eq!(decode(&encoded), text.as_bytes());
        }
    }
}
