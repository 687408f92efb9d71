//! Values that requests have carried, which must not come back in answers.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use fnox_core::secret::REDACTED;
use fnox_core::{AgentId, SecretString};

use crate::placeholder::PlaceholderBook;
use crate::reflection::{Table, TableBuilder};
use crate::rule::CredentialRef;

/// How many values are looked for; of more, those that were used first are forgotten.
const REMEMBERED: usize = 256;

/// How many of them were made for one request each, of one credential: they are good for minutes.
const PASSING: usize = 8;

/// What the requests of all clients of a gateway have carried last: an answer to one client may bring back what the
/// request of another had in it.
#[derive(Default)]
pub(super) struct CarriedByAll(Mutex<Recent>);

#[derive(Default)]
struct Recent {
    /// How many there have been.
    count: u64,
    /// The newest is the last.
    values: VecDeque<(CredentialRef, SecretString)>,
}

impl CarriedByAll {
    fn note(&self, credential: &CredentialRef, value: &SecretString) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |known: &(CredentialRef, SecretString)| {
            known.0 == *credential && known.1.expose_secret() == value.expose_secret()
        };
        if recent.values.iter().any(is_known) {
            return;
        }
        if recent.values.len() >= REMEMBERED {
            recent.values.pop_front();
        }
        recent.values.push_back((credential.clone(), value.clone()));
        recent.count += 1;
    }
}

impl fmt::Debug for CarriedByAll {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CarriedByAll")
    }
}

/// What a client's requests have carried so far, or may carry.
#[derive(Default)]
pub(super) struct Carried(Mutex<State>);

#[derive(Default)]
struct State {
    values: Vec<Entry>,
    /// Made when it is needed, with as many values of all clients as there had been then.
    table: Option<(u64, Table)>,
}

struct Entry {
    credential: CredentialRef,
    value: SecretString,
    placeholder: String,
    /// Of one request: there are as many as requests.
    is_passing: bool,
}

impl Entry {
    fn is(&self, credential: &CredentialRef, value: &SecretString) -> bool {
        self.credential == *credential && self.value.expose_secret() == value.expose_secret()
    }
}

impl State {
    fn add(&mut self, entry: Entry) {
        if self.values.len() >= REMEMBERED {
            self.values.remove(0);
        }
        self.values.push(entry);
        self.table = None;
    }

    fn of_its_own(&self) -> TableBuilder {
        let values = self.values.iter();
        values.fold(Table::builder(), |builder, entry| {
            builder.replace(&entry.value, &entry.placeholder)
        })
    }
}

impl Carried {
    /// Notes a value before it leaves. In answers to this client `placeholder` stands in its place; in answers to others
    /// that of their own.
    pub(super) fn note(
        &self,
        all: &CarriedByAll,
        credential: &CredentialRef,
        value: &SecretString,
        placeholder: &str,
    ) {
        all.note(credential, value);
        self.expect(credential, value, placeholder);
    }

    /// Notes a value that requests of this client may carry.
    pub(super) fn expect(
        &self,
        credential: &CredentialRef,
        value: &SecretString,
        placeholder: &str,
    ) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.values.iter().any(|known| known.is(credential, value)) {
            return;
        }
        state.add(Entry {
            credential: credential.clone(),
            value: value.clone(),
            placeholder: placeholder.to_owned(),
            is_passing: false,
        });
    }

    /// Notes what was made with a credential for one request. Of those the last few are looked for, so that they push
    /// nothing else out, and in answers to this client alone.
    pub(super) fn note_passing(&self, credential: &CredentialRef, value: &SecretString) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_like = |entry: &Entry| entry.is_passing && entry.credential == *credential;
        if state.values.iter().filter(|entry| is_like(entry)).count() >= PASSING
            && let Some(oldest) = state.values.iter().position(is_like)
        {
            state.values.remove(oldest);
        }
        state.add(Entry {
            credential: credential.clone(),
            value: value.clone(),
            placeholder: REDACTED.to_owned(),
            is_passing: true,
        });
    }

    /// What to look for in answers to this client, which is this agent's.
    pub(super) fn table(
        &self,
        all: &CarriedByAll,
        agent: &AgentId,
        placeholders: &PlaceholderBook,
    ) -> Table {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((count, table)) = &state.table
            && *count == recent.count
        {
            return table.clone();
        }
        let placeholders = placeholders.current();
        let is_own = |credential: &CredentialRef, value: &SecretString| {
            state.values.iter().any(|own| own.is(credential, value))
        };
        let others = recent.values.iter();
        let others = others.filter(|(credential, value)| !is_own(credential, value));
        let builder = others.fold(state.of_its_own(), |builder, (credential, value)| {
            // Of a lease or an answer everybody has a value of their own, for which this agent's placeholder does not stand.
            let own = matches!(credential, CredentialRef::Secret(_))
                .then(|| placeholders.of(agent, credential))
                .flatten();
            builder.replace(value, own.map_or(REDACTED, |it| it.text()))
        });
        let table = builder.build();
        state.table = Some((recent.count, table.clone()));
        table
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Carried")
    }
}
