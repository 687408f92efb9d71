//! Servers with a certificate authority of their own, and clients that show a certificate.

use std::net::SocketAddr;

use fnox_core::SecretString;
use reqwest::{Certificate, ClientBuilder, Identity};

use crate::error::CallError;

/// How a server is recognised, and how it recognises fnox.
#[derive(Debug, Default)]
pub struct Tls {
    /// Certificates in PEM, and what messages call them. They alone are trusted, the machine's own are not.
    pub only: Option<(String, Vec<u8>)>,
    /// A certificate and its private key in PEM, and what messages call them.
    pub identity: Option<(String, SecretString)>,
    /// A name in the URL, which the certificate must have, and the addresses where the server of that name is.
    pub resolved: Option<(String, Vec<SocketAddr>)>,
    /// Whether any certificate is good of a server on this machine. Of others none is.
    pub is_unchecked_if_local: bool,
}

impl Tls {
    pub(crate) fn apply(
        &self,
        is_local: bool,
        mut builder: ClientBuilder,
    ) -> Result<ClientBuilder, CallError> {
        if let Some((name, pem)) = &self.only {
            builder = builder.tls_certs_only(certificates(name, pem)?);
        }
        if let Some((name, pem)) = &self.identity {
            // The library's own words may quote the key.
            let identity = Identity::from_pem(pem.expose_secret().as_bytes()).map_err(|_| {
                unusable(
                    name,
                    "they are not a certificate and its private key in PEM",
                )
            })?;
            builder = builder.identity(identity);
        }
        if let Some((name, addresses)) = &self.resolved {
            builder = builder.no_proxy().resolve_to_addrs(name, addresses);
        }
        if is_local && self.is_unchecked_if_local {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        Ok(builder)
    }
}

pub(crate) fn certificates(name: &str, pem: &[u8]) -> Result<Vec<Certificate>, CallError> {
    let certificates =
        Certificate::from_pem_bundle(pem).map_err(|error| unusable(name, &error.to_string()))?;
    if certificates.is_empty() {
        return Err(unusable(name, "there is none in it"));
    }
    Ok(certificates)
}

pub(crate) fn unusable(name: &str, reason: &str) -> CallError {
    CallError::authentication(format!(
        "the certificates of {name} cannot be used: {reason}"
    ))
}
