//! Credentials that answers brought, kept for their clients for as long as the gateway runs.
//!
//! They are in memory alone, overwritten when they go, and end with what their answers said of their lifetimes, and with
//! the rights by which they were asked for.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fnox_core::{AgentId, SecretString};

use super::Client;
use super::carried::CarriedByAll;
use super::ending::Ended;
use crate::placeholder::{Placeholder, PlaceholderBook, Shape};
use crate::reflection::Fresh;
use crate::refusal::{Reason, Refusal};
use crate::rule::CredentialRef;

/// How many of one agent are kept. The oldest makes room.
const KEPT: usize = 64;

/// How many placeholders of one agent are known, also of what is kept no more: such a one must not leave.
const KNOWN: usize = 1024;

/// What was captured, by agent.
#[derive(Default)]
pub(super) struct Captured(Mutex<HashMap<AgentId, VecDeque<Entry>>>);

struct Entry {
    placeholder: Arc<Placeholder>,
    /// `None`: it has ended, or made room.
    live: Option<Live>,
}

struct Live {
    value: SecretString,
    /// When it ends, by the clock that nobody can set.
    ends: Option<Duration>,
    /// The rights that it depends on.
    rights: Vec<Ended>,
}

/// Where a credential came from.
pub(super) struct Origin<'a> {
    pub(super) client: &'a Client,
    pub(super) carried: &'a CarriedByAll,
    /// The name of the rule.
    pub(super) rule: &'a str,
    /// The rights by which it was asked for.
    pub(super) rights: &'a [Ended],
    /// By the clock that nobody can set.
    pub(super) now: Duration,
}

impl Origin<'_> {
    /// What was taken out of one answer must not come back in another one.
    fn note(&self, credential: &CredentialRef, value: &SecretString, placeholder: &str) {
        let own = &self.client.carried;
        own.note(self.carried, credential, value, placeholder);
    }
}

/// What one answer brings. Unless its client gets the answer, nothing that is new in it is kept.
pub(super) struct Catch<'a> {
    captured: &'a Captured,
    book: &'a PlaceholderBook,
    origin: Origin<'a>,
    new: Vec<Arc<Placeholder>>,
}

impl<'a> Catch<'a> {
    pub(super) fn new(
        captured: &'a Captured,
        book: &'a PlaceholderBook,
        origin: Origin<'a>,
    ) -> Self {
        Self {
            captured,
            book,
            origin,
            new: Vec::new(),
        }
    }

    /// Keeps a credential, and says what the client gets instead: the same as before for the same one.
    pub(super) fn keep(&mut self, fresh: Fresh<'_>) -> String {
        let (book, origin) = (self.book, &self.origin);
        let credential = CredentialRef::Captured {
            rule: origin.rule.to_owned(),
        };
        let mut all = self.captured.lock();
        let entries = all.entry(origin.client.agent.clone()).or_default();
        let is_it = |entry: &&mut Entry| {
            let live = entry.live.as_ref();
            *entry.placeholder.credential() == credential
                && live.is_some_and(|live| live.value == fresh.value)
        };
        let live = |value| Live {
            value,
            ends: fresh.lasts.and_then(|lasts| origin.now.checked_add(lasts)),
            rights: origin.rights.to_vec(),
        };
        if let Some(known) = entries.iter_mut().find(is_it) {
            let text = known.placeholder.text().to_owned();
            origin.note(&credential, &fresh.value, &text);
            known.live = Some(live(fresh.value));
            return text;
        }
        make_room(entries, book, origin.now);
        let placeholder = book.change(|placeholders| {
            let shape = Shape::of(&fresh.value);
            let agent = &origin.client.agent;
            let rng = &mut rand::rng();
            placeholders.issue_another(agent, &credential, &shape, Some(&fresh.value), rng)
        });
        let text = placeholder.text().to_owned();
        origin.note(&credential, &fresh.value, &text);
        entries.push_back(Entry {
            placeholder: Arc::clone(&placeholder),
            live: Some(live(fresh.value)),
        });
        self.new.push(placeholder);
        text
    }

    /// The client gets the answer.
    pub(super) fn hand_out(mut self) {
        self.new.clear();
    }
}

impl Drop for Catch<'_> {
    fn drop(&mut self) {
        for placeholder in &self.new {
            self.captured.forget(placeholder);
            self.book
                .change(|placeholders| placeholders.forget_one(placeholder));
        }
    }
}

impl Captured {
    fn lock(&self) -> MutexGuard<'_, HashMap<AgentId, VecDeque<Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, placeholder: &Placeholder) {
        if let Some(entries) = self.lock().get_mut(placeholder.agent()) {
            entries.retain(|entry| *entry.placeholder != *placeholder);
        }
    }

    /// What a placeholder stands for, and the rights that it depends on.
    ///
    /// # Errors
    /// [`Reason::Exhausted`] if it is over, or why its right has ended.
    pub(super) fn value(
        &self,
        placeholder: &Placeholder,
        now: Duration,
    ) -> Result<(SecretString, Vec<Ended>), Refusal> {
        let mut all = self.lock();
        let entries = all.get_mut(placeholder.agent());
        let entry = entries
            .and_then(|entries| {
                entries
                    .iter_mut()
                    .find(|it| *it.placeholder == *placeholder)
            })
            .ok_or_else(|| over(placeholder))?;
        entry.drop_if_over(now);
        let live = entry.live.as_ref().ok_or_else(|| over(placeholder))?;
        match live.rights.iter().find_map(Ended::refusal) {
            Some(refusal) => {
                entry.live = None;
                Err(refusal)
            }
            None => Ok((live.value.clone(), live.rights.clone())),
        }
    }
}

impl Entry {
    fn drop_if_over(&mut self, now: Duration) {
        let is_over = |live: &Live| live.ends.is_some_and(|ends| now >= ends);
        self.live.take_if(|live| is_over(live));
    }
}

impl fmt::Debug for Captured {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Captured")
    }
}

/// Lets go what has ended, and of the rest the oldest, so that one more can be kept.
fn make_room(entries: &mut VecDeque<Entry>, book: &PlaceholderBook, now: Duration) {
    for entry in entries.iter_mut() {
        entry.drop_if_over(now);
    }
    let live = entries.iter().filter(|entry| entry.live.is_some()).count();
    let surplus = (live + 1).saturating_sub(KEPT);
    let oldest = entries.iter_mut().filter(|entry| entry.live.is_some());
    for entry in oldest.take(surplus) {
        entry.live = None;
    }
    while entries.len() >= KNOWN {
        if let Some(gone) = entries.pop_front() {
            book.change(|placeholders| placeholders.forget_one(&gone.placeholder));
        }
    }
}

fn over(placeholder: &Placeholder) -> Refusal {
    let credential = placeholder.credential();
    Refusal::new(Reason::Exhausted, format!("{credential} is over"))
        .with_remedy("Ask for another one, in the way that brought this one.")
}
