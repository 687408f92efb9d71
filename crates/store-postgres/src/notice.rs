//! What vaults tell each other over `NOTIFY`: which things changed, never how.
//!
//! A notice is a line `ORIGIN KIND WHAT`. Whoever hears it reads the things themselves from the database, so a
//! notice that somebody else made up costs a query and changes nothing.

use fnox_vault::store::Change;
use fnox_vault_wire::{LeaseId, SessionId, TokenId};
use uuid::Uuid;

/// The channel.
pub(crate) const CHANNEL: &str = "fnox_vault";

/// PostgreSQL takes payloads of less than 8000 bytes; an id and its space are 33.
const IDS_PER_NOTICE: usize = 200;

/// Who has to hear of more leases than this reads everything anew instead.
const MOST_IDS: usize = 2000;

/// What changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Notices {
    /// These leases moved.
    pub(crate) leases: Vec<LeaseId>,
    /// These tokens were withdrawn.
    pub(crate) tokens: Vec<TokenId>,
    /// These sessions were closed.
    pub(crate) sessions: Vec<SessionId>,
    /// These secrets changed.
    pub(crate) secrets: Vec<String>,
    /// The key ring is another one.
    pub(crate) ring: bool,
    /// A question was asked, answered or taken back.
    pub(crate) questions: bool,
    /// More than can be told.
    pub(crate) unknown: bool,
}

impl Notices {
    /// That one secret changed.
    pub(crate) fn secret(name: &str) -> Self {
        Self {
            secrets: vec![name.to_owned()],
            ..Self::default()
        }
    }

    /// That the ring changed.
    pub(crate) fn ring() -> Self {
        Self {
            ring: true,
            ..Self::default()
        }
    }

    /// Takes in what a change did besides moving leases.
    pub(crate) fn add_change(&mut self, change: &Change) {
        match change {
            Change::RevokeToken { id } => self.tokens.push(*id),
            Change::CloseSession { id } => self.sessions.push(*id),
            _ => {}
        }
    }

    /// Whether there is nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The payloads.
    pub(crate) fn payloads(mut self, origin: Uuid) -> Vec<String> {
        let origin = origin.simple();
        self.leases.sort_unstable();
        self.leases.dedup();
        let told = self.leases.len() + self.tokens.len() + self.sessions.len() + self.secrets.len();
        if self.unknown || told > MOST_IDS {
            return vec![format!("{origin} unknown")];
        }
        let mut payloads = Vec::new();
        for ids in self.leases.chunks(IDS_PER_NOTICE) {
            let mut line = format!("{origin} leases");
            for id in ids {
                line.push(' ');
                line.push_str(&id.0.simple().to_string());
            }
            payloads.push(line);
        }
        payloads.extend(
            self.tokens
                .iter()
                .map(|id| format!("{origin} token {}", id.0.simple())),
        );
        payloads.extend(
            self.sessions
                .iter()
                .map(|id| format!("{origin} session {}", id.0.simple())),
        );
        payloads.extend(
            self.secrets
                .iter()
                .map(|name| format!("{origin} secret {name}")),
        );
        if self.ring {
            payloads.push(format!("{origin} ring"));
        }
        if self.questions {
            payloads.push(format!("{origin} questions"));
        }
        payloads
    }

    /// Takes in a payload, unless it is this vault's own. What cannot be read counts as unknown.
    pub(crate) fn hear(&mut self, payload: &str, own: Uuid) {
        let mut words = payload.splitn(3, ' ');
        if words.next().and_then(|word| word.parse().ok()) == Some(own) {
            return;
        }
        let (kind, rest) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let heard = match kind {
            "leases" => rest
                .split(' ')
                .map(|id| id.parse().map(|id| self.leases.push(id)))
                .collect::<Result<Vec<()>, _>>()
                .is_ok(),
            "token" => rest.parse().map(|id| self.tokens.push(id)).is_ok(),
            "session" => rest.parse().map(|id| self.sessions.push(id)).is_ok(),
            "secret" => {
                self.secrets.push(rest.to_owned());
                true
            }
            "ring" => {
                self.ring = true;
                true
            }
            "questions" => {
                self.questions = true;
                true
            }
            _ => false,
        };
        self.unknown |= !heard;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(payloads: &[String], own: Uuid) -> Notices {
        let mut notices = Notices::default();
        for payload in payloads {
            notices.hear(payload, own);
        }
        notices
    }

    #[test]
    fn others_hear_what_was_told_and_oneself_does_not() {
        let (origin, other) = (Uuid::now_v7(), Uuid::now_v7());
        let told = Notices {
            leases: (0..450).map(|_| LeaseId::generate()).collect(),
            tokens: vec![TokenId::generate()],
            sessions: vec![SessionId::generate()],
            secrets: vec!["a name with spaces".to_owned()],
            ring: true,
            questions: true,
            unknown: false,
        };
        let payloads = told.clone().payloads(origin);
        assert!(payloads.iter().all(|payload| payload.len() < 8000));
        let mut expected = told;
        expected.leases.sort_unstable();
        assert_eq!(heard(&payloads, other), expected);
        assert!(heard(&payloads, origin).is_empty());
    }

    #[test]
    fn too_many_and_unreadable_things_are_unknown() {
        let (origin, other) = (Uuid::now_v7(), Uuid::now_v7());
        let many = Notices {
            leases: (0..=MOST_IDS).map(|_| LeaseId::generate()).collect(),
            ..Notices::default()
        };
        assert!(heard(&many.payloads(origin), other).unknown);
        for text in ["", "x", "leases", "x leases y", "x token", "x new-kind 1"] {
            assert!(heard(&[text.to_owned()], other).unknown, "{text}");
        }
    }
}
