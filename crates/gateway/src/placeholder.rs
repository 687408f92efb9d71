//! What an agent holds instead of a credential: a random text that looks like one.
//!
//! A placeholder is good for nothing anywhere else, and here only for its own agent, within a request that a
//! rule allows, in the one place that the rule names. Nothing in it says that it is one: the gateway knows it
//! because it stands in the [`Placeholders`] that it made.

mod book;
mod index;
mod scan;
mod shape;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::{Arc, OnceLock};

use fnox_core::{AgentId, SecretString};
use rand::CryptoRng;

pub use self::book::PlaceholderBook;
use self::index::Index;
pub(crate) use self::scan::basic;
pub use self::scan::{Occurrence, Place};
pub use self::shape::Shape;
pub use self::watch::BodyWatch;
use crate::prefilter::SHORTEST_FORM;
use crate::rule::CredentialRef;

/// A text that stands for one credential of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    text: String,
    agent: AgentId,
    credential: CredentialRef,
}

impl Placeholder {
    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whose it is.
    #[must_use]
    pub fn agent(&self) -> &AgentId {
        &self.agent
    }

    /// What it stands for.
    #[must_use]
    pub fn credential(&self) -> &CredentialRef {
        &self.credential
    }
}

/// A chosen text cannot be a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPlaceholder {
    /// Short texts are met by chance, and others are read differently in different places of a request.
    #[error(
        "a placeholder has 8 to 1024 letters, digits and characters of `-._~`, and no percent-encoding"
    )]
    Text,
    /// It could not be told from another.
    #[error("a placeholder may not be a part of another one, whatever the case of its letters")]
    Similar,
    /// It would hide nothing.
    #[error(
        "a placeholder may not be a part of the value that it stands for, nor the value a part of it"
    )]
    Value,
}

/// All placeholders of a gateway, of all its agents: one of another agent must be recognised too.
#[derive(Debug, Clone, Default)]
pub struct Placeholders {
    entries: Vec<Arc<Placeholder>>,
    /// Finds the entries. Made when it is needed.
    index: OnceLock<Arc<Index>>,
}

impl Placeholders {
    /// The placeholder of `agent` for `credential`: the one that it has, else a random one of `shape`, which
    /// differs from `value`, if that is known.
    pub fn issue<R: CryptoRng + ?Sized>(
        &mut self,
        agent: &AgentId,
        credential: &CredentialRef,
        shape: &Shape,
        value: Option<&SecretString>,
        rng: &mut R,
    ) -> Arc<Placeholder> {
        match self.of(agent, credential) {
            Some(known) => Arc::clone(known),
            None => self.issue_another(agent, credential, shape, value, rng),
        }
    }

    /// The same, but a new one, whether there is another or not.
    pub(crate) fn issue_another<R: CryptoRng + ?Sized>(
        &mut self,
        agent: &AgentId,
        credential: &CredentialRef,
        shape: &Shape,
        value: Option<&SecretString>,
        rng: &mut R,
    ) -> Arc<Placeholder> {
        // invariant: 80 random bits are new before long
        loop {
            let text = shape.random(rng);
            if self.is_distinct(&text) && !value.is_some_and(|value| is_similar(value, &text)) {
                return self.insert(text, agent, credential);
            }
        }
    }

    /// Makes `text` the placeholder of `agent` for `credential`, as its rule says, instead of another one.
    ///
    /// # Errors
    /// [`InvalidPlaceholder`]; then nothing has changed.
    pub fn issue_fixed(
        &mut self,
        agent: &AgentId,
        credential: &CredentialRef,
        text: &str,
        value: Option<&SecretString>,
    ) -> Result<Arc<Placeholder>, InvalidPlaceholder> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if !(SHORTEST_FORM..=1024).contains(&text.len()) || !text.bytes().all(is_plain) {
            return Err(InvalidPlaceholder::Text);
        }
        if let Some(known) = self.of(agent, credential)
            && known.text == text
        {
            return Ok(Arc::clone(known));
        }
        if !self.is_distinct(text) {
            return Err(InvalidPlaceholder::Similar);
        }
        if value.is_some_and(|value| is_similar(value, text)) {
            return Err(InvalidPlaceholder::Value);
        }
        self.entries
            .retain(|it| it.agent != *agent || it.credential != *credential);
        Ok(self.insert(text.to_owned(), agent, credential))
    }

    /// Forgets this one.
    pub(crate) fn forget_one(&mut self, placeholder: &Placeholder) {
        self.entries.retain(|it| **it != *placeholder);
        self.index = OnceLock::new();
    }

    /// Forgets all placeholders of an agent that is gone.
    pub fn forget(&mut self, agent: &AgentId) {
        self.entries.retain(|it| it.agent != *agent);
        self.index = OnceLock::new();
    }

    /// The placeholder of `agent` for `credential`; the first, if it is of a kind that has several.
    #[must_use]
    pub fn of(&self, agent: &AgentId, credential: &CredentialRef) -> Option<&Arc<Placeholder>> {
        self.all_of(agent, credential).next()
    }

    /// All placeholders of `agent` for `credential`.
    pub(crate) fn all_of(
        &self,
        agent: &AgentId,
        credential: &CredentialRef,
    ) -> impl Iterator<Item = &Arc<Placeholder>> {
        self.entries
            .iter()
            .filter(|it| it.agent == *agent && it.credential == *credential)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Placeholder>> {
        self.entries.iter()
    }

    fn insert(
        &mut self,
        text: String,
        agent: &AgentId,
        credential: &CredentialRef,
    ) -> Arc<Placeholder> {
        let placeholder = Arc::new(Placeholder {
            text,
            agent: agent.clone(),
            credential: credential.clone(),
        });
        self.entries.push(Arc::clone(&placeholder));
        self.index = OnceLock::new();
        placeholder
    }

    fn index(&self) -> Arc<Index> {
        let index = || Arc::new(Index::new(&self.entries));
        Arc::clone(self.index.get_or_init(index))
    }

    fn is_distinct(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        self.entries.iter().all(|it| {
            let other = it.text.to_ascii_lowercase();
            !other.contains(&text) && !text.contains(&other)
        })
    }
}

fn is_similar(value: &SecretString, text: &str) -> bool {
    let value = value.expose_secret();
    !value.is_empty() && (value.contains(text) || text.contains(value))
}
