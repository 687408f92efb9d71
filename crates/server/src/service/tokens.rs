//! Tokens of this server's own: those of administrators before people can log in, those of identity providers, and those
//! of gateways.

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

/// The issuer's name of gateways' tokens that this server makes itself.
pub const GATEWAY: &str = "gateway";

/// How long a token lives if nobody says how long, and how long it may live at most.
#[must_use]
pub fn token_lifetimes(kind: TokenKind) -> (Duration, Duration) {
    match kind {
        TokenKind::Provisioning => (YEAR, 2 * YEAR),
        TokenKind::Gateway => (30 * DAY, YEAR),
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
            "gateway" => TokenKind::Gateway,
            "admin" => TokenKind::Bootstrap,
            _ => {
                let wrong = "it is `scim`, `gateway` or `admin`";
                return Err(names::invalid("role", wrong));
            }
        };
        let name = self.token_name(kind, wanted.name.as_deref())?;
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
        let issued = self.store().issue(kind, name, lifetime, now, entry).await;
        let (session, token) = self.stored(issued)?;
        tracing::warn!(principal = %caller.session.subject.principal(), token = %session.id, "an administrator made a token");
        Ok(TokenCreated {
            id: session.id,
            token: token.secret().expose_secret().to_owned(),
            role: wanted.role.clone(),
            expires_at: session.expires_at,
        })
    }

    /// The name of a gateway, and of nobody else.
    fn token_name(&self, kind: TokenKind, name: Option<&str>) -> Result<Option<String>, Problem> {
        let wrong = |wrong: &str| Err(names::invalid("name", wrong));
        match (kind, name) {
            (TokenKind::Gateway, None) => wrong("a gateway has one"),
            (TokenKind::Gateway, Some(name)) if !is_gateway_name(name) => {
                wrong("it is up to 64 letters, digits, `.`, `_` and `-`")
            }
            // Its questions would all be refused: rather now than when somebody waits.
            (TokenKind::Gateway, Some(name)) if !self.policy().current().has_gateway(name) => {
                wrong("the policy has no `[[gateway]]` of this name")
            }
            (TokenKind::Gateway, Some(name)) => Ok(Some(name.to_owned())),
            (_, None) => Ok(None),
            (_, Some(_)) => wrong("only gateways have one"),
        }
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
    let subject = &session.subject;
    let role = match subject.issuer.as_str() {
        PROVISIONER => "scim",
        GATEWAY => "gateway",
        _ => "admin",
    };
    TokenView {
        id: session.id,
        role: role.to_owned(),
        name: (subject.issuer == GATEWAY).then(|| subject.subject.clone()),
        created_at: session.created_at,
        expires_at: session.expires_at,
    }
}

/// Whether a gateway may be called so, here and in the policy.
#[must_use]
pub fn is_gateway_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
}

impl Store {
    /// Makes a token of this server's own: `fxb_` for an administrator, `fxp_` for an identity provider, `fxw_` for the
    /// gateway of a name. The database must be unlocked. Shown once.
    ///
    /// # Errors
    /// As every write; [`StoreError::Unavailable`] if the machine gives no random numbers.
    pub async fn issue_token(
        &self,
        kind: TokenKind,
        gateway: Option<String>,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Token, StoreError> {
        let entry = Entry::new("token_issued", "system", Outcome::Ok);
        let (_, token) = self.issue(kind, gateway, lifetime, now, entry).await?;
        Ok(token)
    }

    async fn issue(
        &self,
        kind: TokenKind,
        gateway: Option<String>,
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
            TokenKind::Gateway => (GATEWAY, Vec::new()),
            _ => (BOOTSTRAP, vec![Role::Reader, Role::Approver, Role::Admin]),
        };
        let session = SessionRecord {
            id,
            hash: token.hash(),
            subject: Subject {
                issuer: name.to_owned(),
                preset: Preset::Generic,
                // Whoever replaces a gateway's token is the same gateway to the policy, and to what it asked.
                subject: gateway.clone().unwrap_or_else(|| id.to_string()),
                claims: Claims::new(),
                roles,
            },
            created_at: now,
            expires_at: now.checked_add(lifetime).unwrap_or(now),
            ended: false,
        };
        entry.lease = Some(id);
        let mut detail = serde_json::json!({ "kind": name });
        if let Some(gateway) = gateway {
            detail["name"] = gateway.into();
        }
        entry.detail = Some(detail.to_string());
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
