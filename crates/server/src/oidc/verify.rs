//! The whole check of a token, in its order.

use std::sync::{Arc, Mutex, PoisonError};

use fnox_core::Clock;
use futures_util::future::join_all;
use jiff::Timestamp;

use super::cache::{IssuerKeys, Source};
use super::claims::{Circumstances, Payload};
use super::error::{OidcError, OidcSetupError, Wanted, quoted};
use super::fetch::{Fetcher, Network};
use super::jws::{Compact, Header, TokenKind};
use super::provider::Provider;
use super::{VerifiedToken, setup};
use crate::settings::{Algorithm, IssuerSettings, Preset};

/// Checks tokens of all configured issuers.
#[derive(Debug)]
pub struct Verifier {
    settings: Vec<IssuerSettings>,
    /// In the order of `settings`.
    keys: Vec<Arc<IssuerKeys>>,
    /// In the order of `settings`.
    providers: Vec<Arc<Provider>>,
    clock: Arc<dyn Clock>,
    not_before: Mutex<Option<Timestamp>>,
}

impl Verifier {
    /// A verifier of these issuers. Nothing is fetched yet.
    pub fn new(issuers: &[IssuerSettings], clock: Arc<dyn Clock>) -> Result<Self, OidcSetupError> {
        Self::with_network(issuers, clock, &Network::default())
    }

    /// The same with another way to reach issuers.
    pub fn with_network(
        issuers: &[IssuerSettings],
        clock: Arc<dyn Clock>,
        network: &Network,
    ) -> Result<Self, OidcSetupError> {
        // Without this, a crate that adds the library's other backend would make it panic at the first token.
        let _ = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.install_default();
        setup::check_all(issuers)?;
        let keys = issuers
            .iter()
            .map(|issuer| {
                let source = match &issuer.jwks_file {
                    Some(file) => Source::File(file.clone()),
                    None => Source::Discovery {
                        issuer: issuer.url.clone(),
                        fetcher: Fetcher::new(network.clone(), setup::origins(issuer)?),
                    },
                };
                let algorithms = issuer.algorithms.clone();
                let keys = IssuerKeys::new(&issuer.name, algorithms, source, Arc::clone(&clock));
                Ok(Arc::new(keys))
            })
            .collect::<Result<_, OidcSetupError>>()?;
        let providers = issuers
            .iter()
            .map(|issuer| {
                let fetcher = Fetcher::new(network.clone(), setup::origins(issuer)?);
                Ok(Provider::new(
                    &issuer.name,
                    &issuer.url,
                    fetcher,
                    Arc::clone(&clock),
                ))
            })
            .collect::<Result<_, OidcSetupError>>()?;
        Ok(Self {
            settings: issuers.to_vec(),
            keys,
            providers,
            clock,
            not_before: Mutex::new(None),
        })
    }

    /// The configured issuers.
    #[must_use]
    pub fn issuers(&self) -> &[IssuerSettings] {
        &self.settings
    }

    /// An issuer as the provider at which people log in.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Arc<Provider>> {
        let mut all = self.settings.iter().zip(&self.providers);
        all.find(|(issuer, _)| issuer.name == name)
            .map(|(_, provider)| provider)
    }

    /// From now on refuses tokens that were issued before this moment: after a restore, nobody knows which of them
    /// were used. Never goes back.
    pub fn refuse_before(&self, moment: Timestamp) {
        let mut not_before = self
            .not_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *not_before = (*not_before).max(Some(moment));
    }

    /// Fetches the keys of all issuers, so that a mistake shows at the start. The error names the first issuer that
    /// has none; the log has all.
    pub async fn warm_up(&self) -> Result<(), OidcSetupError> {
        let results = join_all(self.keys.iter().map(IssuerKeys::warm_up)).await;
        for (issuer, result) in self.settings.iter().zip(results) {
            result.map_err(|why| OidcSetupError::NoUsableKeys {
                issuer: issuer.name.clone(),
                why,
            })?;
        }
        Ok(())
    }

    /// Checks one token. What it says afterwards is what the issuer said.
    pub async fn verify(&self, token: &str) -> Result<VerifiedToken, OidcError> {
        let token = Compact::parse(token)?;
        let payload = Payload::parse(&token.payload)?;
        let (settings, keys) = self.issuer_of(&payload)?;
        let algorithm = algorithm(&token.header, settings)?;
        is_kind_for(token.header.kind, settings.preset)?;
        let id = token.header.kid.as_deref().ok_or_else(|| {
            OidcError::header("kid", "it is missing, so nothing says which key has signed")
        })?;
        let key = keys.key(id).await?;
        if !key.fits(algorithm) {
            return Err(OidcError::header(
                "alg",
                format!("the key {} is not for {}", quoted(id), algorithm.as_str()),
            ));
        }
        if !key.has_signed(algorithm, token.signed, token.signature) {
            return Err(OidcError::Signature {
                issuer: settings.name.clone(),
                kid: quoted(id),
            });
        }
        let not_before = *self
            .not_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        payload.check(&Circumstances {
            settings,
            now: self.clock.now(),
            not_before,
            signed: token.signed,
        })
    }

    /// One issuer can be there more than once, with different audiences: its jobs and its people. A token for both
    /// could be taken for either, so it is for none.
    fn issuer_of(
        &self,
        payload: &Payload,
    ) -> Result<(&IssuerSettings, &Arc<IssuerKeys>), OidcError> {
        let iss = payload.issuer()?;
        let of_url: Vec<_> = self
            .settings
            .iter()
            .zip(&self.keys)
            .filter(|(settings, _)| settings.url == iss)
            .collect();
        let mut meant = of_url
            .iter()
            .filter(|(settings, _)| payload.names_audience(&settings.audience));
        match (meant.next(), meant.next(), of_url.first()) {
            (Some(_), Some(_), _) => Err(OidcError::claim(
                "aud",
                Wanted::rule("one audience of this server"),
                "two of them",
            )),
            (Some(one), None, _) | (None, _, Some(one)) => Ok(*one),
            (None, _, None) => Err(OidcError::claim(
                "iss",
                Wanted::rule("a configured issuer"),
                quoted(iss),
            )),
        }
    }
}

fn algorithm(header: &Header, settings: &IssuerSettings) -> Result<Algorithm, OidcError> {
    Algorithm::parse(&header.alg)
        .filter(|algorithm| settings.algorithms.contains(algorithm))
        .ok_or_else(|| {
            OidcError::header(
                "alg",
                format!("{} is not allowed for this issuer", quoted(&header.alg)),
            )
        })
}

/// Issuers of CI jobs make identity tokens only.
fn is_kind_for(kind: TokenKind, preset: Preset) -> Result<(), OidcError> {
    match kind {
        TokenKind::AccessToken if preset != Preset::Generic => Err(OidcError::header(
            "typ",
            "it is an access token (RFC 9068), and this issuer makes identity tokens",
        )),
        _ => Ok(()),
    }
}
