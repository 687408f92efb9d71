//! What devices answered, for as long as a command wants it.
//!
//! A provider asks its device once and keeps the answer until it is dropped. A command that opens the same provider again, to
//! read as one profile and to write as another, shares these between both, so that a person touches the key once. Answers are
//! kept by what exactly was asked: a profile that gives the provider another credential, challenge or salt asks anew.

use std::fmt;
use std::sync::Mutex;

use zeroize::Zeroizing;

use super::keys::KeyTable;

/// The questions that were put, and which type of provider put them.
type Asked = (&'static str, Vec<KeyTable>);

/// A device's answer, and the number of the question that it answers.
type Answer = (usize, Zeroizing<Vec<u8>>);

/// Devices' answers.
#[derive(Default)]
pub struct Answers(Mutex<Vec<(Asked, Answer)>>);

impl fmt::Debug for Answers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Answers([redacted])")
    }
}

impl Answers {
    /// What was answered to these questions, if it is still right.
    pub(crate) fn find(
        &self,
        asked: &Asked,
        is_right: impl Fn(usize, &[u8]) -> bool,
    ) -> Option<Answer> {
        let kept = self.0.lock().ok()?;
        kept.iter()
            .filter(|(questions, _)| questions == asked)
            .find(|(_, (index, answer))| is_right(*index, answer))
            .map(|(_, answer)| answer.clone())
    }

    pub(crate) fn keep(&self, asked: Asked, answer: Answer) {
        if let Ok(mut kept) = self.0.lock() {
            kept.retain(|(questions, _)| *questions != asked);
            kept.push((asked, answer));
        }
    }
}
