//! TLS to database servers: the certificate must come from a trusted authority and name the host.
//!
//! There is no way to do without the check. Authorities are those of `ca_file` alone, else the machine's own.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

use super::settings::Settings;
use crate::mint::MintError;

/// The certificates of the authorities that are trusted.
///
/// # Errors
/// [`MintError`] if `ca_file` has none, or the machine has none.
pub(super) fn authorities(settings: &Settings) -> Result<Vec<CertificateDer<'static>>, MintError> {
    let certificates = match &settings.ca_file {
        Some(path) => {
            let unusable = |reason: String| {
                MintError::misconfigured(
                    "ca_file",
                    format!(
                        "the certificates of {} cannot be used: {reason}",
                        path.display()
                    ),
                )
                .with_remedy("it must be a PEM file with the certificate of the server's authority")
            };
            CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| unusable(error.to_string()))?
        }
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut store = RootCertStore::empty();
    // Machines have old certificates that nobody can read; the others are good.
    let usable: Vec<CertificateDer<'static>> = certificates
        .into_iter()
        .filter(|certificate| store.add(certificate.clone()).is_ok())
        .collect();
    if usable.is_empty() {
        let place = match &settings.ca_file {
            Some(path) => path.display().to_string(),
            None => "this machine".to_owned(),
        };
        return Err(MintError::misconfigured(
            "ca_file",
            format!("{place} has no certificate to trust"),
        )
        .with_remedy("set `ca_file` to the PEM file of the server's authority"));
    }
    Ok(usable)
}

/// Makes the encrypted connections of a PostgreSQL client.
#[derive(Clone)]
pub(super) struct Encryption {
    connector: tokio_rustls::TlsConnector,
}

impl Encryption {
    /// # Errors
    /// [`MintError`] without certificates to trust.
    pub(super) fn new(settings: &Settings) -> Result<Self, MintError> {
        let mut store = RootCertStore::empty();
        for certificate in authorities(settings)? {
            // They were tried before.
            let _ = store.add(certificate);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| MintError::unavailable(format!("TLS cannot be used: {error}")))?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self {
            connector: Arc::new(config).into(),
        })
    }
}

impl<S> MakeTlsConnect<S> for Encryption
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Stream = Encrypted<S>;
    type TlsConnect = ToHost;
    type Error = rustls::pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, host: &str) -> Result<ToHost, Self::Error> {
        Ok(ToHost {
            connector: self.connector.clone(),
            host: ServerName::try_from(host)?.to_owned(),
        })
    }
}

/// A connection to one host that is about to be encrypted.
pub(super) struct ToHost {
    connector: tokio_rustls::TlsConnector,
    host: ServerName<'static>,
}

impl<S> TlsConnect<S> for ToHost
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let stream = self.connector.connect(self.host, stream).await?;
            Ok(Encrypted(Box::new(stream)))
        })
    }
}

/// An encrypted connection.
pub(super) struct Encrypted<S>(Box<tokio_rustls::client::TlsStream<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        // The certificate is always checked, which is what channel binding would make up for.
        ChannelBinding::none()
    }
}
