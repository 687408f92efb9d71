//! The certificate authority of one gateway: its clients trust it, nobody else does.
//!
//! It is made when the gateway starts and ends with it. Its private key is in memory only, in memory that is overwritten
//! when it is freed, and is never written anywhere, so a certificate that was trusted for a session is worth nothing
//! after it. Each destination gets a leaf certificate of its own when a client first connects to it.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use fnox_core::{Clock, Host};
use jiff::{SignedDuration, Timestamp};
use lru::LruCache;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

/// How long before now certificates begin: guests' clocks are rarely right.
const BACKDATED: SignedDuration = SignedDuration::from_hours(24);

/// How long the authority is trusted; a gateway that runs longer has to be started anew.
const LIFE_OF_AUTHORITY: SignedDuration = SignedDuration::from_hours(90 * 24);

/// How long a leaf is good. Short, because some clients refuse long ones, and nobody revokes it.
const LIFE_OF_LEAF: SignedDuration = SignedDuration::from_hours(7 * 24);

/// When a leaf that is still good is replaced.
const RENEWED_BEFORE: SignedDuration = SignedDuration::from_hours(24);

/// Leaves that are remembered; a further one pushes out the one that was not used for longest.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not zero");

/// The protocols that clients may speak, best first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate authority in memory.
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
    /// One key for all leaves: whoever could read one from this process could read all of them.
    leaf_key: KeyPair,
    clock: Arc<dyn Clock>,
    leaves: Mutex<LruCache<String, Leaf>>,
}

struct Leaf {
    config: Arc<ServerConfig>,
    ends_at: Timestamp,
}

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("a certificate of the gateway cannot be made: {0}")]
pub struct AuthorityError(String);

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<rustls::Error> for AuthorityError {
    fn from(error: rustls::Error) -> Self {
        Self(error.to_string())
    }
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// [`AuthorityError`] if the system has no randomness.
    pub fn new(clock: Arc<dyn Clock>) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let now = clock.now();
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let name = &mut params.distinguished_name;
        name.push(DnType::OrganizationName, "fnox");
        name.push(DnType::CommonName, "fnox gateway, this session only");
        set_validity(&mut params, now, LIFE_OF_AUTHORITY)?;
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            certificate,
            issuer: Issuer::new(params, key),
            leaf_key: KeyPair::generate()?,
            clock,
            leaves: Mutex::new(LruCache::new(REMEMBERED)),
        })
    }

    /// What it takes for the time.
    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// The certificate that clients must trust, in PEM (RFC 7468).
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// The same certificate in DER.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        self.certificate.der()
    }

    /// How TLS is spoken to a client that wants `host`: as it, in HTTP/2 or HTTP/1.1.
    ///
    /// # Errors
    /// [`AuthorityError`]
    pub fn server_config(&self, host: &Host) -> Result<Arc<ServerConfig>, AuthorityError> {
        let name = host.name();
        let now = self.clock.now();
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = leaves.get(&name)
            && leaf.ends_at.duration_since(now) > RENEWED_BEFORE
        {
            return Ok(Arc::clone(&leaf.config));
        }
        let leaf = self.issue(host, now)?;
        let config = Arc::clone(&leaf.config);
        leaves.put(name, leaf);
        Ok(config)
    }

    fn issue(&self, host: &Host, now: Timestamp) -> Result<Leaf, AuthorityError> {
        let name = host.name();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![match host.ip() {
            Some(address) => SanType::IpAddress(address),
            None => SanType::DnsName(name.as_str().try_into()?),
        }];
        // A common name has at most 64 characters (RFC 5280, appendix A.1); clients read the alternative names.
        params.distinguished_name = rcgen::DistinguishedName::new();
        if name.len() <= 64 {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, LIFE_OF_LEAF)?;
        let certificate = params.signed_by(&self.leaf_key, &self.issuer)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.leaf_key.serialize_der()));
        let provider = rustls::crypto::ring::default_provider();
        let key = provider.key_provider.load_private_key(key)?;
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let certified = CertifiedKey::new(chain, key);
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Leaf {
            config: Arc::new(config),
            ends_at: now.saturating_add(LIFE_OF_LEAF).unwrap_or(now),
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

fn set_validity(
    params: &mut CertificateParams,
    now: Timestamp,
    life: SignedDuration,
) -> Result<(), AuthorityError> {
    let at = |time: Result<Timestamp, jiff::Error>| {
        let seconds = time.map_err(|error| AuthorityError(error.to_string()))?;
        time::OffsetDateTime::from_unix_timestamp(seconds.as_second())
            .map_err(|error| AuthorityError(error.to_string()))
    };
    params.not_before = at(now.checked_sub(BACKDATED))?;
    params.not_after = at(now.checked_add(life))?;
    Ok(())
}
