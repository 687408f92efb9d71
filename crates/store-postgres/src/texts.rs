//! Which texts PostgreSQL can hold: its `text` has no NUL. Found before a text can fail a batch.

use fnox_core::audit::Entry;
use fnox_vault::store::Change;

/// Whether all texts of an entry can be stored.
pub(crate) fn of_entry(entry: &Entry) -> bool {
    let Entry {
        event,
        actor,
        peer,
        agent,
        secret,
        host,
        lease: _,
        rule,
        outcome: _,
        reason,
        project,
        approval: _,
        detail,
    } = entry;
    [Some(event), Some(actor)]
        .into_iter()
        .chain([peer, agent, secret, host, rule, reason, project, detail].map(Option::as_ref))
        .flatten()
        .all(|text| fits(text))
}

/// Whether all texts of a change can be stored. Names, hosts and ids are typed and always can.
pub(crate) fn of_change(change: &Change) -> bool {
    match change {
        Change::Grant { lease, .. } => fits(&lease.rule) && lease.tool.as_deref().is_none_or(fits),
        Change::CreateToken(token) => fits(&token.agent),
        Change::OpenSession(session) => fits(&session.user) && fits(&session.channel),
        _ => true,
    }
}

/// Whether one text can be stored.
pub(crate) fn fits(text: &str) -> bool {
    !text.contains('\0')
}
