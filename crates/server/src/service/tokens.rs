//! Tokens of this server's own: those of administrators before people can log in, and those of identity providers.

use std::time::Duration;

use fnox_api::{CreateToken, Problem, ProblemCode, Role, TokenCreated, TokenList, TokenView};
use fnox_core::audit::{Entry, Outcome};
use fnox_core::{Token, TokenKind};
use jiff::Timestamp;
use uuid::Uuid;

use super::people::PROVISIONER;
use super::{Caller, Service, names};
use crate::settings::Preset;
use crate::store::{NewSession, SessionRecord, Store, StoreError};
use crate::subject::{Claims, Subject};

/// The issuer's name of administrators' tokens that this server makes itself.
pub const BOOTSTRAP: &str = "bootstrap";

/// How long a token lives if nobody says how long, and how long it may live at most.
#[must_use]
pub fn token_lifetimes(kind: TokenKind) -> (Duration, Duration) {
    match kind {
        TokenKind::Provisioning => (YEAR, 2 * YEAR),
        // It stands in for a login, so it does not last.
        _ => (DAY, 7 * DAY),
    }
}

impl Service {
    /// Makes a token.
    ///
    /// One of an administrator only for somebody who has one: it would outlive the login of a person, and what ends
    /// that person's sessions would not end it.
    pub(crate) async fn create_token(
        &self,
        caller: &Caller,
        wanted: &CreateToken,
    ) -> Result<TokenCreated, Problem> {
        caller.must_be(&[Role::Admin])?;
        let kind = match wanted.role.as_str() {
            "scim" => TokenKind::Provisioning,
            "admin" => TokenKind::Bootstrap,
            _ => return Err(names::invalid("role", "it is `scim` or `admin`")),
        };
        if kind == TokenKind::Bootstrap && caller.session.subject.issuer != BOOTSTRAP {
            return Err(Problem::new(ProblemCode::RoleMissing).with_detail(
                "a person who logged in makes no administrator's token, which would outlive the login: give the other \
                 person the group of the role `admin`",
            ));
        }
        let (usual, longest) = token_lifetimes(kind);
        let lifetime = wanted.ttl_seconds.map_or(usual, Duration::from_secs);
        if lifetime.is_zero() || lifetime > longest {
            let most = longest.as_secs();
            return Err(names::invalid(
                "ttl_seconds",
                &format!("it must be between 1 and {most}"),
            ));
        }
        let now = self.now();
        let entry = caller.entry("token_issued");
        let issued = self.store().issue(kind, lifetime, now, entry).await;
        let (session, token) = self.stored(issued)?;
        tracing::warn!(principal = %caller.session.subject.principal(), token = %session.id, "an administrator made a token");
        Ok(TokenCreated {
            id: session.id,
            token: token.secret().expose_secret().to_owned(),
            role: wanted.role.clone(),
            expires_at: session.expires_at,
        })
    }

    /// The tokens that are good at the moment.
    pub(crate) async fn tokens(&self, caller: &Caller) -> Result<TokenList, Problem> {
        caller.must_be(&[Role::Admin])?;
        let found = self.store().own_tokens(self.now()).await;
        let tokens = self.stored(found)?.iter().map(token_view).collect();
        Ok(TokenList { tokens })
    }

    /// Ends a token at once.
    pub(crate) async fn end_token(&self, caller: &Caller, id: Uuid) -> Result<(), Problem> {
        caller.must_be(&[Role::Admin])?;
        let mut entry = caller.entry("token_revoked");
        entry.lease = Some(id);
        let ended = self.store().end_own_token(id, entry).await;
        self.stored(ended)
    }
}

/// A token as administrators see it.
#[must_use]
pub fn token_view(session: &SessionRecord) -> TokenView {
    let is_provisioner = session.subject.issuer == PROVISIONER;
    TokenView {
        id: session.id,
        role: if is_provisioner { "scim" } else { "admin" }.to_owned(),
        created_at: session.created_at,
        expires_at: session.expires_at,
    }
}

impl Store {
    /// Makes a token of this server's own: `fxb_` for an administrator, `fxp_` for an identity provider. The database
    /// must be unlocked. Shown once.
    ///
    /// # Errors
    /// As every write; [`StoreError::Unavailable`] if the machine gives no random numbers.
    pub async fn issue_token(
        &self,
        kind: TokenKind,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Token, StoreError> {
        let entry = Entry::new("token_issued", "system", Outcome::Ok);
        let (_, token) = self.issue(kind, lifetime, now, entry).await?;
        Ok(token)
    }

    async fn issue(
        &self,
        kind: TokenKind,
        lifetime: Duration,
        now: Timestamp,
        mut entry: Entry,
    ) -> Result<(SessionRecord, Token), StoreError> {
        let token = Token::generate(kind).map_err(|error| StoreError::Unavailable {
            store: self.database().describe(),
            problem: error.to_string(),
        })?;
        let id = Uuid::now_v7();
        let (name, roles) = match kind {
            TokenKind::Provisioning => (PROVISIONER, Vec::new()),
            _ => (BOOTSTRAP, vec![Role::Reader, Role::Approver, Role::Admin]),
        };
        let session = SessionRecord {
            id,
            hash: token.hash(),
            subject: Subject {
                issuer: name.to_owned(),
                preset: Preset::Generic,
                subject: id.to_string(),
                claims: Claims::new(),
                roles,
            },
            created_at: now,
            expires_at: now.checked_add(lifetime).unwrap_or(now),
            ended: false,
        };
        entry.lease = Some(id);
        entry.detail = Some(serde_json::json!({ "kind": name }).to_string());
        let new = NewSession {
            session: session.clone(),
            replay: None,
            name: None,
            logins: [None, None, None],
            must_be_provisioned: false,
        };
        self.open_session(new, entry).await?;
        Ok((session, token))
    }
}

const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(365 * 24);
