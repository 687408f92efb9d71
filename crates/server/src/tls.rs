//! TLS in this process (RFC 8446), with a certificate that is read again when its files change.
//!
//! A certificate is renewed every few weeks by another program, which writes two files. Each connection gets the
//! pair that was read last. A pair that does not fit together, as between the writing of one file and the other, and
//! a file that is broken or gone change nothing: the pair before it stays in use until the files change again.
//!
//! The private key's file must not be readable by everybody, nor writable by anybody but its owner.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Others could have read or written the private key.
    #[error("{}: the private key {problem}", path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with its mode.
        problem: String,
    },
    /// A file does not hold what it should.
    #[error("{} {problem}", path.display())]
    Unfit {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The key is another certificate's.
    #[error("the private key in {} is not that of the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// TLS itself.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

impl TlsError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => {
                "`tls_cert` and `tls_key` must name files that the server may read"
            }
            Self::Exposed { .. } => {
                "take the rights away (chmod 600), and replace the key if others had them"
            }
            Self::Unfit { .. } => {
                "`tls_cert` is the PEM file of the certificate and those between it and the root, `tls_key` that of its key"
            }
            Self::Mismatch { .. } => "name the two files that belong together",
            Self::Setup(_) => "use an RSA, ECDSA or Ed25519 certificate",
        }
    }
}

/// A certificate and its key, as their files were when they were last read. Copies share them.
#[derive(Debug, Clone)]
pub struct Certificate {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pair: Arc<CertifiedKey>,
    stamps: [Option<Stamp>; 2],
}

/// What changes when a file is written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Certificate {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // The stamps are older than what is read: what is written in between is read again, never missed.
        let stamps = [Stamp::of(certificate), Stamp::of(key)];
        let pair = read_pair(certificate, key, &provider)?;
        Ok(Self {
            inner: Arc::new(Inner {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
                provider,
                state: Mutex::new(State {
                    pair: Arc::new(pair),
                    stamps,
                }),
            }),
        })
    }

    /// Takes connections, each with the pair that was read last: TLS 1.3 and 1.2, HTTP/2 and HTTP/1.1 (RFC 7301).
    ///
    /// # Errors
    /// [`TlsError::Setup`].
    pub fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.inner.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.inner) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Reads the files again if they are not those that were read last; `None` if they are. It blocks for as long as
    /// the files' disk does.
    ///
    /// # Errors
    /// [`TlsError`]: the pair before stays in use.
    pub fn reload_if_changed(&self) -> Option<Result<(), TlsError>> {
        let inner = &self.inner;
        let stamps = [Stamp::of(&inner.certificate), Stamp::of(&inner.key)];
        if stamps == inner.state().stamps {
            return None;
        }
        let read = read_pair(&inner.certificate, &inner.key, &inner.provider);
        let mut state = inner.state();
        state.stamps = stamps;
        Some(read.map(|pair| state.pair = Arc::new(pair)))
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every write is one assignment, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Inner {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.state().pair))
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

fn read_pair(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let unfit = |path: &Path, problem: String| TlsError::Unfit {
        path: path.to_owned(),
        problem,
    };
    let text = read(certificate, false)?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| unfit(certificate, format!("is no PEM file: {error}")))?;
    if chain.is_empty() {
        return Err(unfit(certificate, "holds no certificate".to_owned()));
    }
    let text = read(key, true)?;
    // The error may quote the text, which is the key.
    let private = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| unfit(key, "holds no private key in PEM form".to_owned()))?;
    CertifiedKey::from_der(chain, private, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        },
        rustls::Error::InvalidCertificate(error) => unfit(
            certificate,
            format!("holds no usable certificate: {error:?}"),
        ),
        error => unfit(key, format!("holds no usable private key: {error}")),
    })
}

fn read(path: &Path, is_secret: bool) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let unreadable = |source| TlsError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.mode() & 0o777;
    let problem = match mode {
        mode if mode & 0o022 != 0 => Some("can be written by others"),
        mode if mode & 0o004 != 0 => Some("can be read by everybody"),
        _ => None,
    };
    if let Some(problem) = problem.filter(|_| is_secret) {
        return Err(TlsError::Exposed {
            path: path.to_owned(),
            problem: format!("{problem} (mode {mode:04o})"),
        });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST));
    file.take(LARGEST as u64)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() == LARGEST {
        return Err(TlsError::Unfit {
            path: path.to_owned(),
            problem: format!("is larger than {LARGEST} bytes"),
        });
    }
    Ok(bytes)
}

/// Chains are a few KiB. The buffer never grows, which would leave copies of the key behind.
const LARGEST: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::TlsConnector;

    use super::*;

    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            let files = Self {
                folder: tempfile::tempdir().unwrap(),
            };
            files.renew();
            files
        }

        fn certificate(&self) -> PathBuf {
            self.folder.path().join("cert.pem")
        }

        fn key(&self) -> PathBuf {
            self.folder.path().join("key.pem")
        }

        /// Writes a new pair; answers with the certificate.
        fn renew(&self) -> CertificateDer<'static> {
            let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            self.put(&self.certificate(), &pair.cert.pem());
            self.put(&self.key(), &pair.signing_key.serialize_pem());
            pair.cert.der().clone()
        }

        fn put(&self, path: &Path, text: &str) {
            let new = self.folder.path().join("new");
            std::fs::write(&new, text).unwrap();
            std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
            std::fs::rename(&new, path).unwrap();
        }

        fn open(&self) -> Result<Certificate, TlsError> {
            Certificate::open(&self.certificate(), &self.key())
        }
    }

    /// Whether a client that trusts only this certificate gets a connection.
    async fn is_trusted(acceptor: &TlsAcceptor, root: &CertificateDer<'static>) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (client, server) = tokio::io::duplex(64 * 1024);
        let connect = TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from("localhost").unwrap(), client);
        let (connected, accepted) = tokio::join!(connect, acceptor.accept(server));
        connected.is_ok() && accepted.is_ok()
    }

    #[tokio::test]
    async fn a_renewed_certificate_is_used_for_the_next_connection() {
        let files = Files::new();
        let first = files.renew();
        let certificate = files.open().unwrap();
        let acceptor = certificate.acceptor().unwrap();
        assert!(is_trusted(&acceptor, &first).await);
        assert!(certificate.reload_if_changed().is_none());
        let second = files.renew();
        assert!(is_trusted(&acceptor, &first).await);
        certificate.reload_if_changed().unwrap().unwrap();
        assert!(is_trusted(&acceptor, &second).await);
        assert!(!is_trusted(&acceptor, &first).await);
    }

    #[tokio::test]
    async fn half_a_renewal_changes_nothing_until_it_is_whole() {
        let files = Files::new();
        let first = files.renew();
        let certificate = files.open().unwrap();
        let acceptor = certificate.acceptor().unwrap();
        let old_key = std::fs::read_to_string(files.key()).unwrap();
        let second = files.renew();
        let new_key = std::fs::read_to_string(files.key()).unwrap();
        files.put(&files.key(), &old_key);
        let error = certificate.reload_if_changed().unwrap().unwrap_err();
        assert!(matches!(error, TlsError::Mismatch { .. }), "{error}");
        assert!(is_trusted(&acceptor, &first).await);
        assert!(certificate.reload_if_changed().is_none(), "told twice");
        std::fs::remove_file(files.key()).unwrap();
        certificate.reload_if_changed().unwrap().unwrap_err();
        assert!(is_trusted(&acceptor, &first).await);
        files.put(&files.key(), &new_key);
        certificate.reload_if_changed().unwrap().unwrap();
        assert!(is_trusted(&acceptor, &second).await);
    }

    #[test]
    fn files_that_cannot_be_used_are_named_without_the_key() {
        let files = Files::new();
        let key = std::fs::read_to_string(files.key()).unwrap();
        for (path, text, what) in [
            (files.certificate(), "", "holds no certificate"),
            (files.certificate(), key.as_str(), "holds no certificate"),
            (files.key(), "hunter2", "holds no private key"),
            (
                files.key(),
                "-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----\n",
                "holds no private key",
            ),
        ] {
            files.renew();
            files.put(&path, text);
            let error = files.open().unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
            assert!(error.contains(&path.display().to_string()), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        std::fs::remove_file(files.certificate()).unwrap();
        let error = files.open().unwrap_err().to_string();
        assert!(error.contains("cert.pem cannot be read"), "{error}");
    }

    #[test]
    fn a_private_key_that_others_had_is_refused() {
        let files = Files::new();
        for (mode, is_fine) in [
            (0o600, true),
            (0o400, true),
            (0o640, true),
            (0o644, false),
            (0o660, false),
            (0o602, false),
        ] {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(files.key(), permissions).unwrap();
            assert_eq!(files.open().is_ok(), is_fine, "{mode:04o}");
        }
    }
}
