//! bash, from 4.0 on, and zsh, from 5.0 on.

use super::{Changes, Dialect};

pub(super) const BASH: Posix = Posix {
    template: include_str!("../scripts/bash.sh"),
};
pub(super) const ZSH: Posix = Posix {
    template: include_str!("../scripts/zsh.zsh"),
};

/// A shell with the words of POSIX.
#[derive(Debug)]
pub(super) struct Posix {
    template: &'static str,
}

impl Dialect for Posix {
    fn template(&self) -> &'static str {
        self.template
    }

    /// In `'…'` every character but the quote stands for itself (POSIX.1-2017, XCU 2.2.2). An `!` is no exception:
    /// history is expanded in what a person types, not in what `eval` gets.
    fn quote(&self, out: &mut String, text: &str) {
        out.push('\'');
        for (index, part) in text.split('\'').enumerate() {
            if index > 0 {
                out.push_str("'\\''");
            }
            out.push_str(part);
        }
        out.push('\'');
    }

    fn write(&self, out: &mut String, changes: &Changes) {
        for name in &changes.unset {
            out.push_str("unset ");
            out.push_str(name);
            out.push('\n');
        }
        for (name, value) in &changes.set {
            out.push_str("export ");
            out.push_str(name);
            out.push('=');
            self.quote(out, value.expose_secret());
            out.push('\n');
        }
    }

    fn keep(&self, out: &mut String) {
        out.push_str("__fnox_undo=");
    }
}
