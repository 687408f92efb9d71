//! PowerShell, 7 and the 5.1 of Windows.

use super::{Changes, Dialect};

#[derive(Debug)]
pub(super) struct PowerShell;

impl Dialect for PowerShell {
    fn template(&self) -> &'static str {
        include_str!("../scripts/powershell.ps1")
    }

    /// In `'…'` only the quote is special, and it is doubled. PowerShell takes the typographic quotes U+2018 to
    /// U+201B for the same character (`about_Quoting_Rules`), so they are doubled too. Line ends stand outside of the
    /// quotes: PowerShell reads a program's output by lines and forgets how each of them ended.
    fn quote(&self, out: &mut String, text: &str) {
        out.push_str("('");
        for character in text.chars() {
            match character {
                '\n' => out.push_str("'+\"`n\"+'"),
                '\r' => out.push_str("'+\"`r\"+'"),
                '\'' | '\u{2018}'..='\u{201b}' => out.extend([character, character]),
                other => out.push(other),
            }
        }
        out.push_str("')");
    }

    fn write(&self, out: &mut String, changes: &Changes) {
        for name in &changes.unset {
            out.push_str("Remove-Item -LiteralPath Env:");
            out.push_str(name);
            out.push_str(" -ErrorAction SilentlyContinue\n");
        }
        for (name, value) in &changes.set {
            out.push_str("${env:");
            out.push_str(name);
            out.push_str("} = ");
            self.quote(out, value.expose_secret());
            out.push('\n');
        }
    }

    fn keep(&self, out: &mut String) {
        out.push_str("$global:__fnox_undo = ");
    }
}
