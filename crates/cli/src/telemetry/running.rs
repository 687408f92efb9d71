//! From the spans of the log to the collector: a layer that sees them, a queue, a thread that sends.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanLimits,
};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::{Registry, reload};

use super::collector::Collector;
use super::delivery::Delivery;
use super::spans::Allowed;

/// How many spans wait at most; more are lost.
const QUEUE: usize = 4096;
/// How many make a delivery.
const BATCH: usize = 512;
/// How long the first one waits for others.
const PAUSE: Duration = Duration::from_secs(2);
/// How long the server's end waits for the last delivery.
const FLUSH: Duration = Duration::from_secs(5);

type Spans = OpenTelemetryLayer<Registry, SdkTracer>;

/// Whether spans are sent. While they are not, none is made.
static IS_ON: AtomicBool = AtomicBool::new(false);

/// The place of the layer in the process's subscriber, which is installed before the settings are read.
static PLACE: OnceLock<reload::Handle<Option<Spans>, Registry>> = OnceLock::new();

/// What sees the spans of a process that serves; nothing until [`start`]. Events, and spans of libraries, never.
pub(crate) fn layer(serves: bool) -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
    if !serves {
        return None;
    }
    let (layer, place) = reload::Layer::new(None::<Spans>);
    PLACE.set(place).ok()?;
    let of_ours = filter_fn(|seen| {
        IS_ON.load(Ordering::Relaxed) && seen.is_span() && seen.target().starts_with("fnox")
    });
    Some(layer.with_filter(of_ours.and(LevelFilter::INFO)).boxed())
}

/// Traces that are being sent.
#[derive(Debug)]
pub(crate) struct Telemetry {
    provider: SdkTracerProvider,
}

/// Begins to send.
pub(super) fn start(collector: Collector) -> Result<Telemetry, String> {
    let endpoint = collector.url.to_string();
    let provider = provider(&endpoint, Delivery::new(collector)?)?;
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("fnox"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false);
    // First: the change of the layer has everything ask anew what is wanted.
    IS_ON.store(true, Ordering::Relaxed);
    PLACE
        .get()
        .ok_or("this process writes no log")?
        .reload(Some(spans))
        .map_err(|error| error.to_string())?;
    tracing::info!(endpoint, "traces are sent");
    Ok(Telemetry { provider })
}

/// Everything is set here: what is not would be read from the environment.
fn provider(endpoint: &str, delivery: Delivery) -> Result<SdkTracerProvider, String> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_timeout(FLUSH)
        .with_retry_policy(RetryPolicy::disabled())
        .with_http_client(delivery)
        .build()
        .map_err(|error| error.to_string())?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(PAUSE)
        .build();
    let processor = BatchSpanProcessor::builder(Allowed(exporter))
        .with_batch_config(batches)
        .build();
    let resource = Resource::builder_empty()
        .with_service_name("fnox")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(Sampler::AlwaysOn)
        .with_span_limits(SpanLimits::default())
        .with_resource(resource)
        .build())
}

impl Telemetry {
    /// Sends what still waits, within a limit, and sends nothing any more.
    pub(crate) async fn end(self) {
        IS_ON.store(false, Ordering::Relaxed);
        if let Some(place) = PLACE.get() {
            let _ = place.reload(None::<Spans>);
        }
        let ending =
            tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(FLUSH));
        // Why a delivery failed was told when it did.
        let _ = ending.await;
    }
}
