//! A verifier whose issuer's keys are in a file.

use std::sync::Arc;

use fnox_server::oidc::{OidcError, VerifiedToken, Verifier};
use fnox_server::settings::{Algorithm, IssuerSettings};
use fnox_testkit::FakeClock;
use serde_json::{Map, Value};

use super::signer::{NOW_TEXT, Signer, claims, jwks, settings};

pub(crate) const ISSUER: &str = "https://issuer.example";

/// A verifier with a file of keys.
pub(crate) struct Bench {
    pub(crate) signer: Signer,
    pub(crate) verifier: Verifier,
    pub(crate) clock: Arc<FakeClock>,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// With a key for ES256.
    pub(crate) fn new(change: impl FnOnce(&mut IssuerSettings)) -> Self {
        Self::with(Signer::es256("k1"), Algorithm::Es256, change)
    }

    /// With this key.
    pub(crate) fn with(
        signer: Signer,
        algorithm: Algorithm,
        change: impl FnOnce(&mut IssuerSettings),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jwks.json");
        std::fs::write(&file, jwks(&[&signer]).to_string()).unwrap();
        let mut settings = settings(ISSUER, algorithm);
        settings.jwks_file = Some(file);
        change(&mut settings);
        let clock = Arc::new(FakeClock::at(NOW_TEXT));
        let verifier = Verifier::new(&[settings], clock.clone()).unwrap();
        Self {
            signer,
            verifier,
            clock,
            _folder: folder,
        }
    }

    /// Signs these claims and checks the token.
    pub(crate) async fn verify(
        &self,
        claims: Map<String, Value>,
    ) -> Result<VerifiedToken, OidcError> {
        let token = self.signer.sign(&Value::Object(claims));
        self.verifier.verify(&token).await
    }

    /// The usual claims with one that is set, or left out.
    pub(crate) async fn with_claim(
        &self,
        claim: &str,
        value: Option<Value>,
    ) -> Result<VerifiedToken, OidcError> {
        let mut claims = claims(ISSUER);
        match value {
            Some(value) => claims.insert(claim.to_owned(), value),
            None => claims.remove(claim),
        };
        self.verify(claims).await
    }
}
