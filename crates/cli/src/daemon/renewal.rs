//! Leases that are minted anew before a command needs them.
//!
//! The daemon knows of each only what a client told: folder, profiles, name and times. When the early end comes, it
//! starts `fnox lease renew-ahead` there, a process of its own with the few variables of the daemon itself and nobody to
//! ask. That process works out for whom and by which configuration it would mint, and mints only in the place of a
//! credential that the ledger has for exactly those. So a lease whose masters are variables of a terminal, or need a
//! person, is not renewed; nothing is ever minted for somebody else; and a client that is less than its user, a program
//! in a sandbox that reaches the socket, can have nothing run but what the user ran: environment, state folder and ledger
//! are not the client's.
//!
//! Each use of a lease is good for one renewal: what nobody uses any more ends.

use std::collections::HashMap;
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use super::launch::own_binary;
use super::protocol::{MAX_RENEWALS, Renewal};
use crate::environment;

/// How long one renewal may take.
const LIMIT: Duration = Duration::from_mins(2);

/// Leases whose early end is waited for, by what they are apart from their times.
#[derive(Debug, Default)]
pub(super) struct Renewals(HashMap<Renewal, Renewal>);

impl Renewals {
    /// Takes them up, each in the place of what was told of the same lease before; how many of them.
    pub(super) fn note(&mut self, leases: Vec<Renewal>, now: Timestamp) -> usize {
        self.0
            .retain(|_, renewal| renewal.ends_at > now.as_second());
        let mut count = 0;
        for renewal in leases {
            let lease = Renewal {
                renew_at: 0,
                ends_at: 0,
                ..renewal.clone()
            };
            let is_known = self.0.contains_key(&lease);
            if renewal.ends_at > now.as_second() && (is_known || self.0.len() < MAX_RENEWALS) {
                self.0.insert(lease, renewal);
                count += 1;
            }
        }
        count
    }

    /// Gives up those whose early end has come. What has ended by now, because the machine slept, is left to whoever
    /// needs it.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<Renewal> {
        let now = now.as_second();
        let due = self.0.extract_if(|_, renewal| renewal.renew_at < now);
        due.map(|(_, renewal)| renewal)
            .filter(|renewal| renewal.ends_at > now)
            .collect()
    }

    /// How long until one is due.
    pub(super) fn next(&self, now: Timestamp) -> Option<Duration> {
        let first = self.0.values().map(|renewal| renewal.renew_at).min()?;
        // The second itself may still be fresh.
        let seconds = first.saturating_sub(now.as_second()).saturating_add(1);
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Has another fnox renew a lease. If that fails, the next command mints it, and tells why it cannot.
pub(super) async fn carry_out(renewal: Renewal) {
    let Ok(fnox) = own_binary() else { return };
    let mut command = tokio::process::Command::new(fnox);
    command
        .arg0("fnox")
        .args(renewal.arguments())
        .args(["lease", "renew-ahead", "--", &renewal.lease])
        .env(environment::NON_INTERACTIVE, "true")
        .env(environment::DAEMON, "on")
        .current_dir(&renewal.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let lease = &renewal.lease;
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return tracing::info!("`{lease}` is not renewed: {error}"),
    };
    match timeout(LIMIT, child.wait()).await {
        Ok(Ok(status)) => tracing::info!("renewing `{lease}`: {status}"),
        Ok(Err(error)) => tracing::info!("renewing `{lease}`: {error}"),
        Err(_) => {
            tracing::info!("`{lease}` is not renewed: it took too long");
            let _gone = child.start_kill();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::renewal::tests::renewal;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn each_is_due_once_and_a_later_use_puts_it_off() {
        let mut renewals = Renewals::default();
        let both = vec![renewal("a", 100, 120), renewal("b", 110, 130)];
        assert_eq!(renewals.note(both, at(50)), 2);
        assert_eq!(renewals.next(at(50)), Some(Duration::from_secs(51)));
        assert_eq!(renewals.note(vec![renewal("a", 200, 220)], at(60)), 1);
        assert_eq!(renewals.take_due(at(110)), []);
        assert_eq!(renewals.take_due(at(111)), [renewal("b", 110, 130)]);
        assert_eq!(renewals.take_due(at(112)), []);
        assert_eq!(renewals.take_due(at(201)), [renewal("a", 200, 220)]);
        assert_eq!(renewals.next(at(201)), None);
    }

    #[test]
    fn what_has_ended_is_not_renewed() {
        let mut renewals = Renewals::default();
        assert_eq!(renewals.note(vec![renewal("a", 100, 120)], at(120)), 0);
        assert_eq!(renewals.note(vec![renewal("a", 100, 120)], at(50)), 1);
        assert_eq!(renewals.take_due(at(120)), []);
        assert_eq!(renewals.next(at(120)), None);
    }

    #[test]
    fn there_is_an_end_to_how_many_are_waited_for() {
        let mut renewals = Renewals::default();
        let many = (0..=MAX_RENEWALS).map(|number| renewal(&number.to_string(), 100, 120));
        assert_eq!(renewals.note(many.collect(), at(50)), MAX_RENEWALS);
        let again = vec![renewal("0", 105, 125), renewal("new", 105, 125)];
        assert_eq!(renewals.note(again, at(50)), 1);
        assert_eq!(renewals.note(vec![renewal("new", 150, 170)], at(130)), 1);
    }
}
