//! The HTTP client: TLS by rustls with ring, a limit on connecting, a cap on answers, no redirects.

use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

use crate::mint::{MintContext, MintError};

/// Largest answer that is read. A session token has no documented size; a few KiB are usual.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// A client for the AWS SDK.
///
/// # Errors
/// [`MintError`] if `AWS_CA_BUNDLE` names a file without certificates.
pub(super) fn client(context: &MintContext) -> Result<SharedHttpClient, MintError> {
    let tls = tls(context)?;
    Ok(http_client_fn(move |settings, _| {
        capped(settings.clone(), tls.clone())
    }))
}

/// One connection outside of the SDK.
///
/// # Errors
/// As [`client`].
pub(super) fn connector(context: &MintContext) -> Result<SharedHttpConnector, MintError> {
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(context.connect_limit)
        .read_timeout(context.call_limit.min(Duration::from_secs(10)))
        .build();
    Ok(capped(settings, tls(context)?))
}

fn capped(settings: HttpConnectorSettings, tls: TlsContext) -> SharedHttpConnector {
    let inner = Connector::builder()
        .connector_settings(settings)
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(tls)
        .build();
    SharedHttpConnector::new(Capped {
        inner: SharedHttpConnector::new(inner),
    })
}

fn tls(context: &MintContext) -> Result<TlsContext, MintError> {
    let refuse = |path: &str, reason: &str| {
        MintError::authentication(format!("AWS_CA_BUNDLE {}: {reason}", path.escape_debug()))
    };
    let store = match context.env.var("AWS_CA_BUNDLE") {
        None => TrustStore::empty().with_native_roots(true),
        Some(path) => {
            let pem = std::fs::read(path).map_err(|error| refuse(path, &error.to_string()))?;
            TrustStore::empty().with_pem_certificate(pem)
        }
    };
    TlsContext::builder()
        .with_trust_store(store)
        .build()
        .map_err(|error| refuse("", &error.to_string()))
}

/// Reads an answer up to the limit before anybody else sees it.
#[derive(Debug)]
struct Capped {
    inner: SharedHttpConnector,
}

impl HttpConnector for Capped {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let mut answer: HttpResponse = answer.await?;
            let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
            *answer.body_mut() = SdkBody::from(read(body).await?);
            Ok(answer)
        })
    }
}

async fn read(body: SdkBody) -> Result<Vec<u8>, ConnectorError> {
    let mut stream = ByteStream::new(body);
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|error| ConnectorError::io(error.into()))?;
        if bytes.len() + part.len() > ANSWER_LIMIT {
            return Err(ConnectorError::other(
                "the answer is larger than 1 MiB".into(),
                None,
            ));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}
