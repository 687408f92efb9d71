//! A certificate for servers that are no stand-ins: programs of other languages, on loopback.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// Files in PEM for a server that is `localhost` and 127.0.0.1.
#[derive(Debug, Clone)]
pub struct ServerCertificate {
    /// What clients must trust.
    pub authority: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl ServerCertificate {
    /// Writes them to a folder.
    ///
    /// # Panics
    /// If it cannot.
    #[must_use]
    pub fn write(folder: &Path) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).expect("an authority");
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().expect("a key");
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let params = CertificateParams::new(names).expect("names of hosts");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("a file of a certificate");
            path
        };
        Self {
            authority: write("server-authority.pem", authority.pem()),
            certificate: write("server-certificate.pem", certificate.pem()),
            key: write("server-key.pem", key.serialize_pem()),
        }
    }
}
