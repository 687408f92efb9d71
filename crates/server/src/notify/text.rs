//! Texts that others chose, made safe to look at.

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
        let is_escape = character.is_control() || is_hidden(character);
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

/// Whether a character shows nothing of its own, or changes how others are shown: `Default_Ignorable` and
/// `Bidi_Control` (UAX 9, UAX 44), separators of lines, private use. U+FE0F stays: emoji have it.
fn is_hidden(character: char) -> bool {
    matches!(character,
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{e000}'..='\u{f8ff}'
        | '\u{fe00}'..='\u{fe0e}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'
        | '\u{f0000}'..='\u{10ffff}')
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
