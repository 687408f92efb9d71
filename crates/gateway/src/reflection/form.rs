//! The forms that a value may have in an answer, and what stands there instead.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// A value in one encoding, and its placeholder in the same.
pub(super) struct Form {
    /// What is looked for. Every byte of it may be percent-encoded or escaped as in JSON besides.
    pub(super) text: Zeroizing<Vec<u8>>,
    /// What takes its place.
    pub(super) replacement: Vec<u8>,
    /// The digit behind it that belongs to it in part.
    pub(super) tail: Option<Tail>,
}

/// All forms of `value`, which is to be replaced by `placeholder`.
pub(super) fn of(value: &[u8], placeholder: &[u8]) -> Vec<Form> {
    let mut forms = Vec::new();
    let mut add = |encode: &dyn Fn(&[u8]) -> Zeroizing<Vec<u8>>| {
        forms.push(Form {
            text: encode(value),
            replacement: encode(placeholder).to_vec(),
            tail: None,
        });
    };
    add(&|bytes| Zeroizing::new(bytes.to_vec()));
    add(&|bytes| hexadecimal(bytes, b"0123456789abcdef"));
    add(&|bytes| hexadecimal(bytes, b"0123456789ABCDEF"));
    // `\n` of a text in JSON that is itself in a text in JSON; the comparison reads one level.
    add(&json);
    // Characters beyond ASCII, which the comparison does not read.
    add(&|bytes| json_in_ascii(bytes, "0123456789abcdef"));
    add(&|bytes| json_in_ascii(bytes, "0123456789ABCDEF"));
    // `application/x-www-form-urlencoded`, where a space is a plus and a plus is percent-encoded.
    add(&form_urlencoded);
    for alphabet in [Alphabet::Standard, Alphabet::UrlSafe] {
        for before in 0..3 {
            forms.push(base64(value, placeholder, before, alphabet));
        }
    }
    forms
}

fn hexadecimal(bytes: &[u8], digits: &[u8; 16]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len() * 2));
    for byte in bytes {
        text.push(digits[usize::from(byte >> 4)]);
        text.push(digits[usize::from(byte & 15)]);
    }
    text
}

/// The inside of a JSON string (RFC 8259, section 7), shortest escapes first.
pub(super) fn json(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len() * 6));
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend([b'\\', *byte]),
            b'\n' => text.extend(b"\\n"),
            b'\r' => text.extend(b"\\r"),
            b'\t' => text.extend(b"\\t"),
            0x08 => text.extend(b"\\b"),
            0x0c => text.extend(b"\\f"),
            0x00..0x20 => {
                text.extend(b"\\u00");
                text.extend(hexadecimal(&[*byte], b"0123456789abcdef").iter());
            }
            _ => text.push(*byte),
        }
    }
    text
}

/// The same with everything beyond ASCII as `\uXXXX`, if it is text at all.
fn json_in_ascii(bytes: &[u8], digits: &str) -> Zeroizing<Vec<u8>> {
    let Ok(value) = std::str::from_utf8(bytes) else {
        return Zeroizing::new(bytes.to_vec());
    };
    let digits = digits.as_bytes();
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len() * 6));
    for character in value.chars() {
        if character.is_ascii() {
            let mut byte = [0];
            character.encode_utf8(&mut byte);
            text.extend(json(&byte).iter());
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            text.extend(b"\\u");
            text.extend([12, 8, 4, 0].map(|shift| digits[usize::from(*unit >> shift & 15)]));
        }
    }
    text
}

fn form_urlencoded(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len() * 3));
    for byte in bytes {
        match byte {
            b' ' => text.push(b'+'),
            b'+' => text.extend(b"%2B"),
            _ => text.push(*byte),
        }
    }
    text
}

/// The alphabets of RFC 4648, sections 4 and 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    Standard,
    UrlSafe,
}

impl Alphabet {
    fn encode(self, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Standard => STANDARD_NO_PAD.encode(bytes).into_bytes(),
            Self::UrlSafe => URL_SAFE_NO_PAD.encode(bytes).into_bytes(),
        })
    }

    fn digit(self, value: u8) -> u8 {
        match (value, self) {
            (0..26, _) => b'A' + value,
            (26..52, _) => b'a' + (value - 26),
            (52..62, _) => b'0' + (value - 52),
            (62, Self::Standard) => b'+',
            (62, Self::UrlSafe) => b'-',
            (_, Self::Standard) => b'/',
            (_, Self::UrlSafe) => b'_',
        }
    }

    fn value(self, digit: u8) -> Option<u8> {
        (0..64).find(|value| self.digit(*value) == digit)
    }
}

/// A base64 digit whose high bits are the last ones of a value, and whose low bits belong to what follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail {
    alphabet: Alphabet,
    /// How many of its six bits are the value's: 2 or 4.
    bits: u32,
    value: u8,
    placeholder: u8,
}

impl Drop for Form {
    fn drop(&mut self) {
        if let Some(tail) = &mut self.tail {
            tail.value = 0;
        }
    }
}

impl Tail {
    /// The digit with the placeholder's bits in place of the value's, if it has these.
    pub(super) fn rewrite(self, digit: u8) -> Option<u8> {
        let shared = 6 - self.bits;
        let value = self.alphabet.value(digit)?;
        (value >> shared == self.value).then(|| {
            let others = value & ((1 << shared) - 1);
            self.alphabet.digit(self.placeholder << shared | others)
        })
    }
}

/// The digits that are `value`'s alone when `before` bytes precede it in a group of three.
///
/// Of the first byte the high 4 bits (after one byte) or 2 bits (after two) stand in a digit that belongs to what
/// precedes, may have been sent already and stays as it is; of the last byte low bits may stand in the [`Tail`].
/// So that what follows keeps its place in the groups, the replacement has as many bytes as the value or differs
/// by a multiple of three, filled up with dots behind the placeholder; and so that the digit before it decodes
/// as before, one more byte with the value's high bits precedes a placeholder whose first byte has others.
fn base64(value: &[u8], placeholder: &[u8], before: usize, alphabet: Alphabet) -> Form {
    let kept: u8 = [0, 0b1111_0000, 0b1100_0000][before];
    let mut replacement = Vec::with_capacity(placeholder.len() + 4);
    if (placeholder[0] ^ value[0]) & kept != 0 {
        replacement.push(value[0] & kept | b'.' & !kept);
    }
    replacement.extend_from_slice(placeholder);
    while replacement.len() % 3 != value.len() % 3 {
        replacement.push(b'.');
    }
    let digits = |bytes: &[u8]| {
        let padded = Zeroizing::new([&[0; 3][..before], bytes].concat());
        let all = alphabet.encode(&padded);
        let own = (before * 8).div_ceil(6)..padded.len() * 8 / 6;
        Zeroizing::new(all[own].to_vec())
    };
    let bits = u32::try_from((before + value.len()) * 8 % 6).unwrap_or_default();
    let low = |bytes: &[u8]| bytes[bytes.len() - 1] & ((1 << bits) - 1);
    Form {
        text: digits(value),
        tail: (bits > 0).then(|| Tail {
            alphabet,
            bits,
            value: low(value),
            placeholder: low(&replacement),
        }),
        replacement: digits(&replacement).to_vec(),
    }
}
