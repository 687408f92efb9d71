//! What waits for one channel.
//!
//! Requests come before alarms. Alarms with the same title become one that says how many there were: the first goes
//! out at once, the next of its kind not before [`ALARM_PAUSE`] has passed. Both are bounded; what does not fit is
//! dropped and said so by the caller.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::Notice;

/// How long alarms of one title are collected after one of them was sent.
pub(super) const ALARM_PAUSE: Duration = Duration::from_mins(1);

/// The queue of one channel.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Notify,
    closed: watch::Sender<bool>,
    done: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Waiting {
    asked: VecDeque<Arc<Notice>>,
    alarms: Vec<Alarms>,
}

/// Alarms of one title.
#[derive(Debug)]
struct Alarms {
    title: String,
    /// The first that was not sent yet, and how many came after it.
    next: Option<(Arc<Notice>, u32)>,
    not_before: Instant,
}

enum Next {
    Send(Arc<Notice>),
    WaitUntil(Instant),
    Wait,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            changed: Notify::new(),
            closed: watch::Sender::new(false),
            done: watch::Sender::new(false),
        }
    }

    /// Adds a notice; false if there is no room, or the queue is closed.
    #[must_use]
    pub(super) fn push(&self, notice: &Arc<Notice>) -> bool {
        if self.is_closed() {
            return false;
        }
        let taken = self.lock().push(notice, Instant::now());
        self.changed.notify_one();
        taken
    }

    /// The next notice; waits for one. `None` when the queue is closed and empty.
    pub(super) async fn next(&self) -> Option<Arc<Notice>> {
        loop {
            let closed = self.is_closed();
            let next = self.lock().take(Instant::now(), closed);
            match next {
                Next::Send(notice) => return Some(notice),
                Next::Wait if closed => return None,
                Next::Wait => self.changed.notified().await,
                Next::WaitUntil(moment) => {
                    tokio::select! {
                        () = self.changed.notified() => {}
                        () = tokio::time::sleep_until(moment) => {}
                    }
                }
            }
        }
    }

    /// Nothing more is taken; what is there is sent, without pauses.
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
        self.changed.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Waits, but not longer than until the queue is closed.
    pub(super) async fn pause(&self, pause: Duration) {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // The sender lives as long as the queue.
            _ = closed.wait_for(|closed| *closed) => {}
        }
    }

    /// Says that nobody takes from the queue any more.
    pub(super) fn finish(&self) {
        self.done.send_replace(true);
    }

    /// Waits until nobody takes from the queue any more.
    pub(super) async fn finished(&self) {
        let mut done = self.done.subscribe();
        // The sender lives as long as the queue.
        drop(done.wait_for(|done| *done).await);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn push(&mut self, notice: &Arc<Notice>, now: Instant) -> bool {
        let title = match &**notice {
            Notice::Asked { .. } => {
                let room = self.asked.len() < ASKED_LIMIT;
                if room {
                    self.asked.push_back(Arc::clone(notice));
                }
                return room;
            }
            Notice::Alarm { title, .. } => title,
        };
        if let Some(known) = self.alarms.iter_mut().find(|known| known.title == *title) {
            match &mut known.next {
                Some((_, more)) => *more = more.saturating_add(1),
                None => known.next = Some((Arc::clone(notice), 0)),
            }
            return true;
        }
        self.alarms
            .retain(|known| known.next.is_some() || now < known.not_before);
        let room = self.alarms.len() < ALARM_LIMIT;
        if room {
            self.alarms.push(Alarms {
                title: title.clone(),
                next: Some((Arc::clone(notice), 0)),
                not_before: now,
            });
        }
        room
    }

    fn take(&mut self, now: Instant, at_once: bool) -> Next {
        if let Some(notice) = self.asked.pop_front() {
            return Next::Send(notice);
        }
        let mut waits: Vec<&mut Alarms> = self
            .alarms
            .iter_mut()
            .filter(|known| known.next.is_some())
            .collect();
        waits.sort_by_key(|known| known.not_before);
        let Some(first) = waits.into_iter().next() else {
            return Next::Wait;
        };
        if !at_once && now < first.not_before {
            return Next::WaitUntil(first.not_before);
        }
        first.not_before = now + ALARM_PAUSE;
        match first.next.take() {
            Some((notice, more)) => Next::Send(counted(notice, more)),
            None => Next::Wait,
        }
    }
}

/// The notice, with a word about those that it stands for.
fn counted(notice: Arc<Notice>, more: u32) -> Arc<Notice> {
    match &*notice {
        Notice::Alarm {
            title,
            text,
            approval,
        } if more > 0 => Arc::new(Notice::Alarm {
            title: title.clone(),
            text: format!("{text} And {more} more of this kind; the audit log has them all."),
            approval: approval.clone(),
        }),
        _ => notice,
    }
}

const ASKED_LIMIT: usize = 256;
const ALARM_LIMIT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm(title: &str, text: &str) -> Arc<Notice> {
        Arc::new(Notice::Alarm {
            title: title.to_owned(),
            text: text.to_owned(),
            approval: None,
        })
    }

    fn text(next: Next) -> Option<String> {
        match next {
            Next::Send(notice) => match &*notice {
                Notice::Alarm { text, .. } => Some(text.clone()),
                Notice::Asked { .. } => None,
            },
            Next::Wait | Next::WaitUntil(_) => None,
        }
    }

    #[test]
    fn alarms_that_are_alike_become_one() {
        let start = Instant::now();
        let mut waiting = Waiting::default();
        for number in 1..=50 {
            assert!(waiting.push(&alarm("replay", &format!("Replay {number}.")), start));
        }
        assert!(waiting.push(&alarm("wrong code", "A wrong code."), start));
        assert_eq!(
            text(waiting.take(start, false)).unwrap(),
            "Replay 1. And 49 more of this kind; the audit log has them all."
        );
        assert_eq!(text(waiting.take(start, false)).unwrap(), "A wrong code.");
        assert!(matches!(waiting.take(start, false), Next::Wait));
    }

    #[test]
    fn the_next_alarm_of_a_kind_waits_for_others() {
        let start = Instant::now();
        let mut waiting = Waiting::default();
        assert!(waiting.push(&alarm("replay", "One."), start));
        assert_eq!(text(waiting.take(start, false)).unwrap(), "One.");
        assert!(waiting.push(&alarm("replay", "Two."), start));
        let Next::WaitUntil(moment) = waiting.take(start, false) else {
            panic!("it does not wait");
        };
        assert_eq!(moment, start + ALARM_PAUSE);
        assert_eq!(text(waiting.take(moment, false)).unwrap(), "Two.");
        // A server that ends does not wait.
        assert!(waiting.push(&alarm("replay", "Three."), moment));
        assert_eq!(text(waiting.take(moment, true)).unwrap(), "Three.");
    }

    #[test]
    fn a_flood_of_different_alarms_is_bounded_and_forgotten() {
        let start = Instant::now();
        let mut waiting = Waiting::default();
        let taken = (0..1000)
            .filter(|number| waiting.push(&alarm(&number.to_string(), "x"), start))
            .count();
        assert_eq!(taken, ALARM_LIMIT);
        while text(waiting.take(start, false)).is_some() {}
        assert!(!waiting.push(&alarm("new", "x"), start));
        assert!(waiting.push(&alarm("new", "x"), start + ALARM_PAUSE));
    }
}
