//! Looking after what was provisioned: leases live on, and what is withdrawn disappears.
//!
//! A lease is cared for when half of what it has left is over. One that cannot live longer is replaced by a new one,
//! and the files get the new value. One that somebody withdrew is not replaced: its files are removed at once, as they
//! are when a lease ends and the vault gives no other.

use fnox_vault_wire::LeaseId;
use fnox_vault_wire::client::LeaseEvents;
use fnox_vault_wire::methods::{LeaseEvent, LeaseStatus, RevocationReason};
use tokio::time::Instant;

use crate::error::AgentError;
use crate::lease::Renewal;
use crate::provision::{Kept, Provisioned, Rendered};
use crate::report::note;
use crate::stop::Stop;

impl Provisioned {
    /// Looks after everything until it is told to end, and then withdraws it.
    ///
    /// # Errors
    /// `NothingLeft` when the vault took all of it back; `File`.
    pub async fn watch(mut self, stop: &Stop) -> Result<(), AgentError> {
        let events = match self.borrower.client().subscribe().await {
            Ok(events) => Some(events),
            Err(error) => {
                note(&format!(
                    "the vault tells of no withdrawals ({error}): files stay until their leases end"
                ));
                None
            }
        };
        let outcome = self.look_after(stop, events).await;
        let withdrawn = self.withdraw().await;
        outcome.and(withdrawn)
    }

    async fn look_after(
        &mut self,
        stop: &Stop,
        mut events: Option<LeaseEvents>,
    ) -> Result<(), AgentError> {
        if events.is_some() {
            // Nobody told of what was withdrawn before there were events.
            self.compare().await?;
        }
        for kept in &mut self.kept {
            self.borrower.measure(&mut kept.lease).await;
        }
        let mut due: Vec<(LeaseId, Instant)> = Vec::new();
        for kept in &self.kept {
            due.push((kept.lease.id(), kept.lease.next_care()));
        }
        while !self.kept.is_empty() {
            due.sort_by_key(|(_, when)| *when);
            let (id, when) = match due.first() {
                Some(first) => *first,
                None => break,
            };
            let event = async {
                match &mut events {
                    Some(events) => events.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.requested() => return Ok(()),
                event = event => match event {
                    Some(event) => self.hear(event).await?,
                    None => events = None,
                },
                () = tokio::time::sleep_until(when) => {
                    due.remove(0);
                    if let Some(next) = stop.unless(self.care(id)).await.or_else(stopped)? {
                        due.push(next);
                    }
                }
            }
            due.retain(|(id, _)| self.index(*id).is_some());
        }
        Err(AgentError::NothingLeft)
    }

    fn index(&self, id: LeaseId) -> Option<usize> {
        self.kept.iter().position(|kept| kept.lease.id() == id)
    }

    /// Makes a lease live longer, replaces it, or lets its files go at its end. Tells when to come again, and for which
    /// lease.
    async fn care(&mut self, id: LeaseId) -> Result<Option<(LeaseId, Instant)>, AgentError> {
        let Some(index) = self.index(id) else {
            return Ok(None);
        };
        if self.kept[index].lease.ends() <= Instant::now() {
            self.let_go(index, "its lease is over")?;
            return Ok(None);
        }
        let again = |kept: &Kept| Some((kept.lease.id(), kept.lease.next_care()));
        match self.kept[index].lease.renew().await {
            Renewal::Longer => {}
            Renewal::Later(error) => note(&format!(
                "the lease of {} cannot be renewed now, and is tried again: {error}",
                self.kept[index].entry.secret
            )),
            Renewal::Over => match self.replace(index).await {
                Ok(()) => {}
                Err(error @ AgentError::File { .. }) => return Err(error),
                Err(error) => note(&format!(
                    "the lease of {} ends soon, and there is no other: {error}",
                    self.kept[index].entry.secret
                )),
            },
        }
        Ok(again(&self.kept[index]))
    }

    /// A new lease in the place of one that will end.
    async fn replace(&mut self, index: usize) -> Result<(), AgentError> {
        let entry = self.kept[index].entry.clone();
        let mut loan = self
            .borrower
            .lend(&entry.secret, &entry.host, entry.ttl_secs)
            .await?;
        self.borrower.measure(&mut loan.lease).await;
        let rendered = Rendered::of(&entry, &loan.value)?;
        let old = std::mem::replace(
            &mut self.kept[index],
            Kept {
                entry,
                lease: loan.lease,
                rendered,
            },
        );
        self.note_leases()?;
        let new = &self.kept[index].rendered;
        for ((path, content), (_, before)) in new.files.iter().zip(&old.rendered.files) {
            if content != before {
                self.written.replace(path, content)?;
            }
        }
        if old.rendered.variables != new.variables {
            self.rewrite_env_file()?;
        }
        Ok(())
    }

    async fn hear(&mut self, event: LeaseEvent) -> Result<(), AgentError> {
        match event {
            LeaseEvent::LeaseRevoked {
                lease_id, reason, ..
            } => self.lose(lease_id, reason),
            LeaseEvent::Lagged { .. } => self.compare().await,
            // An end by time is seen here too, and a renewal was asked for here.
            LeaseEvent::LeaseExpired { .. } | LeaseEvent::LeaseRenewed { .. } => Ok(()),
        }
    }

    /// Events were missed: looks what became of every lease.
    async fn compare(&mut self) -> Result<(), AgentError> {
        let Ok(all) = self.borrower.leases_of("", true).await else {
            // The connection broke again, and that will be told as well.
            return Ok(());
        };
        for info in all {
            if info.status == LeaseStatus::Revoked {
                let reason = info.reason.unwrap_or(RevocationReason::AdminRevoked);
                self.lose(info.lease_id, reason)?;
            }
        }
        Ok(())
    }

    /// A lease was withdrawn.
    fn lose(&mut self, id: LeaseId, reason: RevocationReason) -> Result<(), AgentError> {
        // Its one use was ours.
        let harmless = matches!(
            reason,
            RevocationReason::UseLimitReached | RevocationReason::Expired
        );
        match self.index(id) {
            Some(index) if !harmless => self.let_go(
                index,
                &format!("its lease was withdrawn ({})", reason.as_str()),
            ),
            _ => Ok(()),
        }
    }

    /// Removes what one value filled.
    fn let_go(&mut self, index: usize, why: &str) -> Result<(), AgentError> {
        let kept = self.kept.remove(index);
        for (path, _) in &kept.rendered.files {
            self.written.remove_one(path)?;
        }
        if !kept.rendered.variables.is_empty() {
            self.rewrite_env_file()?;
        }
        note(&format!(
            "{} for {} was removed: {why}",
            kept.entry.secret, kept.entry.host
        ));
        self.note_leases()
    }
}

/// Being told to end is no failure here; the loop hears it again.
fn stopped(error: AgentError) -> Result<Option<(LeaseId, Instant)>, AgentError> {
    match error {
        AgentError::Stopped => Ok(None),
        other => Err(other),
    }
}
