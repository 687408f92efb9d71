//! A text that is being typed.

use fnox_core::SecretString;
use zeroize::Zeroizing;

/// What was typed so far. Its memory is overwritten whenever it moves, and in the end.
#[derive(Default)]
pub(crate) struct Field(Zeroizing<String>);

impl std::fmt::Debug for Field {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(fnox_core::secret::REDACTED)
    }
}

impl Field {
    pub(crate) fn push(&mut self, character: char) {
        self.make_room(character.len_utf8());
        self.0.push(character);
    }

    /// Adds what was pasted, without line ends at its end: they come along by accident.
    pub(crate) fn paste(&mut self, text: &str) {
        let text = text.trim_end_matches(['\r', '\n']);
        self.make_room(text.len());
        let mut before = ' ';
        for character in text.chars() {
            // Terminals send a carriage return for each line end.
            match character {
                '\n' if before == '\r' => {}
                '\r' => self.0.push('\n'),
                other => self.0.push(other),
            }
            before = character;
        }
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    pub(crate) fn clear(&mut self) {
        self.0 = Zeroizing::default();
    }

    /// For a field that may be seen.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Number of characters.
    pub(crate) fn count(&self) -> usize {
        self.0.chars().count()
    }

    /// The text, which is forgotten here.
    pub(crate) fn take(&mut self) -> SecretString {
        let text = std::mem::take(&mut self.0);
        SecretString::from(text.as_str())
    }

    /// Grows into a new buffer, so that the old one is overwritten and not only given back.
    fn make_room(&mut self, bytes: usize) {
        if self.0.capacity() - self.0.len() >= bytes {
            return;
        }
        let size = (self.0.len() + bytes).next_power_of_two().max(256);
        let mut larger = Zeroizing::new(String::with_capacity(size));
        larger.push_str(&self.0);
        self.0 = larger;
    }
}
