//! What a span says when it leaves: the allowed fields under the names that OpenTelemetry gives them, nothing else.
//!
//! Spans of the log hold more (addresses), and what they hold may change. Here everything is left out that is not
//! named, so that a new field of the log is not sent by accident. Names and values follow the semantic conventions for
//! HTTP spans.

use std::borrow::Cow;

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{KeyValue, Value};
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
/// The team server's name of the span around a request.
const REQUEST: &str = "request";
/// The gateway's.
const EXCHANGE: &str = "exchange";
/// What a gateway's span says in texts of its own making: its field, and its name here.
const TEXTS: [(&str, &str); 6] = [
    ("agent", "fnox.agent"),
    ("host", "server.address"),
    ("rule", "fnox.rule"),
    ("lease", "fnox.lease"),
    ("outcome", "fnox.outcome"),
    ("code", "error.type"),
];
/// The same in numbers.
const NUMBERS: [(&str, &str); 7] = [
    ("port", "server.port"),
    ("status", "http.response.status_code"),
    ("sent", "http.request.body.size"),
    ("received", "http.response.body.size"),
    ("asked_us", "fnox.asked_us"),
    ("filled_us", "fnox.filled_us"),
    ("answered_us", "fnox.answered_us"),
];

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
    match span.name.as_ref() {
        REQUEST => request(&mut span, &fields),
        EXCHANGE => exchange(&mut span, &fields),
        _ => {}
    }
    span
}

/// What was said last: an outcome may change after it was recorded.
fn field(fields: &[KeyValue], name: &str) -> Option<Value> {
    let field = fields.iter().rfind(|field| field.key.as_str() == name)?;
    Some(field.value.clone())
}

/// Unsigned numbers of the log arrive as texts.
fn number(fields: &[KeyValue], name: &str) -> Option<i64> {
    field(fields, name)?.as_str().parse().ok()
}

/// Notes the method, and answers with what begins the span's name.
fn method(span: &mut SpanData, fields: &[KeyValue]) -> &'static str {
    let method = field(fields, "method").map(|method| method.as_str().into_owned());
    let known = METHODS
        .into_iter()
        .find(|known| Some(*known) == method.as_deref());
    let attribute = known.unwrap_or(OTHER_METHOD);
    span.attributes
        .push(KeyValue::new("http.request.method", attribute));
    known.unwrap_or("HTTP")
}

/// A request that went through a gateway. Its name is the method: hosts are endless, and a path is not there.
fn exchange(span: &mut SpanData, fields: &[KeyValue]) {
    span.span_kind = SpanKind::Server;
    span.name = Cow::Borrowed(method(span, fields));
    for (name, attribute) in TEXTS {
        if let Some(value) = field(fields, name) {
            span.attributes
                .push(KeyValue::new(attribute, value.as_str().into_owned()));
        }
    }
    for (name, attribute) in NUMBERS {
        if let Some(value) = number(fields, name) {
            span.attributes.push(KeyValue::new(attribute, value));
        }
    }
    let is_answered = field(fields, "outcome").is_none_or(|outcome| outcome.as_str() == "answered");
    if !is_answered {
        span.status = Status::error("");
    }
}

fn request(span: &mut SpanData, fields: &[KeyValue]) {
    span.span_kind = SpanKind::Server;
    let method = method(span, fields);
    span.name = match field(fields, "route").filter(|route| route.as_str() != "unknown") {
        Some(route) => {
            let name = format!("{method} {route}");
            span.attributes.push(KeyValue::new("http.route", route));
            Cow::Owned(name)
        }
        None => Cow::Borrowed(method),
    };
    if let Some(id) = field(fields, "id") {
        // In the answer (x-request-id) and on the lines of the log.
        span.attributes.push(KeyValue::new("fnox.request_id", id));
    }
    if let Some(status) = number(fields, "status") {
        span.attributes
            .push(KeyValue::new("http.response.status_code", status));
        if status >= 500 {
            span.attributes
                .push(KeyValue::new("error.type", status.to_string()));
            span.status = Status::error("");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use opentelemetry::InstrumentationScope;
    use opentelemetry::trace::{SpanContext, SpanId};

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
    fn a_gateways_request_is_told_by_host_rule_and_lease_and_by_nothing_else() {
        let sent = allowed(span(
            EXCHANGE,
            &[
                ("agent", "coder-1".into()),
                ("host", "api.example.com".into()),
                ("port", "443".into()),
                ("method", "GET".into()),
                ("rule", "1".into()),
                ("outcome", "refused".into()),
                ("code", "gateway::no_rule".into()),
                ("status", "403".into()),
                ("sent", "0".into()),
                ("path", "/hunter2".into()),
                ("query", "hunter2".into()),
                ("authorization", "hunter2".into()),
            ],
        ));
        assert_eq!(
            (sent.name.as_ref(), sent.status.clone()),
            ("GET", Status::error(""))
        );
        assert_eq!(
            attributes(&sent),
            [
                pair("http.request.method", "GET"),
                pair("fnox.agent", "coder-1"),
                pair("server.address", "api.example.com"),
                pair("fnox.rule", "1"),
                pair("fnox.outcome", "refused"),
                pair("error.type", "gateway::no_rule"),
                pair("server.port", "443"),
                pair("http.response.status_code", "403"),
                pair("http.request.body.size", "0"),
            ]
        );
        assert!(!format!("{sent:?}").contains("hunter2"));
    }

    #[test]
    fn only_the_servers_own_failures_are_errors() {
        for (status, expected) in [(404, Status::Unset), (503, Status::error(""))] {
            let sent = allowed(span(REQUEST, &[("status", Value::I64(status))]));
            assert_eq!(sent.status, expected);
        }
    }
}
