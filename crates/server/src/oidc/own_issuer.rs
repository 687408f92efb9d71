//! An issuer of tokens that is two files: for machines without a CI or a network, and for trying a server out.
//!
//! One file is the key (0600, whoever has it can be any job), the other the key set that `jwks_file` of an
//! `[[issuer]]` names. Tokens are signed with Ed25519 (RFC 8037).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use jiff::Timestamp;
use rand::TryRngCore as _;
use serde_json::{Map, Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

/// A key that signs tokens.
pub struct OwnIssuer {
    id: String,
    key: SigningKey,
}

/// A key file, or claims, are not as they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OwnIssuerError {
    /// The file is no key.
    #[error("it is not an issuer's key: one line `fnox-issuer-v1 ID KEY` was expected")]
    NoKey,
    /// The claims set what the issuer sets.
    #[error("`{claim}` is set by the issuer, not by the claims")]
    Reserved {
        /// Which.
        claim: String,
    },
    /// The machine has no random numbers.
    #[error("the machine gives no random numbers")]
    NoRandomness,
}

impl OwnIssuer {
    /// A new key.
    ///
    /// # Errors
    /// [`OwnIssuerError::NoRandomness`].
    pub fn generate() -> Result<Self, OwnIssuerError> {
        let mut id = [0_u8; 8];
        let mut seed = Zeroizing::new([0_u8; 32]);
        let mut random = rand::rngs::OsRng;
        random
            .try_fill_bytes(&mut id)
            .and_then(|()| random.try_fill_bytes(&mut *seed))
            .map_err(|_| OwnIssuerError::NoRandomness)?;
        Ok(Self {
            id: hex::encode(id),
            key: SigningKey::from_bytes(&seed),
        })
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`OwnIssuerError::NoKey`].
    pub fn parse(text: &str) -> Result<Self, OwnIssuerError> {
        let mut parts = text.split_whitespace();
        let (Some(KIND), Some(id), Some(seed), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(OwnIssuerError::NoKey);
        };
        let bytes = URL_SAFE_NO_PAD.decode(seed).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| OwnIssuerError::NoKey)?;
        let seed: Zeroizing<[u8; 32]> = match bytes.as_slice().try_into() {
            Ok(seed) => Zeroizing::new(seed),
            Err(_) => return Err(OwnIssuerError::NoKey),
        };
        Ok(Self {
            id: id.to_owned(),
            key: SigningKey::from_bytes(&seed),
        })
    }

    /// What the key file holds.
    #[must_use]
    pub fn file(&self) -> Zeroizing<String> {
        let seed = Zeroizing::new(self.key.to_bytes());
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(*seed));
        Zeroizing::new(format!("{KIND} {} {}\n", self.id, *encoded))
    }

    /// The key set for `jwks_file` (RFC 7517; RFC 8037, section 2).
    #[must_use]
    pub fn key_set(&self) -> String {
        let key = json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "x": URL_SAFE_NO_PAD.encode(self.key.verifying_key().to_bytes()),
            "kid": self.id,
            "alg": "EdDSA",
            "use": "sig",
        });
        let mut text = serde_json::to_string_pretty(&json!({ "keys": [key] })).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Signs a token for one audience. The claims must have a `sub`, and none of `iss`, `aud`, `iat`, `nbf`, `exp`, `jti`.
    ///
    /// # Errors
    /// [`OwnIssuerError::Reserved`].
    pub fn sign(
        &self,
        issuer: &str,
        audience: &str,
        claims: &Map<String, Value>,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Zeroizing<String>, OwnIssuerError> {
        if let Some(claim) = RESERVED.iter().find(|claim| claims.contains_key(**claim)) {
            return Err(OwnIssuerError::Reserved {
                claim: (*claim).to_owned(),
            });
        }
        let begins = now.as_second();
        let life = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        let mut all = claims.clone();
        all.insert("iss".to_owned(), json!(issuer));
        all.insert("aud".to_owned(), json!(audience));
        all.insert("iat".to_owned(), json!(begins));
        all.insert("nbf".to_owned(), json!(begins));
        all.insert("exp".to_owned(), json!(begins.saturating_add(life)));
        all.insert("jti".to_owned(), json!(Uuid::now_v7()));
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": self.id}).to_string();
        let signed = Zeroizing::new(format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(Value::Object(all).to_string())
        ));
        let signature = self.key.sign(signed.as_bytes()).to_bytes();
        Ok(Zeroizing::new(format!(
            "{}.{}",
            *signed,
            URL_SAFE_NO_PAD.encode(signature)
        )))
    }
}

impl std::fmt::Debug for OwnIssuer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("OwnIssuer")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

const KIND: &str = "fnox-issuer-v1";
const RESERVED: [&str; 6] = ["iss", "aud", "iat", "nbf", "exp", "jti"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_reads_back() {
        let issuer = OwnIssuer::generate().unwrap();
        let again = OwnIssuer::parse(&issuer.file()).unwrap();
        assert_eq!(again.key_set(), issuer.key_set());
        assert!(!issuer.key_set().contains("\"d\""));
        for bad in [
            "",
            "fnox-issuer-v1 a",
            "fnox-issuer-v2 a AAAA",
            "fnox-issuer-v1 a AAAA",
        ] {
            assert_eq!(
                OwnIssuer::parse(bad).unwrap_err(),
                OwnIssuerError::NoKey,
                "{bad}"
            );
        }
    }

    #[test]
    fn claims_cannot_set_what_the_issuer_sets() {
        let issuer = OwnIssuer::generate().unwrap();
        let mut claims = Map::new();
        claims.insert("exp".to_owned(), json!(9));
        let refused = issuer.sign(
            "https://i.example",
            "https://s.example",
            &claims,
            Duration::from_mins(5),
            Timestamp::UNIX_EPOCH,
        );
        let expected = OwnIssuerError::Reserved {
            claim: "exp".to_owned(),
        };
        assert_eq!(refused.unwrap_err(), expected);
    }
}
