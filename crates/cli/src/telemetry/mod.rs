//! Traces of the team server and of gateways, by option: one span for each request, sent to an OpenTelemetry collector
//! (OTLP over HTTP) that `[telemetry]` in server.toml or gateway.toml names, or `[proxy.telemetry]` in fnox.toml.
//!
//! Only a build with the feature `opentelemetry` can do it, which the usual one is not: it keeps the binary small. In
//! any other build the table is an error that says how to build.
//!
//! Guarantees: a span says which route was asked for (of a gateway: which host, by which rule and lease), how it ended
//! and how long it took, and nothing else. What may be
//! sent is a list of its own (`spans`), so that no token, path of a link, key or name leaves with a field that somebody
//! adds to the log. A collector that is slow or away delays no request: spans wait in a queue of limited length and are
//! lost when it is full. Libraries' own variables (`OTEL_…`) change nothing.

#[cfg(not(feature = "opentelemetry"))]
mod absent;
#[cfg(feature = "opentelemetry")]
mod collector;
#[cfg(feature = "opentelemetry")]
mod delivery;
#[cfg(feature = "opentelemetry")]
mod running;
#[cfg(feature = "opentelemetry")]
mod spans;

#[cfg(not(feature = "opentelemetry"))]
pub(crate) use self::absent::{Collector, Collector as Telemetry, layer};
#[cfg(feature = "opentelemetry")]
pub(crate) use self::{
    collector::Collector,
    running::{Telemetry, layer},
};
