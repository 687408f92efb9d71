//! Access tokens: 256 random bits of which only the SHA-256 is stored.

use fnox_core::SecretString;
use fnox_vault_wire::methods::{CreateToken, RevocationReason, Role, TokenCreated, TokenInfo};
use fnox_vault_wire::{Code, TokenId, WireError};
use rand::TryRngCore as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::Engine;
use super::audit::entry;
use super::request::later;
use crate::error::VaultError;
use crate::identity::{Identity, PeerBinding};
use crate::store::{Change, Refusal, StoreError, TokenRecord};

/// What a token begins with, so that scanners for leaked secrets find it.
pub const TOKEN_PREFIX: &str = "fxv_";
/// The longest life of a token, in seconds: 90 days.
const LONGEST: u64 = 90 * 86_400;

impl Engine {
    /// Makes a token. It is in the answer and nowhere else.
    ///
    /// # Errors
    /// `Invalid`, `OutOfRange`; `Store`, `Audit`.
    pub async fn create_token(
        &self,
        identity: &Identity,
        params: &CreateToken,
    ) -> Result<TokenCreated, VaultError> {
        let agent = fnox_core::AgentId::parse(&params.agent)?;
        if !(1..=LONGEST).contains(&params.ttl_secs) {
            return Err(VaultError::OutOfRange(format!(
                "ttl_secs must be between 1 and {LONGEST} (90 days)"
            )));
        }
        if params.max_uses == Some(0) {
            return Err(VaultError::OutOfRange(
                "max_uses must be at least 1".to_owned(),
            ));
        }
        let peer = params
            .peer
            .as_deref()
            .map(str::parse::<PeerBinding>)
            .transpose();
        let peer = peer.map_err(|error| VaultError::Invalid(error.to_string()))?;
        if matches!(peer, Some(PeerBinding::Token(_) | PeerBinding::Local)) {
            return Err(VaultError::Invalid(
                "a token can be bound to uid:N or cid:N".to_owned(),
            ));
        }
        let now = self.now().wall;
        let (token, hash) = random_token(TOKEN_PREFIX)?;
        let record = TokenRecord {
            id: TokenId::generate(),
            hash,
            agent: agent.to_string(),
            role: params.role,
            created_at: now,
            expires_at: later(now, params.ttl_secs)?,
            max_uses: params.max_uses,
            uses: 0,
            peer,
            revoked: false,
        };
        let created = TokenCreated {
            token,
            id: record.id,
            agent: record.agent.clone(),
            role: record.role,
            expires_at: record.expires_at,
        };
        let mut entry = entry("token_created", identity);
        entry.agent = Some(agent.to_string());
        entry.reason = Some(format!("token {} for the role {}", record.id, record.role));
        let outcome = self
            .shared
            .stores
            .leases
            .commit(Change::CreateToken(record), self.entries(vec![entry]))
            .await;
        self.shared.troubles.watch(outcome)?;
        Ok(created)
    }

    /// All tokens that are remembered.
    ///
    /// # Errors
    /// `Store`, `Audit`.
    pub async fn list_tokens(&self, identity: &Identity) -> Result<Vec<TokenInfo>, VaultError> {
        let tokens = self
            .shared
            .stores
            .leases
            .tokens()
            .await
            .map_err(|error| self.failed(error))?;
        self.record(vec![entry("tokens_listed", identity)]).await?;
        Ok(tokens
            .into_iter()
            .map(|token| TokenInfo {
                id: token.id,
                agent: token.agent,
                role: token.role,
                created_at: token.created_at,
                expires_at: token.expires_at,
                uses: token.uses,
                max_uses: token.max_uses,
                peer: token.peer.map(|peer| peer.to_string()),
                revoked: token.revoked,
            })
            .collect())
    }

    /// Withdraws a token and its leases, and ends its connections; tells how many leases were live.
    ///
    /// # Errors
    /// `TokenNotFound`; `Store`, `Audit`.
    pub async fn revoke_token(&self, identity: &Identity, id: TokenId) -> Result<u64, VaultError> {
        let mut token_entry = entry("token_revoked", identity);
        token_entry.reason = Some(format!("token {id}"));
        let change = Change::RevokeToken { id };
        let outcome = self
            .shared
            .stores
            .leases
            .commit(change, self.entries(vec![token_entry.clone()]))
            .await;
        match self.shared.troubles.watch(outcome) {
            Ok(_) => {}
            Err(StoreError::Refused(_)) => {
                return self.deny(token_entry, VaultError::TokenNotFound).await;
            }
            Err(error) => return Err(error.into()),
        }
        self.tell_of_token(id);
        let is_of_token = |lease: &crate::lease::Lease| lease.peer == PeerBinding::Token(id);
        self.withdraw_all(
            is_of_token,
            RevocationReason::TokenRevoked,
            &entry("lease_revoked", identity),
        )
        .await
    }

    /// Who presents a token. `from` is what the transport says of the other end.
    ///
    /// # Errors
    /// `Unauthenticated`, without saying more to the caller than that; the log says why.
    pub async fn authenticate(
        &self,
        token: &SecretString,
        from: Option<PeerBinding>,
        origin: &str,
    ) -> Result<Identity, WireError> {
        let stranger = Identity {
            role: Role::Agent,
            agent: None,
            peer: from.unwrap_or(PeerBinding::Local),
            origin: origin.to_owned(),
            expires_at: None,
        };
        match self.token_holder(token, from, origin).await {
            Ok(identity) => Ok(identity),
            Err(why @ (VaultError::Store(_) | VaultError::Audit(_))) => Err(why.into()),
            Err(why) => {
                let mut entry = entry("authentication_failed", &stranger);
                "stranger".clone_into(&mut entry.actor);
                entry.outcome = fnox_core::audit::Outcome::Denied;
                entry.reason = Some(why.to_string());
                self.record(vec![entry]).await?;
                Err(WireError::new(
                    Code::AuthenticationFailed,
                    "authentication failed: the token is not valid here",
                ))
            }
        }
    }

    async fn token_holder(
        &self,
        token: &SecretString,
        from: Option<PeerBinding>,
        origin: &str,
    ) -> Result<Identity, VaultError> {
        let found = self
            .shared
            .stores
            .leases
            .token(&digest(token.expose_secret()))
            .await;
        let record = found.map_err(|error| self.failed(error))?;
        let record = record.ok_or(VaultError::Unauthenticated("the token is not known"))?;
        let now = self.now().wall;
        if record.revoked {
            return Err(VaultError::Unauthenticated("the token was revoked"));
        }
        if now >= record.expires_at {
            return Err(VaultError::Unauthenticated("the token has expired"));
        }
        if record.peer.is_some() && record.peer != from {
            return Err(VaultError::Unauthenticated(
                "the token is bound to another peer",
            ));
        }
        let identity = Identity {
            role: record.role,
            agent: Some(fnox_core::AgentId::parse(&record.agent)?),
            peer: PeerBinding::Token(record.id),
            origin: format!("{origin} token:{}", record.id),
            expires_at: Some(record.expires_at),
        };
        let change = Change::UseToken { id: record.id, now };
        let entry = entry("authenticated", &identity);
        let outcome = self
            .shared
            .stores
            .leases
            .commit(change, self.entries(vec![entry]))
            .await;
        match self.shared.troubles.watch(outcome) {
            Ok(_) => Ok(identity),
            Err(StoreError::Refused(Refusal::NotLive(_))) => Err(VaultError::Unauthenticated(
                "the token has no uses left, or was revoked",
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts on record who came in without a token, by the operating system's word.
    ///
    /// # Errors
    /// `Audit`.
    pub async fn admit_peer(&self, identity: &Identity) -> Result<(), VaultError> {
        self.record(vec![entry("authenticated", identity)]).await
    }

    /// Puts on record who did not come in.
    ///
    /// # Errors
    /// `Audit`.
    pub async fn refuse_peer(&self, origin: &str, why: &str) -> Result<(), VaultError> {
        let mut entry = fnox_core::audit::Entry::new(
            "authentication_failed",
            "stranger",
            fnox_core::audit::Outcome::Denied,
        );
        entry.peer = Some(origin.to_owned());
        entry.reason = Some(why.to_owned());
        self.record(vec![entry]).await
    }
}

/// A new token and its SHA-256.
pub(super) fn random_token(prefix: &str) -> Result<(SecretString, [u8; 32]), VaultError> {
    use base64::Engine as _;
    let mut bytes = Zeroizing::new([0u8; 32]);
    rand::rngs::OsRng
        .try_fill_bytes(bytes.as_mut())
        .map_err(|_| VaultError::keys("the operating system gave no random bytes"))?;
    let body =
        Zeroizing::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes.as_slice()));
    let mut token = String::with_capacity(prefix.len() + body.len());
    token.push_str(prefix);
    token.push_str(&body);
    let hash = digest(&token);
    Ok((SecretString::new(token), hash))
}

/// What is stored of a token. Its 256 random bits need no slow hash.
pub(super) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
