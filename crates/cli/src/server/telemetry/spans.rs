//! What a span says when it leaves: the allowed fields under the names that OpenTelemetry gives them, nothing else.
//!
//! Spans of the log hold more (addresses), and what they hold may change. Here everything is left out that is not
//! named, so that a new field of the log is not sent by accident. Names and values follow the semantic conventions for
//! HTTP spans.

use std::borrow::Cow;

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_otlp::SpanExporter as Otlp;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter, SpanLinks};

/// The methods of RFC 9110 and PATCH (RFC 5789). A client can send any other word as its method, and what it sends may
/// be anything.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];
const OTHER_METHOD: &str = "_OTHER";
/// The log's name of the span around a request.
const REQUEST: &str = "request";

/// Sends spans after it took everything out of them that is not allowed.
#[derive(Debug)]
pub(super) struct Allowed(pub Otlp);

impl SpanExporter for Allowed {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0
            .export(batch.into_iter().map(allowed).collect())
            .await
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.0.shutdown()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

fn allowed(mut span: SpanData) -> SpanData {
    let fields = std::mem::take(&mut span.attributes);
    span.dropped_attributes_count = 0;
    span.events = SpanEvents::default();
    span.links = SpanLinks::default();
    span.status = Status::Unset;
    if span.name == REQUEST {
        request(&mut span, &fields);
    }
    span
}

fn request(span: &mut SpanData, fields: &[KeyValue]) {
    let field = |name: &str| {
        let field = fields.iter().find(|field| field.key.as_str() == name)?;
        Some(field.value.clone())
    };
    span.span_kind = SpanKind::Server;
    let method = field("method").map(|method| method.as_str().into_owned());
    let known = METHODS
        .into_iter()
        .find(|known| Some(*known) == method.as_deref());
    let attributes = &mut span.attributes;
    attributes.push(KeyValue::new(
        "http.request.method",
        known.unwrap_or(OTHER_METHOD),
    ));
    let method = known.unwrap_or("HTTP");
    span.name = match field("route").filter(|route| route.as_str() != "unknown") {
        Some(route) => {
            let name = format!("{method} {route}");
            attributes.push(KeyValue::new("http.route", route));
            Cow::Owned(name)
        }
        None => Cow::Borrowed(method),
    };
    if let Some(id) = field("id") {
        // In the answer (x-request-id) and on the lines of the log.
        attributes.push(KeyValue::new("fnox.request_id", id));
    }
    // Unsigned numbers of the log arrive as texts.
    let status = field("status").and_then(|status| status.as_str().parse::<i64>().ok());
    if let Some(status) = status {
        attributes.push(KeyValue::new("http.response.status_code", status));
        if status >= 500 {
            attributes.push(KeyValue::new("error.type", status.to_string()));
            span.status = Status::error("");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use opentelemetry::trace::{SpanContext, SpanId};
    use opentelemetry::{InstrumentationScope, Value};

    use super::*;

    fn span(name: &'static str, fields: &[(&'static str, Value)]) -> SpanData {
        SpanData {
            span_context: SpanContext::empty_context(),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: Cow::Borrowed(name),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes: fields
                .iter()
                .map(|(name, value)| KeyValue::new(*name, value.clone()))
                .collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::error("hunter2"),
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    fn attributes(span: &SpanData) -> Vec<(String, String)> {
        let text = |field: &KeyValue| (field.key.to_string(), field.value.to_string());
        span.attributes.iter().map(text).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_request_is_named_like_its_route() {
        let sent = allowed(span(
            REQUEST,
            &[
                ("id", "7".into()),
                ("method", "POST".into()),
                ("route", "/v1/approvals/{id}".into()),
                ("status", "201".into()),
            ],
        ));
        assert_eq!(sent.name, "POST /v1/approvals/{id}");
        assert_eq!(sent.span_kind, SpanKind::Server);
        assert_eq!(sent.status, Status::Unset);
        assert_eq!(
            attributes(&sent),
            [
                pair("http.request.method", "POST"),
                pair("http.route", "/v1/approvals/{id}"),
                pair("fnox.request_id", "7"),
                pair("http.response.status_code", "201"),
            ]
        );
    }

    #[test]
    fn what_is_not_named_here_is_not_sent() {
        let mut full = span(
            REQUEST,
            &[
                ("method", "hunter2".into()),
                ("route", "unknown".into()),
                ("address", "hunter2".into()),
                ("token", "hunter2".into()),
                ("status", "hunter2".into()),
            ],
        );
        full.events
            .events
            .push(opentelemetry::trace::Event::with_name("hunter2"));
        let sent = allowed(full);
        assert_eq!(sent.name, "HTTP");
        assert_eq!(attributes(&sent), [pair("http.request.method", "_OTHER")]);
        assert!(!format!("{sent:?}").contains("hunter2"));
        let sent = allowed(span("transaction", &[("key", "hunter2".into())]));
        assert_eq!(
            (sent.name.as_ref(), sent.attributes.len()),
            ("transaction", 0)
        );
    }

    #[test]
    fn only_the_servers_own_failures_are_errors() {
        for (status, expected) in [(404, Status::Unset), (503, Status::error(""))] {
            let sent = allowed(span(REQUEST, &[("status", Value::I64(status))]));
            assert_eq!(sent.status, expected);
        }
    }
}
