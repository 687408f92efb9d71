//! People whom an identity provider tells of, by SCIM.

use fnox_api::{Problem, ProblemCode, Role};
use jiff::Timestamp;
use uuid::Uuid;

use super::{Caller, Service, names};
use crate::store::{UserChange, UserRecord};

/// The issuer's name of a SCIM client's token.
pub(super) const PROVISIONER: &str = "scim";

/// A person to store.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// `userName`
    pub user_name: String,
    /// `externalId`
    pub external_id: Option<String>,
    /// `displayName`
    pub display_name: Option<String>,
    /// The primary of `emails`.
    pub email: Option<String>,
    /// `active`
    pub active: bool,
}

impl Service {
    pub(crate) async fn create_user(
        &self,
        caller: &Caller,
        new: NewUser,
    ) -> Result<UserRecord, Problem> {
        must_provision(caller)?;
        let now = self.now();
        let user = UserRecord {
            id: Uuid::now_v7(),
            user_name: short(&new.user_name, "userName")?,
            external_id: optional(new.external_id, "externalId")?,
            display_name: optional(new.display_name, "displayName")?,
            email: optional(new.email, "emails")?,
            active: new.active,
            created_at: now,
            updated_at: now,
        };
        let mut entry = caller.entry("user_created");
        entry.agent = Some(user.user_name.clone());
        self.stored(self.store().create_user(user.clone(), entry).await)?;
        Ok(user)
    }

    pub(crate) async fn user(&self, caller: &Caller, id: Uuid) -> Result<UserRecord, Problem> {
        must_provision(caller)?;
        self.stored(self.store().user(id).await)?
            .ok_or_else(|| Problem::new(ProblemCode::NotFound))
    }

    pub(crate) async fn users(
        &self,
        caller: &Caller,
        (user_name, external_id): (Option<String>, Option<String>),
        offset: u32,
        limit: u32,
    ) -> Result<(Vec<UserRecord>, u64), Problem> {
        must_provision(caller)?;
        let found = self
            .store()
            .users(user_name, external_id, offset, limit)
            .await;
        self.stored(found)
    }

    pub(crate) async fn change_user(
        &self,
        caller: &Caller,
        id: Uuid,
        change: UserChange,
    ) -> Result<UserRecord, Problem> {
        must_provision(caller)?;
        let now: Timestamp = self.now();
        let entry = caller.entry("user_changed");
        let changed = self.store().change_user(id, change, now, entry).await;
        let (user, ended) = self.stored(changed)?;
        if !user.active {
            tracing::info!(
                user = %user.user_name, sessions = ended.sessions, approvals = ended.approvals,
                "a person was deactivated"
            );
        }
        Ok(user)
    }

    pub(crate) async fn delete_user(&self, caller: &Caller, id: Uuid) -> Result<(), Problem> {
        must_provision(caller)?;
        let entry = caller.entry("user_deleted");
        let deleted = self.store().delete_user(id, self.now(), entry).await;
        self.stored(deleted).map(|_| ())
    }
}

/// Identity providers have a token of their own; administrators may do the same.
pub(crate) fn must_provision(caller: &Caller) -> Result<(), Problem> {
    if caller.session.subject.issuer == PROVISIONER {
        return Ok(());
    }
    caller.must_be(&[Role::Admin])
}

fn short(text: &str, field: &str) -> Result<String, Problem> {
    let text = names::text(text.trim(), field, 256)?;
    if text.is_empty() {
        return Err(names::invalid(field, "it is empty"));
    }
    Ok(text)
}

fn optional(text: Option<String>, field: &str) -> Result<Option<String>, Problem> {
    text.filter(|text| !text.is_empty())
        .map(|text| short(&text, field))
        .transpose()
}
