//! The HTTP connector: TLS by rustls with ring, a limit on connecting, a cap on answers, no redirects.

use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use fnox_core::Env;

use crate::error::AwsError;

/// Largest answer that is read of the operations of this crate: twenty secrets of 64 KiB in base64 are less than half of it.
pub(crate) const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

/// A connector that keeps connections for the next call.
pub(crate) fn connector(
    env: &Env,
    connect_limit: Duration,
    call_limit: Duration,
) -> Result<SharedHttpConnector, AwsError> {
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(connect_limit)
        .read_timeout(call_limit)
        .build();
    Ok(capped(settings, trust(env)?, ANSWER_LIMIT))
}

/// A connector that reads at most so many bytes of an answer.
#[must_use]
pub fn capped(
    settings: HttpConnectorSettings,
    trust: TlsContext,
    answer_limit: usize,
) -> SharedHttpConnector {
    let inner = Connector::builder()
        .connector_settings(settings)
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(trust)
        .build();
    SharedHttpConnector::new(Capped {
        inner: SharedHttpConnector::new(inner),
        answer_limit,
    })
}

/// Which certificates are trusted: those of `AWS_CA_BUNDLE`, else the machine's.
///
/// # Errors
/// [`AwsError`] of kind [`AwsErrorKind::Configuration`](crate::AwsErrorKind::Configuration) if that file cannot be read or
/// has no certificates.
pub fn trust(env: &Env) -> Result<TlsContext, AwsError> {
    let refuse = |path: &str, reason: &str| {
        AwsError::configuration(format!("AWS_CA_BUNDLE {}: {reason}", path.escape_debug()))
    };
    let store = match env.var("AWS_CA_BUNDLE") {
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
    answer_limit: usize,
}

impl HttpConnector for Capped {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.inner.call(request);
        let limit = self.answer_limit;
        HttpConnectorFuture::new(async move {
            let mut answer: HttpResponse = answer.await?;
            let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
            *answer.body_mut() = SdkBody::from(read(body, limit).await?);
            Ok(answer)
        })
    }
}

async fn read(body: SdkBody, limit: usize) -> Result<Vec<u8>, ConnectorError> {
    let mut stream = ByteStream::new(body);
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|error| ConnectorError::io(error.into()))?;
        if bytes.len() + part.len() > limit {
            let problem = format!("the answer is larger than {} MiB", limit >> 20);
            return Err(ConnectorError::other(problem.into(), None));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}
