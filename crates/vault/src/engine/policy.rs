//! Putting another policy in force, and asking the one that is.

use std::sync::{Arc, PoisonError};

use fnox_core::{Host, VaultName};
use fnox_vault_wire::methods::{
    Explanation, PolicyExplain, PolicyReloaded, RevocationReason, Role,
};

use super::audit::{about, entry};
use super::request::later;
use super::{Asked, Engine};
use crate::error::VaultError;
use crate::identity::Identity;
use crate::lease::Lease;
use crate::policy::{Decision, Loaded, Policy, PolicySource};
use crate::store::Change;

impl Engine {
    /// How the policy decides on a question. Agents may ask about themselves, and hear of other rules nothing.
    ///
    /// # Errors
    /// `Invalid` for a name or host that is not one.
    pub fn policy_explain(
        &self,
        identity: &Identity,
        params: &PolicyExplain,
    ) -> Result<Explanation, VaultError> {
        let asked = Asked {
            agent: Self::agent_of(identity, &params.agent)?,
            secret: VaultName::parse(&params.secret)?,
            host: Host::parse(&params.host)?,
            tool: params.tool.as_deref().map(Arc::from),
        };
        let policy = self.policy();
        let question = asked.question(self.now().wall);
        Ok(match identity.role {
            Role::Agent | Role::Gateway => policy.explain_for_agent(&question),
            Role::Admin | Role::Orchestrator => policy.explain(&question),
        })
    }

    /// Reads the policy again. If it is wrong, or its source refuses it, the old policy stays in force.
    ///
    /// # Errors
    /// `Policy`; `Unsupported` where the policy has no source; `Store`, `Audit`.
    pub async fn policy_reload(&self, identity: &Identity) -> Result<PolicyReloaded, VaultError> {
        let Some(source) = self.shared.options.policy_source.clone() else {
            return Err(VaultError::Unsupported(
                "this vault's policy did not come from a file".to_owned(),
            ));
        };
        let loaded = tokio::task::spawn_blocking(move || load(source.as_ref()))
            .await
            .unwrap_or_else(|error| Err(error.to_string()));
        match loaded {
            Ok(loaded) => {
                let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
                self.set_policy(identity, loaded.policy, warnings).await
            }
            Err(problem) => {
                self.deny(
                    entry("policy_changed", identity),
                    VaultError::Policy(problem),
                )
                .await
            }
        }
    }

    /// Puts another policy in force and judges the live leases by it.
    ///
    /// # Errors
    /// `Store`, `Audit`: then the policy is in force, and some leases may not have been judged.
    pub async fn set_policy(
        &self,
        identity: &Identity,
        policy: Policy,
        warnings: Vec<String>,
    ) -> Result<PolicyReloaded, VaultError> {
        let rules = policy.rules().len() as u64;
        let mut entry = entry("policy_changed", identity);
        entry.reason = Some(format!("{rules} rules"));
        let work = async {
            *self
                .shared
                .policy
                .write()
                .unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
            self.judge_live_leases(identity).await
        };
        let (leases_revoked, leases_shortened) = self.on_record(entry, work).await?;
        Ok(PolicyReloaded {
            rules,
            warnings,
            leases_revoked,
            leases_shortened,
        })
    }

    /// Withdraws live leases that the policy would not grant, and shortens those that it would grant for less.
    pub(super) async fn judge_live_leases(
        &self,
        identity: &Identity,
    ) -> Result<(u64, u64), VaultError> {
        let now = self.now().wall;
        let policy = self.policy();
        let (mut forbidden, mut shortened) = (Vec::new(), 0);
        let live = self.table().select(|_| true);
        for lease in live {
            let asked = Asked {
                agent: lease.agent.clone(),
                secret: lease.secret.clone(),
                host: lease.host.clone(),
                tool: lease.tool.clone(),
            };
            match policy.decide(&asked.question(now)) {
                // A value that was granted to the holder is not a gateway's all at once: it must ask again.
                Decision::Allowed { terms, .. } if terms.delivery == lease.delivery => {
                    let latest = later(now, terms.max_ttl.as_secs())?
                        .min(later(lease.issued_at, terms.max_lifetime.as_secs())?);
                    if latest < lease.expires_at {
                        self.shorten(identity, lease, latest).await?;
                        shortened += 1;
                    }
                }
                Decision::Allowed { .. } | Decision::Denied { .. } => forbidden.push(lease),
            }
        }
        let revoked = self
            .withdraw_live(forbidden, RevocationReason::PolicyChanged, identity)
            .await?;
        Ok((revoked, shortened))
    }

    async fn shorten(
        &self,
        identity: &Identity,
        lease: Lease,
        expires_at: jiff::Timestamp,
    ) -> Result<(), VaultError> {
        let mut entry = about(entry("lease_shortened", identity), &lease);
        entry.reason = Some(format!("until {expires_at}"));
        let change = Change::Shorten {
            id: lease.id,
            expires_at,
        };
        let outcome = self
            .shared
            .stores
            .leases
            .commit(change, self.entries(vec![entry]))
            .await;
        self.shared.troubles.watch(outcome)?;
        let now = self.now();
        self.table().set_expiry(lease.id, expires_at, now, false);
        Ok(())
    }
}

fn load(source: &dyn PolicySource) -> Result<Loaded, String> {
    let text = source.read()?;
    Policy::load(&text, &source.origin()).map_err(|error| error.to_string())
}
