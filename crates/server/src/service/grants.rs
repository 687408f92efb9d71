//! Grants and the one fetch that each is good for.

use std::net::IpAddr;

use fnox_api::{
    CreateApproval, CreateGrant, Fetched, FetchedSecret, GrantCreated, Problem, ProblemCode,
};
use fnox_core::audit::{Entry, Outcome};
use fnox_core::{Token, TokenKind};
use uuid::Uuid;

use super::approvals::{Ask, Assessed, later};
use super::names::invalid;
use super::{Caller, Service};
use crate::notify::Notice;
use crate::store::{GrantRecord, NewGrant, Refusal, StoreError};

impl Service {
    /// Exchanges an approval for a grant; or makes one at once for keys for which nobody has to be asked.
    pub(crate) async fn grant(
        &self,
        caller: &Caller,
        body: CreateGrant,
    ) -> Result<GrantCreated, Problem> {
        let approval = match body {
            CreateGrant {
                approval_id: Some(id),
                project: None,
                profile: None,
                keys: None,
                command_hash: None,
                command_display: None,
            } => id,
            CreateGrant {
                approval_id: None,
                project: Some(project),
                profile,
                keys: Some(keys),
                command_hash: Some(command_hash),
                command_display,
            } => {
                let request = CreateApproval {
                    project,
                    profile,
                    keys,
                    command_hash,
                    command_display: command_display.unwrap_or_default(),
                    reason: None,
                };
                self.free_approval(caller, request).await?
            }
            _ => {
                return Err(invalid(
                    "approval_id",
                    "give either this alone, or `project`, `keys` and `command_hash`",
                ));
            }
        };
        self.exchange(caller, approval).await
    }

    /// An approval that needs nobody.
    async fn free_approval(
        &self,
        caller: &Caller,
        request: CreateApproval,
    ) -> Result<Uuid, Problem> {
        let ask = Ask::parse(request)?;
        let assessed = self.assess(caller, &ask).await?;
        if let Some(item) = assessed.items.iter().find(|item| item.needs_approval) {
            return Err(Problem::new(ProblemCode::ApprovalNeeded)
                .with_detail(format!("it is `{}`; `POST /v1/approvals` asks", item.key))
                .at_key(&item.key));
        }
        let (record, _) = self.store_request(caller, &ask, assessed).await?;
        Ok(record.id)
    }

    async fn exchange(&self, caller: &Caller, approval: Uuid) -> Result<GrantCreated, Problem> {
        let lifetime = self.still_permitted(caller, approval).await?;
        let now = self.now();
        let token = Token::generate(TokenKind::Grant)
            .map_err(|error| Problem::new(ProblemCode::Internal).with_detail(error.to_string()))?;
        let expires_at = later(now, lifetime).min(caller.session.expires_at);
        let new = NewGrant {
            approval,
            binding: caller.session.subject.binding(),
            session: caller.session.id,
            grant: GrantRecord {
                id: Uuid::now_v7(),
                hash: token.hash(),
                expires_at,
            },
            now,
        };
        let mut entry = caller.entry("grant_created");
        entry.lease = Some(new.grant.id);
        self.stored(self.store().grant(new, entry).await)?;
        metrics::counter!("fnox_grants_total").increment(1);
        Ok(GrantCreated {
            grant_token: token.secret().expose_secret().to_owned(),
            expires_at,
        })
    }

    /// The policy may have been replaced since the request: what it does not permit any more is not granted.
    async fn still_permitted(
        &self,
        caller: &Caller,
        approval: Uuid,
    ) -> Result<std::time::Duration, Problem> {
        let found = self.stored(self.store().approval(approval).await)?;
        let subject = &caller.session.subject;
        let record = found
            .filter(|record| record.question.is_none() && record.binding == subject.binding())
            .ok_or_else(|| Problem::new(ProblemCode::NotFound))?;
        let policy = self.policy().current();
        let mut terms = Assessed::begin(&self.settings().approvals);
        for item in &record.items {
            let permit = policy
                .permit(subject, &record.project, &record.profile, &item.key)
                .map_err(|denial| denial.for_client().at_key(&item.key))?;
            if permit.require_approval && !item.needs_approval {
                return Err(Problem::new(ProblemCode::ApprovalChanged)
                    .with_detail(format!(
                        "the policy wants a person to be asked for `{}` now; ask anew",
                        item.key
                    ))
                    .at_key(&item.key));
            }
            terms
                .narrow(&permit)
                .map_err(|problem| problem.at_key(&item.key))?;
        }
        if record.items.iter().any(|item| item.needs_approval) {
            self.still_enough(&record, &terms.approvers, terms.approvals_needed)
                .await?;
        }
        Ok(terms.grant_lifetime)
    }

    /// Uses a grant up.
    pub(crate) async fn fetch(&self, token: &str, address: IpAddr) -> Result<Fetched, Problem> {
        let unknown = || {
            Problem::new(ProblemCode::TokenInvalid)
                .with_detail("this needs a grant (`fxg_…`) of this server as bearer")
        };
        let token = Token::parse(TokenKind::Grant, token).map_err(|_| unknown())?;
        let now = self.now();
        let mut entry = Entry::new("secrets_fetched", "grant", Outcome::Ok);
        entry.peer = Some(address.to_string());
        let redeemed = self.store().redeem(token.hash(), now, entry).await;
        if let Err(StoreError::Refused(refusal)) = &redeemed {
            if *refusal == Refusal::Missing {
                return Err(unknown());
            }
            metrics::counter!("fnox_fetches_total", "outcome" => "refused").increment(1);
            if let Refusal::GrantUsed { approval } = refusal {
                self.tell_of_replay(*approval, address).await;
            }
        }
        let redeemed = self.stored(redeemed)?;
        metrics::counter!("fnox_fetches_total", "outcome" => "ok").increment(1);
        let secrets = redeemed
            .secrets
            .into_iter()
            .filter_map(|record| {
                Some(FetchedSecret {
                    key: record.place.key,
                    version: record.version,
                    ciphertext: record.ciphertext?,
                    recipients: record.recipients,
                })
            })
            .collect();
        Ok(Fetched { secrets })
    }

    async fn tell_of_replay(&self, approval: Uuid, address: IpAddr) {
        tracing::warn!(%approval, %address, "a grant was used a second time");
        let found = self.store().approval(approval).await.ok().flatten();
        let requester = found.as_ref().map_or_else(String::new, |record| {
            format!(" of {}", record.requester.name)
        });
        let now = self.now();
        self.notifier().send(Notice::Alarm {
            title: "A grant was used twice".to_owned(),
            text: format!(
                "Somebody at {address} tried to use a grant{requester} that had been used already. Nothing was \
                 released. Whoever has the token may have the secrets too."
            ),
            approval: found.map(|record| Box::new(record.view(now))),
        });
    }
}
