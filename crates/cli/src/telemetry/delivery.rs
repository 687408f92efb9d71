//! How a batch of spans gets to the collector: one POST with time limits, without redirects and second tries.
//!
//! That a collector does not take traces is told once, and once again when it does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::header::CONTENT_TYPE;
use tokio::runtime::Handle;

use super::collector::{Collector, is_loopback};

/// How long one delivery may take.
const LIMIT: Duration = Duration::from_secs(4);
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// OTLP in protocol buffers, as the exporter writes it.
const PROTOBUF: &str = "application/x-protobuf";

/// The exporter's way to the collector.
#[derive(Debug)]
pub(super) struct Delivery {
    collector: Collector,
    http: reqwest::Client,
    /// The exporter has a thread of its own, and connections need a runtime.
    runtime: Handle,
    fails: AtomicBool,
}

impl Delivery {
    /// For the runtime that this is called in.
    pub(super) fn new(collector: Collector) -> Result<Self, String> {
        let runtime = Handle::try_current().map_err(|error| error.to_string())?;
        // Set once for the process; that it is set already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .user_agent(concat!("fnox/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&collector.url) {
            builder = builder.no_proxy();
        }
        Ok(Self {
            http: builder.build().map_err(|error| chain(&error))?,
            collector,
            runtime,
            fails: AtomicBool::new(false),
        })
    }

    fn tell(&self, outcome: Result<(), &str>) {
        let endpoint = self.collector.url.as_str();
        match outcome {
            Err(problem) if !self.fails.swap(true, Ordering::Relaxed) => tracing::warn!(
                endpoint,
                problem,
                "traces are not delivered; those of the time until they are again are lost"
            ),
            Ok(()) if self.fails.swap(false, Ordering::Relaxed) => {
                tracing::info!(endpoint, "traces are delivered again");
            }
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Delivery {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // Of the exporter's request only the body is taken: its headers may come from variables.
        let sending = self
            .http
            .post(self.collector.url.clone())
            .headers(self.collector.headers.clone())
            .header(CONTENT_TYPE, PROTOBUF)
            .body(request.into_body());
        // Its time limits are timers of the runtime, so it has to begin there too.
        let answer = self.runtime.spawn(async move { sending.send().await });
        let problem = match answer.await {
            Ok(Ok(answer)) if answer.status().is_success() => {
                self.tell(Ok(()));
                // An answer's body can only say that some spans were not taken, which changes nothing here.
                return Ok(Response::new(Bytes::new()));
            }
            Ok(Ok(answer)) => format!("the collector answered {}", answer.status()),
            Ok(Err(error)) => chain(&error),
            Err(error) => error.to_string(),
        };
        self.tell(Err(&problem));
        Err(problem.into())
    }
}

/// An error with its causes. The endpoint, which holds no credentials, may be in it.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source()).fold(
        error.to_string(),
        |mut text, cause| {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            text
        },
    )
}
