//! Texts of somebody else in messages.

/// The text with its control characters escaped, and not longer than `limit` characters and `…`.
///
/// ```
/// # use fnox_core::shown;
/// assert_eq!(shown("a\nb", 40), r"a\nb");
/// assert_eq!(shown("abcdef", 3), "abc…");
/// ```
#[must_use]
pub fn shown(text: &str, limit: usize) -> String {
    let escaped = text.escape_debug().to_string();
    match escaped.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &escaped[..end]),
        None => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_moves_no_cursor_and_fills_no_screen() {
        assert_eq!(shown("a\u{1b}[2J\t\n", 40), "a\\u{1b}[2J\\t\\n");
        assert_eq!(shown("ü", 1), "ü");
        assert_eq!(shown(&"ü".repeat(9), 3), "üüü…");
    }
}
