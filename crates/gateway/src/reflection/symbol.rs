//! One form of a value against a text, byte by byte, when every byte may be escaped or not.
//!
//! What reflects a request often escapes some of its bytes and others not: a percent-encoder leaves letters, a JSON
//! encoder writes `\/` or `/`, `\u002b` or `+`. So a form is not written in all its spellings; the comparison
//! reads the text as it may have been meant. It does not know whether the text is JSON or a URL and tries both,
//! for the whole of a value: what decodes to one by accident would be one all the same.

/// What a text begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// No escape sequence.
    Absent,
    /// One for `byte`, `length` long.
    Of { byte: u8, length: usize },
    /// The text ends within one, of a byte with these high four bits if they are known already.
    CutOff { high: Option<u8> },
}

/// Reads `%XX` (RFC 3986, section 2.1) or a JSON escape of an ASCII character (RFC 8259, section 7).
pub(super) fn escape(text: &[u8]) -> Escape {
    match text.first() {
        Some(b'%') => hexadecimal(&text[1..], 1),
        Some(b'\\') => json_escape(&text[1..]),
        _ => Escape::Absent,
    }
}

fn json_escape(rest: &[u8]) -> Escape {
    let byte = match rest.first() {
        None => return Escape::CutOff { high: None },
        Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'u') => return unicode_escape(&rest[1..]),
        Some(_) => return Escape::Absent,
    };
    Escape::Of { byte, length: 2 }
}

/// The digits of `\u00XX`. Beyond ASCII a character is more than a byte; forms spell these out.
fn unicode_escape(digits: &[u8]) -> Escape {
    let zeros = digits.iter().take(2).take_while(|digit| **digit == b'0');
    match zeros.count() {
        2 => match hexadecimal(&digits[2..], 4) {
            Escape::Of { byte, .. } if !byte.is_ascii() => Escape::Absent,
            Escape::CutOff { high: Some(8..) } => Escape::Absent,
            other => other,
        },
        count if count == digits.len() => Escape::CutOff { high: None },
        _ => Escape::Absent,
    }
}

/// Two digits after `before` bytes of an escape sequence.
fn hexadecimal(digits: &[u8], before: usize) -> Escape {
    let value = |digit: &u8| {
        char::from(*digit)
            .to_digit(16)
            .and_then(|it| u8::try_from(it).ok())
    };
    match (digits.first().map(value), digits.get(1).map(value)) {
        (None, _) => Escape::CutOff { high: None },
        (Some(Some(high)), None) => Escape::CutOff { high: Some(high) },
        (Some(Some(high)), Some(Some(low))) => Escape::Of {
            byte: high << 4 | low,
            length: before + 2,
        },
        _ => Escape::Absent,
    }
}

/// How far a form goes at the beginning of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    /// The whole form is there, and this much of the text is it.
    pub(super) whole: Option<usize>,
    /// The text ends before the form does, after as many bytes of the form.
    pub(super) begun: Option<usize>,
}

impl Comparison {
    fn whole(length: usize) -> Self {
        Self {
            whole: Some(length),
            begun: None,
        }
    }

    fn begun(count: usize) -> Self {
        Self {
            whole: None,
            begun: Some(count),
        }
    }

    /// The further one of each.
    fn further(self, other: Self) -> Self {
        Self {
            whole: self.whole.max(other.whole),
            begun: self.begun.max(other.begun),
        }
    }
}

/// Compares `form` with the beginning of `text`, however its bytes are escaped.
pub(super) fn compare(form: &[u8], text: &[u8]) -> Comparison {
    let equal = form
        .iter()
        .zip(text)
        .take_while(|(one, other)| one == other);
    let equal = equal.count();
    let plain = match (form.len() - equal, text.len() - equal) {
        (0, _) => Comparison::whole(equal),
        (_, 0) => Comparison::begun(equal),
        _ => Comparison::default(),
    };
    // The readings differ from the first `%` or backslash on.
    let seen = &text[..text.len().min(equal + 1)];
    if memchr::memchr2(b'%', b'\\', seen).is_none() {
        return plain;
    }
    READINGS
        .iter()
        .map(|leads| read(form, text, leads))
        .fold(plain, Comparison::further)
}

/// Which bytes begin escape sequences in a text. With `%` alone a backslash is one, and so on.
const READINGS: [&[u8]; 3] = [b"%", b"\\", b"%\\"];

fn read(form: &[u8], text: &[u8], leads: &[u8]) -> Comparison {
    let mut place = 0;
    for (count, byte) in form.iter().enumerate() {
        let Some(plain) = text.get(place) else {
            return Comparison::begun(count);
        };
        let escape = if leads.contains(plain) {
            escape(&text[place..])
        } else {
            Escape::Absent
        };
        place += match escape {
            Escape::Of { byte: it, length } if it == *byte => length,
            Escape::Absent if plain == byte => 1,
            Escape::CutOff { high } if high.is_none_or(|high| byte >> 4 == high) => {
                return Comparison::begun(count);
            }
            // What is cut off may turn out to be no escape sequence.
            Escape::CutOff { .. } if form[count..].starts_with(&text[place..]) => {
                return Comparison::begun(count);
            }
            _ => return Comparison::default(),
        };
    }
    Comparison::whole(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_as_far_as_the_text_goes() {
        let of = |byte, length| Escape::Of { byte, length };
        let cut = |high| Escape::CutOff { high };
        for (text, expected) in [
            ("", Escape::Absent),
            ("a", Escape::Absent),
            ("%2fa", of(b'/', 3)),
            ("%2F", of(b'/', 3)),
            ("%ff", of(0xff, 3)),
            ("%", cut(None)),
            ("%2", cut(Some(2))),
            ("%2x", Escape::Absent),
            ("%x2", Escape::Absent),
            ("\\/", of(b'/', 2)),
            ("\\\\\\", of(b'\\', 2)),
            ("\\n", of(b'\n', 2)),
            ("\\x", Escape::Absent),
            ("\\", cut(None)),
            ("\\u", cut(None)),
            ("\\u0", cut(None)),
            ("\\u00", cut(None)),
            ("\\u002", cut(Some(2))),
            ("\\u002B", of(b'+', 6)),
            ("\\u002b0", of(b'+', 6)),
            ("\\u01", Escape::Absent),
            ("\\u1", Escape::Absent),
            ("\\u00e9", Escape::Absent),
            ("\\u00e", Escape::Absent),
            ("\\U002b", Escape::Absent),
        ] {
            assert_eq!(escape(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn every_byte_may_be_escaped_or_not() {
        let form = b"a/b+c=%41\\d";
        for text in [
            "a/b+c=%41\\d",
            "a%2fb+c=%2541\\d",
            "%61%2F%62%2B%63%3D%25%34%31%5C%64",
            "a\\/b+c=%41\\\\d",
            "\\u0061\\u002Fb\\u002bc\\u003d%41\\u005cd",
            "a%2Fb\\u002bc=%2541%5cd",
        ] {
            let compared = compare(form, text.as_bytes());
            assert_eq!(compared.whole, Some(text.len()), "{text}");
            assert_eq!(compared.begun, None, "{text}");
            for end in 0..text.len() {
                let compared = compare(form, &text.as_bytes()[..end]);
                assert_eq!(compared.whole, None, "{text} until {end}");
                assert!(compared.begun.is_some(), "{text} until {end}");
            }
        }
        for text in ["a/b+c=%41\\e", "a%2gb", "%62", "\\u0062", "a%3"] {
            let absent = Comparison::default();
            assert_eq!(compare(form, text.as_bytes()), absent, "{text}");
        }
    }

    #[test]
    fn of_two_readings_the_longer_one_counts() {
        assert_eq!(compare(b"a\\", b"a\\").whole, Some(2));
        assert_eq!(compare(b"a\\", b"a\\").begun, Some(1));
        assert_eq!(compare(b"a\\", b"a\\\\b").whole, Some(3));
        // A backslash that is one is not the beginning of an escape sequence besides.
        assert_eq!(compare(b"a\\\\", b"a\\\\\\u0020").whole, Some(3));
    }
}
