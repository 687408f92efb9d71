//! The kinds of files that this crate keeps, and what is different between them.
//!
//! Everything else is the same for all: how a file is opened and checked, the one writer, the audit log, copies,
//! and the history by which an older copy is recognised.

use rusqlite::Connection;

use crate::problem::Failure;
use crate::{access, leases, server};

/// A kind of file.
#[derive(Debug)]
pub(crate) struct Format {
    /// What it is, for people.
    pub(crate) name: &'static str,
    /// `PRAGMA application_id`, as the first migration writes it.
    pub(crate) application_id: i32,
    /// Each format's SQL, oldest first, numbered from 1.
    pub(crate) migrations: &'static [(&'static str, &'static str)],
    /// A question that has an answer once anybody could have been given a right, or anything was recorded.
    pub(crate) is_used: &'static str,
    /// Ends every right in a file that was restored at a moment.
    pub(crate) end_rights: fn(&Connection, i64) -> Result<(), Failure>,
    /// What these rights are, for people.
    pub(crate) rights: &'static str,
}

impl Format {
    /// The newest format that this program knows.
    pub(crate) fn newest(&self) -> u32 {
        u32::try_from(self.migrations.len()).unwrap_or(u32::MAX)
    }

    /// The kind that writes this id.
    pub(crate) fn of_application(id: i32) -> Option<&'static Self> {
        [&VAULT, &SERVER]
            .into_iter()
            .find(|format| format.application_id == id)
    }
}

/// The file of an agents' vault, `fnxV`.
pub(crate) static VAULT: Format = Format {
    name: "a vault's store",
    application_id: 0x666e_7856,
    migrations: &[
        (
            "V1__vault",
            include_str!("../migrations/vault/V1__vault.sql"),
        ),
        (
            "V2__history",
            include_str!("../migrations/vault/V2__history.sql"),
        ),
    ],
    is_used: "SELECT 1 WHERE EXISTS (SELECT 1 FROM leases) OR EXISTS (SELECT 1 FROM tokens) \
         OR EXISTS (SELECT 1 FROM sessions) OR EXISTS (SELECT 1 FROM audit) OR EXISTS (SELECT 1 FROM secrets)",
    end_rights: |db, _now| {
        leases::revoke_all(db)?;
        access::revoke_all(db)
    },
    rights: "every lease, token and session in it has ended",
};

/// The file of a team server, `fnxS`.
pub(crate) static SERVER: Format = Format {
    name: "a team server's database",
    application_id: 0x666e_7853,
    migrations: &[
        (
            "V1__server",
            include_str!("../migrations/server/V1__server.sql"),
        ),
        (
            "V2__questions",
            include_str!("../migrations/server/V2__questions.sql"),
        ),
    ],
    is_used: "SELECT 1 WHERE EXISTS (SELECT 1 FROM sessions) OR EXISTS (SELECT 1 FROM audit) \
         OR EXISTS (SELECT 1 FROM secrets) OR EXISTS (SELECT 1 FROM approvals) OR EXISTS (SELECT 1 FROM users) \
         OR EXISTS (SELECT 1 FROM used_tokens)",
    end_rights: server::end_rights,
    rights: "every session, approval and grant in it has ended",
};
