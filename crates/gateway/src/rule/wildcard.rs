//! Texts with `*`, which stands for any run of characters, also none.

/// A text in which `*` stands for anything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wildcard {
    /// What stands between the stars. One piece: there is no star.
    pieces: Vec<Box<str>>,
}

impl Wildcard {
    /// Reads a text. Every text is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            pieces: text.split('*').map(Box::from).collect(),
        }
    }

    /// Whether `text` is meant, all of it.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        let [first, middle @ .., last] = self.pieces.as_slice() else {
            return self.pieces.iter().all(|only| only.as_bytes() == text);
        };
        let Some(mut rest) = text.strip_prefix(first.as_bytes()) else {
            return false;
        };
        // The first place is as good as any: it leaves the most for the pieces that follow.
        for piece in middle {
            let Some(at) = find(rest, piece.as_bytes()) else {
                return false;
            };
            rest = &rest[at + piece.len()..];
        }
        rest.ends_with(last.as_bytes())
    }
}

fn find(text: &[u8], piece: &[u8]) -> Option<usize> {
    if piece.is_empty() {
        return Some(0);
    }
    text.windows(piece.len()).position(|window| window == piece)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, by trying everything.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            Some((byte, rest)) => text.first() == Some(byte) && naive(rest, &text[1..]),
        }
    }

    #[test]
    fn a_star_stands_for_any_run() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*b", "ab", true),
            ("a*b", "a", false),
            ("aa*aa", "aaa", false),
            ("*.json", "x.json", true),
            ("*.json", "x.json.exe", false),
        ] {
            let matches = Wildcard::new(pattern).matches(text.as_bytes());
            assert_eq!(matches, expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_trying_everything(pattern in "[ab*]{0,8}", text in "[ab]{0,12}") {
            let matches = Wildcard::new(&pattern).matches(text.as_bytes());
            prop_assert_eq!(matches, naive(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
