//! Texts that others chose, made safe to look at.

use fnox_core::question::is_invisible;

/// The text with everything visible: as `\u{…}` what controls terminals, changes the direction of writing, breaks lines,
/// or takes no room. Pictures of control characters (U+2400…) would look better, but few phones have them.
///
/// ```
/// # use fnox_server::notify::visible;
/// assert_eq!(visible("a\u{1b}[2Jb\n"), r"a\u{1b}[2Jb\u{a}");
/// assert_eq!(visible("main\u{202e}gpj"), r"main\u{202e}gpj");
/// ```
#[must_use]
pub fn visible(text: &str) -> String {
    pieces(text).into_iter().map(|(piece, _)| piece).collect()
}

/// [`visible`], cut where texts and escapes meet; true for escapes.
pub(crate) fn pieces(text: &str) -> Vec<(String, bool)> {
    let mut pieces: Vec<(String, bool)> = Vec::new();
    for character in text.chars() {
        let is_escape = character.is_control() || is_invisible(character);
        if pieces.last().is_none_or(|(_, kind)| *kind != is_escape) {
            pieces.push((String::new(), is_escape));
        }
        if let Some((piece, _)) = pieces.last_mut() {
            if is_escape {
                piece.extend(character.escape_unicode());
            } else {
                piece.push(character);
            }
        }
    }
    pieces
}

/// The text, or its beginning and `…` in at most `limit` bytes. It is never cut inside a character.
#[must_use]
pub fn shorten(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(limit.saturating_sub(ELLIPSIS.len()));
    format!("{}{ELLIPSIS}", &text[..end])
}

const ELLIPSIS: &str = "…";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_invisible_is_left() {
        let all: String = (0..=0x10_ffff).filter_map(char::from_u32).collect();
        let shown = visible(&all);
        assert!(!shown.chars().any(char::is_control));
        for hidden in [
            '\u{202e}',
            '\u{2066}',
            '\u{200b}',
            '\u{feff}',
            '\u{2028}',
            '\u{e0041}',
        ] {
            assert!(!shown.contains(hidden), "{hidden:?}");
        }
        assert_eq!(visible("grün 🚀 עברית"), "grün 🚀 עברית");
        assert_eq!(pieces("a\r\nb").len(), 3);
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(shorten("ααα", 5), "α…");
        for limit in 3..40 {
            let cut = shorten("🚀ü漢a🚀ü漢a🚀ü漢a🚀ü漢a", limit);
            assert!(cut.len() <= limit, "{limit}");
        }
    }
}
