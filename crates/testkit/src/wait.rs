//! Waiting for something that another process does: ask again until a time limit, never a fixed sleep.

use std::time::{Duration, Instant};

/// Pause between two questions.
const PAUSE: Duration = Duration::from_millis(5);

/// Asks until there is an answer.
///
/// # Panics
/// If there is none within `limit`; the message says `what` was waited for.
pub fn until_some<T>(what: &str, limit: Duration, question: impl FnMut() -> Option<T>) -> T {
    within(limit, question).unwrap_or_else(|| panic!("waited {limit:?} in vain for this: {what}"))
}

/// Asks until the answer is yes.
///
/// # Panics
/// If it never is within `limit`; the message says `what` was waited for.
pub fn until(what: &str, limit: Duration, mut question: impl FnMut() -> bool) {
    until_some(what, limit, || question().then_some(()));
}

/// Asks until there is an answer or the time is over.
pub fn within<T>(limit: Duration, mut question: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = question() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        pause();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the pause between two questions to another process, which no clock of ours can advance"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_until_the_answer_is_there() {
        let mut asked = 0;
        let answer = until_some("the third question", Duration::from_secs(5), || {
            asked += 1;
            (asked == 3).then_some("yes")
        });
        assert_eq!((answer, asked), ("yes", 3));
    }

    #[test]
    fn gives_up_at_the_limit() {
        assert_eq!(within(Duration::ZERO, || None::<()>), None);
    }
}
