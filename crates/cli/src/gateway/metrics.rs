//! What a gateway counts, for Prometheus: `metrics_listen` of gateway.toml, and [`metrics_file`](super::metrics_file).
//!
//! Labels are agents, whom the vault knows, and codes. Neither hosts nor paths are: there is no end of them, and they say
//! what somebody does. Nothing here is a secret, and still only programs of this machine may ask.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;
use fnox_config::Fields;
use fnox_core::Host;
use fnox_gateway::proxy::{Exchange, Observer};
use fnox_gateway::rule::CredentialRef;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;

use crate::error::CliError;

/// Prometheus' text format (exposition formats, "Text-based format").
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What this process counts.
#[derive(Clone)]
pub(super) struct Numbers(PrometheusHandle);

impl Numbers {
    /// Begins to count.
    ///
    /// # Errors
    /// If something counts already.
    pub(super) fn collect() -> Result<Self, CliError> {
        let numbers = PrometheusBuilder::new()
            .install_recorder()
            .map_err(|error| CliError::failed(format!("metrics cannot be collected: {error}")))?;
        metrics::describe_counter!(
            "fnox_gateway_requests_total",
            "Requests by agent, outcome and code"
        );
        metrics::describe_counter!(
            "fnox_gateway_credentials_total",
            "Credentials that requests carried"
        );
        metrics::describe_counter!(
            "fnox_gateway_broken_connections_total",
            "Connections that ended before a request"
        );
        metrics::describe_counter!(
            "fnox_gateway_broken_answers_total",
            "Answers that broke off because their coding is broken"
        );
        Ok(Self(numbers))
    }

    /// In Prometheus' text format.
    pub(super) fn text(&self) -> String {
        self.0.render()
    }
}

impl fmt::Debug for Numbers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Numbers")
    }
}

/// A port on which somebody may ask.
pub(super) struct Metrics {
    listener: TcpListener,
    numbers: Numbers,
}

impl Metrics {
    /// Opens the port that `metrics_listen` names, if it names one.
    ///
    /// # Errors
    /// With its place in the file, if it is no address of loopback, or cannot be opened.
    pub(super) async fn open(fields: &Fields) -> Result<Option<Self>, CliError> {
        let Some(text) = fields.text("metrics_listen") else {
            return Ok(None);
        };
        let invalid = |reason: String| CliError::from(fields.invalid("metrics_listen", reason));
        let address: SocketAddr = text
            .parse()
            .map_err(|_| invalid("is no address and port, such as `127.0.0.1:9464`".to_owned()))?;
        if !address.ip().is_loopback() {
            return Err(invalid(
                "must be on loopback: let a collector of this machine hand the numbers on"
                    .to_owned(),
            ));
        }
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| invalid(format!("cannot be opened: {error}")))?;
        let numbers = Numbers::collect()?;
        Ok(Some(Self { listener, numbers }))
    }

    /// Answers until it is dropped.
    pub(super) async fn serve(self) {
        let numbers = self.numbers;
        let answer = get(move || {
            let text = numbers.text();
            async move { ([(CONTENT_TYPE, TEXT), (CACHE_CONTROL, "no-store")], text) }
        });
        let router = Router::new().route("/metrics", answer);
        if let Err(error) = axum::serve(self.listener, router).await {
            tracing::warn!("metrics are not served any more: {error}");
        }
    }
}

/// Counts what another observer is told.
#[derive(Debug)]
pub(crate) struct Counting(pub(crate) Arc<dyn Observer>);

impl Observer for Counting {
    fn exchanged(&self, exchange: &Exchange<'_>) {
        let (outcome, code) = match &exchange.outcome {
            Ok(status) => ("answered", status.as_u16().to_string()),
            Err(refusal) => ("refused", refusal.reason.code().to_owned()),
        };
        metrics::counter!(
            "fnox_gateway_requests_total",
            "agent" => exchange.agent.to_string(), "outcome" => outcome, "code" => code
        )
        .increment(1);
        let carried = u64::try_from(exchange.rules.len()).unwrap_or(u64::MAX);
        metrics::counter!(
            "fnox_gateway_credentials_total", "agent" => exchange.agent.to_string()
        )
        .increment(carried);
        self.0.exchanged(exchange);
    }

    fn broken_off(&self, exchange: &Exchange<'_>) {
        metrics::counter!(
            "fnox_gateway_broken_answers_total", "agent" => exchange.agent.to_string()
        )
        .increment(1);
        self.0.broken_off(exchange);
    }

    fn broken(&self, host: &Host, problem: &str) {
        metrics::counter!("fnox_gateway_broken_connections_total").increment(1);
        self.0.broken(host, problem);
    }

    fn too_short(&self, credential: &CredentialRef) {
        self.0.too_short(credential);
    }
}
