//! Shells that read JSON themselves: Nushell, elvish and xonsh. Nothing is evaluated there, so there is nothing
//! to quote but the strings of JSON (RFC 8259, section 7), which are strings of these three languages too.

use std::fmt::Write as _;

use super::{Changes, Dialect, Script, buffer};

pub(super) const NUSHELL: Json = Json {
    template: include_str!("../scripts/nushell.nu"),
    separator: " ",
};
pub(super) const ELVISH: Json = Json {
    template: include_str!("../scripts/elvish.elv"),
    separator: " ",
};
pub(super) const XONSH: Json = Json {
    template: include_str!("../scripts/xonsh.py"),
    separator: ", ",
};

/// A shell that reads JSON.
#[derive(Debug)]
pub(super) struct Json {
    template: &'static str,
    separator: &'static str,
}

impl Dialect for Json {
    fn template(&self) -> &'static str {
        self.template
    }

    fn separator(&self) -> &'static str {
        self.separator
    }

    /// Written here and not by a library, so that no copies of the text are left in buffers.
    fn quote(&self, out: &mut String, text: &str) {
        out.push('"');
        for character in text.chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                control if control < '\u{20}' || control == '\u{7f}' => {
                    let _ = write!(out, "\\u{:04x}", u32::from(control));
                }
                other => out.push(other),
            }
        }
        out.push('"');
    }

    fn write(&self, out: &mut String, changes: &Changes) {
        out.push_str("\"set\":{");
        for (index, (name, value)) in changes.set.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            self.quote(out, name);
            out.push(':');
            self.quote(out, value.expose_secret());
        }
        out.push_str("},\"unset\":[");
        for (index, name) in changes.unset.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            self.quote(out, name);
        }
        out.push(']');
    }

    fn keep(&self, out: &mut String) {
        out.push_str(",\"undo\":");
    }

    /// `{"set": {NAME: VALUE}, "unset": [NAME], "undo": {"set": …, "unset": …}}`; no `undo` where it stays as it is.
    fn script(&self, changes: &Changes, undo: Option<&Changes>) -> Script {
        let mut out = buffer(changes, undo);
        out.push('{');
        self.write(&mut out, changes);
        if let Some(undo) = undo {
            self.keep(&mut out);
            out.push('{');
            self.write(&mut out, undo);
            out.push('}');
        }
        out.push_str("}\n");
        out
    }
}
