//! All upstreams of a gateway: by whom they are judged, and by whom they are asked.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use fnox_core::SecretString;
use lru::LruCache;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

use super::upstream::{Trust, Upstream};
use crate::destination::Dialer;
use crate::refusal::{Reason, Refusal};
use crate::rule::Rule;

/// How many identities keep their connections.
const IDENTITIES: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// A `ca_file`, and the digest of an identity.
type Key = (Option<PathBuf>, [u8; 32]);

/// Upstreams by the `ca_file` of rules, and by who is presented to them.
pub(super) struct Upstreams {
    dialer: Dialer,
    anonymous: HashMap<Option<PathBuf>, (Trust, Upstream)>,
    identified: Mutex<LruCache<Key, Upstream>>,
}

/// A certificate with its chain and its key, as TLS presents them (RFC 8446, section 4.4.2).
pub(super) struct ClientIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    digest: [u8; 32],
}

impl Upstreams {
    /// `files` are the rules' own, with the rules' names.
    ///
    /// # Errors
    /// If a file cannot be read; the error names it and its rule.
    pub(super) fn new<'r>(
        dialer: Dialer,
        trust: Trust,
        files: impl Iterator<Item = (&'r str, PathBuf)>,
    ) -> io::Result<Self> {
        let mut anonymous = HashMap::new();
        for (rule, file) in files {
            let trust = trust.with_file(&file).map_err(|error| {
                let message = format!(
                    "the `ca_file` {} of the rule `{rule}` cannot be used: {error}",
                    file.display()
                );
                io::Error::new(error.kind(), message)
            })?;
            let upstream = Upstream::new(&dialer, &trust, None).map_err(io::Error::other)?;
            anonymous.insert(Some(file), (trust, upstream));
        }
        let upstream = Upstream::new(&dialer, &trust, None).map_err(io::Error::other)?;
        anonymous.insert(None, (trust, upstream));
        Ok(Self {
            dialer,
            anonymous,
            identified: Mutex::new(LruCache::new(IDENTITIES)),
        })
    }

    /// Whether this file was read.
    pub(super) fn knows(&self, file: Option<&PathBuf>) -> bool {
        self.anonymous.contains_key(&file.cloned())
    }

    /// # Errors
    /// [`Reason::Credential`] if the key does not fit its certificate.
    pub(super) fn get(
        &self,
        file: Option<PathBuf>,
        identity: Option<&ClientIdentity>,
    ) -> Result<Upstream, Refusal> {
        let Some((trust, anonymous)) = self.anonymous.get(&file) else {
            let message = "the rule's `ca_file` was not read";
            return Err(Refusal::new(Reason::Upstream, message));
        };
        let Some(identity) = identity else {
            return Ok(anonymous.clone());
        };
        let mut identified = self
            .identified
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let made = identified.try_get_or_insert((file, identity.digest), || {
            Upstream::new(&self.dialer, trust, Some(identity))
        });
        made.cloned().map_err(|error| {
            Refusal::new(
                Reason::Credential,
                format!("the client's certificate and its key are no pair: {error}"),
            )
        })
    }
}

impl ClientIdentity {
    /// Reads a certificate, those that vouch for it, and its key (RFC 7468), in any order but the chain's own.
    ///
    /// # Errors
    /// [`Reason::Credential`], without a word of the value.
    pub(super) fn from_pem(rule: &Rule, value: &SecretString) -> Result<Self, Refusal> {
        let unfit = |problem: &str| {
            let message = format!("the value of `{}` {problem}", rule.credential);
            Refusal::new(Reason::Credential, message)
                .by_rule(&rule.name)
                .with_remedy("It must be a certificate, its chain and its key in PEM.")
        };
        let text = value.expose_secret().as_bytes();
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
        let chain = chain.map_err(|_| unfit("has a certificate that cannot be read"))?;
        if chain.is_empty() {
            return Err(unfit("has no certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(text)
            .map_err(|_| unfit("has no key that can be read"))?;
        Ok(Self {
            chain,
            key,
            digest: Sha256::digest(text).into(),
        })
    }

    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientIdentity([redacted])")
    }
}
