//! What fnox can say to a shell.

mod fish;
mod json;
mod posix;
mod powershell;

use fnox_core::SecretString;
use zeroize::Zeroizing;

/// How variables change.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Exported variables to set.
    pub(crate) set: Vec<(String, SecretString)>,
    /// Variables to unset.
    pub(crate) unset: Vec<String>,
}

/// Code for a shell. It holds values, so it is overwritten after use.
pub(crate) type Script = Zeroizing<String>;

/// One shell's language.
pub(crate) trait Dialect: std::fmt::Debug + Sync {
    /// What a start-up file evaluates, before [`activation`] fills it in.
    fn template(&self) -> &'static str;

    /// Appends a text as one word, or one string, that means exactly that text.
    fn quote(&self, out: &mut String, text: &str);

    /// What stands between two words of a command.
    fn separator(&self) -> &'static str {
        " "
    }

    /// Appends code that makes changes.
    fn write(&self, out: &mut String, changes: &Changes);

    /// Appends the beginning of a line that sets a variable of the shell alone; programs do not get it.
    fn keep(&self, out: &mut String);

    /// Code that makes changes and keeps `undo` in the shell: what takes everything back if fnox is no longer there
    /// to be asked.
    fn script(&self, changes: &Changes, undo: Option<&Changes>) -> Script {
        let mut out = buffer(changes, undo);
        self.write(&mut out, changes);
        if let Some(undo) = undo {
            let mut text = buffer(undo, None);
            self.write(&mut text, undo);
            self.keep(&mut out);
            self.quote(&mut out, &text);
            out.push('\n');
        }
        out
    }
}

/// All shells, with further names of theirs.
static DIALECTS: [(&[&str], &dyn Dialect); 7] = [
    (&["bash"], &posix::BASH),
    (&["zsh"], &posix::ZSH),
    (&["fish"], &fish::Fish),
    (&["nu", "nushell"], &json::NUSHELL),
    (&["pwsh", "powershell"], &powershell::PowerShell),
    (&["elvish"], &json::ELVISH),
    (&["xonsh"], &json::XONSH),
];

/// The shell of this name, or of a path that ends in it; a login shell's name begins with a dash.
pub(crate) fn named(name: &str) -> Option<&'static dyn Dialect> {
    let name = name.rsplit('/').next()?.trim_start_matches('-');
    let found = DIALECTS.iter().find(|(names, _)| names.contains(&name));
    found.map(|(_, dialect)| *dialect)
}

/// The names of all shells.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    DIALECTS.iter().flat_map(|(names, _)| names.iter().copied())
}

/// What a start-up file evaluates. `flags` are what each call by the hook gets; `with_hook`: whether the shell calls
/// fnox by itself. In a template `@HOOK@` and `@END@` stand around what registers the hook.
pub(crate) fn activation(
    dialect: &dyn Dialect,
    program: &str,
    flags: &[String],
    with_hook: bool,
) -> String {
    let mut word = String::new();
    dialect.quote(&mut word, program);
    let mut words = String::new();
    for flag in flags {
        words.push_str(dialect.separator());
        dialect.quote(&mut words, flag);
    }
    let mut out = String::with_capacity(dialect.template().len() + 256);
    let mut is_kept = true;
    for line in dialect.template().lines() {
        match line.trim() {
            "# @HOOK@" => is_kept = with_hook,
            "# @END@" => is_kept = true,
            _ if is_kept => {
                let line = line.replace("@PROGRAM@", &word).replace("@FLAGS@", &words);
                out.push_str(&line);
                out.push('\n');
            }
            _ => {}
        }
    }
    out
}

/// A buffer that holds a script without growing: growing would leave copies of values behind.
fn buffer(changes: &Changes, undo: Option<&Changes>) -> Script {
    let size = |changes: &Changes| {
        let set = changes.set.iter();
        set.map(|(name, value)| name.len() + value.len() + 64)
            .sum::<usize>()
            + changes
                .unset
                .iter()
                .map(|name| name.len() + 64)
                .sum::<usize>()
    };
    // Up to eight bytes for a character that needs quoting, and up to sixteen where the quoted text is quoted again.
    let room = 8 * size(changes) + 16 * undo.map_or(0, size) + 256;
    Zeroizing::new(String::with_capacity(room))
}

#[cfg(test)]
mod tests;
