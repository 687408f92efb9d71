//! fish, from 3.2 on.

use super::{Changes, Dialect};

#[derive(Debug)]
pub(super) struct Fish;

impl Dialect for Fish {
    fn template(&self) -> &'static str {
        include_str!("../scripts/fish.fish")
    }

    /// In `'…'` a backslash escapes the quote and itself; all else stands for itself (fish's manual, "Quotes").
    fn quote(&self, out: &mut String, text: &str) {
        out.push('\'');
        for character in text.chars() {
            if matches!(character, '\'' | '\\') {
                out.push('\\');
            }
            out.push(character);
        }
        out.push('\'');
    }

    fn write(&self, out: &mut String, changes: &Changes) {
        for name in &changes.unset {
            out.push_str("set -e -g ");
            out.push_str(name);
            out.push('\n');
        }
        for (name, value) in &changes.set {
            out.push_str("set -gx ");
            out.push_str(name);
            out.push(' ');
            self.quote(out, value.expose_secret());
            out.push('\n');
        }
    }

    fn keep(&self, out: &mut String) {
        out.push_str("set -g __fnox_undo ");
    }
}
