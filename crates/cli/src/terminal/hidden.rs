//! A line that nobody sees while it is typed.
//!
//! A secret with a letter too many is found out late, so keys that edit elsewhere edit here too, and no key with Ctrl or Alt
//! becomes a letter, as it does in inquire's `Password`. What is pasted may have several lines, on terminals that say
//! what is pasted ("Bracketed Paste Mode", Xterm Control Sequences).

use std::io::Write as _;

use fnox_core::SecretString;
use ratatui::crossterm::event::{
    self, DisableBracketedPaste, EnableBracketedPaste, Event, KeyCode, KeyEvent, KeyEventKind,
    KeyModifiers,
};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use zeroize::Zeroizing;

/// What came of the question.
pub(super) enum Typed {
    Answer(SecretString),
    /// The person left the question.
    Nothing,
    /// The person wants the program to end.
    Interrupt,
}

/// Asks, and reads what is typed until Enter.
///
/// # Errors
/// If there is no such terminal.
pub(super) fn ask(question: &str) -> std::io::Result<Typed> {
    let mut out = std::io::stderr();
    // First of all: what is typed at once must not be shown either.
    let raw = Raw::enter()?;
    write!(out, "? {} ", question.replace('\n', "\r\n"))?;
    out.flush()?;
    let typed = read();
    drop(raw);
    writeln!(out)?;
    typed
}

fn read() -> std::io::Result<Typed> {
    let mut line = Line::default();
    loop {
        let step = match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => line.press(key),
            Event::Paste(text) => {
                line.paste(&Zeroizing::new(text));
                Step::On
            }
            _ => Step::On,
        };
        match step {
            Step::On => {}
            Step::Over => {
                let text = std::mem::take(&mut *line.text);
                return Ok(Typed::Answer(SecretString::new(text)));
            }
            Step::Left => return Ok(Typed::Nothing),
            Step::Interrupt => return Ok(Typed::Interrupt),
        }
    }
}

/// The terminal gives each key as it is pressed, until this is dropped.
struct Raw;

impl Raw {
    fn enter() -> std::io::Result<Self> {
        enable_raw_mode()?;
        let raw = Self;
        execute!(std::io::stderr(), EnableBracketedPaste)?;
        Ok(raw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = execute!(std::io::stderr(), DisableBracketedPaste);
        let _ = disable_raw_mode();
    }
}

/// What a key does to the question.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    On,
    Over,
    Left,
    Interrupt,
}

#[derive(Default)]
struct Line {
    text: Zeroizing<String>,
}

impl Line {
    /// Terminals send the ends of pasted lines as they send Enter. The end of an only line is no part of it.
    fn paste(&mut self, text: &str) {
        let lines = Zeroizing::new(text.replace("\r\n", "\n").replace('\r', "\n"));
        let only = lines.strip_suffix('\n').filter(|line| !line.contains('\n'));
        self.text.push_str(only.unwrap_or(&lines));
    }

    fn press(&mut self, key: KeyEvent) -> Step {
        // AltGr is both, on Windows.
        let is_letter = matches!(
            key.modifiers.difference(KeyModifiers::SHIFT),
            modifiers if modifiers.is_empty() || modifiers == KeyModifiers::CONTROL | KeyModifiers::ALT
        );
        match key.code {
            KeyCode::Enter => return Step::Over,
            KeyCode::Esc => return Step::Left,
            KeyCode::Backspace => {
                self.text.pop();
            }
            KeyCode::Char(letter) if is_letter => self.text.push(letter),
            KeyCode::Char(letter) if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return self.control(letter.to_ascii_lowercase());
            }
            _ => {}
        }
        Step::On
    }

    /// The keys of a terminal's own lines (termios(3)): `INTR`, `EOF`, `ERASE`, `KILL`, `WERASE`; and Enter as it is sent.
    fn control(&mut self, letter: char) -> Step {
        match letter {
            'c' => return Step::Interrupt,
            'd' if self.text.is_empty() => return Step::Left,
            'h' => {
                self.text.pop();
            }
            'u' => self.text.clear(),
            'w' => {
                let kept = self.text.trim_end();
                let kept = kept.rfind(char::is_whitespace).map_or(0, |at| {
                    at + kept[at..].chars().next().map_or(0, char::len_utf8)
                });
                self.text.truncate(kept);
            }
            'j' | 'm' => return Step::Over,
            _ => {}
        }
        Step::On
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[(char, KeyModifiers)]) -> String {
        let mut line = Line::default();
        for (letter, modifiers) in keys {
            let step = line.press(KeyEvent::new(KeyCode::Char(*letter), *modifiers));
            assert_eq!(step, Step::On, "{letter}");
        }
        line.text.to_string()
    }

    fn letters(text: &str) -> Vec<(char, KeyModifiers)> {
        text.chars().map(|c| (c, KeyModifiers::NONE)).collect()
    }

    #[test]
    fn keys_edit_and_are_no_letters() {
        const CONTROL: KeyModifiers = KeyModifiers::CONTROL;
        for (before, key, after) in [
            ("wrong", ('u', CONTROL), ""),
            ("one two", ('w', CONTROL), "one "),
            ("one two ", ('w', CONTROL), "one "),
            ("one", ('w', CONTROL), ""),
            ("abç", ('h', CONTROL), "ab"),
            ("a", ('k', CONTROL), "a"),
            ("a", ('d', CONTROL), "a"),
            ("a", ('x', KeyModifiers::ALT), "a"),
            ("a", ('B', KeyModifiers::SHIFT), "aB"),
            ("a", ('@', CONTROL.union(KeyModifiers::ALT)), "a@"),
        ] {
            let mut keys = letters(before);
            keys.push(key);
            assert_eq!(typed(&keys), after, "{before} {key:?}");
        }
    }

    #[test]
    fn what_is_pasted_keeps_its_lines() {
        for (pasted, text) in [
            ("one", "one"),
            ("one\r", "one"),
            ("one\r\ntwo\r\n", "one\ntwo\n"),
            ("one\rtwo", "one\ntwo"),
        ] {
            let mut line = Line::default();
            line.paste(pasted);
            assert_eq!(*line.text, text);
        }
    }

    #[test]
    fn a_question_ends_in_three_ways() {
        let press = |code, modifiers| Line::default().press(KeyEvent::new(code, modifiers));
        let control = |letter| press(KeyCode::Char(letter), KeyModifiers::CONTROL);
        assert_eq!(press(KeyCode::Enter, KeyModifiers::NONE), Step::Over);
        assert_eq!(control('m'), Step::Over);
        assert_eq!(press(KeyCode::Esc, KeyModifiers::NONE), Step::Left);
        assert_eq!(control('d'), Step::Left);
        assert_eq!(control('c'), Step::Interrupt);
    }
}
